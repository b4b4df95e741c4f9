"""DataFrames into the core's histories and plans, and back: columns by name, time by index, errors by cell.

A history is a DataFrame with one column per tag and one row per period. A DatetimeIndex gives stamps (without a
time zone: UTC); any other index means rows without stamps, where an integer index that jumps marks a gap, so
that files joined by `pandas.concat` are not taken for one unbroken run.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.lags import Table

__all__ = ["future_index", "known_array", "plan_array", "to_history", "to_table"]

Floats = NDArray[np.float64]


def seconds(index: pd.Index) -> Floats:
    """Stamps in seconds since 1970 UTC, (N,); empty for an index that is no DatetimeIndex."""
    if not isinstance(index, pd.DatetimeIndex):
        return np.empty(0)
    utc = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    if utc.hasnans:
        row = int(np.flatnonzero(utc.isna())[0])
        raise _core.InputError(f"history: row {row}: expected a time stamp, got NaT")
    return np.asarray((utc - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1), dtype=np.float64)


def _gaps(index: pd.Index) -> NDArray[np.bool_]:
    """Where an integer index jumps, (N,); empty for other indexes: stamps speak for themselves."""
    if isinstance(index, pd.DatetimeIndex) or not pd.api.types.is_integer_dtype(index.dtype):
        return np.empty(0, dtype=bool)
    return np.diff(index.to_numpy(), prepend=index[0] - 1 if len(index) else 0) != 1


def _column(frame: pd.DataFrame, tag: _core.Tag, where: str) -> Floats:
    """One tag's values (N,) in float64; categories as their index."""
    values = frame[tag.name]
    if isinstance(values, pd.DataFrame):
        raise _core.InputError(f"{where}: column {tag.name!r} stands {values.shape[1]} times; keep one of them")
    if tag.kind == "categorical":
        return _codes(values, tag, where)
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        numbers = pd.to_numeric(values, errors="coerce")
        bad = np.flatnonzero(numbers.isna() & values.notna())
        if bad.size:
            raise _core.InputError(
                f"{where}: column {tag.name!r}, row {bad[0]}: expected a number, got {values.iloc[bad[0]]!r}"
            )
        values = numbers
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _codes(values: pd.Series, tag: _core.Tag, where: str) -> Floats:
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)  # already the index of a category
    code = {name: float(i) for i, name in enumerate(tag.categories)}
    numbers = values.astype(object).map(lambda v: np.nan if pd.isna(v) else code.get(str(v), -1.0))
    bad = np.flatnonzero(numbers.to_numpy(dtype=np.float64) == -1.0)
    if bad.size:
        raise _core.InputError(
            f"{where}: column {tag.name!r}, row {bad[0]}: expected one of {', '.join(tag.categories)}, "
            f"got {values.iloc[bad[0]]!r}"
        )
    return numbers.to_numpy(dtype=np.float64)


def _require_columns(frame: pd.DataFrame, names: Sequence[str], where: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise _core.InputError(f"{where}: expected a DataFrame with the columns of the tag map, got {type(frame)}")
    for name in names:
        if name in frame.columns:
            continue
        near = difflib.get_close_matches(name, [str(c) for c in frame.columns], n=3)
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise _core.InputError(f"{where}: column {name!r} is missing{hint}")


def to_history(frame: pd.DataFrame, tags: _core.TagMap, *, live: bool = False, where: str = "history"
               ) -> _core.History:
    """Checks a DataFrame against a tag map and makes the history that the core reads.

    Parameters
    ----------
    frame : DataFrame with at least the columns of `tags`, physical units, N rows; others are left out
    tags : the tag map
    live : True for data to forecast from: an output may then be missing or constant, unknown categories and
        infinities count as missing
    where : name of the argument in error messages

    Raises
    ------
    InputError : a column is missing or stands twice, text in a number, time that does not rise, an output
        without values
    """
    _require_columns(frame, tags.names, where)
    values = np.empty((len(frame), len(tags)))
    for i, tag in enumerate(tags.tags):
        values[:, i] = _column(frame, tag, where)
    if tags.period > 0 and not isinstance(frame.index, pd.DatetimeIndex):
        raise _core.InputError(
            f"{where}: the tag map has a period of {tags.period:g} s, so each row needs a stamp: expected a "
            f"DatetimeIndex, got {type(frame.index).__name__}"
        )
    return _core.make_history(tags, values, seconds(frame.index), _gaps(frame.index), live)


def to_table(history: _core.History) -> Table:
    """The same rows as the plain table that baselines learn from."""
    tags = history.tags
    place = {name: i for i, name in enumerate(tags.names)}
    time = history.time
    return Table(
        values=history.values,
        gap=history.gap,
        outputs=tuple(place[n] for n in tags.outputs),
        setpoints=tuple(place[n] for n in tags.setpoints),
        disturbances=tuple(place[n] for n in tags.disturbances),
        known=tuple(place[n] for n in tags.disturbances if tags[n].known_ahead),
        categorical=tuple(i for i, t in enumerate(tags.tags) if t.kind == "categorical"),
        time=time if time.size else None,
        period=tags.period,
        names=tuple(tags.names),
    )


def future_index(frame: pd.DataFrame, period: float, horizon: int) -> pd.Index:
    """Labels of the next `horizon` rows: stamps after the last one, else steps 1..H."""
    if isinstance(frame.index, pd.DatetimeIndex) and period > 0:
        step = pd.Timedelta(seconds=period)
        return pd.DatetimeIndex([frame.index[-1] + step * h for h in range(1, horizon + 1)], name="time")
    return pd.RangeIndex(1, horizon + 1, name="step")


def plan_array(plan: pd.DataFrame | ArrayLike, tags: _core.TagMap, horizon: int) -> Floats:
    """A plan as (H, U) in physical units, inside the range of each setpoint.

    A DataFrame is read by column name, an array by position; NaN means that the setpoint is not decided at that
    step. A value beyond the tag's range is refused: the model has no business there.
    """
    names = tags.setpoints
    if isinstance(plan, pd.DataFrame):
        _require_columns(plan, names, "plan")
        array = np.column_stack([_column(plan, tags[n], "plan") for n in names])
    else:
        array = _numbers(plan, "plan")
    if array.shape != (horizon, len(names)):
        raise _core.ShapeError(f"plan: expected (H={horizon}, U={len(names)}), got {array.shape}")
    for u, name in enumerate(names):
        tag = tags[name]
        outside = (array[:, u] < tag.low) | (array[:, u] > tag.high) | np.isinf(array[:, u])
        if outside.any():
            step = int(np.flatnonzero(outside)[0])
            raise _core.InputError(
                f"plan: setpoint {name!r}, step {step + 1}: expected {tag.low:g} to {tag.high:g} {tag.unit}, "
                f"got {array[step, u]:g}"
            )
    return np.ascontiguousarray(array)


def known_array(known: pd.DataFrame | ArrayLike | None, tags: _core.TagMap, horizon: int) -> Floats:
    """Coming disturbances as (H, D) in physical units, NaN = unknown; None: nothing is known."""
    names = tags.disturbances
    array = np.full((horizon, len(names)), np.nan)
    if known is None:
        return array
    if isinstance(known, pd.DataFrame):
        unknown = [c for c in known.columns if c not in names]
        if unknown:
            raise _core.InputError(
                f"known: column {unknown[0]!r} is not a disturbance; expected some of {', '.join(names)}"
            )
        if len(known) != horizon:
            raise _core.ShapeError(f"known: expected H={horizon} rows, got {len(known)}")
        for d, name in enumerate(names):
            if name in known.columns:
                array[:, d] = _column(known, tags[name], "known")
        return array
    given = _numbers(known, "known")
    if given.shape != array.shape:
        raise _core.ShapeError(f"known: expected (H={horizon}, D={len(names)}), got {given.shape}")
    return np.ascontiguousarray(given)


def _numbers(values: ArrayLike, where: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise _core.ShapeError(f"{where}: expected numbers (float64), got an array of {array.dtype}")
    return array.astype(np.float64)
