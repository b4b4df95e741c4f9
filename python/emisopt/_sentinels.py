"""Numbers that look like a code for "no value", -9999 say, in columns whose tag map lists no such code.

What is said is a warning: a model learns such a code as a value, and no error of its fit shows it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core

__all__ = ["Sentinel", "is_usual_code", "said_once", "sentinel_in", "warn_of_sentinels"]

Floats = NDArray[np.float64]

MOST_TAGS = 5  # a warning each; more are counted
LEAST_ROWS = 20  # of other values
SPREADS = 50.0  # interquartile ranges between a number that is no usual code and the median
TIMES = 10.0  # and its size, in sizes of the largest other value
_USUAL = (32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0)

_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)


@dataclass(frozen=True)
class Sentinel:
    """A value that stands for none: its count, and the first row that it is in."""

    value: float
    count: int
    row: int


def sentinel_in(column: Floats) -> Sentinel | None:
    """The number of a column that looks like a code: an end of the column, there at least twice, farther from
    its next neighbour than all other values are from each other.

    A usual code (nines from 999 on, the ends of whole numbers of 16 or 32 bits, 1e15 and more) need be no
    more than that. Another number is taken for one only where it is, beside that, 50 interquartile ranges
    from the median, ten times as large as any other value, and either negative, where no other value is, or
    a thousand times as large. So an analyser's full scale, a stopped plant's zeros and setpoints of two
    levels are none.

    Parameters
    ----------
    column : (N,), NaN = missing

    Examples
    --------
    >>> load = np.r_[np.linspace(100, 300, 50), -9999, -9999]
    >>> sentinel_in(load)
    Sentinel(value=-9999.0, count=2, row=50)
    >>> sentinel_in(np.r_[load[:50], 0.0, 0.0])
    """
    known = column[np.isfinite(column)]
    if known.size <= LEAST_ROWS:
        return None
    for value in (known.min(), known.max()):
        rest = known[known != value]
        count = known.size - rest.size
        if count < 2 or rest.size < LEAST_ROWS or not _stands_apart(float(value), rest):
            continue
        return Sentinel(float(value), count, int(np.argmax(column == value)))
    return None


def _stands_apart(value: float, rest: Floats) -> bool:
    low, high = float(rest.min()), float(rest.max())
    gap = low - value if value < low else value - high
    if gap <= high - low:
        return False
    if is_usual_code(value):
        # Of two levels only, 0 and 999 may be a setpoint's; -999 and 9999 hardly.
        return low < high or value < 0 or value >= 9999
    largest = max(abs(low), abs(high))
    quarter, middle, three = np.quantile(rest, [0.25, 0.5, 0.75])
    spread = float(three - quarter)
    return (
        spread > 0
        and abs(value - float(middle)) > SPREADS * spread
        and abs(value) > TIMES * largest
        and (value < 0 <= low or abs(value) > 1000 * largest)
    )


def is_usual_code(value: float) -> bool:
    """Nines from 999 on, the ends of whole numbers of 16 or 32 bits, 1e15 and more, of either sign."""
    size = abs(value)
    digits = f"{size:.10g}".replace(".", "")
    return size >= 1e15 or size in _USUAL or (size >= 999 and set(digits) == {"9"})


@contextmanager
def said_once() -> Iterator[None]:
    """What is fitted inside says nothing: whoever fits it has."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def warn_of_sentinels(frame: pd.DataFrame, history: _core.History, rows: int, where: str) -> None:
    """Warns, a line per tag, of codes in the first rows of a history; called by what the user calls.

    Parameters
    ----------
    frame : that the history was made of, for labels
    history : its numbers, without what the tag map knows to be missing
    """
    if _quiet.get():
        return
    values = np.asarray(history.values)[:rows]
    found = []
    for c, tag in enumerate(history.tags.tags):
        code = None if tag.kind == "categorical" or tag.role == "cost" else sentinel_in(values[:, c])
        if code is not None:
            found.append((tag.name, code))
    more = f" (and {len(found) - MOST_TAGS} more tags with such a value)" if len(found) > MOST_TAGS else ""
    for place, (name, code) in enumerate(found[:MOST_TAGS]):
        label = frame.index[code.row]
        first = f"at {label}" if isinstance(label, pd.Timestamp) else f"in row {label}"
        warnings.warn(
            f"{where}: tag {name!r} holds {code.value:.10g} in {code.count} rows, first {first}, far from "
            "all other values: if it stands for no value, list it in the tag map, file: missing: "
            f"[{code.value:.10g}], or make it NaN; else it is learnt as a value"
            + (more if place == MOST_TAGS - 1 else ""),
            stacklevel=3,
        )
