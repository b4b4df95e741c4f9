"""Envelope and process monitor: their promised shares on fresh rows, reasons, bad input."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt.monitor import Envelope, ProcessMonitor, envelope, process


def plant(n: int, seed: int) -> pd.DataFrame:
    """Load wanders slowly, O2 follows it, a valve is on its own."""
    rng = np.random.default_rng(seed)
    slow = np.empty(n)
    level = rng.normal()
    for i in range(n):
        level = 0.9 * level + np.sqrt(1 - 0.81) * rng.normal()
        slow[i] = level
    return pd.DataFrame(
        {
            "load": 150 + 20 * slow,
            "o2": 6 - 0.3 * slow + 0.1 * rng.normal(size=n),
            "valve": 40 + 5 * rng.normal(size=n),
        }
    )


@pytest.mark.parametrize("distance", ["neighbours", "mahalanobis"])
def test_the_level_is_the_share_of_fresh_rows_outside(distance: str) -> None:
    shares = []
    for seed in range(4):
        fitted = Envelope(distance=distance, level=0.05).fit(plant(2000, seed))
        inside = fitted.score(plant(2000, 100 + seed))["inside"]
        shares.append(1 - inside.mean())
    assert 0.03 < np.mean(shares) < 0.07


def test_a_pair_that_contradicts_itself_is_outside_although_each_is_in_its_range() -> None:
    fitted = Envelope().fit(plant(2000, 1))
    row = pd.DataFrame({"load": [190.0], "o2": [6.6], "valve": [40.0]})
    score = fitted.score(row).iloc[0]
    assert not score["inside"] and score["distance"] > fitted.limit_
    assert "load" in fitted.why(row) or "o2" in fitted.why(row)
    assert "valve" not in fitted.why(row)
    parts = fitted.contributions(row).iloc[0]
    assert parts["o2"] > 10 * parts["valve"]
    assert fitted.why(plant(2000, 1).iloc[7]).startswith("inside")


def test_columns_are_taken_by_name_and_missing_ones_named() -> None:
    fitted = Envelope().fit(plant(1000, 1))
    rows = plant(50, 2)
    turned = fitted.score(rows[["valve", "load", "o2"]].assign(other="text"))
    pd.testing.assert_frame_equal(turned, fitted.score(rows))
    with pytest.raises(emisopt.DataError, match="column 'o2' is missing"):
        fitted.score(rows.drop(columns="o2"))
    with pytest.raises(emisopt.DataError, match="expected 3 columns"):
        fitted.score(rows.to_numpy()[:, :2])
    with pytest.raises(emisopt.DataError, match="'o2': expected numbers"):
        Envelope().fit(rows.assign(o2="wet"))


def test_missing_values_are_unknown_never_zero() -> None:
    fitted = Envelope().fit(plant(1000, 1))
    rows = plant(3, 2)
    rows.loc[0, "valve"] = np.nan
    rows.loc[1, ["valve", "load"]] = np.nan
    score = fitted.score(rows)
    assert score["inside"].iloc[0] is not None
    assert score["inside"].iloc[1] is None and np.isnan(score["p"].iloc[1])
    assert fitted.why(rows.iloc[1]) == "unknown: more than half of the row is missing"
    assert np.isnan(fitted.contributions(rows)["valve"].iloc[0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"level": 0.0}, "level"),
        ({"level": 1e-9}, "a finer level cannot be told"),
        ({"distance": "euclid"}, "expected mahalanobis or neighbours"),
        ({"neighbours": 0}, "neighbours"),
        ({"blocks": 1}, "blocks"),
        ({"most_rows": 5}, "most_rows"),
    ],
)
def test_bad_envelope_options_are_named(options, told) -> None:
    with pytest.raises(emisopt.InputError, match=told):
        Envelope(**options).fit(plant(1000, 1))


def test_before_fit_nothing_is_answered() -> None:
    with pytest.raises(emisopt.StateError, match="Envelope: not fitted"):
        Envelope().score(plant(5, 1))
    with pytest.raises(emisopt.StateError, match="ProcessMonitor: not fitted"):
        ProcessMonitor().check(plant(5, 1))
    assert "not fitted" in repr(Envelope()) and "not fitted" in repr(ProcessMonitor())
    with pytest.raises(emisopt.InputError, match="expected one row"):
        Envelope().fit(plant(1000, 1)).why(plant(2, 1))


def test_process_monitor_sees_a_small_lasting_shift_and_names_its_tag() -> None:
    monitor = ProcessMonitor().fit(plant(1500, 1))
    normal = monitor.check(plant(3000, 2))
    assert normal["alarm"].mean() <= 0.01
    rows = plant(600, 3)
    rows.loc[300:, "o2"] += 0.25
    alarms = monitor.check(rows)
    assert alarms["alarm"].iloc[320:].mean() > 0.9
    assert monitor.contributions(rows).iloc[320:].idxmax(axis=1).isin(["o2", "load"]).mean() > 0.95
    assert list(alarms.columns) == ["memory 1", "memory 9", "alarm"]


def test_process_monitor_starts_anew_after_a_gap_in_the_index() -> None:
    monitor = ProcessMonitor(lags=2).fit(plant(1000, 1))
    rows = plant(200, 2)
    stamped = rows.set_axis(pd.date_range("2024-01-01", periods=200, freq="5min"), axis=0)
    gapped = stamped.set_axis(stamped.index.where(np.arange(200) < 100, stamped.index + pd.Timedelta("1h")))
    same, other = monitor.check(stamped), monitor.check(gapped)
    np.testing.assert_array_equal(same["memory 1"].iloc[:100], other["memory 1"].iloc[:100])
    assert same["memory 1"].iloc[100] != other["memory 1"].iloc[100]
    backwards = stamped.set_axis(stamped.index[::-1], axis=0)
    with pytest.raises(emisopt.DataError, match="time does not rise"):
        monitor.check(backwards)


def test_process_monitor_refuses_what_it_cannot_learn_from() -> None:
    with pytest.raises(emisopt.InputError, match="tag 'valve': expected values that vary"):
        ProcessMonitor().fit(plant(500, 1).assign(valve=3.0))
    with pytest.raises(emisopt.InputError, match="20 rows for each of 5 blocks"):
        ProcessMonitor().fit(plant(50, 1))
    with pytest.raises(emisopt.InputError, match="lags"):
        ProcessMonitor(lags=-1).fit(plant(500, 1))
    with pytest.raises(emisopt.DataError, match="array"):
        ProcessMonitor().fit(np.zeros(5))


def test_an_infinite_reading_counts_as_missing() -> None:
    monitor = ProcessMonitor().fit(plant(500, 1))
    rows = plant(100, 2)
    rows.loc[50, "o2"] = np.inf
    assert np.isfinite(monitor.check(rows)["memory 9"]).all()


@pytest.mark.parametrize("module", [envelope, process], ids=lambda m: m.__name__)
def test_docstring_examples_run(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted >= 3 and result.failed == 0
