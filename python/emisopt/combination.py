"""Several forecasts as one: weights found on validation rows, quantiles averaged level by level.

Whoever stands members beside each other uses these: :class:`emisopt.EnsembleForecaster`,
:class:`emisopt.Blend`, :func:`emisopt.transfer`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.corrector import blend_weights

__all__ = ["blocks", "combine", "drawn_weights", "validated_weights"]

Floats = NDArray[np.float64]

POWER = 6  # of a member's error, in the weights that nothing was fitted for
PRIOR_WINDOWS = 30.0  # windows that these count as much as
FEW_WINDOWS = 50  # below it outputs share their weights
LEAST_WEIGHT = 0.03  # of a member on average; below it, it is left out
NO_ERROR = 1e-12  # in units of the outputs' spread: a member that is right counts as this far off


def blocks(leads: Sequence[int]) -> list[list[int]]:
    """Places of rows ahead, in groups that double in length: 1, 2, 3-4, 5-8 ...

    Examples
    --------
    >>> blocks((1, 2, 3, 4, 6, 24))
    [[0], [1], [2, 3], [4], [5]]
    """
    groups: dict[int, list[int]] = {}
    for place, lead in enumerate(leads):
        groups.setdefault(math.ceil(math.log2(lead)) if lead > 1 else 0, []).append(place)
    return list(groups.values())


def combine(forecasts: Sequence[ArrayLike], weights: ArrayLike) -> Floats:
    """Quantiles averaged level by level, so that they cannot cross (Lichtendahl et al. 2013).

    Where a member says nothing (a network, too soon after a gap) the others share its weight.

    Parameters
    ----------
    forecasts : M arrays (..., H, O, Q), NaN where there is none
    weights : (M, H, O), >= 0

    Returns
    -------
    ndarray (..., H, O, Q); NaN where no member with a weight says anything.

    Raises
    ------
    ShapeError

    Examples
    --------
    >>> low, high = np.full((1, 1, 3), 4.0), np.full((1, 1, 3), 8.0)
    >>> combine([low, high], [[[0.25]], [[0.75]]]).ravel().tolist()
    [7.0, 7.0, 7.0]
    >>> combine([low * np.nan, high], [[[0.25]], [[0.75]]]).ravel().tolist()
    [8.0, 8.0, 8.0]
    """
    said = [np.asarray(f, dtype=np.float64) for f in forecasts]
    w = np.asarray(weights, dtype=np.float64)
    shapes = {f.shape for f in said}
    if w.ndim != 3 or len(said) != len(w) or len(shapes) != 1 or said[0].shape[-3:-1] != w.shape[1:]:
        raise _core.ShapeError(
            f"combine: expected {len(w) if w.ndim else 0} forecasts (..., H, O, Q) of weights (M, H, O), got "
            f"{', '.join(map(str, sorted(shapes)))} and {w.shape}"
        )
    total, result = np.zeros(said[0].shape), np.zeros(said[0].shape)
    for forecast, weight in zip(said, w, strict=True):
        there = np.where(np.isnan(forecast), 0.0, weight[..., None])
        result += there * np.nan_to_num(forecast)
        total += there
    with np.errstate(invalid="ignore"):
        return result / total


def validated_weights(
    truth: ArrayLike,
    forecasts: Sequence[ArrayLike],
    leads: Sequence[int],
    *,
    span: int | None = None,
    prior_windows: float = PRIOR_WINDOWS,
    few_windows: float = FEW_WINDOWS,
    least: float = LEAST_WEIGHT,
) -> Floats:
    """Weights, >= 0 with sum 1, of the blend that errs least on rows that no member has learnt from.

    Neighbouring rows ahead share weights (:func:`blocks`); with fewer than `few_windows` windows, so do all
    outputs. The found weights are drawn to weights that fall with the sixth power of each member's own error,
    which count as much as `prior_windows` windows. A member below `least` on average is left out.

    Parameters
    ----------
    truth : (n, H, O), NaN = missing
    forecasts : M arrays (n, H, O), medians, NaN where a member says nothing
    leads : rows ahead (H)
    span : rows from the first to the last origin, both counted; None: origins are consecutive rows

    Returns
    -------
    ndarray (M, H, O)

    Raises
    ------
    ShapeError

    References
    ----------
    Bates, Granger 1969; Kivinen, Warmuth 1997 (:func:`emisopt.blend_weights`).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=(200, 1, 1))
    >>> weights = validated_weights(y, [y + 0.1 * rng.normal(size=y.shape), y + 3.0], (1,))
    >>> weights.ravel().tolist()
    [1.0, 0.0]
    """
    y = np.asarray(truth, dtype=np.float64)
    f = [np.asarray(a, dtype=np.float64) for a in forecasts]
    if y.ndim != 3 or not f or any(a.shape != y.shape for a in f) or len(leads) != y.shape[1]:
        raise _core.ShapeError(
            f"validated_weights: expected truth and forecasts (n, H={len(leads)}, O), got {y.shape} and "
            f"{', '.join(str(a.shape) for a in f) or 'none'}"
        )
    outputs = y.shape[2]
    weights = np.zeros((len(f), *y.shape[1:]))
    scale = _spread(y)
    span = len(y) if span is None else span
    for block in blocks(leads):
        usable = [m for m, a in enumerate(f) if np.isfinite(a[:, block]).any()] or list(range(len(f)))
        windows = max(1.0, min(len(y), span / leads[block[-1]]))
        alone = windows >= few_windows
        for group in [[o] for o in range(outputs)] if alone else [list(range(outputs))]:
            pick = np.ix_(range(len(y)), block, group)
            values = (y[pick] / scale[group]).ravel()
            each = [(f[m][pick] / scale[group]).ravel() for m in usable]
            count = windows * (1 if alone else outputs)
            found = _drawn_to_errors(values, each, count, prior_windows)
            for m, w in zip(usable, found, strict=True):
                weights[np.ix_([m], block, group)] = w
    kept = np.where((weights.mean(axis=(1, 2)) < least)[:, None, None], 0.0, weights)
    kept = np.where(kept.sum(axis=0) > 0, kept, weights)  # a member that alone reaches a row stays there
    return np.asarray(kept / kept.sum(axis=0))


def _drawn_to_errors(
    truth: Floats, forecasts: Sequence[Floats], count: float, prior_windows: float
) -> Floats:
    """(M,) weights of one block, truth and forecasts (n,) in units of the outputs' spread."""
    errors = np.array([_mean(np.abs(f - truth)) for f in forecasts])
    if np.isnan(errors).any():  # nothing to judge some of them by
        said = np.isfinite(errors) if np.isfinite(errors).any() else np.ones(len(errors), dtype=bool)
        prior = np.zeros(len(errors))
        prior[said] = 1.0 if np.isnan(errors[said]).any() else np.maximum(errors[said], NO_ERROR) ** -POWER
        return np.asarray(prior / prior.sum())
    merit = np.maximum(errors, NO_ERROR) ** -POWER
    prior = prior_windows * merit / merit.sum()
    if not (np.isfinite(truth) & np.isfinite(forecasts).all(axis=0)).any():
        return np.asarray(merit / merit.sum())
    return np.asarray((count * blend_weights(truth, forecasts) + prior) / (count + prior_windows))


def drawn_weights(
    truth: Floats,
    candidates: Mapping[str, Floats],
    scale: Floats,
    prior: Mapping[str, float | Floats],
    windows: float,
    doubt: float,
) -> dict[str, Floats]:
    """Weights (H, O) of each candidate where validation rows are few and something is believed beforehand:
    those of least absolute error per output and group of rows ahead, drawn to those of all outputs together,
    and these to the prior.

    With n windows of validation that do not overlap, the found weights count n / (n + doubt) at each level:
    a few windows of one week say little about the next.

    Parameters
    ----------
    truth : (n, H, O), NaN where missing;   candidates : name -> (n, H, O);   scale : (O,)
    prior : name -> weight, a number or (H, O), together 1;   windows : horizons in the validation rows
    """
    names = list(candidates)
    horizon, outputs = truth.shape[1:]
    out = {n: np.zeros((horizon, outputs)) for n in names}
    believed = np.stack([np.broadcast_to(prior.get(n, 0.0), (horizon, outputs)) for n in names])
    trust = windows / (windows + doubt) if windows + doubt > 0 else 0.0
    for group in blocks(range(1, horizon + 1)):
        start = believed[:, group].mean(axis=(1, 2))
        together = _fitted(
            (truth / scale)[:, group], [(candidates[n] / scale)[:, group] for n in names], start
        )
        together = trust * together + (1 - trust) * start
        for o in range(outputs):
            one = [candidates[n][:, group, o] for n in names]
            own = trust * _fitted(truth[:, group, o], one, together) + (1 - trust) * together
            for name, share in zip(names, own, strict=True):
                out[name][group, o] = share
    return out


def _fitted(truth: Floats, forecasts: Sequence[Floats], otherwise: Floats) -> Floats:
    known = np.isfinite(truth) & np.all([np.isfinite(f) for f in forecasts], axis=0)
    if known.sum() < 2 * len(forecasts):
        return otherwise
    return blend_weights(truth[known], [f[known] for f in forecasts])


def _spread(truth: Floats) -> Floats:
    """(O,) mean distance from the median; 1 where nothing moves or nothing is known."""
    known = np.isfinite(truth)
    centre = np.array([np.median(truth[..., o][known[..., o]]) if known[..., o].any() else 0.0
                       for o in range(truth.shape[2])])  # fmt: skip
    total = np.nansum(np.abs(truth - centre), axis=(0, 1))
    count = known.sum(axis=(0, 1))
    spread = np.divide(total, count, out=np.ones(len(total)), where=count > 0)
    return np.asarray(np.where(spread > 0, spread, 1.0))


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
