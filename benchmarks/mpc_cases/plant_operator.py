"""The baseline: a PI loop whose set value follows the tariff, tuned by differential evolution.

    now    = mean of the emission over the last three measured rows, as a share of the limit
    block  = its sum over the permit's block so far, as a share of what the block may hold
    e      = goal + goal_swing * (tariff - its mean) - now - guard * max(0, block - goal * share of it past)
    lever  = base + gain * [e + sum(e) / integral]
    second = base + swing * (tariff - its mean)

The lever is the setpoint that the emission answers to most; the second hand follows the tariff alone. Shares
of each setpoint's range, within its bounds and rate. What is tuned: the eight numbers of `Rules`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import differential_evolution

from benchmarks.mpc_cases.plant_loop import Floats, Log, Plant, Problem, Seen, run

FEW = 0.01  # share of the hours above a limit that an operator is forgiven while tuning
FINE = 50.0  # of the mean profit per hour above beyond that: no tuned operator pays it
FAST = 3  # rows
BOX = ((0.7, 1.02), (-0.2, 1.5), (0.0, 6.0), (0.0, 1.0), (0.02, 1.5), (2.0, 200.0), (0.0, 1.0), (-0.8, 0.8))


@dataclass(frozen=True)
class Rules:
    goal: float
    goal_swing: float
    guard: float
    base: float  # of the lever
    gain: float
    integral: float  # rows
    second: float
    second_swing: float


class Operator:
    def __init__(self, rules: Rules, lever: int = 0) -> None:
        self.rules, self.lever = rules, lever

    def start(self, problem: Problem, plant: Plant, truth: Floats, seen: Seen) -> None:
        self.sum = 0.0
        self.mean = float(np.mean(problem.tariff_levels))
        tags, self.rule = problem.tags, problem.average
        self.column = tags.names.index(self.rule.output)
        self.low, self.high, self.rate = (
            np.array([getattr(tags[n], field) for n in tags.setpoints]) for field in ("low", "high", "rate")
        )

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        rules = self.rules
        emission = seen.rows[:, self.column] / self.rule.limit
        now, past = float(emission[-FAST:].mean()), seen.in_block / self.rule.rows
        block = float(emission[len(emission) - seen.in_block :].sum()) / self.rule.rows
        swing = float(seen.factors[0]) - self.mean
        error = (
            rules.goal + rules.goal_swing * swing - now - rules.guard * max(0.0, block - rules.goal * past)
        )
        lever = rules.base + rules.gain * (error + self.sum / rules.integral)
        if 0 < lever < 1:  # no winding up at the ends
            self.sum += error
        share = np.empty(2)
        share[self.lever] = min(max(lever, 0.0), 1.0)
        share[1 - self.lever] = min(max(rules.second + rules.second_swing * swing, 0.0), 1.0)
        wanted = self.low + share * (self.high - self.low)
        return np.clip(wanted, seen.applied - self.rate, seen.applied + self.rate), "-"


def penalised(problem: Problem, logs: list[Log]) -> float:
    """What tuning minimises: cost, and a fine for hours above beyond a few."""
    cost = sum(float(log.cost.sum()) for log in logs)
    hours = sum(len(log.truth) for log in logs) * problem.hours
    above = sum(log.hours_average + log.hours_spot for log in logs)
    return cost + FINE * abs(cost) / hours * max(0.0, above - FEW * hours)


def tuned(
    problem: Problem, lever: int, seeds: range, rows: int, generations: int, first: Rules | None = None
) -> Rules:
    """The same rules for the same arguments; `first`: where the search begins, beside random ones."""

    def score(x: Floats) -> float:
        rules = Rules(*(float(v) for v in x))
        return penalised(problem, [run(problem, Operator(rules, lever), seed, rows) for seed in seeds])

    found = differential_evolution(
        score, BOX, maxiter=generations, popsize=4, seed=1, polish=False, tol=0,
        x0=None if first is None else np.array(astuple(first)),
    )  # fmt: skip
    return Rules(*(round(float(v), 4) for v in found.x))
