"""The peers of the QP suite, each called as its users call it, timed by its own clock where it has one.

A call returns (x, y, z, seconds): solution, multipliers of rows and bounds (positive at the upper side).
daqp, piqp, proxsuite, osqp, clarabel report set-up and solve time themselves; quadprog is timed around the
call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.qp_sequences import Qp

Floats = NDArray[np.float64]
Answer = tuple[Floats, Floats, Floats, float]
PACKAGES = ("daqp", "piqp", "quadprog", "proxsuite", "osqp", "clarabel")


def versions() -> dict[str, str]:
    """Installed peers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def residual(p: Qp, x: Floats, y: Floats, z: Floats) -> float:
    """Largest of primal violation, stationarity and duality gap, absolute, computed here for every solver."""
    rows = p.A @ x
    stationarity = np.abs(p.P @ x + p.q + p.A.T @ y + z).max()
    violation = max(0.0, *(np.max(v, initial=0.0) for v in (rows - p.u, p.l - rows, x - p.ub, p.lb - x)))

    def bound_terms(weight: Floats, low: Floats, high: Floats) -> float:
        side = np.where(weight > 0, high, low)
        used = weight != 0
        return float(weight[used] @ side[used])

    gap = abs(x @ p.P @ x + p.q @ x + bound_terms(y, p.l, p.u) + bound_terms(z, p.lb, p.ub))
    return float(max(stationarity, violation, gap))


def _daqp_arguments(p: Qp) -> tuple[Floats, Floats]:
    big = 1e30
    upper, lower = np.concatenate([p.ub, p.u]), np.concatenate([p.lb, p.l])
    return np.clip(upper, -big, big), np.clip(lower, -big, big)


def _daqp_answer(p: Qp, x: Floats, info: dict[str, Any], seconds: float) -> Answer:
    lam = np.asarray(info["lam"])
    return np.asarray(x), lam[len(x) :], lam[: len(x)], seconds


def daqp(p: Qp, tolerance: float, start: tuple[Floats, Floats] | None = None) -> Answer:
    """Set-up and solve from scratch; `start`: multipliers (y, z) that name its first working set."""
    module = import_module("daqp")
    upper, lower = _daqp_arguments(p)
    dual = None if start is None else np.concatenate([start[1], start[0]])
    sense = np.zeros(len(upper), dtype=np.int32)
    sense[lower == upper] = 5
    x, _, flag, info = module.solve(
        p.P, p.q, p.A, upper, lower, sense, primal_tol=tolerance, dual_start=dual, iter_limit=100000
    )
    if flag < 1:
        raise RuntimeError(f"daqp: exit flag {flag}")
    return _daqp_answer(p, x, info, info["setup_time"] + info["solve_time"])


class DaqpModel:
    """DAQP's workspace for one H and A: `solve` updates gradient and bounds. seconds: the wall time of update
    and solve; `alone`: the solve time that it reports."""

    def __init__(self, p: Qp, tolerance: float):
        self.model = import_module("daqp").Model()
        upper, lower = _daqp_arguments(p)
        self.model.setup(p.P, p.q, p.A, upper, lower)
        self.model.settings = {"primal_tol": tolerance, "iter_limit": 100000}
        self.alone = 0.0

    def __call__(self, p: Qp, tolerance: float) -> Answer:
        upper, lower = _daqp_arguments(p)
        begin = time.perf_counter()
        self.model.update(f=p.q, bupper=upper, blower=lower)
        x, _, flag, info = self.model.solve()
        seconds = time.perf_counter() - begin
        if flag < 1:
            raise RuntimeError(f"daqp.Model: exit flag {flag}")
        self.alone = info["solve_time"]
        return _daqp_answer(p, x, info, seconds)


def _piqp(solver: Any, p: Qp, tolerance: float, matrix: Callable[[Floats], Any]) -> Answer:
    settings = solver.settings
    settings.eps_abs, settings.eps_rel = tolerance, 0.0
    settings.eps_duality_gap_abs, settings.eps_duality_gap_rel = tolerance, 0.0
    settings.compute_timings = True
    same = p.l == p.u
    a, g = p.A[same], p.A[~same]
    solver.setup(matrix(p.P), p.q, matrix(a), p.u[same], matrix(g), p.l[~same], p.u[~same], p.lb, p.ub)
    solver.solve()
    r = solver.result
    y = np.zeros(len(p.l))
    y[same] = r.y
    y[~same] = np.asarray(r.z_u) - np.asarray(r.z_l)
    return np.array(r.x), y, np.asarray(r.z_bu) - np.asarray(r.z_bl), r.info.setup_time + r.info.solve_time


def piqp(p: Qp, tolerance: float) -> Answer:
    """Dense."""
    return _piqp(import_module("piqp").DenseSolver(), p, tolerance, np.asfortranarray)


def piqp_sparse(p: Qp, tolerance: float) -> Answer:
    from scipy.sparse import csc_matrix

    return _piqp(import_module("piqp").SparseSolver(), p, tolerance, csc_matrix)


def quadprog(p: Qp, tolerance: float) -> Answer:
    """Exact up to rounding: it takes no tolerance. One-sided rows, equalities first."""
    solve_qp = import_module("quadprog").solve_qp
    n, same = len(p.q), p.l == p.u
    eye = np.eye(n)
    below, above = np.isfinite(p.l) & ~same, np.isfinite(p.u) & ~same
    low, high = np.isfinite(p.lb), np.isfinite(p.ub)
    c = np.vstack([p.A[same], p.A[below], -p.A[above], eye[low], -eye[high]])
    b = np.concatenate([p.l[same], p.l[below], -p.u[above], p.lb[low], -p.ub[high]])
    c = np.ascontiguousarray(c.T)
    begin = time.perf_counter()
    x, _, _, _, lam, _ = solve_qp(p.P, -p.q, c, b, int(same.sum()))
    seconds = time.perf_counter() - begin
    y, z = np.zeros(len(p.l)), np.zeros(n)
    parts = np.split(lam, np.cumsum([same.sum(), below.sum(), above.sum(), low.sum()]))
    y[same] -= parts[0]
    y[below] -= parts[1]
    y[above] += parts[2]
    z[low] -= parts[3]
    z[high] += parts[4]
    return x, y, z, seconds


def proxqp(p: Qp, tolerance: float) -> Answer:
    proxqp = import_module("proxsuite").proxqp
    same = p.l == p.u
    qp = proxqp.dense.QP(len(p.q), int(same.sum()), int((~same).sum()), True)
    qp.settings.eps_abs, qp.settings.eps_rel, qp.settings.compute_timings = tolerance, 0.0, True
    qp.settings.max_iter = 100000
    qp.init(p.P, p.q, p.A[same], p.u[same], p.A[~same], p.l[~same], p.u[~same], p.lb, p.ub)
    qp.solve()
    y = np.zeros(len(p.l))
    y[same] = qp.results.y
    inequalities = np.asarray(qp.results.z)
    y[~same] = inequalities[: len(p.l) - int(same.sum())]
    z = inequalities[len(p.l) - int(same.sum()) :]
    info = qp.results.info
    return np.array(qp.results.x), y, z, (info.setup_time + info.solve_time) * 1e-6


def osqp(p: Qp, tolerance: float) -> Answer:
    from scipy.sparse import csc_matrix, eye, vstack

    solver = import_module("osqp").OSQP()
    rows = vstack([csc_matrix(p.A), eye(len(p.q))]).tocsc()
    solver.setup(
        csc_matrix(np.triu(p.P)), p.q, rows, np.concatenate([p.l, p.lb]), np.concatenate([p.u, p.ub]),
        eps_abs=tolerance, eps_rel=0.0, max_iter=200000, verbose=False, polishing=True,
    )  # fmt: skip
    r = solver.solve()
    m = len(p.l)
    return r.x, r.y[:m], r.y[m:], r.info.setup_time + r.info.solve_time


def clarabel(p: Qp, tolerance: float) -> Answer:
    from scipy.sparse import csc_matrix, eye, vstack

    module = import_module("clarabel")
    n, m, same = len(p.q), len(p.l), p.l == p.u
    all_rows = vstack([csc_matrix(p.A), eye(n)]).tocsr()
    low, high = np.concatenate([p.l, p.lb]), np.concatenate([p.u, p.ub])
    equal = np.concatenate([same, p.lb == p.ub])
    above, below = np.isfinite(high) & ~equal, np.isfinite(low) & ~equal
    rows = vstack([all_rows[equal], all_rows[above], -all_rows[below]]).tocsc()
    b = np.concatenate([high[equal], high[above], -low[below]])
    cones = [module.ZeroConeT(int(equal.sum())), module.NonnegativeConeT(int(above.sum() + below.sum()))]
    settings = module.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_feas = tolerance
    settings.tol_gap_rel = 0.0
    solver = module.DefaultSolver(csc_matrix(np.triu(p.P)), p.q, rows, b, cones, settings)
    begin = time.perf_counter()
    r = solver.solve()
    seconds = max(r.solve_time, time.perf_counter() - begin)
    lam = np.asarray(r.z)
    both = np.zeros(m + n)
    parts = np.split(lam, np.cumsum([equal.sum(), above.sum()]))
    both[equal] = parts[0]
    both[above] += parts[1]
    both[below] -= parts[2]
    return np.asarray(r.x), both[:m], both[m:], seconds
