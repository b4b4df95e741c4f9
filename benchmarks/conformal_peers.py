"""What others would correct intervals with: each as its paper says, labels delayed, in plain NumPy.

All take the 80 % interval of one output and step as it was issued, and what came, and give the corrected one.
Scores are per side: how far what came lies beyond the median, in units of that side's raw half width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALPHA = 0.1  # misses allowed on a side
TRAILING = 500  # scores remembered, as the papers' experiments have it
FIRST = 20  # scores before the first correction


def _sides(fan: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """(n, 2) half widths and (n, 2) scores; fan (n, 3) at 0.1, 0.5, 0.9."""
    half = np.stack([fan[:, 1] - fan[:, 0], fan[:, 2] - fan[:, 1]], axis=1)
    half = np.maximum(half, 1e-12)
    return half, np.stack([fan[:, 1] - truth, truth - fan[:, 1]], axis=1) / half


def _interval(fan: Floats, half: Floats, factor: Floats) -> Floats:
    return np.stack([fan[:, 1] - factor[:, 0] * half[:, 0], fan[:, 1] + factor[:, 1] * half[:, 1]], axis=1)


def half_width_factors(fan: Floats, truth: Floats, lag: int, gain: float = 0.02) -> Floats:
    """The prototype's corrector: each side's factor times exp(gain (missed - 0.1)) when its label is in."""
    half, score = _sides(fan, truth)
    log = np.zeros(2)
    factor = np.ones_like(half)
    for k in range(len(fan)):
        if k >= lag and np.isfinite(score[k - lag]).all():
            log = np.clip(log + gain * ((score[k - lag] > factor[k - lag]) - ALPHA), -2.3, 2.3)
        factor[k] = np.exp(log)
    return _interval(fan, half, factor)


def trailing_window(fan: Floats, truth: Floats, lag: int) -> Floats:
    """Quantile of the last 500 scores (Xu, Xie 2021, without the ensemble)."""
    half, score = _sides(fan, truth)
    factor = np.ones_like(half)
    for k in range(len(fan)):
        known = score[max(0, k - lag + 1 - TRAILING) : max(0, k - lag + 1)]
        known = known[np.isfinite(known).all(axis=1)]
        if len(known) >= FIRST:
            rank = min(len(known) - 1, int(np.ceil((len(known) + 1) * (1 - ALPHA))) - 1)
            factor[k] = np.sort(known, axis=0)[rank]
    return _interval(fan, half, np.maximum(factor, 0))


def conformal_pid(fan: Floats, truth: Floats, lag: int, gain: float = 0.1) -> Floats:
    """Quantile tracking with an error integrator (Angelopoulos, Candes, Tibshirani 2023), no scorecaster:
    gain in units of the largest recent score, K_I and C_sat as their experiments have them."""
    half, score = _sides(fan, truth)
    tracked, missed, count = np.ones(2), np.zeros(2), 0
    factor = np.ones_like(half)
    for k in range(len(fan)):
        j = k - lag
        if j >= 0 and np.isfinite(score[j]).all():
            miss = (score[j] > factor[j]) - ALPHA
            recent = score[max(0, j - 100) : j + 1]
            scale = np.nanmax(np.abs(recent), axis=0)
            tracked = tracked + gain * scale * miss
            missed, count = missed + miss, count + 1
        argument = missed * np.log(count + 1) / (5.0 * (count + 100))
        factor[k] = tracked + 2.0 * np.tan(np.clip(argument, -1.5, 1.5))
    return _interval(fan, half, np.maximum(factor, 0))


def dtaci(fan: Floats, truth: Floats, lag: int) -> Floats:
    """Adaptive conformal inference with its step size tuned on the way (Gibbs, Candes 2022, algorithm 1): the
    level of the trailing quantile moves, by experts of eight gains."""
    half, score = _sides(fan, truth)
    gains = 0.001 * 2.0 ** np.arange(8)
    eta = np.sqrt((np.log(2 * 8 * TRAILING) + 1) / (TRAILING * ALPHA**2 * (1 - ALPHA) ** 2))
    sigma = 1 / (2 * TRAILING)
    level, weight = np.full((2, 8), ALPHA), np.ones((2, 8))
    factor = np.ones_like(half)
    for k in range(len(fan)):
        known = score[max(0, k - lag + 1 - TRAILING) : max(0, k - lag + 1)]
        known = np.sort(known[np.isfinite(known).all(axis=1)], axis=0)
        j = k - lag
        if j >= 0 and len(known) > FIRST and np.isfinite(score[j]).all():
            # beta: the level at which the interval would just have held what came
            beta = (known >= score[j]).mean(axis=0)[:, None]
            loss = ALPHA * (beta - level) - np.minimum(0, beta - level)
            weight = weight * np.exp(-eta * loss)
            weight = weight / weight.sum(axis=1, keepdims=True)
            weight = (1 - sigma) * weight + sigma / 8
            level = level + gains * (ALPHA - (level > beta))
        chosen = (weight * level).sum(axis=1) / weight.sum(axis=1)
        if len(known) >= FIRST:
            for side in range(2):
                factor[k, side] = np.quantile(known[:, side], float(np.clip(1 - chosen[side], 0, 1)))
    return _interval(fan, half, np.maximum(factor, 0))


PEERS: dict[str, Callable[[Floats, Floats, int], Floats]] = {
    "half-width factors": half_width_factors,
    "trailing window": trailing_window,
    "conformal PID": conformal_pid,
    "DtACI": dtaci,
}
