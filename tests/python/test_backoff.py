"""emisopt.backoff: conformal correction inside the controller, and its replay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emisopt import Controller, Limit, economic
from emisopt.backoff import ConformalBackoff
from emisopt.replay import read_log, replay, write_log

LIMITS = [Limit("nox", 75, window=12, quantile=0.75), Limit("co", 125, window=12, quantile=0.75)]


def make(forecaster: Any, backoff: ConformalBackoff, **more: Any) -> Controller:
    return Controller(forecaster, economic(), LIMITS, deadline_s=5.0, conformal=backoff, **more)


@pytest.fixture(scope="module")
def taught(small_forecaster: Any, boiler_history: Any) -> ConformalBackoff:
    return ConformalBackoff(small_forecaster, LIMITS).learn(
        boiler_history[0].iloc[:2400], first=2200, stride=2
    )


def run(controller: Controller, history: Any, first: int = 2500, rows: int = 8) -> Controller:
    for end in range(first, first + rows):
        controller.step(history.iloc[:end])
    return controller


def test_learning_moves_limited_outputs_only(taught: ConformalBackoff) -> None:
    factors = taught.factors
    assert (factors[["nox", "co"]] != 1).all().all()
    assert (factors.drop(columns=["nox", "co"]) == 1).all().all()
    assert "nox q75" in repr(taught)


def test_a_controller_holds_limits_by_the_learnt_quantile(
    small_forecaster: Any, boiler_history: Any, taught: ConformalBackoff
) -> None:
    history, _ = boiler_history
    plain = Controller(small_forecaster, economic(), LIMITS, deadline_s=5.0)
    bare, held = plain.step(history.iloc[:2500]), make(small_forecaster, taught).step(history.iloc[:2500])
    for name in ("nox", "co"):
        width = [
            (d.trajectories[name]["upper"] - d.trajectories[name]["median"]).to_numpy() for d in (bare, held)
        ]
        if np.allclose(bare.plan, held.plan):
            np.testing.assert_allclose(width[1], taught.factors[name].to_numpy() * width[0], rtol=1e-9)
        assert not np.allclose(width[0], width[1])


def test_labels_change_what_is_kept_free(
    small_forecaster: Any, boiler_history: Any, taught: ConformalBackoff
) -> None:
    c = run(make(small_forecaster, taught), boiler_history[0])
    assert c.backoff is not None
    assert not np.array_equal(c.backoff.factors, taught.core.factors)
    assert c.backoff.began == taught.hash  # the one that was given is left alone


def test_calibration_gas_teaches_nothing(
    small_forecaster: Any, boiler_history: Any, taught: ConformalBackoff
) -> None:
    history = boiler_history[0].copy()
    c = make(small_forecaster, taught)
    c.step(history.iloc[:2500])
    before = c.backoff.factors.copy()  # type: ignore[union-attr]
    history.iloc[2500, history.columns.get_loc("nox")] = 900.0
    c.step(history.iloc[:2501], calibrating=["nox"])
    outputs = list(small_forecaster.outputs_)
    now = c.backoff.factors  # type: ignore[union-attr]
    assert np.array_equal(now[:, outputs.index("nox")], before[:, outputs.index("nox")])


def test_a_replay_learns_the_same_bits(
    small_forecaster: Any, boiler_history: Any, taught: ConformalBackoff, tmp_path: Any
) -> None:
    c = run(make(small_forecaster, taught, record=True), boiler_history[0])
    assert replay(c.log, make(small_forecaster, taught))["same"].all()
    write_log(c, tmp_path / "log")
    head, ticks = read_log(tmp_path / "log")
    assert head["conformal"] == taught.hash
    assert len({t["backoff"] for t in ticks}) == len(ticks)
    # The file brings the state along: a controller that was made with another one takes it.
    fresh = ConformalBackoff(small_forecaster, LIMITS)
    assert replay(tmp_path / "log", make(small_forecaster, fresh))["same"].all()
    without = Controller(small_forecaster, economic(), LIMITS, deadline_s=5.0)
    with pytest.raises(ValueError, match="expected the conformal of the log"):
        replay(tmp_path / "log", without)


def test_a_state_goes_through_a_file(small_forecaster: Any, taught: ConformalBackoff, tmp_path: Any) -> None:
    taught.save(tmp_path / "b")
    assert ConformalBackoff(small_forecaster, LIMITS).load(tmp_path / "b").hash == taught.hash
    with pytest.raises(ValueError, match="expected quantiles"):
        ConformalBackoff(small_forecaster, LIMITS[:1]).load(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"nothing")
    with pytest.raises(Exception, match="b"):
        ConformalBackoff(small_forecaster, LIMITS).load(tmp_path / "b")


def test_another_limits_backoff_is_refused(small_forecaster: Any, taught: ConformalBackoff) -> None:
    with pytest.raises(ValueError, match="expected one made for the quantiles"):
        Controller(small_forecaster, economic(), LIMITS[:1], conformal=taught)
    with pytest.raises(ValueError, match="lateness"):
        ConformalBackoff(small_forecaster, LIMITS, lateness=-1)
