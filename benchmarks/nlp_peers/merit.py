"""Judge of all answers: objective, and how far from stationary, in float64 by PyTorch on the same weights.

Stationarity is measured without multipliers, so that it is the same number for every solver: the decrease of
the merit, linearised inside phi, that the best step of at most one range in each variable, inside bounds and
rates, still promises, as a share of the cost (Yuan 1985; Conn, Gould, Toint 2000, section 11). It is 0
exactly where the KKT conditions hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog

from benchmarks.nlp_peers.network import Prefix, TorchModel
from benchmarks.nlp_peers.problem import CURVE, WEIGHT, Floats, Statement, Tick, legal


def phi(excess: Floats) -> Floats:
    over = np.maximum(excess, 0.0)
    return over + 0.5 * CURVE * over * over


@dataclass(frozen=True)
class Verdict:
    """objective : cost with penalties;   kkt : share of the cost that a step may still promise;
    illegal : largest violation of a bound or rate before it was mended, in ranges"""

    objective: float
    kkt: float
    illegal: float
    slack: float  # sum of max(excess, 0)


class Judge:
    def __init__(self, stated: Statement) -> None:
        self.stated = stated
        self.model = TorchModel(stated, torch.float64, plain=True)

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        self.tick = tick
        self.model.set_tick(prefix, tick)

    def values(self, v: Floats) -> tuple[float, Floats]:
        """Cost without penalty, excess (m)."""
        with torch.no_grad():
            money, excess = self.model.money_and_excess(torch.as_tensor(v))
        fixed = float(self.stated.setpoint_cost() @ v)
        return float(money) + fixed + self.stated.suppression(v, self.tick.applied)[0], excess.numpy()

    def slopes(self, v: Floats) -> tuple[Floats, Floats]:
        """Gradient of the cost (n), Jacobian of the excess (m, n)."""
        with torch.no_grad():
            money, excess = torch.func.jacfwd(self.model.money_and_excess)(torch.as_tensor(v))
        gradient = money.numpy() + self.stated.setpoint_cost()
        return gradient + self.stated.suppression(v, self.tick.applied)[1], excess.numpy()

    def verdict(self, v: Floats) -> Verdict:
        mended = legal(self.stated, self.tick, v)
        cost, excess = self.values(mended)
        objective = cost + WEIGHT * float(phi(excess).sum())
        promised = self._promise(mended, excess)
        return Verdict(
            objective,
            promised / max(abs(cost), 1e-12),
            float(np.abs(mended - v).max()),
            float(np.maximum(excess, 0).sum()),
        )

    def _promise(self, v: Floats, excess: Floats) -> float:
        stated, tick = self.stated, self.tick
        gradient, jacobian = self.slopes(v)
        m = len(excess)
        weight = WEIGHT * (1 + CURVE * np.maximum(excess, 0))
        rates = stated.rate_rows()
        bound, move = stated.rate_bounds(), rates @ v
        zeros = np.zeros((len(rates), m))
        rows = np.block([[jacobian, -np.eye(m)], [rates, zeros], [-rates, zeros]])
        right = np.concatenate([-excess, np.maximum(bound - move, 0), np.maximum(bound + move, 0)])
        low, high = np.maximum(np.minimum(tick.low - v, 0), -1), np.minimum(np.maximum(tick.high - v, 0), 1)
        limits = [*zip(low, high, strict=True), *((0, None) for _ in range(m))]
        answer = linprog(np.concatenate([gradient, weight]), rows, right, bounds=limits, method="highs")
        if answer.status != 0:
            return float("nan")
        return float(weight @ np.maximum(excess, 0) - answer.fun)
