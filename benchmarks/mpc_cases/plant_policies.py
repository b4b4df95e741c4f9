"""Who runs the literature's plants: our controller, IPOPT on the same forecaster, the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.mpc_cases.plant_loop import Floats, Plant, Problem, Seen, price_table
from benchmarks.nlp_peers.problem import block_lengths
from emisopt import Controller, Forecaster, Objective, Setpoint, _core
from emisopt.objective import Limit

BLOCKS = 6
ORACLE_HORIZON, ORACLE_BLOCKS = 40, 10


def setpoints_of(problem: Problem) -> dict[str, Setpoint]:
    return {
        n: Setpoint(price=problem.setpoint_prices.get(n, 0.0), move_weight=problem.move_weight)
        for n in problem.tags.setpoints
    }


def spot(problem: Problem) -> tuple[Limit, ...]:
    """The averaging limits as limits on each row, the same number."""
    return tuple(replace(limit, window=1, name=f"{limit.label} spot") for limit in problem.limits)


def tightened(limits: tuple[Limit, ...], margin: float) -> tuple[Limit, ...]:
    """Each limit less a share that is kept free for what the forecaster does not foresee."""
    return tuple(replace(limit, limit=limit.limit * (1 - margin)) for limit in limits)


class Ours:
    """emisopt's controller as a user makes it."""

    def __init__(self, forecaster: Forecaster, limits: tuple[Limit, ...], *, bias: str = "none", **options: object):
        self.forecaster, self.limits, self.bias, self.options = forecaster, limits, bias, options

    def start(self, problem: Problem, plant: Plant, truth: Floats, factors: Floats) -> None:
        self.problem = problem
        stamps = pd.DatetimeIndex(
            [plant.time + pd.Timedelta(seconds=problem.tags.period * (i + 1)) for i in range(len(factors))]
        )
        table = price_table(problem, factors)
        prices = {n: pd.Series(table[:, o], stamps) for o, n in enumerate(problem.tags.outputs) if table[:, o].any()}
        self.controller = Controller(
            self.forecaster, Objective(prices), self.limits, setpoints_of(problem),
            **{"blocks": BLOCKS, "deadline_s": 10.0, "bias": self.bias, "threads": 1, **self.options},
        )  # fmt: skip

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        names = list(self.controller.setpoints)
        applied = dict(zip(names, (float(v) for v in seen.applied), strict=True))
        self.last = self.controller.step(seen.history, applied=applied)
        return self.last.move.to_numpy(dtype=float), self.last.status


class Oracle:
    """The same controller over the true equations, the true state and the true future, without back-off.

    It looks twice as far ahead in twice as many blocks and takes as many Jacobians as it needs.
    """

    def __init__(self, horizon: int = ORACLE_HORIZON, blocks: int = ORACLE_BLOCKS, iterations: int = 6) -> None:
        self.horizon, self.blocks, self.iterations = horizon, blocks, iterations

    def start(self, problem: Problem, plant: Plant, truth: Floats, factors: Floats) -> None:
        self.problem, self.plant, self.truth, self.fresh = problem, plant, truth, True
        tags = problem.tags
        self.predictor = _core.PlantPredictor(
            self.horizon, np.cumsum([0, *block_lengths(self.horizon, self.blocks)[:-1]]).tolist(), 1
        )
        limits = [replace(limit, quantile=0.5).to_core(tags.outputs) for limit in problem.limits]
        self.controller = _core.Controller(
            setpoints=[s.to_core(n, tags) for n, s in setpoints_of(problem).items()],
            limits=limits, price=[0.0] * len(tags.outputs), fuel=None, currency="EUR", horizon=self.horizon,
            outputs=len(tags.outputs), envelope=_core.Envelope(),
            config=_core.ControllerConfig(
                blocks=self.blocks, max_iterations=self.iterations, deadline_s=60.0, limit_margin=1e-5
            ),
        )  # fmt: skip

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        if not self.fresh:
            self.truth = np.vstack([self.truth[1:], self.plant.core.truth()])
        self.fresh = False
        self.predictor.set(self.plant.core)
        decision = self.controller.step(
            self.predictor, np.ascontiguousarray(seen.applied), np.ascontiguousarray(self.truth),
            price=np.ascontiguousarray(price_table(self.problem, seen.factors[: self.horizon])),
        )  # fmt: skip
        return np.array(decision.move), str(decision.status.name)
