"""Plain tables to the arrays of the monitors: columns are tags, the index says which rows follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt.errors import DataError, did_you_mean
from emisopt.permit.arrays import STATUS, codes
from emisopt.tags import TagMap

__all__ = ["Floats", "gaps", "numbers", "status_codes"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.uint8]

_TOLERANCE = 0.02  # share of the usual step, as PERIOD_TOLERANCE of emisopt.io


def numbers(frame: object, where: str, names: Sequence[str] | None = None) -> tuple[Floats, list[str]]:
    """A table of numbers as (N, tags) and its columns' names; NaN = missing.

    Parameters
    ----------
    frame : DataFrame, or array (N, tags)
    where : beginning of messages
    names : columns that it must have, which are taken in this order; None: all

    Raises
    ------
    DataError : a column that is missing, stands twice or holds no numbers.
    """
    if not isinstance(frame, pd.DataFrame):
        array = np.asarray(frame)
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise DataError(
                f"{where}: expected a DataFrame or an array (N, tags) of numbers, got {array.dtype} of shape "
                f"{array.shape}"
            )
        if names is not None and array.shape[1] != len(names):
            raise DataError(f"{where}: expected {len(names)} columns, got {array.shape[1]}")
        columns = [str(i) for i in range(array.shape[1])] if names is None else list(names)
        return np.ascontiguousarray(array, dtype=np.float64), columns
    headings = [str(c) for c in frame.columns]
    columns = headings if names is None else list(names)
    out = np.empty((len(frame), len(columns)))
    for i, name in enumerate(columns):
        if name not in headings:
            raise DataError(f"{where}: column {name!r} is missing{did_you_mean(name, headings)}")
        if headings.count(name) > 1:
            raise DataError(f"{where}: column {name!r} stands {headings.count(name)} times; drop one")
        column = frame.iloc[:, headings.index(name)]
        if not pd.api.types.is_numeric_dtype(column.dtype):
            raise DataError(f"{where}: column {name!r}: expected numbers, got {column.dtype}; leave it out")
        out[:, i] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return out, columns


def gaps(frame: object, where: str) -> Flags:
    """(N,) True where a row does not follow the one before: a step of the index other than the usual one.

    Stamps: other than the median step, to within 2 %. Whole numbers: other than 1. Anything else: nowhere.
    """
    index = frame.index if isinstance(frame, pd.DataFrame) else pd.RangeIndex(len(np.asarray(frame)))
    out = np.zeros(len(index), dtype=bool)
    if len(index) < 2:
        return out
    if isinstance(index, pd.DatetimeIndex):
        if index.hasnans:
            row = int(np.argmax(np.asarray(index.isna())))
            raise DataError(f"{where}: row {row}: expected a time stamp, got NaT")
        steps = np.diff(index.to_numpy(dtype="datetime64[ns]").astype(np.int64)).astype(np.float64)
        if (steps <= 0).any():
            row = int(np.argmax(steps <= 0)) + 1
            raise DataError(
                f"{where}: row {row}: time does not rise, from {index[row - 1]} to {index[row]}; "
                "sort the rows"
            )
        usual = float(np.median(steps))
        out[1:] = np.abs(steps - usual) > _TOLERANCE * usual
    elif pd.api.types.is_integer_dtype(index.dtype):
        out[1:] = np.diff(index.to_numpy(dtype=np.int64)) != 1
    return out


def status_codes(frame: pd.DataFrame, tags: TagMap, status: Mapping[str, object] | None, where: str) -> Codes:
    """(N, tags) status of each reading, 0 = valid; (0, 0) when nothing is flagged.

    Parameters
    ----------
    frame, tags : the readings
    status : tag -> a column's name or (N,) values: "valid", "calibration", "maintenance", "invalid", their
        numbers, or booleans (valid); a column of a categorical tag is read by its categories' names

    Raises
    ------
    DataError : an unknown tag, column or word.
    """
    if not status:
        return np.zeros((0, 0), dtype=np.uint8)
    out = np.zeros((len(frame), len(tags)), dtype=np.uint8)
    for name, what in status.items():
        if name not in tags.names:
            raise DataError(f"{where}: status: no tag {name!r}{did_you_mean(name, tags.names)}")
        if isinstance(what, str) and what in tags.names and what in frame.columns:
            tag = tags[what]
            if tag.kind == "categorical" and pd.api.types.is_numeric_dtype(frame[what].dtype):
                words = dict(enumerate(tag.categories))
                what = frame[what].map(words)
        out[:, tags.names.index(name)] = codes(frame, what, STATUS, f"{where}: status of {name!r}")
    return out
