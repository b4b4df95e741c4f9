"""Accuracy on real data beside baselines: turbine, air, ETT, sulphur unit, steel, Tennessee Eastman."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from benchmarks import gt_backtest, gt_cover
from benchmarks.forecasting import (
    data,
    distill,
    forgetting,
    gas_turbine,
    ours,
    soft_sensors,
    transfer,
    windows,
)
from benchmarks.forecasting.tables import SEEDS
from benchmarks.harness import Row

TASKS = (
    "gas_turbine", "air_quality", "beijing", "ett", "sru", "tep", "steel", "forgetting", "distill",
    "transfer",
)  # fmt: skip


def run(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """`cases`: patterns of tasks (TASKS, gt_backtest, gt_cover); none: all."""
    named = [t for t in ("gt_backtest", "gt_cover", *TASKS) if not cases or _matches(t, cases)]
    out = gt_backtest.rows(quick) if "gt_backtest" in named else []
    out += gt_cover.rows(quick) if "gt_cover" in named else []
    return out + rows([t for t in TASKS if t in named], quick)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def rows(tasks: Sequence[str], quick: bool) -> list[Row]:
    """The rows of some tasks; quick: few windows, one station, one of the ETT sets, small boosters, one
    seed."""
    seeds = 1 if quick else SEEDS
    models = ours.models()
    stations = data.STATIONS[-1:] if quick else data.STATIONS
    first = dict([next(iter(models.items()))])  # nothing of the coming rows is known: the others are the same
    ett = ("ETTh1",) if quick else ("ETTh1", "ETTm1")
    each: dict[str, Callable[[], list[Row]]] = {
        "gas_turbine": lambda: gas_turbine.rows(quick, models, seeds),
        "air_quality": lambda: windows.air_quality_rows(quick, models, seeds),
        "beijing": lambda: windows.beijing_rows(quick, models, seeds, stations),
        "ett": lambda: windows.ett_rows(quick, first, seeds, ett),
        "sru": lambda: soft_sensors.sru_rows(quick, models, seeds),
        "tep": lambda: soft_sensors.tep_rows(quick, models, seeds),
        "steel": lambda: windows.steel_rows(quick, models, seeds),
        "forgetting": lambda: forgetting.rows(quick, seeds),
        "distill": lambda: distill.rows(quick, seeds),
        "transfer": lambda: transfer.rows(quick),
    }
    return [row for task in tasks for row in each[task]()]
