"""Closed loops on the literature's plants: the problem, its tariff, the start, one run, what it came to.

Every policy meets the same disturbances, noise and tariff, and is judged by the plant's truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt.objective import Limit
from emisopt.plants import Cstr, QuadrupleTank
from emisopt.tags import TagMap

Floats = NDArray[np.float64]
Plant = Cstr | QuadrupleTank

TARIFF_STREAM = 7  # of the seed, apart from the plant's own


@dataclass(frozen=True)
class Problem:
    """A plant, what it earns, what binds it, and how long a run is. Prices are per unit and row."""

    name: str
    make: Callable[[int], Plant]
    prices: Mapping[str, float]  # outputs; negative earns
    tariffed: str  # the output whose price the tariff multiplies
    tariff_levels: tuple[float, ...]
    tariff_rows: int  # a level holds for so many rows
    setpoint_prices: Mapping[str, float]
    move_weight: float  # cost per (move / range)^2
    limits: tuple[Limit, ...]  # the first is the averaging limit
    start: Mapping[str, float]  # setpoints of the warm-up
    warm_rows: int = 64
    rows: int = 360
    margins: Mapping[str, float] = field(default_factory=dict)  # of a policy's limits, shares

    @property
    def tags(self) -> TagMap:
        return self.make(0).tags

    @property
    def hours(self) -> float:
        return self.tags.period / 3600.0


def tariff(problem: Problem, seed: int, rows: int) -> Floats:
    """(rows) factor on the price, published ahead; piecewise constant, levels drawn evenly."""
    rng = np.random.default_rng([seed, TARIFF_STREAM])
    count = -(-rows // problem.tariff_rows)
    levels = rng.choice(problem.tariff_levels, size=count)
    return np.repeat(levels, problem.tariff_rows)[:rows].astype(float)


def price_table(problem: Problem, factors: Floats) -> Floats:
    """(rows, O) price of each output."""
    outputs = problem.tags.outputs
    table = np.tile([problem.prices.get(n, 0.0) for n in outputs], (len(factors), 1))
    table[:, outputs.index(problem.tariffed)] *= factors
    return table


@dataclass(frozen=True)
class Seen:
    """What a policy may know before a row: measured rows, setpoints in force, the tariff from now on."""

    history: pd.DataFrame
    applied: Floats
    factors: Floats


class Policy(Protocol):
    def start(self, problem: Problem, plant: Plant, truth: Floats, factors: Floats) -> None:
        """Before the first row. Only the oracle may look at plant and truth (rows before, O)."""

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        """Setpoints (U) of the coming row and a word on how it was found."""


@dataclass(frozen=True)
class Log:
    """One run, N rows; `before`: rows of the warm-up that the first windows reach back to."""

    problem: Problem
    factors: Floats  # (N)
    truth: Floats  # (N, O)
    before: Floats  # (W, O)
    setpoints: Floats  # (N, U)
    illegal: int
    status: Sequence[str]
    seconds: Floats  # (N) of deciding

    @property
    def cost(self) -> Floats:
        """(N) money per row, move suppression not included."""
        fixed = [self.problem.setpoint_prices.get(n, 0.0) for n in self.problem.tags.setpoints]
        return (price_table(self.problem, self.factors) * self.truth).sum(1) + self.setpoints @ fixed

    def rolling(self, limit: Limit) -> Floats:
        """(N) the mean that the limit is judged by, with the rows of the warm-up."""
        column = self.problem.tags.outputs.index(limit.output)
        series = np.concatenate([self.before[:, column], self.truth[:, column]])
        mean = pd.Series(series).rolling(limit.window).mean().to_numpy()
        return mean[len(self.before) :]

    def hours_above(self, limit: Limit) -> float:
        return float((self.rolling(limit) > limit.limit).sum()) * self.problem.hours

    def summary(self) -> dict[str, float]:
        """What a study's table holds."""
        above = {f"hours {limit.label}": self.hours_above(limit) for limit in self.problem.limits}
        return {
            "profit": -float(self.cost.sum()),
            "hours_above": sum(above.values()),
            **above,
            "illegal": float(self.illegal),
            "slacked": float(sum(s == "LIMIT_SLACKED" for s in self.status)),
            "fallback": float(sum(s in ("PREVIOUS_PLAN_SHIFTED", "HOLD", "SAFE_RAMP") for s in self.status)),
            "p50_ms": 1e3 * float(np.median(self.seconds)),
        }


def run(problem: Problem, policy: Policy, seed: int, rows: int | None = None) -> Log:
    """The warm-up at constant setpoints, then the policy, row by row."""
    rows = problem.rows if rows is None else rows
    plant, tags = problem.make(seed), problem.tags
    ahead = 4 * 24  # rows of tariff after the end, so that the last decisions see as far as the first
    factors = tariff(problem, seed, rows + ahead)
    applied = np.array([problem.start[n] for n in tags.setpoints])
    plant.settle(applied)
    measured, before = [], []
    for _ in range(problem.warm_rows):
        plant.advance(applied)
        measured.append(plant.measure())
        before.append(plant.core.truth())
    history = pd.DataFrame(measured)
    low, high, rate = (np.array([getattr(tags[n], f) for n in tags.setpoints]) for f in ("low", "high", "rate"))
    policy.start(problem, plant, np.array(before), factors)
    log: dict[str, list[object]] = {name: [] for name in ("truth", "setpoints", "status", "seconds")}
    illegal = 0
    for row in range(rows):
        begin = time.perf_counter()
        move, status = policy.decide(Seen(history, applied, factors[row:]))
        log["seconds"].append(time.perf_counter() - begin)
        inside = np.isfinite(move).all() and (np.abs(move - applied) <= rate * (1 + 1e-9)).all()
        illegal += not (inside and (move >= low - 1e-9).all() and (move <= high + 1e-9).all())
        applied = np.clip(np.clip(np.where(np.isfinite(move), move, applied), applied - rate, applied + rate), low, high)
        plant.advance(applied)
        history = pd.concat([history.iloc[1:], plant.measure().to_frame().T])
        log["truth"].append(plant.core.truth())
        log["setpoints"].append(applied)
        log["status"].append(status)
    return Log(
        problem, factors[:rows], np.array(log["truth"]), np.array(before), np.array(log["setpoints"]), illegal,
        [str(s) for s in log["status"]], np.array(log["seconds"], dtype=float),
    )  # fmt: skip
