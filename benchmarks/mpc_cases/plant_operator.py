"""The baseline: two PI loops under set values that follow the tariff, tuned by search on seeds of their own.

    slow   = mean of the emission over the limit's window, as measured
    lever  = base + swing * (tariff - its mean) + gain * [e + sum(e) / integral],  e = goal - emission / limit
    second = base + swing * (tariff - its mean) (a second hand, set by the tariff alone)

The lever is the setpoint that the emission answers to most. Its PI loop looks at the window's mean, which is
what the permit counts; the goal below 1 is the margin that a careful operator keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.mpc_cases.plant_loop import Floats, Log, Plant, Problem, Seen, run

FEW = 0.01  # share of the hours above a limit that an operator is forgiven while tuning
FINE = 50.0  # of the mean profit per hour above beyond that: no tuned operator pays it


@dataclass(frozen=True)
class Rules:
    """lever, second: (base, swing) in shares of the range; gain; integral in rows; goal as share of the limit."""

    lever: tuple[float, float]
    second: tuple[float, float]
    gain: float
    integral: float
    goal: float


class Operator:
    def __init__(self, rules: Rules, lever: int = 0) -> None:
        self.rules, self.lever = rules, lever

    def start(self, problem: Problem, plant: Plant, truth: Floats, factors: Floats) -> None:
        self.problem, self.sum = problem, 0.0
        self.mean = float(np.mean(problem.tariff_levels))
        tags = problem.tags
        self.low = np.array([tags[n].low for n in tags.setpoints])
        self.high = np.array([tags[n].high for n in tags.setpoints])
        self.rate = np.array([tags[n].rate for n in tags.setpoints])

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        rules, limit = self.rules, self.problem.limits[0]
        slow = float(seen.history[limit.output].iloc[-limit.window :].mean())
        error = rules.goal - slow / limit.limit
        swing = seen.factors[0] - self.mean
        lever = rules.lever[0] + rules.lever[1] * swing + rules.gain * (error + self.sum / rules.integral)
        if 0 < lever < 1:  # no winding up at the ends
            self.sum += error
        second = rules.second[0] + rules.second[1] * swing
        share = np.empty(2)
        share[self.lever], share[1 - self.lever] = np.clip(lever, 0, 1), np.clip(second, 0, 1)
        wanted = self.low + share * (self.high - self.low)
        return np.clip(wanted, seen.applied - self.rate, seen.applied + self.rate), "-"


def penalised(problem: Problem, logs: list[Log]) -> float:
    """What tuning minimises: cost, and a fine for hours above beyond a few."""
    cost = sum(float(log.cost.sum()) for log in logs)
    hours = sum(len(log.truth) for log in logs) * problem.hours
    above = sum(log.hours_above(limit) for log in logs for limit in problem.limits)
    return cost + FINE * abs(cost) / hours * max(0.0, above - FEW * hours)


def tuned(
    problem: Problem, first: Rules, lever: int, seeds: range, tries: int, rows: int,
    told: Callable[[int, float, Rules], None] | None = None,
) -> Rules:  # fmt: skip
    """Random search around the best so far, its steps shrinking: the same rules for the same arguments."""
    rng = np.random.default_rng(1)

    def score(rules: Rules) -> float:
        return penalised(problem, [run(problem, Operator(rules, lever), seed, rows) for seed in seeds])

    best, least = first, score(first)
    for k in range(tries):
        width = 0.3 * 0.05 ** (k / tries)
        step = lambda value: value + width * rng.normal()  # noqa: E731
        change = Rules(
            (step(best.lever[0]), step(best.lever[1])), (step(best.second[0]), step(best.second[1])),
            abs(best.gain * np.exp(2 * width * rng.normal())), best.integral * np.exp(3 * width * rng.normal()),
            min(1.0, best.goal + 0.2 * width * rng.normal()),
        )  # fmt: skip
        value = score(change)
        if value < least:
            best, least = change, value
            if told is not None:
                told(k, least, best)
    return best
