"""How a learner would have done on a past: predict, store, and when the label has come, learn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.beside import Blend
from emisopt.corrector import Corrector
from emisopt.forecaster import Forecaster
from emisopt.history import to_history

__all__ = ["Prequential", "choose_blend", "run_online"]

REPORT_FIELDS = (
    "row", "version", "accepted", "reason", "steps", "pace", "recent_loss", "replay_loss", "l2sp", "ewc",
    "distill", "gradient_norm", "newest_loss", "guard_before", "guard_after", "seconds",
)  # fmt: skip


def report_frame(reports: list[_core.UpdateReport]) -> pd.DataFrame:
    """Reports of updates, a row each."""
    rows = [{name: getattr(report, name) for name in REPORT_FIELDS} for report in reports]
    return pd.DataFrame(rows, columns=list(REPORT_FIELDS))


def online_config(*, update: str = "full", **settings: Any) -> _core.OnlineConfig:
    """Settings as the core checks them; `update` by name."""
    if update not in _core.UpdateScope.__members__:
        names = ", ".join(_core.UpdateScope.__members__)
        raise _core.InputError(f"OnlineLearner(update): expected one of {names}, got {update!r}")
    return _core.OnlineConfig(update=_core.UpdateScope.__members__[update], **settings)


def check_blend(blend: Blend, forecaster: Forecaster) -> None:
    expected = (int(forecaster.core_.config.horizon), len(forecaster.outputs_))
    if blend.share.shape != expected:
        raise _core.ShapeError(
            f"OnlineLearner(blend): expected shares (rows ahead, outputs) = {expected}, "
            f"got {blend.share.shape}"
        )


def own_corrector(corrector: Corrector, forecaster: Forecaster, delay: int) -> Corrector:
    """An unfitted copy that answers as the forecaster does: same delay, horizon, quantiles."""
    config = forecaster.core_.config
    copy: Corrector = clone(corrector)
    copy.set_params(delay=delay, horizon=config.horizon, quantiles=tuple(config.quantiles))
    return copy


@dataclass(frozen=True)
class Prequential:
    """What a learner would have forecast on a past.

    Attributes
    ----------
    origins : (n,) first rows forecast;   quantiles : (n, H, O, Q) physical, NaN where none can be issued;
        with a corrector beside: of the blend
    reports : DataFrame, a row per update
    forecaster : with the weights that served at the end
    """

    origins: np.ndarray[Any, np.dtype[np.int64]]
    quantiles: np.ndarray[Any, np.dtype[np.float64]]
    reports: pd.DataFrame
    forecaster: Forecaster


def run_online(
    forecaster: Forecaster,
    history: pd.DataFrame,
    first: int,
    last: int | None = None,
    *,
    corrector: Corrector | None = None,
    blend: Blend | None = None,
    operation_known: bool = True,
    stride: int = 1,
    **settings: Any,
) -> Prequential:
    """Predict, store, learn over rows `first` to `last` of a history, as :class:`OnlineLearner` would have.

    The forecast from row k is made before row k is handed in: it knows rows before k with the labels known by
    then and, with `operation_known`, the coming setpoints and known-ahead disturbances.

    Parameters
    ----------
    forecaster : fitted; history : DataFrame (N, tags); first, last : rows, last None: to the end
    corrector, blend : beside the network, as in :class:`OnlineLearner`, fitted on the rows before `first`;
        only with the operation known
    operation_known : whether the coming operation is given; stride : forecast from each so-manieth row
    settings : as of :class:`OnlineLearner`

    Examples
    --------
    >>> from emisopt import Forecaster, plants, run_online
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, steps=20)
    >>> run = run_online(f.fit(history[:600], tags=tags, progress=False), history, 600, 700, memory=100)
    >>> run.quantiles.shape
    (100, 6, 6, 7)
    """
    check_is_fitted(forecaster, "core_")
    if (corrector is None) != (blend is None):
        raise _core.InputError("run_online(corrector, blend): expected both or neither, got one")
    if blend is not None:
        check_blend(blend, forecaster)
        if not operation_known:
            raise _core.InputError("run_online(corrector): expected operation_known=True, got False")
    rows = to_history(history, forecaster.tags_, live=True, where="run_online(history)")
    end = rows.rows if last is None else last
    origins, quantiles, reports, core = _core.run_prequential(
        forecaster.core_, rows, first, end, online_config(**settings), operation_known, stride
    )
    if corrector is not None and blend is not None:
        delay = int(settings.get("delay", 0))
        quantiles = blend(quantiles, _beside(corrector, forecaster, history, first, end, stride, delay))
    served = Forecaster(**forecaster.get_params())
    served._adopt(core)
    return Prequential(np.asarray(origins, dtype=np.int64), quantiles, report_frame(reports), served)


def _beside(
    corrector: Corrector,
    forecaster: Forecaster,
    history: pd.DataFrame,
    first: int,
    last: int,
    stride: int,
    delay: int,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, H, O, Q): what the corrector would have said, fitted on the rows before `first`."""
    own = own_corrector(corrector, forecaster, delay)
    own.fit(history, tags=forecaster.tags_, train_rows=first)
    leads = range(1, int(own.horizon) + 1)
    return own.replay(history, first, last, leads=leads, stride=stride, quantiles=own.quantiles)


def choose_blend(
    forecaster: Forecaster,
    corrector: Corrector,
    history: pd.DataFrame,
    first: int,
    last: int | None = None,
    *,
    stride: int = 1,
    **settings: Any,
) -> Blend:
    """The network's share in the blend with a corrector that would have erred least on a past.

    Both live through rows `first` to `last` as :func:`run_online` does, with the operation known. Hold
    what comes out: weights that followed the stream were no better.

    Parameters
    ----------
    forecaster : trained on rows before `first` only, or the shares favour it (a warning says so)
    corrector : with the settings wanted; it is copied and fitted on the rows before `first`
    history : DataFrame (N, tags); first, last : the validation rows, last None: to the end
    stride : forecast from each so-manieth row;   settings : as of :class:`OnlineLearner`

    Raises
    ------
    InputError : rows outside the history, none of which both have forecast

    References
    ----------
    Kivinen, Warmuth 1997 (:func:`blend_weights`). docs/learning.md has what it gained.

    Examples
    --------
    >>> from emisopt import Corrector, Forecaster, OnlineLearner, choose_blend, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, steps=20)
    >>> f = f.fit(history, tags=tags, train_rows=500, progress=False)
    >>> blend = choose_blend(f, Corrector(window=100), history, 500, 600, memory=100, every=50)
    >>> blend.share.shape
    (6, 6)
    >>> learner = OnlineLearner(f, history[:600], corrector=Corrector(window=100), blend=blend, memory=100)
    >>> learner.predict().shape
    (6, 42)
    """
    check_is_fitted(forecaster, "core_")
    seen = int(dict(forecaster.core_.notes).get("train_rows", "0"))
    if seen > first:
        warnings.warn(
            f"choose_blend: the forecaster was trained on {seen} rows, the shares are found from row {first} "
            "on; they favour it if these are the same rows",
            stacklevel=2,
        )
    run = run_online(forecaster, history, first, last, stride=stride, **settings)
    horizon, end = run.quantiles.shape[1], len(history) if last is None else last
    beside = _beside(corrector, forecaster, history, first, end, stride, int(settings.get("delay", 0)))
    median = list(forecaster.core_.config.quantiles).index(0.5)
    rows = to_history(history, forecaster.tags_, live=True, where="choose_blend(history)")
    values = np.asarray(rows.values)[:, [forecaster.tags_.names.index(n) for n in forecaster.outputs_]]
    values = np.vstack([values[:end], np.full((horizon, values.shape[1]), np.nan)])  # no row beyond counts
    truth = values[run.origins[:, None] + np.arange(horizon)]
    return Blend.fit(truth, run.quantiles[..., median], beside[..., median])
