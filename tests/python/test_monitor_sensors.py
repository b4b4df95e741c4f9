"""Sensor checks from tables to findings: injected faults on the boiler, flags, reports, bad input."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import emisopt
from emisopt.monitor import SensorMonitor, sensors, without_ranges
from emisopt.tags import Tag, TagMap

DAY = 288


@pytest.fixture(scope="module")
def plant():
    """(reference of 30 days, 10 healthy days after it, tag map)"""
    history, tags = emisopt.plants.Boiler(seed=7).simulate_history(days=40, instrument_faults=False)
    return history.iloc[: 30 * DAY], history.iloc[30 * DAY :], tags


@pytest.fixture(scope="module")
def monitor(plant) -> SensorMonitor:
    return SensorMonitor().fit(plant[0], plant[2])


def with_fault(rows: pd.DataFrame, tag: str, begin: int, end: int, change) -> pd.DataFrame:
    out = rows.copy()
    part = out.columns.get_loc(tag)
    out.iloc[begin:end, part] = change(out.iloc[begin:end, part].to_numpy())
    return out


def of(found: pd.DataFrame, tag: str, begin: int = 0) -> pd.DataFrame:
    return found[(found["tag"] == tag) & (found["alarm_row"] >= begin)]


@pytest.mark.parametrize(
    ("tag", "rows", "change", "kind", "within"),
    [
        ("co2", 40, lambda x: np.full(len(x), x[0]), "frozen", 10),
        ("nox_in", 1, lambda x: x * 1.8, "spike", 3),
        ("co2", 100, lambda x: x + 30.0, "disagrees", 4),
        ("o2", 5, lambda x: x + 30.0, "range", 1),
        ("nox", 30, lambda x: np.full(len(x), 1500.0), "stuck", 10),
        ("nox", 1400, lambda x: x + 10.0 * np.arange(len(x)) / DAY, "drift", 700),
    ],
)
def test_a_fault_is_found_named_and_said_in_words(plant, monitor, tag, rows, change, kind, within) -> None:
    begin = 1000
    healthy = monitor.check(plant[1])
    found = monitor.check(with_fault(plant[1], tag, begin, begin + rows, change))
    new = of(found, tag, begin)
    assert len(new) and len(of(healthy, tag, begin)) == 0
    first = new.iloc[0]
    assert first["kind"] == kind, new[["kind", "first_row", "words"]]
    assert begin <= first["alarm_row"] < begin + within
    assert abs(first["first_row"] - begin) <= within
    assert first["first_time"] == plant[1].index[first["first_row"]]
    assert first["last_time"] == plant[1].index[first["last_row"]]
    unit = plant[2][tag].unit
    assert unit in first["words"] and "the other tags say" in first["words"]
    # No neighbour is accused for it.
    others = found[found["alarm_row"].between(begin, begin + rows)]["tag"].unique()
    assert set(others) <= {tag} | set(healthy["tag"])


def test_the_first_of_a_stream_of_rows_is_known_to_follow_the_last(plant, monitor) -> None:
    rows = with_fault(plant[1], "co2", 500, 560, lambda x: np.full(len(x), x[0]))
    rows = pd.concat([rows.iloc[:900], rows.iloc[950:]])  # a gap
    whole = monitor.check(rows)
    stream = monitor.stream()
    for begin, end in ((0, 520), (520, 521), (521, 521), (521, 900), (900, 2000), (2000, len(rows))):
        stream.push(rows.iloc[begin:end])
    pd.testing.assert_frame_equal(stream.findings(), whole)
    assert (whole["kind"] == "frozen").any()


def test_flagged_readings_are_neither_judged_nor_learned_from(plant) -> None:
    reference, test, tags = plant
    bad = with_fault(test, "nox", 700, 760, lambda x: np.full(len(x), 900.0))
    words = np.where(np.arange(len(test)) // 60 == 700 // 60, "calibration", "valid").astype(object)
    words[700:760] = "calibration"
    monitor = SensorMonitor().fit(reference, tags)
    assert len(of(monitor.check(bad), "nox", 690)) > 0
    silent = of(monitor.check(bad, status={"nox": words}), "nox", 690)
    assert not (silent["first_row"] < 800).any()
    # Learning: absurd flagged readings in the reference leave no trace.
    absurd = with_fault(reference, "nox", 1000, 3000, lambda x: x * 0 + 1.0)
    flags = np.ones(len(reference), dtype=bool)
    flags[1000:3000] = False  # booleans: valid
    blank = with_fault(reference, "nox", 1000, 3000, lambda x: x * np.nan)
    with_flags = SensorMonitor().fit(absurd, tags, status={"nox": flags})
    pd.testing.assert_frame_equal(with_flags.limits_, SensorMonitor().fit(blank, tags).limits_)


def test_a_status_tag_is_read_by_its_categories_names() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=4000)
    frame = pd.DataFrame({n: 10 + cause + 0.3 * rng.normal(size=4000) for n in "abc"})
    frame["flag"] = 1.0  # index of "valid" in this map
    frame.loc[3500:3510, "flag"] = 0.0
    frame.loc[3500:3510, "a"] = 99.0
    tags = TagMap(
        (
            *(Tag(n, "K") for n in "abc"),
            Tag("flag", "", kind="categorical", categories=("maintenance", "valid")),
        )
    )
    monitor = SensorMonitor(memory=(12, 60)).fit(frame.iloc[:3000], tags)
    later = frame.iloc[3000:]
    assert not len(monitor.check(later, status={"a": "flag"}).query("400 < first_row < 600 and tag == 'a'"))
    assert len(monitor.check(later).query("400 < first_row < 600 and tag == 'a'"))


def test_reconstruction_is_honest_about_itself_and_uses_no_marked_reading(plant, monitor) -> None:
    _, test, _ = plant
    expected, sd = monitor.reconstruct(test)
    for name in ("co2", "nh3_flow", "nox", "o2"):
        far = ((test[name] - expected[name]) / sd[name]).abs().dropna()
        assert 0.5 < far.median() / 0.6745 < 1.6, name
    assert expected["fuel_grade"].isna().all()
    bad = with_fault(test, "co2", 200, 400, lambda x: x + 60.0)
    findings = monitor.check(bad)
    assert (findings["tag"] == "co2").any()
    clean, _ = monitor.reconstruct(bad, findings=findings)
    misled, _ = monitor.reconstruct(bad)
    truth = expected["load"].iloc[210:390]
    assert (clean["load"].iloc[210:390] - truth).abs().mean() < 0.2 * (
        misled["load"].iloc[210:390] - truth
    ).abs().mean()


def test_replacement_says_where_it_replaced(plant, monitor) -> None:
    _, test, _ = plant
    bad = with_fault(test, "co2", 200, 400, lambda x: x + 60.0)
    repaired, replaced = monitor.replace(bad)
    assert replaced["co2"].iloc[205:395].all()
    assert not replaced["co2"].iloc[:190].any()
    pd.testing.assert_frame_equal(repaired.where(~replaced), bad.where(~replaced), check_dtype=False)
    error = (repaired["co2"] - test["co2"]).iloc[205:395].abs().mean()
    assert error < 6.0 < 60.0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.tuples(
            st.integers(0, 299),
            st.integers(0, 17),
            st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1e308, 1e308, 5e-324]),
        ),
        max_size=60,
    )
)
def test_no_cell_whatever_it_holds_breaks_a_check(plant, monitor, cells) -> None:
    rows = plant[1].iloc[:300].copy()
    names = [n for n in rows.columns if n != "fuel_grade"]
    values = rows[names].to_numpy(copy=True)
    for row, column, value in cells:
        values[row, column % len(names)] = value
    rows[names] = values
    found = monitor.check(rows)
    assert (found["first_row"] >= 0).all() and (found["last_row"] < 300).all()
    assert (found["first_row"] <= found["alarm_row"]).all() or found.empty
    assert not np.isinf(found["value"].to_numpy(dtype=float)).any()
    assert found["words"].map(bool).all()


def test_same_rows_same_findings_to_the_bit(plant) -> None:
    first = SensorMonitor().fit(plant[0], plant[2]).check(plant[1])
    pd.testing.assert_frame_equal(
        SensorMonitor().fit(plant[0], plant[2]).check(plant[1]), first, rtol=0, atol=0
    )


def test_report_holds_table_picture_and_words(plant, monitor) -> None:
    bad = with_fault(plant[1], "co2", 500, 700, lambda x: x + 40.0)
    page = monitor.report(bad, monitor.check(bad), seed=7).html()
    for told in ("disagrees", "<svg", "SYNTHETIC", "the other tags say", "frozen_rows", "seed"):
        assert told in page
    nothing = monitor.check(bad).iloc[:0]
    assert "0 findings" in monitor.report(bad, nothing).html()


def small(n: int = 2000) -> tuple[pd.DataFrame, TagMap]:
    rng = np.random.default_rng(1)
    cause = rng.normal(size=n)
    frame = pd.DataFrame({k: cause + 0.3 * rng.normal(size=n) for k in "abc"})
    return frame, TagMap(tuple(Tag(k, "K") for k in "abc"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"false_alarms": 0.0}, "false_alarms: expected a number above 0"),
        ({"memory": ()}, "memory: expected 1 to 8 numbers"),
        ({"memory": (5, 4)}, "memory: expected rising numbers"),
        ({"memory": (5, 900)}, "needs 18000 reference rows"),
        ({"baseline": 20}, "baseline: expected more rows than the longest memory's 20"),
        ({"blocks": 1}, "blocks: expected 2 to 100"),
        ({"settle_rows": -1}, "settle_rows: expected 0 or more"),
        ({"most_accused": 2.0}, "most_accused"),
        ({"confidence": 1.0}, "confidence"),
        ({"factors": -2}, "factors"),
        ({"rows_per_month": 0}, "rows_per_month"),
    ],
)
def test_bad_options_are_named(options, told) -> None:
    frame, tags = small()
    with pytest.raises(emisopt.InputError, match="SensorMonitor") as error:
        SensorMonitor(**({"memory": (5, 20)} | options)).fit(frame, tags)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_tables_are_named() -> None:
    frame, tags = small()
    monitor = SensorMonitor(memory=(5, 20)).fit(frame, tags)
    with pytest.raises(emisopt.DataError, match="column 'b' is missing"):
        monitor.check(frame.drop(columns="b"))
    with pytest.raises(emisopt.DataError, match="no tag 'd'"):
        monitor.check(frame, status={"d": np.ones(len(frame), bool)})
    with pytest.raises(emisopt.DataError, match=r"status of 'a'.*expected one of valid, calibration"):
        monitor.check(frame, status={"a": np.full(len(frame), "broken", dtype=object)})
    with pytest.raises(emisopt.DataError, match="expected numbers"):
        monitor.check(frame.astype({"a": str}))
    with pytest.raises(emisopt.ConfigError, match=r"SensorMonitor.fit: expected a TagMap, got NoneType"):
        SensorMonitor().fit(frame, None)  # type: ignore[arg-type]
    with pytest.raises(emisopt.StateError, match="not fitted"):
        SensorMonitor().check(frame)
    with pytest.raises(emisopt.ConfigError, match="expected a TagMap"):
        without_ranges("gas_turbine")  # type: ignore[arg-type]
    assert "not fitted" in repr(SensorMonitor())
    assert "3 tags judged" in repr(monitor)


def test_an_empty_table_has_no_findings() -> None:
    frame, tags = small()
    found = SensorMonitor(memory=(5, 20)).fit(frame, tags).check(frame.iloc[:0])
    assert len(found) == 0 and "words" in found.columns


def test_docstring_examples_run() -> None:
    result = doctest.testmod(sensors)
    assert result.attempted >= 8 and result.failed == 0
