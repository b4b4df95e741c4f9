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
from emisopt._format import html_table, short, text_table
from emisopt.control import Controller
from emisopt.decision import Decision
from emisopt.forecaster import Forecaster
from emisopt.history import held_disturbances, to_history
from emisopt.objective import Limit, Objective, Setpoint
from emisopt.tags import TagMap

__all__ = ["Advice", "advise"]

Floats = NDArray[np.float64]

STATUS = {
    "OPTIMAL": "every limit holds in the forecast, and no plan nearby costs less",
    "FEASIBLE_DEADLINE": "every limit holds in the forecast; the search ended before it could tell that no "
    "plan nearby costs less",
    "LIMIT_SLACKED": "not every limit can hold",
}


@dataclass(frozen=True)
class Advice:
    """What to do and what to hold it against.

    Attributes
    ----------
    decision : of the controller, offline: more iterations, no haste
    setpoints : DataFrame, setpoint x [now, first move, end of plan, hull low, hull high]; 99 % of the
        training rows lie between the last two
    outputs : DataFrame, output x [now, held, advised, nearest rows, spread of them]; held and advised are
        forecast medians, mean over the horizon, with the setpoints left as they are and with the plan
    neighbours : how many real rows the mean is over;   distance : their mean distance, in standard deviations
    near_in : the tags in which they are near
    """

    decision: Decision
    setpoints: pd.DataFrame
    outputs: pd.DataFrame
    neighbours: int
    distance: float
    near_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = len(self.decision.plan)
        return "\n".join(
            [
                *self._verdict(),
                "",
                _as_text(self.setpoints),
                "",
                _as_text(self.outputs),
                "",
                "hull: 99 % of the training rows lie between these two; the advice does not leave them",
                f"held, advised: forecast medians, mean of the next {rows} rows; held: setpoints stay as now",
                f"nearest rows: mean of the {self.neighbours} real rows nearest to the end of the plan",
                f"  in {', '.join(self.near_in)}: {self.distance:.2f} standard deviations away per tag",
            ]
        )

    def _verdict(self) -> list[str]:
        """The status in words, and what cannot hold; rows are counted from 1, the first one ahead."""
        decision = self.decision
        lines = [f"{decision.status}: {STATUS.get(decision.status, decision.reason)}"]
        lines += [
            f"  {s['limit']}: above it by up to {short(s['amount'])}, rows {s['first_step'] + 1} to "
            f"{s['last_step'] + 1} ahead"
            for s in decision.slacks.to_dict("records")
        ]
        return lines

    def _repr_html_(self) -> str:
        return (
            f"<p><b>{self.decision.status}</b> {'<br>'.join(map(escape, self._verdict()))}</p>"
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
    blocks: int = 3,
) -> Advice:
    """One decision after the end of `history`, with bounds drawn in to where the training rows lay.

    Parameters
    ----------
    forecaster : fitted
    history : rows up to now; all of them are the data that the advice stays near and is compared with
    objective, limits, setpoints : as for :class:`emisopt.Controller`
    known : coming disturbances; None: those known ahead stay as in the newest row
    neighbours : real rows to compare with
    blocks : moves over the horizon

    Raises
    ------
    NotFittedError, DataError, InputError
    """
    check_is_fitted(forecaster, "core_")
    tags = forecaster.tags_
    hull = pd.DataFrame(forecaster.core_.hull, index=tags.names, columns=["low", "high"])
    bounded = _inside_hull(tags, hull, dict(setpoints or {}))
    controller = Controller(
        forecaster,
        objective,
        limits,
        bounded,
        training=history,
        blocks=min(blocks, int(forecaster.core_.config.horizon)),
        max_iterations=300,
        deadline_s=30.0,
    )
    horizon = int(forecaster.core_.config.horizon)
    coming = held_disturbances(history, tags, horizon) if known is None else known
    decision = controller.step(history, coming)
    held = forecaster.predict(history, np.tile(decision.applied.to_numpy(), (horizon, 1)), coming)
    near, distance, names = _nearest(tags, history, decision.plan.iloc[-1], coming.iloc[-1], neighbours)
    table = pd.DataFrame(
        {
            "now": decision.applied,
            "first move": decision.move,
            "end of plan": decision.plan.iloc[-1],
            "hull low": hull["low"],
            "hull high": hull["high"],
        }
    ).loc[tags.setpoints]
    table.index = _with_units(tags, tags.setpoints, "setpoint")
    newest = to_history(history, tags, live=True).values[-1]
    outputs = pd.DataFrame(
        {
            "now": pd.Series(newest, index=tags.names),
            "held": held.xs(0.5, axis=1, level="quantile").mean(),
            "advised": decision.trajectories.xs("median", axis=1, level="forecast").mean(),
            "nearest rows": near.mean(),
            "spread of them": near.std(),
        }
    ).loc[tags.outputs]
    outputs.index = _with_units(tags, tags.outputs, "output")
    return Advice(decision, table, outputs, len(near), distance, names)


def _with_units(tags: TagMap, names: Sequence[str], what: str) -> pd.Index:
    return pd.Index([f"{n}, {tags[n].unit}" if tags[n].unit else n for n in names], name=what)


def _as_text(table: pd.DataFrame) -> str:
    rows = [
        [str(name), *map(short, values)] for name, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return text_table([str(table.index.name), *map(str, table.columns)], rows)


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
) -> tuple[pd.DataFrame, float, tuple[str, ...]]:
    """Outputs of the real rows nearest in setpoints and known disturbances, mean distance, and in what."""
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
    return complete.loc[chosen.index, tags.outputs], float(chosen.mean()), tuple(names)
