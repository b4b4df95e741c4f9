"""emisopt.BreakRisk: probabilities of running averages, against what must hold for any forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emisopt import BreakRisk, DataError, InputError, Limit

LIMITS = [Limit("nox", 90, window=12, name="NOx 1 h"), Limit("co", 100, window=6)]


@pytest.fixture
def risk(small_forecaster, boiler_history):
    return BreakRisk(small_forecaster, LIMITS).fit(boiler_history[0], stride=4)


def test_one_row_per_limit_and_window_with_probabilities(risk, now):
    history, plan, known = now
    table = risk.predict(history, plan, known)
    assert list(table.columns) == ["limit", "probability", "median", "high", "headroom"]
    assert (table.groupby("limit").size() == risk.forecaster.core_.config.horizon).all()
    assert table["probability"].between(0, 1).all()
    assert (table["high"] >= table["median"]).all()
    assert set(risk.any_) == {"nox", "co"}
    assert risk.any_["nox"] >= table.loc[table["limit"] == "NOx 1 h", "probability"].max()


def test_a_higher_limit_is_never_more_likely_to_break(risk, now, small_forecaster, boiler_history):
    history, plan, known = now
    forecast = small_forecaster.predict(history, plan, known)
    before = None
    for limit in (40, 70, 90, 120, 400):
        r = BreakRisk(small_forecaster, [Limit("nox", limit, window=12)])
        r.models_ = {"nox": risk.models_["nox"]}
        p = r.assess(history, forecast)["probability"].to_numpy()
        assert before is None or (p <= before).all()
        before = p


def test_same_input_same_bits(risk, now):
    history, plan, known = now
    pd.testing.assert_frame_equal(risk.predict(history, plan, known), risk.predict(history, plan, known))


def test_independent_errors_make_long_averages_too_sure(small_forecaster, boiler_history, now, risk):
    history, plan, known = now
    alone = BreakRisk(small_forecaster, LIMITS, dependence="independent").fit(boiler_history[0], stride=4)

    def width(r):
        last = r.predict(history, plan, known).query("limit == 'NOx 1 h'").iloc[-1]
        return last["high"] - last["median"]

    assert width(alone) < width(risk)


def test_headroom_as_mass_follows_flow_and_rows(risk, now):
    history, plan, known = now
    table = risk.predict(history, plan, known, flow={"nox": 1.2e6}).query("limit == 'NOx 1 h'")
    hours = np.arange(1, 13) * 300 / 3600  # the window of an hour has 1 to 12 coming rows
    np.testing.assert_allclose(table["headroom_kg"], table["headroom"] * 1.2e6 * hours * 1e-6, rtol=1e-12)


def test_missing_past_rows_leave_the_average_to_the_valid_ones(risk, now, small_forecaster):
    history, plan, known = now
    forecast = small_forecaster.predict(history, plan, known)
    holed = history.copy()
    holed.loc[holed.index[-4:], "nox"] = np.nan
    table = risk.assess(holed, forecast)
    assert table["probability"].notna().all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limits": []}, "BreakRisk(limits): expected at least one, got none"),
        ({"known": "all"}, "BreakRisk(known): expected operation or nothing, got 'all'"),
        ({"dependence": "much"}, "BreakRisk(dependence): expected fitted or independent, got 'much'"),
        ({"samples": 3}, "BreakProbability(samples): expected an even number, 2 or more, got 3"),
        ({"limits": [Limit("sox", 1.0)]}, "Limit(output)"),
    ],
)
def test_bad_parameters_are_named(small_forecaster, boiler_history, wrong, message):
    arguments = {"limits": LIMITS} | wrong
    with pytest.raises(InputError) as error:
        BreakRisk(small_forecaster, **arguments).fit(boiler_history[0], stride=4)
    assert message in str(error.value)


def test_too_few_rows_and_not_fitted(small_forecaster, boiler_history, now):
    with pytest.raises(DataError, match="at least 20 forecasts"):
        BreakRisk(small_forecaster, LIMITS).fit(boiler_history[0].iloc[:60])
    with pytest.raises(NotFittedError):
        BreakRisk(small_forecaster, LIMITS).predict(now[0])


def test_clone_keeps_parameters(small_forecaster):
    risk = BreakRisk(small_forecaster, LIMITS, confidence=0.9, dependence="independent")
    copy = clone(risk, safe=False)
    assert copy.get_params()["confidence"] == 0.9
