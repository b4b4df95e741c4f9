"""Missing hours filled as 40 CFR 75 subpart D says, with the record of what each value rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.compliance._rows import Floats, split_unit, times, vector
from emisopt.errors import did_you_mean

__all__ = ["Substitution", "monitor_availability", "substitute"]

# parameter: (uses load ranges, quality-assured hours of the lookback)
_PARAMETERS = {"SO2": (False, 720), "CO2": (False, 720), "NOx": (True, 2160), "flow": (True, 2160)}
_COLUMNS = (
    "value", "original", "method", "availability", "gap_first", "gap_hours", "before", "after",
    "lookback_first", "lookback_last", "lookback_count", "lookback_value", "verified",
)  # fmt: skip


@dataclass(frozen=True)
class Substitution:
    """Hours after substitution, and why each is what it is.

    Attributes
    ----------
    values : Series (n,), NaN where the unit stood still, or where the hour after a gap is still to come
    availability : Series (n,), percent monitor data availability at each hour
    records : DataFrame, a row per substituted hour, its index the hour's. value, original (what stood there),
        method, availability (%), gap_first (its first hour's label), gap_hours, before, after,
        lookback_first, lookback_last (labels; missing without a lookback), lookback_count, lookback_value,
        verified
    """

    values: pd.Series
    availability: pd.Series
    records: pd.DataFrame
    _hours: list[_core.SubstitutedHour] = field(repr=False)

    def remove(self) -> pd.Series:
        """The hours as they were before, bit for bit.

        Raises
        ------
        InputError : a value is not the one that its record holds; the message names the hour
        """
        tag = split_unit(self.values.name)[0]
        out = _core.remove_substitution(
            vector(self.values, "Substitution.remove"), self._hours, tag, times(self.values)
        )
        return pd.Series(out, index=self.values.index, name=self.values.name)

    def __str__(self) -> str:
        """How many hours, by which method; UNVERIFIED where a recalled rule was used."""
        counts = self.records["method"].value_counts(sort=False)
        parts = [f"{count} {method}" for method, count in counts.items()]
        mark = "" if self.records["verified"].all() else " UNVERIFIED"
        return f"{len(self.records)} of {len(self.values)} hours substituted{mark}: " + (
            ", ".join(parts) or "none"
        )


def substitute(
    hours: pd.Series,
    *,
    operating: ArrayLike,
    max_potential: float,
    parameter: str = "SO2",
    assured: ArrayLike | None = None,
    load_range: ArrayLike | None = None,
    percentile: str = "nearest rank",
    count_operating_hours: bool = True,
    allow_unverified: bool = False,
) -> Substitution:
    """Fills operating hours without quality-assured data by 40 CFR 75.31 and 75.33.

    Parameters
    ----------
    hours : Series (n,), one value per clock hour from the hour of initial certification on; NaN = missing. A
        DatetimeIndex with a time zone is checked for steps of one hour.
    operating : (n,) bool, the unit combusts fuel
    max_potential : maximum potential value, in the unit of `hours`
    parameter : "SO2" or "CO2" (75.35): 720 quality-assured hours. "NOx" or "flow": 2,160 by load range,
        recalled rules
    assured : (n,) bool, the value is quality-assured; None: every value is
    load_range : (n,) int >= 0, needed for NOx and flow
    percentile : "nearest rank" (rank ceil(p n / 100)) or "linear" (NumPy's default). The rule does not say.
    count_operating_hours : the length of a gap counts operating hours; False: clock hours
    allow_unverified : take rules that were recalled, not read; every record of them says so

    Returns
    -------
    Substitution

    Raises
    ------
    InputError : a negative or infinite value that counts, hours that do not follow each other, a recalled
        rule without `allow_unverified`.   ShapeError : lengths

    Notes
    -----
    The tiers stand in csrc/emisopt/permit/substitution.hpp. Availability decides hour by hour (75.32).

    Examples
    --------
    >>> import pandas as pd
    >>> so2 = pd.Series([100.0, None, None, 140.0], name="so2 [ppm]")
    >>> filled = substitute(so2, operating=[True] * 4, max_potential=2500)
    >>> filled.values.tolist()
    [100.0, 120.0, 120.0, 140.0]
    >>> print(filled)
    2 of 4 hours substituted: 2 hour before and after
    >>> filled.remove().equals(so2)
    True
    """
    if parameter not in _PARAMETERS:
        raise _core.InputError(
            f"substitute(parameter): expected one of {', '.join(_PARAMETERS)}, got {parameter!r}"
            + did_you_mean(parameter, _PARAMETERS)
        )
    if not isinstance(hours, pd.Series):
        raise _core.InputError(f"substitute(hours): expected a Series, got {type(hours).__name__}")
    load_ranges, lookback = _PARAMETERS[parameter]
    rule = _core.SubstitutionRule(
        max_potential=max_potential,
        load_ranges=load_ranges,
        lookback_hours=lookback,
        percentile=percentile,
        count_operating_hours=count_operating_hours,
        availability_hours=8760,
        oldest_hours=26280,
        allow_unverified=allow_unverified,
    )
    values, availability, records = _core.substitute_missing(
        vector(hours, "substitute(hours)"),
        _flags(operating, "operating"),
        np.empty(0, np.bool_) if assured is None else _flags(assured, "assured"),
        np.empty(0, np.intc) if load_range is None else _ranges(load_range),
        rule,
        split_unit(hours.name)[0],
        times(hours),
    )
    index = hours.index
    return Substitution(
        values=pd.Series(values, index=index, name=hours.name),
        availability=pd.Series(availability, index=index, name="availability [%]"),
        records=_frame(records, index),
        _hours=records,
    )


def monitor_availability(operating: ArrayLike, assured: ArrayLike) -> Floats:
    """Percent monitor data availability at each clock hour from initial certification on (40 CFR 75.32).

    Parameters
    ----------
    operating, assured : (n,) bool

    Returns
    -------
    (n,) %; NaN before the first operating hour

    Examples
    --------
    >>> monitor_availability([True, True, False, True], [True, False, False, True]).round(1).tolist()
    [100.0, 50.0, 50.0, 66.7]
    """
    return _core.monitor_availability(_flags(operating, "operating"), _flags(assured, "assured"), 8760, 26280)


def _flags(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    array = np.ascontiguousarray(values)
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise _core.InputError(
            f"{name}: expected True and False, or 0 and 1, got {array.dtype} with other values"
        )
    return array.astype(np.bool_)


def _ranges(values: ArrayLike) -> NDArray[np.intc]:
    """Whole numbers; an hour without operation may lack its range (NaN), which becomes -1."""
    array = vector(values, "substitute(load_range)")
    known = ~np.isnan(array)
    if (array[known] != np.floor(array[known])).any() or (np.abs(array[known]) > 1000).any():
        raise _core.InputError("substitute(load_range): expected whole numbers from 0 to 1000, got others")
    return np.where(known, array, -1).astype(np.intc)


def _frame(records: list[_core.SubstitutedHour], index: pd.Index) -> pd.DataFrame:
    """Records as a table; row numbers as labels of the index."""
    columns: dict[str, list[object]] = {name: [getattr(r, name) for r in records] for name in _COLUMNS}
    for name in ("gap_first", "lookback_first", "lookback_last"):
        columns[name] = [index[r] if r >= 0 else None for r in cast("list[int]", columns[name])]
    return pd.DataFrame(columns, index=index[[r.row for r in records]] if records else index[:0])
