"""The problems and the judgement of the QP suite; the peers themselves are not needed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import qp_peers
from benchmarks.qp_sequences import Loop, wide
from emisopt import qp


@pytest.mark.parametrize("new_jacobian", [True, False])
def test_loops_are_problems_in_which_something_binds(new_jacobian: bool) -> None:
    loop = Loop(32, new_jacobian, seed=1)
    bound, last = 0, None
    for _ in range(6):
        p = loop.problem()
        s = qp.solve(p.P, p.q, p.A, p.l, p.u, p.lb, p.ub, start=last)
        assert s.ok and qp_peers.residual(p, s.x, s.y, s.z) < 1e-8
        bound += np.count_nonzero(s.y) + np.count_nonzero(s.z)
        last = loop.shift(s.y, s.z)
        loop.apply(s.x)
    assert bound > 6 * 8
    assert np.array_equal(Loop(32, False).problem().P, Loop(32, False).problem().P)
    with pytest.raises(ValueError, match=r"Loop\.n"):
        Loop(33, True)


def test_the_residual_sees_each_kind_of_wrong_answer() -> None:
    p = Loop(32, False).problem()
    s = qp.solve(p.P, p.q, p.A, p.l, p.u, p.lb, p.ub)
    for wrong in ((s.x + 1e-4, s.y, s.z), (s.x, s.y + 1e-4, s.z), (s.x, s.y, s.z - 1e-4)):
        assert qp_peers.residual(p, *wrong) > 1e-6


@pytest.mark.parametrize("smooth", [True, False])
def test_the_lifted_form_is_the_same_problem(smooth: bool) -> None:
    dense, lifted = wide(64, smooth)
    x = np.random.default_rng(0).uniform(0, 1, len(dense.q))
    y = dense.A[:240, :64] @ x[:64]
    both = np.concatenate([x, y])
    assert 0.5 * x @ dense.P @ x + dense.q @ x == pytest.approx(
        0.5 * both @ lifted.P @ both + lifted.q @ both
    )
    rows = lifted.A @ both
    np.testing.assert_allclose(rows[:240], 0, atol=1e-10)
    np.testing.assert_allclose(rows[240:], dense.A @ x, atol=1e-10)
