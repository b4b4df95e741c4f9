"""Cases train-hour-year, train-minute-year of suite learn: seconds to train on a plant-year, and its memory.

A synthetic plant-year of 20 tags (6 setpoints, 10 disturbances, 4 outputs) in rows of an hour or a minute, of
which 1 % of the labels are missing and a gap stands after every 30th day. The hour-year is trained with the
forecaster's default settings, the minute-year for as many steps as show every window about once. The peer is
the goal: 5 minutes and 1 hour on two cores.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Row
from emisopt import Forecaster, Tag, TagMap, _core, _training
from emisopt.history import to_history

GOALS = {"hour": 300.0, "minute": 3600.0}
ROWS = {"hour": 8760, "minute": 525_600}
PERIOD = {"hour": 3600.0, "minute": 60.0}


def rows(quick: bool) -> list[Row]:
    out = []
    for name in ("minute", "hour"):  # the larger first: what it frees would hide the other's memory
        count = ROWS[name] // 12 if quick else ROWS[name]
        history, tags = plant(count, PERIOD[name])
        for layers in (1, 3):
            if layers == 3 and (quick or name == "minute"):
                continue  # the default is one layer; three are shown where they take minutes
            windows = count - 120
            steps = 1000 if name == "hour" else -(-windows // 64)
            forecaster = Forecaster(layers=layers, steps=20 if quick else steps)
            case = f"train-{name}-year" + ("" if layers == 1 else f"-{layers}layers")
            out += _measure(case, forecaster, history, tags, None if quick else GOALS[name])
    return out


def _measure(
    case: str, forecaster: Forecaster, history: pd.DataFrame, tags: TagMap, goal: float | None
) -> list[Row]:
    core_history = to_history(history, tags)
    held = len(history) // 10
    train_rows = len(history) - held
    config = _training.train_config(forecaster, train_rows, held)
    start = time.perf_counter()
    core = _core.Forecaster.make(core_history, _training.network_config(forecaster), train_rows)
    before = peak = resident()

    def watch(report: _core.TrainProgress) -> bool:
        nonlocal peak
        peak = max(peak, resident())
        return True

    result, _ = _core.train(core, core_history, config, watch)
    seconds = time.perf_counter() - start
    note = (
        f"{len(history)} rows x {len(tags)} tags, {core.parameter_count} weights, {result.steps} steps of "
        f"{forecaster.batch}, {result.steps * forecaster.batch / result.seconds:.0f} windows/s, "
        f"{_core.default_threads()} threads, {_core.isa_level().name}"
    )
    rows = [Row(case, "seconds", seconds, goal, "" if goal is None else "goal", unit="s", note=note)]
    table = core_history.rows * len(tags) * 8 / 2**20
    note = f"resident memory gained by training; the history itself is {table:.0f} MiB"
    return [*rows, Row(case, "memory", (peak - before) / 2**20, unit="MiB", note=note)]


def resident() -> int:
    """Bytes of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def plant(count: int, period: float) -> tuple[pd.DataFrame, TagMap]:
    """Setpoints that step, disturbances that wander, outputs that follow both through a lag, with noise."""
    rng = np.random.default_rng(1)
    setpoints = np.repeat(rng.uniform(-1, 1, (count // 40 + 1, 6)), 40, axis=0)[:count]
    wander = np.cumsum(rng.normal(size=(count, 10)), axis=0)
    disturbances = wander - pd.DataFrame(wander).ewm(span=500).mean().to_numpy()
    mixed = np.tanh(setpoints @ rng.normal(size=(6, 4)) + 0.05 * disturbances @ rng.normal(size=(10, 4)))
    outputs = pd.DataFrame(mixed).ewm(span=6).mean().to_numpy() + 0.1 * rng.normal(size=(count, 4))
    outputs = 100 + 20 * outputs
    outputs[rng.random(outputs.shape) < 0.01] = np.nan
    names = [f"sp{i}" for i in range(6)] + [f"d{i}" for i in range(10)] + [f"out{i}" for i in range(4)]
    roles = ["setpoint"] * 6 + ["disturbance"] * 10 + ["emission"] * 4
    tags = TagMap(
        [Tag(n, "-", r, known_ahead=n in ("d0", "d1")) for n, r in zip(names, roles, strict=True)],
        plant="year",
        synthetic=True,
        period=period,
    )
    stamps = np.arange(count) * period + np.arange(count) // int(30 * 86400 / period) * 3 * period
    index = pd.DatetimeIndex(pd.to_datetime(stamps + 1.5e9, unit="s", utc=True))
    return pd.DataFrame(np.hstack([setpoints, disturbances, outputs]), columns=names, index=index), tags
