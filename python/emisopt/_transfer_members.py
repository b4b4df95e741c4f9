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
LAST = "last value"


@dataclass(frozen=True)
class LastValue:
    """The newest known value of each output, with the spread of what it changed by in the rows of the target.

    tags : of the target;   levels : Q;   spread : (H, O, Q) around it, 0 at the median
    """

    tags: TagMap
    levels: tuple[float, ...]
    spread: Floats = field(repr=False)

    @classmethod
    def fit(cls, history: pd.DataFrame, tags: TagMap, horizon: int, levels: Sequence[float]) -> LastValue:
        y = history[list(tags.outputs)].to_numpy(dtype=float)
        spread = np.zeros((horizon, y.shape[1], len(levels)))
        for h in range(1, min(horizon, len(y) - 1) + 1):
            for o in range(y.shape[1]):
                change = y[h:, o] - y[:-h, o]
                if len(change := change[np.isfinite(change)]):
                    spread[h - 1, o] = np.quantile(change, levels) - np.quantile(change, 0.5)
        return cls(tags, tuple(levels), spread)

    def after(self, history: pd.DataFrame, rows: NDArray[np.int64], levels: Sequence[float]) -> Floats:
        """(n, H, O, Q) by what is known before each of `rows`; NaN where nothing is. None is beyond a tag's
        limits."""
        names = list(self.tags.outputs)
        known = history[names].astype(float).ffill().to_numpy()[rows - 1]
        spread = self.spread[..., [self.levels.index(q) for q in levels]]
        out = known[:, None, :, None] + spread
        for o, name in enumerate(names):
            low, high = self.tags[name].low, self.tags[name].high
            out[:, :, o] = np.clip(
                out[:, :, o], -np.inf if low is None else low, np.inf if high is None else high
            )
        return np.asarray(out)


@dataclass(frozen=True)
class Member:
    """One model of a blend.

    Attributes
    ----------
    name : for people;   model : fitted;   shares : (H, O), 0..1
    tags : of the plans handed in, where the model knows fewer
    """

    name: str
    model: Forecaster | Corrector | LastValue
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
        elif isinstance(self.model, LastValue):
            return np.asarray(self.model.after(history, np.array([len(history)]), levels)[0])
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
        if isinstance(self.model, LastValue):
            return self.model.after(history, np.arange(begin, end, stride), levels)
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


def believed_shares(horizon: int, alike: float) -> tuple[Floats, Floats]:
    """(H,) the shares of a source's networks and of the last value beside correctors, before the target has
    said anything; `alike`: the share of the networks' columns that were copied.

    As they served best, h rows ahead, between stations of other pairs: docs/learning.md, "Transfer".
    """
    h = np.arange(1, horizon + 1, dtype=np.float64)
    last = np.asarray(0.77 * h**-1.14)
    network = alike * (1 - last) * np.minimum(0.4 + 0.07 * np.log2(h), 1)
    return np.asarray(network), last


def mean_errors(truth: Floats, forecast: Floats, scale: Floats) -> Floats:
    """(O,) mean absolute error of forecasts (n, H, O), in units of `scale` (O,)."""
    error = np.abs(truth - forecast) / scale
    known = np.isfinite(error)
    count = known.sum(axis=(0, 1))
    total = np.where(known, error, 0.0).sum(axis=(0, 1))
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out
