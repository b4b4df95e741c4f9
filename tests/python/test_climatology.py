"""Climatology: quantiles of the same time of day, weekends apart, and nothing that was not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecasting.baseline_simple import Climatology as Baseline
from benchmarks.forecasting.task import Task
from emisopt import Climatology, InputError, Tag, TagMap
from emisopt.history import to_history

TAGS = TagMap((Tag("nox", "mg/m3", "emission"), Tag("dust", "mg/m3", "emission")), period=3600.0)
LEVELS = (0.1, 0.5, 0.9)


def table(rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2021-03-01", periods=rows, freq="h", tz="UTC", name="time")
    frame = pd.DataFrame(rng.normal(50, 10, (rows, 2)), index=index, columns=TAGS.names)
    frame[rng.random(frame.shape) < 0.2] = np.nan
    return frame


def test_it_says_what_the_suites_own_climatology_says() -> None:
    history = table()
    history.iloc[:200, 1] = np.nan  # an analyser that came later
    origins = np.arange(300, 1400, 7)
    steps = (1, 5, 24, 30, 72)
    task = Task("x", history, TAGS, "k", 100, 100, origins, steps, LEVELS, utc_offset=8.0)
    said = Climatology(TAGS, utc_offset=8.0).replay(
        history, 300, 1400, leads=steps, stride=7, quantiles=LEVELS
    )
    np.testing.assert_array_equal(said, Baseline()(task))


def test_rows_that_are_missing_do_not_shift_the_time_of_day() -> None:
    index = pd.date_range("2021-03-01", periods=1000, freq="h", tz="UTC", name="time")
    by_hour = pd.DataFrame({n: index.hour.astype(float) for n in TAGS.names}, index=index)
    lost = by_hour.drop(by_hour.index[[400, 401, 402, 700]])
    said = Climatology(TAGS).replay(lost, 900, 960, leads=(1, 7), quantiles=(0.5,))
    expected = [(lost.index[k - 1].hour + h) % 24 for k in range(900, 960) for h in (1, 7)]
    assert said[..., 0, 0].ravel().tolist() == expected


@pytest.mark.parametrize("delay", [0, 24, 168])
def test_labels_that_have_not_come_are_not_read(delay: int) -> None:
    history = table()
    noise = history.copy()
    noise.iloc[1000:] = 7.0
    model = Climatology(TAGS, delay=delay)
    a, b = (model.replay(h, 900, 1400, leads=(1, 24, 30), quantiles=LEVELS) for h in (history, noise))
    issued = 1000 + delay - 900 + 1
    np.testing.assert_array_equal(a[:issued], b[:issued])
    assert not np.array_equal(a[issued : issued + 24], b[issued : issued + 24])


def test_as_many_rows_as_it_asks_for_give_the_same_bits() -> None:
    history, model = table(2500), Climatology(TAGS, delay=5)
    need = model.rows_needed(30)
    for k in (2000, 2017, 2500):
        whole = model.at(to_history(history[:k], TAGS, live=True), np.array([k]), (1, 30), LEVELS)
        part = model.at(to_history(history[k - need : k], TAGS, live=True), np.array([need]), (1, 30), LEVELS)
        np.testing.assert_array_equal(whole, part)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tags": TagMap(TAGS.tags)}, "a period that divides a day, got 0 s"),
        ({"tags": TagMap(TAGS.tags, period=7000.0)}, "a period that divides a day, got 7000 s"),
        ({"tags": TAGS, "days": 0}, r"days\): expected 1 or more, got 0"),
        ({"tags": TAGS, "delay": -1}, r"delay\): expected 0 or more"),
    ],
)
def test_what_it_cannot_use_is_refused(settings, text):
    with pytest.raises(InputError, match=text):
        Climatology(**settings)


def test_rows_outside_the_history_are_refused() -> None:
    for begin, end in ((0, 5), (5, 5), (5, 10_000)):
        with pytest.raises(InputError, match=r"rows within 1\.\.1500"):
            Climatology(TAGS).replay(table(), begin, end)


def test_without_any_value_it_says_nothing() -> None:
    empty = table()
    empty["dust"] = np.nan
    said = Climatology(TAGS).replay(empty, 900, 910, quantiles=LEVELS)
    assert np.isfinite(said[:, :, 0]).all() and np.isnan(said[:, :, 1]).all()
