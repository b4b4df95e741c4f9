"""Scores of forecasts: point errors, quantile losses, coverage and width of intervals.

Every function takes arrays of one shape, leaves out pairs where either side is missing (NaN: rows that were
never measured are never scored), and returns NaN when no pair is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "bias",
    "coverage",
    "crps_from_quantiles",
    "local_coverage",
    "mae",
    "pinball",
    "r2",
    "rmse",
    "score_table",
    "scores",
    "width",
]

Floats = NDArray[np.float64]


def _pairs(where: str, *arrays: ArrayLike) -> list[Floats]:
    """Flattened float64 arrays of one shape, without the entries where any of them is missing."""
    columns = [np.asarray(a, dtype=np.float64) for a in arrays]
    for column in columns[1:]:
        if column.shape != columns[0].shape:
            raise ValueError(f"{where}: expected arrays of one shape, got {columns[0].shape}, {column.shape}")
    valid = np.logical_and.reduce([np.isfinite(c) for c in columns])
    return [c[valid] for c in columns]


def _mean(x: Floats) -> float:
    return float(x.mean()) if x.size else float("nan")


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, in the unit of `y_true`.

    >>> mae([1.0, float("nan"), 3.0], [2.0, 5.0, 3.0])
    0.5
    """
    y, p = _pairs("metrics.mae", y_true, y_pred)
    return _mean(np.abs(y - p))


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of `y_true`."""
    y, p = _pairs("metrics.rmse", y_true, y_pred)
    return float(np.sqrt(_mean((y - p) ** 2)))


def bias(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of prediction minus truth: positive when the forecast is too high."""
    y, p = _pairs("metrics.bias", y_true, y_pred)
    return _mean(p - y)


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of variance explained, 1 - SSE / SST about the mean of the scored rows; NaN if constant."""
    y, p = _pairs("metrics.r2", y_true, y_pred)
    if not y.size:
        return float("nan")
    total = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float(((y - p) ** 2).sum()) / total if total > 0 else float("nan")


def pinball(y_true: ArrayLike, y_pred: ArrayLike, level: float) -> float:
    """Quantile (pinball) loss at `level` in (0, 1) (Koenker, Bassett 1978), in the unit of `y_true`.

    At level 0.5 it is half the mean absolute error.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"metrics.pinball(level): expected a number between 0 and 1, got {level}")
    y, p = _pairs("metrics.pinball", y_true, y_pred)
    error = y - p
    return _mean(np.maximum(level * error, (level - 1.0) * error))


def crps_from_quantiles(y_true: ArrayLike, quantiles: Mapping[float, ArrayLike]) -> float:
    """Mean pinball loss over the levels given, times two: the usual approximation of the CRPS."""
    if not quantiles:
        raise ValueError("metrics.crps_from_quantiles(quantiles): expected at least one level, got none")
    return 2.0 * float(np.mean([pinball(y_true, q, level) for level, q in quantiles.items()]))


def coverage(y_true: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of rows with low <= truth <= high."""
    y, a, b = _pairs("metrics.coverage", y_true, low, high)
    return _mean(((y >= a) & (y <= b)).astype(np.float64))


def local_coverage(
    y_true: ArrayLike, low: ArrayLike, high: ArrayLike, window: int = 500
) -> tuple[float, float]:
    """Least and greatest coverage over any `window` rows in a row, of those that have all three values.

    A yearly mean hides months of misses. NaN with fewer rows than the window.

    >>> local_coverage([0, 0, 9, 9], [-1] * 4, [1] * 4, window=2)
    (0.0, 1.0)
    """
    if window < 1:
        raise ValueError(f"metrics.local_coverage(window): expected 1 or more rows, got {window}")
    y, a, b = _pairs("metrics.local_coverage", y_true, low, high)
    inside = np.concatenate([[0], np.cumsum((y >= a) & (y <= b))])
    if y.size < window:
        return float("nan"), float("nan")
    share = (inside[window:] - inside[:-window]) / window
    return float(share.min()), float(share.max())


def width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean width of the interval, in the unit of the forecast."""
    a, b = _pairs("metrics.width", low, high)
    return _mean(b - a)


def scores(
    y_true: ArrayLike, y_pred: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None
) -> dict[str, float]:
    """All point scores of one forecast series, and coverage and width when an interval is given.

    Returns
    -------
    dict with `rows` (pairs scored), `mae`, `rmse`, `r2`, `bias`, `coverage`, `width`, `least_coverage` and
    `greatest_coverage` (over any 500 rows in a row). NaN: no interval, or fewer rows than that.
    """
    y, _ = _pairs("metrics.scores", y_true, y_pred)
    interval = low is not None and high is not None
    nan = float("nan")
    least, greatest = local_coverage(y_true, low, high) if interval else (nan, nan)  # type: ignore[arg-type]
    return {
        "rows": float(y.size),
        "mae": mae(y_true, y_pred),
        "rmse": rmse(y_true, y_pred),
        "r2": r2(y_true, y_pred),
        "bias": bias(y_true, y_pred),
        "coverage": coverage(y_true, low, high) if interval else float("nan"),  # type: ignore[arg-type]
        "width": width(low, high) if interval else float("nan"),  # type: ignore[arg-type]
        "least_coverage": least,
        "greatest_coverage": greatest,
    }


def score_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Rows of scores as a table, indexed by whichever of output, horizon, operation and model they name."""
    table = pd.DataFrame(list(rows))
    keys = [k for k in ("output", "horizon", "operation", "model") if k in table.columns]
    return table.set_index(keys) if keys else table
