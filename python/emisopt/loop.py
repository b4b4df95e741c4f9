"""Closed loops on the synthetic boiler: the same start and noise for every policy, judged by the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.backoff import ConformalBackoff
from emisopt.forecaster import Forecaster
from emisopt.tags import TagMap

__all__ = ["Run", "Scenario", "summary_table"]

Progress = Callable[[int, int], "bool | None"]


class Scenario:
    """A named closed-loop scenario of the synthetic boiler, by default `boiler-48h`: the difficult fuel
    arrives, the walls slag, NOx, CO and slip limits of one hour.

    The warm-up runs once, at construction; each run starts from its end with the same disturbances and noise.

    Parameters
    ----------
    seed : of disturbances, noise and the weekday
    plant_seed : another plant of the family; None: the reference plant
    rows : length of a run, 300 s each; None: as the scenario says, 48 h or 60 days
    nox_fee : EUR per kg of NOx, with boiler-48h; 0: none
    case : "boiler-48h"; "boiler-48h-fan", the same with weak fans; "boiler-48h-no-scr", a unit without
        catalyst, NOx 400 mg/Nm3; "boiler-60d", 60 days of all fuels under daily and 30-day averages and
        count rules, with stops, start-ups and hours without a reading (`permit`)

    Examples
    --------
    >>> scenario = Scenario(seed=7, rows=12)
    >>> run = scenario.run(scenario.operator())
    >>> run.frame["setpoint"].shape
    (12, 4)
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        plant_seed: int | None = None,
        rows: int | None = None,
        nox_fee: float = 0.0,
        case: str = "boiler-48h",
    ) -> None:
        self.seed = seed
        self.case = case
        self.core = _core.Scenario(case, seed=seed, plant_seed=plant_seed, rows=rows, nox_fee=nox_fee)

    @property
    def name(self) -> str:
        """Fuel, limits and what makes it hard, in words."""
        return str(self.core.name)

    @property
    def tags(self) -> TagMap:
        return TagMap.from_json(self.core.tags.to_json())

    @property
    def limits(self) -> list[_core.Limit]:
        return list(self.core.limits)

    @property
    def permit(self) -> _core.Permit | None:
        """What is judged beside the limits; None: nothing."""
        return self.core.permit

    def operator(self) -> _core.Policy:
        """The operator's rules, tuned on other seeds for the same objective."""
        return self.core.operator()

    def oracle(self, threads: int = 0, *, iterations: int = 2, fresh_every: int = 12) -> _core.Policy:
        """The upper bound: it sees the true equations and the true future; no real plant could run it.

        iterations : Jacobians a row;   fresh_every : rows between starts from the steady optimum
        """
        return self.core.oracle(threads, iterations=iterations, fresh_every=fresh_every)

    def mpc(
        self,
        forecaster: Forecaster,
        name: str = "MPC",
        *,
        bias: str = "none",
        bias_gain: float = 0.03,
        limit_margin: float = 0.015,
        envelope: _core.Envelope | None = None,
        deadline_s: float = 1.0,
        blocks: int = 6,
        max_iterations: int = 1,
        adjoint_steps: int = 0,
        trust: float = 0.1,
        move_weight: float = 60.0,
        threads: int = 0,
        quantile: float | Mapping[str, float] | None = None,
        limits: Sequence[_core.Limit] | None = None,
        conformal: ConformalBackoff | None = None,
        permit: bool = True,
        permit_margin: float = 0.0,
        solver: Callable[..., NDArray[np.float64]] | None = None,
    ) -> _core.Policy:
        """The forecaster and the controller; parameters as in :class:`emisopt.Controller`.

        One Jacobian a tick and a tight trust region: the search then stays near what the history knows.
        `limit_margin` is the share of each limit kept free for what the forecaster does not foresee.

        move_weight : EUR per (move / range)^2: at 60 a move of a tenth of the range costs 0.6 EUR
        quantile : that limits and permit are held by, one for all or by output; None: as each says
        limits : in place of the scenario's own
        conformal : back-off that learns, from this state on (a copy is taken); see :func:`backoff_for`
        permit : False leaves the scenario's permit out
        permit_margin : share of each of its limits kept free beside `limit_margin`
        solver : another optimiser in the controller's place, for comparisons: called with (predictor, applied
            (U,), coefficient (m, H), rhs (m,), limit (m,), bias (O,)), it returns a plan (H, U)
        """
        check_is_fitted(forecaster, "core_")
        config = _core.ControllerConfig(
            blocks=blocks,
            max_iterations=max_iterations,
            adjoint_steps=adjoint_steps,
            trust=trust,
            deadline_s=deadline_s,
            bias=bias,
            bias_gain=bias_gain,
            limit_margin=limit_margin,
        )
        return _core.mpc_policy(
            forecaster.core_,
            self.limits if limits is None else list(limits),
            config=config,
            envelope=_core.Envelope() if envelope is None else envelope,
            move_weight=move_weight,
            threads=threads,
            name=name,
            nox_fee=self.core.nox_fee,
            conformal=None if conformal is None else conformal.core,
            permit=self.permit if permit else None,
            solver=solver,
            quantiles=self.quantiles(quantile),
            permit_margin=permit_margin,
        )

    def run(self, policy: _core.Policy, progress: Progress | None = None) -> Run:
        """One run from the common start. `progress(done, rows)` may return False to end it there."""
        log = self.core.run(policy, progress)
        return Run(log.policy, log, self.core.summarise(log), tuple(self.limits), self.core.prices)

    def quantiles(self, quantile: float | Mapping[str, float] | None) -> list[float]:
        """(O) one for all, or by output name; an output without one has 0.5, no back-off. None: empty."""
        if quantile is None:
            return []
        outputs = self.tags.outputs
        if isinstance(quantile, Mapping):
            unknown = [name for name in quantile if name not in outputs]
            if unknown:
                raise _core.InputError(
                    f"Scenario.mpc(quantile): expected outputs of {', '.join(outputs)}, got {unknown[0]!r}"
                )
            return [float(quantile.get(name, 0.5)) for name in outputs]
        return [float(quantile)] * len(outputs)

    def judge(self, run: Run) -> list[_core.PermitSummary]:
        """The scenario's permit on the truth of a run, rule by rule; none without a permit."""
        return list(self.core.judge(run.log))

    def __repr__(self) -> str:
        return f"Scenario(seed={self.seed})  # {self.name}"


@dataclass(frozen=True)
class Run:
    """A closed-loop run of one policy.

    Attributes
    ----------
    name : of the policy
    log : the core's log with the forecasts of every decision
    summary : the core's summary, by the truth
    limits : as judged
    prices : EUR per GJ of fuel, EUR per kg of NH3
    """

    name: str
    log: _core.LoopLog
    summary: _core.LoopSummary
    limits: tuple[_core.Limit, ...]
    prices: tuple[float, float]

    @cached_property
    def tags(self) -> TagMap:
        return TagMap.from_json(self.log.tags.to_json())

    @property
    def plans(self) -> bool:
        """Whether the policy solves for a plan; rules do not, so a status or a decision time says nothing."""
        return bool(self.log.plan.shape[1])

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Row by row: columns (kind, name) with kinds setpoint, measured, truth, disturbance, decision.

        The status of a policy that does not plan is "-".
        """
        tags = self.tags
        status = self.log.status if self.plans else ["-"] * len(self.log.status)
        parts = {
            "setpoint": pd.DataFrame(self.log.setpoints, columns=tags.setpoints),
            "measured": pd.DataFrame(self.log.measured, columns=tags.names),
            "truth": pd.DataFrame(self.log.truth, columns=tags.outputs),
            "disturbance": pd.DataFrame(self.log.disturbances, columns=tags.disturbances),
            "decision": pd.DataFrame(
                {"status": status, "seconds": self.log.seconds, "reason": self.log.reason}
            ),
        }
        frame = pd.concat(parts, axis=1)
        milliseconds = np.rint(self.log.time * 1e3).astype(np.int64)
        frame.index = pd.DatetimeIndex(pd.to_datetime(milliseconds, unit="ms", utc=True), name="time")
        return frame

    @cached_property
    def rolling(self) -> pd.DataFrame:
        """(N, limits): the rolling mean of the truth that each limit is judged by, warm-up included."""
        whole = np.vstack([self.log.before, self.log.truth])
        columns = {}
        for limit in self.limits:
            mean = pd.Series(whole[:, limit.output]).rolling(limit.window, min_periods=1).mean()
            columns[limit.name] = mean.to_numpy()[len(self.log.before) :]
        return pd.DataFrame(columns, index=self.frame.index)

    def fan(self, row: int, output: str) -> pd.DataFrame:
        """The forecast that row `row`'s decision rested on: median, low, high over the horizon."""
        column = self.tags.outputs.index(output)
        log = self.log
        fields: dict[str, NDArray[np.float64]] = {"low": log.low, "median": log.median, "high": log.high}
        data = {k: v[row, :, column] for k, v in fields.items() if v.shape[2]}
        step = pd.Timedelta(seconds=self.tags.period)
        horizon = len(next(iter(data.values()), np.empty(0)))
        index = [self.frame.index[row] + step * h for h in range(horizon)]
        return pd.DataFrame(data, index=pd.DatetimeIndex(index, name="time"))

    @cached_property
    def cost(self) -> pd.Series:
        """Fuel and NH3 of each row, EUR, by the truth; its sum is the summary's total less the fee."""
        truth, hours = self.frame["truth"], self.tags.period / 3600.0
        fuel_gj = 3.6 * hours * self.frame["disturbance", "load"] / (truth["efficiency"] / 100.0)
        fuel_price, nh3_price = self.prices
        cost: pd.Series = fuel_price * fuel_gj + nh3_price * hours * truth["nh3_flow"]
        return cost.rename("cost")

    def to_parquet(self, path: str) -> None:
        """The frame with flat column names "kind.name", for other tools."""
        flat = self.frame.copy()
        flat.columns = pd.Index([".".join(c) for c in flat.columns.to_list()])
        flat.to_parquet(path)


def summary_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One column per policy: money, emissions, hours above each limit, decision times, statuses.

    NaN where a row says nothing of a policy: rules have no decision time and no status.
    """
    table = {}
    for run in runs:
        s, outputs = run.summary, run.tags.outputs
        units = {n: run.tags[n].unit for n in outputs}
        rows: dict[str, float] = {
            "cost, EUR": s.total_eur,
            "fuel, EUR": s.fuel_eur,
            "NH3, EUR": s.nh3_eur,
        }
        for i, name in enumerate(outputs):
            rows[f"{name} mean, {units[name]}"] = s.mean[i]
        for limit, judged in zip(run.limits, s.limits, strict=True):
            unit = units[outputs[limit.output]]
            rows[f"{judged.name} worst, {unit}"] = judged.worst
            rows[f"{judged.name} above {limit.limit:g} {unit}, h"] = round(judged.hours_above, 2)
        for label, seconds in (("p50", s.p50_s), ("p99", s.p99_s), ("max", s.max_s)):
            rows[f"decision {label}, ms"] = round(seconds * 1e3, 1) if run.plans else np.nan
        rows["moves outside bounds or rates"] = s.illegal_moves
        for status, count in s.status_count.items():
            rows[f"status {status}, rows"] = count if run.plans else np.nan
        table[run.name] = rows
    frame = pd.DataFrame(table)
    unused = [k for k in frame.index if k.startswith("status ") and not frame.loc[k].fillna(0).any()]
    return frame.drop(index=unused)
