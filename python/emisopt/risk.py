"""How likely a permit's running averages are to break their limits, and how much room is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

__all__ = ["BreakRisk"]

Floats = NDArray[np.float64]


class BreakRisk(BaseEstimator):  # type: ignore[misc]
    """Probability that each running average breaks its limit, from a forecaster's quantiles.

    A mean over an hour is surer than each of its rows, but not as sure as if their errors were independent.
    How the errors of one forecast hang together is learned from past forecasts (a Gaussian copula over
    normal scores, with the scores' own mean and spread, which mends quantiles that are too narrow or off).

    Parameters
    ----------
    forecaster : fitted
    limits : what must hold; see :class:`emisopt.Limit`
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
        limits: Sequence[Limit],
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
        levels = [float(q) for q in core.config.quantiles]
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
    ) -> pd.DataFrame:
        """One row per limit and window that closes within the horizon, by its end.

        Parameters
        ----------
        history, plan, known : as in :meth:`emisopt.Forecaster.predict`
        flow : output -> stack gas flow in the coming hours, Nm3/h at the conditions of its concentration in
            mg/Nm3; adds the headroom as a mass

        Returns
        -------
        DataFrame with `limit` (name), `probability`, `median` and `high` of the running average in the
        output's unit, `headroom`: by how much every coming row of the window may be higher until the
        probability reaches 1 - confidence (negative: it is too high already), and with `flow`
        `headroom_kg`, the same as emitted mass over those rows. NaN where a forecast is missing.
        """
        forecast = self.forecaster.predict(history, plan, known)
        return self.assess(history, forecast, flow)

    def assess(
        self, history: pd.DataFrame, forecast: pd.DataFrame, flow: Mapping[str, float] | None = None
    ) -> pd.DataFrame:
        """As :meth:`predict`, for a forecast already made by :meth:`emisopt.Forecaster.predict`."""
        check_is_fitted(self, "models_")
        tags = self.forecaster.tags_
        longest = max(limit.window for limit in self.limits)
        rows = to_history(history.tail(longest), tags, where="BreakRisk.assess(history)", live=True)
        breaks = np.flatnonzero(rows.gap)
        first = int(breaks[-1]) if breaks.size else 0
        place = [tags.names.index(n) for n in self.forecaster.outputs_]
        past = np.ascontiguousarray(rows.values[first:, place])
        levels = [float(q) for q in self._core().config.quantiles]
        parts = []
        self.any_: dict[str, float] = {}
        for output, model in self.models_.items():
            named = [limit for limit in self.limits if limit.output == output]
            core_limits = [limit.to_core(self.forecaster.outputs_) for limit in named]
            quantiles = np.ascontiguousarray(forecast[output].to_numpy(dtype=float))
            got = model.assess(core_limits, past, levels, quantiles, self.confidence)
            part = pd.DataFrame(
                {k: got[k] for k in ("probability", "median", "high", "headroom")},
                index=pd.Index(forecast.index[got["end_step"]], name="window_end"),
            )
            part.insert(0, "limit", [named[i].label for i in got["limit"]])
            if flow is not None:
                gas = float(flow[output]) if output in flow else np.nan
                hours = got["coming_rows"] * tags.period / 3600.0
                part["headroom_kg"] = got["headroom"] * gas * hours * 1e-6
            parts.append(part)
            self.any_[output] = float(got["any"])
        return pd.concat(parts)

    def _outputs(self) -> list[str]:
        return list(dict.fromkeys(limit.output for limit in self.limits))

    def _core(self) -> _core.Forecaster:
        check_is_fitted(self.forecaster, "core_")
        if self.known not in ("operation", "nothing"):
            raise _core.InputError(f"BreakRisk(known): expected operation or nothing, got {self.known!r}")
        if self.dependence not in ("fitted", "independent"):
            raise _core.InputError(
                f"BreakRisk(dependence): expected fitted or independent, got {self.dependence!r}"
            )
        if not self.limits:
            raise _core.InputError("BreakRisk(limits): expected at least one, got none")
        for limit in self.limits:
            limit.to_core(self.forecaster.outputs_)
        return self.forecaster.core_

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"
