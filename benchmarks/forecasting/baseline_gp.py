"""Linear regression and a Gaussian process on its residuals: the recipe of the prototype study, in NumPy.

Independent of the package's corrector (csrc/emisopt/train/corrector.cpp), whose first form it was:
exponential kernels, 600 labels, a fresh factorisation every four rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from benchmarks.forecasting.baseline_simple import is_weekend, row_time
from benchmarks.forecasting.task import Floats, Ints, Task


class Normalised:
    """Operation x (N, F) and outputs z (N, O) in standard deviations of the first rows; skewed outputs in
    log."""

    def __init__(self, task: Task, rows: int) -> None:
        table = task.table
        ahead = list(table.setpoints + table.known)
        columns = []
        for c in ahead:
            column = table.values[:, c]
            if c in table.categorical:
                columns += [
                    (column == v).astype(float) for v in range(len(task.tags[table.names[c]].categories))
                ]
            else:
                columns.append(column)
        lagged = [
            np.concatenate([np.full(lag, np.nan), c[: len(c) - lag]]) for lag in task.lags for c in columns
        ]
        if table.time is not None:
            time = row_time(task, np.arange(table.rows))
            lagged += [f(2 * np.pi * time / 86400.0) for f in (np.sin, np.cos)]
            lagged.append(is_weekend(task, np.arange(table.rows)).astype(float))
        x = np.column_stack(lagged) if lagged else np.zeros((table.rows, 0))
        mean, sd = np.nanmean(x[:rows], axis=0), np.nanstd(x[:rows], axis=0)
        self.x = np.nan_to_num(np.clip((x - mean) / np.maximum(sd, 1e-9), -5, 5))
        y = np.array(task.values)
        self.offset = np.full(y.shape[1], np.nan)
        for o, name in enumerate(task.outputs):
            low, middle, high = np.nanquantile(y[:rows, o], (0.005, 0.5, 0.995))
            if task.tags[name].scale == "log" or (low >= 0 and high - middle > 3 * (middle - low)):
                self.offset[o] = 0.1 * middle
                y[:, o] = np.log(np.maximum(y[:, o], 0) + self.offset[o])
        self.mean, self.sd = np.nanmean(y[:rows], axis=0), np.nanstd(y[:rows], axis=0)
        self.z = (y - self.mean) / self.sd

    def physical(self, z: Floats) -> Floats:
        """z (..., O, Q) back in units."""
        y = z * self.sd[:, None] + self.mean[:, None]
        log = np.isfinite(self.offset)
        return np.where(
            log[:, None], np.exp(np.where(log[:, None], y, 0.0)) - np.nan_to_num(self.offset)[:, None], y
        )


def kernel(dt: Floats, dx: Floats) -> Floats:
    """.3 exp(-dt / 200) * .3 + .3 exp(-dt / 1000) exp(-|dx| / 3) of the study, read as two added terms."""
    return np.asarray(0.3 * np.exp(-dt / 200.0) + 0.3 * np.exp(-dt / 1000.0) * np.exp(-dx / 3.0))


def distances(a: Floats, b: Floats) -> Floats:
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
    return np.sqrt(np.maximum(square, 0.0))


@dataclass(frozen=True)
class LinearGP:
    """Ridge on operation (and the calendar), Gaussian process over operation x time on its residuals.

    Parameters
    ----------
    window : newest labels; noise : variance, in the outputs' variance; refresh : rows between two solutions
    """

    window: int = 600
    noise: float = 0.05
    refresh: int = 4
    penalty: float = 1.0

    def __call__(self, task: Task) -> Floats:
        with threadpool_limits(1):  # matrices of 600 rows: threads would wait for each other
            return self._forecast(task)

    def _forecast(self, task: Task) -> Floats:
        data = Normalised(task, task.fit_rows)
        begin = task.train_rows if task.validation_rows else int(task.fit_rows * 0.85)
        held = np.arange(begin, task.fit_rows - max(task.steps) + 1)
        held = held[:: max(1, len(held) // 300)]
        base = self._line(data, begin)
        mean, variance = self._predict(task, data, base, held, 1)
        truth = np.stack([data.z[held + h - 1] for h in task.steps], axis=1)
        with np.errstate(invalid="ignore"):
            scale = np.sqrt(
                np.nanmedian((truth - mean) ** 2 / variance, axis=0) / norm.ppf(0.75) ** 2
            )  # (H, O)
        base = self._line(data, task.fit_rows)
        mean, variance = self._predict(task, data, base, task.origins, self.refresh)
        z = (
            mean[..., None]
            + norm.ppf(task.levels) * (np.nan_to_num(scale, nan=1.0) * np.sqrt(variance))[..., None]
        )
        return data.physical(z)

    def _line(self, data: Normalised, rows: int) -> Floats:
        x = np.column_stack([np.ones(len(data.x)), data.x])
        penalty = self.penalty * np.eye(x.shape[1])
        penalty[0, 0] = 1e-9
        out = np.empty_like(data.z)
        for o in range(data.z.shape[1]):
            known = np.isfinite(data.z[:rows, o])
            a, b = x[:rows][known], data.z[:rows, o][known]
            out[:, o] = x @ np.linalg.solve(a.T @ a + penalty, a.T @ b)
        return out

    def _predict(
        self, task: Task, data: Normalised, base: Floats, origins: Ints, refresh: int
    ) -> tuple[Floats, Floats]:
        """(n, H, O) mean and variance, normalised; labels of rows < the first origin of each block."""
        residual = data.z - base
        shape = (len(origins), len(task.steps), residual.shape[1])
        mean, variance = np.full(shape, np.nan), np.full(shape, np.nan)
        clock = np.arange(task.table.rows, dtype=float)
        consecutive = len(origins) > 1 and int(np.median(np.diff(origins))) == 1
        block = refresh if consecutive else 1
        steps = np.asarray(task.steps)
        for first in range(0, len(origins), block):
            part = origins[first : first + block]
            rows = (part[:, None] + steps - 1).ravel()
            inside = np.minimum(rows, task.table.rows - 1)
            known = np.isfinite(residual[max(0, part[0] - 4 * self.window) : part[0]])
            offset = max(0, part[0] - 4 * self.window)
            for group in _same(known):
                labels = offset + np.flatnonzero(known[:, group[0]])[-self.window :]
                if labels.size == 0:
                    continue
                dt = np.abs(clock[labels][:, None] - clock[labels])
                cov = kernel(dt, distances(data.x[labels], data.x[labels]))
                cov[np.diag_indices(labels.size)] += self.noise
                factor = cho_factor(cov, lower=True, check_finite=False, overwrite_a=True)
                weights = cho_solve(factor, residual[np.ix_(labels, group)], check_finite=False)
                cross = kernel(
                    np.abs(rows[:, None] - clock[labels]), distances(data.x[inside], data.x[labels])
                )
                half = solve_triangular(factor[0], cross.T, lower=True, check_finite=False)
                left = 0.6 + self.noise - (half * half).sum(axis=0)
                for i, o in enumerate(group):
                    m = base[inside, o] + cross @ weights[:, i]
                    mean[first : first + block, :, o] = m.reshape(len(part), -1)
                    variance[first : first + block, :, o] = left.reshape(len(part), -1)
        return mean, variance


def _same(known: np.ndarray) -> list[list[int]]:
    """Columns that are known in the same rows."""
    groups: list[list[int]] = []
    for o in range(known.shape[1]):
        match = next((g for g in groups if np.array_equal(known[:, g[0]], known[:, o])), None)
        if match is None:
            groups.append([o])
        else:
            match.append(o)
    return groups
