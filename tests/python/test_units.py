"""Units: values by hand, there and back, and what does not convert."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emisopt.errors import ConfigError
from emisopt.units import conversion


@given(
    st.floats(-1e6, 1e6),
    st.sampled_from([("degC", "degF"), ("bar", "psi"), ("t/h", "lb/h"), ("g/m3", "ug/m3")]),
)
def test_unit_conversion_comes_back(value: float, pair: tuple[str, str]) -> None:
    there, back = conversion(*pair, "test"), conversion(*pair[::-1], "test")
    assert back[0] * (there[0] * value + there[1]) + back[1] == pytest.approx(value, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (20, "°C", "K", 293.15), (212, "degF", "degC", 100), (1013.25, "mbar", "kPa", 101.325),
        (1013.25, "hPa", "bar", 1.01325), (500, "kW", "MW", 0.5), (12, "%", "fraction", 0.12),
        (0.25, "vol%", "ppm", 2500), (0.05, "g/m³", "mg/m3", 50), (3, "wt%", "g/kg", 30),
        (1, "mmBtu", "GJ", 1.0550558),
        (1, "short ton", "kg", 907.18474), (36, "t/h", "kg/s", 10), (10000, "Btu/lb", "MJ/kg", 23.26),
    ],
)  # fmt: skip
def test_unit_conversion_values(value: float, source: str, target: str, expected: float) -> None:
    factor, offset = conversion(source, target, "test")
    assert factor * value + offset == pytest.approx(expected, rel=1e-7)


def test_units_that_need_more_than_a_number_do_not_convert() -> None:
    for pair in (("barg", "bar"), ("mg/m3", "mg/Nm3"), ("ppm", "mg/Nm3"), ("wt%", "%"), ("MWh", "MW")):
        with pytest.raises(ConfigError, match="does not convert"):
            conversion(*pair, "test")
    with pytest.raises(ConfigError, match="unit 'mbra' is not known; did you mean 'mbar'"):
        conversion("mbra", "bar", "test")
    assert conversion("stones", "stones", "test") == (1, 0)
