"""What a controller decides, and all that one of its steps was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt._format import html_table
from emisopt.objective import Limit

__all__ = ["Decision", "Tick", "decision_of"]

Floats = NDArray[np.float64]

SLACK_COLUMNS = ["limit", "output", "amount", "first_step", "last_step", "worst_from", "worst_to"]


@dataclass(frozen=True)
class Decision:
    """What to do in the coming row, and why.

    Attributes
    ----------
    move : Series, setpoint -> value to apply now; always inside bounds and rates
    status : OPTIMAL, FEASIBLE_DEADLINE, LIMIT_SLACKED, PREVIOUS_PLAN_SHIFTED, HOLD or SAFE_RAMP
    plan : DataFrame (H, U), setpoints over the horizon; its first row is the move
    trajectories : DataFrame (H, outputs x [median, upper]), the forecast under the plan; NaN when not `ok`
    slacks : DataFrame, what cannot hold in the plan: limit, output, amount above it, first and last step at
        which a window closes above it, and the labels of the first and last row of the worst window
    cost : predicted cost over the horizon, in `currency`; NaN when not `ok`
    reason : why not OPTIMAL, one line
    seconds : of the decision;   iterations : Jacobians taken;   kkt : scaled residual of the last one
    adjoint : further steps, on an older Jacobian and an exact gradient
    work : questions to the clock that were answered "time is left", and whether the next one ended it: all
        that a replay needs to do the same again
    remarks : a line for each newest reading that lies outside its tag's range, and what was taken for it
    """

    move: pd.Series
    status: str
    plan: pd.DataFrame
    trajectories: pd.DataFrame
    slacks: pd.DataFrame
    cost: float
    reason: str
    seconds: float
    iterations: int
    kkt: float
    adjoint: int = 0
    work: tuple[int, bool] = (0, False)
    currency: str = "EUR"
    applied: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the move rests on a forecast of this row."""
        return self.status in ("OPTIMAL", "FEASIBLE_DEADLINE", "LIMIT_SLACKED")

    def __str__(self) -> str:
        moves = ", ".join(f"{n} {self.applied.get(n, np.nan):.4g} -> {v:.4g}" for n, v in self.move.items())
        lines = [f"{self.status}: {moves}"]
        if self.reason:
            lines.append(f"  {self.reason}")
        lines += [f"  {remark}" for remark in self.remarks]
        lines += [
            f"  {s['limit']} exceeded by {s['amount']:.3g} in steps {s['first_step']} to {s['last_step']}"
            for s in self.slacks.to_dict("records")
        ]
        if self.ok:
            steps = len(self.plan)
            lines.append(
                f"  cost {self.cost:.2f} {self.currency} over {steps} rows; {self.seconds * 1e3:.1f} ms"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = pd.DataFrame({"now": self.applied, "move": self.move})
        parts = [f"<p><b>{self.status}</b> {escape(self.reason)}</p>", html_table(table)]
        parts += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        if len(self.slacks):
            parts.append(html_table(self.slacks, index=False))
        if self.ok:
            ends = self.trajectories.iloc[[0, len(self.trajectories) // 2, -1]]
            parts.append(html_table(ends))
        return "".join(parts)


@dataclass(frozen=True)
class Tick:
    """What one call of :meth:`Controller.step` was given, and what came of it; see :mod:`emisopt.replay`."""

    history: pd.DataFrame
    known: pd.DataFrame | Floats | None
    applied: dict[str, float] | None
    manual: tuple[str, ...]
    calibrating: tuple[str, ...]
    steady_target: dict[str, float] | None
    prepared: bool
    decision: Decision
    backoff: str = ""  # hash of the back-off that learns, after the decision; "": none
    windows: str = ""  # the same of that of averages


def decision_of(
    core: _core.Decision,
    index: pd.Index,
    now: pd.Series,
    outputs: Sequence[str],
    limits: Sequence[Limit],
    currency: str,
    remarks: Sequence[str] = (),
) -> Decision:
    """The core's decision with names and labels.

    index (H,): labels of the coming rows; now: setpoints in force, by name; outputs: of the forecast (O)
    """
    both = np.stack([core.median, core.upper], axis=-1).reshape(len(index), -1)
    columns = pd.MultiIndex.from_product([list(outputs), ["median", "upper"]], names=["output", "forecast"])
    window = {limit.label: limit.window for limit in limits}
    slacks = []
    for s in core.slacks:
        first = s.worst_step - window[s.limit] + 1 if s.limit in window else s.worst_first
        span = (_label_at(index, first), index[s.worst_step])
        slacks.append((s.limit, outputs[s.output], s.amount, s.first_step, s.last_step, *span))
    return Decision(
        move=pd.Series(core.move, index=now.index, name="move"),
        status=str(core.status.name),
        plan=pd.DataFrame(core.plan, index=index, columns=list(now.index)),
        trajectories=pd.DataFrame(both, index=index, columns=columns),
        slacks=pd.DataFrame(slacks, columns=SLACK_COLUMNS),
        cost=core.cost,
        reason=core.reason,
        seconds=core.seconds,
        iterations=core.iterations,
        kkt=core.kkt,
        adjoint=core.adjoint,
        work=(core.work.questions, core.work.stopped),
        currency=currency,
        applied=now,
        remarks=tuple(remarks),
    )


def _label_at(index: pd.Index, step: int) -> object:
    """The label of a step, before the first one, too."""
    if step >= 0 or len(index) < 2:
        return index[max(step, 0)]
    return index[0] + step * (index[1] - index[0])
