"""Soft sensors whose labels come late: tail gas of the sulphur unit, product analysis of the Tennessee
Eastman process. Root mean squared error, as their literature has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.forecasting import data, scores, tables
from benchmarks.forecasting.baseline_boosting import Direct, Tracked
from benchmarks.forecasting.baseline_gp import LinearGP
from benchmarks.forecasting.baseline_linear import Ridge, RLinear, apply_ridge, solve_ridge
from benchmarks.forecasting.baseline_simple import (
    Climatology,
    LastValue,
    SeasonalNaive,
    residual_levels,
    with_levels,
)
from benchmarks.forecasting.ours import Seeded
from benchmarks.forecasting.task import Floats, Ints, Model, Task
from benchmarks.harness import Row

SRU_LAGS = (0, 5, 7, 9)  # the literature's (Fortuna et al. 2007)
SRU_LATE = (1, 24, 168)
TEP_LATE = (5, 20)  # rows of three minutes: a quarter of an hour is the analyser's own dead time


@dataclass(frozen=True)
class OperationRidge:
    """Ridge regression on the operation of the row and its lags, frozen: the literature's soft sensor."""

    penalty: float = 1.0

    def __call__(self, task: Task) -> Floats:
        spread = residual_levels(task, lambda at: self._point(task, task.train_rows or task.fit_rows, at))
        return with_levels(task, lambda at: self._point(task, task.fit_rows, at), spread)

    def _point(self, task: Task, rows: int, at: Ints) -> Floats:
        table = task.table
        ahead = table.setpoints + table.known

        def inputs(targets: Ints) -> Floats:
            start = table.run_start[targets]
            return np.column_stack([table.at(targets - lag, ahead, start) for lag in task.lags])

        y = task.values[:rows]
        valid = np.isfinite(y).all(axis=1)
        model = solve_ridge(inputs(np.arange(rows))[valid], y[valid], self.penalty)
        return np.stack(
            [apply_ridge(inputs(np.minimum(at + h - 1, table.rows - 1)), model) for h in task.steps], axis=1
        )


def sru_task(quick: bool = False) -> Task:
    """The last 30 % of the 7,057 rows that we have are the test, the 20 % before them choose settings."""
    source = data.sru()
    rows = len(source.history)
    train, test = rows // 2, int(0.7 * rows)
    origins = np.arange(test, test + 800, 8) if quick else np.arange(test, rows)
    return Task(
        "sru",
        source.history,
        source.tags,
        source.key,
        train,
        test - train,
        origins,
        SRU_LATE,
        lags=SRU_LAGS,
        season=1440,
    )


def tep_task(quick: bool = False) -> Task:
    """Trained on the runs d00 to d10 (the last two choose settings), tested on the 960 rows of each test
    run."""
    source = data.tep()
    runs = len(data.TEP_TRAIN)
    train, test = source.starts[runs - 2], source.starts[runs]
    rows = np.arange(test, len(source.history))
    late = max(TEP_LATE)
    starts = np.repeat(source.starts[runs:], np.diff([*source.starts[runs:], len(source.history)]))
    ends = np.repeat(
        [*source.starts[runs + 1 :], len(source.history)],
        np.diff([*source.starts[runs:], len(source.history)]),
    )
    inside = (rows >= starts + 2 * late) & (rows + late <= ends)
    return Task(
        "tep",
        source.history,
        source.tags,
        source.key,
        train,
        test - train,
        rows[inside][:900:16] if quick else rows[inside],
        TEP_LATE,
        lags=(0, 5),
        season=480,
    )


def baselines(quick: bool) -> dict[str, Model]:
    rounds, stride = (10, 8) if quick else (150, 1)
    lags, operation = Direct("lags", rounds, stride), Direct("operation", rounds, stride)
    return {
        "last value": LastValue(),
        "seasonal naive": SeasonalNaive(),
        "climatology": Climatology(),
        "ridge, operation": OperationRidge(),
        "ridge": Ridge(),
        "RLinear": RLinear(window=48),
        "boosting": lags,
        "boosting + tracking": Tracked(lags),
        "soft sensor + tracking": Tracked(operation),
        "refitted soft sensor + tracking": Tracked(operation, refits=1 if quick else 7),
        "linear + GP": LinearGP(refresh=24 if quick else 4),
    }


def score(task: Task, forecast: Floats) -> Mapping[str, float]:
    point = forecast[..., task.median]
    error, absolute = scores.rmse(task.truth, point), scores.mae(task.truth, point)
    sd = np.nanstd(task.values[: task.fit_rows], axis=0)
    out = {}
    for i, h in enumerate(task.steps):
        for o, name in enumerate(task.outputs):
            out[f"rmse {name} late{h}"] = float(error[i, o])
            out[f"mae {name} late{h}"] = float(absolute[i, o])
        out[f"rmse/sd late{h}"] = float(np.mean(error[i] / sd))
    return out


def sru_rows(quick: bool, ours: Mapping[str, Seeded], seeds: int) -> list[Row]:
    table = tables.run(sru_task(quick), baselines(quick), ours, score, seeds)
    return [
        table.row(f"sru-{name.lower()}-late{h}", "rmse", f"rmse {name} late{h}")
        for name in ("H2S", "SO2")
        for h in (24, 1, 168)
    ]


ANALYSIS_ROWS = 5  # that an analysis of the product stands still for


def analysis_noise(task: Task) -> Floats:
    """(O,) sd of the analyser's own noise at the rows scored, of second differences of three analyses in a
    row: no forecast errs less, whatever it knows of the process.

    Of white noise of variance v, y(t) - 2 y(t - 5) + y(t - 10) has variance 6 v; a process that moves
    evenly between the analyses adds nothing. What moves it unevenly counts as noise.
    """
    at = task.origins + task.steps[0] - 1
    y = task.values
    d = y[at] - 2 * y[at - ANALYSIS_ROWS] + y[at - 2 * ANALYSIS_ROWS]
    return np.asarray(np.sqrt(scores.nanmean(d**2, axis=0) / 6))


def tep_noise_row(quick: bool) -> Row:
    """The least that the rows tep-quality-... can reach."""
    task = tep_task(quick)
    each = analysis_noise(task) / np.nanstd(task.values[: task.fit_rows], axis=0)
    note = "noise of the analyses alone; " + ", ".join(
        f"{n} {v:.3f}" for n, v in zip(task.outputs, each, strict=True)
    )
    return Row("tep-analysis-noise", "rmse_over_sd", float(np.mean(each)), note=note)


def tep_rows(quick: bool, ours: Mapping[str, Seeded], seeds: int) -> list[Row]:
    task = tep_task(quick)
    # A day of three-minute rows is as long as half a run: seasonal baselines see nothing of a season.
    left_out = ("seasonal naive", "climatology", *(("boosting", "boosting + tracking") if quick else ()))
    few = {n: m for n, m in baselines(quick).items() if n not in left_out}
    table = tables.run(task, few, ours, score, seeds)
    note = "mean over the five analyses of the product, in their sd"
    out = [table.row(f"tep-quality-late{h}", "rmse_over_sd", f"rmse/sd late{h}", note=note) for h in TEP_LATE]
    return [*out, tep_noise_row(quick)]
