"""emisopt.Controller: legal moves under faults, the ladder of outcomes, bias, one test per bad argument."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from emisopt import Controller, Forecaster, Limit, Objective, Setpoint, economic

LIMITS = [Limit("nox", 75, window=12, quantile=0.75), Limit("co", 125, window=12, quantile=0.75)]


@pytest.fixture
def controller(small_forecaster):
    return Controller(small_forecaster, economic(), LIMITS, deadline_s=1.0)


def assert_legal(decision, tags):
    for name in tags.setpoints:
        tag, move, now = tags[name], decision.move[name], decision.applied[name]
        assert tag.low <= move <= tag.high
        assert abs(move - now) <= tag.rate * (1 + 1e-9)


def test_a_decision_is_labelled_and_its_plan_begins_with_the_move(controller, now, boiler_history):
    history, _, known = now
    decision = controller.step(history, known)
    assert decision.ok
    assert list(decision.move.index) == boiler_history[1].setpoints
    assert decision.plan.index[0] == history.index[-1] + pd.Timedelta(seconds=300)
    np.testing.assert_array_equal(decision.plan.iloc[0], decision.move)
    assert decision.trajectories.shape == (12, 12)
    assert np.isfinite(decision.trajectories.to_numpy()).all()
    assert decision.cost > 0
    assert_legal(decision, boiler_history[1])


def test_predicted_trajectories_are_the_forecast_under_the_plan(controller, now, small_forecaster):
    history, _, known = now
    decision = controller.step(history, known)
    forecast = small_forecaster.predict(history, decision.plan, known).xs(0.5, axis=1, level="quantile")
    ours = decision.trajectories.xs("median", axis=1, level="forecast")
    np.testing.assert_allclose(ours[forecast.columns], forecast, rtol=1e-4, atol=1e-3)


def test_the_plan_costs_no_more_than_standing_still_when_limits_are_wide(small_forecaster, now):
    history, _, known = now
    wide = Controller(small_forecaster, Objective({"co2": 1.0}), [], deadline_s=5.0, max_iterations=10)
    decision = wide.step(history, known)
    still = np.tile(decision.applied.to_numpy(), (12, 1))
    held = small_forecaster.predict(history, still, known)["co2", 0.5].sum()
    assert decision.cost <= held + 1e-6 * abs(held)


def test_limits_that_cannot_hold_are_named(small_forecaster, now):
    history, _, known = now
    impossible = Controller(
        small_forecaster, economic(), [Limit("nox", 1.0, name="NOx spot")], deadline_s=1.0
    )
    decision = impossible.step(history, known)
    assert decision.status == "LIMIT_SLACKED"
    assert decision.slacks["limit"].tolist() == ["NOx spot"]
    assert decision.slacks["amount"].iloc[0] > 1
    assert "NOx spot" in decision.reason
    assert "NOx spot" in str(decision)
    assert "NOx spot" in decision._repr_html_()


@pytest.mark.parametrize("fault", ["nan outputs", "frozen", "missing sensors", "wild numbers"])
def test_moves_stay_legal_with_broken_sensors(controller, boiler_history, fault):
    history, tags = boiler_history
    rng = np.random.default_rng(4)
    for end in range(2500, 2512):
        broken = history.iloc[:end].copy()
        last = broken.index[-20:]
        if fault == "nan outputs":
            broken.loc[last, tags.outputs] = np.nan
        elif fault == "frozen":
            broken.loc[last, "nox"] = broken["nox"].iloc[-20]
        elif fault == "missing sensors":
            broken.loc[
                last[rng.integers(20)], rng.choice(broken.columns.drop("fuel_grade"), 6, replace=False)
            ] = np.nan
            broken.loc[last, ["o2", "t_fe"]] = np.nan
        else:
            broken.loc[last, ["nox_in", "o2"]] = 1e30
        assert_legal(controller.step(broken), tags)


def test_too_few_rows_hold_and_say_so(controller, now):
    decision = controller.step(now[0].head(10))
    assert decision.status == "HOLD"
    assert not decision.ok
    assert "24 rows" in decision.reason
    np.testing.assert_array_equal(decision.move, decision.applied)
    assert decision.trajectories.isna().all().all()


def test_long_blindness_ramps_to_the_safe_setpoints_within_rates(small_forecaster, now, boiler_history):
    tags = boiler_history[1]
    safe = {"o2_sp": Setpoint(safe=5.0)}
    controller = Controller(small_forecaster, economic(), LIMITS, safe, max_hold=2)
    history = now[0].head(10)
    applied = {n: float(history[n].iloc[-1]) for n in tags.setpoints}
    seen = []
    for _ in range(12):
        decision = controller.step(history, applied=applied)
        assert_legal(decision, tags)
        applied = decision.move.to_dict()
        seen.append(decision.status)
    assert seen[0] == "HOLD"
    assert seen[-1] == "SAFE_RAMP"
    assert applied["o2_sp"] == pytest.approx(5.0)


def test_a_forecaster_that_returns_nan_holds_the_last_move(boiler_history, now):
    history, tags = boiler_history
    sizes = {"context": 24, "horizon": 12, "width": 16, "heads": 2, "layers": 1, "steps": 5}
    broken = Forecaster(**sizes).fit(history, tags=tags, progress=False)
    broken.core_.theta[:] = np.nan
    decision = Controller(broken, economic(), LIMITS).step(*now[:1])
    assert decision.status == "HOLD"
    np.testing.assert_array_equal(decision.move, decision.applied)
    assert "NaN" in decision.reason


def test_bias_follows_what_the_forecast_misses(small_forecaster, boiler_history):
    history, _ = boiler_history
    controller = Controller(small_forecaster, economic(), [], bias="additive", bias_gain=0.5)
    shifted = history.iloc[2400:2470].copy()
    assert (controller.bias_ == 0).all()
    for end in range(40, 60):
        shifted.loc[shifted.index[end:], "nh3_flow"] = history["nh3_flow"].iloc[2400 + end :] + 30
        controller.step(shifted.iloc[:end])
    assert controller.bias_["nh3_flow"] != 0
    controller.reset()
    assert (controller.bias_ == 0).all()


def test_narrower_bounds_are_kept(small_forecaster, now):
    history, _, known = now
    start = float(history["o2_sp"].iloc[-1])
    narrow = {"o2_sp": Setpoint(low=start - 0.02, high=start + 0.01, rate=0.005)}
    decision = Controller(small_forecaster, economic(), LIMITS, narrow).step(history, known)
    assert abs(decision.move["o2_sp"] - start) <= 0.005 + 1e-12
    assert decision.plan["o2_sp"].between(start - 0.02 - 1e-12, start + 0.01 + 1e-12).all()


def test_a_fitted_forecaster_is_required():
    with pytest.raises(NotFittedError, match="not fitted"):
        Controller(Forecaster(), economic(), [])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"limits": [Limit("so2", 1)]}, "Limit.output.: no such tag here: 'so2'"),
        ({"objective": Objective({"noxx": 1.0})}, "did you mean 'nox'"),
        ({"objective": economic(efficiency="eta")}, "economic: no such tag here: 'eta'"),
        ({"setpoints": {"o2": Setpoint()}}, r"Controller.setpoints.: no such tag here: 'o2'"),
        ({"setpoints": {"o2_sp": Setpoint(low=6, high=3)}}, "o2_sp"),
        ({"bias": "sometimes"}, "expected none, additive or multiplicative, got 'sometimes'"),
        ({"blocks": 0}, "blocks"),
        ({"limits": [Limit("nox", 75, window=0)]}, "window"),
    ],
)
def test_bad_arguments_are_named(small_forecaster, change, text):
    with pytest.raises(ValueError, match=text):
        Controller(**{"forecaster": small_forecaster, "objective": economic(), "limits": [], **change})


def test_history_without_a_column_is_refused(controller, now):
    with pytest.raises(ValueError, match="column 'load' is missing"):
        controller.step(now[0].drop(columns="load"))


def test_repr_tells_setpoints_and_limits(controller):
    assert "o2_sp" in repr(controller)
    assert "nox, mean of 12 rows <= 75" in repr(controller)


def test_the_bill_never_lacks_a_load(controller, now):
    history, _, known = now
    held = controller.step(history)
    assert held.ok
    assert np.isfinite(held.cost)
    patchy = known.assign(load=np.nan)
    assert np.isfinite(controller.step(history, patchy).cost)


def test_a_lone_spike_is_put_aside_and_a_jump_is_believed(controller, boiler_history, small_forecaster):
    frame = boiler_history[0]
    base = frame.iloc[:-4].ffill()
    nxt = frame.iloc[-4:-2].ffill().bfill()

    def moves(nox):
        c = Controller(small_forecaster, economic(), LIMITS, deadline_s=5.0)
        rows, out = base, [c.step(base)]
        for i, value in enumerate(nox):
            row = nxt.iloc[[i]].copy()
            row["nox"] = value if value is not None else row["nox"]
            rows = pd.concat([rows, row])
            out.append(c.step(rows))
        return out

    expected = float(moves([])[0].trajectories["nox", "median"].iloc[0])
    missing, spike = moves([np.nan]), moves([expected * 20])
    pd.testing.assert_series_equal(spike[1].move, missing[1].move)
    jump, spikeless = moves([expected * 20, expected * 20]), moves([np.nan, expected * 20])
    pd.testing.assert_series_equal(jump[2].move, spikeless[2].move, check_exact=False, rtol=1e-9)
    believing = Controller(small_forecaster, economic(), LIMITS, deadline_s=5.0, spike_width=0.0)
    believing.step(base)
    row = nxt.iloc[[0]].copy()
    row["nox"] = expected * 20
    believed = believing.step(pd.concat([base, row]))  # its first move is at the rates all the same
    assert not believed.trajectories.equals(spike[1].trajectories)
    assert not np.allclose(believed.plan, spike[1].plan, rtol=1e-3)
