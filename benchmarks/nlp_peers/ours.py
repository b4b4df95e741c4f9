"""emisopt's own controller, as a program would hold it."""

from __future__ import annotations

import numpy as np

from benchmarks.nlp_peers.problem import MARGIN, MOVE_WEIGHT, WEIGHT, Floats, Statement, Tick
from emisopt import _core


class Ours:
    def __init__(
        self, stated: Statement, threads: int, max_iterations: int = 200, kkt_tolerance: float = 1e-5
    ) -> None:
        tags, core = stated.tags, stated.forecaster.core_
        self.stated = stated
        self.predictor = _core.ForecastPredictor(core, list(stated.limits), threads)
        self.controller = _core.Controller(
            setpoints=[
                _core.Setpoint(
                    name=name, unit=tags[name].unit, low=stated.low[u], high=stated.high[u],
                    rate=stated.rate[u], price=stated.price_u[u], move_weight=MOVE_WEIGHT,
                )
                for u, name in enumerate(tags.setpoints)
            ],
            limits=list(stated.limits),
            price=list(stated.price_y),
            fuel=None,
            currency="EUR",
            horizon=stated.case.horizon,
            outputs=len(stated.price_y),
            config=_core.ControllerConfig(
                blocks=stated.case.blocks, max_iterations=max_iterations, deadline_s=1e6,
                limit_margin=MARGIN, slack_l1=WEIGHT, kkt_tolerance=kkt_tolerance,
            ),
            envelope=_core.Envelope(),
        )  # fmt: skip

    def set_tick(self, tick: Tick, warm: bool = False) -> None:
        """Reads the history; what is known from the tick before is forgotten unless `warm`."""
        self.predictor.set_tick(tick.rows, tick.end, tick.known)
        if not warm:
            self.controller.reset()

    def solve(self, tick: Tick) -> _core.Decision:
        return self.controller.step(self.predictor, tick.applied, tick.past)

    def variables(self, decision: _core.Decision) -> Floats:
        return np.ascontiguousarray(decision.plan[list(self.stated.starts)] / self.stated.span).ravel()
