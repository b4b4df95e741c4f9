"""What the same time of day brought lately: quantiles of the last four weeks, weekends apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.history import to_history
from emisopt.tags import TagMap

__all__ = ["Climatology"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DAY = 86400.0


@dataclass(frozen=True)
class Climatology:
    """Quantiles of the same time of day over the last days, working days and weekends apart. No training.

    A row ahead is answered by the newest day on which its time of day is known, and the `days` - 1 days
    before it; of these, the ones that are working days, or weekends, as the row is. Where they hold no value
    all days count; where these neither, the newest row whose slot has one.

    Parameters
    ----------
    tags : of histories; its period must divide a day
    days : back
    utc_offset : hours by which the plant's clock is ahead of the stamps, for weekends
    delay : rows by which labels come late; the newest so many rows are not read

    Raises
    ------
    InputError : rows without stamps, a day that is no whole number of rows.

    References
    ----------
    WMO 2017 (WMO-No. 1203), climatological normals; here over weeks, because a plant drifts.

    Examples
    --------
    >>> from emisopt import plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> Climatology(tags).replay(history, 600, 602, leads=(1, 12), quantiles=(0.1, 0.5, 0.9)).shape
    (2, 2, 6, 3)
    """

    tags: TagMap
    days: int = 28
    utc_offset: float = 0.0
    delay: int = 0

    def __post_init__(self) -> None:
        if not rows_in_a_day(self.tags):
            raise _core.InputError(
                f"Climatology(tags): expected a period that divides a day, got {self.tags.period:g} s"
            )
        if self.days < 1:
            raise _core.InputError(f"Climatology(days): expected 1 or more, got {self.days}")
        if self.delay < 0:
            raise _core.InputError(f"Climatology(delay): expected 0 or more rows, got {self.delay}")

    def rows_needed(self, furthest: int) -> int:
        """Rows before an origin that its forecast reads, when it looks up to `furthest` rows ahead."""
        season = rows_in_a_day(self.tags)
        return season * (self.days + 1) + self.delay + furthest

    def replay(
        self,
        history: pd.DataFrame,
        begin: int,
        end: int | None = None,
        *,
        leads: Sequence[int] = (1,),
        stride: int = 1,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    ) -> Floats:
        """What would have been forecast before the rows begin, begin + stride, ... < end (None: N).

        Returns
        -------
        ndarray (origins, leads, O, Q), physical; NaN where nothing was known.
        """
        rows = to_history(history, self.tags, live=True, where="Climatology.replay(history)")
        origins = np.arange(begin, rows.rows if end is None else end, stride)
        if not len(origins) or begin < 1 or origins[-1] > rows.rows:
            raise _core.InputError(
                f"Climatology.replay(begin, end): expected rows within 1..{rows.rows}, got {begin} and {end}"
            )
        return self.at(rows, origins, leads, quantiles)

    def at(
        self, history: _core.History, origins: Ints, leads: Sequence[int], quantiles: Sequence[float]
    ) -> Floats:
        """(n, H, O, Q) before these rows of a history (N stands for the row after its end)."""
        slot = _slots(history)
        places = [history.tags.names.index(n) for n in self.tags.outputs]
        values = np.full((slot[-1] + 1, len(places)), np.nan)  # a row per period, whatever is missing
        values[slot] = np.asarray(history.values)[:, places]
        season = rows_in_a_day(self.tags)
        clock = float(history.time[0]) + 3600.0 * self.utc_offset
        first = slot[origins - 1] + 1  # the row forecast one row ahead
        targets = first[:, None] + np.asarray(leads) - 1
        newest = targets - season * -(-(np.asarray(leads) + self.delay) // season)
        newest = np.maximum(np.where(newest >= 0, newest, first[:, None] - 1 - self.delay), 0)
        weekend = _weekend(clock, targets, self.tags.period)
        known = np.zeros(values.shape, dtype=bool)
        for back in range(min(self.days, -(-len(values) // season))):
            known[season * back :] |= np.isfinite(values[: len(values) - season * back])
        number = np.arange(len(values))[:, None]
        filled = np.maximum.accumulate(np.where(known, number, -1), axis=0)
        out = np.full((*targets.shape, len(places), len(quantiles)), np.nan)
        levels = np.asarray(quantiles, dtype=np.float64)
        for o in range(len(places)):
            row = filled[newest, o].ravel()
            asked = np.flatnonzero(row >= 0)
            for part in np.array_split(asked, max(1, len(asked) // 20_000)):
                back = row[part][:, None] - season * np.arange(self.days)
                past = np.where(back >= 0, values[np.maximum(back, 0), o], np.nan)
                alike = _weekend(clock, back, self.tags.period) == weekend.ravel()[part][:, None]
                own = _quantiles(np.where(alike, past, np.nan), levels)
                said = np.where(np.isfinite(own), own, _quantiles(past, levels))
                out.reshape(-1, len(places), len(levels))[part, o] = said
        return out


def rows_in_a_day(tags: TagMap) -> int:
    """0 where rows have no stamps, or a day is no whole number of them."""
    rows = round(DAY / tags.period) if tags.period > 0 else 0
    return rows if rows and abs(rows * tags.period - DAY) < 1e-6 * DAY else 0


def _slots(history: _core.History) -> Ints:
    """(N,) numbers of the rows when none were missing."""
    time = np.asarray(history.time)
    slots = np.rint((time - time[0]) / history.tags.period).astype(np.int64)
    if (np.diff(slots) < 1).any():
        row = int(np.flatnonzero(np.diff(slots) < 1)[0]) + 1
        raise _core.InputError(
            f"Climatology: expected rows {history.tags.period:g} s apart, row {row} comes sooner"
        )
    return np.asarray(slots)


def _weekend(clock: float, rows: Ints, period: float) -> NDArray[np.bool_]:
    return np.asarray((((clock + rows * period) / DAY + 3.0) % 7.0) >= 5.0)  # 0: Monday


def _quantiles(past: Floats, levels: Floats) -> Floats:
    """(n, Q) of (n, days) by linear interpolation, NaN left out; NaN where nothing is known."""
    ordered = np.sort(past, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    at = levels * np.maximum(count - 1, 0)[:, None]
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    a, b = np.take_along_axis(ordered, low, axis=1), np.take_along_axis(ordered, high, axis=1)
    return np.where(count[:, None] > 0, a + (at - low) * (b - a), np.nan)
