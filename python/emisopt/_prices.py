"""Prices and targets that change with time: what is in force at each step, and what to say of a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core

__all__ = ["by_name", "in_force", "table"]

Floats = NDArray[np.float64]


def in_force(values: pd.Series, steps: pd.Index, where: str) -> Floats:
    """The value in force at each step: that of the newest stamp at or before it.

    Parameters
    ----------
    values : by rising stamps (or row numbers, as the history has); each is in force up to the next stamp, the
        last one for as long as the one before
    steps : (H,) labels of the coming rows
    where : field for errors, e.g. "Objective(prices['power'])"

    Raises
    ------
    InputError : naming the field and the first step without a value

    Examples
    --------
    >>> hours = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    >>> power = pd.Series([50.0, 60.0, 70.0], index=hours)
    >>> in_force(power, pd.date_range("2024-01-01 00:50", periods=3, freq="20min", tz="UTC"), "power")
    array([50., 60., 60.])
    """
    index = values.index
    stamped = isinstance(steps, pd.DatetimeIndex)
    if stamped != isinstance(index, pd.DatetimeIndex):
        raise _core.InputError(
            f"{where}: expected an index of {'time stamps' if stamped else 'row numbers'} as the history "
            f"has, got {type(index).__name__}"
        )
    if stamped and (steps.tz is None) != (index.tz is None):
        raise _core.InputError(
            f"{where}: expected stamps with a time zone as the history's, got the other kind"
        )
    if not len(values):
        raise _core.InputError(f"{where}: expected values, got none")
    if not index.is_monotonic_increasing or not index.is_unique:
        raise _core.InputError(f"{where}: expected rising stamps, got some out of order or twice")
    place = np.asarray(index.searchsorted(steps, side="right")) - 1
    numbers = values.to_numpy(dtype=float)
    found = np.where(place >= 0, numbers[np.maximum(place, 0)], np.nan)
    if len(values) > 1:  # the last value ends, too
        found[np.asarray(steps >= index[-1] + (index[-1] - index[-2]))] = np.nan
    if not np.isfinite(found).all():
        step = int(np.flatnonzero(~np.isfinite(found))[0])
        raise _core.InputError(
            f"{where}: expected a value for every row of the horizon, got a gap at {steps[step]} "
            f"(step {step}); the values reach from {index[0]} to {index[-1]}"
        )
    return found


def table(values: list[float | pd.Series], names: list[str], steps: pd.Index, where: str) -> Floats | None:
    """(H, n) with a column per value; None when none of them changes with time."""
    if not any(isinstance(v, pd.Series) for v in values):
        return None
    columns = [
        in_force(v, steps, f"{where}[{name!r}])")
        if isinstance(v, pd.Series)
        else np.full(len(steps), float(v))
        for v, name in zip(values, names, strict=True)
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def by_name(values: Mapping[str, float] | None, names: Sequence[str], where: str) -> list[float]:
    """A number per name, in order; none at all for None. InputError naming the one that is missing."""
    if values is None:
        return []
    missing = [n for n in names if n not in values]
    if missing:
        raise _core.InputError(f"{where}: setpoint {missing[0]!r} is missing; expected {', '.join(names)}")
    return [float(values[n]) for n in names]
