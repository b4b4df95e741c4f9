"""Scores of forecasts (n, H, O, Q) against truth (n, H, O). NaN in the truth is never scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]


def nanmean(x: Floats, axis: int | tuple[int, ...] | None = None) -> Floats:
    """Mean of what is known; NaN, without a warning, where nothing is."""
    known = np.isfinite(x)
    count = known.sum(axis=axis)
    total = np.where(known, x, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def mae(truth: Floats, point: Floats) -> Floats:
    """(H, O) mean absolute error over the origins."""
    return nanmean(np.abs(truth - point), axis=0)


def rmse(truth: Floats, point: Floats) -> Floats:
    """(H, O)"""
    return np.sqrt(nanmean((truth - point) ** 2, axis=0))


def pinball(truth: Floats, forecast: Floats, levels: Sequence[float]) -> Floats:
    """(n, H, O, Q) quantile loss, without the factor 2."""
    error = truth[..., None] - forecast
    q = np.asarray(levels)
    return np.maximum(q * error, (q - 1.0) * error)


def seasonal_error(past: Floats, season: int) -> Floats:
    """(O,) mean absolute difference of rows one season apart, over the known pairs: fev-bench's scale."""
    return nanmean(np.abs(past[season:] - past[:-season]), axis=0)


def scaled_scores(
    truth: Floats,
    forecast: Floats,
    levels: Sequence[float],
    values: Floats,
    origins: NDArray[np.int64],
    season: int,
) -> tuple[float, float]:
    """(SQL, MASE) as fev-bench has them (autogluon/fev, metrics.py).

    Per window the loss is divided by the seasonal error of all rows before it and averaged over the known
    rows; then over the targets, then over the windows. SQL is the mean over levels of twice the pinball loss,
    so that for a point forecast it equals MASE.

    Parameters
    ----------
    truth (n, H, O), forecast (n, H, O, Q), values (N, O): all rows, origins (n,): first row of each window
    """
    loss = 2.0 * pinball(truth, forecast, levels).mean(axis=-1)
    point = np.abs(truth - forecast[..., list(levels).index(0.5)])
    sql, mase = [], []
    for i, k in enumerate(origins):
        scale = seasonal_error(values[:k], season)
        sql.append(float(np.mean(nanmean(loss[i] / scale, axis=0))))
        mase.append(float(np.mean(nanmean(point[i] / scale, axis=0))))
    return float(np.mean(sql)), float(np.mean(mase))


@dataclass(frozen=True)
class Coverage:
    """Of the interval between two levels: share inside, mean width, and the least and largest share over any
    `window` origins that follow each other."""

    share: float
    width: float
    least: float
    largest: float


def coverage(truth: Floats, low: Floats, high: Floats, window: int = 500) -> Coverage:
    """Of one series (n,)."""
    known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
    y, a, b = truth[known], low[known], high[known]
    if not y.size:
        return Coverage(np.nan, np.nan, np.nan, np.nan)
    inside = ((y >= a) & (y <= b)).astype(np.float64)
    n = min(window, inside.size)
    sums = np.concatenate([[0.0], inside.cumsum()])
    local = (sums[n:] - sums[:-n]) / n
    return Coverage(float(inside.mean()), float((b - a).mean()), float(local.min()), float(local.max()))


def exceedance(forecast: Floats, levels: Sequence[float], limit: float) -> Floats:
    """P(output > limit) of quantiles (..., Q): linear between levels, exponential tails beyond the outer
    ones.

    The tails' slopes are those of the outermost pair of levels, so probabilities stay comparable where limits
    lie outside all quantiles (every one of them then 0.95 or more away).
    """
    q = np.asarray(levels)
    f = np.maximum.accumulate(forecast, axis=-1)
    out = np.empty(f.shape[:-1])
    flat, result = f.reshape(-1, q.size), out.reshape(-1)
    for i, row in enumerate(flat):
        if not np.isfinite(row).all():
            result[i] = np.nan
        elif limit >= row[-1]:
            scale = max((row[-1] - row[-2]) / np.log((1 - q[-2]) / (1 - q[-1])), 1e-12)
            result[i] = (1 - q[-1]) * np.exp(-(limit - row[-1]) / scale)
        elif limit < row[0]:
            scale = max((row[1] - row[0]) / np.log(q[1] / q[0]), 1e-12)
            result[i] = 1 - q[0] * np.exp(-(row[0] - limit) / scale)
        else:
            result[i] = 1 - np.interp(limit, row, q)
    return out


def brier(event: Floats, probability: Floats) -> float:
    """Mean squared error of a probability (Brier 1950)."""
    return float(nanmean((event - probability) ** 2))


def hit_rate(event: Floats, probability: Floats, false_alarms: float = 0.05) -> float:
    """Share of events warned of, at the threshold that warns in `false_alarms` of the rows without an event.

    Between two thresholds the rate is interpolated, so that models with few different probabilities are
    compared at the very same share of false alarms.
    """
    known = np.isfinite(event) & np.isfinite(probability)
    e, p = event[known] > 0.5, probability[known]
    if not e.any() or e.all():
        return float("nan")
    thresholds = np.unique(p)[::-1]

    def warned(part: Floats) -> Floats:
        """Share of these rows at or above each threshold."""
        return np.append(0.0, 1.0 - np.searchsorted(np.sort(part), thresholds, side="left") / part.size)

    return float(np.interp(false_alarms, warned(p[~e]), warned(p[e])))


def hit_rate_difference(
    event: Floats, ours: Floats, other: Floats, block: int = 168, draws: int = 500, seed: int = 0
) -> tuple[float, float]:
    """(5 %, 95 %) of the difference of two hit rates over years made of blocks of rows drawn at random.

    Exceedances come in episodes, so rows are no independent trials: whole blocks are drawn, the same for both
    (Kuensch 1989). An interval with 0 inside says that the year cannot tell which is better.
    """
    starts = np.arange(0, len(event), block)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = starts[rng.integers(0, len(starts), len(starts))]
        rows = (drawn[:, None] + np.arange(block)).ravel()
        rows = rows[rows < len(event)]
        found.append(hit_rate(event[rows], ours[rows]) - hit_rate(event[rows], other[rows]))
    known = np.array(found)[np.isfinite(found)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.05, 0.95])
    return float(low), float(high)


def relative_accuracy(truth: Floats, point: Floats, block: int = 9) -> Floats:
    """(blocks,) relative accuracy of consecutive blocks of `block` rows: (|mean d| + t s_d / sqrt n) / mean
    of the reference (EPA PS-2, eq. 2-6; t = 2.306 for nine). A block with a missing row is NaN."""
    n = len(truth) // block * block
    y, p = truth[:n].reshape(-1, block), point[:n].reshape(-1, block)
    d = p - y
    t = student.ppf(0.975, block - 1)
    confidence = t * d.std(axis=1, ddof=1) / np.sqrt(block)
    return np.asarray((np.abs(d.mean(axis=1)) + confidence) / y.mean(axis=1))


@dataclass(frozen=True)
class DieboldMariano:
    """statistic < 0: the first is better; p is two-sided."""

    statistic: float
    p: float


def diebold_mariano(loss_a: Floats, loss_b: Floats, lag: int) -> DieboldMariano:
    """Whether two forecasts differ in mean loss (Diebold, Mariano 1995).

    The variance of the mean counts the autocovariances up to `lag` in full: h - 1 rows for forecasts h rows
    ahead, issued row by row, as errors of optimal forecasts have. Losses of plants that drift go on
    resembling each other longer; where Bartlett weights over four times the lag (Newey, West 1987) give a
    larger variance, that one counts. The statistic is corrected for small samples and compared with Student's
    t (Harvey, Leybourne, Newbold 1997).

    Parameters
    ----------
    loss_a, loss_b : (n,) in order of time; pairs with a NaN are left out
    """
    known = np.isfinite(loss_a) & np.isfinite(loss_b)
    d = (loss_a - loss_b)[known]
    n = d.size
    h = lag + 1
    if n < 2 * h + 2:
        return DieboldMariano(float("nan"), float("nan"))
    c = d - d.mean()
    wide = min(max(4 * lag, round(n ** (1 / 3))), n // 4)
    covariance = np.array([float(c[j:] @ c[: n - j]) / n for j in range(max(lag, wide) + 1)])
    full = covariance[0] + 2.0 * covariance[1 : lag + 1].sum()
    bartlett = (
        covariance[0] + 2.0 * ((1.0 - np.arange(1, wide + 1) / (wide + 1)) * covariance[1 : wide + 1]).sum()
    )
    variance = max(full, bartlett)
    if variance <= 0:
        return DieboldMariano(0.0, 1.0)
    correction = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    statistic = float(d.mean() / np.sqrt(variance / n) * correction)
    return DieboldMariano(statistic, float(2 * student.sf(abs(statistic), n - 1)))
