"""Gradient boosting on our lags and plan: quantiles, error tracking, refits through the test year.

Few rows ahead: a model per row ahead, on the change from the last value (`emisopt.lags`). Many rows ahead:
one model for all, whose features are relative to the target's time of day (`baseline_pooled.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from benchmarks.forecasting.task import Floats, Ints, Task
from emisopt.lags import lag_features

CONTEXT = 96


def booster(
    level: float | None, iterations: int, leaves: int = 31, rate: float = 0.06
) -> HistGradientBoostingRegressor:
    """The package's booster (emisopt.baselines.Boosting); level None: squared error."""
    loss = {"loss": "squared_error"} if level is None else {"loss": "absolute_error"}
    if level not in (None, 0.5):
        loss = {"loss": "quantile", "quantile": level}
    return HistGradientBoostingRegressor(
        max_iter=iterations,
        learning_rate=rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
        **loss,
    )


@dataclass(frozen=True)
class Direct:
    """A booster per row ahead, output and level.

    Parameters
    ----------
    features : "lags": :func:`emisopt.lags.lag_features` with the plan, target the change from the last value.
        "operation": setpoints and disturbances of the row alone, target the value: a soft sensor
    iterations : boosting rounds
    """

    features: str = "lags"
    iterations: int = 200
    stride: int = 1

    def fit(
        self, task: Task, rows: int, levels: Sequence[float]
    ) -> list[list[list[HistGradientBoostingRegressor]]]:
        """[step][output][level], learnt from targets in the first `rows` rows."""
        origins = task.fit_origins(rows, self.stride)
        models = []
        for h in task.steps if self.features == "lags" else task.steps[:1]:
            x, base = self.inputs(task, origins, h)
            y = task.table.target(origins, h) - base
            models.append(
                [[_fit(booster(q, self.iterations), x, y[:, o]) for q in levels] for o in range(y.shape[1])]
            )
        return models if self.features == "lags" else models * len(task.steps)

    def predict(
        self, task: Task, models: list[list[list[HistGradientBoostingRegressor]]], origins: Ints
    ) -> Floats:
        """(n, H, O, levels)"""
        steps = []
        for h, per_output in zip(task.steps, models, strict=True):
            x, base = self.inputs(task, origins, h)
            steps.append(
                np.stack(
                    [
                        np.column_stack([base[:, o] + m.predict(x) for m in row])
                        for o, row in enumerate(per_output)
                    ],
                    axis=1,
                )
            )
        return np.stack(steps, axis=1)

    def inputs(self, task: Task, origins: Ints, h: int) -> tuple[Floats, Floats]:
        """Features (n, F) and what is added to the prediction (n, O)."""
        table = task.table
        if self.features == "lags":
            last, _ = table.last_known(origins, table.outputs, CONTEXT)
            return lag_features(table, origins, h, context=CONTEXT, known=True), last
        ahead = table.setpoints + table.known
        target = np.minimum(origins + h - 1, table.rows - 1)
        columns = [table.at(target - lag, ahead, table.run_start[target]) for lag in task.lags]
        return np.column_stack(columns), np.zeros((origins.size, len(table.outputs)))

    def __call__(self, task: Task) -> Floats:
        models = self.fit(task, task.fit_rows, task.levels)
        return np.sort(self.predict(task, models, task.origins), axis=-1)


@dataclass(frozen=True)
class Tracked:
    """A booster's median plus the weighted mean of its newest errors, with intervals from its past residuals.

    The error of row t made h rows ahead counts from origin t + 1 on: labels are h rows late to a forecast h
    rows ahead. The weights halve every `halflife` rows. Levels are running quantiles of the corrected errors.

    Parameters
    ----------
    refits : times that the booster is fitted anew on all rows known by then, evenly over the test
    """

    base: Direct = field(default_factory=Direct)
    halflife: float = 24.0
    refits: int = 0

    def __call__(self, task: Task) -> Floats:
        begin = task.train_rows if task.validation_rows else int(task.fit_rows * 0.85)
        if self.base.features == "lags":  # errors of the validation rows by a model that has not seen them
            warm = self.base.fit(task, begin, [0.5])
        first, last = int(task.origins.min()), int(task.origins.max())
        every = np.arange(begin, last + 1)
        forecast = np.full((every.size, len(task.steps), len(task.outputs)), np.nan)
        early = every < first
        model = self.base.fit(task, task.fit_rows, [0.5])
        warm_model = warm if self.base.features == "lags" else self.base.fit(task, begin, [0.5])
        forecast[early] = self.base.predict(task, warm_model, every[early])[..., 0]
        borders = np.linspace(first, last + 1, self.refits + 2).astype(int)
        for i in range(self.refits + 1):
            if i > 0:
                model = self.base.fit(task, int(borders[i]), [0.5])
            part = (every >= borders[i]) & (every < borders[i + 1])
            forecast[part] = self.base.predict(task, model, every[part])[..., 0]
        error = task.target(every) - forecast
        corrected, residual = np.empty_like(forecast), np.empty_like(forecast)
        for i, h in enumerate(task.steps):
            corrected[:, i] = forecast[:, i] + track(error[:, i], h, self.halflife)
            residual[:, i] = error[:, i] - (corrected[:, i] - forecast[:, i])
        asked = task.origins - begin
        return spread_levels(corrected, residual, task.steps, asked, task.levels)


@dataclass(frozen=True)
class Exceedance:
    """A boosted classifier of "above the limit", per output, on our lags and the plan, for one row ahead."""

    limits: tuple[float, ...]
    step: int
    iterations: int = 150

    def probability(self, task: Task) -> Floats:
        """(n, O)"""
        origins = np.arange(self.step, task.fit_rows - self.step + 1)
        out = np.full((task.origins.size, len(task.outputs)), np.nan)
        x = lag_features(task.table, origins, self.step, context=CONTEXT, known=True)
        at = lag_features(task.table, task.origins, self.step, context=CONTEXT, known=True)
        y = task.table.target(origins, self.step)
        for o, limit in enumerate(self.limits):
            valid = np.isfinite(y[:, o])
            model = HistGradientBoostingClassifier(
                max_iter=self.iterations,
                learning_rate=0.06,
                max_leaf_nodes=31,
                min_samples_leaf=40,
                l2_regularization=1.0,
                early_stopping=False,
                random_state=0,
            )
            model.fit(x[valid], y[valid, o] > limit)
            out[:, o] = model.predict_proba(at)[:, 1]
        return out


def _fit(model: HistGradientBoostingRegressor, x: Floats, y: Floats) -> HistGradientBoostingRegressor:
    valid = np.isfinite(y)
    with threadpool_limits(
        1, user_api="openmp"
    ):  # a shared machine: threads that wait cost more than they bring
        return model.fit(x[valid], y[valid])


def track(error: Floats, late: int, halflife: float) -> Floats:
    """(m, O) exponentially weighted mean of errors (m, O), each seen `late` entries after its own."""
    gain = 1.0 - 0.5 ** (1.0 / halflife)
    out = np.zeros_like(error)
    now = np.zeros(error.shape[1])
    for j in range(late, len(error)):
        e = error[j - late]
        now = now + gain * np.where(np.isfinite(e), e - now, 0.0)
        out[j] = now
    return out


def spread_levels(
    point: Floats,
    residual: Floats,
    steps: Sequence[int],
    asked: Ints,
    levels: Sequence[float],
    memory: int = 2000,
) -> Floats:
    """(n, H, O, Q): points plus quantiles of the last `memory` residuals that are known at each origin."""
    out = np.repeat(point[asked][..., None], len(levels), axis=-1)
    for i, h in enumerate(steps):
        for begin in range(0, len(asked), 100):  # the quantiles move slowly: every 100 origins will do
            first = asked[begin]
            known = residual[max(0, first - h + 1 - memory) : first - h + 1, i]
            if len(known) < 50 or not np.isfinite(known).any(axis=0).all():
                continue
            shift = np.nanquantile(known, levels, axis=0).T  # (O, Q)
            shift[:, list(levels).index(0.5)] = 0.0
            out[begin : begin + 100, i] += np.sort(shift, axis=-1)
    return out
