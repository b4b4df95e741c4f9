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


def wide_parts(seed: int, n: int, p: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same problem with outputs stated and with H as one matrix: causal outputs, a slack that rows share,
    rates, a long row about no output."""
    rng = np.random.default_rng(seed)
    d = np.eye(n) - np.eye(n, k=-1)
    P = np.zeros((n + 1, n + 1))
    P[:n, :n] = d.T @ d + 0.01 * np.eye(n)
    P[n, n] = 1
    J = np.zeros((p, n + 1))
    J[:, :n] = rng.normal(size=(p, n)) * (np.arange(n) <= (np.arange(p)[:, None] + 1) * n / p)
    w = rng.uniform(0.1, 1, p)
    A = np.vstack([J, np.eye(n, n + 1, 1) - np.eye(n, n + 1), rng.normal(size=(1, n + 1))])[:-2]
    A = np.vstack([A, rng.normal(size=(1, n + 1))])
    A[:p, n] = -1
    m = len(A)
    u = np.concatenate([rng.uniform(-0.5, 1, p), np.full(m - p - 1, 0.2), [0.5]])
    l = np.concatenate([np.full(p, -INF), np.full(m - p - 1, -0.2), [-INF]])  # noqa: E741
    lb, ub = np.append(np.full(n, -1.0), 0), np.append(np.full(n, 1.0), INF)
    q = np.append(rng.normal(size=n), 50.0)
    rest = {"q": q, "A": A, "l": l, "u": u, "lb": lb, "ub": ub}
    return {"P": P, "outputs": J, "output_weights": w, **rest}, {"P": P + (J.T * w) @ J, **rest}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(24, 60), p=st.integers(1, 14))
def test_a_wide_statement_has_the_answer_of_the_dense_one(seed: int, n: int, p: int) -> None:
    wide, dense = wide_parts(seed, n, p)
    s, t = qp.solve(**wide, tolerance=1e-9), qp.solve(**dense, tolerance=1e-9)
    assert s.status == t.status == "optimal" and s.method == "interior_point"
    assert s.objective == pytest.approx(t.objective, rel=1e-7, abs=1e-7)
    assert conditions(s, **dense) < 1e-5
    np.testing.assert_allclose(s.x, t.x, atol=1e-3)


def test_what_the_wide_form_cannot_say_the_dense_one_does() -> None:
    wide, dense = wide_parts(3, 30, 4)
    for parts in (wide, dense):
        parts["A"] = np.vstack([parts["A"], wide["outputs"][:1], wide["outputs"][:1]])
        parts["l"] = np.append(parts["l"], [-INF, 1.0])
        parts["u"] = np.append(parts["u"], [0.0, INF])
    s = qp.solve(**wide)
    m = len(wide["u"])
    assert s.status == "infeasible"
    largest = max(abs(c.multiplier) for c in s.conflicts)
    heavy = {c.name for c in s.conflicts if abs(c.multiplier) > 1e-4 * largest}
    assert heavy == {f"row[{m - 2}]", f"row[{m - 1}]"}
    assert qp.solve(**{**wide_parts(3, 30, 4)[0], "method": "active_set"}).method == "active_set"
    # more outputs than the form pays for
    few, _ = wide_parts(4, 8, 30)
    assert qp.solve(**few).ok


def test_soft_rows_of_a_wide_statement() -> None:
    wide, dense = wide_parts(5, 40, 6)
    for parts in (wide, dense):
        parts["u"] = parts["u"] - 2
        parts["soft_l1"] = np.append(np.full(6, 0.3), np.full(len(parts["u"]) - 6, 3.0))
        parts["soft_l2"] = np.full(len(parts["u"]), 0.1)
        parts["l"] = np.full(len(parts["u"]), -INF)
    s, t = qp.solve(**wide), qp.solve(**dense)
    assert s.status == t.status == "optimal"
    assert np.count_nonzero(s.slack > 1e-6) > 3
    np.testing.assert_allclose(s.slack, t.slack, atol=1e-3)
    assert s.objective == pytest.approx(t.objective, rel=1e-6)


def test_a_bad_wide_statement_is_named_in_one_line() -> None:
    wide, _ = wide_parts(6, 24, 3)
    for name, value, error in (
        ("outputs", np.zeros((3, 2)), ShapeError),
        ("outputs", np.full((3, 25), np.nan), InputError),
        ("outputs", [1.0, 2.0], ShapeError),
        ("output_weights", [1.0], ShapeError),
        ("output_weights", [1.0, -1.0, 1.0], InputError),
        ("start", (np.zeros(len(wide["u"])), np.zeros(25)), InputError),
    ):
        with pytest.raises(error, match=rf"qp\.solve\({name}") as caught:
            qp.solve(**{**wide, name: value})
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="outputs beside it"):
        qp.solve([[1.0]], [0.0], output_weights=[1.0])


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
