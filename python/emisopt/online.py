"""Learning from the stream: predict, store, and when the label has come, learn; without forgetting."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.forecaster import Forecaster
from emisopt.history import to_history

__all__ = ["OnlineLearner", "Prequential", "run_online"]

REPORT_FIELDS = (
    "row", "version", "accepted", "reason", "steps", "pace", "recent_loss", "replay_loss", "l2sp", "ewc",
    "distill", "gradient_norm", "newest_loss", "guard_before", "guard_after", "seconds",
)  # fmt: skip


def report_frame(reports: list[_core.UpdateReport]) -> pd.DataFrame:
    """Reports of updates, a row each."""
    rows = [{name: getattr(report, name) for name in REPORT_FIELDS} for report in reports]
    return pd.DataFrame(rows, columns=list(REPORT_FIELDS))


class OnlineLearner:
    """Keeps a fitted forecaster right while the plant drifts.

    Each update takes a few steps down
    ``L(theta; recent and replayed windows) + l2sp |theta - theta*|^2 + ewc/2 sum F (theta - theta*)^2
    + distill KD``; ``theta*`` are the weights at the start, KD is the distance to the quantiles that were
    stored with a replayed window. It is dropped when the loss on held-out windows would rise.

    Parameters
    ----------
    forecaster : a fitted Forecaster; it is copied and stays as it is
    past : DataFrame, rows with their labels up to now; they fill the memory
    delay : rows until a row's outputs are known, 0: they come with the row
    update : "full", "lora" (low-rank corrections of `rank`) or "head" (what stands behind the last block)
    l2sp, ewc, distill : coefficients of the terms above, >= 0; ewc not with "lora"
    replay : share of each batch that is replayed from the memory, 0..1
    every, steps, batch, rate, clip : an update each `every` rows, of `steps` AdamW steps of `batch` windows
    pace : > 0: steps times (newest loss / usual loss)^pace, so that it learns faster while the plant drifts
    recent_rows : how far back recent windows may begin
    memory, regimes : windows remembered, in equal shares for so many regimes of operation
    level_shift, input_shift, gain_shift, slope_shift : random changes of windows, as in Forecaster
    guard, tolerance : held-out windows, and by which share their loss may rise
    snapshots : versions kept for :meth:`rollback`
    learn : False: remember, but never update (frozen for compliance, adaptive for advice elsewhere)
    threads, seed : as in Forecaster; same rows, same seed, same bits

    Attributes
    ----------
    version : of the weights that serve;   snapshots : versions kept;   rows : rows seen
    reports : DataFrame, a row per update: each loss term, both penalties, the guard's losses, refusals

    Raises
    ------
    InputError : a setting out of range, a past of other tags or shorter than one window.   NotFittedError

    References
    ----------
    Li, Grandvalet, Davoine 2018 (L2-SP); Kirkpatrick et al. 2017 (EWC); Buzzega et al. 2020 (stored answers);
    Hu et al. 2022 (LoRA); Vitter 1985 (reservoirs). docs/learning.md has the equations.

    Examples
    --------
    >>> from emisopt import Forecaster, OnlineLearner, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, steps=20)
    >>> f = f.fit(history[:600], tags=tags, progress=False)
    >>> learner = OnlineLearner(f, history[:600], every=12, memory=200)
    >>> learner.observe(history[600:648])["accepted"].tolist()
    [True, True, True, True]
    >>> learner.predict().shape
    (6, 42)
    """

    def __init__(
        self,
        forecaster: Forecaster,
        past: pd.DataFrame,
        *,
        delay: int = 0,
        update: str = "full",
        rank: int = 4,
        l2sp: float = 1e-3,
        ewc: float = 0.0,
        distill: float = 0.0,
        replay: float = 0.5,
        every: int = 24,
        steps: int = 2,
        batch: int = 32,
        rate: float = 3e-4,
        clip: float = 0.5,
        pace: float = 0.0,
        recent_rows: int = 1000,
        memory: int = 4096,
        regimes: int = 8,
        level_shift: float = 0.5,
        input_shift: float = 0.3,
        gain_shift: float = 0.0,
        slope_shift: float = 0.0,
        guard: int = 64,
        tolerance: float = 0.02,
        snapshots: int = 8,
        learn: bool = True,
        threads: int = 0,
        seed: int = 0,
    ) -> None:
        check_is_fitted(forecaster, "core_")
        config = online_config(
            delay=delay, update=update, rank=rank, l2sp=l2sp, ewc=ewc, distill=distill, replay=replay,
            every=every, steps=steps, batch=batch, rate=rate, clip=clip, pace=pace, recent_rows=recent_rows,
            memory=memory, regimes=regimes, level_shift=level_shift, input_shift=input_shift,
            gain_shift=gain_shift, slope_shift=slope_shift, guard=guard, tolerance=tolerance,
            snapshots=snapshots, learn=learn, threads=threads, seed=seed,
        )  # fmt: skip
        rows = to_history(past, forecaster.tags_, live=True, where="OnlineLearner(past)")
        self._adopt(_core.OnlineLearner(forecaster.core_, rows, config), forecaster, past.tail(1))

    def _adopt(self, core: _core.OnlineLearner, forecaster: Forecaster, newest: pd.DataFrame) -> None:
        self.core = core
        self.tags = forecaster.tags_
        self._reports: list[_core.UpdateReport] = []
        self._newest = newest  # its label tells which stamps come next
        self._forecaster = forecaster
        self._served = -1

    # ---- the stream -------------------------------------------------------------------------------------

    def observe(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Takes the next rows, oldest first.

        Parameters
        ----------
        rows : DataFrame (n, tags), physical units; with a delay their outputs must be missing or left out

        Returns
        -------
        DataFrame : reports of the updates that were due meanwhile, also appended to :attr:`reports`

        Raises
        ------
        InputError : a label handed in early, time that does not rise.   DataError : a column is missing
        """
        absent = [name for name in self.tags.outputs if name not in rows]
        table = to_history(
            rows.assign(**dict.fromkeys(absent, np.nan)),
            self.tags,
            live=True,
            where="OnlineLearner.observe(rows)",
        )
        values, time, gap = np.ascontiguousarray(table.values), table.time, table.gap
        # Rows without stamps carry numbers: the first one follows the newest row, or something is missing.
        breaks = not time.size and rows.index[0] != self._newest.index[-1] + 1
        reports = []
        for i, row in enumerate(values):
            stamp = float(time[i]) if time.size else float("nan")
            report = self.core.observe(row, stamp, bool(gap[i]) or (i == 0 and breaks))
            if report is not None:
                reports.append(report)
        self._newest = rows.tail(1)
        self._reports += reports
        return report_frame(reports)

    def label(self, labels: pd.DataFrame, first_row: int) -> None:
        """Outputs of earlier rows, once their delay has passed.

        Parameters
        ----------
        labels : DataFrame (n, outputs), physical units, NaN where the analyser gave none
        first_row : number of the first of them, counted from the first row of `past`

        Raises
        ------
        InputError : a label may not be known yet (the row and the delay are named), or its row is forgotten
        """
        missing = [n for n in self.tags.outputs if n not in labels]
        if missing:
            raise _core.InputError(f"OnlineLearner.label(labels): expected the columns {missing} as well")
        values = labels[list(self.tags.outputs)].to_numpy(dtype=float)
        for i, row in enumerate(np.ascontiguousarray(values)):
            self.core.label(first_row + i, row)

    def predict(
        self, plan: pd.DataFrame | ArrayLike | None = None, known: pd.DataFrame | ArrayLike | None = None
    ) -> pd.DataFrame:
        """Quantiles for the rows after the newest one, by the weights that serve; see Forecaster.predict."""
        from emisopt.history import history_frame

        frame = history_frame(self.core.history)
        return self.forecaster.predict(frame, plan, known)

    @property
    def reports(self) -> pd.DataFrame:
        """A row per update since this learner was made or loaded."""
        return report_frame(self._reports)

    # ---- versions ---------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        return int(self.core.version)

    @property
    def snapshots(self) -> list[int]:
        return list(self.core.snapshots)

    @property
    def rows(self) -> int:
        return int(self.core.rows)

    @property
    def forecaster(self) -> Forecaster:
        """A Forecaster with the weights that serve; later updates do not change it."""
        if self._served != self.version:
            copy = Forecaster(**self._forecaster.get_params())
            copy._adopt(self.core.forecaster)
            self._forecaster, self._served = copy, self.version
        return self._forecaster

    def update(self) -> pd.DataFrame:
        """An update now, due or not; its report."""
        self._reports.append(self.core.update())
        return report_frame(self._reports[-1:])

    def rollback(self, version: int) -> int:
        """Serves the weights of a kept version again, as a new version; learning goes on from there.

        Raises
        ------
        InputError : the version is not kept; those kept are named
        """
        return int(self.core.rollback(version))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Everything (rows, memory, weights, versions) in one safetensors file, atomically."""
        self.core.save(os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OnlineLearner:
        """A learner that goes on to the same bits.

        Raises
        ------
        FileError : missing, truncated, changed, foreign, or of a newer format
        """
        from emisopt.history import history_frame

        core = _core.OnlineLearner.load(os.fspath(path))
        forecaster = Forecaster()
        forecaster._adopt(core.forecaster)
        self = cls.__new__(cls)
        self._adopt(core, forecaster, history_frame(core.history).tail(1))
        return self

    def __repr__(self) -> str:
        return (
            f"OnlineLearner({self.tags.plant!r}, {self.rows:,} rows seen, version {self.version}, "
            f"{self.core.remembered:,} windows remembered, {len(self.reports)} updates)"
        )

    def _repr_html_(self) -> str:
        tail = self.reports.tail(5).to_html(index=False, float_format=lambda x: f"{x:.4g}")
        return f"<p>{escape(repr(self))}</p>{tail}"


def online_config(*, update: str = "full", **settings: Any) -> _core.OnlineConfig:
    """Settings as the core checks them; `update` by name."""
    if update not in _core.UpdateScope.__members__:
        names = ", ".join(_core.UpdateScope.__members__)
        raise _core.InputError(f"OnlineLearner(update): expected one of {names}, got {update!r}")
    return _core.OnlineConfig(update=_core.UpdateScope.__members__[update], **settings)


@dataclass(frozen=True)
class Prequential:
    """What a learner would have forecast on a past.

    Attributes
    ----------
    origins : (n,) first rows forecast;   quantiles : (n, H, O, Q) physical, NaN where none can be issued
    reports : DataFrame, a row per update
    """

    origins: np.ndarray[Any, np.dtype[np.int64]]
    quantiles: np.ndarray[Any, np.dtype[np.float64]]
    reports: pd.DataFrame


def run_online(
    forecaster: Forecaster,
    history: pd.DataFrame,
    first: int,
    last: int | None = None,
    *,
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
    operation_known : whether the coming operation is given; stride : forecast from each so-manieth row
    settings : as of :class:`OnlineLearner`

    Examples
    --------
    >>> from emisopt import Forecaster, plants
    >>> from emisopt.online import run_online
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, steps=20)
    >>> run = run_online(f.fit(history[:600], tags=tags, progress=False), history, 600, 700, memory=100)
    >>> run.quantiles.shape
    (100, 6, 6, 7)
    """
    check_is_fitted(forecaster, "core_")
    rows = to_history(history, forecaster.tags_, live=True, where="run_online(history)")
    origins, quantiles, reports = _core.run_prequential(
        forecaster.core_, rows, first, rows.rows if last is None else last, online_config(**settings),
        operation_known, stride,
    )  # fmt: skip
    return Prequential(np.asarray(origins, dtype=np.int64), quantiles, report_frame(reports))
