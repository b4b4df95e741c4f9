"""DataFrames into what the core reads: histories, plans, known disturbances; and the labels of coming rows.

A table is as :mod:`emisopt.io` reads it: a column per tag, the index its clock. What is checked here beyond
that is what a forecast needs: stamps where the tag map has a period, a plan inside its setpoints' ranges.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.io import to_arrays
from emisopt.lags import Table
from emisopt.tags import TagMap

__all__ = [
    "coming_index",
    "core_tags",
    "future_index",
    "future_plan",
    "held_disturbances",
    "history_frame",
    "known_array",
    "plan_array",
    "to_history",
    "to_table",
    "warn_of_columns_outside",
]

Floats = NDArray[np.float64]


def core_tags(tags: TagMap) -> _core.TagMap:
    """The tag map as the core holds it."""
    return _core.TagMap.from_json(tags.to_json())


def to_history(
    frame: pd.DataFrame, tags: TagMap, *, live: bool = False, where: str = "history"
) -> _core.History:
    """Checks a table against a tag map and makes the history that the core reads.

    Parameters
    ----------
    frame : DataFrame (N, tags) as :func:`emisopt.read_history` returns it; other columns are left out
    tags : the tag map
    live : True for rows to forecast from: an output may then be missing or constant, infinities are missing
    where : beginning of error messages

    Raises
    ------
    DataError : a column is missing, stands twice or holds text; the index says nothing of time; time does not
        rise.   InputError : an output without values, a number that is infinite.
    """
    arrays = to_arrays(frame, tags, where)
    if tags.period > 0 and not isinstance(frame.index, pd.DatetimeIndex):
        raise _core.InputError(
            f"{where}: the tag map has a period of {tags.period:g} s, so each row needs a stamp: expected a "
            f"DatetimeIndex, got {type(frame.index).__name__}"
        )
    return _core.make_history(core_tags(tags), arrays.values, arrays.time, arrays.gap, live)


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


def history_frame(history: _core.History) -> pd.DataFrame:
    """A core history as a table: stamps in UTC as index, categories as text."""
    frame = pd.DataFrame(np.array(history.values), columns=history.tags.names)
    for tag in history.tags.tags:
        if tag.kind == "categorical":
            codes = frame[tag.name].fillna(-1).astype(int)
            frame[tag.name] = pd.Categorical.from_codes(
                codes.to_list(), dtype=pd.CategoricalDtype(tag.categories)
            )
    if history.time.size:
        milliseconds = np.rint(history.time * 1e3).astype(np.int64)
        frame.index = pd.DatetimeIndex(pd.to_datetime(milliseconds, unit="ms", utc=True), name="time")
    else:
        frame.index = pd.Index(np.cumsum(np.where(history.gap, 2, 1)) - 1, name="row")
    return frame


def future_index(frame: pd.DataFrame, period: float, horizon: int) -> pd.Index:
    """Labels of the next `horizon` rows: stamps after the last one, else steps 1..H."""
    if isinstance(frame.index, pd.DatetimeIndex) and period > 0:
        step = pd.Timedelta(seconds=period)
        return pd.DatetimeIndex([frame.index[-1] + step * h for h in range(1, horizon + 1)], name="time")
    return pd.RangeIndex(1, horizon + 1, name="step")


def warn_of_columns_outside(frame: pd.DataFrame, history: _core.History, where: str) -> None:
    """A warning for each column whose values all lie outside their tag's range and so count as missing: it is
    in another unit, most likely."""
    unknown = np.asarray(np.isnan(np.asarray(history.values)).all(axis=0))
    for i, tag in enumerate(history.tags.tags):
        if not unknown[i] or tag.kind == "categorical" or tag.name not in frame.columns:
            continue
        read = pd.to_numeric(frame[tag.name], errors="coerce").dropna()
        if len(read):
            warnings.warn(
                f"{where}: column {tag.name!r}: all {len(read)} values of these rows lie outside its range "
                f"and count as missing (the newest: {read.iloc[-1]:g}, expected {_range_text(tag)}); is it "
                f"in another unit than {tag.unit or 'the tag map says'}?",
                stacklevel=4,
            )


def _range_text(tag: _core.Tag) -> str:
    low = "-inf" if tag.low is None or np.isnan(tag.low) else f"{tag.low:g}"
    high = "inf" if tag.high is None or np.isnan(tag.high) else f"{tag.high:g}"
    return f"{low} to {high}"


def coming_index(
    frame: pd.DataFrame, period: float, horizon: int, **tables: pd.DataFrame | ArrayLike | None
) -> pd.Index:
    """`future_index`, which each of the tables (plan, known) must have where it has stamps; without stamps it
    goes by position."""
    index = future_index(frame, period, horizon)
    for where, table in tables.items():
        stamps = getattr(table, "index", None)
        if not isinstance(stamps, pd.DatetimeIndex) or not isinstance(index, pd.DatetimeIndex):
            continue
        if len(stamps) != len(index) or (stamps.tz is None) != (index.tz is None):
            continue  # the number of rows is refused in words of its own
        if not (stamps == index).all():
            raise _core.InputError(
                f"{where}: expected the stamps of the {len(index)} coming rows, {index[0]} to {index[-1]}, "
                f"got {stamps[0]} to {stamps[-1]}; to go by position, give an array"
            )
    return index


def plan_array(plan: pd.DataFrame | ArrayLike, tags: TagMap, horizon: int) -> Floats:
    """A plan as (H, U) in physical units, inside the range of each setpoint.

    A DataFrame is read by column name, an array by position; NaN means that the setpoint is not decided at
    that step. A value beyond the tag's range is refused: no row like it was ever seen.
    """
    names = tags.setpoints
    array = _by_name(plan, names, tags, "plan") if isinstance(plan, pd.DataFrame) else _numbers(plan, "plan")
    if array.shape != (horizon, len(names)):
        raise _core.ShapeError(f"plan: expected (H={horizon}, U={len(names)}), got {array.shape}")
    _require_range(array, names, tags, "plan: setpoint")
    return np.ascontiguousarray(array)


def _require_range(array: Floats, names: Sequence[str], tags: TagMap, where: str) -> None:
    for u, name in enumerate(names):
        tag = tags[name]
        low = -np.inf if tag.low is None else tag.low
        high = np.inf if tag.high is None else tag.high
        outside = (array[:, u] < low) | (array[:, u] > high) | np.isinf(array[:, u])
        if outside.any():
            step = int(np.flatnonzero(outside)[0])
            raise _core.InputError(
                f"{where} {name!r}, step {step + 1}: expected {low:g} to {high:g} {tag.unit}, "
                f"got {array[step, u]:g}"
            )


def known_array(
    known: pd.DataFrame | ArrayLike | None, tags: TagMap, horizon: int, *, bounded: bool = True
) -> Floats:
    """Coming disturbances as (H, D) in physical units, NaN = unknown; None: nothing is known.

    A value beyond its tag's range is refused, as in a plan; not with `bounded` False, for rows held from a
    live history: a loop goes on.
    """
    names = tags.disturbances
    array = np.full((horizon, len(names)), np.nan)
    if known is None:
        return array
    if isinstance(known, pd.DataFrame):
        for column in known.columns:
            if column not in names:
                raise _core.InputError(
                    f"known: column {column!r} is not a disturbance; expected some of {', '.join(names)}"
                )
        if len(known) != horizon:
            raise _core.ShapeError(f"known: expected H={horizon} rows, got {len(known)}")
        given = [n for n in names if n in known.columns]
        if given:
            array[:, [names.index(n) for n in given]] = _by_name(known, given, tags, "known")
        if bounded:
            _require_range(array, names, tags, "known: disturbance")
        return array
    numbers = _numbers(known, "known")
    if numbers.shape != array.shape:
        raise _core.ShapeError(f"known: expected (H={horizon}, D={len(names)}), got {numbers.shape}")
    if bounded:
        _require_range(numbers, names, tags, "known: disturbance")
    return np.ascontiguousarray(numbers)


def future_plan(
    history: _core.History,
    tags: TagMap,
    plan: pd.DataFrame | ArrayLike | None,
    known: pd.DataFrame | ArrayLike | None,
    horizon: int,
) -> tuple[Floats, Floats]:
    """Plan (H, U) and coming disturbances (H, D), physical; setpoints, and disturbances that are known ahead,
    held at their newest value in the history where nothing is given; other disturbances stay unknown."""
    nothing = np.full((horizon, len(tags.setpoints)), np.nan)
    rows = [plan_array(nothing if plan is None else plan, tags, horizon), known_array(known, tags, horizon)]
    values = np.asarray(history.values)
    for array, names in zip(rows, (tags.setpoints, tags.disturbances), strict=True):
        for c, name in enumerate(names):
            if tags[name].role == "disturbance" and not tags[name].known_ahead:
                array[:, c] = np.nan
                continue
            column = values[:, tags.names.index(name)]
            seen = column[np.isfinite(column)]
            if seen.size:
                array[:, c] = np.where(np.isnan(array[:, c]), seen[-1], array[:, c])
    return rows[0], rows[1]


def held_disturbances(frame: pd.DataFrame, tags: TagMap, horizon: int) -> pd.DataFrame:
    """The disturbances known ahead, each at its newest known value for all H steps: nothing changes."""
    names = [n for n in tags.disturbances if tags[n].known_ahead and frame[n].notna().any()]
    newest = {n: [frame[n].dropna().iloc[-1]] * horizon for n in names}
    return pd.DataFrame(newest, index=pd.RangeIndex(horizon), columns=names)


def _by_name(frame: pd.DataFrame, names: Sequence[str], tags: TagMap, where: str) -> Floats:
    rows = frame.set_axis(pd.RangeIndex(len(frame)), axis=0)  # position counts here, not time
    return to_arrays(rows, TagMap(tuple(tags[n] for n in names)), where).values


def _numbers(values: ArrayLike, where: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise _core.ShapeError(f"{where}: expected numbers (float64), got an array of {array.dtype}")
    return array.astype(np.float64)
