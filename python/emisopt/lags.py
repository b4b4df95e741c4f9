"""The table that baselines learn from: roles of columns, unbroken runs, lagged features without leaks.

An *origin* k is the number of rows that are known: rows 0..k-1 are history, row k + h - 1 is the target at
horizon h. Every feature of origin k is a function of rows before k that lie in the same unbroken run, and,
when future operation is known, of the setpoints and known disturbances (never outputs) of rows k..k + h - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["OUTPUT_LAGS", "Table", "lag_features"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Rows back: dense near now, sparse far away, to the end of the forecaster's usual context.
OUTPUT_LAGS = (2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96)
INPUT_LAGS = (2, 3, 6, 12, 24, 48, 96)
PLAN_LAGS = (1, 2, 3, 4, 6, 9, 12)  # rows before the target, when future operation is known
ANCHOR_TAU = 6.0  # rows; time constant of the exponentially weighted level, as in the forecaster


@dataclass(frozen=True)
class Table:
    """A plant's history as plain arrays, with what each column is for.

    Parameters
    ----------
    values : ndarray of shape (N, C), physical units, NaN = missing; categories as their index
    gap : ndarray of shape (N,), bool; True: this row does not follow the one before
    outputs, setpoints, disturbances : column indexes
    known : the disturbances whose coming values are known (schedule, dispatch)
    categorical : columns that hold categories
    time : ndarray of shape (N,), seconds since 1970 UTC, or None for rows without stamps
    period : seconds between rows; 0 when unknown
    names : C column names, for tables of results
    """

    values: Floats
    gap: NDArray[np.bool_]
    outputs: tuple[int, ...]
    setpoints: tuple[int, ...] = ()
    disturbances: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    categorical: tuple[int, ...] = ()
    time: Floats | None = None
    period: float = 0.0
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        gap = np.asarray(self.gap, dtype=bool)
        if values.ndim != 2:
            raise ValueError(f"Table(values): expected (N, C), got {values.shape}")
        if gap.shape != (values.shape[0],):
            raise ValueError(f"Table(gap): expected (N={values.shape[0]},), got {gap.shape}")
        for role in ("outputs", "setpoints", "disturbances", "known", "categorical"):
            for c in getattr(self, role):
                if not 0 <= c < values.shape[1]:
                    raise ValueError(f"Table({role}): expected columns 0..{values.shape[1] - 1}, got {c}")
        if not self.outputs:
            raise ValueError("Table(outputs): expected at least one column, got none")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "gap", gap)
        if not self.names:
            object.__setattr__(self, "names", tuple(f"c{i}" for i in range(values.shape[1])))

    @property
    def rows(self) -> int:
        return int(self.values.shape[0])

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.setpoints + self.disturbances

    @property
    def run_start(self) -> Ints:
        """(N,) first row of the unbroken run that each row belongs to."""
        rows = np.arange(self.rows)
        return np.maximum.accumulate(np.where(self.gap, rows, 0))

    @property
    def season(self) -> int:
        """Rows in a day; 24 when the rows carry no stamps."""
        return max(1, round(86400.0 / self.period)) if self.period > 0 else 24

    def at(self, rows: ArrayLike, columns: Sequence[int], run: Ints) -> Floats:
        """values[rows, columns] (n, len(columns)); NaN for rows before `run` (n,) or outside the table."""
        r = np.asarray(rows)
        inside = (r >= run) & (r >= 0) & (r < self.rows)
        taken = self.values[np.where(inside, r, 0)][:, list(columns)]
        return np.where(inside[:, None], taken, np.nan)

    def last_known(self, origins: ArrayLike, columns: Sequence[int], context: int) -> tuple[Floats, Floats]:
        """Newest known value before each origin, at most `context` rows old, not across a gap, and its age.

        Returns (n, len(columns)) values, NaN where none is known, and ages in rows (0: the newest row).
        """
        k = np.asarray(origins, dtype=np.int64)
        block = self.values[:, list(columns)]
        row = np.arange(self.rows)[:, None]
        newest = np.maximum.accumulate(np.where(np.isfinite(block), row, -1), axis=0)[k - 1]  # (n, columns)
        oldest = np.maximum(self.run_start[k - 1], k - context)[:, None]
        found = newest >= oldest
        value = np.take_along_axis(block, np.where(found, newest, 0), axis=0)
        return np.where(found, value, np.nan), np.where(found, (k - 1)[:, None] - newest, np.nan)

    def target(self, origins: ArrayLike, horizon: int) -> Floats:
        """Outputs at row origin + horizon - 1: (n, O), NaN when missing, outside, or across a gap."""
        k = np.asarray(origins, dtype=np.int64)
        t = k + horizon - 1
        inside = t < self.rows
        unbroken = inside & (self.run_start[np.where(inside, t, 0)] <= k - 1)
        return np.where(unbroken[:, None], self.at(t, self.outputs, np.zeros_like(k)), np.nan)


def anchors(table: Table, columns: Sequence[int], tau: float = ANCHOR_TAU) -> Floats:
    """(N, len(columns)): exponentially weighted mean of known values up to each row, included, per run."""
    block = table.values[:, list(columns)]
    known = np.isfinite(block)
    filled = np.where(known, block, 0.0)
    keep = float(np.exp(-1.0 / tau))
    level = np.full_like(block, np.nan)
    total = np.zeros(block.shape[1])
    weight = np.zeros(block.shape[1])
    for r in range(table.rows):
        if table.gap[r]:
            total[:] = 0.0
            weight[:] = 0.0
        total = keep * total + filled[r]
        weight = keep * weight + known[r]
        np.divide(total, weight, out=level[r], where=weight > 1e-6)
    return level


def _calendar(table: Table, origins: Ints, horizon: int) -> Floats:
    """Hour of day and day of week of the target row as sine and cosine: (n, 4); (n, 0) without stamps."""
    if table.time is None or table.period <= 0:
        return np.empty((origins.size, 0))
    stamp = table.time[origins - 1] + horizon * table.period
    day, week = stamp / 86400.0, (stamp / 86400.0 + 4.0) / 7.0  # 1970-01-01 was a Thursday
    return np.column_stack([f(2 * np.pi * x) for x in (day, week) for f in (np.sin, np.cos)])


def lag_features(table: Table, origins: ArrayLike, horizon: int, *, context: int, known: bool) -> Floats:
    """What a tabular model sees of origin k for horizon h: (n, features), NaN = missing.

    Last known values and ages, differences of lagged rows and of the exponentially weighted level from them,
    the calendar of the target row; with `known`, setpoints and known disturbances on the way to the target.
    """
    k = np.asarray(origins, dtype=np.int64)
    if k.size and (k.min() < 1 or k.max() > table.rows):
        raise ValueError(f"lag_features(origins): expected 1..{table.rows}, got {k.min()}..{k.max()}")
    start = table.run_start[k - 1]
    columns = table.outputs + table.inputs
    last, age = table.last_known(k, columns, context)
    parts = [last, age, anchors(table, columns)[k - 1] - last]
    parts += [
        table.at(k - j, table.outputs, start) - last[:, : len(table.outputs)]
        for j in OUTPUT_LAGS
        if j <= context
    ]
    moving = [c for c in table.inputs if c not in table.categorical]
    moving_last = last[:, [columns.index(c) for c in moving]]
    parts += [table.at(k - j, moving, start) - moving_last for j in INPUT_LAGS if j <= context]
    parts.append(_calendar(table, k, horizon))
    if known:
        ahead = table.setpoints + tuple(c for c in table.disturbances if c in table.known)
        parts += _plan_features(table, k, horizon, start, ahead, last[:, [columns.index(c) for c in ahead]])
    return np.column_stack([p for p in parts if p.shape[1]])


def _plan_features(
    table: Table, origins: Ints, horizon: int, start: Ints, ahead: Sequence[int], last: Floats
) -> list[Floats]:
    """Known operation at the target, its change from the last known row, shortly before it, and its mean."""
    target = origins + horizon - 1
    at_target = table.at(target, ahead, start)
    parts = [at_target, at_target - last]
    parts += [table.at(target - j, ahead, start) - last for j in PLAN_LAGS if j < horizon]
    if horizon > 1:
        path = np.stack([table.at(origins + s, ahead, start) for s in range(horizon)])  # (h, n, ahead)
        count = np.isfinite(path).sum(axis=0)
        mean = np.divide(np.nansum(path, axis=0), count, out=np.full_like(last, np.nan), where=count > 0)
        parts.append(mean - last)
    return parts
