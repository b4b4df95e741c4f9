"""Linear forecasts: ridge on the package's lags and plan, and RLinear on the normalised window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.forecasting.baseline_simple import Point, residual_levels, with_levels
from benchmarks.forecasting.task import Floats, Ints, Task
from emisopt.lags import lag_features

CONTEXT = 96
MOST_ROWS = 25_000  # origins that a ridge learns from


def solve_ridge(x: Floats, y: Floats, penalty: float) -> tuple[Floats, Floats, Floats]:
    """(mean, scale, weights (F + 1, O)) of standardised ridge regression; missing features count as the
    mean."""
    mean = np.nan_to_num(np.nanmean(np.vstack([x, np.zeros((1, x.shape[1]))]), axis=0))
    z = np.where(np.isfinite(x), x - mean, 0.0)
    scale = np.maximum(z.std(axis=0), 1e-9)
    z = np.column_stack([z / scale, np.ones(len(z))])
    gram = z.T @ z
    gram[np.diag_indices(len(gram) - 1)] += penalty
    return mean, scale, np.linalg.solve(gram + 1e-9 * np.eye(len(gram)), z.T @ y)


def apply_ridge(x: Floats, model: tuple[Floats, Floats, Floats]) -> Floats:
    mean, scale, weights = model
    z = np.where(np.isfinite(x), x - mean, 0.0) / scale
    return np.asarray(np.column_stack([z, np.ones(len(z))]) @ weights)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of the change from the last value on our lags and the plan, a model per row ahead."""

    penalty: float = 30.0
    known: bool = True

    def __call__(self, task: Task) -> Floats:
        held_out = self.point(task, task.train_rows if task.validation_rows else int(task.fit_rows * 0.85))
        return with_levels(task, self.point(task, task.fit_rows), residual_levels(task, held_out))

    def point(self, task: Task, rows: int) -> Point:
        table = task.table
        origins = task.fit_origins(rows)
        origins = origins[:: max(1, len(origins) // MOST_ROWS)]
        models = []
        for h in task.steps:
            x = lag_features(table, origins, h, context=CONTEXT, known=self.known)
            last, _ = table.last_known(origins, table.outputs, CONTEXT)
            change = table.target(origins, h) - last
            per_output = []
            for o in range(change.shape[1]):
                valid = np.isfinite(change[:, o])
                per_output.append(solve_ridge(x[valid], change[valid, o : o + 1], self.penalty))
            models.append(per_output)

        def of(at: Ints) -> Floats:
            last, _ = table.last_known(at, table.outputs, 10 * CONTEXT)
            steps = []
            for h, per_output in zip(task.steps, models, strict=True):
                x = lag_features(table, at, h, context=CONTEXT, known=self.known)
                steps.append(last + np.column_stack([apply_ridge(x, m)[:, 0] for m in per_output]))
            return np.stack(steps, axis=1)

        return of


@dataclass(frozen=True)
class RLinear:
    """One linear map from the last rows to all coming ones, of windows whose mean and spread were taken out
    and are put back (Li et al. 2023, with reversible normalisation of Kim et al. 2022); in closed form.

    Parameters
    ----------
    window : rows looked back
    penalty : of the ridge, per 1,000 windows
    shared : one map for all outputs, as the published one; else one per output
    """

    window: int = 336
    penalty: float = 10.0
    shared: bool = True

    def __call__(self, task: Task) -> Floats:
        held_out = self.point(task, task.train_rows if task.validation_rows else int(task.fit_rows * 0.85))
        return with_levels(task, self.point(task, task.fit_rows), residual_levels(task, held_out))

    def point(self, task: Task, rows: int) -> Point:
        horizon = max(task.steps)
        keep = [h - 1 for h in task.steps]
        filled = carried(task)
        # A window that hardly moves must not blow up what follows it.
        least = 0.1 * filled[:rows].std(axis=0) + 1e-9
        origins = np.arange(self.window, rows - horizon + 1)
        origins = origins[task.table.run_start[origins + horizon - 1] <= origins - self.window]
        origins = origins[:: max(1, len(origins) // MOST_ROWS)]
        outputs = range(filled.shape[1])
        maps: list[Floats] = []
        grams, rights = [], []
        for o in outputs:
            x, centre, spread = self._windows(filled[:, o], least[o], origins)
            y = np.stack([task.values[origins + s, o] for s in keep], axis=1)
            valid = np.isfinite(y).all(axis=1)
            x, y = x[valid], ((y - centre[:, None]) / spread[:, None])[valid]
            grams.append(x.T @ x)
            rights.append(x.T @ y)
        for o in outputs:
            gram = sum(grams) if self.shared else grams[o]
            right = sum(rights) if self.shared else rights[o]
            count = max(1.0, float(np.trace(gram)) / self.window)
            maps.append(np.linalg.solve(gram + self.penalty * count / 1000.0 * np.eye(self.window), right))

        def of(at: Ints) -> Floats:
            steps = []
            for o in outputs:
                x, centre, spread = self._windows(filled[:, o], least[o], at)
                steps.append(x @ maps[o] * spread[:, None] + centre[:, None])
            return np.stack(steps, axis=-1)

        return of

    def _windows(self, column: Floats, least: float, origins: Ints) -> tuple[Floats, Floats, Floats]:
        rows = origins[:, None] - self.window + np.arange(self.window)
        x = column[np.maximum(rows, 0)]
        centre = x.mean(axis=1)
        spread = np.maximum(x.std(axis=1), least)
        return (x - centre[:, None]) / spread[:, None], centre, spread


def carried(task: Task) -> Floats:
    """(N, O) outputs, missing ones at the newest value before, or the first known one after."""
    values = np.array(task.values)
    row = np.arange(len(values))[:, None]
    newest = np.maximum.accumulate(np.where(np.isfinite(values), row, -1), axis=0)
    first = np.argmax(np.isfinite(values), axis=0)
    return np.take_along_axis(values, np.where(newest >= 0, newest, first), axis=0)
