"""Forecasts that learn nothing or only how spread things are: last value, seasonal naive, climatology."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.forecasting.task import Floats, Ints, Task

Point = Callable[[Ints], Floats]  # origins -> (n, H, O)
CALIBRATION = 600  # origins at most whose residuals set an interval


def residual_levels(task: Task, point: Point) -> Floats:
    """(H, O, Q): quantiles of truth - point on origins of the validation rows, 0 at the median.

    `point` must not have learnt from those rows.
    """
    begin = task.train_rows if task.validation_rows else int(task.fit_rows * 0.85)
    origins = np.arange(begin, task.fit_rows - max(task.steps) + 1)
    origins = origins[:: max(1, len(origins) // CALIBRATION)]
    with np.errstate(invalid="ignore"):
        residual = task.target(origins) - point(origins)
    known = np.isfinite(residual).any(axis=0)
    out = np.moveaxis(np.nanquantile(np.where(known, residual, 0.0), task.levels, axis=0), 0, -1)
    out[..., task.median] = 0.0
    return np.asarray(np.sort(out, axis=-1))


def with_levels(task: Task, point: Point, spread: Floats) -> Floats:
    """(n, H, O, Q)"""
    return np.asarray(point(task.origins)[..., None] + spread)


def row_time(task: Task, rows: Ints) -> Floats:
    """Local seconds of rows, also beyond the history; rows without stamps count hours from a Monday."""
    time = task.table.time
    if time is None:
        return rows * 3600.0 + 4 * 86400.0
    start = float(time[0]) + 3600.0 * task.utc_offset
    return np.asarray(start + rows * task.table.period)


def is_weekend(task: Task, rows: Ints) -> np.ndarray:
    if task.table.time is None:
        return np.zeros(rows.shape, dtype=bool)
    # A stamp closes or opens its row; a second inside keeps midnight on the day that begins.
    return np.asarray(((row_time(task, rows) / 86400.0 + 3.0) % 7.0) >= 5.0)  # 0: Monday


@dataclass(frozen=True)
class LastValue:
    """The newest known value."""

    def __call__(self, task: Task) -> Floats:
        return with_levels(task, self.point(task), residual_levels(task, self.point(task)))

    def point(self, task: Task) -> Point:
        def of(origins: Ints) -> Floats:
            last, _ = task.table.last_known(origins, task.table.outputs, 10 * task.season)
            return np.repeat(last[:, None, :], len(task.steps), axis=1)

        return of


@dataclass(frozen=True)
class SeasonalNaive:
    """The value one season before, or the newest season that is known; a missing one is the last value known.

    For a window of several days fev-bench's seasonal naive repeats the last day; so does this one.
    """

    seasons: int = 1  # 7: the day of the week before

    def __call__(self, task: Task) -> Floats:
        return with_levels(task, self.point(task), residual_levels(task, self.point(task)))

    def point(self, task: Task) -> Point:
        table, season = task.table, task.season * self.seasons
        # Rows missing on the way are carried forward, as the reference implementation does.
        filled = np.array(task.values)
        for r in range(1, len(filled)):
            if not table.gap[r]:
                filled[r] = np.where(np.isfinite(filled[r]), filled[r], filled[r - 1])

        def of(origins: Ints) -> Floats:
            steps = []
            for h in task.steps:
                row = origins + h - 1 - season * -(-h // season)
                start = table.run_start[origins - 1]
                inside = row >= start
                value = np.where(inside[:, None], filled[np.where(inside, row, 0)], np.nan)
                steps.append(np.where(np.isfinite(value), value, filled[origins - 1]))
            return np.stack(steps, axis=1)

        return of


class SlotQuantiles:
    """Quantiles of the same time of day over the last days, weekdays and weekends apart, for any origin.

    Row r holds, for each kind of day, the quantiles over rows r, r - season, ..., so an origin looks up the
    newest known row of the target's time of day: all origins of a year cost one sort.
    """

    def __init__(self, task: Task, levels: tuple[float, ...], days: int = 28) -> None:
        self.task, self.season = task, task.season
        n = len(task.values)
        rows = np.arange(n)[:, None] - self.season * np.arange(days)[None, :]  # (N, days)
        inside = rows >= 0
        back = task.values[np.where(inside, rows, 0)]  # (N, days, O)
        back[~inside] = np.nan
        weekend = is_weekend(task, rows)
        self.quantiles = np.stack(
            [
                _sorted_quantiles(np.where((weekend == kind)[..., None], back, np.nan), levels)
                for kind in (False, True)
            ],
            axis=1,
        )  # (N, 2, O, Q)
        either = _sorted_quantiles(back, levels)[:, None]
        self.quantiles = np.where(np.isfinite(self.quantiles), self.quantiles, either)
        # A slot without any value takes the newest row's that has one.
        flat = self.quantiles.reshape(n, -1)
        known = np.maximum.accumulate(np.where(np.isfinite(flat), np.arange(n)[:, None], -1), axis=0)
        flat[:] = np.where(known >= 0, np.take_along_axis(flat, np.maximum(known, 0), axis=0), np.nan)

    def __call__(self, origins: Ints, h: int) -> Floats:
        """(n, O, Q) for the rows origins + h - 1; reads rows < origin only."""
        target = origins + h - 1
        row = target - self.season * -(-h // self.season)
        row = np.where(row >= 0, row, origins - 1)
        return np.asarray(self.quantiles[row, is_weekend(self.task, target).astype(int)])


def _sorted_quantiles(x: Floats, levels: tuple[float, ...]) -> Floats:
    """(N, O, Q) of x (N, days, O) by linear interpolation, NaN left out; NaN where nothing is known."""
    ordered = np.sort(x, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)  # (N, O)
    out = np.full((*count.shape, len(levels)), np.nan)
    for i, q in enumerate(levels):
        at = q * np.maximum(count - 1, 0)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        a = np.take_along_axis(ordered, low[:, None, :], axis=1)[:, 0]
        b = np.take_along_axis(ordered, high[:, None, :], axis=1)[:, 0]
        out[..., i] = np.where(count > 0, a + (at - low) * (b - a), np.nan)
    return out


@dataclass(frozen=True)
class Climatology:
    """Quantiles of the same hour over the last 28 days, weekdays and weekends apart. No training."""

    days: int = 28

    def __call__(self, task: Task) -> Floats:
        slots = SlotQuantiles(task, task.levels, self.days)
        return np.stack([slots(task.origins, h) for h in task.steps], axis=1)
