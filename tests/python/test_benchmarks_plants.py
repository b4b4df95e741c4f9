"""Suite `mpc`, cases cstr and tank: one start for all, fair judging, IPOPT's derivatives, the score."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import mpc
from benchmarks.mpc_cases import plants
from benchmarks.mpc_cases.plant_loop import Log, Seen, price_table, run, tariff
from benchmarks.mpc_cases.plant_operator import Operator, penalised
from benchmarks.mpc_cases.plant_policies import Oracle, Ours
from emisopt import Forecaster

CASES = ("cstr", "tank")


class Still:
    """Holds what is applied; remembers what it was shown."""

    def start(self, problem: Any, plant: Any, truth: Any, seen: Seen) -> None:
        self.seen: list[Seen] = []

    def decide(self, seen: Seen) -> tuple[Any, str]:
        self.seen.append(seen)
        return seen.applied, "-"


@pytest.fixture(scope="module", params=CASES)
def small(request: pytest.FixtureRequest) -> tuple[Any, Forecaster]:
    setting = plants.CASES[request.param]
    history, tags = setting.problem.make(5).simulate_history(1500)
    forecaster = Forecaster(
        context=32, horizon=24, patch=8, width=16, heads=2, layers=1, steps=80, level_shift=0.0,
        input_shift=0.0, unknown_plan=0.0, seed=1,
    )  # fmt: skip
    return setting, forecaster.fit(history, tags=tags, progress=False)


@pytest.mark.parametrize("case", CASES)
def test_runs_of_one_seed_start_alike_and_repeat(case: str) -> None:
    problem = plants.CASES[case].problem
    a, b = Still(), Still()
    first, second = run(problem, a, 7, 25), run(problem, b, 7, 25)
    assert (first.truth == second.truth).all() and (first.factors == second.factors).all()
    assert (a.seen[3].rows == b.seen[3].rows).all()
    assert not np.allclose(run(problem, Still(), 8, 25).truth, first.truth)
    assert first.illegal == 0


def test_what_a_policy_sees_ends_now_and_its_stamps_are_the_ends_of_rows() -> None:
    problem = plants.CASES["cstr"].problem
    still = Still()
    log = run(problem, still, 3, 30)
    seen = still.seen[10]
    product = problem.tags.names.index("product")
    assert abs(seen.rows[-1, product] - log.truth[9, 0]) < 12  # its noise is 2
    assert seen.stamps[-1] == pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(minutes=64 + 10)
    assert seen.in_block == (64 + 10) % 20
    assert (seen.factors[:5] == log.factors[10:15]).all()


def test_blocks_are_those_that_the_permit_room_judges() -> None:
    problem = plants.CASES["cstr"].problem
    problem = replace(problem, average=replace(problem.average, limit=6.9))
    log = run(problem, Operator(plants.CASES["cstr"].rules), 4, 116)
    judged = problem.average.stream(60.0)
    index = pd.date_range("2024-01-01 00:01", periods=180, freq="1min", tz="UTC")
    rows = pd.DataFrame(np.vstack([log.before, log.truth]), index, problem.tags.outputs)
    rule = judged.judge(rows)["by_d mean"]
    own = log.blocks().reshape(-1)[np.arange(16, 116, 20)]  # rows 80, 100, ...: one of each whole block
    np.testing.assert_allclose(rule.averages["value"].to_numpy()[4:], own, rtol=1e-12)
    assert log.hours_average == pytest.approx((log.blocks() > 6.9).sum() / 60)


def test_the_tariff_lies_on_one_price_and_holds_for_its_rows() -> None:
    problem = plants.CASES["tank"].problem
    factors = tariff(problem, 2, 60)
    assert set(factors) <= set(problem.tariff_levels)
    assert (factors.reshape(-1, problem.tariff_rows) == factors[:: problem.tariff_rows, None]).all()
    table = price_table(problem, factors)
    supply = problem.tags.outputs.index("supply")
    assert (table[:, supply] == -factors).all()
    assert (np.delete(table, supply, 1) == np.delete(table, supply, 1)[0]).all()


def test_an_illegal_move_is_counted_and_not_made() -> None:
    class Wild(Still):
        def decide(self, seen: Seen) -> tuple[Any, str]:
            return np.array([1e3, np.nan]), "-"

    problem = plants.CASES["cstr"].problem
    log = run(problem, Wild(), 1, 5)
    assert log.illegal == 5
    assert np.diff(log.setpoints[:, 0]).max() <= 3 + 1e-9
    assert (log.setpoints[:, 1] == problem.start["heat"]).all()


@pytest.mark.parametrize("case", CASES)
def test_the_oracle_earns_more_than_the_operator_and_keeps_the_limits(case: str) -> None:
    setting = plants.CASES[case]
    operator = run(setting.problem, Operator(setting.rules, setting.lever), 3, 36)
    oracle = run(setting.problem, Oracle(iterations=3), 3, 36)
    assert oracle.cost.sum() < operator.cost.sum()
    assert oracle.hours_average == 0
    assert oracle.illegal == operator.illegal == 0


def test_ours_is_legal_and_the_permit_binds_it(small: tuple[Any, Forecaster]) -> None:
    setting, forecaster = small
    problem = setting.problem
    log = run(problem, Ours(forecaster, 0.01), 3, 26)
    assert log.illegal == 0
    assert log.summary()["fallback"] == 0
    column = problem.tags.outputs.index(problem.average.output)
    lower = replace(problem, average=replace(problem.average, limit=0.7 * problem.average.limit))
    bound = run(lower, Ours(forecaster, 0.01), 3, 26)
    assert bound.truth[10:, column].mean() < log.truth[10:, column].mean()


def test_ipopt_gets_the_slopes_of_what_it_gets_the_values_of(small: tuple[Any, Forecaster]) -> None:
    assert plants.ipopt_there() == bool(importlib.util.find_spec("casadi"))
    if not plants.ipopt_there():
        return  # a benchmark's peer: its row is then unmet
    from benchmarks.mpc_cases.plant_ipopt import Ipopt

    setting, forecaster = small
    policy = Ipopt(forecaster, 0.01)
    log = run(setting.problem, policy, 3, 4)
    assert log.illegal == 0 and set(log.status) == {"Solve_Succeeded"}
    v = np.random.default_rng(1).uniform(0.3, 0.7, policy.n)
    slopes, h = policy.slopes(v), 1e-3
    for i in range(policy.n):
        step = np.eye(policy.n)[i] * h
        difference = (policy.values(v + step) - policy.values(v - step)) / (2 * h)
        np.testing.assert_allclose(slopes[:, i], difference, atol=3e-3 * np.abs(slopes).max())


def test_tuning_fines_hours_above() -> None:
    problem = plants.CASES["cstr"].problem
    wide = replace(problem.average, limit=50.0)
    problem = replace(problem, average=wide, spot=replace(problem.spot, limit=200.0))
    log = run(problem, Still(), 1, 56)
    broken: Log = replace(log, problem=replace(problem, average=replace(problem.average, limit=1.0)))
    assert penalised(problem, [log]) == pytest.approx(log.cost.sum())
    assert penalised(broken.problem, [broken]) > penalised(problem, [log]) + abs(log.cost.sum())


def test_the_score_is_shares_of_the_room_and_of_the_hours() -> None:
    profit = {
        "operator": (10.0, 20.0),
        "ours": (19.0, 29.0),
        "spot": (15.0, 25.0),
        "oracle": (20.0, 30.0),
        "ipopt": (19.5, 29.0),
    }
    rows = [
        {"case": "cstr", "policy": name, "seed": seed, "rows": 60, "profit": earned[seed], "illegal": 0.0,
         "hours_above": 0.1 if name == "ours" else 0.0, "p50_ms": 1.0}
        for name, earned in profit.items() for seed in (0, 1)
    ]  # fmt: skip
    score = {row.metric: row for row in plants.score("cstr", pd.DataFrame(rows))}
    assert score["gap_closed"].ours == pytest.approx(0.9)
    assert score["hours_over_oracle"].ours == pytest.approx(0.1)  # 0.2 of 2 h
    assert (score["profit"].ours, score["profit"].peer) == (48.0, 40.0)
    assert score["profit_ipopt"].peer == 48.5
    assert score["illegal_moves"].ours == score["beats_oracle"].ours == 0


def test_the_suite_knows_both_cases() -> None:
    assert {"cstr", "tank"} <= mpc.CASES.keys()
