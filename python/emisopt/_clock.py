"""Local time whose clocks change: stamps of a zone to UTC, and what is wrong with those that fit none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["clock_hint", "to_utc"]

Fail = Callable[[int, str], Exception]
Bools = NDArray[np.bool_]

_HOUR = pd.Timedelta(hours=1)
_CHANGES = (3, 4, 9, 10, 11)  # months in which clocks are changed somewhere


def to_utc(stamps: pd.DatetimeIndex, zone: tzinfo, name: str, fail: Fail) -> pd.DatetimeIndex:
    """Stamps of a zone's clock, in their order, as UTC. The hour that its clock shows twice is told apart by
    the step back in it.

    Parameters
    ----------
    stamps : (N,) without a zone
    name : of the zone, for messages
    fail : makes the error of a row

    Raises
    ------
    what `fail` makes : a stamp that the zone skips; one that it has twice where the rows do not say which; a
        stamp that stands twice within that hour
    """
    try:
        return stamps.tz_localize(zone, ambiguous="raise", nonexistent="raise").tz_convert("UTC")
    except Exception:  # ValueError in pandas 3, pytz's own classes in pandas 2
        pass
    skipped = np.asarray(stamps.tz_localize(zone, ambiguous=_first(stamps, True), nonexistent="NaT").isna())
    if skipped.any():
        row = int(np.argmax(skipped))
        raise fail(
            row,
            f"{stamps[row]} does not exist in {name}, where clocks go forward over it; if the historian "
            f"keeps one offset all year, set timezone: {_winter(stamps, zone, row)}",
        )
    double = np.asarray(stamps.tz_localize(zone, ambiguous="NaT").isna())
    first = _first(stamps, True)
    rows = np.flatnonzero(double)
    for group in np.split(rows, np.flatnonzero(np.abs(np.diff(stamps[rows])) > 3 * _HOUR) + 1):
        _tell_apart(stamps, group, zone, name, first, fail)
    return stamps.tz_localize(zone, ambiguous=first).tz_convert("UTC")


def clock_hint(before: pd.Timestamp, after: pd.Timestamp, zone: tzinfo) -> str:
    """What to do about a step back that looks like clocks put back, in a zone that has none; else ""."""
    if isinstance(zone, ZoneInfo) and zone.key != "UTC":
        return ""
    local = after.tz_convert(zone)
    small = pd.Timedelta(0) <= before - after <= _HOUR
    if small and local.weekday() == 6 and local.month in _CHANGES and local.hour <= 3:
        return (
            "; if these are local stamps and clocks go back here, give their zone in the tag map, file: "
            "time: timezone: Europe/Berlin, say"
        )
    return ""


def _first(stamps: pd.DatetimeIndex, value: bool) -> Bools:
    return np.full(len(stamps), value)


def _tell_apart(
    stamps: pd.DatetimeIndex, group: NDArray[np.int64], zone: tzinfo, name: str, first: Bools, fail: Fail
) -> None:
    """Marks the second pass of one doubled hour in `first`."""
    steps = np.diff(stamps[group].asi8)
    back, same = np.flatnonzero(steps < 0) + 1, np.flatnonzero(steps == 0) + 1
    if len(back) == 0 and len(same) == 1 and len(group) == 2:
        back, same = same, back  # a row an hour: the same stamp, once in summer and once in winter time
    if same.size:
        row = int(group[same[0]])
        raise fail(row, f"duplicate time stamp {stamps[row]}; keep one of the two rows")
    if len(back) > 1:
        row = int(group[back[1]])
        raise fail(
            row,
            f"time goes backwards, from {stamps[row - 1]} to {stamps[row]}, a second time; sort the rows by "
            "time",
        )
    if not back.size:
        row = int(group[0])
        rest = ""
        if not _goes_forward(stamps, zone):
            offset = _winter(stamps, zone, row)
            rest = f"; or, if the historian keeps one offset all year, set timezone: {offset}"
        raise fail(
            row,
            f"{stamps[row]} is twice in {name}, where clocks go back, and the file has it once: leave out "
            f"the rows of this hour, or write each stamp with its offset{rest}",
        )
    first[group[back[0] :]] = False


def _goes_forward(stamps: pd.DatetimeIndex, zone: tzinfo) -> bool:
    """Whether the rows show an hour skipped in spring: then they do follow the zone's clock."""
    shown = stamps.tz_localize(zone, ambiguous=_first(stamps, True))
    wall, true = np.diff(stamps.asi8), np.diff(shown.asi8)
    if not wall.size:
        return False
    return bool(((wall > true) & (true <= 1.01 * np.median(true))).any())


def _winter(stamps: pd.DatetimeIndex, zone: tzinfo, row: int) -> str:
    """The offset that the zone keeps outside summer time around a row, as tag maps write it."""
    at = stamps[row].tz_localize(timezone.utc)
    offsets = [(at + pd.Timedelta(days=d)).tz_convert(zone).utcoffset() for d in (-1, 1)]
    minutes = round(min(o.total_seconds() for o in offsets if o is not None) / 60)
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
