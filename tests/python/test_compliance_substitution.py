"""Substitution on Series: records with labels, removal, one clear error each. Tiers: tests/cpp."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emisopt
from emisopt.compliance import monitor_availability, substitute


def counted(gap: int, after: float = 140.0) -> pd.Series:
    """720 hours of 1..720, a gap, one more hour; stamps that cross the change of clocks in spring."""
    values = [*np.arange(1.0, 721.0), *[np.nan] * gap, after]
    index = pd.date_range("2024-03-01", periods=len(values), freq="h", tz="Europe/Berlin")
    return pd.Series(values, index=index, name="so2 [ppm]")


def on(series: pd.Series) -> np.ndarray:
    return np.ones(len(series), dtype=bool)


def test_the_reference_fixture_through_the_face():
    short = substitute(counted(10), operating=on(counted(10)), max_potential=2500)
    assert (short.records["value"] == (720 + 140) / 2).all()
    long = substitute(counted(30), operating=on(counted(30)), max_potential=2500)
    assert (long.records["value"] == 648).all(), "nearest rank: the 648th of 720"
    linear = substitute(counted(30), operating=on(counted(30)), max_potential=2500, percentile="linear")
    expected = np.percentile(np.arange(1, 721), 90)
    assert linear.records["value"].to_numpy() == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx(648.1)


def test_a_record_says_what_the_value_rests_on():
    hours = counted(30)
    filled = substitute(hours, operating=on(hours), max_potential=2500)
    assert filled.values.name == "so2 [ppm]" and filled.values.index.equals(hours.index)
    first = filled.records.iloc[0]
    assert filled.records.index[0] == hours.index[720] == first["gap_first"]
    assert first["lookback_first"] == hours.index[0] and first["lookback_last"] == hours.index[719]
    assert (first["method"], first["gap_hours"], first["lookback_count"]) == ("90th percentile", 30, 720)
    assert first["availability"] == pytest.approx(100 * 720 / 721)
    assert first["availability"] == filled.availability.iloc[720]
    assert np.isnan(first["original"]) and first["before"] == 720 and first["after"] == 140
    assert str(filled) == "30 of 751 hours substituted: 30 90th percentile"


def test_nox_looks_back_2160_hours_of_its_load_range():
    """Domain study, section A: SO2 720 h, NOx and flow 2,160 h (40 CFR 75.33)."""
    values = [*np.arange(1.0, 2501.0), *[np.nan] * 30, 100.0]
    stamps = pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC")
    hours = pd.Series(values, stamps, name="nox")
    options = {"operating": on(hours), "max_potential": 5000, "allow_unverified": True}
    filled = substitute(hours, parameter="NOx", load_range=np.ones(len(hours), int), **options)
    first = filled.records.iloc[0]
    assert first["lookback_count"] == 2160
    assert first["lookback_first"] == hours.index[2500 - 2160]
    assert first["value"] == 340 + 0.9 * 2160
    assert substitute(hours, parameter="SO2", **options).records["lookback_count"].iloc[0] == 720


def test_availability_is_of_8760_operating_hours_in_the_last_26280():
    """40 CFR 75.32: the last 8,760 operating hours, none of them before the last 26,280 clock hours."""
    good = np.zeros(20_000, dtype=bool)
    good[:8760] = True
    share = monitor_availability(np.ones(20_000, dtype=bool), good)
    assert share[8759] == 100
    assert share[8760 + 876 - 1] == pytest.approx(90)
    assert share[2 * 8760 - 1] == 0
    seldom = np.arange(4 * 8760) % 4 == 0  # 8,760 operating hours take 35,040
    early = np.arange(4 * 8760) < 8760
    share = monitor_availability(seldom, early)
    assert share[26_279] == pytest.approx(100 * 8760 / 26_280)
    assert share[-1] == 0, "what was good lies more than 26,280 hours back"


def test_nothing_missing_is_no_record():
    hours = counted(0)
    filled = substitute(hours, operating=on(hours), max_potential=2500)
    assert filled.records.empty and filled.values.equals(hours) and filled.remove().equals(hours)
    assert str(filled).endswith("none")


def test_a_recalled_rule_is_refused_or_marked():
    hours = counted(3)
    options = {"operating": on(hours), "max_potential": 1.2, "parameter": "NOx"}
    ranges = np.zeros(len(hours), dtype=int)
    with pytest.raises(emisopt.InputError, match=r"only recalled.*allow_unverified"):
        substitute(hours, **options, load_range=ranges)
    filled = substitute(hours, **options, load_range=ranges, allow_unverified=True)
    assert not filled.records["verified"].any()
    with pytest.raises(emisopt.InputError, match=r"load_range\): expected whole numbers"):
        substitute(hours, **options, load_range=ranges + 0.5, allow_unverified=True)
    with pytest.raises(emisopt.InputError, match=r"row 5 .*expected a load range >= 0, got -1"):
        unknown = np.where(np.arange(len(hours)) == 5, np.nan, ranges)
        substitute(hours, **options, load_range=unknown, allow_unverified=True)
    assert "UNVERIFIED" in str(filled)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1e4) | st.just(np.nan), max_size=150),
    st.randoms(use_true_random=False),
    st.sampled_from(["nearest rank", "linear"]),
)
def test_substituting_then_removing_is_the_identity(values, random, percentile):
    hours = pd.Series(values, dtype=float)
    operating = np.array([random.random() < 0.9 for _ in values], dtype=bool)
    assured = np.array([random.random() < 0.9 for _ in values], dtype=bool)
    filled = substitute(hours, operating=operating, assured=assured, max_potential=2e4, percentile=percentile)
    assert filled.remove().to_numpy().tobytes() == hours.to_numpy().tobytes()


def test_removing_notices_an_edit():
    hours = counted(10)
    filled = substitute(hours, operating=on(hours), max_potential=2500)
    filled.values.iloc[722] = 1.0
    with pytest.raises(
        emisopt.InputError, match=r"tag 'so2', row 722 \(2024-03-31.*expected the substituted 430, got 1"
    ):
        filled.remove()


def test_errors_name_the_hour_and_the_argument():
    hours = counted(3)
    good = {"operating": on(hours), "max_potential": 2500}
    with pytest.raises(
        emisopt.InputError, match=r"row 5 \(2024-03-01 04:00:00 UTC\): expected a finite value >= 0, got -1"
    ):
        substitute(hours.where(hours != 6, -1.0), **good)
    with pytest.raises(emisopt.InputError, match=r"row 7 .*expected one hour after the row before.*got 7200"):
        substitute(hours.drop(hours.index[7]), **{**good, "operating": on(hours)[1:]})
    with pytest.raises(emisopt.InputError, match="did you mean 'SO2'"):
        substitute(hours, **good, parameter="so2x")
    with pytest.raises(emisopt.InputError, match="'nearest rank' or 'linear'"):
        substitute(hours, **good, percentile="median")
    with pytest.raises(emisopt.InputError, match="expected a Series, got list"):
        substitute([1.0], operating=[True], max_potential=1)
    with pytest.raises(emisopt.InputError, match="operating: expected True and False"):
        substitute(hours, operating=hours, max_potential=2500)
    with pytest.raises(emisopt.ShapeError, match=r"substitution\(operating\)"):
        substitute(hours, operating=[True], max_potential=2500)


def test_availability_of_a_year_of_hours():
    operating, assured = np.ones(9000, dtype=bool), np.ones(9000, dtype=bool)
    assured[:438] = False
    percent = monitor_availability(operating, assured)
    assert (
        percent[8759] == 95.0
        and percent[8760] > 95
        and percent[-1] == pytest.approx(100 * (8760 - 198) / 8760)
    )
