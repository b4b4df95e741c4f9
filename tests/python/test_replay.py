"""emisopt.replay: decisions written down and made again, bit for bit, without a clock."""

import numpy as np
import pytest

from emisopt import Controller, Limit, economic
from emisopt.replay import read_log, replay, write_log

LIMITS = [Limit("nox", 75, window=12, quantile=0.75), Limit("co", 125, window=12, quantile=0.75)]


def make(forecaster, **more):
    return Controller(forecaster, economic(), LIMITS, bias="additive", **{"deadline_s": 0.003, **more})


@pytest.fixture(scope="module")
def recorded(small_forecaster, boiler_history):
    """Fifteen rows whose deadline strikes somewhere, some of them blind, one with a setpoint in hand."""
    history, _ = boiler_history
    c = make(small_forecaster, record=True)
    applied = None
    for k, end in enumerate(range(2500, 2515)):
        rows = history.iloc[:end]
        if k == 6:
            rows = rows.tail(10)
        manual = ["tilt_sp"] if k == 9 else []
        decision = c.step(rows, applied=applied, manual=manual)
        applied = decision.move.to_dict()
        if k == 11:
            c.prepare()
    return c


def test_every_decision_comes_out_the_same(recorded, small_forecaster):
    again = replay(recorded.log, make(small_forecaster, deadline_s=0.003))
    assert again["same"].all()
    assert len(again) == 15
    assert "HOLD" in set(again["status"]) | {"PREVIOUS_PLAN_SHIFTED"}


def test_a_file_does_as_well(recorded, small_forecaster, tmp_path):
    write_log(recorded, tmp_path / "log.jsonl")
    head, ticks = read_log(tmp_path / "log.jsonl")
    assert head["format"] == 1
    assert len(ticks) == 15
    assert replay(tmp_path / "log.jsonl", make(small_forecaster))["same"].all()


def test_another_controller_is_found_out(recorded, small_forecaster, tmp_path):
    write_log(recorded, tmp_path / "log.jsonl")
    other = Controller(small_forecaster, economic(fuel_price_gj=9.0), LIMITS)
    with pytest.raises(ValueError, match="expected the settings of the log"):
        replay(tmp_path / "log.jsonl", other)
    moved = replay(recorded.log, Controller(small_forecaster, economic(), [], deadline_s=0.003))
    assert not moved["same"].all()


def test_what_is_no_log_is_refused(tmp_path, small_forecaster):
    with pytest.raises(RuntimeError, match="record=True"):
        write_log(make(small_forecaster), tmp_path / "x")
    (tmp_path / "x").write_text("{}\n")
    with pytest.raises(ValueError, match="line 1: expected a log of format 1"):
        read_log(tmp_path / "x")
    (tmp_path / "x").write_text("not json\n")
    with pytest.raises(ValueError, match="line 1: expected JSON"):
        read_log(tmp_path / "x")


def test_the_log_holds_missing_values_as_missing(recorded, tmp_path):
    write_log(recorded, tmp_path / "log.jsonl")
    _, ticks = read_log(tmp_path / "log.jsonl")
    values = [v for column in ticks[0]["history"]["columns"].values() for v in column]
    assert None in values
    assert not any(isinstance(v, float) and np.isnan(v) for v in values)
