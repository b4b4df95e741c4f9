"""Backtest: what would have been forecast in the past, beside last value, seasonal naive, ridge and boosting.

Every model sees the same rows, the same origins and, in the setting "known", the same future operation.
Models and scales are fixed on the training rows before a test row is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt._format import html_table, text_table
from emisopt.baselines import Baseline, Boosting, ErrorTracking, LastValue, LinearRidge, SeasonalNaive
from emisopt.forecaster import Forecaster
from emisopt.history import to_history, to_table
from emisopt.metrics import score_table, scores
from emisopt.monitor.coverage import ConformalCorrector

__all__ = ["Backtest", "backtest", "forecaster_quantiles"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
OPERATIONS = ("known", "unknown")
CORRECTED = "emisopt, corrected"
POINT = ("mae", "rmse", "r2", "bias")
# Name for people, and which end is the best one.
METRICS = {
    "mae": ("mean absolute error", "min"),
    "rmse": ("root mean squared error", "min"),
    "r2": ("coefficient of determination", "max"),
    "bias": ("mean of forecast minus truth", ""),
    "coverage": ("share of values inside the 80 % interval", ""),
    "width": ("mean width of the 80 % interval", ""),
    "least_coverage": ("least share inside the 80 % interval over any 500 rows", "max"),
    "greatest_coverage": ("greatest share inside the 80 % interval over any 500 rows", ""),
}


@dataclass(frozen=True)
class Backtest:
    """Scores of all models on the same origins.

    Attributes
    ----------
    scores : DataFrame, index (output, horizon, operation, model), columns rows, mae, rmse, r2, bias, coverage
        (of the 80 % interval), width, least_coverage and greatest_coverage (over any 500 rows in a row)
    origins : (n,) row numbers of the first row forecast
    forecasts : (operation, model) -> (n, horizons, O, 3) at levels 0.1, 0.5, 0.9
    truth : (n, horizons, O)
    horizons, outputs : what the axes are;   units : of the outputs
    """

    scores: pd.DataFrame
    origins: Ints
    forecasts: dict[tuple[str, str], Floats]
    truth: Floats
    horizons: tuple[int, ...]
    outputs: tuple[str, ...]
    units: tuple[str, ...] = ()

    def table(self, metric: str = "mae", operation: str = "known") -> pd.DataFrame:
        """One metric as (output, horizon) x model."""
        self._require_metric(metric)
        if operation not in OPERATIONS:
            raise _core.InputError(f"Backtest.table(operation): expected known or unknown, got {operation!r}")
        part = self.scores.xs(operation, level="operation")[metric]
        order = list(dict.fromkeys(part.index.get_level_values("model")))
        return part.unstack("model")[order].reindex(self.outputs, level="output")

    def best_baseline(self, metric: str = "mae") -> pd.DataFrame:
        """(output, horizon, operation) -> best model other than the forecaster, and its score; least wins."""
        others = self.scores[~self.scores.index.get_level_values("model").isin(["emisopt", CORRECTED])][
            metric
        ]
        levels = ["output", "horizon", "operation"]
        place = others.groupby(level=levels).idxmin()
        return pd.DataFrame({"model": place.map(lambda key: key[-1]), metric: others.loc[place].to_numpy()})

    def text(self, metric: str = "mae") -> str:
        """For people: a table per setting, the best of each row starred, and the forecaster's coverage.

        Raises
        ------
        InputError : no such metric
        """
        self._require_metric(metric)
        name, better = METRICS[metric]
        operations = dict.fromkeys(self.scores.index.get_level_values("operation"))
        lines = [
            f"{name}, {len(self.origins):,} forecasts" + ("; * is the best of its line" if better else "")
        ]
        for operation in operations:
            table = self.table(metric, operation)
            models = list(table.columns)
            if metric in POINT and CORRECTED in models:  # its median is the forecaster's
                models.remove(CORRECTED)
            shown = self.shown(metric, operation, models)
            if metric != "coverage":
                covers = self.table("coverage", operation)
                shown["80 % covers"] = [f"{x:.3f}" for x in covers["emisopt"]]
                if CORRECTED in covers:
                    shown["corrected"] = self._corrected(operation)
            rows = shown.to_numpy().tolist()
            lines += ["", f"future operation {operation}", text_table(list(shown.columns), rows)]
            if better:
                wins = int(
                    (table.idxmin(axis=1) if better == "min" else table.idxmax(axis=1)).eq("emisopt").sum()
                )
                lines.append(f"emisopt is the best in {wins} of {len(table)} lines")
        if metric != "coverage":
            lines += ["", "80 % covers: share of values inside emisopt's 80 % interval"]
            if CORRECTED in self.scores.index.get_level_values("model"):
                lines += ["corrected: the same after conformal correction (over any 500 rows), and its width"]
        return "\n".join(lines)

    def _corrected(self, operation: str) -> list[str]:
        """Cover, least and greatest local cover and change of width of the corrected interval, per line."""
        cells = []
        for output, horizon in self.table("coverage", operation).index:
            raw, own = (self.scores.loc[(output, horizon, operation, m)] for m in ("emisopt", CORRECTED))
            local = (
                ""
                if np.isnan(own["least_coverage"])
                else (f" ({own['least_coverage']:.2f}-{own['greatest_coverage']:.2f})")
            )
            cells.append(f"{own['coverage']:.3f}{local} {own['width'] / raw['width'] - 1:+.0%}")
        return cells

    def shown(
        self, metric: str = "mae", operation: str = "known", models: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """:meth:`table` as texts: output with unit, rows ahead, a column per model, the best starred."""
        table = self.table(metric, operation)
        table = table if models is None else table[list(models)]
        units = dict(zip(self.outputs, self.units, strict=True)) if self.units else {}
        rows, before = [], ""
        for (output, horizon), values in table.iterrows():
            name = f"{output}, {units[output]}" if units.get(output) else str(output)
            cells = _starred(values, METRICS[metric][1])
            rows.append(["" if name == before else name, str(horizon), *cells])
            before = name
        return pd.DataFrame(rows, columns=["", "rows ahead", *table.columns])

    def _require_metric(self, metric: str) -> None:
        if metric not in self.scores.columns:
            raise _core.InputError(
                f"Backtest.table(metric): expected one of {', '.join(self.scores.columns)}, got {metric!r}"
            )

    def _repr_html_(self) -> str:
        return html_table(self.scores)


def backtest(
    forecaster: Forecaster,
    history: pd.DataFrame,
    *,
    train_rows: int,
    validation_rows: int = 0,
    test_rows: int | None = None,
    horizons: Sequence[int] = (1, 6, 24),
    operations: Sequence[str] = OPERATIONS,
    stride: int = 1,
    fit_stride: int = 1,
    boosting: dict[str, object] | None = None,
    delay: int = 0,
    corrector: ConformalCorrector | bool = False,
    progress: Callable[[str], None] | None = None,
) -> Backtest:
    """Scores a fitted forecaster and the baselines on the rows after training and validation.

    Parameters
    ----------
    forecaster : fitted on the first `train_rows` of the same history (that is for the caller to see to)
    history : N rows
    train_rows, validation_rows : baselines learn from the first, set their intervals on the second (none: on
        the last part of the first)
    test_rows : rows scored after those; None: all
    horizons : rows ahead, at most the forecaster's horizon
    operations : "known": setpoints and known-ahead disturbances of the coming rows are given, as they came;
        "unknown": they are not
    stride : score every so many origins;   fit_stride : fit baselines on every so many
    boosting : parameters of :class:`~emisopt.baselines.Boosting`
    delay : rows by which measured outputs come late, to error tracking and to the forecaster's history
    corrector : also score the forecaster's intervals after adaptive conformal correction, as the model
        "emisopt, corrected"; True: with its defaults and this delay. It learns over the validation rows and
        goes on over the test rows, each label when it is in
    progress : called with what is being done: "STAGE", then for a long one "STAGE: 3 of 18" and so on

    Returns
    -------
    Backtest. Rows where a target is missing are not scored; `rows` counts those that are.

    Raises
    ------
    NotFittedError, DataError, InputError

    Examples
    --------
    >>> from emisopt import Forecaster, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, steps=20)
    >>> f = f.fit(history, tags=tags, train_rows=600, progress=False)
    >>> result = backtest(f, history, train_rows=600, horizons=(6,), stride=20, boosting={"iterations": 3})
    >>> result.table("mae", "known").loc[("nox", 6)].index.tolist()[:3]
    ['emisopt', 'last value', 'seasonal naive']
    """
    check_is_fitted(forecaster, "core_")
    say = progress or (lambda text: None)
    core_history = to_history(history, forecaster.tags_, where="backtest(history)")
    steps = _check(forecaster, core_history.rows, train_rows, validation_rows, horizons, operations)
    begin = train_rows + validation_rows
    end = core_history.rows if test_rows is None else min(core_history.rows, begin + test_rows)
    table = to_table(core_history)
    origins = _origins(forecaster, core_history, begin, end, "test")[::stride]
    train = _origins(forecaster, core_history, 0, train_rows, "training")[::fit_stride]
    held, held_origins = None, np.empty(0, dtype=np.int64)
    if validation_rows:
        held_origins = _origins(forecaster, core_history, train_rows, begin, "validation")
        held = held_origins[::fit_stride]
    context = int(forecaster.core_.config.context)
    truth = np.stack([table.target(origins, h) for h in steps], axis=1)

    forecasts: dict[tuple[str, str], Floats] = {}
    for operation in operations:
        known = operation == "known"
        say(f"emisopt, operation {operation}")
        forecasts[operation, "emisopt"] = forecaster_quantiles(
            forecaster, core_history, origins, steps, known=known, delay=delay
        )
        if corrector:
            say(f"{CORRECTED}, operation {operation}")
            chosen = ConformalCorrector(delay=delay) if corrector is True else clone(corrector)
            forecasts[operation, CORRECTED] = _corrected_quantiles(
                chosen, forecaster, core_history, origins, held_origins, steps, known=known, delay=delay
            )
        for name, model in _baselines(steps, context, known, boosting or {}).items():
            say(f"{name}, operation {operation}")
            model.fit(table, train, held, progress=partial(_say_part, say, f"{name}, operation {operation}"))
            if name == "boosting":
                both = ErrorTracking(model, delay=delay).predict_both(table, origins)
                forecasts[operation, name], forecasts[operation, "boosting + tracking"] = both
            else:
                forecasts[operation, name] = model.predict(table, origins)
    rows = _score(forecasts, truth, steps, forecaster.outputs_)
    units = tuple(forecaster.tags_[n].unit for n in forecaster.outputs_)
    return Backtest(score_table(rows), origins, forecasts, truth, steps, forecaster.outputs_, units)


def _starred(row: pd.Series, better: str) -> list[str]:
    best = {"min": row.min(), "max": row.max()}.get(better)
    return [f"{x:.4g}" + ("*" if x == best else " " * bool(better)) for x in row]


def _say_part(say: Callable[[str], None], stage: str, done: int, parts: int) -> None:
    say(f"{stage}: {done} of {parts}")


def forecaster_quantiles(
    forecaster: Forecaster,
    history: _core.History,
    origins: Ints,
    horizons: Sequence[int],
    *,
    known: bool,
    delay: int = 0,
) -> Floats:
    """The forecaster's levels 0.1, 0.5, 0.9 at these horizons: (n, horizons, O, 3); NaN: a level it lacks."""
    levels = list(forecaster.core_.config.quantiles)
    quantiles = _core.forecast_origins(
        forecaster.core_, history, origins.tolist(), known, forecaster.threads, delay
    )
    out = np.full((len(origins), len(horizons), quantiles.shape[2], 3), np.nan)
    for i, level in enumerate((0.1, 0.5, 0.9)):
        if level in levels:
            out[..., i] = quantiles[..., levels.index(level)][:, [h - 1 for h in horizons]]
    return out


def _corrected_quantiles(
    corrector: ConformalCorrector,
    forecaster: Forecaster,
    history: _core.History,
    origins: Ints,
    before: Ints,
    horizons: Sequence[int],
    *,
    known: bool,
    delay: int,
) -> Floats:
    """As :func:`forecaster_quantiles`, corrected; `before`: earlier origins that it learns from."""
    levels = [float(q) for q in forecaster.core_.config.quantiles]
    rows = np.concatenate([before[before < origins[0]], origins])
    fans = _core.forecast_origins(forecaster.core_, history, rows.tolist(), known, forecaster.threads, delay)
    place = [forecaster.tags_.names.index(n) for n in forecaster.outputs_]
    corrected = corrector.replay(
        fans, history.values[:, place], outputs=forecaster.outputs_, levels=levels, origins=rows
    )[len(rows) - len(origins) :, [h - 1 for h in horizons]]
    out = np.full((*corrected.shape[:3], 3), np.nan)
    for i, level in enumerate((0.1, 0.5, 0.9)):
        if level in levels:
            out[..., i] = corrected[..., levels.index(level)]
    return out


def _baselines(
    horizons: Sequence[int], context: int, known: bool, boosting: dict[str, object]
) -> dict[str, Baseline]:
    common = {"horizons": horizons, "context": context}
    return {
        "last value": LastValue(**common),  # type: ignore[arg-type]
        "seasonal naive": SeasonalNaive(**common),  # type: ignore[arg-type]
        "ridge": LinearRidge(**common, known=known),  # type: ignore[arg-type]
        "boosting": Boosting(**{**common, "known": known, **boosting}),  # type: ignore[arg-type]
    }


def _check(
    forecaster: Forecaster,
    rows: int,
    train_rows: int,
    validation_rows: int,
    horizons: Sequence[int],
    operations: Sequence[str],
) -> tuple[int, ...]:
    longest = int(forecaster.core_.config.horizon)
    for h in horizons:
        if not 1 <= h <= longest:
            raise _core.InputError(
                f"backtest(horizons): expected 1 to {longest} rows, the forecaster's horizon, got {h}"
            )
    for operation in operations:
        if operation not in OPERATIONS:
            raise _core.InputError(f"backtest(operations): expected known or unknown, got {operation!r}")
    if not (0 < train_rows and 0 <= validation_rows and train_rows + validation_rows < rows):
        raise _core.InputError(
            f"backtest(train_rows, validation_rows): expected some of the history's {rows} rows to be left "
            f"for the test, got {train_rows} and {validation_rows}"
        )
    return tuple(int(h) for h in horizons)


def _origins(forecaster: Forecaster, history: _core.History, begin: int, end: int, what: str) -> Ints:
    origins = np.asarray(forecaster.core_.training_origins(history, begin, end), dtype=np.int64)
    if origins.size == 0:
        c = forecaster.core_.config
        raise _core.InputError(
            f"backtest: no window of {c.context} + {c.horizon} unbroken rows has its targets in the {what} "
            f"rows {begin} to {end - 1}"
        )
    return origins


def _score(
    forecasts: dict[tuple[str, str], Floats], truth: Floats, horizons: Sequence[int], outputs: Sequence[str]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for o, output in enumerate(outputs):
        for i, h in enumerate(horizons):
            for (operation, model), f in forecasts.items():
                key = {"output": output, "horizon": h, "operation": operation, "model": model}
                low, point, high = f[:, i, o, 0], f[:, i, o, 1], f[:, i, o, 2]
                rows.append({**key, **scores(truth[:, i, o], point, low, high)})
    return rows
