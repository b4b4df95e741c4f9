"""Lagged copies of plant signals for tabular models, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

__all__ = ["WindowMaker"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class WindowMaker(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Beside each row, the values of the rows that were measured some periods earlier.

    A row's past is found by its time stamp, not by its place in the table: rows may come in any order, in
    parts, or one at a time, and a gap is a gap: what was not measured at that time is NaN. Rows seen in `fit`
    stay known, so the first rows after a cut (a fold, the newest row of a stream) have their past.

    Parameters
    ----------
    lags : n: the n newest rows, lags 0 to n - 1; or a sequence of lags in periods, >= 0
    time : where the stamps are. The name or position of a column of numbers (which is not lagged itself);
        "index": the index of a DataFrame; "order": nowhere, rows follow one another as they stand, and each
        call starts anew
    period : distance of two rows, in the unit of the stamps (seconds for a DatetimeIndex); None: the median
        distance in `fit`
    tolerance : how far a stamp may lie from its place, in periods, below 0.5

    Attributes
    ----------
    lags_ : ndarray of shape (L,)
    period_ : in the unit of the stamps
    time_ : ndarray of shape (M,), rising stamps of the rows remembered
    memory_ : ndarray of shape (M, C), their values
    n_features_in_, feature_names_in_ : as in scikit-learn

    Notes
    -----
    With stamps, a row's answer depends on that row and on rows measured before it, never on later ones, nor
    on the order of the table. Rows given to `transform` replace remembered ones of the same stamp. Two
    different rows of one stamp in one table contradict each other: as a past, they are missing. With "order"
    the table itself is the series, so a part of it has less past than the whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from emisopt.windows import WindowMaker
    >>> stamps = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 00:05", "2024-01-01 00:20"])
    >>> nox = pd.DataFrame({"nox": [300.0, 310.0, 330.0]}, index=stamps)
    >>> WindowMaker(lags=2, time="index", period=300).set_output(transform="pandas").fit_transform(nox)
                         nox_lag0  nox_lag1
    2024-01-01 00:00:00     300.0       NaN
    2024-01-01 00:05:00     310.0     300.0
    2024-01-01 00:20:00     330.0       NaN
    """

    def __init__(
        self,
        *,
        lags: int | Sequence[int] = 6,
        time: str | int = 0,
        period: float | None = None,
        tolerance: float = 0.1,
    ) -> None:
        self.lags = lags
        self.time = time
        self.period = period
        self.tolerance = tolerance

    def fit(self, X: ArrayLike, y: object = None) -> WindowMaker:
        """Learns the period, and remembers the rows.

        Parameters
        ----------
        X : array or DataFrame of shape (N, C + 1) with the stamps in a column, or (N, C); NaN = missing
        y : left out, as in every scikit-learn transformer

        Returns
        -------
        self

        Raises
        ------
        ValueError : unusable parameters, no stamps where they should be, no period to be seen
        """
        self.lags_ = self._check_lags()
        if not 0 <= self.tolerance < 0.5:
            raise ValueError(f"WindowMaker(tolerance): expected 0 <= tolerance < 0.5, got {self.tolerance}")
        x: Floats = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        self._column_ = self._find_column()
        if self._column_ is not None and x.shape[1] == 1:
            raise ValueError(
                "WindowMaker.fit(X): expected a column of stamps and a signal or more, got 1 feature(s); for "
                'stamps in the index or none at all, say time="index" or time="order"'
            )
        time, values = self._split(X, x)
        self.period_ = self._check_period(time)
        self.time_, self.memory_ = _remember(time, values)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """(N, C) or (N, C + 1) as in `fit` -> (N, C * L): all columns at the first lag, then at the next.

        Raises
        ------
        NotFittedError : before `fit`.   ValueError : other columns than in `fit`, no stamps in the index
        """
        check_is_fitted(self)
        x: Floats = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        time, values = self._split(X, x)
        known, past = _remember(time, values)
        if self.time != "order":
            kept = ~np.isin(self.time_, known)
            known, past = np.r_[self.time_[kept], known], np.vstack([self.memory_[kept], past])
            order = np.argsort(known)
            known, past = known[order], past[order]
        parts = []
        for lag in self.lags_:
            if lag == 0:
                parts.append(values)  # a row is its own newest row, whatever else bears its stamp
                continue
            place = _nearest(known, time - lag * self.period_, self.tolerance * self.period_)
            parts.append(np.where((place >= 0)[:, None], past[place], np.nan))
        return np.hstack(parts)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of the (C * L,) columns that `transform` makes: the signal's name, `_lag` and the lag."""
        check_is_fitted(self)
        names = list(_check_feature_names_in(self, input_features))
        if self._column_ is not None:
            names.pop(self._column_)
        return np.array([f"{name}_lag{lag}" for lag in self.lags_ for name in names], dtype=object)

    # ---- checks -------------------------------------------------------------------------------------

    def _check_lags(self) -> Ints:
        lags = np.arange(int(self.lags)) if isinstance(self.lags, Integral) else np.asarray(self.lags)
        if lags.ndim != 1 or lags.size == 0 or lags.dtype.kind not in "iu" or lags.min() < 0:
            raise ValueError(
                "WindowMaker(lags): expected a number of rows >= 1 or a sequence of lags >= 0 (a lag below 0 "
                f"is the future), got {self.lags!r}"
            )
        if len(np.unique(lags)) != lags.size:
            raise ValueError(f"WindowMaker(lags): expected each lag once, got {self.lags!r}")
        return lags.astype(np.int64)

    def _find_column(self) -> int | None:
        """Position of the column with the stamps, None: they are not in a column."""
        names = list(getattr(self, "feature_names_in_", ()))
        if isinstance(self.time, str):
            if self.time in names:
                return names.index(self.time)
            if self.time in ("index", "order"):
                return None
        elif 0 <= self.time < self.n_features_in_:
            return int(self.time)
        known = ", ".join(names) if names else f"the {self.n_features_in_} feature(s)"
        raise ValueError(
            f"WindowMaker(time): expected 'index', 'order' or a column among {known}, got {self.time!r}"
        )

    def _split(self, X: ArrayLike, x: Floats) -> tuple[Floats, Floats]:
        """Stamps (N,) and signals (N, C)."""
        if self._column_ is not None:
            return x[:, self._column_], np.delete(x, self._column_, axis=1)
        if self.time == "order":
            return np.arange(len(x), dtype=np.float64), x
        index = getattr(X, "index", None)
        if isinstance(index, pd.DatetimeIndex):
            since = index.tz_convert(None) if index.tz is not None else index
            seconds = (since - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
            return np.asarray(seconds, dtype=np.float64), x
        if isinstance(index, pd.Index) and pd.api.types.is_numeric_dtype(index):
            return np.asarray(index, dtype=np.float64), x
        raise ValueError(
            "WindowMaker(time='index'): expected a DataFrame with stamps or numbers as its index, got "
            + (type(X).__name__ if index is None else f"an index of {index.dtype}")
        )

    def _check_period(self, time: Floats) -> float:
        if self.period is not None:
            if not (np.isfinite(self.period) and self.period > 0):
                raise ValueError(f"WindowMaker(period): expected a positive number, got {self.period}")
            return float(self.period)
        if self.time == "order":
            return 1.0
        steps = np.diff(np.unique(time[np.isfinite(time)]))
        if steps.size == 0:
            raise ValueError(
                "WindowMaker.fit(X): expected rows of different times to see their period, got one stamp, "
                f"n_samples={len(time)}; give `period`"
            )
        period = float(np.median(steps))
        near = float((np.abs(steps - period) <= 2 * self.tolerance * period).mean())
        if near < 0.5:
            warnings.warn(
                f"WindowMaker: only {near:.0%} of the rows are one period of {period:g} apart, so most have "
                f"no neighbour; is {self.time!r} where the stamps are? Else give `period`",
                stacklevel=3,
            )
        return period

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _remember(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Rows by rising stamp, each stamp once; rows that contradict each other at one stamp become NaN."""
    known = np.isfinite(time)
    time, values = time[known], values[known]
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    first = np.flatnonzero(np.r_[True, time[1:] != time[:-1]][: len(time)])
    group = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(time)]))
    merged = values[first]
    differs = ~((values == merged[group]) | (np.isnan(values) & np.isnan(merged[group])))
    merged[np.unique(group[differs.any(axis=1)])] = np.nan
    return time[first], merged


def _nearest(known: Floats, wanted: Floats, reach: float) -> Ints:
    """Position in `known` (rising) of the stamp next to each wanted one; -1: none within reach."""
    if known.size == 0:
        return np.full(wanted.shape, -1, dtype=np.int64)
    right = np.searchsorted(known, wanted).clip(0, known.size - 1)
    left = (right - 1).clip(0)
    with np.errstate(invalid="ignore"):
        place = np.where(np.abs(known[left] - wanted) <= np.abs(known[right] - wanted), left, right)
        found = np.abs(known[place] - wanted) <= reach
    return np.where(found, place, -1).astype(np.int64)
