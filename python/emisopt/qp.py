"""Convex quadratic programs by themselves: the solver that the controller uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emisopt import _core, _qp_wide

__all__ = ["Conflict", "Solution", "solve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Conflict:
    """A bound or hard row that cannot hold together with the others."""

    name: str
    multiplier: float  # its weight in the proof; positive: the upper side takes part
    amount: float  # by how much it is broken at the point of least total violation


@dataclass(frozen=True)
class Solution:
    """What :func:`solve` found.

    Attributes
    ----------
    status : "optimal": verified, see the residuals; "infeasible": proved, see `conflicts`; else no answer of
        the accuracy asked for: "max_iterations", "numeric", "not_convex" (P has a negative eigenvalue)
    x : (n,) the solution; infeasible: the point of least total violation
    y : (m,) multipliers of rows, positive where the upper side binds, negative at the lower one
    z : (n,) multipliers of bounds, likewise. Px + q + A'y + z = 0. Infeasible: y and z are the proof,
        A'y + z = 0 while sum y+ u - y- l over rows and bounds is negative
    slack : (m,) by how much each soft row is broken
    objective : penalties of slacks included
    method : "active_set" or "interior_point", the one that gave the answer
    iterations : pivots of the active set method, factorisations of the interior point method
    primal, dual, complementarity : residuals found by the independent check, relative to the size of their
        own terms (`csrc/emisopt/qp/residual.cpp`)
    conflicts : what cannot hold together, by name
    seconds : wall time of the solver alone
    """

    status: str
    x: Floats
    y: Floats
    z: Floats
    slack: Floats
    objective: float
    method: str
    iterations: int
    primal: float
    dual: float
    complementarity: float
    seconds: float
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Verified to be optimal."""
        return self.status == "optimal"


def _array(name: str, value: ArrayLike, shape: tuple[int, ...], infinite: bool = False) -> Floats:
    try:
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _core.InputError(f"qp.solve({name}): expected numbers, got {error}") from None
    if array.shape != shape:
        raise _core.ShapeError(f"qp.solve({name}): expected {shape}, got {array.shape}")
    bad = np.isnan(array) if infinite else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        kind = "a number or infinity" if infinite else "finite numbers"
        raise _core.InputError(f"qp.solve({name}): expected {kind}, got {array[where]} at {list(where)}")
    return array


def _bounds(
    names: tuple[str, str], low: ArrayLike | None, high: ArrayLike | None, count: int
) -> tuple[Floats, Floats]:
    lower = _array(names[0], np.full(count, -np.inf) if low is None else low, (count,), infinite=True)
    upper = _array(names[1], np.full(count, np.inf) if high is None else high, (count,), infinite=True)
    for name, values, never in ((names[0], lower, np.inf), (names[1], upper, -np.inf)):
        if (values == never).any():
            at = int(np.argmax(values == never))
            raise _core.InputError(f"qp.solve({name}): expected no {never} there, got {never} at [{at}]")
    return lower, upper


def _names(what: str, names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [f"{what}[{i}]" for i in range(count)]
    if len(names) != count:
        raise _core.ShapeError(f"qp.solve({what}_names): expected {count} names, got {len(names)}")
    return [str(name) for name in names]


def solve(
    P: ArrayLike,
    q: ArrayLike,
    A: ArrayLike | None = None,
    l: ArrayLike | None = None,  # noqa: E741 - the name that all QP solvers use
    u: ArrayLike | None = None,
    lb: ArrayLike | None = None,
    ub: ArrayLike | None = None,
    *,
    outputs: ArrayLike | None = None,
    output_weights: ArrayLike | None = None,
    soft_l1: ArrayLike | None = None,
    soft_l2: ArrayLike | None = None,
    start: tuple[ArrayLike, ArrayLike] | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 100,
    method: str = "automatic",
    row_names: Sequence[str] | None = None,
    variable_names: Sequence[str] | None = None,
) -> Solution:
    """Solves one convex quadratic program.

    minimise 1/2 x'Px + q'x + 1/2 sum_k output_weights_k (outputs_k x)^2
             + sum over soft rows (l1 s + 1/2 l2 s^2)
    subject to lb <= x <= ub, l <= Ax <= u; on soft rows l - s <= a'x <= u + s, s >= 0

    Parameters
    ----------
    P : (n, n) symmetric, positive semidefinite
    q : (n,)
    A : (m, n) rows
    l, u : (m,) sides of the rows; -inf and inf: none, equal: an equality
    lb, ub : (n,) bounds
    outputs : (p, n) states a problem of many variables and few outputs as such: P is then banded (moves and
        rates) and H = P + outputs' diag(output_weights) outputs is never formed. A row of A that repeats an
        output, but for variables that no output depends on (slacks), is recognised and costs nothing more
    output_weights : (p,) not negative; None: ones
    soft_l1 : (m,) cost per unit of slack, positive; inf: the row is hard. None: all rows are hard
    soft_l2 : (m,) cost per squared unit of slack, not negative
    start : multipliers (y, z) of a similar problem, to start from
    tolerance : of the largest residual, relative; what is above it is not called optimal
    max_iterations : of the interior point method; the active set method has as many per four constraints
    method : "automatic": chosen in advance from size and start, the other one if its answer does not verify;
        "active_set" or "interior_point"
    row_names, variable_names : what conflicts are reported by; "row[i]" and "variable[j]" without them

    Returns
    -------
    Solution

    Raises
    ------
    ShapeError : arrays that do not fit together
    InputError : NaN, an infinite number where a finite one must stand, a weight that is not positive

    Notes
    -----
    Dual active set method on the Gram matrix (Goldfarb, Idnani 1983, Math. Programming 27, 1-33), predictor-
    corrector interior point method (Mehrotra 1992, SIAM J. Optim. 2, 575-601). docs/qp.md has the algorithm
    on one page and how it compares with other solvers.

    Examples
    --------
    >>> from emisopt import qp
    >>> s = qp.solve(P=[[2, 0], [0, 2]], q=[-2, -5], A=[[1, 2]], l=[-float("inf")], u=[3])
    >>> s.status, s.x.round(3).tolist(), s.y.round(3).tolist()
    ('optimal', [0.4, 1.3], [1.2])

    The same row, soft, at a price below its multiplier:

    >>> s = qp.solve([[2, 0], [0, 2]], [-2, -5], [[1, 2]], None, [3], soft_l1=[0.5])
    >>> s.x.round(3).tolist(), s.slack.round(3).tolist()
    ([0.75, 2.0], [1.75])

    Moves of one setpoint, an output that follows them, stated as such:

    >>> import numpy as np
    >>> response = np.tril(0.8 ** (np.arange(4)[:, None] - np.arange(6)))
    >>> s = qp.solve(0.1 * np.eye(6), -np.ones(6), response, None, np.ones(4), outputs=response)
    >>> s.status, (response @ s.x).round(3).tolist()
    ('optimal', [0.186, 0.202, 0.249, 0.927])

    Rows that exclude each other are named:

    >>> s = qp.solve([[1.0]], [0.0], [[1], [1]], [3, -9], [9, 1], row_names=["load", "fuel"])
    >>> s.status, sorted(c.name for c in s.conflicts)
    ('infeasible', ['fuel', 'load'])
    """
    shape = np.shape(P)
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise _core.ShapeError(f"qp.solve(P): expected (n, n) with n >= 1, got {shape}")
    n = int(shape[0])
    if outputs is None and output_weights is not None:
        raise _core.InputError("qp.solve(output_weights): expected outputs beside it, got None")
    m = 0 if A is None else len(np.atleast_1d(np.asarray(A, dtype=object)))
    hessian = _array("P", P, (n, n))
    if not np.allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12 * np.abs(hessian).max(initial=0)):
        raise _core.InputError("qp.solve(P): expected a symmetric matrix, got one with P != P'")
    gradient = _array("q", q, (n,))
    rows = _array("A", np.zeros((0, n)) if A is None else A, (m, n))
    row_lower, row_upper = _bounds(("l", "u"), l, u, m)
    lower, upper = _bounds(("lb", "ub"), lb, ub, n)
    if soft_l1 is None and soft_l2 is not None:
        raise _core.InputError("qp.solve(soft_l2): expected soft_l1 beside it, got None")
    l1 = np.empty(0) if soft_l1 is None else _array("soft_l1", soft_l1, (m,), infinite=True)
    l2 = np.empty(0) if soft_l2 is None else _array("soft_l2", soft_l2, (m,))
    for name, values, fine in (("soft_l1", l1, l1 > 0), ("soft_l2", l2, l2 >= 0)):
        if not fine.all():
            at = int(np.argmin(fine))
            least = "positive" if name == "soft_l1" else "no negative"
            raise _core.InputError(f"qp.solve({name}): expected {least} weights, got {values[at]} at [{at}]")
    if not (tolerance > 0 and np.isfinite(tolerance)):
        raise _core.InputError(f"qp.solve(tolerance): expected a positive number, got {tolerance}")
    if max_iterations < 1:
        raise _core.InputError(f"qp.solve(max_iterations): expected at least 1, got {max_iterations}")
    y0, z0 = np.empty(0), np.empty(0)
    if start is not None:
        y0, z0 = _array("start[0]", start[0], (m,)), _array("start[1]", start[1], (n,))
    labels = _names("row", row_names, m) + _names("variable", variable_names, n)

    if outputs is not None:
        if start is not None:
            raise _core.InputError("qp.solve(start): expected None beside outputs, got multipliers")
        responses = np.asarray(outputs, dtype=object)
        count = len(responses) if responses.ndim == 2 else 0
        j = _array("outputs", outputs, (count, n))
        w = np.ones(count) if output_weights is None else _array("output_weights", output_weights, (count,))
        if (w < 0).any():
            at = int(np.argmax(w < 0))
            raise _core.InputError(
                f"qp.solve(output_weights): expected no negative weights, got {w[at]} at [{at}]"
            )
        if method != "active_set":
            wide = _qp_wide.Form(hessian, rows, j, w)
            if wide.pays:
                a = wide.solve(
                    gradient, lower, upper, row_lower, row_upper, l1, l2, max_iterations, tolerance
                )
                if a.status in ("optimal", "infeasible"):
                    return _solution(a, labels)
        hessian = hessian + (j.T * w) @ j  # the other method, and the question whether there is an answer
    solver = _core._QpSolver(n, m, max_iterations, tolerance, method)
    call = "solve" if start is None else "solve_from"
    a = solver.run(call, hessian, gradient, lower, upper, rows, row_lower, row_upper, l1, l2, y0, z0)
    return _solution(a, labels)


def _solution(a: _core.QpAnswer, labels: list[str]) -> Solution:
    conflicts = []
    if a.status == "infeasible":
        weights, amounts = np.concatenate([a.y, a.z]), dict(a.violated)
        involved = set(np.flatnonzero(weights).tolist()) or set(amounts)
        conflicts = [Conflict(labels[k], float(weights[k]), amounts.get(k, 0.0)) for k in sorted(involved)]
    return Solution(
        status=a.status,
        x=a.x,
        y=a.y,
        z=a.z,
        slack=a.slack,
        objective=a.objective,
        method=a.method,
        iterations=a.iterations,
        primal=a.primal,
        dual=a.dual,
        complementarity=a.complementarity,
        seconds=a.seconds,
        conflicts=conflicts,
    )
