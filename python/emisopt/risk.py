"""How likely a permit's running averages are to break their limits, and how much room is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.errors import DataError
from emisopt.forecaster import Forecaster
from emisopt.history import to_history
from emisopt.objective import Limit
from emisopt.permit.coming import basis_of, coming_for
from emisopt.permit.evaluation import PermitStream
from emisopt.permit.signals import canonical_unit

__all__ = ["BreakRisk"]

Floats = NDArray[np.float64]


@dataclass
class _Part:
    """What is assessed of one quantity."""

    output: str
    unit: str
    pollutant: str
    coming_rows: NDArray[np.int32]
    table: pd.DataFrame


def _table(got: Mapping[str, Floats], labels: list[str], index: pd.Index) -> pd.DataFrame:
    table = pd.DataFrame({k: got[k] for k in ("probability", "median", "high", "headroom")}, index=index)
    table.insert(0, "limit", labels)
    return table


def _per_unit(part: _Part, pollutant: str, unit: str) -> float:
    """What one unit of the part is in `unit`, ppm or mg/Nm3."""
    own = canonical_unit(part.unit)
    if own == unit:
        return 1.0
    if not pollutant:
        raise _core.InputError(
            f"BreakRisk: the headroom of {part.output!r} in {own or 'no unit'} as {unit}: say which "
            "pollutant it is, e.g. pollutant={'nox': 'NOx'}"
        )
    try:
        source, target = (_core.GasBasis(name, 0.0, True, np.nan) for name in (own, unit))
        conversion = _core.GasConversion(pollutant, source, target, np.nan, True)
    except _core.InputError as error:
        raise _core.InputError(f"BreakRisk: the headroom of {part.output!r} as {unit}: {error}") from None
    return float(conversion.factor(np.nan, np.nan))


class BreakRisk(BaseEstimator):  # type: ignore[misc]
    """Probability that each running average breaks its limit, from a forecaster's quantiles.

    A mean over an hour is surer than each of its rows, but not as sure as if their errors were independent.
    How the errors of one forecast hang together is learned from past forecasts (a Gaussian copula over
    normal scores, with the scores' own mean and spread, which mends quantiles that are too narrow or off).

    Parameters
    ----------
    forecaster : fitted
    limits : what must hold: :class:`emisopt.Limit` each, or a :class:`emisopt.permit.PermitStream` that the
        rows up to now are pushed to: then each rule of the permit, as it will be judged
    known : whether the operation to come is known ("operation") or not ("nothing") in the forecasts assessed
    dependence : "fitted", or "independent": quantiles as they are, errors that have nothing to do with each
        other (for comparison: far too sure of long averages)
    confidence : of the `high` value and the headroom
    samples : draws per forecast; the error of a probability p is sqrt(p (1 - p) / samples)

    Notes
    -----
    `csrc/emisopt/permit/break_probability.hpp`. Draws are fixed: same input, same bits, and a probability
    never rises with the limit.

    Examples
    --------
    >>> import emisopt
    >>> history, tags = emisopt.plants.Boiler(seed=1).simulate_history(days=4)
    >>> f = emisopt.Forecaster(context=24, horizon=12, width=16, heads=2, layers=1, steps=30)
    >>> f = f.fit(history, tags=tags, train_rows=800, progress=False)
    >>> risk = BreakRisk(f, [emisopt.Limit("nox", 90, window=12)]).fit(history.iloc[800:])
    >>> list(risk.predict(history).columns)
    ['limit', 'probability', 'median', 'high', 'headroom']
    """

    def __init__(
        self,
        forecaster: Forecaster,
        limits: Sequence[Limit] | PermitStream,
        *,
        known: str = "operation",
        dependence: str = "fitted",
        confidence: float = 0.95,
        samples: int = 2048,
    ) -> None:
        self.forecaster = forecaster
        self.limits = limits
        self.known = known
        self.dependence = dependence
        self.confidence = confidence
        self.samples = samples

    def fit(self, history: pd.DataFrame, y: object = None, *, stride: int = 3, threads: int = 0) -> BreakRisk:
        """Learns how forecast errors hang together from forecasts as they would have been issued here.

        Parameters
        ----------
        history : rows that the forecaster was not trained on (its validation rows, say), in order
        stride : a forecast every so many rows

        Returns
        -------
        self. Ctrl-C leaves it as it was.

        Raises
        ------
        NotFittedError, DataError (too few rows), InputError
        """
        core = self._core()
        rows = to_history(history, self.forecaster.tags_, where="BreakRisk.fit(history)", live=True)
        horizon, context = int(core.config.horizon), int(core.config.context)
        origins = np.arange(context, rows.rows - horizon + 1, stride)
        if len(origins) < 20:
            raise DataError(
                f"BreakRisk.fit(history): expected rows for at least 20 forecasts of {horizon} rows after "
                f"{context} rows of context, got {rows.rows} rows"
            )
        quantiles = _core.forecast_origins(
            core, rows, origins.tolist(), self.known == "operation", threads=threads
        )
        levels = self._levels
        by_output = quantiles.reshape(len(origins), horizon, -1, len(levels))
        models = {}
        for output in self._outputs():
            o = self.forecaster.outputs_.index(output)
            truth = rows.values[:, self.forecaster.tags_.names.index(output)]
            came = np.stack([truth[k : k + horizon] for k in origins])
            q = np.ascontiguousarray(by_output[:, :, o].reshape(-1, len(levels)))
            scores = _core.normal_scores(levels, q, np.ascontiguousarray(came.ravel()))
            models[output] = self._model(scores.reshape(came.shape), horizon)
        self.models_: dict[str, _core.BreakProbability] = models
        return self

    def _model(self, scores: Floats, horizon: int) -> _core.BreakProbability:
        if self.dependence == "independent":
            fitted = _core.ErrorDependence.independent(horizon)
        else:
            fitted = _core.ErrorDependence.fit(np.ascontiguousarray(scores))
        return _core.BreakProbability(fitted, self.samples)

    def predict(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None = None,
        known: pd.DataFrame | ArrayLike | None = None,
        flow: Mapping[str, float] | None = None,
        pollutant: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """One row per limit and window that closes within the horizon, by its end.

        Parameters
        ----------
        history, plan, known : as in :meth:`emisopt.Forecaster.predict`
        flow : output -> stack gas flow in the coming hours, Nm3/h at the conditions of its concentration;
            adds the headroom as a mass
        pollutant : output -> what it measures, e.g. "NOx"; adds the headroom in ppm (a permit knows it)

        Returns
        -------
        DataFrame with `limit` (name), `probability`, `median` and `high` of the running average in the
        output's unit, `headroom`: by how much every coming row of the window may be higher until the
        probability reaches 1 - confidence (negative: it is too high already), with `pollutant` or a permit
        `headroom_ppm`, and with `flow` `headroom_kg`, the same as emitted mass over those rows. NaN where a
        forecast is missing.

        Raises
        ------
        InputError : headroom in ppm or kg of an output whose unit is no concentration
        """
        forecast = self.forecaster.predict(history, plan, known)
        return self.assess(history, forecast, flow, pollutant)

    def assess(
        self,
        history: pd.DataFrame,
        forecast: pd.DataFrame,
        flow: Mapping[str, float] | None = None,
        pollutant: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """As :meth:`predict`, for a forecast already made by :meth:`emisopt.Forecaster.predict`."""
        check_is_fitted(self, "models_")
        self.any_: dict[str, float] = {}
        if isinstance(self.limits, PermitStream):
            parts = self._by_permit(self.limits, history, forecast)
        else:
            parts = self._by_limits(self.limits, history, forecast)
        tables = []
        for part in parts:
            if pollutant is not None or part.pollutant:
                named = part.pollutant or (pollutant or {}).get(part.output, "")
                part.table["headroom_ppm"] = part.table["headroom"] * _per_unit(part, named, "ppm")
            if flow is not None:
                named = part.pollutant or (pollutant or {}).get(part.output, "")
                gas = float(flow[part.output]) if part.output in flow else np.nan
                factor = _per_unit(part, named, "mg/Nm3") if part.output in flow else np.nan
                hours = part.coming_rows * self.forecaster.tags_.period / 3600.0
                part.table["headroom_kg"] = part.table["headroom"] * factor * gas * hours * 1e-6
            tables.append(part.table)
        return pd.concat(tables)

    def _by_limits(
        self, limits: Sequence[Limit], history: pd.DataFrame, forecast: pd.DataFrame
    ) -> list[_Part]:
        tags = self.forecaster.tags_
        longest = max(limit.window for limit in limits)
        rows = to_history(history.tail(longest), tags, where="BreakRisk.assess(history)", live=True)
        breaks = np.flatnonzero(rows.gap)
        first = int(breaks[-1]) if breaks.size else 0
        place = [tags.names.index(n) for n in self.forecaster.outputs_]
        past = np.ascontiguousarray(rows.values[first:, place])
        parts = []
        for output, model in self.models_.items():
            named = [limit for limit in limits if limit.output == output]
            core_limits = [limit.to_core(self.forecaster.outputs_) for limit in named]
            quantiles = np.ascontiguousarray(forecast[output].to_numpy(dtype=float))
            got = model.assess(core_limits, past, self._levels, quantiles, self.confidence)
            index = pd.Index(forecast.index[got["end_step"]], name="window_end")
            labels = [named[i].label for i in got["limit"]]
            parts.append(_Part(output, tags[output].unit, "", got["coming_rows"], _table(got, labels, index)))
            self.any_[output] = float(got["any"])
        return parts

    def _by_permit(self, stream: PermitStream, history: pd.DataFrame, forecast: pd.DataFrame) -> list[_Part]:
        coming = coming_for(stream, self.forecaster, history.index[-1])
        basis = basis_of(stream, self.forecaster)
        outputs, limits = self.forecaster.outputs_, coming.core.limits
        rows = coming.table()
        number = np.array([limits[i].output for i in coming.core.table(len(forecast))["limit"]], dtype=int)
        parts = []
        for quantity in dict.fromkeys(number.tolist()):
            column, quantiles = quantity, None
            if quantity >= len(outputs):
                column = basis.columns[quantity - len(outputs)]
                quantiles = self._converted(basis, quantity, column, forecast)
            output = outputs[column]
            if quantiles is None:
                quantiles = np.ascontiguousarray(forecast[output].to_numpy(dtype=float))
            got = self.models_[output].assess_rows(
                coming.core, int(quantity), self._levels, quantiles, self.confidence
            )
            mine = rows[number == quantity]
            rule = stream.permit[mine["rule"].iloc[0]]
            index = pd.DatetimeIndex(mine["end"], name="window_end")
            table = _table(got, mine["limit"].tolist(), index)
            table["closes"], table["spare"] = mine["closes"].to_numpy(), mine["spare"].to_numpy()
            parts.append(_Part(output, rule.unit, rule.pollutant, got["coming_rows"], table))
            self.any_[basis.names[quantity]] = float(got["any"])
        if not parts:
            raise DataError("BreakRisk.assess: the permit asks nothing of the coming steps: no window counts")
        return parts

    def _converted(self, basis: _core.BasisMap, quantity: int, column: int, forecast: pd.DataFrame) -> Floats:
        """Quantiles (H, Q) of a concentration at its reference oxygen, the oxygen at its median."""
        outputs = self.forecaster.outputs_
        if basis.oxygen[quantity - len(outputs)] < 0:
            raise DataError(
                f"BreakRisk: {basis.names[quantity]!r} is corrected by an oxygen that is no output of the "
                "forecaster; fit one that forecasts it"
            )
        medians = np.column_stack([forecast[name, 0.5].to_numpy(dtype=float) for name in outputs])
        fan = forecast[outputs[column]].to_numpy(dtype=float)
        nothing = np.full(max(1, len(self.forecaster.setpoints_), len(self.forecaster.disturbances_)), np.nan)
        u, d = nothing[: len(self.forecaster.setpoints_)], nothing[: len(self.forecaster.disturbances_)]
        out = np.empty_like(fan)
        for step, level in np.ndindex(*fan.shape):
            y = medians[step].copy()
            y[column] = fan[step, level]
            out[step, level] = basis.value(y, u.copy(), d.copy())[quantity]
        return np.ascontiguousarray(out)

    @property
    def _levels(self) -> list[float]:
        return [float(q) for q in self._core().config.quantiles]

    def _outputs(self) -> list[str]:
        if isinstance(self.limits, PermitStream):
            names = self.forecaster.outputs_
            return [n for n in dict.fromkeys(self.limits.columns) if n in names]
        return list(dict.fromkeys(limit.output for limit in self.limits))

    def _core(self) -> _core.Forecaster:
        check_is_fitted(self.forecaster, "core_")
        if self.known not in ("operation", "nothing"):
            raise _core.InputError(f"BreakRisk(known): expected operation or nothing, got {self.known!r}")
        if self.dependence not in ("fitted", "independent"):
            raise _core.InputError(
                f"BreakRisk(dependence): expected fitted or independent, got {self.dependence!r}"
            )
        if isinstance(self.limits, PermitStream):
            if not self._outputs():
                raise _core.InputError(
                    "BreakRisk(limits): the permit judges none of the forecaster's outputs "
                    f"{', '.join(self.forecaster.outputs_)}"
                )
            return self.forecaster.core_
        if not self.limits:
            raise _core.InputError("BreakRisk(limits): expected at least one, got none")
        for limit in self.limits:
            limit.to_core(self.forecaster.outputs_)
        return self.forecaster.core_

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"
