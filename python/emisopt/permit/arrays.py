"""Tables to the arrays of the core: stamps to seconds, words to codes; nothing is guessed or mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.errors import DataError, did_you_mean

__all__ = ["PLANT", "STATUS", "Codes", "Floats", "codes", "numbers", "require_words", "seconds", "utc"]

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

# The order is that of PlantState and SampleStatus in csrc/emisopt/permit/samples.hpp.
PLANT = ("off", "on", "startup", "shutdown", "malfunction")
STATUS = ("valid", "calibration", "maintenance", "invalid")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def utc(index: pd.Index[Any], where: str) -> pd.DatetimeIndex:
    stamps = _stamps(index, where)
    return stamps.tz_localize("UTC") if stamps.tz is None else stamps


def _stamps(index: pd.Index[Any], where: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"{where}: expected an index of time stamps (DatetimeIndex), got {index.dtype}")
    return index


def seconds(frame: pd.DataFrame) -> Floats | _core.SteadyTime:
    """UTC seconds of the rows, (N,) or, where they come at a steady pace of whole seconds, that pace."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"data: expected a pandas DataFrame, got {type(frame).__name__}")
    index = _stamps(frame.index, "data")
    if (pace := _pace(index)) is not None:
        return pace
    ticks, per_second = np.ascontiguousarray(index.asi8), _PER_SECOND[index.unit]  # of a naive one: UTC
    steady = _core.SteadyTime.of(ticks, per_second)
    if steady is not None:
        return steady
    if index.hasnans:
        raise DataError(
            f"data: row {int(np.argmax(np.asarray(index.isna())))}: expected a time stamp, got NaT"
        )
    return np.asarray(ticks / per_second, dtype=np.float64)


def _pace(index: pd.DatetimeIndex) -> _core.SteadyTime | None:
    """What pandas itself says of a range that it has made or looked through: nobody need do so again."""
    freq = index.freq
    if not isinstance(freq, pd.offsets.Hour | pd.offsets.Minute | pd.offsets.Second) or len(index) < 3:
        return None
    ticks = index.asi8
    first, second, last = int(ticks[0]), int(ticks[1]), int(ticks[-1])
    return _core.SteadyTime.between(first, second, last, len(index), _PER_SECOND[index.unit])


def numbers(frame: pd.DataFrame, names: Sequence[str]) -> list[Floats]:
    """The named columns, each (N,) float64 and contiguous, NaN = missing; no copy where they are already."""
    whole = _block(frame)
    places: dict[str, list[int]] = {}
    for place, heading in enumerate(frame.columns.tolist()):  # a list: Arrow's cells come one by one
        places.setdefault(str(heading), []).append(place)
    out = []
    for name in names:
        found = places.get(name, [])
        if len(found) != 1:
            problem = "stands more than once" if found else f"is missing{did_you_mean(name, places)}"
            raise DataError(f"data: column {name!r} {problem}")
        if whole is not None:
            out.append(np.ascontiguousarray(whole[:, found[0]]))
            continue
        column = frame.iloc[:, found[0]]
        if not _real(column.dtype):
            _refuse_cell(column, name)
            raise DataError(f"data: column {name!r}: expected numbers, got {column.dtype}")
        out.append(np.ascontiguousarray(column.to_numpy(dtype=np.float64, na_value=np.nan)))
    return out


def _block(frame: pd.DataFrame) -> Floats | None:
    """The table as (N, columns) float64 without a copy, where pandas keeps it so; else None. Ten columns one
    by one cost as much as a tenth of a year's judgement; whether there is one block, only `_mgr` knows."""
    if not getattr(getattr(frame, "_mgr", None), "is_single_block", False):
        return None
    whole = frame.to_numpy()
    return whole if whole.dtype == np.float64 else None


def _real(dtype: object) -> bool:
    types = pd.api.types
    return types.is_numeric_dtype(dtype) and not (types.is_bool_dtype(dtype) or types.is_complex_dtype(dtype))


def _refuse_cell(column: pd.Series, name: str) -> None:
    """Of a column of mixed cells, as a text in a file makes one, names the first that is no number."""
    if not (column.dtype == object or pd.api.types.is_string_dtype(column.dtype)):
        return
    for row, cell in enumerate(column):
        if not isinstance(cell, bool) and pd.api.types.is_number(cell):
            continue
        if pd.api.types.is_scalar(cell) and pd.isna(cell):
            continue
        if isinstance(cell, str) and pd.notna(pd.to_numeric(cell, errors="coerce")):
            continue  # a number that its neighbours have made a text
        time = pd.Timestamp(utc(column.index, "data")[row]).tz_convert("UTC")
        at = f"row {row} ({time:%Y-%m-%d %H:%M:%S} UTC)"
        raise DataError(f"data: column {name!r}, {at}: expected a number, got {cell!r}")


def codes(frame: pd.DataFrame, what: object, words: Sequence[str], where: str) -> Codes:
    """Words, their numbers or booleans as the core's codes (N,); `what` may be a column's name."""
    if isinstance(what, str):
        if what not in frame.columns:
            near = did_you_mean(what, [str(c) for c in frame.columns])
            raise DataError(f"{where}: no column {what!r}{near}")
        what = frame[what]
    plain = what.to_numpy() if isinstance(what, pd.Series) else what
    if isinstance(plain, np.ndarray) and plain.dtype == np.uint8 and plain.shape == (len(frame),):
        return np.ascontiguousarray(plain)  # the core looks at them
    values = what if isinstance(what, pd.Series) else pd.Series(np.asarray(what))
    if len(values) != len(frame):
        raise DataError(f"{where}: expected {len(frame)} values, one per row, got {len(values)}")
    found = _places(values, words)
    require_words(found, values, words, where)
    return np.ascontiguousarray(found, dtype=np.uint8)


def require_words(found: NDArray[Any], values: Any, words: Sequence[str], where: str) -> None:
    """Refuses places that are none in `words`, with the value as it was given."""
    if found.size and (found.min() < 0 or found.max() >= len(words)):
        row = int(np.argmax((found < 0) | (found >= len(words))))
        got = values.iloc[row] if isinstance(values, pd.Series) else values[row]
        raise DataError(f"{where}, row {row}: expected one of {', '.join(words)}, got {got!r}")


def _places(values: pd.Series, words: Sequence[str]) -> NDArray[Any]:
    """Each value's place in `words`; something outside them for what is none."""
    if pd.api.types.is_bool_dtype(values.dtype):
        good, bad = (1, 0) if words is PLANT else (0, len(words) - 1)
        return np.where(values.isna(), -1, np.where(values.fillna(False).to_numpy(dtype=bool), good, bad))
    if pd.api.types.is_numeric_dtype(values.dtype):
        plain = values.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = np.isin(plain, np.arange(len(words)))
        return np.where(whole, plain, -1).astype(np.int64)
    # Few words stand in many rows: each is looked up once. factorize() gives -1 for a missing one.
    place, unique = pd.factorize(values)
    known = [words.index(word) if word in words else -1 for word in unique]
    return np.asarray(np.array([*known, -1])[place])
