"""What the columns of a table measure, in the words of a permit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from emisopt import _core
from emisopt._yaml import Reader
from emisopt.errors import ConfigError, did_you_mean
from emisopt.tags import TagMap
from emisopt.units import conversion

__all__ = ["Signal", "canonical_unit", "require_tag_units", "signals_of"]

_UNITS = {
    "mg/nm³": "mg/Nm3", "mg/nm^3": "mg/Nm3", "mg/nm3": "mg/Nm3", "mg/m³": "mg/m3", "mg/m^3": "mg/m3",
    "ug/nm3": "ug/Nm3", "µg/nm³": "ug/Nm3", "μg/nm³": "ug/Nm3", "µg/m³": "ug/m3", "μg/m³": "ug/m3",
    "ppmv": "ppm", "ppmvd": "ppm", "ppbv": "ppb", "vol%": "%", "lb/mmbtu": "lb/MMBtu", "lb/mwh": "lb/MWh",
}  # fmt: skip


def canonical_unit(unit: str) -> str:
    """A unit as permits write it: only other spellings of the same unit are changed.

    Examples
    --------
    >>> canonical_unit("mg/m³"), canonical_unit("ppmv"), canonical_unit("bar")
    ('mg/m3', 'ppm', 'bar')
    """
    return _UNITS.get(unit.strip().lower(), unit.strip())


@dataclass(frozen=True)
class Signal:
    """What one column measures.

    Parameters
    ----------
    pollutant : e.g. "NOx"; `emisopt._core.known_pollutants()`
    unit : of the column's numbers; `emisopt._core.known_units()`. It must be the rule's: nothing is converted
    moisture : "dry", "wet" or "" (not said); must agree with a rule that says it
    oxygen : the name of the column with the oxygen (vol %, of the same gas) that the values were measured at,
        or the reference that they are at already; None: not said

    Examples
    --------
    >>> Signal("NOx", "mg/Nm3", "dry", oxygen="o2")
    Signal(pollutant='NOx', unit='mg/Nm3', moisture='dry', oxygen='o2')
    """

    pollutant: str
    unit: str
    moisture: str = ""
    oxygen: str | float | None = None

    def to_core(self, tag: str) -> _core.Signal:
        """The same for the core, with the name of its column."""
        try:
            return _made(self, tag)
        except TypeError:  # a field that cannot be looked up by
            return self._make(tag)

    def _make(self, tag: str) -> _core.Signal:
        column = self.oxygen if isinstance(self.oxygen, str) else ""
        reference = math.nan if self.oxygen is None or column else float(self.oxygen)
        return _core.Signal(
            tag=tag,
            pollutant=self.pollutant,
            unit=canonical_unit(self.unit),
            moisture=self.moisture,
            oxygen=reference,
            oxygen_tag=column,
        )


@lru_cache(maxsize=1024)
def _made(signal: Signal, tag: str) -> _core.Signal:
    """The core checks each anew; of the same plant they are the same in every evaluation."""
    return signal._make(tag)


def signals_of(given: Mapping[str, object] | None, tags: TagMap | None) -> list[_core.Signal]:
    """Signals for the core: as given by column, else the tags that are called like a pollutant.

    Parameters
    ----------
    given : column -> Signal, or pollutant (the unit is the tag's then), or fields of Signal
    tags : tag map, for units

    Raises
    ------
    ConfigError : naming the column.
    """
    if given is not None:
        return [_signal(column, what, tags).to_core(column) for column, what in given.items()]
    names = {name.lower(): name for name in _core.known_pollutants()}
    return [
        Signal(names[tag.name.lower()], tag.unit).to_core(tag.name)
        for tag in tags or []
        if tag.role == "emission" and tag.name.lower() in names
    ]


def require_tag_units(signals: Iterable[_core.Signal], tags: TagMap, where: str) -> None:
    """Refuses a signal in another unit than the tag of its column, and oxygen that is not in vol %: the
    numbers are in the tag's unit, nothing is converted, so a verdict would be of other numbers than it says.

    Parameters
    ----------
    where : what the tags are of, for the message

    Raises
    ------
    ConfigError : naming the column and both units.
    """
    for signal in signals:
        if signal.tag in tags and canonical_unit(tags[signal.tag].unit) != canonical_unit(signal.unit):
            unit = tags[signal.tag].unit
            raise ConfigError(
                f"signals: column {signal.tag!r}: expected the unit of {where}, {unit!r}, got "
                f"{signal.unit!r}: its numbers are not converted; convert the column, or correct one of the "
                "two units"
            )
        oxygen = signal.oxygen_tag
        if oxygen and oxygen in tags and not _is_percent(tags[oxygen].unit):
            raise ConfigError(
                f"signals: column {signal.tag!r}: its oxygen, column {oxygen!r}, is expected in vol %, got "
                f"{tags[oxygen].unit!r} in {where}; convert the column, or correct its unit"
            )


def _is_percent(unit: str) -> bool:
    """Whether numbers in this unit may be vol %: a unit that no table knows is not held to be another."""
    try:
        return conversion(unit, "%", "oxygen") == (1.0, 0.0)
    except ConfigError:
        return True


def _signal(column: str, what: object, tags: TagMap | None) -> Signal:
    where = f"signals: {column!r}"
    if isinstance(what, Signal):
        return what
    if isinstance(what, str):
        if tags is None or column not in tags.names:
            raise ConfigError(f"{where}: expected a Signal with its unit, got only {what!r}")
        return Signal(what, tags[column].unit)
    reader = Reader(what, where)
    reader.check_keys(["pollutant", "unit", "moisture", "oxygen"])
    unit = reader.text("unit")
    if not unit:
        if tags is None or column not in tags.names:
            raise ConfigError(
                f"{where}: field 'unit' is missing" + did_you_mean(column, tags.names if tags else [])
            )
        unit = tags[column].unit
    oxygen = reader.get("oxygen")
    return Signal(
        reader.text("pollutant", required=True),
        unit,
        reader.text("moisture"),
        oxygen if isinstance(oxygen, str) else reader.number("oxygen"),
    )
