"""A task: what is known when, what is forecast, what is scored. And the check that nothing leaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.history import to_history, to_table
from emisopt.lags import Table
from emisopt.tags import TagMap

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """A forecasting task on one history.

    Attributes
    ----------
    name : no spaces
    history, tags : N rows and their roles
    key : changes with the data's bytes
    train_rows, validation_rows : settings are chosen with the first and scored on the second; what is scored
        here was fitted on both. Rows after them are the test
    origins : row numbers k at which forecasts are issued; outputs of rows < k are known
    steps : rows ahead h; row k + h - 1 is forecast, with setpoints and known-ahead disturbances of the rows
        up to it given. "Labels 24 rows late" is h = 24
    levels : of the quantiles, with 0.5
    season : rows in a day;   utc_offset : hours of local time, for weekdays
    lags : rows back at which operation matters, for soft sensors
    """

    name: str
    history: pd.DataFrame
    tags: TagMap
    key: str
    train_rows: int
    validation_rows: int
    origins: Ints
    steps: tuple[int, ...]
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    season: int = 24
    utc_offset: float = 0.0
    lags: tuple[int, ...] = (0,)
    cuts: tuple[int, ...] = field(default=())  # first rows of runs that do not follow the one before

    def __post_init__(self) -> None:
        if 0.5 not in self.levels or sorted(self.levels) != list(self.levels):
            raise ValueError(f"Task(levels): expected rising levels with 0.5, got {self.levels}")
        if not (self.origins.size and 1 <= self.origins.min() and self.origins.max() <= len(self.history)):
            raise ValueError(f"Task(origins): expected row numbers 1..{len(self.history)}")
        if self.fit_rows > self.origins.min():
            raise ValueError(
                f"Task: origin {self.origins.min()} lies in the {self.fit_rows} rows for fitting"
            )

    @property
    def fit_rows(self) -> int:
        """Rows before the test."""
        return self.train_rows + self.validation_rows

    @property
    def median(self) -> int:
        return self.levels.index(0.5)

    @cached_property
    def core_history(self) -> _core.History:
        return to_history(self.history, self.tags, live=True, where=self.name)

    @cached_property
    def table(self) -> Table:
        return to_table(self.core_history)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.tags.outputs)

    @cached_property
    def values(self) -> Floats:
        """(N, O) outputs."""
        return np.ascontiguousarray(self.table.values[:, list(self.table.outputs)])

    @cached_property
    def truth(self) -> Floats:
        """(origins, steps, O); NaN where missing, beyond the history, or in another run than the origin."""
        return self.target(self.origins)

    def target(self, origins: Ints) -> Floats:
        """(n, steps, O) outputs of the rows that these origins forecast."""
        return np.stack([self.table.target(origins, h) for h in self.steps], axis=1)

    def shape(self) -> tuple[int, int, int, int]:
        return len(self.origins), len(self.steps), len(self.outputs), len(self.levels)

    def on_validation(self, stride: int = 1) -> Task:
        """The same task one part earlier: fitted on the training rows, scored on the validation rows."""
        spacing = int(np.median(np.diff(self.origins))) if len(self.origins) > 1 else 1
        origins = np.arange(self.train_rows, self.fit_rows - max(self.steps) + 1, spacing * stride)
        return replace(
            self,
            name=f"{self.name}-validation",
            validation_rows=0,
            origins=origins,
            history=self.history.iloc[: self.fit_rows],
        )

    def thinned(self, stride: int) -> Task:
        """Every so many origins, for --quick."""
        return replace(self, name=f"{self.name}-every{stride}", origins=self.origins[::stride])

    def fit_origins(self, rows: int, stride: int = 1) -> Ints:
        """Origins all of whose targets lie in the first `rows` rows."""
        return np.arange(max(self.steps), rows - max(self.steps) + 1, stride)


Model = Callable[[Task], Floats]


def checked(forecast: Floats, task: Task, who: str) -> Floats:
    """The forecast, if it has the task's shape and its quantiles do not cross.

    Raises
    ------
    ValueError
    """
    if forecast.shape != task.shape():
        raise ValueError(f"{who} on {task.name}: expected {task.shape()}, got {forecast.shape}")
    steps = np.diff(forecast, axis=-1)
    if (steps < -1e-9 * (1 + np.abs(forecast[..., 1:]))).any():
        raise ValueError(f"{who} on {task.name}: quantiles cross")
    return forecast


def find_leak(model: Model, task: Task, cuts: Sequence[int], seed: int = 0) -> str:
    """Runs a model with noise in all that it may not have read, and compares bits.

    For each cut k, outputs of rows >= k, and disturbances not known ahead, become noise (some missing); all
    that was issued at origins <= k must be as before. Returns "" or what changed.
    """
    before = model(task)
    rng = np.random.default_rng(seed)
    for cut in cuts:
        noisy = task.history.copy()
        hidden = [
            n
            for n in task.tags.names
            if n in task.outputs or (n in task.tags.disturbances and not task.tags[n].known_ahead)
        ]
        for name in hidden:
            column = noisy[name].to_numpy(copy=True)
            spread = np.nanstd(column)
            column[cut:] = np.abs(np.nanmean(column) + spread * rng.standard_normal(len(column) - cut))
            column[cut:][rng.random(len(column) - cut) < 0.1] = np.nan
            noisy[name] = column
        after = model(replace(task, history=noisy))
        issued = task.origins <= cut
        same = (before[issued] == after[issued]) | (np.isnan(before[issued]) & np.isnan(after[issued]))
        if not same.all():
            first = task.origins[issued][np.flatnonzero(~same.all(axis=(1, 2, 3)))[0]]
            return f"noise from row {cut} on changed the forecast issued at origin {first}"
        if issued.all():
            continue
        if np.array_equal(before[~issued], after[~issued], equal_nan=True):
            return f"noise from row {cut} on changed nothing at all: the test proves nothing"
    return ""
