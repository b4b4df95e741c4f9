"""Columns of any kind into the core's arrays, and the answer back in the caller's kind.

A Series keeps its index and gets its unit in brackets after its name; a DataFrame does so per column; arrays
stay arrays and numbers numbers. Two Series of one call must share their index: nothing is aligned silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt._core import InputError, ShapeError

__all__ = [
    "NONE",
    "Floats",
    "Values",
    "by_column",
    "check_unit",
    "column",
    "named",
    "rebuild",
    "times",
    "vector",
]

Floats = NDArray[np.float64]
Values = TypeVar("Values")  # a number, an array (n,), a Series or a DataFrame: the answer is of the same kind
NONE: Floats = np.empty(0)
_UNIT = re.compile(r"^(.*\S)\s*\[([^\[\]]*)\]$")


def vector(values: object, where: str) -> Floats:
    """(n,) float64, contiguous; a number becomes (1,).

    Raises
    ------
    InputError : text or other things that are no numbers.   ShapeError : more than one dimension
    """
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: expected numbers, got {type(values).__name__} ({error})") from None
    if array.ndim > 1:
        raise ShapeError(f"{where}: expected (n,), got {array.shape}")
    return np.atleast_1d(array)


def column(values: object, like: object, where: str) -> Floats:
    """One input beside `like`: (n,), (1,) for a number that holds for all rows, (0,) for None.

    Raises
    ------
    InputError : a Series whose index is not that of `like`.   ShapeError : another number of rows
    """
    if values is None:
        return NONE
    if isinstance(values, (pd.Series, pd.DataFrame)) and isinstance(like, (pd.Series, pd.DataFrame)):
        if not values.index.equals(like.index):
            raise InputError(
                f"{where}: expected the index of the values, got another one; reindex it first, so that "
                "every row meets its own"
            )
    out, shape = vector(values, where), np.shape(cast(ArrayLike, like))
    rows = shape[0] if shape else 1
    if out.size not in (1, rows):
        raise ShapeError(f"{where}: expected (n={rows},) or one value, got ({out.size},)")
    return out


def times(values: object) -> Floats:
    """(n,) seconds since 1970 UTC where the index has stamps with a time zone, else (0,)."""
    index = getattr(values, "index", None)
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        return NONE
    return np.asarray(index.as_unit("us").asi8 / 1e6, dtype=np.float64)


def split_unit(name: object) -> tuple[str, str]:
    """ "nox [ppm]" into ("nox", "ppm"); no unit: ("nox", "").

    Examples
    --------
    >>> split_unit("nox [ppm, wet]"), split_unit("nox")
    (('nox', 'ppm, wet'), ('nox', ''))
    """
    text = "" if name is None else str(name)
    match = _UNIT.match(text)
    return (match.group(1), match.group(2)) if match else (text, "")


def named(name: object, unit: str, default: str) -> str:
    """The name with another unit: "nox [ppm]" -> "nox [mg/m3, 0 degC, dry]"."""
    return f"{split_unit(name)[0] or default} [{unit}]"


def check_unit(name: object, expected: str, where: str) -> None:
    """Refuses a column whose name says another unit than the call does.

    Raises
    ------
    InputError : "nox [mg/m3]" handed in as ppm
    """
    _, unit = split_unit(name)
    if not unit:
        return
    # A bare unit is compared with the unit alone, a whole basis ("ppm, dry") with the whole basis.
    same = unit == expected if "," in unit else unit == expected.split(",")[0]
    if not same:
        raise InputError(f"{where}: column {str(name)!r}: expected {expected}, its name says {unit}")


def rebuild(out: Floats, like: object, name: str) -> object:
    """`out` (n,) as a number, an array or a Series, as `like` was."""
    if isinstance(like, pd.Series):
        return pd.Series(out, index=like.index, name=name)
    return float(out[0]) if np.ndim(cast(ArrayLike, like)) == 0 else out


def by_column(
    values: object,
    source: str,
    target: str,
    default: str,
    where: str,
    call: Callable[[Floats, str, Floats], Floats],
) -> object:
    """call(array (n,), tag, times) for a number, an array, a Series, or each column of a DataFrame.

    source, target : units (or bases) before and after, for the names
    default : name of a Series that has none
    """
    if isinstance(values, pd.DataFrame):
        parts = [
            by_column(values.iloc[:, i], source, target, default, where, call) for i in range(values.shape[1])
        ]
        return pd.concat(parts, axis=1) if parts else values.copy()
    name: object = None
    if isinstance(values, pd.Series):
        name = values.name
        check_unit(name, source, where)
    tag = split_unit(name)[0]
    return rebuild(call(vector(values, where), tag, times(values)), values, named(name, target, default))
