"""emisopt.window_backoff: back-off of averages inside the controller, its file and its replay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from emisopt import Controller, Limit, WindowBackoff, economic
from emisopt.permit import Permit, PermitStream, Signal
from emisopt.replay import read_log, replay, write_log

# Hours of NOx, and CO row by row: the second is no average.
LIMITS = [Limit("nox", 75, window=12, quantile=0.5), Limit("co", 125, quantile=0.5)]
EAGER = {"prior_count": 0.0, "most": 0.5}


def make(forecaster: Any, windows: WindowBackoff | None, **more: Any) -> Controller:
    return Controller(forecaster, economic(), LIMITS, deadline_s=5.0, windows=windows, **more)


def run(controller: Controller, history: Any, first: int = 2500, rows: int = 20, **more: Any) -> Controller:
    for end in range(first, first + rows):
        controller.step(history.iloc[:end], **more)
    return controller


@pytest.fixture(scope="module")
def taught(small_forecaster: Any, boiler_history: Any) -> WindowBackoff:
    c = run(make(small_forecaster, WindowBackoff(**EAGER)), boiler_history[0])
    assert c.windows is not None
    return c.windows.copy()


def test_only_averages_are_learnt(taught: WindowBackoff) -> None:
    table = taught.table()
    assert set(table["limit"]) == {LIMITS[0].label}
    # A rolling hour has a row that closes at each coming step; twenty rows saw the last twelve of them close.
    assert set(table["closes_in"]) == set(range(1, 13))
    assert (table["coming"] == table["closes_in"]).all()
    assert table.set_index("closes_in")["errors"].loc[1] == 19
    assert table.set_index("closes_in")["errors"].loc[12] == 8
    assert "q97" in repr(taught) and taught.hash[:12] in repr(taught)


def test_what_is_learnt_is_the_error_of_the_mean_over_the_rest(
    small_forecaster: Any, boiler_history: Any
) -> None:
    history = boiler_history[0]
    c = make(small_forecaster, WindowBackoff(0.5, lateness=0, **EAGER))
    first = c.step(history.iloc[:2500]).trajectories["nox"]["median"].to_numpy()
    run(c, history, 2501, 5)
    assert c.windows is not None
    table = c.windows.table().set_index("closes_in")
    nox = history["nox"].to_numpy()
    came, before = nox[2500:2505], nox[2493:2500]
    assert np.isfinite(nox[2493:2505]).all()
    room = (12 * 75 - before.sum()) / 5  # of the mean over the rest; what the plan leaves of it is no error
    expected = came.mean() - max(first[:5].mean(), room)
    assert table.loc[5, "errors"] == 1
    assert table.loc[5, "back_off"] == pytest.approx(np.clip(expected, 0, 0.5 * 75), abs=1e-9)


def test_untaught_it_changes_no_bit(small_forecaster: Any, boiler_history: Any) -> None:
    history = boiler_history[0].iloc[:2500]
    bare, fresh = (make(small_forecaster, w).step(history) for w in (None, WindowBackoff()))
    pd.testing.assert_frame_equal(bare.plan, fresh.plan, check_exact=True)
    pd.testing.assert_frame_equal(bare.trajectories, fresh.trajectories, check_exact=True)
    assert (bare.status, bare.cost, bare.work) == (fresh.status, fresh.cost, fresh.work)


def test_a_prior_is_kept_free(small_forecaster: Any, boiler_history: Any) -> None:
    history = boiler_history[0].copy()
    history.iloc[2480:2500, history.columns.get_loc("nox")] = 74.0  # an hour near its limit
    bare = make(small_forecaster, None).step(history.iloc[:2500])
    held = make(small_forecaster, WindowBackoff(prior=0.1)).step(history.iloc[:2500])
    nox = [d.trajectories["nox"]["median"].to_numpy() for d in (bare, held)]
    assert nox[1].mean() < nox[0].mean() - 1.0


def test_calibration_gas_teaches_nothing(small_forecaster: Any, boiler_history: Any) -> None:
    history = boiler_history[0].copy()
    gas = make(small_forecaster, WindowBackoff(lateness=0, **EAGER))
    gas.step(history.iloc[:2500])
    history.iloc[2500, history.columns.get_loc("nox")] = 74.0
    gas.step(history.iloc[:2501], calibrating=["nox"])
    assert gas.windows is not None
    # The window of one row is dropped; of longer ones the row counts as unknown.
    assert gas.windows.table().empty
    same = make(small_forecaster, WindowBackoff(lateness=0, **EAGER))
    same.step(history.iloc[:2500])
    same.step(history.iloc[:2501])
    assert same.windows is not None
    assert same.windows.table()["errors"].sum() == 1


def test_a_replay_learns_the_same_bits(
    small_forecaster: Any, boiler_history: Any, taught: WindowBackoff, tmp_path: Any
) -> None:
    c = run(make(small_forecaster, taught, record=True), boiler_history[0], 2600, 6)
    assert replay(c.log, make(small_forecaster, taught))["same"].all()
    write_log(c, tmp_path / "log")
    head, ticks = read_log(tmp_path / "log")
    assert head["windows"] == taught.hash
    assert len({t["windows"] for t in ticks}) == len(ticks)
    # The file brings the state along.
    fresh = WindowBackoff()
    assert replay(tmp_path / "log", make(small_forecaster, fresh))["same"].all()
    with pytest.raises(ValueError, match="expected the windows of the log"):
        replay(tmp_path / "log", make(small_forecaster, None))
    other = Controller(small_forecaster, economic(), LIMITS[:1], deadline_s=5.0, windows=fresh)
    with pytest.raises(ValueError, match="expected the state of"):
        replay(tmp_path / "log", other)
    assert not replay(c.log, make(small_forecaster, fresh))["same"].all()


def test_a_state_goes_through_a_file_and_goes_on(
    small_forecaster: Any, boiler_history: Any, taught: WindowBackoff, tmp_path: Any
) -> None:
    taught.save(tmp_path / "w")
    again = WindowBackoff.load(tmp_path / "w")
    assert again.hash == taught.hash
    both = [run(make(small_forecaster, w), boiler_history[0], 2600, 5) for w in (taught, again)]
    assert both[0].windows is not None and both[1].windows is not None
    assert both[0].windows.hash == both[1].windows.hash != taught.hash
    # Learnt from two runs whose rows are strangers to each other.
    assert both[0].windows.table()["errors"].sum() > taught.table()["errors"].sum()
    (tmp_path / "w").write_bytes(b"nothing")
    with pytest.raises(OSError, match="w"):
        WindowBackoff.load(tmp_path / "w")


def test_what_does_not_fit_is_refused(small_forecaster: Any, taught: WindowBackoff, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=r"Controller\(windows\): expected the state of"):
        Controller(small_forecaster, economic(), LIMITS[:1], windows=taught)
    for bad in ({"quantile": 1.0}, {"prior": -1.0}, {"memory": 0}, {"prior": 0.3, "most": 0.1}):
        with pytest.raises(ValueError, match="WindowBackoffConfig"):
            WindowBackoff(**bad)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="fresh"):
        WindowBackoff().save(tmp_path / "none")
    assert WindowBackoff().table().empty and WindowBackoff().hash == ""


def test_a_permits_blocks_are_learnt(small_forecaster: Any, boiler_history: Any) -> None:
    rule = {
        "name": "NOx hour", "pollutant": "NOx", "unit": "mg/Nm3", "limit": 75, "verified": True,
        "base": {"length": 3600, "validity": {"need": "any"}},
    }  # fmt: skip
    permit = Permit.from_dict({"name": "p", "source": "test", "rules": [rule]})
    history = boiler_history[0]
    stream = PermitStream(
        permit, {"nox": Signal("NOx", "mg/Nm3")}, period=300, stamp="end", negative="missing", threads=1
    ).push(history.iloc[:2500])
    c = Controller(
        small_forecaster, economic(), [], deadline_s=5.0, permit=stream, permit_options={"quantile": 0.5},
        windows=WindowBackoff(lateness=0, **EAGER),
    )  # fmt: skip
    for end in range(2500, 2530):
        if end > 2500:
            stream.push(history.iloc[end - 1 : end])
        c.step(history.iloc[:end])
    assert c.windows is not None
    table = c.windows.table()
    assert set(table["limit"]) == {"NOx hour"}
    closing = table[table["closes_in"] == table["coming"]]
    assert set(closing["coming"]) >= set(range(2, 12))
