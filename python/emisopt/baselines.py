"""Forecasts to beat: last value, seasonal naive, ridge, boosting, boosting + error tracking.

All see the same rows as the forecaster (:mod:`emisopt.lags`): history of one unbroken run before the origin
and, with ``known=True``, the setpoints and known disturbances on the way to the target. Each is a
scikit-learn estimator of a :class:`~emisopt.lags.Table`; ``predict`` returns low, median and high (levels
0.1, 0.5, 0.9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from emisopt._core import default_threads
from emisopt.lags import Table, lag_features

__all__ = ["Boosting", "ErrorTracking", "LastValue", "LinearRidge", "SeasonalNaive"]

Floats = NDArray[np.float64]
LEVELS = (0.1, 0.5, 0.9)
HORIZONS = (1, 6, 24)
Done = Callable[[int, int], object]  # parts done, parts in all


class Baseline(BaseEstimator):  # type: ignore[misc]
    """Common part: checks, and intervals from the residuals of calibration rows.

    Subclasses implement `_fit_point` and `_predict_point`; one with its own quantiles overrides `predict`.
    """

    horizons: Sequence[int]
    context: int

    def fit(
        self,
        table: Table,
        origins: ArrayLike,
        calibration: ArrayLike | None = None,
        *,
        progress: Done | None = None,
    ) -> Baseline:
        """Learns from the targets of `origins`, sets intervals from the residuals on `calibration` origins.

        Parameters
        ----------
        table : Table
        origins : ndarray of shape (n,), row numbers; row origin + h - 1 is a target, so choose origins whose
            targets all lie in the training rows
        calibration : ndarray of shape (m,), later rows that the model has not learned from. None: the last
            15 % of `origins` are held out for it.
        progress : called with parts done and parts in all, by models that take long
        """
        k = _check_origins(self, table, origins)
        if calibration is None:
            # Targets of the fitted part must not overlap the calibration rows' history window by label.
            cut = int(k.size * 0.85)
            first = k[cut] if cut < k.size else k[-1]
            calibration, k = k[cut:], k[k + max(self.horizons) <= first]
        held = _check_origins(self, table, calibration)
        if k.size == 0 or held.size == 0:
            raise ValueError(
                f"{type(self).__name__}.fit: expected origins on both sides of the cut, "
                f"got {k.size} and {held.size}"
            )
        self.outputs_ = table.outputs
        self._fit_point(table, k, progress or (lambda done, parts: None))
        point = self._predict_point(table, held)  # (m, H, O)
        truth = np.stack([table.target(held, h) for h in self.horizons], axis=1)
        with np.errstate(invalid="ignore"):
            self.residual_quantiles_ = _nan_quantiles(truth - point)  # (H, O, 2)
        self.last_trained_row_ = int(held.max()) + max(self.horizons) - 1
        return self

    def predict(self, table: Table, origins: ArrayLike) -> Floats:
        """Forecasts (n, H, O, 3): for each origin, horizon and output the levels 0.1, 0.5 and 0.9."""
        check_is_fitted(self, "residual_quantiles_")
        k = _check_origins(self, table, origins)
        point = self._predict_point(table, k)
        return np.stack(
            [point + self.residual_quantiles_[..., 0], point, point + self.residual_quantiles_[..., 1]],
            axis=-1,
        )

    def _fit_point(self, table: Table, origins: NDArray[np.int64], progress: Done) -> None:
        raise NotImplementedError

    def _predict_point(self, table: Table, origins: NDArray[np.int64]) -> Floats:
        raise NotImplementedError


class LastValue(Baseline):
    """The newest known value of each output, for every horizon."""

    def __init__(self, *, horizons: Sequence[int] = HORIZONS, context: int = 96) -> None:
        self.horizons = horizons
        self.context = context

    def _fit_point(self, table: Table, origins: NDArray[np.int64], progress: Done) -> None:
        pass  # nothing to learn

    def _predict_point(self, table: Table, origins: NDArray[np.int64]) -> Floats:
        last, _ = table.last_known(origins, table.outputs, self.context)
        return np.repeat(last[:, None, :], len(self.horizons), axis=1)


class SeasonalNaive(Baseline):
    """The value one day before the target (or the newest day known); the last value where that is missing.

    Parameters
    ----------
    season : rows in a season; None: one day (:attr:`Table.season`)
    """

    def __init__(
        self, *, horizons: Sequence[int] = HORIZONS, context: int = 96, season: int | None = None
    ) -> None:
        self.horizons = horizons
        self.context = context
        self.season = season

    def _fit_point(self, table: Table, origins: NDArray[np.int64], progress: Done) -> None:
        self.season_ = self.season or table.season

    def _predict_point(self, table: Table, origins: NDArray[np.int64]) -> Floats:
        last, _ = table.last_known(origins, table.outputs, self.context)
        start = table.run_start[origins - 1]
        steps = []
        for h in self.horizons:
            back = self.season_ * -(-h // self.season_)  # whole seasons, so that the row is known
            value = table.at(origins + h - 1 - back, table.outputs, start)
            steps.append(np.where(np.isfinite(value), value, last))
        return np.stack(steps, axis=1)


class LinearRidge(Baseline):
    """Ridge regression of the change from the last value; one model per horizon and output.

    Missing features are replaced by training means, with an indicator; features are standardised.

    Parameters
    ----------
    known : whether the setpoints and known disturbances up to the target are given
    alpha : penalty
    """

    def __init__(
        self,
        *,
        horizons: Sequence[int] = HORIZONS,
        context: int = 96,
        known: bool = True,
        alpha: float = 30.0,
    ) -> None:
        self.horizons = horizons
        self.context = context
        self.known = known
        self.alpha = alpha

    def _fit_point(self, table: Table, origins: NDArray[np.int64], progress: Done) -> None:
        self.prepare_: list[Pipeline] = []  # [horizon], shared by the outputs
        self.models_: list[list[Ridge]] = []  # [horizon][output]
        for h in self.horizons:
            x = lag_features(table, origins, h, context=self.context, known=self.known)
            prepare = make_pipeline(
                SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
            )
            x = prepare.fit_transform(x)
            change = _change(table, origins, h, self.context)
            row = []
            for o in range(change.shape[1]):
                valid = _require_targets(change[:, o], type(self).__name__, table, o, h)
                row.append(Ridge(alpha=self.alpha).fit(x[valid], change[valid, o]))
            self.prepare_.append(prepare)
            self.models_.append(row)

    def _predict_point(self, table: Table, origins: NDArray[np.int64]) -> Floats:
        last, _ = table.last_known(origins, table.outputs, self.context)
        steps = []
        for h, prepare, row in zip(self.horizons, self.prepare_, self.models_, strict=True):
            x = prepare.transform(lag_features(table, origins, h, context=self.context, known=self.known))
            steps.append(last + np.column_stack([m.predict(x) for m in row]))
        return np.stack(steps, axis=1)


class Boosting(Baseline):
    """Histogram gradient boosting of the change from the last value, absolute-error loss.

    Parameters
    ----------
    known : whether the setpoints and known disturbances up to the target are given
    interval : "quantile": two more boosters at levels 0.1 and 0.9; "residual": quantiles of the residuals
        on the calibration rows, a third of the time
    iterations, learning_rate, leaves : of the boosters
    """

    def __init__(
        self,
        *,
        horizons: Sequence[int] = HORIZONS,
        context: int = 96,
        known: bool = True,
        interval: str = "quantile",
        iterations: int = 200,
        learning_rate: float = 0.06,
        leaves: int = 31,
        seed: int = 0,
    ) -> None:
        self.horizons = horizons
        self.context = context
        self.known = known
        self.interval = interval
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.seed = seed

    def _new_model(self, level: float) -> HistGradientBoostingRegressor:
        loss = {"loss": "absolute_error"} if level == 0.5 else {"loss": "quantile", "quantile": level}
        return HistGradientBoostingRegressor(
            max_iter=self.iterations,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=40,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self.seed,
            **loss,
        )

    def _fit_point(self, table: Table, origins: NDArray[np.int64], progress: Done) -> None:
        if self.interval not in ("quantile", "residual"):
            raise ValueError(f"Boosting(interval): expected 'quantile' or 'residual', got {self.interval!r}")
        levels = LEVELS if self.interval == "quantile" else (0.5,)
        outputs = range(len(table.outputs))
        for h in self.horizons:  # refused here, not while a pool of processes asks for its next job
            change = _change(table, origins, h, self.context)
            for o in outputs:
                _require_targets(change[:, o], type(self).__name__, table, o, h)
        keys = [(i, o, q) for i in range(len(self.horizons)) for o in outputs for q in levels]
        # Whole boosters side by side: threads inside one wait for each other at every split, which on a busy
        # machine costs more than it brings. In processes: scikit-learn resets the warning filters while it
        # bins, and two threads doing so leave them broken. Small work is done before a process has started.
        small = origins.size * self.iterations * len(keys) < 1_000_000
        fitted = Parallel(n_jobs=1 if small else min(default_threads(), len(keys)), return_as="generator")(
            delayed(_fit_one_thread)(self._new_model(q), x, y)
            for x, y in self._training_sets(table, origins)
            for q in levels
        )
        self.models_: list[list[dict[float, HistGradientBoostingRegressor]]] = [
            [{} for _ in outputs] for _ in self.horizons
        ]
        for done, ((i, o, q), model) in enumerate(zip(keys, fitted, strict=True), start=1):
            self.models_[i][o][q] = model
            progress(done, len(keys))

    def _training_sets(self, table: Table, origins: NDArray[np.int64]) -> Iterator[tuple[Floats, Floats]]:
        """Features and change of each horizon and output, in this order, made as they are asked for."""
        for h in self.horizons:
            x = lag_features(table, origins, h, context=self.context, known=self.known)
            change = _change(table, origins, h, self.context)
            for o in range(change.shape[1]):
                valid = np.isfinite(change[:, o])
                yield (x, change[:, o]) if valid.all() else (x[valid], change[valid, o])

    def _predict_levels(self, table: Table, origins: NDArray[np.int64], levels: Sequence[float]) -> Floats:
        """(n, H, O, levels)"""
        last, _ = table.last_known(origins, table.outputs, self.context)
        steps = []
        for h, row in zip(self.horizons, self.models_, strict=True):
            x = lag_features(table, origins, h, context=self.context, known=self.known)
            with threadpool_limits(default_threads(), user_api="openmp"):
                change = np.column_stack([models[q].predict(x) for models in row for q in levels])
            steps.append(last[:, :, None] + change.reshape(origins.size, len(row), len(levels)))
        return np.stack(steps, axis=1)

    def _predict_point(self, table: Table, origins: NDArray[np.int64]) -> Floats:
        return self._predict_levels(table, origins, (0.5,))[..., 0]

    def predict(self, table: Table, origins: ArrayLike) -> Floats:
        """Forecasts (n, H, O, 3); quantiles are sorted, so they never cross."""
        if self.interval != "quantile":
            return super().predict(table, origins)
        check_is_fitted(self, "models_")
        k = _check_origins(self, table, origins)
        return np.sort(self._predict_levels(table, k, LEVELS), axis=-1)


class ErrorTracking(BaseEstimator):  # type: ignore[misc]
    """A fitted baseline plus the exponentially weighted mean of its own past errors, per output and horizon.

    The error of the forecast for row t becomes usable only when row t is history: at origin t + 1 + `delay`.
    So a correction at horizon h rests on forecasts made at least h rows ago. Tracking starts with zero after
    the rows that the base was trained and calibrated on, and runs on across gaps.

    Parameters
    ----------
    base : a fitted baseline
    halflife : rows
    delay : rows between a measurement and its arrival
    """

    def __init__(self, base: Baseline, *, halflife: float = 24.0, delay: int = 0) -> None:
        self.base = base
        self.halflife = halflife
        self.delay = delay

    def predict(self, table: Table, origins: ArrayLike) -> Floats:
        """Forecasts (n, H, O, 3): those of the base, shifted by the tracked error."""
        return self.predict_both(table, origins)[1]

    def predict_both(self, table: Table, origins: ArrayLike) -> tuple[Floats, Floats]:
        """The base's forecasts and the shifted ones, both (n, H, O, 3); the base is asked once."""
        k = _check_origins(self.base, table, origins)
        every = np.arange(self.base.last_trained_row_ + 1, int(k.max()) + 1)
        if every.size == 0 or every[0] > k.min():
            raise ValueError(
                "ErrorTracking.predict(origins): expected origins after the base's training rows, "
                f"> {self.base.last_trained_row_}, got {int(k.min())}"
            )
        forecast = self.base.predict(table, every)  # (m, H, O, 3)
        corrected = forecast.copy()
        for i, h in enumerate(self.base.horizons):
            error = table.target(every, h) - forecast[:, i, :, 1]
            # Entry j is the error of the forecast made at origin every[j]: usable h + delay origins later.
            corrected[:, i] += _track(error, h + self.delay, self.halflife)[:, :, None]
        return forecast[k - every[0]], corrected[k - every[0]]


def _fit_one_thread(
    model: HistGradientBoostingRegressor, x: Floats, y: Floats
) -> HistGradientBoostingRegressor:
    # scikit-learn cannot bin a column without any value; one that stands still is never split on
    silent = ~np.isfinite(x).any(axis=0)
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(np.where(silent, 0.0, x) if silent.any() else x, y)


def _track(error: Floats, late: int, halflife: float) -> Floats:
    """Exponentially weighted mean of `error` (m, O), seen `late` entries later; missing: no change."""
    gain = 1.0 - 0.5 ** (1.0 / halflife)
    level = np.zeros_like(error)
    now = np.zeros(error.shape[1])
    for j in range(error.shape[0]):
        if j >= late:
            e = error[j - late]
            now = now + gain * np.where(np.isfinite(e), e - now, 0.0)
        level[j] = now
    return level


def _change(table: Table, origins: NDArray[np.int64], horizon: int, context: int) -> Floats:
    """Target minus last known value, (n, O)."""
    last, _ = table.last_known(origins, table.outputs, context)
    return table.target(origins, horizon) - last


def _require_targets(change: Floats, who: str, table: Table, output: int, horizon: int) -> NDArray[np.bool_]:
    valid = np.isfinite(change)
    if not valid.any():
        name = table.names[table.outputs[output]]
        raise ValueError(f"{who}.fit: expected known values of {name!r} at horizon {horizon}, got none")
    return valid


def _nan_quantiles(residual: Floats) -> Floats:
    """Quantiles 0.1 and 0.9 over the first axis: (H, O, 2); zero where no residual is known."""
    known = np.isfinite(residual).any(axis=0)
    filled = np.where(known, residual, 0.0)
    return np.moveaxis(np.nanquantile(filled, (LEVELS[0], LEVELS[2]), axis=0), 0, -1)


def _check_origins(baseline: Baseline, table: Table, origins: ArrayLike) -> NDArray[np.int64]:
    who = type(baseline).__name__
    k = np.asarray(origins)
    if k.ndim != 1 or k.size == 0 or k.dtype.kind not in "iu":
        raise ValueError(
            f"{who}(origins): expected at least one row number in a 1-d integer array, "
            f"got {k.dtype} of shape {k.shape}"
        )
    if k.min() < 1 or k.max() > table.rows:
        raise ValueError(f"{who}(origins): expected row numbers 1..{table.rows}, got {k.min()}..{k.max()}")
    if min(baseline.horizons, default=0) < 1:
        raise ValueError(f"{who}(horizons): expected rows ahead >= 1, got {tuple(baseline.horizons)}")
    fitted = getattr(baseline, "outputs_", table.outputs)
    if fitted != table.outputs:
        raise ValueError(f"{who}(table): expected the output columns of fit {fitted}, got {table.outputs}")
    return k.astype(np.int64)
