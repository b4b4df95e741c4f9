"""Conversions as a user of pandas meets them: index, names, NaN, one clear error each. Numbers: tests/cpp."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emisopt
from emisopt import InputError, _core
from emisopt.compliance import (
    GasBasis,
    conversion,
    convert,
    fuel_factors,
    kg_h_map,
    lb_h_map,
    lb_mmbtu_map,
    mg_m3_from_ppm,
    o2_corrected,
    t_a_map,
)
from emisopt.errors import DataError

PPM, WET = GasBasis("ppm"), GasBasis("ppm", dry=False)
LIMIT = GasBasis("mg/Nm3", o2_pct=6)
OUTPUTS = ["nox", "o2", "co2"]
STAMPS = pd.date_range("2024-03-01", periods=4, freq="15min", tz="Europe/Berlin")


# ---- the published stack-test sheet (Scribd 395408750), as a user would write it -----------------------


def test_the_stack_test_sheet_comes_out_of_the_face():
    sheet = pd.DataFrame({"NOx": [43.2], "CO": [55.0], "SO2": [1.5]})
    fd = fuel_factors(
        carbon=85.2, hydrogen=12.8, nitrogen=0.01, sulfur=0.12, oxygen=1.84, gcv_btu_lb=19595
    ).fd
    assert round(fd) == 8991
    at_15 = convert(sheet, "NOx", PPM, GasBasis("ppm", o2_pct=15), o2_pct=4.2, o2_constant=20.9)
    assert at_15.round(1).to_numpy().tolist() == [[15.3, 19.4, 0.5]]
    pounds, rates = {}, {}
    for name, ppm in sheet.iloc[0].items():
        k = conversion.lb_scf_per_ppm(str(name))
        pounds[name] = round(conversion.lb_h_from_ppm(ppm, k=k, dscf_min=5780), 2)
        rates[name] = round(conversion.lb_mmbtu_from_ppm(ppm, k=k, fd=fd, o2_pct=4.2), 3)
    assert pounds == {"NOx": 1.79, "CO": 1.39, "SO2": 0.09}
    assert rates == {"NOx": 0.058, "CO": 0.045, "SO2": 0.003}


# ---- kinds, index, names -------------------------------------------------------------------------------


def test_a_series_keeps_its_index_and_takes_its_unit_into_its_name():
    nox = pd.Series([100.0, np.nan, 80.0, 0.0], index=STAMPS, name="nox [ppm]")
    out = convert(nox, "NOx", PPM, LIMIT, o2_pct=pd.Series(3.0, index=STAMPS), o2_constant=21)
    assert out.index is nox.index or out.index.equals(nox.index)
    assert out.name == "nox [mg/Nm3, dry, 6 % O2]"
    assert np.isnan(out.iloc[1]) and out.iloc[3] == 0
    assert nox.name == "nox [ppm]", "the input stays as it was"


def test_each_kind_answers_in_kind():
    as_number = mg_m3_from_ppm(100.0, "CO")
    assert isinstance(as_number, float)
    as_array = mg_m3_from_ppm(np.array([100.0, np.nan]), "CO")
    assert isinstance(as_array, np.ndarray) and as_array[0] == as_number and np.isnan(as_array[1])
    frame = pd.DataFrame({"co [ppm]": [100.0], "stack 2": [50.0]}, index=["a"])
    out = mg_m3_from_ppm(frame, "CO", temperature_c=20, dry=False)
    assert list(out.columns) == ["co [mg/m3, 20 degC, wet]", "stack 2 [mg/m3, 20 degC, wet]"]
    assert list(out.index) == ["a"]
    assert mg_m3_from_ppm([100.0, 1.0], "CO").tolist()[0] == as_number
    assert mg_m3_from_ppm(pd.Series([1.0]), "CO").name == "CO [mg/m3, 0 degC, dry]"
    assert mg_m3_from_ppm(np.array([]), "CO").size == 0


def test_dtypes_of_a_historian_are_understood():
    for values in (np.array([1, 2]), pd.Series([1, 2], dtype="Int64"), np.array([1, 2], dtype=np.float32)):
        assert np.allclose(
            np.asarray(mg_m3_from_ppm(values, "CO"), dtype=float), [1.24967, 2.49933], atol=1e-5
        )


# ---- errors --------------------------------------------------------------------------------------------


def refused(match: str, call, *args, **options):
    with pytest.raises(emisopt.InputError, match=match) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)


def test_the_first_bad_row_is_named_with_tag_and_time():
    nox = pd.Series([100.0, 90.0, -3.0, -4.0], index=STAMPS, name="nox [ppm]")
    where = r"tag 'nox', row 2 \(2024-02-29 23:30:00 UTC\): expected a finite concentration >= 0 .*got -3$"
    refused(where, convert, nox, "NOx", PPM, LIMIT, o2_pct=3.0, o2_constant=21)
    o2 = pd.Series([3.0, 21.0, 3.0, 3.0], index=STAMPS)
    where = r"tag 'nox', row 1 \(2024-02-29 23:15:00 UTC\): expected oxygen in \[0, 21\) %, got 21$"
    refused(where, convert, nox.abs(), "NOx", PPM, LIMIT, o2_pct=o2, o2_constant=21)
    refused(r"row 3: expected moisture in \[0, 100\) %, got 100$", convert, [1.0] * 4, "NOx", WET, PPM,
            moisture_pct=[1, 2, 3, 100])  # fmt: skip
    naive = nox.tz_localize(None)  # whose zone nobody knows: the row alone is named
    refused(r"tag 'nox', row 2: expected", convert, naive, "NOx", PPM, LIMIT, o2_pct=3.0, o2_constant=21)


def test_what_is_missing_or_wrong_in_a_call_is_said():
    refused("expected o2_constant", convert, 1.0, "NOx", PPM, LIMIT, o2_pct=3.0)
    refused("expected the measured oxygen", convert, 1.0, "NOx", PPM, LIMIT, o2_constant=21)
    refused("expected the moisture", convert, 1.0, "NOx", WET, PPM)
    refused("did you mean 'NOx'", convert, 1.0, "NOX2", PPM, LIMIT, o2_pct=3.0, o2_constant=21)
    refused("did you mean 'mg/m3'", convert, 1.0, "NOx", PPM, GasBasis("mgm3"))
    refused("expected numbers, got list", convert, ["a"], "NOx", PPM, GasBasis())
    refused(r"expected \(n,\), got \(1, 1\)", convert, [[1.0]], "NOx", PPM, GasBasis())
    refused("expected the index of the values", o2_corrected, pd.Series([1.0, 2.0]),
            o2_pct=pd.Series([3.0, 3.0], index=[1, 2]), reference_pct=6, o2_constant=21)  # fmt: skip
    refused(
        r"convert\(o2_pct\): expected \(n=2,\) or one value, got \(3,\)",
        o2_corrected,
        [1.0, 2.0],
        o2_pct=[1.0, 2.0, 3.0],
        reference_pct=6,
        o2_constant=21,
    )
    refused("expected 'printed' or 'molar mass'", conversion.lb_scf_per_ppm, "NOx", source="x")


def test_a_name_that_says_another_unit_is_refused():
    mixed = pd.DataFrame({"stack 1 [ppm]": [1.0], "stack 2 [mg/m3]": [2.0]})
    refused(
        r"column 'stack 2 \[mg/m3\]': expected ppm, dry, its name says mg/m3",
        convert,
        mixed,
        "CO",
        PPM,
        GasBasis(),
    )
    other = pd.Series([1.0], name="co [ppm, wet]")
    refused("expected ppm, dry, its name says ppm, wet", convert, other, "CO", PPM, GasBasis())
    refused(
        "expected kg/h, its name says lb/h",
        conversion.t_a_from_kg_h,
        pd.Series([1.0], name="co [lb/h]"),
        hours=1,
    )


# ---- properties ----------------------------------------------------------------------------------------

BASES = [PPM, WET, LIMIT, GasBasis("mg/m3", 20), GasBasis("g/m3", 25, dry=False), GasBasis("%", o2_pct=15)]


@given(
    st.lists(st.floats(0, 1e6) | st.just(np.nan), min_size=1, max_size=20),
    st.sampled_from(BASES),
    st.sampled_from(BASES),
    st.floats(0, 15),
    st.floats(0, 25),
    st.booleans(),
)
def test_there_and_back_is_the_identity(values, source, target, o2, moisture, o2_dry):
    options = {"o2_pct": o2, "moisture_pct": moisture, "o2_dry": o2_dry, "o2_constant": 20.9}
    there = convert(np.array(values), "SO2", source, target, **options)
    back = convert(there, "SO2", target, source, **options)
    assert np.allclose(back, values, rtol=1e-12, atol=1e-300, equal_nan=True)


@given(st.floats(0, 1e3), st.sampled_from(BASES), st.sampled_from(BASES), st.sampled_from(BASES))
def test_a_detour_over_a_third_basis_changes_nothing(value, a, b, c):
    options = {"o2_pct": 4.0, "moisture_pct": 12.0, "o2_constant": 21}
    direct = convert(value, "NOx", a, c, **options)
    assert convert(convert(value, "NOx", a, b, **options), "NOx", b, c, **options) == pytest.approx(
        direct, rel=1e-12
    )


# ---- maps ----------------------------------------------------------------------------------------------


def test_a_map_and_the_function_give_one_number_and_its_slope():
    names = ["nox [ppm]", "o2 [%]"]
    core = _core.GasConversion("NOx", WET.to_core(), LIMIT.to_core(), 21.0, False)
    first = _core.ConversionMap(names, [(0, core, _core.Source.output(1), _core.Source.constant(10.0))])
    rate = _core.RateMap(first.names, "nox [kg/h]", 1e-6, _core.Source.output(0), _core.Source.disturbance(0))
    chain = _core.ChainMap(first, rate)
    y, u, d = np.array([90.0, 7.2]), np.empty(0), np.array([5e5])
    expected = convert(90.0, "NOx", WET, LIMIT, o2_pct=7.2, o2_dry=False, o2_constant=21, moisture_pct=10)
    assert chain.value(y, u, d)[2] == pytest.approx(expected * 0.5, rel=1e-12)
    dy, _ = chain.vjp(np.array([0.0, 0.0, 1.0]), y, u, d)
    for i, h in ((0, 1e-3), (1, 1e-5)):
        step = np.eye(2)[i] * h
        slope = (chain.value(y + step, u, d)[2] - chain.value(y - step, u, d)[2]) / (2 * h)
        assert dy[i] == pytest.approx(slope, rel=1e-7)
    with pytest.raises(emisopt.ShapeError, match=r"OutputMap.value\(y\)"):
        chain.value(y[:1], u, d)
    with pytest.raises(emisopt.ShapeError, match=r"OutputMap.vjp\(seed\)"):
        chain.vjp(np.zeros(2), y, u, d)
    with pytest.raises(emisopt.ShapeError, match=r"OutputMap.value\(u\)"):
        by_setpoint = _core.ConversionMap(
            names, [(0, core, _core.Source.setpoint(1), _core.Source.constant(10.0))]
        )
        by_setpoint.value(y, np.zeros(1), u)


@pytest.mark.parametrize(
    ("made", "y", "u", "expected"),
    [
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", o2="o2", fd=8990.63), [43.2, 4.2, 12.0], [], 0.058037),
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", o2=4.2, fd=8990.63), [43.2, 9.0, 12.0], [], 0.058037),
        (lambda: lb_h_map(OUTPUTS, "nox", "NOx", dscf_min="fan", setpoints=["fan"]), [43.2, 4.2, 12.0],
         [5780.0], 1.78882),
        (lambda: kg_h_map(OUTPUTS, "nox", m3_h=5e5), [200.0, 4.2, 12.0], [], 100.0),
        (lambda: t_a_map(OUTPUTS, "nox", m3_h=5e5, hours=8000), [200.0, 4.2, 12.0], [], 800.0),
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", co2="co2", fc=1040), [60.0, 3.0, 11.7], [],
         1.194e-7 * 60 * 1040 * 100 / 11.7),
    ],
)  # fmt: skip
def test_rates_are_maps_with_slopes(made, y, u, expected):
    rate = made()
    at, none = (np.array(y), np.array(u)), np.zeros(0)
    assert rate.value(*at, none)[-1] == pytest.approx(expected, rel=1e-5)
    assert rate.value(*at, none)[:3].tolist() == y
    seed = np.zeros(4)
    seed[-1] = 1.0
    slope = rate.vjp(seed, *at, none)[0][0]
    assert slope == pytest.approx(expected / y[0], rel=1e-5)  # they are proportional


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx"), "expected o2 and fd, or co2 and fc"),
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", o2="o2", fc=1040), "expected o2 and fd, or co2 and fc"),
        (
            lambda: lb_mmbtu_map(OUTPUTS, "NOX", "NOx", o2="o2", fd=9000),
            "no output 'NOX'; did you mean",
        ),
        (
            lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", o2="o3", fd=9000),
            "setpoint or disturbance 'o3'",
        ),
        (lambda: lb_mmbtu_map(OUTPUTS, "nox", "NOx", o2=20.9, fd=9000), r"oxygen in \[0, 20.9\) %, got 20.9"),
        (lambda: t_a_map(OUTPUTS, "nox", m3_h=1.0, hours=9000), "at most 8784 of a year, got 9000"),
    ],
)
def test_maps_that_cannot_be_are_refused(made, told):
    with pytest.raises((InputError, DataError), match=told):
        made()
