"""emisopt.qp: its answers against the optimality conditions, and one line for every bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt import InputError, ShapeError, qp

INF = float("inf")


def conditions(s: qp.Solution, P: Any, q: Any, A: Any, l: Any, u: Any, lb: Any, ub: Any) -> float:  # noqa: E741
    """Largest of primal violation, stationarity and complementarity, absolute."""
    rows = A @ s.x
    worst = np.abs(P @ s.x + q + A.T @ s.y + s.z).max()
    for value, low, high, weight in ((rows, l, u, s.y), (s.x, lb, ub, s.z)):
        worst = max(worst, np.max(low - value, initial=0), np.max(value - high, initial=0))
        distance = np.where(weight > 0, high - value, value - low)
        worst = max(worst, np.max(np.abs(weight * np.where(weight != 0, distance, 0)), initial=0))
    return float(worst)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), m=st.integers(0, 12))
def test_answers_satisfy_the_optimality_conditions(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    b = rng.normal(size=(n + 1, n))
    P, q, A = b.T @ b + 0.01 * np.eye(n), 3 * rng.normal(size=n), rng.normal(size=(m, n))
    inside = rng.uniform(-1, 1, n)
    l, u = A @ inside - rng.uniform(0, 0.5, m), A @ inside + rng.uniform(0, 0.5, m)  # noqa: E741
    lb, ub = inside - rng.uniform(0, 1, n), inside + rng.uniform(0, 1, n)
    for method in ("automatic", "active_set", "interior_point"):
        s = qp.solve(P, q, A, l, u, lb, ub, method=method)
        assert s.ok and s.status == "optimal"
        assert max(s.primal, s.dual, s.complementarity) <= 1e-8
        assert conditions(s, P, q, A, l, u, lb, ub) < 1e-5
    again = qp.solve(P, q, A, l, u, lb, ub, start=(s.y, s.z))
    assert again.ok and again.objective == pytest.approx(s.objective, abs=1e-6)


def test_without_rows_or_bounds_it_is_a_linear_system() -> None:
    s = qp.solve([[2.0, 1.0], [1.0, 3.0]], [1.0, -2.0])
    np.testing.assert_allclose(s.x, np.linalg.solve([[2, 1], [1, 3]], [-1, 2]), rtol=1e-12)


def test_conflicts_carry_the_names_and_the_proof() -> None:
    s = qp.solve(
        np.eye(2), [0, 0], [[1, 1], [1, -1]], [3, -1], [INF, 1], ub=[1, 1],
        row_names=["demand", "balance"], variable_names=["gas", "coal"],
    )  # fmt: skip
    assert s.status == "infeasible" and not s.ok
    by_name = {c.name: c for c in s.conflicts}
    assert set(by_name) == {"demand", "gas", "coal"}
    assert by_name["demand"].multiplier < 0 < by_name["gas"].multiplier
    assert sum(c.amount for c in s.conflicts) == pytest.approx(1, abs=1e-5)
    assert [c.name for c in qp.solve([[1]], [0], lb=[2], ub=[1]).conflicts] == ["variable[0]"]


def test_negative_curvature_is_named() -> None:
    assert qp.solve([[1, 0], [0, -1]], [0, 0], lb=[-1, -1], ub=[1, 1]).status == "not_convex"


BAD = {
    "P": [[1.0, np.nan], [0.0, 1.0]],
    "q": [1.0, INF],
    "A": [[np.nan, 1.0]],
    "l": [INF],
    "u": [np.nan],
    "lb": [np.nan, 0.0],
    "ub": [-INF, 0.0],
    "soft_l1": [0.0],
    "soft_l2": [-1.0],
    "tolerance": 0.0,
    "max_iterations": 0,
    "method": "simplex",
}
WRONG = {
    "P": [[1.0, 0.0]],
    "q": [1.0],
    "A": [[1.0, 2.0, 3.0]],
    "l": [0.0, 0.0],
    "u": [[1.0]],
    "lb": [0.0],
    "ub": [0.0, 1.0, 2.0],
    "soft_l1": [1.0, 1.0],
    "soft_l2": [],
    "start": ([0.0, 0.0], [0.0, 0.0]),
    "row_names": ["a", "b"],
    "variable_names": ["a"],
}


def arguments() -> dict[str, Any]:
    return {
        "P": np.eye(2),
        "q": [0, 0],
        "A": [[1, 1]],
        "l": [0],
        "u": [1],
        "soft_l1": [1.0],
        "soft_l2": [0.0],
    }


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_named_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=rf"qp\.solve\({name}") as error:
        qp.solve(**{**arguments(), name: BAD[name]})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_is_named_in_one_line(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"qp\.solve\({name}") as error:
        qp.solve(**{**arguments(), name: WRONG[name]})
    assert "\n" not in str(error.value)


def test_text_and_asymmetry_are_refused() -> None:
    with pytest.raises(InputError, match=r"qp\.solve\(q\): expected numbers"):
        qp.solve(np.eye(2), ["a", "b"])
    with pytest.raises(InputError, match="symmetric"):
        qp.solve([[1, 0.5], [0, 1]], [0, 0])
    with pytest.raises(InputError, match="soft_l1 beside it"):
        qp.solve([[1]], [0], [[1]], [0], [1], soft_l2=[1])
