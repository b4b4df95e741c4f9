"""IPOPT in the controller's place: the same forecaster, back-off, bias, rows and prices, values and slopes
from our engine. It solves each tick to its end, from the plan of the tick before."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from benchmarks.mpc_cases.boiler_study import Settings, mpc
from benchmarks.nlp_peers.casadi_calls import Values, options_of
from benchmarks.nlp_peers.problem import CURVE, block_lengths
from emisopt import Forecaster, _core
from emisopt.loop import Scenario

Floats = NDArray[np.float64]
TOLERANCE, MAX_ITERATIONS = 1e-5, 60
GAS_NM3_MJ = 0.361  # FuelCostConfig::gas_nm3_mj
RANKS_APART = 100.0  # csrc/emisopt/control/sqp.cpp: one rank's weight against the next one's


class Problem:
    """One tick: values and slopes of money, move suppression and limit rows by block values / range."""

    def __init__(self, scenario: Scenario, settings: Settings, horizon: int, held: list[_core.Limit]) -> None:
        tags = scenario.tags
        self.horizon, self.held = horizon, held
        self.low = np.array([float(tags[n].low) for n in tags.setpoints])  # type: ignore[arg-type]
        self.high = np.array([float(tags[n].high) for n in tags.setpoints])  # type: ignore[arg-type]
        self.rate = np.array([float(tags[n].rate) for n in tags.setpoints])  # type: ignore[arg-type]
        self.span = self.high - self.low
        lengths = block_lengths(horizon, settings.blocks)
        self.starts = [int(s) for s in np.cumsum([0, *lengths[:-1]])]
        ends = [*(s - 1 for s in self.starts[1:]), horizon - 1]
        users = range(len(self.low))
        self.moves = [[u, s, e] for s, e in zip(self.starts, ends, strict=True) for u in users]
        self.block_of = np.repeat(np.arange(len(lengths)), lengths)
        self.margin, self.move_weight = settings.margin, settings.moves
        outputs = list(tags.outputs)
        self.eff, self.nh3, self.nox = (outputs.index(n) for n in ("efficiency", "nh3_flow", "nox"))
        self.load_at = list(tags.disturbances).index("load")
        self.outputs, self.hours = len(outputs), tags.period / 3600
        self.fuel_price, self.nh3_price = scenario.core.prices
        self.fee = scenario.core.nox_fee
        self.n = len(self.moves)

    def begin(self, predictor: Any, load: Floats, applied: Floats, coefficient: Floats, rhs: Floats,
              limit: Floats, bias: Floats) -> None:  # fmt: skip
        self.predictor, self.load, self.applied, self.bias = predictor, load, applied, bias
        limits = [self.held[int(i)] for i in limit]
        size = np.array([x.limit for x in limits])
        self.output = np.array([x.output for x in limits])
        self.median_row = np.array([x.quantile <= 0.5 for x in limits])
        # A violation weighs by its rank: the excess is scaled so that the slack's weight is 1.
        lowest = max(x.rank for x in self.held)
        self.weight = np.array([RANKS_APART ** (lowest - x.rank) for x in limits])
        self.coefficient = coefficient / size[:, None]
        self.rhs = rhs / size - self.margin
        self._value: Any = None
        self._slope: Any = None

    def plan(self, v: Floats) -> Floats:
        return np.ascontiguousarray(v.reshape(len(self.starts), -1)[self.block_of] * self.span)

    def _money(self, y: Floats) -> tuple[float, Floats]:
        """Money of the horizon and its gradient by outputs (H, O)."""
        heat = 3.6 * self.hours * self.load / (0.01 * y[:, self.eff])  # GJ
        fee = self.fee * 1e-6 * GAS_NM3_MJ * 1e3
        per_gj = self.fuel_price + fee * y[:, self.nox]
        cost = float((per_gj * heat + self.hours * self.nh3_price * y[:, self.nh3]).sum())
        gradient = np.zeros_like(y)
        gradient[:, self.eff] = -per_gj * heat / y[:, self.eff]
        gradient[:, self.nh3] = self.hours * self.nh3_price
        gradient[:, self.nox] += fee * heat
        return cost, gradient

    def _suppression(self, v: Floats) -> tuple[float, Floats]:
        steps = np.diff(np.vstack([self.applied / self.span, v.reshape(len(self.starts), -1)]), axis=0)
        gradient = 2 * self.move_weight * steps
        gradient[:-1] -= 2 * self.move_weight * steps[1:]
        return self.move_weight * float((steps**2).sum()), gradient.ravel()

    def forecast(self, v: Floats) -> tuple[Floats, Floats]:
        median, upper = self.predictor.predict(self.plan(v))
        return median + self.bias, upper + self.bias

    def evaluate(self, v: Floats) -> tuple[float, Floats]:
        key = v.tobytes()
        if self._value is None or self._value[0] != key:
            median, upper = self.forecast(v)
            held = np.where(self.median_row[:, None], median.T[self.output], upper.T[self.output])
            excess = self.weight * ((self.coefficient * held).sum(1) - self.rhs)
            self._value = (key, self._money(median)[0] + self._suppression(v)[0], excess)
        return self._value[1], self._value[2]

    def slopes(self, v: Floats) -> tuple[Floats, Floats]:
        key = v.tobytes()
        if self._slope is None or self._slope[0] != key:
            plan = self.plan(v)
            median = self.predictor.predict(plan)[0] + self.bias
            j_median, j_upper = (
                j.reshape(self.horizon, self.outputs, self.n) * np.tile(self.span, len(self.starts))
                for j in self.predictor.sensitivities(plan, self.moves)
            )
            gradient = np.einsum("to,ton->n", self._money(median)[1], j_median) + self._suppression(v)[1]
            both = np.where(
                self.median_row[:, None, None],
                j_median.transpose(1, 0, 2)[self.output],
                j_upper.transpose(1, 0, 2)[self.output],
            )
            jacobian = self.weight[:, None] * np.einsum("mt,mtn->mn", self.coefficient, both)
            self._slope = (key, gradient, jacobian)
        return self._slope[1], self._slope[2]


class Ipopt:
    """A plan a tick. A solver is made for each number of limit rows that comes up."""

    def __init__(self, problem: Problem, load: Any) -> None:
        self.problem, self.load = problem, load
        self.solvers: dict[int, tuple[Any, Values]] = {}
        self.last: Floats | None = None

    def _solver(self, m: int) -> Any:
        if m not in self.solvers:
            p = self.problem
            values = Values(p.n, m, p)
            v, s = ca.MX.sym("v", p.n), ca.MX.sym("s", m)
            weight = ca.MX.sym("w")
            both = values(v)
            users = len(p.low)
            nlp = {
                "x": ca.vertcat(v, s),
                "f": both[0] + weight * (ca.sum1(s) + 0.5 * CURVE * ca.sumsqr(s)),
                "g": ca.vertcat(both[1:] - s, v[users:] - v[:-users]),
                "p": weight,
            }
            name, options = options_of("ipopt-bfgs", TOLERANCE, jit=False)
            options["ipopt"]["max_iter"] = MAX_ITERATIONS
            self.solvers[m] = (ca.nlpsol("nlp", name, nlp, options), values)
        return self.solvers[m][0]

    def __call__(self, predictor: Any, applied: Floats, coefficient: Floats, rhs: Floats, limit: Floats,
                 bias: Floats) -> Floats:  # fmt: skip
        p = self.problem
        p.begin(predictor, self.load(predictor), applied, coefficient, rhs, limit, bias)
        blocks, now, reach = len(p.starts), applied / p.span, p.rate / p.span
        low, high = np.tile(p.low / p.span, (blocks, 1)), np.tile(p.high / p.span, (blocks, 1))
        low[0], high[0] = np.maximum(low[0], now - reach), np.minimum(high[0], now + reach)
        start = np.tile(now, (blocks, 1))
        if self.last is not None:
            rows = [min(s + 1, p.horizon - 1) for s in p.starts]
            before = now
            for b, wanted in enumerate(self.last[rows] / p.span):
                start[b] = before = np.clip(
                    wanted,
                    np.maximum(p.low / p.span, before - reach),
                    np.minimum(p.high / p.span, before + reach),
                )
        cost, excess = p.evaluate(start.ravel())
        m, bound = len(rhs), np.tile(reach, blocks - 1)
        answer = self._solver(m)(
            x0=np.concatenate([start.ravel(), np.maximum(excess, 0) + 1e-3]),
            lbx=np.concatenate([low.ravel(), np.zeros(m)]),
            ubx=np.concatenate([high.ravel(), np.full(m, np.inf)]),
            lbg=np.concatenate([np.full(m, -np.inf), -bound]),
            ubg=np.concatenate([np.zeros(m), bound]),
            p=abs(cost),
        )
        v = np.clip(np.asarray(answer["x"]).ravel()[: p.n], low.ravel(), high.ravel())
        self.last = p.plan(v)
        return self.last


def ipopt_policy(scenario: Scenario, forecaster: Forecaster, settings: Settings) -> _core.Policy:
    """IPOPT beside all else that the suite's controller has."""
    held = [*scenario.limits]
    if scenario.permit is not None:
        held += _core.permit_limits(scenario.permit, scenario.core.tags)
    quantile = scenario.quantiles(settings.quantile)
    held = [
        _core.Limit(
            name=x.name,
            output=x.output,
            limit=x.limit,
            window=x.window,
            rank=x.rank,
            quantile=quantile[x.output],
        )
        for x in held
    ]
    problem = Problem(scenario, settings, int(forecaster.core_.config.horizon), held)
    solve = Ipopt(problem, lambda predictor: np.asarray(predictor.known)[:, problem.load_at])
    return mpc(scenario, forecaster, settings, solver=solve)
