"""WindowMaker: a row's past by its stamp, whatever the order, the cut or the gap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt.windows import WindowMaker


def series(rows: int = 40, columns: int = 2) -> np.ndarray:
    """(rows, 1 + columns): a stamp every 300 s, then signals without a value twice."""
    return np.column_stack([300.0 * np.arange(rows), np.arange(rows * columns).reshape(rows, columns) + 0.5])


def test_each_lag_is_the_row_that_many_periods_before() -> None:
    x = series(6)
    out = WindowMaker(lags=[0, 1, 3]).fit_transform(x)
    assert out.shape == (6, 6)
    np.testing.assert_array_equal(out[5], np.r_[x[5, 1:], x[4, 1:], x[2, 1:]])
    assert np.isnan(out[2, 4:]).all() and np.isfinite(out[2, :4]).all()


def test_a_number_of_lags_counts_the_row_itself() -> None:
    maker = WindowMaker(lags=3).fit(series())
    assert maker.lags_.tolist() == [0, 1, 2]
    assert maker.get_feature_names_out().tolist() == [f"x{c}_lag{k}" for k in (0, 1, 2) for c in (1, 2)]


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(25)), st.integers(1, 24))
def test_order_and_parts_of_the_table_change_nothing(order: list[int], cut: int) -> None:
    x = series(25)
    maker = WindowMaker(lags=4).fit(x)
    whole = maker.transform(x)
    assert np.isfinite(whole[3:]).all()
    np.testing.assert_array_equal(maker.transform(x[order]), whole[order])
    parts = np.vstack([maker.transform(x[order][:cut]), maker.transform(x[order][cut:])])
    np.testing.assert_array_equal(parts, whole[order])


def test_no_window_crosses_a_gap() -> None:
    x = series(12)
    x[6:, 0] += 10_000.0
    out = WindowMaker(lags=3, period=300).fit_transform(x)
    assert np.isnan(out[6, 2:]).all() and np.isnan(out[7, 4:]).all()
    assert np.isfinite(out[8]).all()


def test_one_lost_row_is_missing_only_where_it_was_needed() -> None:
    x = np.delete(series(10), 4, axis=0)
    out = WindowMaker(lags=3).fit_transform(x)
    after = out[x[:, 0] == 5 * 300.0][0]
    assert np.isnan(after[2:4]).all()  # lag 1 is the lost row
    np.testing.assert_array_equal(after[4:], series(10)[3, 1:])  # lag 2 was measured


def test_a_later_row_never_changes_an_earlier_answer() -> None:
    x = series(30)
    noise = x.copy()
    noise[20:, 1:] = np.random.default_rng(0).normal(size=(10, 2))
    for lags in (1, 5, [2, 7]):
        maker = WindowMaker(lags=lags)
        np.testing.assert_array_equal(maker.fit_transform(x)[:20], maker.fit_transform(noise)[:20])


def test_the_newest_row_alone_has_the_past_that_fit_saw() -> None:
    x = series(20)
    maker = WindowMaker(lags=3).fit(x[:19])
    np.testing.assert_array_equal(maker.transform(x[19:])[0], np.r_[x[19, 1:], x[18, 1:], x[17, 1:]])


def test_rows_given_replace_remembered_ones() -> None:
    x = series(6)
    late = x.copy()
    late[4, 1:] = -1.0  # a laboratory value that came in later
    out = WindowMaker(lags=2).fit(x).transform(late)
    assert out[5].tolist() == [*x[5, 1:], -1.0, -1.0]


def test_contradicting_rows_of_one_stamp_are_missing_as_a_past() -> None:
    x = np.vstack([series(5), series(5)[3:4]])
    out = WindowMaker(lags=2, period=300).fit_transform(x)
    assert np.isfinite(out[4]).all()  # a row that stands there twice says one thing
    x[5, 1] = 99.0
    out = WindowMaker(lags=2, period=300).fit_transform(x)
    assert np.isnan(out[4, 2:]).all()
    assert out[5, 0] == 99.0 and out[3, 0] == x[3, 1]  # each is still its own newest row


def test_stamps_may_be_a_little_off() -> None:
    x = series(30)
    x[:, 0] += np.random.default_rng(1).uniform(-10, 10, 30)  # 20 s of 300 s at most between two rows
    maker = WindowMaker(lags=2, period=300, tolerance=0.1).fit(x)
    assert np.isfinite(maker.transform(x)[1:]).all()
    assert np.isnan(maker.set_params(tolerance=0.001).fit(x).transform(x)[1:, 2:]).mean() > 0.5


def test_a_row_of_unknown_time_has_no_past_and_is_none() -> None:
    x = series(6)
    x[2, 0] = np.nan
    out = WindowMaker(lags=2, period=300).fit_transform(x)
    assert np.isfinite(out[2, :2]).all() and np.isnan(out[2, 2:]).all()
    assert np.isnan(out[3, 2:]).all()


def test_missing_values_stay_missing() -> None:
    x = series(6)
    x[3, 1] = np.nan
    out = WindowMaker(lags=2).fit_transform(x)
    assert np.isnan(out[3, 0]) and np.isnan(out[4, 2]) and np.isnan(out).sum() == 2 + 2  # and the first row's


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_time_index_is_read_across_daylight_saving(zone: str | None) -> None:
    stamps = pd.date_range("2024-03-30 23:30", periods=30, freq="10min", tz="UTC").tz_convert(zone)
    frame = pd.DataFrame({"nox": np.arange(30.0)}, index=stamps)
    out = WindowMaker(lags=2, time="index").set_output(transform="pandas").fit_transform(frame)
    assert out.columns.tolist() == ["nox_lag0", "nox_lag1"] and out.index.equals(stamps)
    assert out["nox_lag1"].tolist()[1:] == list(range(29))


def test_rows_without_stamps_follow_one_another() -> None:
    x = series(5)[:, 1:]
    out = WindowMaker(lags=2, time="order").fit(x).transform(x[2:])
    assert np.isnan(out[0, 2:]).all()  # each call starts anew
    np.testing.assert_array_equal(out[1:, 2:], x[2:4])


def test_a_column_of_stamps_can_be_named() -> None:
    frame = pd.DataFrame(series(5), columns=["t", "nox", "co"])
    maker = WindowMaker(lags=1, time="t").fit(frame)
    assert maker.get_feature_names_out().tolist() == ["nox_lag0", "co_lag0"]
    assert maker.period_ == 300.0


@pytest.mark.parametrize(
    ("settings_", "x", "message"),
    [
        ({"lags": 0}, series(), "expected a number of rows >= 1"),
        ({"lags": [0, -1]}, series(), "a lag below 0 is the future"),
        ({"lags": [1, 1]}, series(), "expected each lag once"),
        ({"lags": [0.5]}, series(), r"got \[0.5\]"),
        ({"tolerance": 0.5}, series(), "expected 0 <= tolerance < 0.5, got 0.5"),
        ({"period": 0.0}, series(), "expected a positive number, got 0"),
        ({"time": "when"}, series(), "expected 'index', 'order' or a column among the 3"),
        ({"time": 3}, series(), "got 3"),
        (
            {"time": "index"},
            series(),
            "a DataFrame with stamps or numbers as its index, got ndarray",
        ),
        ({"time": "index"}, pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"]), "got an index of"),
        ({}, series()[:, :1], r"got 1 feature\(s\)"),
        ({}, series(1), "n_samples=1; give `period`"),
    ],
)
def test_fit_says_what_is_wrong(settings_: dict[str, object], x: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowMaker(**settings_).fit(x)  # type: ignore[arg-type]


def test_a_first_column_that_is_no_stamp_is_pointed_out() -> None:
    noise = np.random.default_rng(2).normal(size=(50, 3))
    with pytest.warns(UserWarning, match="is 0 where the stamps are"):
        WindowMaker().fit(noise)
