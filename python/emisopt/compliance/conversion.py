"""Concentrations from one basis to another, F-factors and emission rates, exactly as permits count them.

Every function takes a number, an array (n,), a Series or a DataFrame and answers in kind; a Series keeps its
index and carries its unit in its name. NaN stays NaN. A negative or infinite concentration, oxygen at or
above the oxygen of air, moisture of 100 % or a unit that the name contradicts is an error that names tag, row
and time. Formulas and sources: docs/compliance.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from emisopt import _core
from emisopt.compliance._rows import NONE, Values, by_column, column
from emisopt.errors import did_you_mean

__all__ = [
    "FuelFactors",
    "GasBasis",
    "convert",
    "default_fuel_factors",
    "fuel_factors",
    "kg_h_from_mg_m3",
    "kg_h_from_t_a",
    "lb_h_from_lb_mmbtu",
    "lb_h_from_ppm",
    "lb_mmbtu_from_ppm",
    "lb_mmbtu_from_ppm_co2",
    "lb_scf_per_ppm",
    "mg_m3_from_kg_h",
    "mg_m3_from_ppm",
    "o2_corrected",
    "ppm_from_lb_h",
    "ppm_from_lb_mmbtu",
    "ppm_from_mg_m3",
    "t_a_from_kg_h",
]


@dataclass(frozen=True)
class GasBasis:
    """What a concentration refers to.

    Parameters
    ----------
    unit : ppm, ppb, % (shares of the volume); mg/m3, ug/m3, g/m3, mg/Nm3, ug/Nm3, g/Nm3 (mass)
    temperature_c : of the cubic metre: 0, 20 or 25 at 101.325 kPa; mg/Nm3 is at 0
    dry : dry or wet gas
    o2_pct : oxygen reference in % of dry gas; None: at the oxygen as measured

    Examples
    --------
    >>> str(GasBasis("mg/m3", dry=True, o2_pct=6))
    'mg/m3, 0 degC, dry, 6 % O2'
    """

    unit: str = "mg/m3"
    temperature_c: float = 0.0
    dry: bool = True
    o2_pct: float | None = None

    def to_core(self) -> _core.GasBasis:
        return _core.GasBasis(
            self.unit, self.temperature_c, self.dry, np.nan if self.o2_pct is None else self.o2_pct
        )

    def __str__(self) -> str:
        return str(self.to_core())


@dataclass(frozen=True)
class FuelFactors:
    """Gas per heat input at 20 degC without excess air.

    Attributes
    ----------
    fd : dscf/MMBtu of dry gas;   fw : wscf/MMBtu of wet gas, None in the table;   fc : scf of CO2 per MMBtu
    """

    fd: float
    fw: float | None
    fc: float


def convert(
    values: Values,
    pollutant: str,
    source: GasBasis,
    target: GasBasis,
    *,
    o2_pct: object = None,
    o2_dry: bool = True,
    o2_constant: float | None = None,
    moisture_pct: object = None,
) -> Values:
    """Concentrations in another unit, reference temperature, moisture and oxygen basis, in one step.

    Parameters
    ----------
    values : concentrations in `source`, >= 0
    pollutant : NOx (as NO2), NO, NO2, N2O, SO2, SO3, CO, CO2, HCl, HF, NH3, H2S, CH4, C3H8, TOC (as C), Hg
    source, target : the bases
    o2_pct : measured oxygen, number or (n,); needed when the oxygen basis changes from or to "as measured"
    o2_dry : whether the oxygen is measured in dry gas; if not, moisture is needed too
    o2_constant : oxygen of air that the permit counts with, 20.9 or 21; there is no default
    moisture_pct : % of the wet gas, number or (n,); needed between wet and dry

    Returns
    -------
    As `values`, in `target`.

    Raises
    ------
    InputError : what the module's head lists, or an input that is needed and missing.   ShapeError : lengths

    Notes
    -----
    C_ref = C (K - O2_ref) / (K - O2) on dry gas: 40 CFR 60 appendix A, Method 19 (K = 20.9); 40 CFR 60.284,
    30 TAC 111.121, GB 13223 (K = 21). csrc/emisopt/permit/gas_conversion.cpp.

    Examples
    --------
    >>> ppm, limit = GasBasis("ppm"), GasBasis("ppm", o2_pct=15)
    >>> round(convert(43.2, "NOx", ppm, limit, o2_pct=4.2, o2_constant=20.9), 4)
    15.2623
    >>> import pandas as pd
    >>> nox = pd.Series([180.0, None], index=[10, 11], name="nox [ppm]")
    >>> convert(nox, "NOx", ppm, GasBasis("mg/Nm3")).round(2)
    10    369.46
    11       NaN
    Name: nox [mg/Nm3, dry], dtype: float64
    """
    conversion = _core.GasConversion(
        pollutant, source.to_core(), target.to_core(), np.nan if o2_constant is None else o2_constant, o2_dry
    )
    o2 = column(o2_pct, values, "convert(o2_pct)") if conversion.needs_o2 else NONE
    moisture = column(moisture_pct, values, "convert(moisture_pct)") if conversion.needs_moisture else NONE
    out = by_column(
        values,
        str(source),
        str(target),
        pollutant,
        "convert",
        lambda x, tag, time: conversion.apply(x, o2, moisture, tag, time),
    )
    return cast(Values, out)


def mg_m3_from_ppm(ppm: Values, pollutant: str, *, temperature_c: float = 0.0, dry: bool = True) -> Values:
    """mg/m3 at 101.325 kPa and 0, 20 or 25 degC; dry stays dry and wet stays wet.

    Examples
    --------
    >>> [round(mg_m3_from_ppm(1.0, "NOx", temperature_c=t), 4) for t in (0, 20, 25)]
    [2.0525, 1.9125, 1.8805]
    """
    return convert(ppm, pollutant, GasBasis("ppm", dry=dry), GasBasis("mg/m3", temperature_c, dry))


def ppm_from_mg_m3(mg_m3: Values, pollutant: str, *, temperature_c: float = 0.0, dry: bool = True) -> Values:
    """ppm by volume; the way back of :func:`mg_m3_from_ppm`."""
    return convert(mg_m3, pollutant, GasBasis("mg/m3", temperature_c, dry), GasBasis("ppm", dry=dry))


def o2_corrected(
    values: Values, *, o2_pct: object, reference_pct: float, o2_constant: float, unit: str = "mg/m3"
) -> Values:
    """Dry concentrations at the reference oxygen; any unit, as the correction is a factor.

    Examples
    --------
    >>> [round(o2_corrected(100.0, o2_pct=8, reference_pct=6, o2_constant=k), 4) for k in (21, 20.9)]
    [115.3846, 115.5039]
    """
    # The factor does not depend on the pollutant.
    return convert(
        values,
        "NOx",
        GasBasis(unit),
        GasBasis(unit, o2_pct=reference_pct),
        o2_pct=o2_pct,
        o2_constant=o2_constant,
    )


def fuel_factors(
    *,
    carbon: float,
    hydrogen: float,
    gcv_btu_lb: float,
    sulfur: float = 0.0,
    nitrogen: float = 0.0,
    oxygen: float = 0.0,
    water: float = 0.0,
) -> FuelFactors:
    """F-factors from an ultimate analysis.

    Parameters
    ----------
    carbon, hydrogen, sulfur, nitrogen, oxygen, water : weight %; water counts in Fw only
    gcv_btu_lb : gross calorific value on the same basis, Btu/lb

    Raises
    ------
    InputError : a share outside 0 to 100, a sum above 100.5, a GCV that cannot be in Btu/lb

    Notes
    -----
    40 CFR 60 appendix A, Method 19, section 12.3.2; csrc/emisopt/permit/fuel_factor.hpp has the formulas.

    Examples
    --------
    >>> oil = dict(carbon=85.2, hydrogen=12.8, nitrogen=0.01, sulfur=0.12, oxygen=1.84)
    >>> round(fuel_factors(**oil, gcv_btu_lb=19595).fd)
    8991
    """
    return FuelFactors(*_core.fuel_factors(carbon, hydrogen, sulfur, nitrogen, oxygen, water, gcv_btu_lb))


def default_fuel_factors(fuel: str) -> FuelFactors:
    """F-factors of 40 CFR 75 appendix F, table 1.

    Raises
    ------
    InputError : a fuel that is not in the table

    Examples
    --------
    >>> default_fuel_factors("natural gas")
    FuelFactors(fd=8710.0, fw=None, fc=1040.0)
    """
    fd, _, fc = _core.default_fuel_factors(fuel)
    return FuelFactors(fd, None, fc)


def lb_scf_per_ppm(pollutant: str, *, source: str = "printed") -> float:
    """lb/scf that 1 ppm is.

    Parameters
    ----------
    source : "printed": NOx 1.194e-7 and SO2 1.660e-7 as in Method 19, CO 7.268e-8 as on stack-test sheets;
        "molar mass": computed for any pollutant, within 0.2 % of the printed three

    Raises
    ------
    InputError : nothing is printed for the pollutant, or another source
    """
    if source == "printed":
        return _core.lb_scf_per_ppm(pollutant)
    if source == "molar mass":
        return _core.lb_scf_per_ppm_of_mass(pollutant)
    raise _core.InputError(
        f"lb_scf_per_ppm(source): expected 'printed' or 'molar mass', got {source!r}"
        + did_you_mean(source, ("printed", "molar mass"))
    )


def _rate(
    name: str,
    values: object,
    source: str,
    target: str,
    default: str,
    k: float,
    a: object,
    b: object,
    what: tuple[str, str],
) -> object:
    function = getattr(_core, name)
    x = column(a, values, f"{name}({what[0]})")
    y = column(b, values, f"{name}({what[1]})")
    return by_column(
        values, source, target, default, name, lambda v, tag, time: function(v, k, x, y, tag, time)
    )


def lb_mmbtu_from_ppm(ppm: Values, *, k: float, fd: object, o2_pct: object) -> Values:
    """lb/MMBtu from dry ppm by the dry F-factor: K C Fd 20.9 / (20.9 - O2) (Method 19).

    Parameters
    ----------
    ppm : dry;   k : lb/scf per ppm, see :func:`lb_scf_per_ppm`
    fd : dscf/MMBtu, number or (n,);   o2_pct : dry, number or (n,)

    Examples
    --------
    >>> round(lb_mmbtu_from_ppm(43.2, k=lb_scf_per_ppm("NOx"), fd=8990.63, o2_pct=4.2), 4)
    0.058
    """
    out = _rate("lb_mmbtu_from_ppm", ppm, "ppm, dry", "lb/MMBtu", "rate", k, fd, o2_pct, ("fd", "o2_pct"))
    return cast(Values, out)


def ppm_from_lb_mmbtu(lb_mmbtu: Values, *, k: float, fd: object, o2_pct: object) -> Values:
    """Dry ppm from lb/MMBtu; the way back of :func:`lb_mmbtu_from_ppm`."""
    out = _rate("ppm_from_lb_mmbtu", lb_mmbtu, "lb/MMBtu", "ppm, dry", "ppm", k, fd, o2_pct, ("fd", "o2_pct"))
    return cast(Values, out)


def lb_mmbtu_from_ppm_co2(ppm: Values, *, k: float, fc: object, co2_pct: object) -> Values:
    """lb/MMBtu by the carbon F-factor: K C Fc 100 / CO2; concentration and CO2 both dry or both wet."""
    out = _rate("lb_mmbtu_from_ppm_co2", ppm, "ppm", "lb/MMBtu", "rate", k, fc, co2_pct, ("fc", "co2_pct"))
    return cast(Values, out)


def lb_h_from_ppm(ppm: Values, *, k: float, dscf_min: object) -> Values:
    """lb/h from dry ppm and the dry gas flow in standard cubic feet per minute: K C 60 Q.

    Examples
    --------
    >>> round(lb_h_from_ppm(43.2, k=lb_scf_per_ppm("NOx"), dscf_min=5780), 2)
    1.79
    """
    out = _rate("lb_h_from_ppm", ppm, "ppm, dry", "lb/h", "rate", k, dscf_min, None, ("dscf_min", ""))
    return cast(Values, out)


def ppm_from_lb_h(lb_h: Values, *, k: float, dscf_min: object) -> Values:
    """Dry ppm from lb/h; the way back of :func:`lb_h_from_ppm`."""
    out = _rate("ppm_from_lb_h", lb_h, "lb/h", "ppm, dry", "ppm", k, dscf_min, None, ("dscf_min", ""))
    return cast(Values, out)


def lb_h_from_lb_mmbtu(lb_mmbtu: Values, *, heat_mmbtu_h: object) -> Values:
    """lb/h from lb/MMBtu and the heat input."""
    out = _rate(
        "lb_h_from_lb_mmbtu",
        lb_mmbtu,
        "lb/MMBtu",
        "lb/h",
        "rate",
        np.nan,
        heat_mmbtu_h,
        None,
        ("heat_mmbtu_h", ""),
    )
    return cast(Values, out)


def kg_h_from_mg_m3(mg_m3: Values, *, m3_h: object) -> Values:
    """kg/h from mg/m3 and m3/h, both on one basis (temperature, moisture, oxygen).

    Examples
    --------
    >>> kg_h_from_mg_m3(200.0, m3_h=500_000)
    100.0
    """
    out = _rate("kg_h_from_mg_m3", mg_m3, "mg/m3", "kg/h", "rate", np.nan, m3_h, None, ("m3_h", ""))
    return cast(Values, out)


def mg_m3_from_kg_h(kg_h: Values, *, m3_h: object) -> Values:
    """mg/m3 from kg/h, on the basis of the flow; the way back of :func:`kg_h_from_mg_m3`."""
    out = _rate("mg_m3_from_kg_h", kg_h, "kg/h", "mg/m3", "concentration", np.nan, m3_h, None, ("m3_h", ""))
    return cast(Values, out)


def t_a_from_kg_h(kg_h: Values, *, hours: object) -> Values:
    """Tonnes per year from kg/h and operating hours per year.

    Examples
    --------
    >>> t_a_from_kg_h(100.0, hours=8000)
    800.0
    """
    out = _rate("t_a_from_kg_h", kg_h, "kg/h", "t/a", "mass", np.nan, hours, None, ("hours", ""))
    return cast(Values, out)


def kg_h_from_t_a(t_a: Values, *, hours: object) -> Values:
    """kg/h from tonnes per year; the way back of :func:`t_a_from_kg_h`."""
    out = _rate("kg_h_from_t_a", t_a, "t/a", "kg/h", "rate", np.nan, hours, None, ("hours", ""))
    return cast(Values, out)
