"""IPOPT in our controller's place: the same forecaster, rows, bounds, rates and blocks, values and slopes of
our engine; limited-memory Hessian, started from the last plan one row on."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from benchmarks.mpc_cases.plant_loop import Floats, Plant, Problem, Seen, price_table
from benchmarks.mpc_cases.plant_policies import BLOCKS, tight
from benchmarks.nlp_peers.problem import block_lengths
from emisopt import Forecaster, _core
from emisopt.history import held_disturbances, known_array, to_history

MARGIN = 1e-4  # ControllerConfig::limit_margin
WEIGHT = 20.0  # per unit of slack / limit and row, in the horizon's money: above any multiplier met here
OPTIONS = {
    "print_time": False,
    "ipopt": {
        "print_level": 0, "sb": "yes", "tol": 1e-6, "hessian_approximation": "limited-memory",
        "max_iter": 200, "mu_strategy": "adaptive",
    },
}  # fmt: skip


class _Slopes(ca.Callback):  # type: ignore[misc]
    def __init__(self, owner: Ipopt) -> None:
        ca.Callback.__init__(self)
        self.owner = owner
        self.construct("slopes", {})

    def get_n_in(self) -> int:
        return 2

    def get_n_out(self) -> int:
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self.owner.n, 1) if i == 0 else ca.Sparsity(1 + self.owner.m, 1)

    def get_sparsity_out(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(1 + self.owner.m, self.owner.n)

    def eval(self, args: list[ca.DM]) -> list[Any]:
        return [self.owner.slopes(np.asarray(args[0]).ravel())]


class _Values(ca.Callback):  # type: ignore[misc]
    def __init__(self, owner: Ipopt) -> None:
        ca.Callback.__init__(self)
        self.owner, self.inner = owner, _Slopes(owner)
        self.construct("values", {})

    def get_n_in(self) -> int:
        return 1

    def get_n_out(self) -> int:
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self.owner.n, 1)

    def get_sparsity_out(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(1 + self.owner.m, 1)

    def eval(self, args: list[ca.DM]) -> list[Any]:
        return [self.owner.values(np.asarray(args[0]).ravel())]

    def has_jacobian(self) -> bool:
        return True

    def get_jacobian(self, name: str, inames: list[str], onames: list[str], opts: Any) -> ca.Function:
        return self.inner


class Ipopt:
    """The policy. Variables v (blocks, U): block values, each divided by its range."""

    def __init__(self, forecaster: Forecaster, margin: float = 0.0) -> None:
        self.forecaster, self.margin = forecaster, margin

    def start(self, problem: Problem, plant: Plant, truth: Floats, seen: Seen) -> None:
        self.problem, self.tags, core = problem, problem.tags, self.forecaster.core_
        self.spot = tight(problem.spot, self.margin)
        self.stream = problem.average.stream(self.tags.period, self.margin).push(seen.history)
        self.first = True
        self.horizon = int(core.config.horizon)
        self.session = _core.ForecastSession(core, 1)
        self.names = self.tags.setpoints
        get = lambda field: np.array([getattr(self.tags[n], field) for n in self.names])  # noqa: E731
        self.low, self.span, self.rate = get("low"), get("high") - get("low"), get("rate")
        lengths = block_lengths(self.horizon, BLOCKS)
        self.starts = np.cumsum([0, *lengths[:-1]])
        self.block_of = np.repeat(np.arange(len(lengths)), lengths)
        # A row per step for the spot limit, and one for each block of the average that the horizon touches.
        self.averages = self.horizon // problem.average.rows + 2
        self.n, self.m = len(lengths) * len(self.names), self.horizon + self.averages
        ends = [*(self.starts[1:] - 1), self.horizon - 1]
        self.moves = [
            (u, int(s), int(e))
            for s, e in zip(self.starts, ends, strict=True)
            for u in range(len(self.names))
        ]
        self.fixed = np.outer(lengths, [problem.setpoint_prices.get(n, 0.0) for n in self.names]) * self.span
        levels = list(self.forecaster.quantiles)
        self.middle = levels.index(0.5)
        self.upper = [levels.index(self.spot.quantile), levels.index(problem.average.quantile)]
        self.columns = [self.tags.outputs.index(n) for n in (self.spot.output, problem.average.output)]
        self.plan: Floats | None = None
        self._solver()

    def _solver(self) -> None:
        users = len(self.names)
        v, s = ca.MX.sym("v", self.n), ca.MX.sym("s", self.m)
        self.callback = _Values(self)
        both = self.callback(v)
        steps = np.zeros((self.n - users, self.n))
        at = np.arange(self.n - users)
        steps[at, at + users], steps[at, at] = 1.0, -1.0
        applied = ca.MX.sym("applied", users)
        first = v[:users] - applied
        moved = ca.sumsqr(first) + ca.sumsqr(ca.DM(steps) @ v)
        self.penalty = ca.MX.sym("penalty")
        problem = {
            "x": ca.vertcat(v, s),
            "p": ca.vertcat(applied, self.penalty),
            "f": both[0] + self.problem.move_weight * moved + self.penalty * ca.sum1(s),
            "g": ca.vertcat(both[1:] - s, ca.sparsify(ca.DM(steps)) @ v),
        }
        self.solver = ca.nlpsol("plan", "ipopt", problem, OPTIONS)
        reach = np.tile(self.rate / self.span, len(self.starts) - 1)
        self.bounds = (
            np.concatenate([np.full(self.m, -np.inf), -reach]), np.concatenate([np.zeros(self.m), reach])
        )  # fmt: skip

    def expand(self, v: Floats) -> Floats:
        return np.ascontiguousarray((v.reshape(-1, len(self.names)) * self.span + self.low)[self.block_of])

    def values(self, v: Floats) -> Floats:
        """[money; excess of each row, as a share of its limit]."""
        quantiles = self.session.predict_batch(self.expand(v)[None], self.known)[0]
        money = (self.prices * quantiles[:, :, self.middle]).sum() + (self.fixed.ravel() @ v)
        return np.concatenate([[money], self._rows(quantiles) - self.rhs])

    def slopes(self, v: Floats) -> Floats:
        """(1 + m, n) of `values`."""
        levels = sorted({self.middle, *self.upper})
        found = self.session.sensitivities(self.expand(v), self.known, self.moves, levels)
        by_level = np.moveaxis(found, 0, 2)  # (H, O, levels, n)
        money = np.einsum("ho,hon->n", self.prices, by_level[:, :, levels.index(self.middle)])
        rows = [
            weights @ by_level[:, column, levels.index(upper)]
            for weights, column, upper in zip(self.weights, self.columns, self.upper, strict=True)
        ]
        scale = np.tile(self.span, len(self.starts))
        jacobian = np.vstack([money, *rows]) * scale
        jacobian[0] += self.fixed.ravel()
        return jacobian

    def _rows(self, quantiles: Floats) -> Floats:
        parts = [
            weights @ quantiles[:, column, upper]
            for weights, column, upper in zip(self.weights, self.columns, self.upper, strict=True)
        ]
        return np.concatenate(parts)

    def _limit_rows(self, seen: Seen) -> None:
        """The spot limit step by step and the permit room's rows, as shares of the limits."""
        limit = self.problem.average.limit * (1 - self.margin)
        coming = self.stream.coming(
            seen.stamps[-1], seconds=round(self.tags.period), steps=self.horizon, outputs=self.tags.outputs,
            quantile=self.problem.average.quantile,
        )  # fmt: skip
        weights, room = np.zeros((self.averages, self.horizon)), np.ones(self.averages)
        weights[: len(coming)] = coming.coefficients() / limit
        room[: len(coming)] = coming.table()["room"] / limit
        self.weights = [np.eye(self.horizon) / self.spot.limit, weights]
        self.rhs = np.concatenate([np.ones(self.horizon), room]) - MARGIN

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        history = seen.history
        if not self.first:
            self.stream.push(history.iloc[-1:])
        self.first = False
        rows = to_history(history, self.tags, live=True, where="Ipopt.decide")
        self.session.set_history(rows, rows.rows)
        self.known = known_array(held_disturbances(history, self.tags, self.horizon), self.tags, self.horizon)
        self._limit_rows(seen)
        self.prices = price_table(self.problem, seen.factors[: self.horizon])
        now = (seen.applied - self.low) / self.span
        reach = self.rate / self.span
        low, high = np.zeros((len(self.starts), len(now))), np.ones((len(self.starts), len(now)))
        low[0], high[0] = np.maximum(0, now - reach), np.minimum(1, now + reach)
        start = np.tile(now, (len(self.starts), 1)) if self.plan is None else self._shifted(now, reach)
        excess = self.values(start.ravel())[1:]
        money = abs(self.values(start.ravel())[0])
        answer = self.solver(
            x0=np.concatenate([start.ravel(), np.maximum(excess, 0) + 1e-4]),
            lbx=np.concatenate([low.ravel(), np.zeros(self.m)]),
            ubx=np.concatenate([high.ravel(), np.full(self.m, np.inf)]),
            lbg=self.bounds[0], ubg=self.bounds[1], p=np.concatenate([now, [WEIGHT * money]]),
        )  # fmt: skip
        found = np.asarray(answer["x"]).ravel()[: self.n]
        self.plan = np.clip(found.reshape(low.shape), low, high)
        status = str(self.solver.stats()["return_status"])
        return self.plan[0] * self.span + self.low, status

    def _shifted(self, now: Floats, reach: Floats) -> Floats:
        assert self.plan is not None
        rows = self.plan[self.block_of]
        start = rows[np.minimum(self.starts + 1, self.horizon - 1)].copy()
        before = now
        for row in start:
            row[:] = np.clip(np.clip(row, before - reach, before + reach), 0, 1)
            before = row
        return start
