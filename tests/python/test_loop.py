"""emisopt.loop: a common start, logs and summaries that agree, legal moves, tables and files."""

import numpy as np
import pandas as pd
import pytest

from emisopt.loop import Scenario, summary_table


@pytest.fixture(scope="module")
def scenario():
    return Scenario(seed=11, rows=24)


@pytest.fixture(scope="module")
def runs(scenario, small_forecaster):
    return [scenario.run(scenario.operator()), scenario.run(scenario.mpc(small_forecaster, "MPC"))]


def test_frames_and_summary_agree(runs):
    for run in runs:
        truth = run.frame["truth"]
        np.testing.assert_allclose(truth.mean(), run.summary.mean, rtol=1e-12)
        assert run.cost.sum() == pytest.approx(run.summary.total_eur, rel=1e-9)
        counts = run.frame["decision", "status"].value_counts().to_dict()
        if run.plans:
            assert {k: v for k, v in run.summary.status_count.items() if v} == counts
        else:
            assert counts == {"-": len(run.frame)}


def test_rolling_means_are_the_ones_that_limits_are_judged_by(runs):
    for run in runs:
        for limit, summary in zip(run.limits, run.summary.limits, strict=True):
            assert run.rolling[limit.name].max() == pytest.approx(summary.worst)
            hours = (run.rolling[limit.name] > limit.limit).sum() * 300 / 3600
            assert hours == pytest.approx(summary.hours_above)


def test_policies_meet_the_same_disturbances(runs):
    first, second = (run.frame["disturbance"][["load", "ambient"]] for run in runs)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_run_repeats_bit_by_bit(scenario, runs):
    again = scenario.run(scenario.operator())
    np.testing.assert_array_equal(again.log.truth, runs[0].log.truth)


def test_moves_are_legal(runs):
    for run in runs:
        assert run.summary.illegal_moves == 0
        for name in run.tags.setpoints:
            tag, u = run.tags[name], run.frame["setpoint", name]
            assert u.between(tag.low, tag.high).all()
            assert u.diff().abs().max() <= tag.rate * (1 + 1e-9)


def test_fans_are_forecasts_of_the_rows_that_follow(runs):
    fan = runs[1].fan(3, "nox")
    assert len(fan) == 12
    assert fan.index[0] == runs[1].frame.index[3]
    assert (fan["median"] <= fan["high"]).all()


def test_stopping_early_keeps_the_rows_so_far(scenario):
    run = scenario.run(scenario.operator(), progress=lambda done, rows: done < 5)
    assert len(run.frame) == 5


def test_summary_table_has_a_column_per_policy(runs):
    table = summary_table(runs)
    assert list(table.columns) == ["operator rules", "MPC"]
    assert table.loc["cost, EUR", "MPC"] == runs[1].summary.total_eur
    assert {"NOx 1 h worst, mg/Nm3", "NOx 1 h above 75 mg/Nm3, h"} <= set(table.index)


def test_rules_have_no_status_and_no_decision_time(runs):
    assert [run.plans for run in runs] == [False, True]
    assert runs[0].log.median.shape == (24, 0, 0)
    table = summary_table(runs)
    of_a_solver = [n for n in table.index if n.startswith(("status ", "decision "))]
    assert len(of_a_solver) >= 4
    assert table.loc[of_a_solver, "operator rules"].isna().all()
    assert table.loc[of_a_solver, "MPC"].notna().all()
    assert table.loc[[n for n in of_a_solver if n.startswith("status ")], "MPC"].sum() == 24


def test_the_run_is_written_as_parquet(runs, tmp_path):
    file = tmp_path / "run.parquet"
    runs[1].to_parquet(str(file))
    back = pd.read_parquet(file)
    np.testing.assert_array_equal(back["truth.nox"], runs[1].frame["truth", "nox"])
    assert back["decision.status"].iloc[0] == runs[1].frame["decision", "status"].iloc[0]


def test_the_scenario_says_what_it_is(scenario):
    assert "fuel A to C" in repr(scenario)
    assert [limit.name for limit in scenario.limits] == ["NOx 1 h", "CO 1 h", "NH3 slip 1 h"]


def test_a_fee_is_part_of_the_bill(small_forecaster):
    paid = Scenario(seed=11, rows=12, nox_fee=4.5)
    free = Scenario(seed=11, rows=12)
    ours, without = paid.run(paid.operator()).summary, free.run(free.operator()).summary
    assert without.fee_eur == 0
    kg = ours.mean[0] * 1e-6 * 0.361 * 1e3 * ours.fuel_eur / 3.2  # mg/Nm3, Nm3/MJ, GJ
    assert ours.fee_eur == pytest.approx(4.5 * kg, rel=0.02)
    assert ours.total_eur == pytest.approx(ours.fuel_eur + ours.nh3_eur + ours.fee_eur)
    assert without.total_eur == pytest.approx(without.fuel_eur + without.nh3_eur)
    assert "NOx fee" in paid.name
