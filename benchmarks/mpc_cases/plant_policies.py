"""Who runs the literature's plants beside the operator: our controller and the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.mpc_cases.plant_loop import Floats, Plant, Problem, Seen, price_table
from benchmarks.nlp_peers.problem import block_lengths
from emisopt import Controller, Forecaster, Objective, Setpoint, _core
from emisopt.objective import Limit

BLOCKS = 10
ORACLE_HORIZON, ORACLE_BLOCKS = 40, 14


def setpoints_of(problem: Problem) -> dict[str, Setpoint]:
    return {
        n: Setpoint(price=problem.setpoint_prices.get(n, 0.0), move_weight=problem.move_weight)
        for n in problem.tags.setpoints
    }


def tight(limit: Limit, margin: float) -> Limit:
    """Less a share that is kept free for what the forecaster does not foresee."""
    return replace(limit, limit=limit.limit * (1 - margin))


class Ours:
    """emisopt's controller as a user makes it, the average held by the permit room's rows.

    each_row: the same number as a limit on each row instead of the average.
    """

    def __init__(
        self, forecaster: Forecaster, margin: float = 0.0, *, each_row: bool = False, **options: Any
    ) -> None:
        self.forecaster, self.margin, self.each_row, self.options = forecaster, margin, each_row, options

    def start(self, problem: Problem, plant: Plant, truth: Floats, seen: Seen) -> None:
        self.problem, rule = problem, problem.average
        pace = pd.Timedelta(seconds=problem.tags.period)
        stamps = pd.date_range(seen.stamps[-1] + pace, periods=len(seen.factors), freq=pace)
        table = price_table(problem, seen.factors)
        prices = {
            n: pd.Series(table[:, o], stamps) for o, n in enumerate(problem.tags.outputs) if table[:, o].any()
        }
        self.limits = [tight(problem.spot, self.margin)]
        self.stream = None
        if self.each_row:
            each = Limit(rule.output, rule.limit, quantile=rule.quantile, name=f"{rule.output} each row")
            self.limits.append(tight(each, self.margin))
        else:
            self.stream = rule.stream(problem.tags.period, self.margin).push(seen.history)
        options = {"blocks": BLOCKS, "deadline_s": 10.0, "threads": 1, **self.options}
        self.controller = Controller(
            self.forecaster, Objective(prices), self.limits, setpoints_of(problem), permit=self.stream,
            permit_options={"quantile": rule.quantile}, **options,
        )  # fmt: skip
        self.first = True

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        history = seen.history
        if self.stream is not None and not self.first:
            self.stream.push(history.iloc[-1:])
        self.first = False
        names = list(self.controller.setpoints)
        applied = dict(zip(names, (float(v) for v in seen.applied), strict=True))
        self.last = self.controller.step(history, applied=applied)
        return self.last.move.to_numpy(dtype=float), self.last.status


class Oracle:
    """The same controller over the true equations, the true state and the true future, without back-off.

    It looks farther ahead in more blocks and takes more Jacobians.
    """

    def __init__(self, *, each_row: bool = False, iterations: int = 6) -> None:
        self.each_row, self.iterations = each_row, iterations

    def start(self, problem: Problem, plant: Plant, truth: Floats, seen: Seen) -> None:
        self.problem, self.plant, self.truth, self.first = problem, plant, truth, True
        tags, rule = problem.tags, problem.average
        starts = np.cumsum([0, *block_lengths(ORACLE_HORIZON, ORACLE_BLOCKS)[:-1]])
        self.predictor = _core.PlantPredictor(ORACLE_HORIZON, starts.tolist(), 1)
        limits = [replace(problem.spot, quantile=0.5)]
        if self.each_row:
            limits.append(Limit(rule.output, rule.limit, quantile=0.5))
        self.stream = rule.stream(tags.period).push(pd.DataFrame(truth, seen.stamps, tags.outputs))
        self.controller = _core.Controller(
            setpoints=[s.to_core(n, tags) for n, s in setpoints_of(problem).items()],
            limits=[limit.to_core(tags.outputs) for limit in limits], price=[0.0] * len(tags.outputs),
            fuel=None, currency="EUR", horizon=ORACLE_HORIZON, outputs=len(tags.outputs),
            envelope=_core.Envelope(),
            permit_limits=[] if self.each_row else list(self._rows(seen).limits),
            config=_core.ControllerConfig(
                blocks=ORACLE_BLOCKS, max_iterations=self.iterations, deadline_s=60.0, limit_margin=1e-5
            ),
        )  # fmt: skip

    def _rows(self, seen: Seen) -> _core.PermitRows:
        tags = self.problem.tags
        return self.stream.coming(
            seen.stamps[-1],
            seconds=round(tags.period),
            steps=ORACLE_HORIZON,
            outputs=tags.outputs,
            quantile=0.5,
        ).core

    def decide(self, seen: Seen) -> tuple[Floats, str]:
        if not self.first:
            newest = self.plant.core.truth()
            self.truth = np.vstack([self.truth[1:], newest])
            self.stream.push(pd.DataFrame([newest], seen.stamps[-1:], self.problem.tags.outputs))
        self.first = False
        self.predictor.set(self.plant.core)
        rows = [] if self.each_row else [self._rows(seen)]
        decision = self.controller.step(
            self.predictor, np.ascontiguousarray(seen.applied), np.ascontiguousarray(self.truth), *rows,
            price=np.ascontiguousarray(price_table(self.problem, seen.factors[:ORACLE_HORIZON])),
        )  # fmt: skip
        return np.array(decision.move), str(decision.status.name)
