"""Closed loops on the literature's plants: the problem, its tariff and permit, one run, its figures.

Every policy meets the same disturbances, noise and tariff, and is judged by the plant's truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt.objective import Limit
from emisopt.permit import Permit, PermitStream, Signal
from emisopt.plants import Cstr, QuadrupleTank
from emisopt.tags import TagMap

Floats = NDArray[np.float64]
Plant = Cstr | QuadrupleTank

TARIFF_STREAM = 7  # of the seed, apart from the plant's own
AHEAD = 96  # rows of tariff after a run's end, so that the last decisions see as far as the first


@dataclass(frozen=True)
class Average:
    """The permit's rule: means of whole blocks of rows, by the clock."""

    output: str
    limit: float
    rows: int
    pollutant: str  # as the permit's vocabulary calls it
    unit: str
    quantile: float = 0.5  # of the forecast that a controller holds it by

    def permit(self, period: float, margin: float = 0.0) -> Permit:
        """The rule as a permit, its limit lowered by a share."""
        rule = {
            "name": f"{self.output} mean", "pollutant": self.pollutant, "unit": self.unit,
            "limit": self.limit * (1 - margin), "verified": True,
            "base": {"length": round(self.rows * period), "validity": {"need": "any"}},
        }  # fmt: skip
        return Permit.from_dict({"name": self.output, "source": "this benchmark", "rules": [rule]})

    def stream(self, period: float, margin: float = 0.0) -> PermitStream:
        signals = {self.output: Signal(self.pollutant, self.unit)}
        return PermitStream(
            self.permit(period, margin), signals, period=period, stamp="end", negative="missing", threads=1
        )


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
    average: Average
    spot: Limit  # on each row
    start: Mapping[str, float]  # setpoints of the warm-up
    warm_rows: int = 64
    rows: int = 356  # with the warm-up whole blocks of 20

    @cached_property
    def tags(self) -> TagMap:
        return self.make(0).tags

    @property
    def hours(self) -> float:
        return self.tags.period / 3600.0


def tariff(problem: Problem, seed: int, rows: int) -> Floats:
    """(rows) factor on the price, published ahead; piecewise constant, levels drawn evenly."""
    rng = np.random.default_rng([seed, TARIFF_STREAM])
    levels = rng.choice(problem.tariff_levels, size=-(-rows // problem.tariff_rows))
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

    rows: Floats  # (warm rows, tags) measured, newest last
    stamps: pd.DatetimeIndex  # ends of the rows
    tags: TagMap
    applied: Floats
    factors: Floats
    in_block: int  # rows of the permit's block that are past

    @property
    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, self.stamps, self.tags.names)


class Policy(Protocol):
    def start(self, problem: Problem, plant: Plant, truth: Floats, seen: Seen) -> None:
        """Before the first row. Only the oracle may look at plant and truth (rows before, O)."""

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        """Setpoints (U) of the coming row and a word on how it was found."""


@dataclass(frozen=True)
class Log:
    """One run, N rows; `before`: the warm-up, which the first block reaches back to."""

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

    def blocks(self) -> Floats:
        """(N) mean of the block that each row belongs to; NaN in one that is not over."""
        rule = self.problem.average
        column = self.problem.tags.outputs.index(rule.output)
        series = np.concatenate([self.before[:, column], self.truth[:, column]])
        whole = len(series) // rule.rows
        means = np.repeat(series[: whole * rule.rows].reshape(whole, -1).mean(1), rule.rows)
        return np.concatenate([means, np.full(len(series) - len(means), np.nan)])[len(self.before) :]

    @property
    def hours_average(self) -> float:
        """Hours in blocks whose mean is above the limit."""
        return float((self.blocks() > self.problem.average.limit).sum()) * self.problem.hours

    @property
    def hours_spot(self) -> float:
        limit = self.problem.spot
        column = self.problem.tags.outputs.index(limit.output)
        return float((self.truth[:, column] > limit.limit).sum()) * self.problem.hours

    def summary(self) -> dict[str, float]:
        """What a study's table holds."""
        said = list(self.status)
        return {
            "profit": -float(self.cost.sum()),
            "hours_above": self.hours_average + self.hours_spot,
            "hours_average": self.hours_average,
            "hours_spot": self.hours_spot,
            "illegal": float(self.illegal),
            "slacked": float(said.count("LIMIT_SLACKED")),
            "fallback": float(sum(s in ("PREVIOUS_PLAN_SHIFTED", "HOLD", "SAFE_RAMP") for s in said)),
            "p50_ms": 1e3 * float(np.median(self.seconds)),
        }


def run(problem: Problem, policy: Policy, seed: int, rows: int | None = None) -> Log:
    """The warm-up at constant setpoints, then the policy, row by row."""
    rows = problem.rows if rows is None else rows
    plant, tags, warm = problem.make(seed), problem.tags, problem.warm_rows
    factors = tariff(problem, seed, rows + AHEAD)
    applied = np.array([problem.start[n] for n in tags.setpoints])
    plant.settle(applied)
    measured, truth = [], []

    def go(setpoints: Floats) -> None:
        plant.core.advance(setpoints)
        measured.append(plant.core.measure())
        truth.append(plant.core.truth())

    for _ in range(warm):
        go(applied)
    pace = pd.Timedelta(seconds=tags.period)
    stamps = pd.date_range(plant.time - pace * (warm - 1), periods=warm + rows, freq=pace)

    def seen(row: int) -> Seen:
        block = (warm + row) % problem.average.rows
        return Seen(np.array(measured[row:]), stamps[row : row + warm], tags, applied, factors[row:], block)

    low, high, rate = (
        np.array([getattr(tags[n], f) for n in tags.setpoints]) for f in ("low", "high", "rate")
    )
    policy.start(problem, plant, np.array(truth), seen(0))
    log: dict[str, list[Any]] = {name: [] for name in ("setpoints", "status", "seconds")}
    illegal = 0
    for row in range(rows):
        view, begin = seen(row), time.perf_counter()
        move, status = policy.decide(view)
        log["seconds"].append(time.perf_counter() - begin)
        near = np.isfinite(move).all() and (np.abs(move - applied) <= rate * (1 + 1e-9)).all()
        illegal += not (near and (move >= low - 1e-9).all() and (move <= high + 1e-9).all())
        wanted = np.where(np.isfinite(move), move, applied)
        applied = np.clip(np.clip(wanted, applied - rate, applied + rate), low, high)
        go(applied)
        log["setpoints"].append(applied)
        log["status"].append(status)
    return Log(
        problem, factors[:rows], np.array(truth[warm:]), np.array(truth[:warm]), np.array(log["setpoints"]),
        illegal, [str(s) for s in log["status"]], np.array(log["seconds"], dtype=float),
    )  # fmt: skip
