"""emisopt.Controller beyond a plain step: interlocks, prices by time, targets, manual, prepared Jacobians,
strict ranks, and one test per bad statement of a problem."""

import numpy as np
import pandas as pd
import pytest

from emisopt import (
    Controller,
    Interlock,
    Limit,
    Objective,
    Polynomial,
    Setpoint,
    Table,
    Target,
    economic,
)
from emisopt._prices import in_force
from emisopt.errors import ConfigError
from emisopt.permit import PermitStream, Signal
from permit_rows import permit, rule

LIMITS = [Limit("nox", 75, window=12, quantile=0.75), Limit("co", 125, window=12, quantile=0.75)]
FAST = {"deadline_s": 5.0}


def test_interlocks_hold_in_every_row_of_the_plan(small_forecaster, now):
    history, _, known = now
    u = history[["o2_sp", "ofa_sp"]].ffill().iloc[-1]
    most = float(u["ofa_sp"] - 4 * u["o2_sp"]) + 0.3
    lock = Interlock({"ofa_sp": 1.0, "o2_sp": -4.0}, high=most, low=most - 5, name="air split")
    decision = Controller(small_forecaster, Objective({"co": 1.0}), [], interlocks=[lock], **FAST).step(
        history, known
    )
    assert decision.ok
    value = decision.plan["ofa_sp"] - 4 * decision.plan["o2_sp"]
    assert value.max() <= most + 1e-9
    assert value.min() >= most - 5 - 1e-9


def test_a_polynomial_of_setpoints_is_followed(small_forecaster, now):
    history, _, known = now
    start = float(history["o2_sp"].ffill().iloc[-1])
    wish = start + 0.5
    own = Polynomial(
        {"o2_sp": -2 * wish * 100}, {("o2_sp", "o2_sp"): 100.0}, wish * wish * 100, name="near a wish"
    )
    c = Controller(small_forecaster, Objective(costs=[own]), [], mode="converged", **FAST)
    decision = c.step(history, known)
    assert abs(decision.plan["o2_sp"].iloc[-1] - wish) < 0.05


def test_a_table_is_a_cost(small_forecaster, now):
    history, _, known = now
    start = float(history["tilt_sp"].ffill().iloc[-1])
    valley = Table("tilt_sp", [(start - 40, 400.0), (start + 2, 0.0), (start + 40, 380.0)])
    c = Controller(small_forecaster, Objective(costs=[valley]), [], mode="converged", **FAST)
    decision = c.step(history, known)
    assert abs(decision.plan["tilt_sp"].iloc[-1] - (start + 2)) < 0.5


def test_targets_are_tracked_and_are_not_money(small_forecaster, now):
    history, _, known = now
    base = Controller(small_forecaster, Objective(), [], **FAST).step(history, known)
    middle = float(base.trajectories["nox", "median"].iloc[-1])
    wish = Target("nox", middle * 0.93, weight=50.0, scale=0.05 * middle)
    decision = Controller(small_forecaster, Objective(targets=[wish]), [], mode="converged", **FAST).step(
        history, known
    )
    reached = float(decision.trajectories["nox", "median"].iloc[-1])
    assert abs(reached - wish.value) < abs(middle - wish.value)
    assert decision.cost == 0


def test_prices_by_time_change_the_plan(small_forecaster, now):
    history, _, known = now
    index = pd.date_range(history.index[-1], periods=20, freq="300s")
    late = pd.Series([0.0] * 7 + [1000.0] * 13, index=index)
    flat = Controller(small_forecaster, Objective({"co2": 0.0}), [], **FAST).step(history, known)
    changing = Controller(small_forecaster, Objective({"co2": late}), [], **FAST).step(history, known)
    expected = (changing.trajectories["co2", "median"] * in_force(late, changing.plan.index, "x")).sum()
    assert changing.cost == pytest.approx(expected, rel=1e-6)
    assert flat.cost == 0


def test_the_bills_prices_may_come_by_time(small_forecaster, now):
    history, _, known = now
    index = pd.date_range(history.index[-1], periods=20, freq="300s")
    same = Controller(small_forecaster, economic(fuel_price_gj=3.2), LIMITS, **FAST).step(history, known)
    series = pd.Series(3.2, index=index)
    by_time = Controller(small_forecaster, economic(fuel_price_gj=series), LIMITS, **FAST).step(
        history, known
    )
    assert by_time.cost == pytest.approx(same.cost, rel=1e-5)


def test_gaps_in_prices_are_named(small_forecaster, now):
    history, _, known = now
    index = pd.date_range(history.index[-1], periods=20, freq="300s")
    gap = pd.Series(1.0, index=index)
    gap.iloc[5] = np.nan
    c = Controller(small_forecaster, Objective({"co2": gap}), [])
    with pytest.raises(ValueError, match=r"Objective\(prices\['co2'\]\): .* got a gap at .* \(step 4\)"):
        c.step(history, known)
    short = Controller(small_forecaster, economic(fuel_price_gj=pd.Series(1.0, index=index[:4])), [])
    with pytest.raises(ValueError, match=r"economic\(\['fuel_price_gj'\]\): .* a gap at"):
        short.step(history, known)
    zone = Controller(small_forecaster, Objective({"co2": pd.Series([1.0, 1.0], index=[0, 1])}), [])
    with pytest.raises(ValueError, match="expected an index of time stamps"):
        zone.step(history, known)


def test_manual_setpoints_stay_and_come_back_within_their_rate(small_forecaster, boiler_history):
    history, tags = boiler_history
    c = Controller(small_forecaster, economic(), LIMITS, **FAST)
    end = 2500
    mine = float(history["o2_sp"].ffill().iloc[end - 1])
    for k in range(3):
        mine += 0.1
        decision = c.step(history.iloc[: end + k], applied={"o2_sp": mine}, manual=["o2_sp"])
        assert decision.ok
        assert (decision.plan["o2_sp"] == mine).all()
    free = c.step(history.iloc[: end + 3], applied={"o2_sp": mine})
    assert abs(free.move["o2_sp"] - mine) <= tags["o2_sp"].rate + 1e-12


def test_calibration_moves_no_bias(small_forecaster, boiler_history):
    history, _ = boiler_history
    shifted = history.iloc[2400:2470].copy()
    c = Controller(small_forecaster, economic(), [], bias="additive", bias_gain=0.5)
    for end in range(40, 46):
        shifted.loc[shifted.index[end:], "nh3_flow"] = history["nh3_flow"].iloc[2400 + end :] + 30
        c.step(shifted.iloc[:end], calibrating=["nh3_flow"])
    assert c.bias_["nh3_flow"] == 0


def test_a_prepared_jacobian_leaves_the_step_without_one(small_forecaster, boiler_history):
    history, _ = boiler_history
    c = Controller(small_forecaster, economic(), LIMITS, mode="rti", **FAST)
    assert not c.prepare()
    first = c.step(history.iloc[:2500])
    assert first.iterations == 1
    assert c.prepare()
    second = c.feedback(history.iloc[:2501])
    assert second.ok
    assert second.iterations == 1  # the prepared one
    assert second.adjoint >= 0


def test_converged_mode_says_optimal_with_a_small_residual(small_forecaster, now):
    history, _, known = now
    limits = [Limit("nox", 130, window=12, quantile=0.75), LIMITS[1]]
    plans = {}
    for adjoint in (0, 2, 6):
        c = Controller(
            small_forecaster, economic(), limits, mode="converged", deadline_s=20.0, adjoint_steps=adjoint
        )
        plans[adjoint] = c.step(history, known)
        assert plans[adjoint].status == "OPTIMAL", plans[adjoint].reason
        assert plans[adjoint].kkt <= 1e-5
    assert plans[6].iterations < plans[0].iterations
    assert plans[6].cost == pytest.approx(plans[0].cost, rel=1e-5)


def test_hard_cap_and_dead_band(small_forecaster, now, boiler_history):
    history, _, known = now
    tags = boiler_history[1]
    c = Controller(
        small_forecaster, economic(), LIMITS, {"o2_sp": Setpoint(dead_band=0.02)}, max_move=0.01, **FAST
    )
    decision = c.step(history, known)
    for name in tags.setpoints:
        step = abs(decision.move[name] - decision.applied[name])
        assert step <= 0.01 * (tags[name].high - tags[name].low) * (1 + 1e-9)
    moved = abs(decision.move["o2_sp"] - decision.applied["o2_sp"])
    assert moved == 0 or moved >= 0.02


def test_strict_ranks_give_the_first_limit_no_less(small_forecaster, now):
    history, _, known = now
    limits = [
        Limit("nox", 30, quantile=0.5, rank=1, name="NOx"),
        Limit("co", 5, quantile=0.5, rank=2, name="CO"),
    ]
    worst = {}
    for ranks in ("penalty", "lexicographic"):
        c = Controller(small_forecaster, economic(), limits, ranks=ranks, mode="converged", deadline_s=20.0)
        decision = c.step(history, known)
        assert decision.status == "LIMIT_SLACKED"
        worst[ranks] = float(decision.slacks.set_index("limit")["amount"]["NOx"])
    assert worst["lexicographic"] <= worst["penalty"] + 0.05


def test_slack_is_told_by_output_window_and_time(small_forecaster, now):
    history, _, known = now
    c = Controller(small_forecaster, economic(), [Limit("nox", 1.0, window=6, name="NOx 30 min")], **FAST)
    slack = c.step(history, known).slacks.iloc[0]
    assert slack["output"] == "nox"
    assert slack["worst_to"] - slack["worst_from"] == pd.Timedelta(seconds=5 * 300)
    assert slack["worst_to"] > history.index[-1]


def test_explain_names_the_limit_its_price_and_alternatives(small_forecaster, now):
    history, _, known = now
    c = Controller(small_forecaster, economic(), [Limit("nox", 60, name="NOx spot", quantile=0.5)],
                   mode="converged", deadline_s=20.0)  # fmt: skip
    with pytest.raises(RuntimeError, match="step first"):
        c.explain()
    decision = c.step(history, known)
    why = c.explain()
    assert {"limit", "bound", "rate", "interlock", "held"} >= set(why.reasons["kind"])
    assert "NOx spot" in set(why.reasons["name"])
    price = why.reasons.set_index("name").loc["NOx spot"]
    assert price["unit"] == "EUR per mg/Nm3"
    assert price["price"] > 0
    assert set(why.alternatives["held"]) <= set(decision.move.index)
    for text in (str(why), why._repr_html_()):
        assert "NOx spot" in text
    asked = c.explain({"o2_sp": float(decision.applied["o2_sp"])})
    assert asked.alternatives["held"].tolist() == ["asked"]
    with pytest.raises(ValueError, match=r"explain\(move\): no such tag here: 'o2'"):
        c.explain({"o2": 3.0})


def test_the_plot_shows_limits_and_moves(small_forecaster, now):
    history, _, known = now
    c = Controller(small_forecaster, economic(), LIMITS, **FAST)
    with pytest.raises(RuntimeError, match="step first"):
        c.plot()
    c.step(history, known)
    figure = c.plot(history=history)
    assert [a.get_ylabel().split("\n")[0] for a in figure.axes] == [
        "nox", "co", "o2_sp", "ofa_sp", "nh3_ratio_sp", "tilt_sp",
    ]  # fmt: skip


def test_the_steady_target_is_inside_the_bounds(small_forecaster, now, boiler_history):
    history, _, known = now
    c = Controller(small_forecaster, economic(), LIMITS, **FAST)
    assert c.steady_target_.isna().all()
    c.step(history, known)
    for name, value in c.steady_target_.items():
        assert boiler_history[1][name].low <= value <= boiler_history[1][name].high
    wish = {n: float(history[n].ffill().iloc[-1]) for n in c.setpoints}
    c.step(history, known, steady_target=wish)
    with pytest.raises(ValueError, match="setpoint 'ofa_sp' is missing"):
        c.step(history, known, steady_target={"o2_sp": 3.0})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": "fast"}, r"Controller\(mode\): expected rti, bounded, converged, got 'fast'"),
        ({"ranks": "some"}, r"Controller\(ranks\): expected penalty or lexicographic"),
        ({"max_move": 0.0}, "max_move"),
        ({"adjoint_steps": -1}, "adjoint_steps"),
        ({"target_weight": -1.0}, "target_weight"),
        ({"interlocks": [Interlock({"o3_sp": 1.0}, high=1)]}, "Interlock 'interlock': weights: no such tag"),
        ({"interlocks": [Interlock({"o2_sp": 1.0}, name="x")]}, "Interlock 'x': expected low or high"),
        ({"interlocks": [Interlock({"o2_sp": 1.0}, 2, 1, "x")]}, "Interlock 'x': expected low <= high"),
        ({"objective": Objective(costs=[Table("nox", [(0, 1)])])}, "'table of nox': expected as many"),
        ({"objective": Objective(costs=[Table("soot", [(0, 1), (1, 1)])])}, "no such tag here: 'soot'"),
        ({"objective": Objective(costs=[Polynomial({"soot": 1.0})])}, "no such tag here: 'soot'"),
        ({"objective": Objective({"o2_sp": 1.0})}, "'o2_sp' is a setpoint, .* setpoints={'o2_sp': Setpoint"),
        ({"objective": Objective(targets=[Target("nox", 1, scale=0)])}, "Tracking 0: expected scale > 0"),
        ({"objective": Objective(targets=[Target("soot", 1)])}, "no such tag here: 'soot'"),
        ({"setpoints": {"o2_sp": Setpoint(dead_band=-1)}}, "'o2_sp': expected dead_band >= 0"),
        ({"setpoints": {"o2_sp": Setpoint(hold_rows=-1)}}, "'o2_sp': expected hold_rows >= 0"),
        ({"setpoints": {"o2_sp": Setpoint(low=5, high=4)}}, "'o2_sp': expected high above low"),
        ({"limits": [Limit("nox", float("nan"))]}, "nox"),
    ],
)
def test_bad_statements_are_named(small_forecaster, change, text):
    with pytest.raises(ValueError, match=text):
        Controller(**{"forecaster": small_forecaster, "objective": economic(), "limits": [], **change})


def test_a_permit_in_another_unit_than_the_forecasts_is_refused(small_forecaster, now):
    history = now[0]
    document = permit(rule(unit="ppm", limit=40, base={"length": 3600, "validity": {"need": "any"}}))
    stream = PermitStream(document, {"nox": Signal("NOx", "ppm")}, period=300, negative="missing")
    stream.push(history)
    with pytest.raises(
        ConfigError, match="column 'nox': expected the unit of the forecaster's tags, 'mg/Nm3'"
    ):
        Controller(small_forecaster, economic(), [], permit=stream)


def test_bad_arguments_of_a_step_are_named(small_forecaster, now):
    history, _, known = now
    c = Controller(small_forecaster, economic(), LIMITS)
    with pytest.raises(ValueError, match=r"Controller.step\(manual\): no such tag here: 'o2'"):
        c.step(history, known, manual=["o2"])
    c = Controller(small_forecaster, economic(), LIMITS, bias="additive")
    c.step(history.iloc[:-1], known)
    with pytest.raises(ValueError, match=r"Controller.step\(calibrating\): no such tag here: 'nix'"):
        c.step(history, known, calibrating=["nix"])
    with pytest.raises(ValueError, match="expected none beside fuel"):
        Controller(small_forecaster, Objective({"co": 1.0}, fuel=economic().fuel), [])
