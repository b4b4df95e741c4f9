"""A what-if study on a history: the move that would cost least now, beside what really happened.

What-if accuracy is no proof of cause. So the advice stays inside the box and near the rows that the
forecaster was trained on, and each predicted output is set beside the mean of the real rows whose operation
was nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt._format import html_table, short
from emisopt.control import Controller, Decision
from emisopt.forecaster import Forecaster
from emisopt.history import held_disturbances, to_history
from emisopt.objective import Limit, Objective, Setpoint
from emisopt.tags import TagMap

__all__ = ["Advice", "advise"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Advice:
    """What to do and what to hold it against.

    Attributes
    ----------
    decision : of the controller, offline: more iterations, no haste
    setpoints : DataFrame, setpoint x [now, first move, end of plan, hull low, hull high]
    outputs : DataFrame, output x [held, advised, nearest rows, spread of them], means over the horizon;
        `held` is the forecast with the setpoints left as they are
    neighbours : how many real rows the mean is over;   distance : their mean distance, in standard deviations
    """

    decision: Decision
    setpoints: pd.DataFrame
    outputs: pd.DataFrame
    neighbours: int
    distance: float

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.decision.status} {self.decision.reason}".rstrip(),
                self.setpoints.to_string(float_format=short),
                "",
                self.outputs.to_string(float_format=short),
                f"nearest rows: mean of the {self.neighbours} with operation nearest to the end of the plan, "
                f"{self.distance:.2f} standard deviations away per tag",
            ]
        )

    def _repr_html_(self) -> str:
        return (
            f"<p><b>{self.decision.status}</b> {escape(self.decision.reason)}</p>"
            + html_table(self.setpoints)
            + html_table(self.outputs)
        )


def advise(
    forecaster: Forecaster,
    history: pd.DataFrame,
    objective: Objective,
    limits: Sequence[Limit] = (),
    setpoints: Mapping[str, Setpoint] | None = None,
    *,
    known: pd.DataFrame | None = None,
    neighbours: int = 50,
) -> Advice:
    """One decision after the end of `history`, with bounds drawn in to where the training rows lay.

    Parameters
    ----------
    forecaster : fitted
    history : rows up to now; all of them are the data that the advice stays near and is compared with
    objective, limits, setpoints : as for :class:`emisopt.Controller`
    known : coming disturbances; None: those known ahead stay as in the newest row
    neighbours : real rows to compare with

    Raises
    ------
    NotFittedError, DataError, InputError
    """
    check_is_fitted(forecaster, "core_")
    tags = forecaster.tags_
    hull = pd.DataFrame(forecaster.core_.hull, index=tags.names, columns=["low", "high"])
    bounded = _inside_hull(tags, hull, dict(setpoints or {}))
    controller = Controller(
        forecaster, objective, limits, bounded, training=history, max_iterations=30, deadline_s=10.0
    )
    horizon = int(forecaster.core_.config.horizon)
    coming = held_disturbances(history, tags, horizon) if known is None else known
    decision = controller.step(history, coming)
    held = forecaster.predict(history, np.tile(decision.applied.to_numpy(), (horizon, 1)), coming)
    near, distance = _nearest(tags, history, decision.plan.iloc[-1], coming.iloc[-1], neighbours)
    table = pd.DataFrame(
        {
            "now": decision.applied,
            "first move": decision.move,
            "end of plan": decision.plan.iloc[-1],
            "hull low": hull["low"],
            "hull high": hull["high"],
        }
    ).loc[tags.setpoints]
    outputs = pd.DataFrame(
        {
            "held": held.xs(0.5, axis=1, level="quantile").mean(),
            "advised": decision.trajectories.xs("median", axis=1, level="forecast").mean(),
            "nearest rows": near.mean(),
            "spread of them": near.std(),
        }
    ).loc[tags.outputs]
    outputs.index = pd.Index([f"{n}, {tags[n].unit}" for n in tags.outputs], name="mean over the horizon")
    return Advice(decision, table, outputs, len(near), distance)


def _inside_hull(tags: TagMap, hull: pd.DataFrame, chosen: dict[str, Setpoint]) -> dict[str, Setpoint]:
    """Setpoints with their bounds drawn in to the hull's box."""
    bounded = {}
    for name in tags.setpoints:
        setpoint = chosen.get(name, Setpoint())
        low = max(float(hull["low"][name]), -np.inf if setpoint.low is None else setpoint.low)
        high = min(float(hull["high"][name]), np.inf if setpoint.high is None else setpoint.high)
        if not low < high:
            raise _core.InputError(
                f"advise(setpoints): {name!r}: the bounds asked for lie outside the training rows, "
                f"{hull['low'][name]:g} to {hull['high'][name]:g} {tags[name].unit}"
            )
        bounded[name] = replace(setpoint, low=low, high=high)
    return bounded


def _nearest(
    tags: TagMap, history: pd.DataFrame, plan: pd.Series, coming: pd.Series, count: int
) -> tuple[pd.DataFrame, float]:
    """Outputs of the real rows nearest in setpoints and known disturbances, and their mean distance."""
    rows = pd.DataFrame(to_history(history, tags, live=True).values, columns=tags.names)
    continuous = [n for n in coming.index if tags[n].kind == "continuous"]
    names = [*tags.setpoints, *continuous]
    target = np.array([float(plan[n]) for n in tags.setpoints] + [float(coming[n]) for n in continuous])
    complete = rows[rows[names + tags.outputs].notna().all(axis=1)]
    if complete.empty:
        raise _core.InputError(
            "advise(history): expected rows with all setpoints and outputs known, got none"
        )
    spread = complete[names].std().replace(0.0, 1.0)
    away = np.sqrt((((complete[names] - target) / spread) ** 2).mean(axis=1))
    chosen = away.nsmallest(count)
    return complete.loc[chosen.index, tags.outputs], float(chosen.mean())
