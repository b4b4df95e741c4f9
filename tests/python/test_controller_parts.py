"""What a controller takes for the commands in force, and what it says of readings that are none."""

import numpy as np
import pytest

import emisopt
from emisopt import Controller, Limit, economic


@pytest.fixture
def controller(small_forecaster):
    return Controller(small_forecaster, economic(), [Limit("nox", 75)], deadline_s=1.0)


@pytest.fixture
def history(now):
    return now[0]


@pytest.fixture
def tags(boiler_history):
    return boiler_history[1]


@pytest.mark.parametrize("wrong", [-9999.0, 1e6, 0.032])
def test_a_reading_that_no_plant_can_stand_at_is_no_command(controller, history, tags, wrong):
    """o2_sp in 2 to 6.5 %: a sentinel, a spike, a fraction. The move starts from where the plant stands."""
    sound = controller.step(history)
    controller.reset()
    lying = history.copy()
    lying.iloc[-1, lying.columns.get_loc("o2_sp")] = wrong
    decision = controller.step(lying)
    before = float(history["o2_sp"].iloc[-2])
    assert decision.applied["o2_sp"] == before
    setpoint = controller.setpoints["o2_sp"].to_core("o2_sp", tags)
    assert setpoint.low <= decision.move["o2_sp"] <= setpoint.high
    assert abs(decision.move["o2_sp"] - before) <= setpoint.rate + 1e-9
    told = f"setpoint o2_sp: {wrong:g} % lies outside 2 to 6.5; taken as {before:g}, the newest before it"
    assert told in decision.remarks
    assert decision.remarks[0] in str(decision)
    assert sound.remarks == ()


def test_without_a_reading_the_last_command_is_in_force(controller, history, tags):
    controller.reset()
    first = controller.step(history.iloc[:-1])
    lying = history.copy()
    lying.iloc[-1, lying.columns.get_loc("o2_sp")] = np.nan
    assert controller.step(lying).applied["o2_sp"] == first.move["o2_sp"]
    lying.iloc[-1, lying.columns.get_loc("o2_sp")] = -9999.0
    assert controller.step(lying, applied={"o2_sp": 3.25}).applied["o2_sp"] == 3.25
    controller.reset()
    controller.step(history.iloc[:-1])
    assert controller.step(history, applied={"o2_sp": -1.0}).applied["o2_sp"] == history["o2_sp"].iloc[-1]


def test_a_column_in_another_unit_is_refused_before_anything_is_commanded(controller, history):
    controller.reset()
    fractions = history.assign(o2_sp=history["o2_sp"] / 100)
    with pytest.raises(emisopt.InputError, match=r"'o2_sp' has no value .* outside 2 to 6.5\); give the one"):
        controller.step(fractions)


def test_other_readings_outside_their_range_are_said(controller, history, tags):
    controller.reset()
    lying = history.copy()
    lying.iloc[-1, lying.columns.get_loc("o2")] = 90.0
    decision = controller.step(lying)
    assert any(r.startswith("o2: 90 % is outside ") for r in decision.remarks)
    whole = history.assign(o2=np.full(len(history), 90))  # whole numbers, as a file may have them
    assert any(r.startswith("o2: 90 % is outside ") for r in controller.step(whole).remarks)


def test_a_history_older_than_the_last_decisions_is_no_basis_for_another(controller, history):
    controller.reset()
    first = controller.step(history)
    old = controller.step(history.iloc[:-3])
    assert old.status in ("PREVIOUS_PLAN_SHIFTED", "HOLD", "SAFE_RAMP")
    assert "before that of the last decision" in old.reason
    assert old.applied.to_dict() == first.move.to_dict()
    again = controller.step(history.iloc[:-3], applied={"o2_sp": 3.25})
    assert not again.ok, "nor the second time"
    assert again.applied.drop("o2_sp").to_dict() == old.move.drop("o2_sp").to_dict()
    assert again.applied["o2_sp"] == 3.25
    controller.reset()
    assert controller.step(history.iloc[:-3]).ok
    assert controller.step(history).ok


def test_disturbances_outside_their_range_are_neither_held_nor_believed(controller, history, now):
    controller.reset()
    plain = controller.step(history, applied={})
    controller.reset()
    lying = history.copy()
    lying.iloc[-1, lying.columns.get_loc("load")] = -9999.0
    held = controller.step(lying)
    assert held.ok
    assert held.cost == pytest.approx(plain.cost, rel=0.05), "the row before is held, and billed"
    controller.reset()
    coming = now[2].copy()
    told = controller.step(history, coming)
    controller.reset()
    coming["load"] = -9999.0
    unknown = controller.step(history, coming)
    assert unknown.ok
    controller.reset()
    coming["load"] = np.nan
    assert controller.step(history, coming).move.to_dict() == unknown.move.to_dict()
    assert told.ok
