"""emisopt.advise: advice inside the training rows, beside what really happened near it."""

import numpy as np
import pytest

from emisopt import Limit, Objective, Setpoint
from emisopt.advise import advise


@pytest.fixture(scope="module")
def advice(small_forecaster, boiler_history):
    history = boiler_history[0].iloc[:2500]
    return advise(small_forecaster, history, Objective({"co2": 1.0}), [Limit("nox", 90, quantile=0.5)])


def test_the_plan_stays_inside_the_hull(advice, small_forecaster):
    hull = small_forecaster.core_.hull
    for name in small_forecaster.setpoints_:
        low, high = hull[small_forecaster.tags_.names.index(name)]
        now = advice.decision.applied[name]
        plan = advice.decision.plan[name]
        assert plan.between(min(low, now) - 1e-9, max(high, now) + 1e-9).all()


def test_the_table_sets_advice_beside_standing_still_and_the_nearest_rows(advice, boiler_history):
    outputs = boiler_history[1].outputs
    assert advice.outputs.index.tolist() == [f"{n}, {boiler_history[1][n].unit}" for n in outputs]
    assert list(advice.outputs.columns) == ["now", "held", "advised", "nearest rows", "spread of them"]
    assert advice.near_in[:4] == tuple(boiler_history[1].setpoints)
    assert np.isfinite(advice.outputs.to_numpy()).all()
    assert advice.neighbours == 50
    assert 0 < advice.distance < 2


def test_the_nearest_rows_are_real_rows(advice, boiler_history):
    history, tags = boiler_history
    for name, value in zip(tags.outputs, advice.outputs["nearest rows"], strict=True):
        assert history[name].min() <= value <= history[name].max()


def test_it_can_be_read(advice):
    assert "nearest rows" in str(advice)
    assert "end of plan" in advice._repr_html_()


def test_bounds_outside_the_training_rows_are_refused(small_forecaster, boiler_history):
    history = boiler_history[0].iloc[:2500]
    with pytest.raises(ValueError, match="'o2_sp': the bounds asked for lie outside the training rows"):
        advise(small_forecaster, history, Objective({}), setpoints={"o2_sp": Setpoint(low=8.0, high=8.5)})
