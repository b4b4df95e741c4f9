"""Historians' files to tables, and tables to the arrays of the core.

A table's index is its clock. Rows with time stamps carry a `DatetimeIndex` in UTC; rows without carry whole
numbers, where a step other than one says that the row does not follow the one before: so gaps survive
slicing, filtering and saving, and there is no second list of them to lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt._columns import FileColumns, read_columns
from emisopt.errors import DataError, did_you_mean
from emisopt.tags import Tag, TagMap, load_tagmap

__all__ = ["Arrays", "gap_flags", "read_history", "to_arrays"]

Floats = NDArray[np.float64]
Paths = str | Path | Iterable[str | Path]

PERIOD_TOLERANCE = 0.02  # share of the period, as in csrc/emisopt/data/history.hpp


def read_history(
    paths: Paths, tags: TagMap | str | Path, *, use: Literal["training", "live"] = "training"
) -> pd.DataFrame:
    """Reads one or several files of a historian into one table.

    Parameters
    ----------
    paths : CSV or Parquet files. Files with time stamps are put in order of their first stamp; others are
        taken in the order given, and no row follows another across two of them
    tags : tag map, or what `load_tagmap` takes
    use : "training" refuses tags without any value and outputs that never change; "live" lets them pass,
        since an analyser may fail during operation

    Returns
    -------
    DataFrame of shape (N, tags), float64, in the tags' order and units; NaN: missing, a missing code, or
    outside the physical range. Categories are their index. Index: DatetimeIndex in UTC named "time", or whole
    numbers named "row" (see `gap_flags`). `attrs["put_aside"]`: tag -> number of values outside its range.

    Raises
    ------
    MissingFileError, DataError : what is wrong with a file or its values.   ConfigError : with the tag map.
    The table in docs/data.md lists every line.

    Examples
    --------
    >>> import tempfile
    >>> tags = TagMap((Tag("load", "MW"), Tag("NOX", "mg/m3", "emission", low=0)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "plant.csv")
    ...     _ = file.write_text("NOX,load\\n51.5,100\\n,101\\n52.5,102\\n")
    ...     frame = read_history(file, tags)
    >>> frame.shape, frame["NOX"].tolist()
    ((3, 2), [51.5, nan, 52.5])
    """
    tags = load_tagmap(tags)
    files = [read_columns(Path(p), tags) for p in _as_list(paths)]
    if tags.file.time:
        files.sort(key=lambda file: file.stamps[0])
        _check_order(files)
        index: pd.Index[Any] = files[0].stamps
        for file in files[1:]:
            index = index.append(file.stamps)
        index.name = "time"
        _check_period(index, tags)
    else:
        index = _row_numbers(files)
    values = {tag.name: np.concatenate([file.values[tag.name] for file in files]) for tag in tags}
    frame = pd.DataFrame(values, index=index, columns=tags.names)
    frame.attrs["put_aside"] = {tag.name: sum(file.put_aside[tag.name] for file in files) for tag in tags}
    if use == "training":
        where = ", ".join(str(file.path) for file in files[:3]) + (", ..." if len(files) > 3 else "")
        for tag in tags:
            _check_learnable(frame[tag.name], tag, where)
    return frame


@dataclass(frozen=True)
class Arrays:
    """A table as the core takes it (`emisopt._core.make_history`).

    Parameters
    ----------
    values : (N, tags) float64, row-major, NaN = missing; categories as index
    time : (N,) float64, seconds since 1970-01-01 UTC; (0,) for rows without stamps
    gap : (N,) bool; True: this row does not follow the one before
    """

    values: Floats
    time: Floats
    gap: NDArray[np.bool_]


def to_arrays(frame: pd.DataFrame, tags: TagMap, where: str = "history") -> Arrays:
    """The arrays of a table, from `read_history` or made by hand.

    Parameters
    ----------
    frame : DataFrame with a column per tag (others are passed over): numbers in the tags' units, or category
        names for categorical tags. Index: DatetimeIndex (without a zone it is taken as UTC) or whole numbers
    tags : tag map
    where : beginning of messages

    Raises
    ------
    DataError : a column is missing, repeated or holds no numbers; the index says nothing of time; time does
        not rise.

    Examples
    --------
    >>> tags = TagMap((Tag("load", "MW"), Tag("grade", "", kind="categorical", categories=("A", "B"))))
    >>> frame = pd.DataFrame({"grade": ["B", "A"], "load": [100, 101]}, index=[7, 9])
    >>> arrays = to_arrays(frame, tags)
    >>> arrays.values.tolist(), arrays.gap.tolist()
    ([[100.0, 1.0], [101.0, 0.0]], [False, True])
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{where}: expected a pandas DataFrame, got {type(frame).__name__}")
    headings = [str(c) for c in frame.columns]
    values = np.empty((len(frame), len(tags)))
    for i, tag in enumerate(tags):
        if tag.name not in headings:
            raise DataError(f"{where}: column {tag.name!r} is missing{did_you_mean(tag.name, headings)}")
        if headings.count(tag.name) > 1:
            raise DataError(f"{where}: column {tag.name!r} stands {headings.count(tag.name)} times; drop one")
        values[:, i] = _column(frame.iloc[:, headings.index(tag.name)], tag, where)
    gap = gap_flags(frame.index, tags, where)
    time = _seconds(frame.index) if isinstance(frame.index, pd.DatetimeIndex) else np.empty(0)
    return Arrays(values, time, gap)


def gap_flags(index: pd.Index[Any], tags: TagMap, where: str = "history") -> NDArray[np.bool_]:
    """Which rows do not follow the one before, by the index alone.

    Parameters
    ----------
    index : DatetimeIndex: a gap is a step other than one period (to within 2 % of it).
        Whole numbers: a gap is a step other than one
    tags : tag map, for the period
    where : beginning of messages

    Returns
    -------
    (N,) bool; the first is False.

    Raises
    ------
    DataError : another kind of index, time that does not rise, stamps for a map without a period.

    Examples
    --------
    >>> gap_flags(pd.RangeIndex(3), load_tagmap("gas_turbine")).tolist()
    [False, False, False]
    >>> hours = pd.to_datetime(["2004-03-10 18:00", "2004-03-10 19:00", "2004-03-10 21:00"])
    >>> gap_flags(hours, load_tagmap("air_quality")).tolist()
    [False, False, True]
    """
    gap = np.zeros(len(index), dtype=bool)
    if isinstance(index, pd.DatetimeIndex):
        if tags.period == 0:
            raise DataError(f"{where}: rows have time stamps, the tag map's period is 0; set it")
        if index.hasnans:
            row = int(np.argmax(np.asarray(index.isna())))
            raise DataError(f"{where}: row {row}: expected a time stamp, got NaT")
        steps = np.diff(_seconds(index))
        wrong = np.flatnonzero(~(steps > 0))
        if wrong.size:
            row = int(wrong[0]) + 1
            raise DataError(f"{where}: row {row}: {_time_problem(index[row - 1], index[row])}")
        gap[1:] = np.abs(steps - tags.period) > PERIOD_TOLERANCE * tags.period
    elif pd.api.types.is_integer_dtype(index.dtype):
        gap[1:] = np.diff(index.to_numpy(dtype=np.int64)) != 1
    else:
        raise DataError(f"{where}: expected an index of time stamps or whole numbers, got {index.dtype}")
    return gap


def _as_list(paths: Paths) -> list[str | Path]:
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise DataError("read_history: expected at least one file, got none")
    return files


def _row_numbers(files: Sequence[FileColumns]) -> pd.Index[Any]:
    if len(files) == 1 and files[0].rows[-1] + 1 == len(files[0].rows):
        return pd.RangeIndex(len(files[0].rows), name="row")
    numbers, start = [], 0
    for file in files:
        numbers.append(start + file.rows)
        start = int(numbers[-1][-1]) + 2  # the next file's first row does not follow: one number is left out
    return pd.Index(np.concatenate(numbers), name="row")


def _time_problem(before: pd.Timestamp, after: pd.Timestamp) -> str:
    if before == after:
        return f"duplicate time stamp {after}; keep one of the two rows"
    return f"time goes backwards, from {before} to {after}; sort the rows by time"


def _check_order(files: Sequence[FileColumns]) -> None:
    for first, second in pairwise(files):
        last, begin = first.stamps[-1], second.stamps[0]
        if not last < begin:
            raise DataError(
                f"{second.path}: begins at {begin}, before {first.path} ends at {last}; "
                "files must not overlap in time: drop the rows that stand twice"
            )


def _check_period(index: pd.Index[Any], tags: TagMap) -> None:
    steps = np.diff(_seconds(pd.DatetimeIndex(index)))
    if len(steps) < 3:
        return
    usual = float(np.median(steps))
    if abs(usual - tags.period) > PERIOD_TOLERANCE * tags.period:
        raise DataError(
            f"time: rows are usually {usual:g} s apart, the tag map says {tags.period:g} s; set "
            f"period: {usual:g}"
        )


def _seconds(index: pd.DatetimeIndex) -> Floats:
    utc = index if index.tz is None else index.tz_convert("UTC").tz_localize(None)
    return np.asarray(utc.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9, dtype=np.float64)


def _check_learnable(column: pd.Series[float], tag: Tag, where: str) -> None:
    values = column.to_numpy()
    values = values[~np.isnan(values)]
    if values.size == 0 and tag.role != "cost":
        raise DataError(
            f"{where}: tag {tag.name!r} has no value in any of {len(column)} rows; check its column, missing "
            "code, unit and range, or give it the role cost"
        )
    if tag.role in ("emission", "quality") and len(values) > 1 and values.min() == values.max():
        raise DataError(
            f"{where}: output {tag.name!r} is constant ({values[0]:g}) over {values.size} values; a frozen "
            "signal cannot be learnt from"
        )


def _column(column: pd.Series[float], tag: Tag, where: str) -> Floats:
    if tag.kind == "categorical" and not pd.api.types.is_numeric_dtype(column.dtype):
        texts = column.astype(object)
        codes = {name: float(i) for i, name in enumerate(tag.categories)}
        out = np.array([np.nan if pd.isna(t) else codes.get(t, -1.0) for t in texts])
        if (out < 0).any():
            row = int(np.argmax(out < 0))
            text = str(texts.iloc[row])
            raise DataError(
                f"{where}: column {tag.name!r}, row {row}: expected one of its categories, got {text!r}"
                + did_you_mean(text, tag.categories)
            )
        return out
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(f"{where}: column {tag.name!r}: expected numbers, got {column.dtype}")
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
