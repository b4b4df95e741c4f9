"""Civil time: IANA zones as tables of offsets for the core, which carries no zone database of its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from emisopt import _core
from emisopt.errors import ConfigError

__all__ = ["zone_table"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STEP = timedelta(days=1)  # no place changes its clock twice within it


def zone_table(name: str, first_year: int, last_year: int) -> _core.Zone:
    """The offsets of a zone from the beginning of one year to the end of another.

    Parameters
    ----------
    name : IANA name, e.g. "Europe/Berlin", or "UTC"
    first_year, last_year : the years that data may lie in

    Raises
    ------
    ConfigError : a name that no zone has.

    Examples
    --------
    >>> zone_table("Europe/Berlin", 2024, 2024).name
    'Europe/Berlin'
    """
    return _table(name, max(first_year, 1900), min(last_year, 9998))


@lru_cache(maxsize=64)
def _table(name: str, first_year: int, last_year: int) -> _core.Zone:
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"zone: expected an IANA name such as 'Europe/Berlin', got {name!r}") from None
    # A day more at either end: the year of a place is not the year of UTC.
    at = datetime(first_year, 1, 1, tzinfo=timezone.utc) - timedelta(days=2)
    end = datetime(last_year + 1, 1, 1, tzinfo=timezone.utc) + timedelta(days=2)
    first, before = at, _offset(zone, at)
    since, offsets = [], [before]
    while at < end:
        after = _offset(zone, at + _STEP)
        if after != before:
            since.append(_change(zone, at, at + _STEP, before))
            offsets.append(after)
        at, before = at + _STEP, after
    return _core.Zone(name, since, offsets, _seconds(first), _seconds(end))


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def _change(zone: ZoneInfo, low: datetime, high: datetime, before: int) -> int:
    """First second in (low, high] at which the offset is no longer `before`."""
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return _seconds(high)


def _seconds(at: datetime) -> int:
    return int(np.round((at - _EPOCH).total_seconds()))
