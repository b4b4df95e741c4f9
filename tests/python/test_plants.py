"""emisopt.plants.Boiler: rows by name, clones, a history that repeats, arguments by name."""

import numpy as np
import pandas as pd
import pytest

from emisopt.plants import Boiler

USUAL = {"o2_sp": 3.8, "ofa_sp": 18.0, "nh3_ratio_sp": 0.8, "tilt_sp": 0.0}


def test_too_little_air_makes_co_and_more_air_makes_nox():
    means = {}
    for o2 in (2.6, 3.6, 5.0):
        boiler = Boiler(seed=3, slagging=False).settle({**USUAL, "o2_sp": o2})
        rows = [boiler.advance({**USUAL, "o2_sp": o2}).truth() for _ in range(6)]
        means[o2] = pd.DataFrame(rows).mean()
    assert means[2.6]["co"] > 3 * means[5.0]["co"]
    assert means[5.0]["nox"] > means[3.6]["nox"] > means[2.6]["nox"]


def test_a_clone_goes_on_alike():
    boiler = Boiler(seed=1).advance(USUAL)
    twin = boiler.clone()
    for _ in range(3):
        pd.testing.assert_series_equal(boiler.advance(USUAL).measure(), twin.advance(USUAL).measure())


def test_setpoints_by_name_and_by_position_agree():
    a = Boiler(seed=1).advance(USUAL).truth()
    b = Boiler(seed=1).advance(list(USUAL.values())).truth()
    pd.testing.assert_series_equal(a, b)


def test_history_repeats_with_its_seed_and_differs_with_another():
    a, tags = Boiler(seed=2).simulate_history(days=1)
    b, _ = Boiler(seed=2).simulate_history(days=1)
    c, _ = Boiler(seed=3).simulate_history(days=1)
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert not a.equals(c)
    assert a.shape == (288, len(tags))
    assert tags.synthetic
    assert set(a["fuel_grade"].dropna()) <= {"A", "B", "C"}


@pytest.mark.parametrize("options", [{"scr": False}, {"scr": False, "fan_limit": 1.0}, {"fan_limit": 1.0}])
def test_each_kind_of_unit_leaves_a_history(options):
    history, tags = Boiler(seed=11, **options).simulate_history(days=2)
    assert history.shape == (576, len(tags.names))
    assert history["nh3_flow"].nunique() > 3


def test_another_plant_of_the_family_differs():
    a = Boiler(seed=2).advance(USUAL).truth()
    b = Boiler(seed=2, plant_seed=9).advance(USUAL).truth()
    assert not np.allclose(a, b)


def test_the_schedule_holds_what_is_known_ahead():
    known = Boiler(seed=1).schedule(12)
    assert list(known.columns) == ["load", "ambient", "fuel_grade"]
    assert known["load"].notna().all()
    assert len(known) == 12


def test_progress_may_stop_a_simulation():
    shares = []

    def stop_at_half(share: float) -> bool:
        shares.append(share)
        return share < 0.5

    history, _ = Boiler(seed=1).simulate_history(days=4, progress=stop_at_half)
    assert 0 < len(history) < 4 * 288
    assert max(shares) < 1


def test_a_missing_setpoint_is_named():
    with pytest.raises(ValueError, match="setpoint 'tilt_sp' is missing"):
        Boiler().advance({k: v for k, v in USUAL.items() if k != "tilt_sp"})


def test_setpoints_of_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(U=4\), got \(3\)"):
        Boiler().advance([3.8, 18.0, 0.8])


def test_schedule_of_no_rows_is_refused():
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        Boiler().schedule(0)
