"""Conversion between units of one quantity, by a table: what a historian writes against what a tag map says.

Nothing is guessed: gauge and absolute pressure, actual and normal cubic metres, mass and volume shares are
different quantities here, because a conversion between them needs more than the number.
"""

from __future__ import annotations

from emisopt.errors import ConfigError, did_you_mean

__all__ = ["conversion"]

# unit: (factor, offset) to the quantity's base unit: base = factor * value + offset.
_LB, _BTU, _KCAL = 0.45359237, 1055.05585262, 4186.8  # kg, J (both International Table)
_QUANTITIES: dict[str, dict[str, tuple[float, float]]] = {
    "temperature": {"K": (1, 0), "degC": (1, 273.15), "degF": (5 / 9, 273.15 - 160 / 9)},
    "temperature difference": {"delta_K": (1, 0), "delta_degC": (1, 0), "delta_degF": (5 / 9, 0)},
    "pressure": {
        "Pa": (1, 0), "hPa": (1e2, 0), "kPa": (1e3, 0), "MPa": (1e6, 0), "mbar": (1e2, 0), "bar": (1e5, 0),
        "atm": (101325, 0), "psi": (6894.757293168361, 0), "mmHg": (133.322387415, 0),
        "mmH2O": (9.80665, 0), "inH2O": (249.08891, 0),
    },
    "gauge pressure": {"mbarg": (1e2, 0), "barg": (1e5, 0), "kPag": (1e3, 0), "psig": (6894.757293168361, 0)},
    "power": {"W": (1, 0), "kW": (1e3, 0), "MW": (1e6, 0), "GW": (1e9, 0)},
    "energy": {
        "J": (1, 0), "kJ": (1e3, 0), "MJ": (1e6, 0), "GJ": (1e9, 0), "kWh": (3.6e6, 0), "MWh": (3.6e9, 0),
        "GWh": (3.6e12, 0), "mmBtu": (1e6 * _BTU, 0),
    },
    "specific energy": {
        "J/kg": (1, 0), "kJ/kg": (1e3, 0), "MJ/kg": (1e6, 0), "GJ/t": (1e6, 0), "kWh/kg": (3.6e6, 0),
        "kcal/kg": (_KCAL, 0), "Btu/lb": (_BTU / _LB, 0),
    },
    "mass": {
        "mg": (1e-6, 0), "g": (1e-3, 0), "kg": (1, 0), "t": (1e3, 0), "lb": (_LB, 0), "lbs": (_LB, 0),
        "short ton": (2000 * _LB, 0), "short tons": (2000 * _LB, 0),
    },
    "mass flow": {
        "g/s": (1e-3, 0), "kg/s": (1, 0), "kg/min": (1 / 60, 0), "kg/h": (1 / 3600, 0), "t/h": (1 / 3.6, 0),
        "t/d": (1 / 86.4, 0), "lb/h": (_LB / 3600, 0),
    },
    "volume flow": {"m3/s": (1, 0), "m3/h": (1 / 3600, 0), "l/s": (1e-3, 0), "l/min": (1e-3 / 60, 0)},
    "normal volume flow": {"Nm3/s": (1, 0), "Nm3/h": (1 / 3600, 0), "kNm3/h": (1 / 3.6, 0)},
    "concentration": {"kg/m3": (1, 0), "g/m3": (1e-3, 0), "mg/m3": (1e-6, 0), "ug/m3": (1e-9, 0)},
    "normal concentration": {"g/Nm3": (1e-3, 0), "mg/Nm3": (1e-6, 0), "ug/Nm3": (1e-9, 0)},
    "share": {
        "fraction": (1, 0), "mol/mol": (1, 0), "m3/m3": (1, 0), "%": (1e-2, 0), "vol%": (1e-2, 0),
        "permille": (1e-3, 0), "ppm": (1e-6, 0), "ppmv": (1e-6, 0), "ppb": (1e-9, 0), "ppbv": (1e-9, 0),
    },
    "mass share": {"kg/kg": (1, 0), "g/kg": (1e-3, 0), "wt%": (1e-2, 0), "mg/kg": (1e-6, 0)},
    "length": {"mm": (1e-3, 0), "cm": (1e-2, 0), "m": (1, 0), "km": (1e3, 0)},
    "speed": {"m/s": (1, 0), "km/h": (1 / 3.6, 0)},
    "angle": {"deg": (1, 0), "rad": (57.29577951308232, 0)},
    "rotation": {"rpm": (1, 0), "1/min": (1, 0), "Hz": (60, 0), "1/s": (60, 0)},
    "time": {"ms": (1e-3, 0), "s": (1, 0), "min": (60, 0), "h": (3600, 0), "d": (86400, 0)},
}  # fmt: skip
_UNITS = {unit: (quantity, pair) for quantity, units in _QUANTITIES.items() for unit, pair in units.items()}
_SPELLINGS = {"°": "deg", "³": "3", "µ": "u", "μ": "u", "m^3": "m3", "‰": "permille"}
_ALIASES = {"C": "degC", "F": "degF", "-": "fraction", "1": "fraction", "Nm3/hr": "Nm3/h", "kg/hr": "kg/h"}


def _plain(unit: str) -> str:
    text = unit.strip()
    for other, ascii_text in _SPELLINGS.items():
        text = text.replace(other, ascii_text)
    return _ALIASES.get(text, text)


def conversion(source: str, target: str, where: str) -> tuple[float, float]:
    """Factor and offset with target = factor * source + offset.

    Parameters
    ----------
    source, target : units, e.g. "degF" and "degC"; "°C", "m³" and "µg" are understood
    where : beginning of the error message

    Returns
    -------
    (factor, offset); (1, 0) when both are written alike, known or not.

    Raises
    ------
    ConfigError : a unit is unknown, or the two measure different quantities; the message names both.

    Examples
    --------
    >>> conversion("bar", "kPa", "column 'p'")
    (100.0, 0.0)
    >>> factor, offset = conversion("degF", "degC", "column 'T'")
    >>> round(factor * 212 + offset, 9)
    100.0
    """
    a, b = _plain(source), _plain(target)
    if a == b:
        return 1.0, 0.0
    for unit in (a, b):
        if unit not in _UNITS:
            raise ConfigError(
                f"{where}: cannot convert {source!r} to {target!r}: unit {unit!r} is not known"
                + did_you_mean(unit, _UNITS)
            )
    (quantity_a, (factor_a, offset_a)), (quantity_b, (factor_b, offset_b)) = _UNITS[a], _UNITS[b]
    if quantity_a != quantity_b:
        raise ConfigError(
            f"{where}: unit {source!r} ({quantity_a}) does not convert to {target!r} ({quantity_b}); "
            "correct one of the two in the tag map, or convert the column before"
        )
    return factor_a / factor_b, (offset_a - offset_b) / factor_b
