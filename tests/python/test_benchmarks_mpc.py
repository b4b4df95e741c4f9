"""Suite mpc, rows nlp-*: all sides solve one problem. The judge needs PyTorch; without it rows are unmet."""

from __future__ import annotations

import importlib.util
import math
import sys

import numpy as np
import pytest

from benchmarks import mpc_nlp
from benchmarks.nlp_peers import problem
from benchmarks.nlp_peers.ours import Ours
from benchmarks.nlp_peers.problem import Case, block_lengths, legal, limit_rows, statement, ticks

TINY = Case("tiny", 16, 2, 1, horizon=8, blocks=3, context=24, steps=60)
PEERS = [name for name in ("torch", "casadi") if importlib.util.find_spec(name)]


@pytest.fixture(scope="module")
def stated(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "FOLDER", tmp_path_factory.mktemp("fitted"))
        yield statement(TINY)


def test_blocks_are_cut_as_the_controller_cuts_them(stated):
    assert block_lengths(24, 6) == [1, 1, 2, 3, 6, 11]
    assert block_lengths(16, 6) == [1, 1, 1, 2, 4, 7]
    assert block_lengths(24, 24) == [1] * 24
    one = next(ticks(*stated, 1))
    ours = Ours(stated[0], 1)
    ours.set_tick(one)
    decision = ours.solve(one)
    np.testing.assert_allclose(
        stated[0].plan(ours.variables(decision)), decision.plan, rtol=1e-12, atol=1e-12
    )


def test_rows_average_the_valid_past_and_the_coming_rows(stated):
    own = stated[0]
    past = np.full((24, len(own.price_y)), 40.0)
    past[-1] = np.nan
    coefficient, rhs, output = limit_rows(own, past)
    spot, mean = coefficient[:8], coefficient[8:]
    np.testing.assert_allclose(spot, np.eye(8) / 85.0)
    np.testing.assert_allclose(rhs[:8], 1 - problem.MARGIN)
    # the first window: 11 rows of the past, one of them invalid, and one to come
    assert mean[0, 0] == pytest.approx(1 / 11 / 160.0)
    assert rhs[8] == pytest.approx(1 - 10 * 40.0 / 11 / 160.0 - problem.MARGIN)
    assert set(output[8:]) == {own.tags.outputs.index("co")}


def test_without_peers_the_rows_are_unmet(stated, monkeypatch):
    monkeypatch.setitem(sys.modules, "casadi", None)
    one = list(ticks(*stated, 1))
    rows = mpc_nlp._contest(TINY, stated[0], one, [])
    assert {row.metric for row in rows} == {"time", "time_optimiser_only"}
    assert all(row.peer is None and row.peer_name and math.isnan(row.ratio) for row in rows)


if "torch" in PEERS:

    def test_the_judge_agrees_with_the_controller_and_with_the_engine(stated):
        from benchmarks.nlp_peers import contest
        from benchmarks.nlp_peers.derivatives import EngineDerivatives, TorchDerivatives
        from benchmarks.nlp_peers.merit import Judge
        from benchmarks.nlp_peers.network import Prefix

        own, frame = stated
        one = next(ticks(own, frame, 1))
        sides = {"engine": EngineDerivatives(own, 1), "torch": TorchDerivatives(own, 1)}
        assert all(d < contest.AGREE for d in contest.disagreement(own, one, sides).values())

        judge, ours = Judge(own), Ours(own, 1)
        judge.set_tick(Prefix(own, one), one)
        ours.set_tick(one)
        decision = ours.solve(one)
        v = ours.variables(decision)
        cost, _ = judge.values(v)
        assert cost - own.suppression(v, one.applied)[0] == pytest.approx(decision.cost, rel=1e-5)
        at_start, found = judge.verdict(one.start), judge.verdict(v)
        assert found.objective < at_start.objective
        assert found.kkt < 1e-4 < at_start.kkt
        assert found.illegal == 0
        far = one.start + 10
        assert judge.verdict(far).illegal > 1
        np.testing.assert_array_equal(legal(own, one, v), v)

    def test_stationarity_is_what_a_step_still_promises(stated):
        """Away from limits and rates it is the gradient's sum over the room that each variable has."""
        from benchmarks.nlp_peers.merit import Judge
        from benchmarks.nlp_peers.network import Prefix

        own, frame = stated
        one = next(ticks(own, frame, 1))
        judge = Judge(own)
        judge.set_tick(Prefix(own, one), one)
        gradient, jacobian = judge.slopes(one.start)
        free = -np.ones_like(jacobian[:, 0])
        judge.slopes = lambda v: (gradient, 0 * jacobian)
        own_rates = own.rate_bounds().copy()
        object.__setattr__(own, "rate", own.rate * 1e6)
        try:
            promised = judge._promise(one.start, free)
        finally:
            object.__setattr__(own, "rate", own.rate / 1e6)
        np.testing.assert_allclose(own.rate_bounds(), own_rates)
        room = np.where(gradient > 0, one.start - one.low, one.high - one.start)
        assert promised == pytest.approx(float(np.abs(gradient) @ np.minimum(room, 1)), rel=1e-6)


if len(PEERS) == 2:

    def test_the_network_in_casadi_is_the_same_network_and_ipopt_solves_it(stated):
        import casadi as ca

        from benchmarks.nlp_peers.casadi_network import CasadiNetwork
        from benchmarks.nlp_peers.contest import CasadiSolver
        from benchmarks.nlp_peers.merit import Judge
        from benchmarks.nlp_peers.network import Prefix

        own, frame = stated
        one = next(ticks(own, frame, 1))
        prefix, judge, network = Prefix(own, one), Judge(own), CasadiNetwork(own)
        judge.set_tick(prefix, one)
        p = network.parameters(prefix, one)
        v = ca.MX.sym("v", own.n)
        values = ca.Function("values", [v, network.p], list(network.money_and_excess(v, prefix)))
        cost, excess = values(one.start, p)
        expected = judge.values(one.start)
        assert float(cost) == pytest.approx(expected[0], rel=1e-9)
        np.testing.assert_allclose(np.asarray(excess).ravel(), expected[1], rtol=1e-9, atol=1e-12)

        solver = CasadiSolver(own, "ipopt-bfgs", 1e-4, jit=False)
        solver.set_tick(prefix, one)
        ours = Ours(own, 1)
        ours.set_tick(one)
        mine = judge.verdict(ours.variables(ours.solve(one)))
        theirs = judge.verdict(solver.solve())
        assert theirs.kkt < 1e-4
        assert mine.objective == pytest.approx(theirs.objective, rel=1e-4)
