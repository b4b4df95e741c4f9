"""The controller: from the newest history to a setpoint move that keeps bounds, rates and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt._format import html_table
from emisopt.errors import DataError, EmisoptError
from emisopt.forecaster import Forecaster
from emisopt.history import future_index, held_disturbances, known_array, to_history
from emisopt.objective import Limit, Objective, Setpoint, place
from emisopt.permit.coming import coming_for, names_of
from emisopt.permit.evaluation import PermitStream
from emisopt.tags import TagMap

__all__ = ["Controller", "Decision"]

Floats = NDArray[np.float64]

ENVELOPE_SHARE = 0.98  # of the training rows lie inside
ENVELOPE_WEIGHT = 20.0  # cost per squared excess of the squared distance and step


@dataclass(frozen=True)
class Decision:
    """What to do in the coming row, and why.

    Attributes
    ----------
    move : Series, setpoint -> value to apply now; always inside bounds and rates
    status : OPTIMAL, FEASIBLE_DEADLINE, LIMIT_SLACKED, PREVIOUS_PLAN_SHIFTED, HOLD or SAFE_RAMP
    plan : DataFrame (H, U), setpoints over the horizon; its first row is the move
    trajectories : DataFrame (H, outputs x [median, upper]), the forecast under the plan; NaN when not `ok`
    slacks : DataFrame with limit, amount, first and last step: what cannot hold in the plan
    cost : predicted cost over the horizon, in `currency`; NaN when not `ok`
    reason : why not OPTIMAL, one line
    seconds : of the decision;   iterations : Jacobians taken;   kkt : scaled residual of the last one
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
    currency: str = "EUR"
    applied: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))

    @property
    def ok(self) -> bool:
        """Whether the move rests on a forecast of this row."""
        return self.status in ("OPTIMAL", "FEASIBLE_DEADLINE", "LIMIT_SLACKED")

    def __str__(self) -> str:
        moves = ", ".join(f"{n} {self.applied.get(n, np.nan):.4g} -> {v:.4g}" for n, v in self.move.items())
        lines = [f"{self.status}: {moves}"]
        if self.reason:
            lines.append(f"  {self.reason}")
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
        if len(self.slacks):
            parts.append(html_table(self.slacks, index=False))
        if self.ok:
            ends = self.trajectories.iloc[[0, len(self.trajectories) // 2, -1]]
            parts.append(html_table(ends))
        return "".join(parts)


class Controller:
    """Chooses setpoints that cost least while the limits hold, by optimising over a fitted forecaster.

    Parameters
    ----------
    forecaster : fitted
    objective : what a plan costs; see :func:`emisopt.economic`
    limits : what must hold; soft by rank, never at the expense of bounds and rates
    setpoints : name -> Setpoint with narrower bounds, rates, prices; what is left out: as the tags say
    training : rows like those that the forecaster was trained on: plans are then kept near them, since beyond
        a forecast is a guess; None: bounds and rates alone
    blocks : moves over the horizon
    max_iterations, deadline_s : of a decision; it is returned by the deadline, good or not so good
    bias : "none", "additive" or "multiplicative": follow what the forecast persistently misses
    bias_gain : per row, (0, 1]
    spike_width : a lone reading farther from its forecast than so many distances from the median to the
        limit's quantile is put aside; the next one like it is believed. 0: every reading is believed
    max_hold : rows without a forecast before ramping to the safe setpoints
    permit : a stream that the rows up to now are pushed to: its rules are held too, each as the rows that it
        still asks of the coming steps. Push before each `step`
    permit_options : of :meth:`emisopt.permit.PermitStream.coming`: rank, quantile, to_date, skip, ...
    threads : 0: EMISOPT_THREADS, else the machine's

    Notes
    -----
    `csrc/emisopt/control/controller.hpp`: sequential quadratic programming on exact sensitivities.

    Examples
    --------
    >>> import emisopt
    >>> history, tags = emisopt.plants.Boiler(seed=1).simulate_history(days=2)
    >>> f = emisopt.Forecaster(context=24, horizon=6, width=16, heads=2, layers=1, steps=20)
    >>> f = f.fit(history, tags=tags, progress=False)
    >>> c = Controller(f, emisopt.economic(), [emisopt.Limit("nox", 100, window=12)])
    >>> list(c.step(history).move.index)
    ['o2_sp', 'ofa_sp', 'nh3_ratio_sp', 'tilt_sp']
    """

    def __init__(
        self,
        forecaster: Forecaster,
        objective: Objective,
        limits: Sequence[Limit],
        setpoints: Mapping[str, Setpoint] | None = None,
        *,
        training: pd.DataFrame | None = None,
        blocks: int = 6,
        max_iterations: int = 3,
        deadline_s: float = 0.05,
        bias: str = "none",
        bias_gain: float = 0.15,
        spike_width: float = 4.0,
        max_hold: int = 12,
        permit: PermitStream | None = None,
        permit_options: Mapping[str, Any] | None = None,
        threads: int = 0,
    ) -> None:
        check_is_fitted(forecaster, "core_")
        tags = forecaster.tags_
        if not tags.setpoints:
            raise _core.InputError(
                "Controller(forecaster): expected at least one setpoint, got none; declare some with "
                "TagMap.with_setpoints before fitting"
            )
        chosen = dict(setpoints or {})
        for name in chosen:
            place(name, tags.setpoints, "Controller(setpoints)")
        self.forecaster = forecaster
        self.objective = objective
        self.limits = tuple(limits)
        self.setpoints = {n: chosen.get(n, Setpoint()) for n in tags.setpoints}
        self.bias = bias
        core_limits = [limit.to_core(tags.outputs) for limit in self.limits]
        self.permit, self.permit_options = permit, dict(permit_options or {})
        permit_limits, basis = self._permit_limits()
        held = [*core_limits, *(_on_output(limit, basis, len(tags.outputs)) for limit in permit_limits)]
        self._predictor = _core.ForecastPredictor(forecaster.core_, held, threads)
        self._mapped = None if basis is None else _core.MappedPredictor(self._predictor, basis)
        self._quantities = list(forecaster.outputs_) if basis is None else list(basis.names)
        if basis is not None and bias != "none":
            raise _core.InputError(
                "Controller(bias): expected none with a permit that corrects to a reference oxygen, got "
                f"{bias!r}: the corrected value is not measured"
            )
        price = objective.price_vector(tags.outputs)
        if objective.fuel is None:
            price += [0.0] * (len(self._quantities) - len(price))
        self._core = _core.Controller(
            setpoints=[s.to_core(n, tags) for n, s in self.setpoints.items()],
            limits=core_limits,
            price=price,
            fuel=objective.fuel_core(tags),
            currency=objective.currency,
            horizon=forecaster.core_.config.horizon,
            outputs=len(self._quantities),
            permit_limits=permit_limits,
            config=_core.ControllerConfig(
                blocks=blocks,
                max_iterations=max_iterations,
                deadline_s=deadline_s,
                bias=bias,
                bias_gain=bias_gain,
                max_hold=max_hold,
            ),
            envelope=_core.Envelope() if training is None else envelope(training, tags),
        )
        context = int(forecaster.core_.config.context)
        self._rows = max([context, *(limit.window for limit in self.limits)]) + 1
        self._last: Decision | None = None
        self._gate = _core.SpikeGate(len(tags.outputs), spike_width)

    def step(
        self,
        history: pd.DataFrame,
        known: pd.DataFrame | ArrayLike | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> Decision:
        """One decision for the row after the end of `history`.

        Parameters
        ----------
        history : rows up to now, at least the forecaster's context; NaN where a sensor is out
        known : coming disturbances as in :meth:`Forecaster.predict`; None: those known ahead stay as in the
            newest rows
        applied : setpoints commanded for the newest row; None: as they stand in it

        Returns
        -------
        Decision. Without a usable forecast (too few rows, an output never measured, numbers not finite)
        the move holds or ramps to the safe setpoints, `status` and `reason` say so.

        Raises
        ------
        DataError, InputError, ShapeError : an argument is unusable in itself: columns, index, shape.
        """
        tags = self.forecaster.tags_
        tail = history.tail(self._rows) if isinstance(history, pd.DataFrame) else history
        rows = to_history(tail, tags, live=True, where="Controller.step(history)")
        believed = self._believed(tail, self._past(rows))
        if believed is not tail:
            tail, rows = believed, to_history(believed, tags, live=True, where="Controller.step(history)")
        coming = self._coming(tail, known)
        now = self._applied(tail, applied)
        past = self._past(rows)
        self._learn_bias(tail, past)
        try:
            self._predictor.set_tick(rows, rows.rows, coming)
        except (EmisoptError, _core.InputError) as error:
            decision = self._core.step_blind(str(error), now, past)
        else:
            permit = self._permit_rows(tail)
            decision = self._core.step(self._mapped or self._predictor, now, past, *permit)
        self._last = self._wrap(decision, tail, now)
        if self._last.ok:
            count = len(tags.outputs)
            self._gate.expect(decision.median[0, :count].copy(), decision.upper[0, :count].copy())
        return self._last

    def reset(self) -> None:
        """Forgets the warm start, the learned bias and the last decision."""
        self._core.reset()
        self._gate.forget()
        self._last = None

    @property
    def bias_(self) -> pd.Series:
        """Learned correction of each output: offsets, or factors when multiplicative."""
        return pd.Series(self._core.bias[: len(self.forecaster.outputs_)], index=self.forecaster.outputs_)

    @property
    def _horizon(self) -> int:
        return int(self.forecaster.core_.config.horizon)

    def _permit_limits(self) -> tuple[list[_core.Limit], _core.BasisMap | None]:
        """What the permit's rows will belong to, and the map to what they are on where one is needed."""
        if self.permit is None:
            return [], None
        own, newest = self.forecaster, self.permit.newest
        if newest is None:
            raise DataError(
                "Controller(permit): expected a stream with rows, got one without; push the past first"
            )
        rows = self.permit.coming(
            newest + pd.Timedelta(seconds=1), seconds=1, steps=1, outputs=own.outputs_,
            setpoints=own.setpoints_, disturbances=own.disturbances_, **self.permit_options,
        )  # fmt: skip
        basis = self.permit.basis_map(names_of(own))
        return list(rows.core.limits), basis if basis.columns else None

    def _permit_rows(self, tail: pd.DataFrame) -> list[_core.PermitRows]:
        """What the permit still asks of the coming rows; none without a permit."""
        if self.permit is None:
            return []
        return [coming_for(self.permit, self.forecaster, tail.index[-1], self.permit_options).core]

    def _applied(self, tail: pd.DataFrame, applied: Mapping[str, float] | None) -> Floats:
        now = []
        for name in self.setpoints:
            value = float(applied[name]) if applied is not None and name in applied else np.nan
            if np.isnan(value):
                value = _newest(tail[name])
            if np.isnan(value) and self._last is not None:
                value = float(self._last.move[name])
            if np.isnan(value):
                raise _core.InputError(
                    f"Controller.step(applied): setpoint {name!r} has no value in the history; give the "
                    "one in force"
                )
            now.append(value)
        return np.array(now)

    def _coming(self, tail: pd.DataFrame, known: pd.DataFrame | ArrayLike | None) -> Floats:
        """Known disturbances (H, D); the load that the bill needs is never left unknown."""
        tags = self.forecaster.tags_
        held = known_array(held_disturbances(tail, tags, self._horizon), tags, self._horizon)
        if known is None:
            return held
        coming = known_array(known, tags, self._horizon)
        bill = self.objective.fuel
        if bill is not None and bill.load is not None:
            column = tags.disturbances.index(bill.load)
            newest = _newest(tail[bill.load])
            missing = np.isnan(coming[:, column])
            coming[missing, column] = newest
        return coming

    def _past(self, rows: _core.History) -> Floats:
        """Measured outputs of the unbroken run that ends now, (N, O)."""
        place_of = [self.forecaster.tags_.names.index(n) for n in self.forecaster.outputs_]
        breaks = np.flatnonzero(rows.gap)
        first = int(breaks[-1]) if breaks.size else 0
        measured = rows.values[first:, place_of]
        converted = len(self._quantities) - len(place_of)  # not measured as such
        return np.ascontiguousarray(np.pad(measured, ((0, 0), (0, converted)), constant_values=np.nan))

    def _believed(self, tail: pd.DataFrame, past: Floats) -> pd.DataFrame:
        """The rows without lone spikes: readings far from what the last decision foresaw for their row."""
        last = self._last
        if last is None or last.plan.index[0] != self._label(tail):
            self._gate.forget()
            return tail
        self._gate.judge(past[-1, : len(self.forecaster.outputs_)].copy())
        aside = self._gate.aside(len(past))
        if not aside.any():
            return tail
        outputs = list(self.forecaster.outputs_)
        cleaned = tail.copy()
        newest = cleaned.index[-len(past) :]
        cleaned.loc[newest, outputs] = cleaned.loc[newest, outputs].mask(aside)
        return cleaned

    def _learn_bias(self, tail: pd.DataFrame, past: Floats) -> None:
        """Compares the newest row with what the last decision foresaw for it, if it is that row."""
        last = self._last
        if self.bias == "none" or last is None or not last.ok or last.plan.index[0] != self._label(tail):
            return
        foreseen = last.trajectories.xs("median", axis=1, level="forecast").iloc[0]
        self._core.observe(np.ascontiguousarray(foreseen[list(self.forecaster.outputs_)]), past[-1].copy())

    def _label(self, tail: pd.DataFrame) -> object:
        return tail.index[-1]

    def _wrap(self, core: _core.Decision, tail: pd.DataFrame, now: Floats) -> Decision:
        names, outputs = list(self.setpoints), self._quantities
        index = self._index(tail)
        both = np.stack([core.median, core.upper], axis=-1).reshape(self._horizon, -1)
        columns = pd.MultiIndex.from_product([outputs, ["median", "upper"]], names=["output", "forecast"])
        slacks = [(s.limit, s.amount, s.first_step, s.last_step) for s in core.slacks]
        return Decision(
            move=pd.Series(core.move, index=names, name="move"),
            status=str(core.status.name),
            plan=pd.DataFrame(core.plan, index=index, columns=names),
            trajectories=pd.DataFrame(both, index=index, columns=columns),
            slacks=pd.DataFrame(slacks, columns=["limit", "amount", "first_step", "last_step"]),
            cost=core.cost,
            reason=core.reason,
            seconds=core.seconds,
            iterations=core.iterations,
            kkt=core.kkt,
            currency=self.objective.currency,
            applied=pd.Series(now, index=names, name="now"),
        )

    def _index(self, tail: pd.DataFrame) -> pd.Index:
        """Stamps, or the row numbers that follow, so that the next history's newest row can be recognised."""
        tags = self.forecaster.tags_
        if isinstance(tail.index, pd.DatetimeIndex):
            return future_index(tail, tags.period, self._horizon)
        first = int(tail.index[-1]) + 1
        return pd.RangeIndex(first, first + self._horizon, name="row")

    def __repr__(self) -> str:
        limits = ", ".join(f"{limit.label} <= {limit.limit:g}" for limit in self.limits)
        return f"Controller({', '.join(self.setpoints)}; {limits or 'no limits'}; {self._horizon} rows ahead)"


def _on_output(limit: _core.Limit, basis: _core.BasisMap | None, outputs: int) -> _core.Limit:
    """The same limit on the output that its quantity is made of: only its quantile is looked at."""
    if basis is None or limit.output < outputs:
        return limit
    return _core.Limit(
        name=limit.name,
        output=basis.columns[limit.output - outputs],
        limit=limit.limit,
        quantile=limit.quantile,
    )


def _newest(values: pd.Series) -> float:
    """The newest known number; NaN when there is none."""
    known = values.dropna()
    return float(known.iloc[-1]) if len(known) else np.nan


def envelope(training: pd.DataFrame, tags: TagMap) -> _core.Envelope:
    """Where the rows lay: the distance that holds 98 % of them, and what a step beyond it costs."""
    rows = to_history(training, tags, where="Controller(training)")
    return _core.training_envelope(rows, rows.rows, ENVELOPE_SHARE, ENVELOPE_WEIGHT)
