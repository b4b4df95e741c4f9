"""Values and derivatives of the problem for an optimiser that is not ours, from either engine.

evaluate(v) -> (cost without penalty, excess (m));   slopes(v) -> (gradient (n), Jacobian (m, n));
merit_slope(v, mu) -> (merit with phi smoothed over mu, its gradient), by one backward pass.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import numpy as np
import torch

from benchmarks.nlp_peers.network import Prefix, TorchModel
from benchmarks.nlp_peers.problem import CURVE, WEIGHT, Floats, Statement, Tick
from emisopt import _core

PROBES = 5  # calls by which the way to a Jacobian is chosen


class Counted(ABC):
    """Remembers the last point, as an optimiser asks for value and slope of one point in turn."""

    def __init__(self, stated: Statement) -> None:
        self.stated = stated
        self.fixed = stated.setpoint_cost()
        self.calls = {"value": 0, "slope": 0}
        self._value: tuple[bytes, float, Floats] | None = None
        self._slope: tuple[bytes, Floats, Floats] | None = None

    def begin(self, tick: Tick) -> None:
        self.tick, self._value, self._slope = tick, None, None
        self.calls = {"value": 0, "slope": 0}

    def evaluate(self, v: Floats) -> tuple[float, Floats]:
        key = v.tobytes()
        if self._value is None or self._value[0] != key:
            money, excess = self._evaluate(v)
            cost = money + float(self.fixed @ v) + self.stated.suppression(v, self.tick.applied)[0]
            self._value = (key, cost, excess)
            self.calls["value"] += 1
        return self._value[1], self._value[2]

    def slopes(self, v: Floats) -> tuple[Floats, Floats]:
        key = v.tobytes()
        if self._slope is None or self._slope[0] != key:
            gradient, jacobian = self._slopes(v)
            gradient = gradient + self.fixed + self.stated.suppression(v, self.tick.applied)[1]
            self._slope = (key, gradient, jacobian)
            self.calls["slope"] += 1
        return self._slope[1], self._slope[2]

    @abstractmethod
    def _evaluate(self, v: Floats) -> tuple[float, Floats]:
        """Money and excess at the plan."""

    @abstractmethod
    def _slopes(self, v: Floats) -> tuple[Floats, Floats]:
        """Their gradient and Jacobian."""


class EngineDerivatives(Counted):
    """emisopt's engine: a forecast session, its batch of one and its sensitivities to block moves."""

    def __init__(self, stated: Statement, threads: int) -> None:
        super().__init__(stated)
        self.session = _core.ForecastSession(stated.forecaster.core_, threads)
        self.levels = [stated.middle, stated.upper]
        self.moves = stated.moves
        self.span = np.tile(stated.span, len(stated.starts))

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        self.session.set_history(tick.rows, tick.end)
        self.begin(tick)
        rows = np.arange(len(tick.output))
        # (m, H, O): from all upper quantiles to the limit rows
        self.pick = np.zeros((len(rows), self.stated.case.horizon, len(self.stated.price_y)))
        self.pick[rows, :, tick.output] = tick.coefficient
        self.pick = self.pick.reshape(len(rows), -1)

    def _evaluate(self, v: Floats) -> tuple[float, Floats]:
        plans = self.stated.plan(v)[None]
        quantiles = self.session.predict_batch(plans, self.tick.known)[0]
        money = float((quantiles[:, :, self.stated.middle] @ self.stated.price_y).sum())
        return money, self.pick @ quantiles[:, :, self.stated.upper].ravel() - self.tick.rhs

    def _slopes(self, v: Floats) -> tuple[Floats, Floats]:
        plan = self.stated.plan(v)
        median, upper = self.session.sensitivities(plan, self.tick.known, self.moves, self.levels)
        gradient = self.stated.price_y @ median.sum(0)
        jacobian = self.pick @ upper.reshape(-1, len(v))
        return gradient * self.span, jacobian * self.span


class TorchDerivatives(Counted):
    """PyTorch, history cached, float32: the Jacobian by the quickest of its ways here; `compiled`: value and
    forward-mode Jacobian through torch.compile, which takes some minutes at first use."""

    def __init__(self, stated: Statement, threads: int, compiled: bool = False) -> None:
        super().__init__(stated)
        self.threads, self.compiled = threads, compiled
        self.eager = TorchModel(stated, torch.float32, plain=False)
        self.plain = TorchModel(stated, torch.float32, plain=True)
        self.way = "forward"
        self.value = self.eager.money_and_excess
        self.forward = torch.func.jacfwd(self.plain.money_and_excess)
        if compiled:
            # A second case in one process would make shapes symbolic, which jacfwd does not bear.
            self.value = torch.compile(self.plain.money_and_excess, dynamic=False)
            self.forward = torch.compile(self.forward, dynamic=False)

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        for model in (self.eager, self.plain):
            model.set_tick(prefix, tick)
        self.begin(tick)
        self.jacobians = {
            "forward": self.forward,
            "reverse": torch.func.jacrev(self._one),
            "batch": self._by_batch,
        }

    def _by_batch(self, v: torch.Tensor) -> torch.Tensor:
        """A copy of the plan per row and one backward pass over all copies."""
        count = 1 + len(self.tick.rhs)
        with torch.enable_grad():
            copies = v.expand(count, -1).clone().requires_grad_()
            money, excess = self.eager.money_and_excess(copies)
            chosen = money[0] + excess.diagonal(-1).sum()
            (jacobian,) = torch.autograd.grad(chosen, copies)
        return jacobian

    def choose(self, v: Floats) -> str:
        """Takes the quickest way to the Jacobian."""
        spent = {}
        for way in self.jacobians:
            self.way, times = way, []
            for _ in range(PROBES):
                self._slope = None
                begin = time.perf_counter()
                self.slopes(v)
                times.append(time.perf_counter() - begin)
            spent[way] = min(times)
        self.way = min(spent, key=lambda way: spent[way])
        self._slope = None
        return self.way

    def _one(self, v: torch.Tensor) -> torch.Tensor:
        money, excess = self.plain.money_and_excess(v)
        return torch.cat([money[None], excess])

    def _evaluate(self, v: Floats) -> tuple[float, Floats]:
        with torch.no_grad():
            money, excess = self.value(torch.as_tensor(v, dtype=torch.float32))
        return float(money), excess.double().numpy()

    def _slopes(self, v: Floats) -> tuple[Floats, Floats]:
        at = torch.as_tensor(v, dtype=torch.float32)
        with torch.no_grad():
            found = self.jacobians[self.way](at)
        if self.way == "forward":
            return found[0].double().numpy(), found[1].double().numpy()
        return found[0].double().numpy(), found[1:].double().numpy()

    def merit_slope(self, v: Floats, mu: float) -> tuple[float, Floats]:
        at = torch.as_tensor(v, dtype=torch.float32).requires_grad_()
        money, excess = self.eager.money_and_excess(at)
        penalty = WEIGHT * smooth_phi(excess, mu).sum()
        (gradient,) = torch.autograd.grad(money + penalty, at)
        self.calls["value"] += 1
        self.calls["slope"] += 1
        suppression, pull = self.stated.suppression(v, self.tick.applied)
        value = float(money.detach()) + float(penalty.detach()) + float(self.fixed @ v) + suppression
        return value, gradient.double().numpy() + self.fixed + pull


def smooth_phi(excess: torch.Tensor, mu: float) -> torch.Tensor:
    """phi with max(e, 0) replaced by (e + sqrt(e^2 + mu^2)) / 2."""
    over = 0.5 * (excess + (excess.square() + mu * mu).sqrt())
    return over + 0.5 * CURVE * over.square()
