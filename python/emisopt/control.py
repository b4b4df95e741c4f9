"""The controller: from the newest history to a setpoint move that keeps bounds, rates and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _controller_parts as parts
from emisopt import _core
from emisopt._prices import by_name, table
from emisopt.backoff import ConformalBackoff, Follower
from emisopt.decision import Decision, Tick, decision_of
from emisopt.errors import DataError, EmisoptError
from emisopt.explanation import Explanation, explanation
from emisopt.forecaster import Forecaster
from emisopt.history import future_index, held_disturbances, known_array, to_history
from emisopt.objective import Interlock, Limit, Objective, Setpoint, place
from emisopt.permit.coming import basis_of, coming_for, on_output
from emisopt.permit.evaluation import PermitStream
from emisopt.tags import TagMap
from emisopt.window_backoff import WindowBackoff, WindowFollower

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Controller", "WindowBackoff"]

Floats = NDArray[np.float64]

JACOBIANS = {"rti": 1, "bounded": 3, "converged": 100}  # at most, by mode


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
    interlocks : hard linear relations of setpoints, kept in every row of every plan
    blocks : moves over the horizon
    mode : "rti", one Jacobian a decision; "converged", as many as it takes until no plan nearby costs less
        (at most 100); "bounded", at most three
    max_iterations : Jacobians a decision; None: as the mode says
    deadline_s : of a decision; it is returned by the deadline, good or not so good
    adjoint_steps : most steps after each Jacobian that keep it and take an exact gradient instead; a new one
        is taken earlier where such a step fails
    ranks : "penalty", ranks by weights a hundred times apart; "lexicographic", strictly one after the other
    max_move : hard cap of trust in the model: the largest move per row, as a share of each setpoint's range
    target_weight : pull to the steady-state target: cost per (distance / range)^2 and row; 0: the target is
        only one of the plans that the search begins with
    bias : "none", "additive" or "multiplicative": follow what the forecast persistently misses
    bias_gain : per row, (0, 1]
    spike_width : a lone reading farther from its forecast than so many distances from the median to the
        limit's quantile is put aside; the next one like it is believed. 0: every reading is believed
    max_hold : rows without a forecast before ramping to the safe setpoints
    permit : a stream that the rows up to now are pushed to: its rules are held too, each as the rows that it
        still asks of the coming steps. Push before each `step`
    permit_options : of :meth:`emisopt.permit.PermitStream.coming`: rank, quantile, to_date, skip, ...
    threads : 0: EMISOPT_THREADS, else the machine's
    clock : seconds, monotonic, that the deadline is counted by; None: the system's
    record : keep each step's inputs and outcome in `log`, for :mod:`emisopt.replay`
    conformal : back-off that learns, made for the same limits; a copy begins in its state (`backoff`)
    windows : back-off of averages that learns; a copy begins in its state (`windows`)

    Notes
    -----
    `csrc/emisopt/control/controller.hpp`: sequential quadratic programming on exact sensitivities; the whole
    algorithm on one page in docs/controller.md.

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
        interlocks: Sequence[Interlock] = (),
        training: pd.DataFrame | None = None,
        blocks: int = 6,
        mode: str = "bounded",
        max_iterations: int | None = None,
        deadline_s: float = 0.05,
        adjoint_steps: int = 8,
        ranks: str = "penalty",
        max_move: float | None = None,
        target_weight: float = 0.0,
        bias: str = "none",
        bias_gain: float = 0.15,
        spike_width: float = 4.0,
        max_hold: int = 12,
        permit: PermitStream | None = None,
        permit_options: Mapping[str, Any] | None = None,
        threads: int = 0,
        record: bool = False,
        conformal: ConformalBackoff | None = None,
        windows: WindowBackoff | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_is_fitted(forecaster, "core_")
        if mode not in JACOBIANS:
            raise _core.InputError(f"Controller(mode): expected {', '.join(JACOBIANS)}, got {mode!r}")
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
        held = [*core_limits, *(on_output(limit, basis, len(tags.outputs)) for limit in permit_limits)]
        self._predictor = _core.ForecastPredictor(forecaster.core_, held, threads)
        self.backoff = None if conformal is None else Follower(conformal, held, tags.period)
        base = self._predictor if self.backoff is None else self.backoff.predictor(self._predictor)
        self._foreseen = base if basis is None else _core.MappedPredictor(base, basis)
        self._quantities = list(forecaster.outputs_) if basis is None else list(basis.names)
        if basis is not None and bias != "none":
            raise _core.InputError(
                "Controller(bias): expected none with a permit that corrects to a reference oxygen, got "
                f"{bias!r}: the corrected value is not measured"
            )
        self._prices, self._price_names = self._priced(tags)
        self._targets = list(objective.targets)
        self._core = _core.Controller(
            setpoints=[s.to_core(n, tags) for n, s in self.setpoints.items()],
            limits=core_limits,
            price=[0.0 if isinstance(p, pd.Series) else float(p) for p in self._prices],
            fuel=objective.fuel_core(tags),
            currency=objective.currency,
            horizon=forecaster.core_.config.horizon,
            outputs=len(self._quantities),
            permit_limits=permit_limits,
            interlocks=[side for lock in interlocks for side in lock.to_core(list(self.setpoints))],
            tracking=[target.to_core(tags.outputs) for target in self._targets],
            costs=[cost.to_core(tags) for cost in objective.costs],
            config=_core.ControllerConfig(
                blocks=blocks,
                max_iterations=JACOBIANS[mode] if max_iterations is None else max_iterations,
                deadline_s=deadline_s,
                bias=bias,
                bias_gain=bias_gain,
                max_hold=max_hold,
                max_move=float("nan") if max_move is None else max_move,
                ranks=ranks,
                adjoint_steps=adjoint_steps,
                target_weight=target_weight,
                clock=clock,
            ),
            envelope=_core.Envelope() if training is None else parts.envelope(training, tags),
        )
        self.windows: WindowFollower | None = None
        if windows is not None:
            all_limits = [*core_limits, *permit_limits]
            bound = windows.bound(all_limits, forecaster.core_.config.horizon, len(self._quantities))
            self.windows = WindowFollower(bound, tags.period, len(tags.outputs))
        context = int(forecaster.core_.config.context)
        self._rows = max([context, *(limit.window for limit in self.limits)]) + 1
        self._last: Decision | None = None
        self._prepared = False
        self.interlocks = tuple(interlocks)
        self.log: list[Tick] | None = [] if record else None
        self._gate = _core.SpikeGate(len(tags.outputs), spike_width)

    def step(
        self,
        history: pd.DataFrame,
        known: pd.DataFrame | ArrayLike | None = None,
        applied: Mapping[str, float] | None = None,
        *,
        manual: Sequence[str] = (),
        calibrating: Sequence[str] = (),
        steady_target: Mapping[str, float] | None = None,
        replay: tuple[int, bool] | None = None,
    ) -> Decision:
        """One decision for the row after the end of `history`.

        Parameters
        ----------
        history : rows up to now, at least the forecaster's context; NaN where a sensor is out
        known : coming disturbances as in :meth:`Forecaster.predict`; None: those known ahead stay as in the
            newest rows
        applied : setpoints commanded for the newest row; None: as they stand in it. What lies outside the
            tag's range is no command: the last decision's, or the newest row's that has one, is taken
            (`Decision.remarks`)
        manual : setpoints in an operator's hand: they stay as applied, the others are chosen around them;
            taken back, they go on from where they are, within their rates
        calibrating : outputs whose newest reading is calibration gas: it moves no bias
        steady_target : setpoint -> value to be pulled to with `target_weight`; None: the target layer's own
        replay : a decision's `work`: do that much, whatever the clock says

        Returns
        -------
        Decision. Without a usable forecast (too few rows, an output never measured, numbers not finite)
        the move holds or ramps to the safe setpoints, `status` and `reason` say so.

        Raises
        ------
        DataError, InputError, ShapeError : an argument is unusable in itself: columns, index, shape.
        """
        tags = self.forecaster.tags_
        tail = given = history.tail(self._rows) if isinstance(history, pd.DataFrame) else history
        rows = to_history(tail, tags, live=True, where="Controller.step(history)")
        believed = self._believed(tail, self._past(rows))
        if believed is not tail:
            tail, rows = believed, to_history(believed, tags, live=True, where="Controller.step(history)")
        coming = self._coming(tail, known)
        cores = {name: s.to_core(name, tags) for name, s in self.setpoints.items()}
        blind = stale = parts.late(self._last, self._label(tail))
        coming_rows = self._last.plan.index if stale and self._last is not None else self._index(tail)
        now, remarks = parts.commanded(cores, tags, tail, applied, self._last, stale=bool(stale))
        remarks += parts.unbelievable(given, tags)
        past = self._past(rows)
        self._learn_bias(tail, past, calibrating)
        for learns in () if stale else filter(None, (self.backoff, self.windows)):
            gas = [list(self.forecaster.outputs_).index(name) for name in calibrating]
            learns.observe(tail.index, past, gas)
        kept = [place(n, list(self.setpoints), "Controller.step(manual)") for n in manual]
        hand = [i in kept for i in range(len(self.setpoints))] if kept else []
        prices = self._tick_prices(self._index(tail))
        pull = by_name(steady_target, list(self.setpoints), "Controller.step(steady_target)")
        try:
            self._predictor.set_tick(rows, rows.rows, coming)
        except (EmisoptError, _core.InputError) as error:
            blind = blind or str(error)
        if blind:
            decision = self._core.step_blind(blind, now, past, hand)
        else:
            permit = self._permit_rows(tail)
            again = None if replay is None else _core.Work(*replay)
            held = {} if self.windows is None else self.windows.held(self._index(tail)[0])
            decision = self._core.step(
                self._foreseen, now, past, *permit, manual=hand, steady_target=pull,
                replay=again, price=prices["price"], setpoint_price=prices["setpoint_price"],
                target=prices["target"], **held,
            )  # fmt: skip
        if self.backoff is not None and decision.status.value <= 2:
            self.backoff.issue(self._index(tail)[0], decision.median, decision.upper)
        self._last = decision_of(
            decision,
            coming_rows,
            pd.Series(now, index=list(self.setpoints), name="now"),
            self._quantities,
            self.limits,
            self.objective.currency,
            remarks,
        )
        if self.log is not None:
            self.log.append(
                Tick(
                    given, known, None if applied is None else dict(applied),
                    tuple(manual), tuple(calibrating),
                    None if steady_target is None else dict(steady_target), self._prepared, self._last,
                    "" if self.backoff is None else self.backoff.hash,
                    "" if self.windows is None else self.windows.hash,
                )
            )  # fmt: skip
        self._prepared = False
        if self._last.ok:
            count = len(tags.outputs)
            self._gate.expect(decision.median[0, :count].copy(), decision.upper[0, :count].copy())
        return self._last

    def prepare(self) -> bool:
        """Between two rows: the Jacobian of the plan that the next decision begins with.

        The next :meth:`feedback` (or :meth:`step`) then takes none: it forecasts a few plans, solves a QP and
        checks the move. False when there is no plan yet; then the next step does it all.
        """
        self._prepared = bool(self._core.prepare(self._foreseen))
        return self._prepared

    def feedback(self, history: pd.DataFrame, *args: Any, **kwargs: Any) -> Decision:
        """A decision on the Jacobian that :meth:`prepare` made; arguments as for :meth:`step`."""
        return self.step(history, *args, **kwargs)

    def explain(self, move: Mapping[str, float] | pd.Series | Decision | None = None) -> Explanation:
        """Why the last plan is as it is: which limits bind, what they cost, what the alternatives were.

        Parameters
        ----------
        move : setpoint -> value: what that first move would lead to instead; setpoints left out stay as
            decided. None, or the last decision: the alternatives in which one setpoint stays where it is

        Raises
        ------
        StateError : the last step had no plan of its own (it held, or ramped)
        InputError : a setpoint that is none
        """
        asked: list[float] = []
        if move is not None and not isinstance(move, Decision):
            for name in move.keys():
                place(str(name), list(self.setpoints), "Controller.explain(move)")
            if self._last is not None:
                asked = [float(move.get(n, self._last.move[n])) for n in self.setpoints]
        core = self._core.explain(self._foreseen, asked)
        assert self._last is not None  # explain() has refused otherwise
        return explanation(core, self._last, self.forecaster.tags_, self.limits)

    def plot(self, decision: Decision | None = None, history: pd.DataFrame | None = None) -> Figure:
        """Fans of the limited outputs, their limits, and the moves; `decision` None: the last one.

        `history` adds the measured rows before. Needs matplotlib. Raises StateError before the first step.
        """
        from emisopt import plots

        shown = self._last if decision is None else decision
        if shown is None:
            raise _core.StateError("Controller.plot: expected a decision, got none; step first")
        tags = self.forecaster.tags_
        limits: dict[str, float] = {}
        for limit in self.limits:
            limits[limit.output] = min(limit.limit, limits.get(limit.output, np.inf))
        cores = {n: s.to_core(n, tags) for n, s in self.setpoints.items()}
        return plots.decision(
            shown.plan,
            shown.trajectories,
            past=None if history is None else history.tail(self._rows),
            limits=limits,
            bounds={n: (c.low, c.high) for n, c in cores.items()},
            units={n: tags[n].unit for n in [*tags.outputs, *tags.setpoints]},
        )

    @property
    def steady_target_(self) -> pd.Series:
        """Where the last linear model says the setpoints would best stand for good; NaN before the first."""
        found = self._core.steady_target or [np.nan] * len(self.setpoints)
        return pd.Series(found, index=list(self.setpoints), name="steady target")

    def reset(self) -> None:
        """Forgets the warm start, the learned bias and the last decision."""
        self._core.reset()
        self._prepared = False
        self._gate.forget()
        self._last = None

    @property
    def bias_(self) -> pd.Series:
        """Learned correction of each output: offsets, or factors when multiplicative."""
        return pd.Series(self._core.bias[: len(self.forecaster.outputs_)], index=self.forecaster.outputs_)

    @property
    def _horizon(self) -> int:
        return int(self.forecaster.core_.config.horizon)

    def _priced(self, tags: TagMap) -> tuple[list[float | pd.Series], list[str]]:
        """A price per quantity of the cost, and their names for errors."""
        own = [
            cost.name or cost.label if hasattr(cost, "label") else cost.name for cost in self.objective.costs
        ]
        price = self.objective.price_list(tags.outputs, tags.setpoints)
        count = len(price) - len(own)
        names = list(tags.outputs)
        if self.objective.fuel is not None:
            names = ["fuel_price_gj", "reagent_price_kg", "fee_per_kg"]
        else:  # quantities of a permit's basis have no price
            extra = len(self._quantities) - count
            price[count:count] = [0.0] * extra
            names += ["-"] * extra
        return price, names + own

    def _tick_prices(self, steps: pd.Index) -> dict[str, Floats | None]:
        """What of prices and targets changes with time, for the coming rows."""
        where = "economic(" if self.objective.fuel is not None else "Objective(prices"
        setpoints = {n: s.price for n, s in self.setpoints.items()}
        return {
            "price": table(self._prices, self._price_names, steps, where),
            "setpoint_price": table(list(setpoints.values()), list(setpoints), steps, "Setpoint(price"),
            "target": table(
                [t.value for t in self._targets], [t.output for t in self._targets], steps, "Target(value"
            ),
        }

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
        basis = basis_of(self.permit, own)
        return list(rows.core.limits), basis if basis.columns else None

    def _permit_rows(self, tail: pd.DataFrame) -> list[_core.PermitRows]:
        """What the permit still asks of the coming rows; none without a permit."""
        if self.permit is None:
            return []
        return [coming_for(self.permit, self.forecaster, tail.index[-1], self.permit_options).core]

    def _coming(self, tail: pd.DataFrame, known: pd.DataFrame | ArrayLike | None) -> Floats:
        """Known disturbances (H, D); the load that the bill needs is never left unknown."""
        tags = self.forecaster.tags_
        tail = parts.believable(tail, tags)
        held = known_array(held_disturbances(tail, tags, self._horizon), tags, self._horizon, bounded=False)
        if known is None:
            return held
        coming = parts.within(known_array(known, tags, self._horizon, bounded=False), tags)
        bill = self.objective.fuel
        if bill is not None and bill.load is not None:
            column = tags.disturbances.index(bill.load)
            missing = np.isnan(coming[:, column])
            coming[missing, column] = parts.newest(tail[bill.load])
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

    def _learn_bias(self, tail: pd.DataFrame, past: Floats, calibrating: Sequence[str]) -> None:
        """Compares the newest row with what the last decision foresaw for it, if it is that row."""
        last = self._last
        if self.bias == "none" or last is None or not last.ok or last.plan.index[0] != self._label(tail):
            return
        outputs = list(self.forecaster.outputs_)
        measured = past[-1].copy()
        for name in calibrating:
            measured[place(name, outputs, "Controller.step(calibrating)")] = np.nan
        foreseen = last.trajectories.xs("median", axis=1, level="forecast").iloc[0]
        self._core.observe(np.ascontiguousarray(foreseen[outputs]), measured)

    def _label(self, tail: pd.DataFrame) -> object:
        return tail.index[-1]

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
