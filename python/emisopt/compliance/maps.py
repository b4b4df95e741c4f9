"""Conversions as differentiable maps of a forecast's step: values, and slopes by outputs and setpoints.

The core's controller and break probabilities use the same maps (`csrc/emisopt/permit/rate_maps.hpp`,
`conversion_map.hpp`): a cost per kg/h, a limit in lb/MMBtu.
"""

from __future__ import annotations

from collections.abc import Sequence

from emisopt import _core
from emisopt.errors import DataError, did_you_mean

__all__ = ["kg_h_map", "lb_h_map", "lb_mmbtu_map", "t_a_map"]

Input = float | int | str


def lb_mmbtu_map(
    outputs: Sequence[str],
    output: str,
    pollutant: str,
    *,
    o2: Input | None = None,
    fd: float | None = None,
    co2: Input | None = None,
    fc: float | None = None,
    setpoints: Sequence[str] = (),
    disturbances: Sequence[str] = (),
) -> _core.OutputMap:
    """Outputs, and after them one of them in lb/MMBtu.

    Parameters
    ----------
    outputs : names of the forecast's outputs
    output : the one in ppm (dry with `o2`)
    pollutant : what it measures
    o2, fd : % dry, and dscf/MMBtu; or
    co2, fc : % on the concentration's basis, and scf CO2/MMBtu. Each diluent is a name, of an output,
        setpoint or disturbance, or a constant
    setpoints, disturbances : names of the others, where a diluent is one

    Returns
    -------
    Map with `names`, `value(y, u, d)` and `vjp(seed, y, u, d)`.

    Raises
    ------
    DataError : a name that is none of these. InputError : an unknown pollutant, a constant outside its range,
        neither or both diluents

    Notes
    -----
    E = K C Fd 20.9 / (20.9 - O2), E = K C Fc 100 / CO2: 40 CFR 60 appendix A, Method 19.

    Examples
    --------
    >>> import numpy as np
    >>> m = lb_mmbtu_map(["nox", "o2"], "nox", "NOx", o2="o2", fd=8991)
    >>> none = np.zeros(0)
    >>> m.value(np.array([43.2, 4.2]), none, none).round(4).tolist()  # the published stack-test sheet
    [43.2, 4.2, 0.058]
    """
    if (o2 is None) == (co2 is None) or (o2 is None) != (fd is None) or (co2 is None) != (fc is None):
        raise _core.InputError("lb_mmbtu_map: expected o2 and fd, or co2 and fc")
    names, k = list(outputs), _core.lb_scf_per_ppm(pollutant)
    place = _place(names, output, "lb_mmbtu_map(output)")
    if o2 is not None and fd is not None:
        source = _source(o2, names, setpoints, disturbances, "lb_mmbtu_map(o2)")
        return _core.lb_mmbtu_map(names, place, k, float(fd), source)
    assert co2 is not None and fc is not None
    source = _source(co2, names, setpoints, disturbances, "lb_mmbtu_map(co2)")
    return _core.lb_mmbtu_co2_map(names, place, k, float(fc), source)


def lb_h_map(
    outputs: Sequence[str],
    output: str,
    pollutant: str,
    *,
    dscf_min: Input,
    setpoints: Sequence[str] = (),
    disturbances: Sequence[str] = (),
) -> _core.OutputMap:
    """Outputs, and after them one of them (ppm) in lb/h by its gas flow in dscf/min; K C 60 Q.

    Parameters and errors as :func:`lb_mmbtu_map`.
    """
    names = list(outputs)
    source = _source(dscf_min, names, setpoints, disturbances, "lb_h_map(dscf_min)")
    place = _place(names, output, "lb_h_map(output)")
    return _core.lb_h_map(names, place, _core.lb_scf_per_ppm(pollutant), source)


def kg_h_map(
    outputs: Sequence[str],
    output: str,
    *,
    m3_h: Input,
    setpoints: Sequence[str] = (),
    disturbances: Sequence[str] = (),
) -> _core.OutputMap:
    """Outputs, and after them one of them (mg/m3) in kg/h by its gas flow in m3/h on the same basis.

    Parameters and errors as :func:`lb_mmbtu_map`.

    Examples
    --------
    >>> import numpy as np
    >>> m = kg_h_map(["nox"], "nox", m3_h="fan", setpoints=["fan"])
    >>> m.names, m.value(np.array([200.0]), np.array([5e5]), np.zeros(0)).round(9).tolist()
    (['nox', 'nox [kg/h]'], [200.0, 100.0])
    """
    names = list(outputs)
    source = _source(m3_h, names, setpoints, disturbances, "kg_h_map(m3_h)")
    return _core.kg_h_map(names, _place(names, output, "kg_h_map(output)"), source)


def t_a_map(
    outputs: Sequence[str],
    output: str,
    *,
    m3_h: Input,
    hours: float,
    setpoints: Sequence[str] = (),
    disturbances: Sequence[str] = (),
) -> _core.OutputMap:
    """As :func:`kg_h_map`, in t/a were the step held for `hours` of the year."""
    names = list(outputs)
    source = _source(m3_h, names, setpoints, disturbances, "t_a_map(m3_h)")
    return _core.t_a_map(names, _place(names, output, "t_a_map(output)"), source, float(hours))


def _place(names: list[str], name: str, where: str) -> int:
    if name not in names:
        raise DataError(f"{where}: no output {name!r}{did_you_mean(name, names)}")
    return names.index(name)


def _source(
    what: Input, outputs: list[str], setpoints: Sequence[str], disturbances: Sequence[str], where: str
) -> _core.Source:
    if not isinstance(what, str):
        return _core.Source.constant(float(what))
    if what in outputs:
        return _core.Source.output(outputs.index(what))
    if what in setpoints:
        return _core.Source.setpoint(list(setpoints).index(what))
    if what in disturbances:
        return _core.Source.disturbance(list(disturbances).index(what))
    known = [*outputs, *setpoints, *disturbances]
    raise DataError(f"{where}: no output, setpoint or disturbance {what!r}{did_you_mean(what, known)}")
