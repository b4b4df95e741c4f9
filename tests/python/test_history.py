"""emisopt.history: tables into core histories and back, labels of coming rows, held disturbances."""

import numpy as np
import pandas as pd
import pytest

from emisopt import DataError, InputError, Tag, TagMap
from emisopt.history import (
    future_index,
    held_disturbances,
    history_frame,
    known_array,
    plan_array,
    to_history,
    to_table,
)

TAGS = TagMap(
    (
        Tag("u", "%", "setpoint", low=0, high=10),
        Tag("load", "MW", known_ahead=True),
        Tag("grade", "", kind="categorical", categories=("A", "B"), known_ahead=True),
        Tag("o2", "%"),
        Tag("nox", "mg/m3", "emission", low=0),
    )
)
FRAME = pd.DataFrame(
    {
        "nox": [50.0, 51.0, np.nan, 53.0],
        "u": [1, 2, 3, 4],
        "load": [100.0, 101.0, 102.0, np.nan],
        "grade": ["A", "B", "B", "A"],
        "o2": [3.0, 3.1, 3.2, 3.3],
    },
    index=[0, 1, 5, 6],
)


def test_a_table_becomes_a_history_and_back():
    history = to_history(FRAME, TAGS)
    assert history.tags.names == TAGS.names
    np.testing.assert_array_equal(history.gap, [False, False, True, False])
    np.testing.assert_array_equal(history.values[:, 2], [0, 1, 1, 0])
    back = history_frame(history)
    np.testing.assert_array_equal(back["nox"], FRAME["nox"])
    assert back["grade"].tolist() == ["A", "B", "B", "A"]
    np.testing.assert_array_equal(to_history(back, TAGS).gap, history.gap)


def test_stamps_survive_the_way_there_and_back():
    tags = TagMap(TAGS.tags, period=300)
    frame = FRAME.set_axis(pd.date_range("2024-03-31", periods=4, freq="300s", tz="UTC"))
    back = history_frame(to_history(frame, tags))
    assert (back.index == frame.index).all()
    assert list(future_index(frame, 300, 2)) == [
        frame.index[-1] + pd.Timedelta(seconds=s) for s in (300, 600)
    ]


def test_rows_without_stamps_are_followed_by_steps():
    assert list(future_index(FRAME, 0, 3)) == [1, 2, 3]


def test_values_are_shared_not_copied_and_cannot_be_written():
    values = to_history(FRAME, TAGS).values
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 7


def test_the_baselines_see_the_same_rows():
    table = to_table(to_history(FRAME, TAGS))
    assert table.outputs == (4,)
    assert table.setpoints == (0,)
    assert table.disturbances == (1, 2, 3)
    assert table.known == (1, 2)
    assert table.categorical == (2,)
    assert table.time is None


def test_plan_keeps_undecided_steps():
    plan = plan_array(pd.DataFrame({"u": [1.0, np.nan]}), TAGS, 2)
    np.testing.assert_array_equal(plan, [[1.0], [np.nan]])


@pytest.mark.parametrize("value", [-0.1, 10.1, np.inf])
def test_plan_outside_the_range_names_setpoint_and_step(value):
    with pytest.raises(InputError, match=r"plan: setpoint 'u', step 2: expected 0 to 10 %"):
        plan_array([[1.0], [value]], TAGS, 2)


def test_known_takes_some_columns_by_name():
    known = known_array(pd.DataFrame({"grade": ["B", "A"]}), TAGS, 2)
    np.testing.assert_array_equal(known, [[np.nan, 1, np.nan], [np.nan, 0, np.nan]])
    assert np.isnan(known_array(None, TAGS, 2)).all()


@pytest.mark.parametrize("value", [-1.0, 401.0, np.inf])
def test_known_outside_the_range_names_disturbance_and_step(value):
    tags = TagMap((Tag("load", "MW", low=0, high=400, known_ahead=True), Tag("nox", "ppm", "emission")))
    rows = np.array([[1.0], [value]])
    for known in (rows, pd.DataFrame(rows, columns=["load"])):
        with pytest.raises(InputError, match="known: disturbance 'load', step 2: expected 0 to 400 MW, got"):
            known_array(known, tags, 2)
        assert known_array(known, tags, 2, bounded=False)[1, 0] == value
    assert known_array([[400.0], [np.nan]], tags, 2)[0, 0] == 400


def test_unknown_category_is_named():
    with pytest.raises(DataError, match=r"known: column 'grade', row 1: .*got 'C'"):
        known_array(pd.DataFrame({"grade": ["B", "C"]}), TAGS, 2)


def test_held_disturbances_repeat_the_newest_known_value():
    held = held_disturbances(FRAME, TAGS, 3)
    assert held["load"].tolist() == [102.0] * 3
    assert held["grade"].tolist() == ["A"] * 3
    assert "o2" not in held


def test_stamps_without_a_period_are_refused():
    frame = FRAME.set_axis(pd.date_range("2024-03-31", periods=4, freq="300s", tz="UTC"))
    with pytest.raises(ValueError, match="period is 0"):
        to_history(frame, TAGS)


def test_an_output_that_is_missing_is_refused_for_training_only():
    frame = FRAME.assign(nox=np.nan)
    with pytest.raises(ValueError, match="nox"):
        to_history(frame, TAGS)
    assert to_history(frame, TAGS, live=True).rows == 4


def test_plans_and_known_with_other_stamps_are_refused(small_forecaster, now):
    history, plan, known = now
    forecast = small_forecaster.predict(history, plan, known)
    late = plan.set_axis(plan.index + pd.Timedelta("1D"))
    with pytest.raises(ValueError, match=r"plan: expected the stamps of the 12 coming rows, .* by position"):
        small_forecaster.predict(history, late, known)
    with pytest.raises(ValueError, match=r"plan: expected the stamps of the 12 coming rows"):
        small_forecaster.jacobian(history, plan.iloc[::-1])
    with pytest.raises(ValueError, match=r"known: expected the stamps of the 12 coming rows"):
        small_forecaster.predict(history, plan, known.iloc[::-1])
    by_position = small_forecaster.predict(history, late.reset_index(drop=True), known)
    pd.testing.assert_frame_equal(by_position, forecast)


def test_a_column_that_lies_outside_its_range_is_told(small_forecaster, now):
    history, plan, known = now
    wrong = history.assign(o2=history["o2"] * 100)
    with pytest.warns(UserWarning, match=r"column 'o2': all \d+ values .* is it in another unit than %\?"):
        small_forecaster.predict(wrong, plan, known)
