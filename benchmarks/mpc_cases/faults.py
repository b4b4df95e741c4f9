"""The failure contract in closed loop: faults on purpose in sensors, forecaster, solver and clock.

The plant is the synthetic boiler, the forecaster a small one that was fitted on its history; the controller
is the one that users have. Every tick is checked: no exception, a move inside bounds and rates, a status that
fits what came with it, and an answer by the deadline plus one tile of work, in CPU time of the thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import Row
from emisopt import Controller, Decision, Forecaster, Limit, TagMap, economic
from emisopt._core import FaultyPredictor
from emisopt.plants import GRADES, Boiler

LIMITS = [
    Limit("nox", 75, window=12, name="NOx 1 h"),
    Limit("co", 125, window=12, name="CO 1 h"),
    Limit("nh3_slip", 2.5, window=12, rank=2, name="slip 1 h"),
]
HISTORY_SEED, LOOP_SEED = 11, 6000
CONTEXT, WARM = 24, 60
# What a clock read costs in Python, and what is left to do once time is up: copies of a plan, a check of it.
ALLOWANCE_S = 5e-4
Tamper = Callable[[pd.DataFrame, int, np.random.Generator], pd.DataFrame]


def as_it_is(rows: pd.DataFrame, _tick: int, _rng: np.random.Generator) -> pd.DataFrame:
    return rows


def missing(rows: pd.DataFrame, tick: int, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the newest ten rows' outputs are lost; every fortieth tick for longer than the context."""
    rows = rows.copy()
    outputs = ["nox", "co", "co2", "nh3_slip", "efficiency", "nh3_flow"]
    span = CONTEXT + 3 if tick % 40 > 34 else 10
    block = rows.loc[rows.index[-span:], outputs]
    rows.loc[rows.index[-span:], outputs] = block.mask(rng.random(block.shape) < (1 if span > 10 else 0.5))
    return rows


def frozen(rows: pd.DataFrame, tick: int, _rng: np.random.Generator) -> pd.DataFrame:
    """NOx and CO hang for thirty of every sixty rows."""
    rows = rows.copy()
    hung = tick % 60
    if hung < 30:
        last = rows.index[-(hung + 1) :]
        for name in ("nox", "co"):
            rows.loc[last, name] = rows[name].iloc[-(hung + 2)]
    return rows


def late(rows: pd.DataFrame, tick: int, _rng: np.random.Generator) -> pd.DataFrame:
    """Outputs arrive three rows late."""
    rows = rows.copy()
    rows.loc[rows.index[-3:], ["nox", "co", "nh3_slip"]] = np.nan
    return rows


def stopped(rows: pd.DataFrame, tick: int, _rng: np.random.Generator) -> pd.DataFrame:
    """For ten of every fifty ticks no row comes at all: what there is is shorter than the context."""
    return rows.tail(CONTEXT - 5) if tick % 50 > 39 else rows


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong."""

    name: str
    tamper: Tamper = as_it_is
    predictor: Mapping[str, float] = field(default_factory=dict)
    deadline_s: float = 1.0
    start: Mapping[str, float] = field(default_factory=dict)  # setpoints of the warm-up
    expected: frozenset[str] = frozenset()  # statuses that must appear, else the fault did not bite


START = {"o2_sp": 3.6, "ofa_sp": 18.0, "nh3_ratio_sp": 0.8, "tilt_sp": 0.0}
FAULTS = (
    Fault("none"),
    Fault("nan-sensors", missing, expected=frozenset({"HOLD"})),
    Fault("frozen-cems", frozen),
    Fault("late-samples", late),
    Fault("no-rows", stopped, expected=frozenset({"HOLD"})),
    Fault("past-limit", start={"nh3_ratio_sp": 0.3, "o2_sp": 5.5}, expected=frozenset({"LIMIT_SLACKED"})),
    Fault("gain-0.7", predictor={"gain": 0.7}),
    Fault("gain-1.3", predictor={"gain": 1.3}),
    Fault("nan-forecast", predictor={"nan_forecast": 0.5}, expected=frozenset({"HOLD"})),
    Fault("nan-slopes", predictor={"nan_sensitivity": 0.6}, expected=frozenset({"PREVIOUS_PLAN_SHIFTED"})),
    Fault("interrupted", predictor={"interrupt": 0.3}, expected=frozenset({"HOLD"})),
    Fault("deadline-0.2ms", deadline_s=2e-4),
    Fault("all", missing, {"gain": 1.3, "nan_forecast": 0.2, "nan_sensitivity": 0.3, "interrupt": 0.2}, 2e-3),
)


@dataclass
class Count:
    """What a loop came to."""

    ticks: int = 0
    raised: int = 0
    illegal: int = 0
    wrong_status: int = 0
    late: int = 0
    worst_over_s: float = -np.inf  # beyond deadline and tile
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        return self.raised + self.illegal + self.wrong_status + self.late


def small_forecaster(quick: bool) -> Forecaster:
    """Fitted for seconds: the contract does not ask how good a forecast is."""
    history, tags = Boiler(seed=HISTORY_SEED).simulate_history(days=10 if quick else 60)
    forecaster = Forecaster(
        context=CONTEXT, horizon=12, patch=4, width=32, heads=4, layers=2, steps=150 if quick else 800, seed=1
    )
    return forecaster.fit(history, tags=tags, progress=False)


def row_of(boiler: Boiler) -> pd.DataFrame:
    row = boiler.measure().to_frame().T
    grade = row["fuel_grade"].iloc[0]
    row["fuel_grade"] = GRADES[int(grade)] if np.isfinite(grade) else None
    return row


def legal(decision: Decision, tags: TagMap, before: Mapping[str, float]) -> bool:
    for name, move in decision.move.items():
        tag = tags[str(name)]
        inside = np.isfinite(move) and tag.low <= move <= tag.high
        if not inside or (tag.rate is not None and abs(move - before[str(name)]) > tag.rate * (1 + 1e-12)):
            return False
    return True


def fits(decision: Decision) -> bool:
    """A status says what came with it: a forecast, limits that cannot hold, a reason."""
    forecast = np.isfinite(decision.trajectories.to_numpy()).all() and np.isfinite(decision.cost)
    return (
        bool(forecast) == decision.ok
        and bool(len(decision.slacks)) == (decision.status == "LIMIT_SLACKED")
        and bool(decision.reason) == (decision.status != "OPTIMAL")
    )


def run_fault(fault: Fault, forecaster: Forecaster, ticks: int) -> Count:
    boiler, tags = Boiler(seed=LOOP_SEED), forecaster.tags_
    applied = {**START, **fault.start}
    frames = []
    for _ in range(WARM):
        boiler.advance(applied)
        frames.append(row_of(boiler))
    rows = pd.concat(frames)
    more: dict[str, Any] = {"deadline_s": fault.deadline_s, "clock": time.thread_time, "threads": 1}
    controller = Controller(forecaster, economic(), LIMITS, bias="multiplicative", bias_gain=0.05, **more)
    inner = controller._predictor
    faulty = FaultyPredictor(inner, seed=7, **fault.predictor)
    controller._foreseen = faulty
    rng, count = np.random.default_rng(3), Count()
    for tick in range(ticks):
        count.ticks += 1
        seen = fault.tamper(rows, tick, rng)
        try:
            # Before the tick's history is read the gain counts from the last one's forecast: a tick late.
            if tick and fault.predictor.get("gain", 1.0) != 1.0:
                faulty.set_held([applied[n] for n in tags.setpoints])
            elif tick:
                faulty.set_held([])
            decision = controller.step(seen, applied=applied)
        except Exception:
            count.raised += 1
            boiler.advance(applied)
        else:
            over = decision.seconds - fault.deadline_s - faulty.longest
            count.worst_over_s = max(count.worst_over_s, over)
            count.late += over > ALLOWANCE_S
            count.illegal += not legal(decision, tags, applied)
            count.wrong_status += not fits(decision)
            count.statuses[decision.status] = count.statuses.get(decision.status, 0) + 1
            applied = {str(k): float(v) for k, v in decision.move.items()}
            boiler.advance(applied)
        rows = pd.concat([rows.tail(3 * CONTEXT), row_of(boiler)])
    count.wrong_status += len(fault.expected - count.statuses.keys())
    return count


def run(quick: bool) -> list[Row]:
    forecaster = small_forecaster(quick)
    ticks = 60 if quick else 288
    counts = {fault.name: run_fault(fault, forecaster, ticks) for fault in FAULTS}
    total = sum(c.ticks for c in counts.values())
    bad = sum(c.bad for c in counts.values())
    note = f"{total} ticks, {len(FAULTS)} kinds of fault; raised, illegal, wrong status or late"
    rows = [Row("faults", "illegal_or_late", float(bad), 0.0, "contract", note=note)]
    for name, c in counts.items():
        said = ", ".join(f"{k} {v}" for k, v in sorted(c.statuses.items(), key=lambda item: -item[1]))
        over = f"{1e3 * c.worst_over_s:+.2f} ms beyond deadline and tile at worst"
        rows.append(
            Row(f"faults-{name}", "illegal_or_late", float(c.bad), 0.0, "contract", note=f"{said}; {over}")
        )
    return rows
