"""SciPy's SLSQP (slacks, linear rates) and L-BFGS-B (bounds; limits and rates as smoothed penalties)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks.nlp_peers.derivatives import Counted, TorchDerivatives
from benchmarks.nlp_peers.problem import CURVE, WEIGHT, Floats, Statement, Tick

SMOOTH = (1e-2, 1e-3, 1e-4, 1e-5)  # of the excess, one minimisation each
RATE_WEIGHT = 10 * WEIGHT


def slsqp(stated: Statement, tick: Tick, derivatives: Counted, tolerance: float) -> tuple[Floats, int]:
    """Variables (n) and iterations."""
    n, m = stated.n, len(tick.rhs)
    rates, bound = stated.rate_rows(), stated.rate_bounds()
    rows = np.zeros((m + 2 * len(bound), n + m))
    rows[:m, n:] = np.eye(m)
    rows[m : m + len(bound), :n], rows[m + len(bound) :, :n] = -rates, rates

    begin, excess = derivatives.evaluate(tick.start)
    size = abs(begin)  # ftol is absolute

    def cost(x: Floats) -> float:
        slack = x[n:]
        penalty = WEIGHT * float((slack + 0.5 * CURVE * slack * slack).sum())
        return (derivatives.evaluate(x[:n])[0] + penalty) / size

    def slope(x: Floats) -> Floats:
        return np.concatenate([derivatives.slopes(x[:n])[0], WEIGHT * (1 + CURVE * x[n:])]) / size

    def inside(x: Floats) -> Floats:
        move = rates @ x[:n]
        return np.concatenate([x[n:] - derivatives.evaluate(x[:n])[1], bound - move, bound + move])

    def inside_slope(x: Floats) -> Floats:
        rows[:m, :n] = -derivatives.slopes(x[:n])[1]
        return rows

    answer = minimize(
        cost,
        np.concatenate([tick.start, np.maximum(excess, 0)]),
        jac=slope,
        method="SLSQP",
        bounds=[*zip(tick.low, tick.high, strict=True), *((0, None) for _ in range(m))],
        constraints={"type": "ineq", "fun": inside, "jac": inside_slope},
        options={"maxiter": 200, "ftol": tolerance},
    )
    return np.asarray(answer.x[:n]), int(answer.nit)


def lbfgsb(
    stated: Statement, tick: Tick, derivatives: TorchDerivatives, tolerance: float
) -> tuple[Floats, int]:
    rates, bound = stated.rate_rows(), stated.rate_bounds()
    v, iterations = tick.start, 0
    for mu in SMOOTH:

        def merit(x: Floats, mu: float = mu) -> tuple[float, Floats]:
            value, gradient = derivatives.merit_slope(x, mu)
            over = np.maximum(np.abs(rates @ x) - bound, 0)
            pull = 2 * RATE_WEIGHT * (over * np.sign(rates @ x)) @ rates
            return value + RATE_WEIGHT * float(over @ over), gradient + pull

        options: dict[str, Any] = {"maxiter": 100, "ftol": tolerance, "gtol": 1e-9}
        answer = minimize(merit, v, jac=True, method="L-BFGS-B", options=options,
                          bounds=list(zip(tick.low, tick.high, strict=True)))  # fmt: skip
        v, iterations = np.asarray(answer.x), iterations + int(answer.nit)
    return v, iterations
