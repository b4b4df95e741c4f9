"""Transfer: a forecaster for a plant with few data starts from what one of another plant knows, in seven
steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt._transfer_members import Member
from emisopt._transfer_run import TransferRun, Tuning
from emisopt.combination import combine
from emisopt.forecaster import Forecaster
from emisopt.progress import StageLine
from emisopt.tags import TagMap, load_tagmap
from emisopt.transfer_report import TransferReport

__all__ = ["Transfer", "transfer"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Transfer:
    """What came of a transfer: the report of the seven steps, and the models that it ended with.

    Attributes
    ----------
    forecaster : the network for the target, fitted on all target rows; the source's weights fine-tuned or,
        where the validation rows say so, one from scratch
    members : the models that forecast together, each with its shares (H, O), which sum to 1
    report : :class:`TransferReport`, a table per step; printed it shows all of them
    """

    forecaster: Forecaster
    members: tuple[Member, ...]
    report: TransferReport
    tags: TagMap = field(repr=False)

    @property
    def quantiles(self) -> tuple[float, ...]:
        return tuple(self.forecaster.core_.config.quantiles)

    @property
    def shares(self) -> pd.DataFrame:
        """(step, output) x member: the shares of the blend."""
        steps = range(1, self.members[0].shares.shape[0] + 1)
        index = pd.MultiIndex.from_product([steps, self.forecaster.outputs_], names=["step", "output"])
        return pd.DataFrame({m.name: m.shares.reshape(-1) for m in self.members}, index=index)

    def predict(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None = None,
        known: pd.DataFrame | ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Quantiles of the blend for the rows after a history, as :meth:`Forecaster.predict`.

        Quantiles are averaged level by level (Lichtendahl et al. 2013), so they do not cross. Correctors take
        in the history's labels first; hand it in from the first row of the target on.
        """
        parts = [m.predict(history, plan, known, self.quantiles) for m in self.members]
        frame = self.forecaster.predict(history, plan, known)
        frame.iloc[:, :] = combine(parts, [m.shares for m in self.members]).reshape(len(frame), -1)
        return frame

    def replay(self, history: pd.DataFrame, begin: int, end: int | None = None, *, stride: int = 1) -> Floats:
        """What would have been forecast before the rows begin, begin + stride, ... < end of a history.

        Before each of them the labels of earlier rows are known; setpoints and known-ahead disturbances of
        the rows forecast are given. Weights stay; correctors follow the labels.

        Returns
        -------
        ndarray (origins, H, O, Q)
        """
        stop = len(history) if end is None else end
        parts = [m.replay(history, begin, stop, stride, self.quantiles) for m in self.members]
        return combine(parts, [m.shares for m in self.members])

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def __repr__(self) -> str:
        names = ", ".join(f"{m.name} {m.shares.mean():.2f}" for m in self.members)
        return f"Transfer({self.report.source!r} to {self.report.target!r}: {names})"


def transfer(
    source: Forecaster | Sequence[Forecaster],
    target_history: pd.DataFrame,
    *,
    tags: TagMap | str | Path,
    source_history: pd.DataFrame | None = None,
    match: Mapping[str, str | None] | None = None,
    train_rows: int | None = None,
    validation_rows: int | None = None,
    steps: int | None = None,
    rate: float | None = None,
    l2sp: float | None = None,
    trainable: Sequence[str] = (),
    scratch_steps: int = 300,
    pull: float = 10.0,
    lags: Sequence[int] = (0,),
    doubt: float = 4.0,
    seed: int = 0,
    threads: int = 0,
    progress: bool = True,
    **settings: Any,
) -> Transfer:
    """A forecaster for another plant from one that is fitted, in seven steps, each of which is reported.

    Choose domains (which tag stands for which), prepare data, extract features (which input columns the two
    have in common), test the source model as it is, copy what fits, fine-tune with a pull back to what was
    copied, test. The last target rows choose between the transferred network, one from scratch, and
    closed-form correctors beside them; then all are fitted on all rows.

    Parameters
    ----------
    source : fitted; its sizes, horizon and quantiles are the target's, too. Or several of one plant, which
        differ in seed, context or width: each is moved, and what they say is averaged
    target_history : DataFrame (N, tags) of the target, at least `horizon` rows
    tags : of the target
    source_history : of the source, if it is at hand: the corrector then learns from it what operation does
        (its first rows, as many as the source was trained on)
    match : {target tag: source tag, None for none}, where names and units do not tell
    train_rows : rows of the target to learn from, None: all; later rows are not read
    validation_rows : of these the last so many choose; None: a fifth, 0: nothing is chosen, all are blended
        as if no validation row said anything
    steps, rate, l2sp : of the fine-tuning: AdamW steps, learning rate, coefficient of the squared distance to
        the copied weights. None: by the share c of the future row's columns that were copied: 100 + 300
        (1 - c) steps, rate 0.001 * 2^(1 - c), l2sp c^4. 0 steps: the source as it is; so it stays, too,
        where all was copied, fewer than 5,000 windows teach, and none of `rate`, `l2sp`, `trainable` is given
    trainable : beginnings of parameter names that may move ("head.", "skip."); empty: all
    scratch_steps : of a network from scratch among the candidates; 0: none
    pull : how strongly the corrector's map of operation is held at the source's
    lags : rows back at which operation matters to a corrector
    doubt : windows of validation that the belief in the transferred models counts for
    seed, threads, progress : as of :class:`Forecaster`
    settings : other parameters of :class:`Forecaster` for the training, e.g. slope_shift; of its sizes only
        context, season and quantiles may differ from the source's

    Returns
    -------
    Transfer

    Raises
    ------
    NotFittedError : the source is not fitted.   InputError : the target has no outputs or too few rows;
        another horizon or width; a match between tags that do not go together.
    DataError : a column is missing.

    References
    ----------
    Yosinski et al. 2014 (copying layers); Li et al. 2018 (L2-SP); Pan, Yang 2010. Equations in
    docs/learning.md, "Transfer".

    Examples
    --------
    >>> from emisopt import Forecaster, plants, transfer
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=4)
    >>> small = Forecaster(context=24, horizon=6, width=16, heads=2, steps=40)
    >>> source = small.fit(history, tags=tags, progress=False)
    >>> young, _ = plants.Boiler(seed=2, plant_seed=5).simulate_history(days=1)
    >>> moved = transfer(source, young, tags=tags, steps=20, progress=False)
    >>> moved.predict(young)["nox", 0.5].shape
    (6,)
    >>> list(moved.report.steps)
    ['domains', 'data', 'features', 'source', 'copy', 'fine-tuning', 'test']
    """
    tags = load_tagmap(tags)
    run = TransferRun(
        source, target_history, tags, source_history, match, train_rows, validation_rows,
        Tuning(steps, rate, l2sp, tuple(trainable)), scratch_steps, pull, tuple(lags), doubt, seed, threads,
        settings,
    )  # fmt: skip
    with StageLine(show=progress) as say:
        forecaster, members, report = run.go(say, progress)
    return Transfer(forecaster, members, report, tags)
