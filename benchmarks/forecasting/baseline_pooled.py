"""Boosting for many rows ahead: one model per output and level, the row ahead being a feature."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.forecasting.baseline_boosting import _fit, booster, track
from benchmarks.forecasting.baseline_linear import carried
from benchmarks.forecasting.baseline_simple import SlotQuantiles, is_weekend, row_time
from benchmarks.forecasting.task import Floats, Ints, Task

SLOT_LEVELS = (0.1, 0.5, 0.9)
DAYS_BACK = (0, 1, 2, 6, 13)  # beyond the newest known day at the target's hour


class Features:
    """What a tabular model sees of (origin, row ahead): time of day, the same hour on days before, its spread
    over 28 days, recent levels, weather then and lately. The target is the change from the 28-day median."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.slots = SlotQuantiles(task, SLOT_LEVELS)
        self.filled = carried(task)
        table = task.table
        self.known = [c for c in table.known if c not in table.categorical]
        sums = np.vstack([np.zeros((1, self.filled.shape[1])), self.filled.cumsum(axis=0)])
        self.sums = sums
        weather = np.nan_to_num(table.values[:, self.known])
        self.weather_sums = np.vstack([np.zeros((1, len(self.known))), weather.cumsum(axis=0)])

    def base(self, origins: Ints, h: int) -> Floats:
        """(n, O)"""
        return self.slots(origins, h)[..., 1]

    def __call__(self, origins: Ints, h: int, output: int) -> Floats:
        """(n, F)"""
        task, season = self.task, self.task.season
        target = origins + h - 1
        slot = self.slots(origins, h)[:, output]
        median = slot[:, 1]
        time = row_time(task, target)
        parts = [np.full(origins.size, float(h)), is_weekend(task, target).astype(float),
                 slot[:, 2] - slot[:, 0], median]  # fmt: skip
        parts += [f(2 * np.pi * time / 86400.0) for f in (np.sin, np.cos)]
        column = self.filled[:, output]
        parts.append(column[origins - 1] - median)
        for rows in (6, season, 3 * season, 7 * season):
            first = np.maximum(origins - rows, 0)
            parts.append((self.sums[origins, output] - self.sums[first, output]) / (origins - first) - median)
        newest = target - season * -(-h // season)
        parts += [column[np.maximum(newest - season * d, 0)] - median for d in DAYS_BACK]
        others = [o for o in range(self.filled.shape[1]) if o != output]
        parts += [self.filled[origins - 1, o] - self.base(origins, h)[:, o] for o in others]
        if self.known:
            at = np.minimum(target, task.table.rows - 1)
            then = task.table.values[np.ix_(at, self.known)]
            first = np.maximum(origins - season, 0)
            lately = (self.weather_sums[origins] - self.weather_sums[first]) / (origins - first)[:, None]
            ahead = self.weather_sums[at + 1] - self.weather_sums[origins]
            mean_ahead = ahead / np.maximum(at + 1 - origins, 1)[:, None]
            parts += [*then.T, *(then - lately).T, *(mean_ahead - lately).T]
        return np.column_stack(parts)


@dataclass(frozen=True)
class Pooled:
    """Quantile boosting with the row ahead as a feature.

    Parameters
    ----------
    iterations, leaves, rate : of the boosters
    pairs : (origin, row ahead) pairs that each booster learns from, at most, spread evenly
    squared : the point by squared error instead of the median, for tables of mean squared error
    """

    iterations: int = 200
    leaves: int = 15
    rate: float = 0.05
    pairs: int = 60_000
    squared: bool = False

    def __call__(self, task: Task) -> Floats:
        features = Features(task)
        models = self._fit(task, features, task.fit_rows)
        out = np.empty(task.shape())
        for i, h in enumerate(task.steps):
            base = features.base(task.origins, h)
            for o in range(len(task.outputs)):
                x = features(task.origins, h, o)
                out[:, i, o] = base[:, o, None] + np.column_stack([m.predict(x) for m in models[o]])
        return np.sort(out, axis=-1) if not self.squared else _around(out, task.median)

    def _fit(self, task: Task, features: Features, rows: int) -> list[list[HistGradientBoostingRegressor]]:
        longest = max(task.steps)
        origins = np.arange(
            28 * task.season if rows > 60 * task.season else 7 * task.season, rows - longest + 1
        )
        per_step = max(1, self.pairs // len(task.steps))
        stride = max(1, -(-origins.size // per_step))
        models = []
        for o in range(len(task.outputs)):
            x, y = [], []
            for i, h in enumerate(task.steps):
                at = origins[(i * 7) % stride :: stride]
                x.append(features(at, h, o))
                y.append(task.table.target(at, h)[:, o] - features.base(at, h)[:, o])
            inputs, targets = np.concatenate(x), np.concatenate(y)
            levels = [None if self.squared and q == 0.5 else q for q in task.levels]
            models.append(
                [_fit(booster(q, self.iterations, self.leaves, self.rate), inputs, targets) for q in levels]
            )
        return models


@dataclass(frozen=True)
class PooledTracked:
    """:class:`Pooled`, shifted by the weighted mean of its newest errors one season ahead, fading ahead.

    Parameters
    ----------
    halflife : seasons over which an error's weight halves;   fade : seasons ahead over which the shift does
    """

    base: Pooled = field(default_factory=Pooled)
    halflife: float = 2.0
    fade: float = 2.0

    def __call__(self, task: Task) -> Floats:
        season = task.season
        warm = int(6 * self.halflife * season)
        first, last = max(season, int(task.origins.min()) - warm), int(task.origins.max())
        every = np.arange(first, last + 1)
        features = Features(task)
        models = self.base._fit(task, features, task.fit_rows)
        error = np.empty((every.size, len(task.outputs)))
        base = features.base(every, season)
        truth = task.table.target(every, season)
        for o in range(len(task.outputs)):
            error[:, o] = (
                truth[:, o] - base[:, o] - models[o][task.median].predict(features(every, season, o))
            )
        shift = track(error, season, self.halflife * season)[task.origins - first]
        forecast = self.base(task)
        fading = 0.5 ** (np.asarray(task.steps) / (self.fade * season))
        return np.asarray(forecast + shift[:, None, :, None] * fading[None, :, None, None])


def _around(forecast: Floats, middle: int) -> Floats:
    """Quantiles kept on their side of the point, which may not be moved by sorting."""
    out = forecast.copy()
    point = forecast[..., middle : middle + 1]
    out[..., :middle] = np.minimum(np.sort(forecast[..., :middle], axis=-1), point)
    out[..., middle + 1 :] = np.maximum(np.sort(forecast[..., middle + 1 :], axis=-1), point)
    return out
