"""A network and a closed-form corrector side by side in one learner: the share that each has in what is said.

All members of the accuracy table, found and fitted by themselves: :class:`emisopt.EnsembleForecaster`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.combination import combine, validated_weights

__all__ = ["Blend"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blend:
    """The network's share in its blend with a corrector, for each row ahead and output; held.

    Parameters
    ----------
    share : (H, O) of the network, 0..1; the corrector has the rest

    Raises
    ------
    ShapeError, InputError : not (H, O), or numbers outside 0..1

    See Also
    --------
    choose_blend : finds one on validation rows.

    Examples
    --------
    >>> truth = np.array([[[1.0]], [[2.0]], [[4.0]]])
    >>> Blend.fit(truth, truth + 0.1, truth + 3.0).share.round(2).tolist()
    [[1.0]]
    """

    share: Floats

    def __post_init__(self) -> None:
        share = np.asarray(self.share, dtype=np.float64)
        if share.ndim != 2 or not share.size:
            raise _core.ShapeError(f"Blend(share): expected (rows ahead, outputs), got {share.shape}")
        if not ((share >= 0) & (share <= 1)).all():
            worst = share[~((share >= 0) & (share <= 1))][0]
            raise _core.InputError(f"Blend(share): expected shares 0..1, got {worst:g}")
        object.__setattr__(self, "share", share)

    @classmethod
    def fit(
        cls, truth: ArrayLike, network: ArrayLike, corrector: ArrayLike, steps: Sequence[int] | None = None
    ) -> Blend:
        """The shares with the least absolute error on rows that neither has learnt from.

        Neighbouring rows ahead share a weight, so that each rests on many numbers. Where the network has no
        forecast at all the corrector answers alone; without any truth each has a half.

        Parameters
        ----------
        truth, network, corrector : (n, H, O), medians in physical units, NaN = missing
        steps : rows ahead (H), None: 1..H

        Raises
        ------
        ShapeError : their shapes differ.
        """
        y, f, g = (np.asarray(a, dtype=np.float64) for a in (truth, network, corrector))
        if y.ndim != 3 or f.shape != y.shape or g.shape != y.shape:
            raise _core.ShapeError(
                f"Blend.fit: expected three arrays (n, H, O), got {y.shape}, {f.shape} and {g.shape}"
            )
        steps = range(1, y.shape[1] + 1) if steps is None else steps
        if len(steps) != y.shape[1]:
            raise _core.ShapeError(f"Blend.fit(steps): expected {y.shape[1]} rows ahead, got {len(steps)}")
        if not y.size:
            return cls(np.full(y.shape[1:], 0.5))
        weights = validated_weights(y, [f, g], steps, prior_windows=0.0, few_windows=0.0, least=0.0)
        return cls(weights[0])

    def __call__(self, network: ArrayLike, corrector: ArrayLike) -> Floats:
        """(..., H, O, Q) quantiles averaged level by level, so that they cannot cross; where one has none,
        the other's."""
        f, g = np.asarray(network, dtype=np.float64), np.asarray(corrector, dtype=np.float64)
        if f.shape != g.shape or f.ndim < 3 or f.shape[-3:-1] != self.share.shape:
            h, o = self.share.shape
            raise _core.ShapeError(
                f"Blend: expected quantiles (..., H={h}, O={o}, Q) twice, got {f.shape} and {g.shape}"
            )
        alone = np.isnan(f) & ~np.isnan(g)  # even where it has no share
        return np.where(alone, g, combine([f, g], [self.share, 1 - self.share]))

    def to_json(self) -> str:
        return json.dumps({"share": self.share.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Blend:
        """Raises InputError, ShapeError: another text."""
        try:
            share = np.asarray(json.loads(text)["share"], dtype=np.float64)
        except (ValueError, TypeError, KeyError):
            raise _core.InputError("Blend: expected the text that Blend.to_json wrote, got another") from None
        return cls(share)
