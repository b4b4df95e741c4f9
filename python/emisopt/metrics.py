"""Scores of forecasts: point errors, quantile losses, coverage and width of intervals.

Every function takes arrays of one shape, leaves out pairs where either side is missing (NaN: rows that were
never measured are never scored), and returns NaN when no pair is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "bias",
    "brier",
    "coverage",
    "crps_from_quantiles",
    "exceedance_probability",
    "hit_rate",
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


def exceedance_probability(quantiles: ArrayLike, levels: Sequence[float], limit: float) -> Floats:
    """Probability that the truth lies above a limit, from forecast quantiles.

    Between two levels the normal score of the level is linear in the value, beyond the outermost ones it
    goes on with the slope of the last pair: a normal forecast is so read without error, and forecasts far
    below the limit still differ, which :func:`hit_rate` needs.

    Parameters
    ----------
    quantiles : (..., Q), rising along the last axis, physical units; NaN gives NaN
    levels : Q >= 2 levels, rising, in (0, 1)
    limit : physical units

    Returns
    -------
    ndarray (...) of probabilities

    Examples
    --------
    >>> exceedance_probability([[40.0, 50.0, 60.0]], [0.1, 0.5, 0.9], 60.0).round(3)
    array([0.1])
    """
    where = "metrics.exceedance_probability"
    q = np.asarray(quantiles, dtype=np.float64)
    taus = np.asarray(levels, dtype=np.float64)
    if taus.ndim != 1 or len(taus) < 2 or np.any(np.diff(taus) <= 0) or taus[0] <= 0 or taus[-1] >= 1:
        raise ValueError(f"{where}(levels): expected two or more rising levels in (0, 1), got {levels}")
    if q.ndim < 1 or q.shape[-1] != len(taus):
        raise ValueError(
            f"{where}(quantiles): expected {len(taus)} quantiles along the last axis, got shape {q.shape}"
        )
    if not np.isfinite(limit):
        raise ValueError(f"{where}(limit): expected a finite number, got {limit}")
    normal = NormalDist()
    z = np.array([normal.inv_cdf(t) for t in taus])
    segment = np.clip((q <= limit).sum(axis=-1) - 1, 0, len(taus) - 2)[..., None]  # holds or is nearest
    low, high = np.take_along_axis(q, segment, -1)[..., 0], np.take_along_axis(q, segment + 1, -1)[..., 0]
    z_low, z_high = z[segment[..., 0]], z[segment[..., 0] + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = z_low + (limit - low) / (high - low) * (z_high - z_low)
    # quantiles that coincide: the truth is surely on one side, or the limit lies on them
    sure = np.where(limit > high, 40.0, np.where(limit < low, -40.0, z_high))
    score = np.nan_to_num(np.where(high > low, score, sure))
    below = np.vectorize(normal.cdf, otypes=[np.float64])(score)
    return np.where(np.isnan(q).any(axis=-1), np.nan, 1.0 - below)


def brier(event: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared error of probabilities (Brier 1950): 0 is perfect, p (1 - p) what the base rate p scores.

    Parameters
    ----------
    event : 1 or True where it happened, 0 where not, NaN unknown
    probability : in [0, 1], of the same shape

    >>> brier([1, 0, 0, 1], [0.9, 0.1, 0.4, 0.6]).__round__(3)
    0.085
    """
    e, p = _pairs("metrics.brier", _events("metrics.brier", event), probability)
    if np.any((p < 0) | (p > 1)):
        raise ValueError("metrics.brier(probability): expected numbers in [0, 1]")
    return _mean((p - e) ** 2)


def hit_rate(event: ArrayLike, score: ArrayLike, false_alarms: float = 0.05) -> float:
    """Share of events that are warned of when `false_alarms` of the other rows are warned of, too.

    The threshold on `score` is not given but follows from the false alarms: models are so compared at equal
    cost. Between two thresholds the rates are mixed (the ROC curve's straight line), so ties gain nothing.

    Parameters
    ----------
    event : as in :func:`brier`
    score : a probability, or anything that rises with it
    false_alarms : share of the rows without event, in (0, 1)

    Returns
    -------
    float; NaN when there is no event or nothing else

    >>> hit_rate([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.7, 0.9], false_alarms=0.25)
    1.0
    """
    if not 0.0 < false_alarms < 1.0:
        raise ValueError(
            f"metrics.hit_rate(false_alarms): expected a number between 0 and 1, got {false_alarms}"
        )
    e, s = _pairs("metrics.hit_rate", _events("metrics.hit_rate", event), score)
    if not 0 < e.sum() < e.size:
        return float("nan")
    order = np.argsort(-s, kind="stable")
    last = np.append(np.diff(s[order]) != 0, True)  # of rows with one score
    hits = np.append(0.0, np.cumsum(e[order])[last] / e.sum())
    alarms = np.append(0.0, np.cumsum(1.0 - e[order])[last] / (e.size - e.sum()))
    upper = int(np.searchsorted(alarms, false_alarms, side="right"))  # first point beyond
    if upper == len(alarms):
        return 1.0
    share = (false_alarms - alarms[upper - 1]) / (alarms[upper] - alarms[upper - 1])
    return float(hits[upper - 1] + share * (hits[upper] - hits[upper - 1]))


def _events(where: str, event: ArrayLike) -> Floats:
    e = np.asarray(event, dtype=np.float64)
    if not np.isin(e[np.isfinite(e)], (0.0, 1.0)).all():
        raise ValueError(f"{where}(event): expected 0, 1 or NaN, got other numbers")
    return e


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
