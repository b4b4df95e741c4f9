"""The models that a transfer blends."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt._ensemble_members import replay_network
from emisopt.corrector import Corrector
from emisopt.forecaster import Forecaster
from emisopt.history import known_array, plan_array
from emisopt.tags import TagMap

Floats = NDArray[np.float64]
NETWORK, SCRATCH = "transferred network", "network from scratch"
CORRECTOR, SCRATCH_CORRECTOR = "transferred corrector", "corrector from scratch"


@dataclass(frozen=True)
class Member:
    """One model of a blend.

    Attributes
    ----------
    name : for people;   model : fitted;   shares : (H, O), 0..1
    tags : of the plans handed in, where the model knows fewer
    """

    name: str
    model: Forecaster | Corrector
    shares: Floats = field(repr=False)
    tags: TagMap | None = field(default=None, repr=False)

    def with_shares(self, shares: Floats) -> Member:
        return replace(self, shares=shares)

    def predict(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None,
        known: pd.DataFrame | ArrayLike | None,
        levels: Sequence[float],
    ) -> Floats:
        """(H, O, Q) after a history whose labels are all in."""
        if isinstance(self.model, Forecaster):
            tags, context = self.model.tags_, self.model.core_.config.context
            frame = self.model.predict(padded(history, tags, context), plan, known)
        else:
            corrector = copy.copy(self.model)  # its labels are those of this history
            corrector.core_ = copy.copy(self.model.core_)
            corrector.horizon, corrector.quantiles = self.shares.shape[0], tuple(levels)
            corrector.update(history)
            frame = corrector.predict(history, *self._seen(corrector, plan, known))
        return np.asarray(frame.to_numpy().reshape(*self.shares.shape, len(levels)))

    def _seen(
        self,
        corrector: Corrector,
        plan: pd.DataFrame | ArrayLike | None,
        known: pd.DataFrame | ArrayLike | None,
    ) -> tuple[pd.DataFrame | ArrayLike | None, pd.DataFrame | ArrayLike | None]:
        """Plan and known disturbances without the tags that the corrector was not fitted on."""
        if self.tags is None or self.tags.names == corrector.tags_.names:
            return plan, known
        horizon = self.shares.shape[0]
        rows, coming = plan, known_array(known, self.tags, horizon)
        if plan is not None:
            full = plan_array(plan, self.tags, horizon)
            rows = full[:, [self.tags.setpoints.index(n) for n in corrector.setpoints_]]
        return rows, coming[:, [self.tags.disturbances.index(n) for n in corrector.disturbances_]]

    def replay(
        self, history: pd.DataFrame, begin: int, end: int, stride: int, levels: Sequence[float]
    ) -> Floats:
        """(n, H, O, Q) of the origins begin, begin + stride, ... < end; the operation of the rows ahead is
        known."""
        horizon = self.shares.shape[0]
        if isinstance(self.model, Forecaster):
            pad = self.model.core_.config.context
            said = replay_network(
                self.model, padded(history, self.model.tags_, pad), begin + pad, end + pad, stride,
                learn=False, threads=self.model.threads,
            )  # fmt: skip
            own = list(self.model.core_.config.quantiles)
            return said[..., [own.index(q) for q in levels]]
        leads = tuple(range(1, horizon + 1))
        return self.model.replay(history, begin, end, leads=leads, stride=stride, quantiles=tuple(levels))


def padded(history: pd.DataFrame, tags: TagMap, rows: int) -> pd.DataFrame:
    """`rows` rows without values before the first one, so that windows begin with the first row."""
    frame = history[[n for n in tags.names if n in history.columns]]
    if isinstance(frame.index, pd.DatetimeIndex):
        step = pd.Timedelta(seconds=tags.period)
        first = frame.index[0]
        before: pd.Index = pd.DatetimeIndex([first - step * k for k in range(rows, 0, -1)])
    else:
        before = pd.RangeIndex(int(frame.index[0]) - rows, int(frame.index[0]))
    before.name = frame.index.name
    return pd.concat([frame.iloc[:0].reindex(before), frame])


def mean_errors(truth: Floats, forecast: Floats, scale: Floats) -> Floats:
    """(O,) mean absolute error of forecasts (n, H, O), in units of `scale` (O,)."""
    error = np.abs(truth - forecast) / scale
    known = np.isfinite(error)
    count = known.sum(axis=(0, 1))
    total = np.where(known, error, 0.0).sum(axis=(0, 1))
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out
