"""Rows work-* of suite `mpc`: thread CPU time of one tick with one Jacobian, against its sizes.

Forecasters of size S with random weights: work does not depend on what was learnt. No peer: the goal is that
the window of an averaging limit costs nothing and that time grows no faster than the work.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.harness import Row
from benchmarks.nlp_peers.problem import plant_history
from emisopt import _core
from emisopt.history import to_history
from emisopt.tags import TagMap

HORIZONS = (8, 16, 24, 48, 96)
BOILERS = (1, 2, 4)  # 4 setpoints each
WINDOWS = (12, 288, 8640)  # rows of 300 s: an hour, a day, 30 days
CALLS = 15


def rows(quick: bool) -> list[Row]:
    horizons, boilers = (HORIZONS[:2], BOILERS[:2]) if quick else (HORIZONS, BOILERS)
    out = [_row("work-horizon", f"H{h}", _tick_ms(horizon=h)) for h in horizons]
    out += [_row("work-setpoints", f"U{4 * count}", _tick_ms(boilers=count)) for count in boilers]
    shortest = float("nan")
    for window in WINDOWS:
        spent = _tick_ms(window=window)
        shortest = spent if window == WINDOWS[0] else shortest
        out.append(
            Row(
                "work-window",
                f"rows{window}",
                spent,
                shortest,
                "one_hour",
                unit="ms",
                note="thread CPU time, p50",
            )
        )
    return out


def _row(case: str, metric: str, spent: float) -> Row:
    return Row(case, metric, spent, unit="ms", note="thread CPU time, p50 of a tick with one Jacobian")


def _tick_ms(horizon: int = 24, boilers: int = 1, window: int = 12) -> float:
    """Median over consecutive ticks, history's keys and values included."""
    days = 4 if window < 1000 else 32
    frame, tags = plant_history(boilers, days, 21)
    history = to_history(frame, tags, where="work")
    config = _core.ForecasterConfig(context=96, horizon=horizon, width=64, heads=4, layers=3,
                                    quantiles=[0.05, 0.5, 0.95])  # fmt: skip
    core = _core.Forecaster.make(history, config, history.rows)
    theta = core.theta
    theta += 0.02 * np.random.default_rng(5).normal(size=theta.shape).astype(np.float32)
    controller, predictor = _controller(core, tags, horizon, window)
    outputs = [tags.names.index(n) for n in tags.outputs]
    setpoints = [tags.names.index(n) for n in tags.setpoints]
    low, high = (
        np.array([float(getattr(tags[n], side)) for n in tags.setpoints]) for side in ("low", "high")
    )
    known = np.full((horizon, len(tags.disturbances)), np.nan)
    spent = []
    for call in range(CALLS + 3):
        end = history.rows - CALLS - 3 + call
        applied = np.clip(history.values[end - 1, setpoints], low, high)
        past = np.ascontiguousarray(history.values[max(0, end - window) : end, outputs])
        predictor.set_tick(history, end, known)
        begin = time.thread_time()
        controller.step(predictor, applied, past)
        spent.append(time.thread_time() - begin)
    return statistics.median(spent[3:]) * 1e3


def _controller(
    core: _core.Forecaster, tags: TagMap, horizon: int, window: int
) -> tuple[_core.Controller, _core.ForecastPredictor]:
    outputs = list(tags.outputs)
    nox = next(i for i, name in enumerate(outputs) if name.endswith("nox"))
    limits = [_core.Limit(name="limit", output=nox, limit=90.0, window=window)]
    price = [0.0] * len(outputs)
    price[nox] = 0.1
    setpoints = [
        _core.Setpoint(name=n, unit=tags[n].unit, low=tags[n].low, high=tags[n].high, move_weight=1.0)
        for n in tags.setpoints
    ]
    config = _core.ControllerConfig(blocks=6, max_iterations=1, deadline_s=1e6)
    controller = _core.Controller(
        setpoints=setpoints, limits=limits, price=price, fuel=None, currency="EUR", horizon=horizon,
        outputs=len(outputs), config=config, envelope=_core.Envelope(),
    )  # fmt: skip
    return controller, _core.ForecastPredictor(core, limits, 1)
