"""Learning from the stream: predict, store, and when the label has come, learn; without forgetting."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt._sentinels import warn_of_sentinels
from emisopt.beside import Blend
from emisopt.corrector import Corrector
from emisopt.forecaster import Forecaster
from emisopt.history import future_index, history_frame, known_array, plan_array, to_history
from emisopt.prequential import (
    Prequential,
    check_blend,
    choose_blend,
    online_config,
    own_corrector,
    report_frame,
    run_online,
)

__all__ = ["OnlineLearner", "Prequential", "choose_blend", "run_online"]


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
    corrector : a Corrector to stand beside the network, None: none. It is copied and fitted on `past`, with
        the learner's delay and the forecaster's horizon and quantiles, and follows the labels; it answers
        alone where the network cannot, in the `context` rows after a gap
    blend : the network's share in what is said, see :func:`choose_blend`
    validation : instead of `blend`: find it on so many rows at the end of `past`, which the forecaster must
        not have been trained on; it takes as long as living through them
    delay : rows until a row's outputs are known, 0: they come with the row
    update : "full", "lora" (low-rank corrections of `rank` in the last `lora_blocks` blocks; 0: the upper
        half) or "head" (what stands behind the last block)
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
    forecaster : the network with the weights that serve
    corrector, blend : what stands beside it, None without

    Raises
    ------
    InputError : a setting out of range, a past of other tags or shorter than one window, a corrector without
        blend or validation rows.   ShapeError : a blend of another size.   NotFittedError

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
        corrector: Corrector | None = None,
        blend: Blend | None = None,
        validation: int = 0,
        delay: int = 0,
        update: str = "full",
        rank: int = 4,
        lora_blocks: int = 0,
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
        settings: dict[str, Any] = dict(
            delay=delay, update=update, rank=rank, lora_blocks=lora_blocks, l2sp=l2sp, ewc=ewc,
            distill=distill, replay=replay, every=every, steps=steps, batch=batch, rate=rate, clip=clip,
            pace=pace, recent_rows=recent_rows, memory=memory, regimes=regimes, level_shift=level_shift,
            input_shift=input_shift, gain_shift=gain_shift, slope_shift=slope_shift, guard=guard,
            tolerance=tolerance, snapshots=snapshots, learn=learn, threads=threads, seed=seed,
        )  # fmt: skip
        if corrector is None and (blend is not None or validation):
            raise _core.InputError("OnlineLearner(blend, validation): expected a corrector to blend with")
        rows = to_history(past, forecaster.tags_, live=True, where="OnlineLearner(past)")
        warn_of_sentinels(past, rows, rows.rows, "OnlineLearner(past)")
        core = _core.OnlineLearner(forecaster.core_, rows, online_config(**settings))
        if corrector is not None:
            if (blend is None) == (validation == 0):
                raise _core.InputError(
                    "OnlineLearner(corrector): expected its blend, or validation rows to find it on, got "
                    + ("neither" if blend is None else "both")
                )
            if blend is None:
                blend = choose_blend(forecaster, corrector, past, rows.rows - validation, **settings)
            check_blend(blend, forecaster)
            corrector = own_corrector(corrector, forecaster, delay)
            corrector.fit(past, tags=forecaster.tags_)
        self._adopt(core, forecaster, past.tail(1), corrector, blend)

    def _adopt(
        self,
        core: _core.OnlineLearner,
        forecaster: Forecaster,
        newest: pd.DataFrame,
        corrector: Corrector | None,
        blend: Blend | None,
    ) -> None:
        self.core = core
        self.corrector = corrector
        self.blend = blend
        if corrector is not None:
            core.keep_rows(corrector.core_.rows_needed)
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
            if self.corrector is not None and self.core.config.delay == 0:
                history = self.core.history
                self.corrector.core_.catch_up(history, history.rows, self.core.first_row)
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
        if self.corrector is None:
            return
        history, first = self.core.history, self.core.first_row  # cleaned as the learner's
        for row_number in range(first_row, first_row + len(values)):
            self.corrector.core_.observe(history, row_number - first, history.rows, first)

    def predict(
        self, plan: pd.DataFrame | ArrayLike | None = None, known: pd.DataFrame | ArrayLike | None = None
    ) -> pd.DataFrame:
        """Quantiles for the rows after the newest one, by the weights that serve; see Forecaster.predict.

        With a corrector: its blend with the network. Without a plan the network takes the setpoints as
        unknown, the corrector as held.
        """
        history = self.core.history
        frame = history_frame(history)
        if self.corrector is None or self.blend is None:
            return self.forecaster.predict(frame, plan, known)
        core, levels = self.corrector.core_, list(self.forecaster.core_.config.quantiles)
        horizon, outputs = self.blend.share.shape
        unknown = np.full((horizon, len(self.tags.setpoints)), np.nan)
        mean, variance = core.forecast(
            history,
            plan_array(unknown if plan is None else plan, self.tags, horizon),
            known_array(known, self.tags, horizon),
            self.core.first_row,
        )
        beside = core.quantiles(mean, variance, levels)
        if self.forecaster._can(history):
            said = self.forecaster.predict(frame, plan, known)
        else:
            columns = pd.MultiIndex.from_product([self.tags.outputs, levels], names=["output", "quantile"])
            index = future_index(frame, self.tags.period, horizon)
            said = pd.DataFrame(np.nan, index=index, columns=columns)
        blended = self.blend(said.to_numpy().reshape(horizon, outputs, -1), beside)
        return pd.DataFrame(blended.reshape(horizon, -1), index=said.index, columns=said.columns)

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
        """Everything (rows, memory, weights, versions, what stands beside) in one safetensors file,
        atomically."""
        if self.corrector is not None and self.blend is not None:
            self.core.attach("corrector", self.corrector.to_bytes())
            self.core.attach("blend", self.blend.to_json().encode())
        if not isinstance(
            self._newest.index, pd.DatetimeIndex
        ):  # rows without stamps go on from their number
            self.core.attach("newest", str(int(self._newest.index[-1])).encode())
        self.core.save(os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OnlineLearner:
        """A learner that goes on to the same bits.

        Raises
        ------
        FileError : missing, truncated, changed, foreign, or of a newer format
        """
        core = _core.OnlineLearner.load(os.fspath(path))
        forecaster = Forecaster()
        forecaster._adopt(core.forecaster)
        corrector, blend, attached = None, None, core.attached
        newest = history_frame(core.history).tail(1)
        try:  # the file is sealed, but who sealed it?
            if "corrector" in attached or "blend" in attached:
                c = core.forecaster.config
                corrector = Corrector.from_bytes(
                    attached["corrector"], horizon=c.horizon, quantiles=tuple(c.quantiles)
                )
                blend = Blend.from_json(attached["blend"].decode())
                check_blend(blend, forecaster)
                corrector.core_.forecast(
                    core.history,
                    np.full((c.horizon, len(corrector.setpoints_)), np.nan),
                    np.full((c.horizon, len(corrector.disturbances_)), np.nan),
                    core.first_row,
                )
            if "newest" in attached:
                newest.index = pd.Index([int(attached["newest"])], name="row")
        except (_core.Error, KeyError, ValueError) as error:
            raise _core.FileError(
                f"{os.fspath(path)}: what stands beside the learner does not fit it: {error}"
            ) from None
        self = cls.__new__(cls)
        self._adopt(core, forecaster, newest, corrector, blend)
        return self

    def __repr__(self) -> str:
        return (
            f"OnlineLearner({self.tags.plant!r}, {self.rows:,} rows seen, version {self.version}, "
            f"{self.core.remembered:,} windows remembered, {len(self.reports)} updates"
            + (", a corrector beside)" if self.corrector is not None else ")")
        )

    def _repr_html_(self) -> str:
        tail = self.reports.tail(5).to_html(index=False, float_format=lambda x: f"{x:.4g}")
        return f"<p>{escape(repr(self))}</p>{tail}"
