"""What the accuracy table scores: members beside each other, weighted by validation, kept at their cover."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from emisopt import _core, _ensemble_file
from emisopt._ensemble_cover import Cover
from emisopt._ensemble_fit import EnsembleChoice, Recipe, parts_of, truth_of
from emisopt._ensemble_members import Member, OnlineMember
from emisopt._ensemble_rows import StreamRows
from emisopt._ensemble_rules import ONLINE, Question, members_of
from emisopt._sentinels import said_once, warn_of_sentinels
from emisopt.combination import combine
from emisopt.forecaster import Forecaster
from emisopt.history import future_plan, to_history
from emisopt.online import OnlineLearner
from emisopt.progress import StageLine
from emisopt.tags import TagMap, load_tagmap

__all__ = ["EnsembleChoice", "EnsembleForecaster", "EnsembleRun"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EnsembleRun:
    """What an ensemble would have forecast on a past.

    Attributes
    ----------
    origins : (n,) first rows forecast
    quantiles : (n, H, O, Q), physical, NaN where none can be issued;   raw : before the intervals' correction
    members : name -> (n, H, O, Q)
    """

    origins: NDArray[np.int64]
    quantiles: Floats = field(repr=False)
    raw: Floats = field(repr=False)
    members: dict[str, Floats] = field(repr=False)


class EnsembleForecaster(BaseEstimator):  # type: ignore[misc]
    """Networks, correctors and climatology side by side, each with the weight that served best before.

    `fit` does it twice: fitted on the training rows and run through the validation rows, which choose the
    network's steps and the weights (:func:`emisopt.combination.validated_weights`); then fitted on both. From
    then on it follows the stream: `observe` rows, `label` them when the labels are in, `predict`. Rules take
    the place of settings per plant (docs/learning.md, "Members beside each other").

    Parameters
    ----------
    horizon : rows ahead: a number H for 1..H, or those wanted, such as (1, 6, 24)
    quantiles : levels (Q), rising, with 0.5
    delay : rows after its own at which a row's labels come; earlier ones are refused
    stride : rows between two forecasts, as it will be used: 1: one every row, 24: one a day
    members : names; None: all that the data allow: "network" (weights as fitted), "online network" (weights
        that follow the stream), "seasonal corrector", "climatology" (both where rows have stamps),
        "corrector". Where outputs have nothing but their past: "network" alone, one for all outputs
    lags : rows back at which operation matters, for correctors
    utc_offset : hours by which the plant's clock is ahead of the stamps, for hours and weekends
    intervals : keep them at their cover by the labels that have come, where a forecast is issued every row
    network, updates, corrector : parameters of :class:`Forecaster`, :class:`OnlineLearner` and
        :class:`Corrector` (both of them) that replace the rules
    threads, seed : as in Forecaster; same rows, same seed, same bits

    Attributes
    ----------
    weights_ : DataFrame (row ahead, output) x member;   members_ : name -> model, those with a weight
    choice_ : :class:`EnsembleChoice`;   steps_ : of the network's training
    network_ : the Forecaster, as fitted, and learner_ : the :class:`OnlineLearner` that follows the stream,
        for its reports and rollback; each None where no member needs one
    tags_ : the tag map; `outputs_`, `setpoints_`, `disturbances_` : names in order

    References
    ----------
    Bates, Granger 1969 (combination of forecasts); Lichtendahl et al. 2013 (quantile averaging); Gibbs,
    Candes 2021 (adaptive conformal inference); Nie et al. 2023 (channel independence).

    Examples
    --------
    >>> from emisopt import EnsembleForecaster, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=4)
    >>> small = {"context": 24, "width": 16, "heads": 2, "steps": 50}
    >>> f = EnsembleForecaster(horizon=6, network=small, corrector={"window": 100, "waves": 20})
    >>> f = f.fit(history[:1000], tags=tags, progress=False)
    >>> bool((f.weights_.sum(axis=1) - 1 < 1e-12).all()), f.observe(history[1000:1010]).empty
    (True, True)
    >>> f.predict(history[tags.setpoints][1010:1016])["nox", 0.5].shape
    (6,)
    """

    def __init__(
        self,
        *,
        horizon: int | Sequence[int] = 24,
        quantiles: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        delay: int = 0,
        stride: int = 1,
        members: Sequence[str] | None = None,
        lags: Sequence[int] = (0,),
        utc_offset: float = 0.0,
        intervals: bool = True,
        network: Mapping[str, Any] | None = None,
        updates: Mapping[str, Any] | None = None,
        corrector: Mapping[str, Any] | None = None,
        threads: int = 0,
        seed: int = 0,
    ) -> None:
        self.horizon = horizon
        self.quantiles = quantiles
        self.delay = delay
        self.stride = stride
        self.members = members
        self.lags = lags
        self.utc_offset = utc_offset
        self.intervals = intervals
        self.network = network
        self.updates = updates
        self.corrector = corrector
        self.threads = threads
        self.seed = seed

    # ---- learning ---------------------------------------------------------------------------------------

    def fit(
        self,
        history: pd.DataFrame,
        y: None = None,
        *,
        tags: TagMap | str | Path,
        train_rows: int | None = None,
        validation_rows: int | None = None,
        choice: EnsembleChoice | None = None,
        progress: bool = True,
    ) -> EnsembleForecaster:
        """Finds steps and weights on the validation rows, then fits the members on all rows up to their end.

        Parameters
        ----------
        history : DataFrame with a column per tag, N rows, physical units
        y : left out; outputs are columns of the history
        tags : what the columns are, as for :meth:`Forecaster.fit`
        train_rows : to learn from, None: all before the validation rows
        validation_rows : after them; None: a fifth of the rows. Rows behind these are not read; the stream
            begins there. The labels of the newest `delay` rows before it are not read either
        choice : of an earlier fit on the same rows: nothing is searched for again
        progress : show what is being done (on stderr)

        Returns
        -------
        self

        Raises
        ------
        InputError : a parameter or a column is unusable, or the rows are too few.
        """
        tags = load_tagmap(tags)
        question = self._question(tags)
        names = members_of(question, self.members)
        if not isinstance(history, pd.DataFrame):
            to_history(history, tags, where="EnsembleForecaster.fit(history)")  # says what is expected
        train, validation = parts_of(len(history), train_rows, validation_rows)
        frame = history.iloc[: train + validation]
        to_history(frame.iloc[:train], tags, where="EnsembleForecaster.fit(history)")
        whole = to_history(frame, tags, live=True)
        warn_of_sentinels(frame, whole, whole.rows, "EnsembleForecaster.fit(history)")
        if question.delay:
            frame = frame.copy()
            frame.loc[frame.index[-question.delay :], list(tags.outputs)] = np.nan
        recipe = self._recipe()
        recipe.check(question, names, train, validation)
        with StageLine(show=progress) as say, said_once():
            if choice is None:
                say("ensemble: members on the training rows, weights on the validation rows")
                choice = recipe.choose(question, names, frame, train, validation, progress)
            elif choice.members != names or choice.weights.shape[1:] != question.shape()[:2]:
                raise _core.InputError(
                    f"EnsembleForecaster.fit(choice): expected one of {', '.join(names)} for "
                    f"{question.shape()[:2]} (rows ahead, outputs), got {', '.join(choice.members)} for "
                    f"{choice.weights.shape[1:]}"
                )
            say("ensemble: members on all rows")
            used = tuple(n for n, w in zip(names, choice.weights, strict=True) if w.max() > 0)
            made, forecaster, _ = recipe.members(
                question, used, frame, train + validation, 0, choice.steps, progress
            )
        cover = None
        if choice.issued is not None and choice.came is not None and self.intervals:
            cover = Cover(question, choice.issued, choice.came)
        keep = max([question.furthest + question.delay + 2, *(m.rows_needed() for m in made.values())])
        rows = StreamRows(tags, question.delay, keep)
        rows.begin(frame)
        with said_once():
            for member in made.values():
                member.begin(frame, rows)
        self.choice_, self._parameters = choice, dict(self.get_params(deep=False))
        self._adopt(question, used, choice.weights[[names.index(n) for n in used]], made, forecaster, cover)
        self._begin(train + validation, rows, None if cover is None else cover.copy())
        return self

    def _question(self, tags: TagMap) -> Question:
        if np.ndim(self.horizon) == 0:
            leads = tuple(range(1, int(self.horizon) + 1))  # type: ignore[arg-type]
        else:
            leads = tuple(int(h) for h in self.horizon)  # type: ignore[union-attr]
        levels = tuple(float(q) for q in self.quantiles)
        return Question(
            tags, leads, levels, int(self.delay), int(self.stride), tuple(self.lags), float(self.utc_offset)
        )

    def _recipe(self) -> Recipe:
        return Recipe(
            self.network or {}, self.updates or {}, self.corrector or {}, int(self.seed), int(self.threads)
        )

    def _adopt(
        self,
        question: Question,
        names: tuple[str, ...],
        weights: Floats,
        made: dict[str, Member],
        forecaster: Forecaster | None,
        cover: Cover | None,
    ) -> None:
        self.tags_ = question.tags
        self.outputs_ = tuple(question.tags.outputs)
        self.setpoints_ = tuple(question.tags.setpoints)
        self.disturbances_ = tuple(question.tags.disturbances)
        self.feature_names_in_ = np.array(question.tags.names, dtype=object)
        self.n_features_in_ = len(question.tags)
        self.members_, self.network_ = {n: made[n] for n in names}, forecaster
        self._asked_of, self._weights, self._cover = question, weights, cover
        self._asked: Floats | None = None

    def _begin(self, fit_rows: int, rows: StreamRows, live: Cover | None) -> None:
        self._fit_rows, self._rows, self._live = fit_rows, rows, live

    @property
    def weights_(self) -> pd.DataFrame:
        check_is_fitted(self, "members_")
        index = pd.MultiIndex.from_product([self._asked_of.leads, self.outputs_], names=["step", "output"])
        columns = dict(zip(self.members_, self._weights.reshape(len(self._weights), -1), strict=True))
        return pd.DataFrame(columns, index=index)

    @property
    def steps_(self) -> int:
        check_is_fitted(self, "members_")
        return self.choice_.steps

    @property
    def learner_(self) -> OnlineLearner | None:
        check_is_fitted(self, "members_")
        member = self.members_.get(ONLINE)
        return member.learner if isinstance(member, OnlineMember) else None

    @property
    def rows(self) -> int:
        """Rows seen: those of the fit, and the stream's since."""
        check_is_fitted(self, "members_")
        return self._rows.rows

    # ---- the stream -------------------------------------------------------------------------------------

    def observe(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Takes the next rows, oldest first.

        Parameters
        ----------
        rows : DataFrame (n, tags), physical units; with a delay their outputs must be missing or left out

        Returns
        -------
        DataFrame : reports of the updates that the online network made meanwhile; empty without one

        Raises
        ------
        InputError : a label handed in early.   DataError : a column is missing, time does not rise.
        """
        check_is_fitted(self, "members_")
        self._rows.check(rows)
        reports = []
        for i in range(len(rows)):
            row = rows.iloc[i : i + 1]
            if self._live is not None and self._asked is not None:
                self._live.issue(self._number(self._rows.rows), self._asked)
            self._asked = None
            self._rows.append(row)
            reports += [r for m in self.members_.values() if (r := m.observe(row, self._rows)) is not None]
            self._arrived()
        self._rows.forget()
        reports = [r for r in reports if len(r)]
        return pd.concat(reports, ignore_index=True) if reports else pd.DataFrame()

    def _arrived(self) -> None:
        """The newest row is in: what its labels, or those of validation rows, say about intervals."""
        if self._live is None:
            return
        newest = self._rows.rows - 1
        self._live.arrive(self._number(newest + 1))
        if not self._asked_of.delay:
            self._cover_labels(newest, self._rows.outputs(newest, newest + 1))

    def _cover_labels(self, first_row: int, values: Floats) -> None:
        if self._live is None:
            return
        for i, outputs in enumerate(values):
            row = first_row + i
            run = self._rows.run_start(row)
            self._live.label(self._number(row), outputs, self._number(self._rows.rows), self._number(run + 1))

    def _number(self, row: int) -> int:
        """Of the forecast whose first row is this one, as intervals count them."""
        validated = 0 if self._cover is None else self._cover.validated
        return row - self._fit_rows + validated

    def label(self, labels: pd.DataFrame, first_row: int) -> None:
        """Outputs of earlier rows, once their delay has passed.

        Parameters
        ----------
        labels : DataFrame (n, outputs), physical units, NaN where the analyser gave none
        first_row : number of the first of them, counted from the first row of the fit's history

        Raises
        ------
        InputError : a label may not be known yet (the row and the delay are named), or its row is forgotten
        """
        check_is_fitted(self, "members_")
        new = self._rows.label(labels, int(first_row))
        for member in self.members_.values():
            member.label(labels, int(first_row), self._rows)
        self._cover_labels(int(first_row), new)

    def predict(
        self, plan: pd.DataFrame | ArrayLike | None = None, known: pd.DataFrame | ArrayLike | None = None
    ) -> pd.DataFrame:
        """Quantiles for the rows after the newest one.

        May be asked several times, for several plans; the last one before the next row is the one that the
        intervals' record holds.

        Parameters
        ----------
        plan : setpoints of the coming rows up to the furthest one, (F, U) or a DataFrame by column name,
            inside each tag's range; NaN or None: held at their newest value
        known : coming disturbances, (F, D) or a DataFrame with some of them, held where NaN or None; those
            that the tag map does not call known ahead are not read

        Returns
        -------
        DataFrame, a row per row ahead (stamps, or steps), columns (output, quantile); NaN where no member has
        anything to say

        Raises
        ------
        NotFittedError, InputError (a plan outside its range), ShapeError
        """
        check_is_fitted(self, "members_")
        q, history = self._asked_of, self._rows.history()
        coming = future_plan(history, q.tags, plan, known, q.furthest)
        said = [m.predict(history, self._rows.first, *coming) for m in self.members_.values()]
        raw = combine(said, self._weights)
        self._asked = raw
        corrected = raw if self._live is None else self._live.correct(raw)
        columns = pd.MultiIndex.from_product([self.outputs_, q.levels], names=["output", "quantile"])
        return pd.DataFrame(
            corrected.reshape(len(q.leads), -1), index=self._rows.coming(q.leads), columns=columns
        )

    # ---- the past ---------------------------------------------------------------------------------------

    def backtest(
        self,
        history: pd.DataFrame,
        begin: int | None = None,
        end: int | None = None,
        *,
        stride: int | None = None,
        reuse: Mapping[str, Floats] | None = None,
    ) -> EnsembleRun:
        """What would have been forecast on a past, row by row as the stream does, only faster.

        Before each origin the labels that are in by then are known; setpoints and known-ahead disturbances of
        the rows forecast are given; a reading of them that is missing counts as missing, not as held. The
        ensemble's own stream stays where it is.

        Parameters
        ----------
        history : DataFrame (N, tags) that begins with the rows of the fit
        begin, end : origins begin, begin + stride, ... < end; None: all after the fit
        stride : rows between forecasts, None: the parameter's
        reuse : forecasts of members by name, from another seed's run over the same origins

        Returns
        -------
        EnsembleRun

        Raises
        ------
        InputError : rows outside the history, or among those of the fit.
        """
        check_is_fitted(self, "members_")
        q = self._asked_of
        first = self._fit_rows if begin is None else int(begin)
        last = len(history) if end is None else int(end)
        step = q.stride if stride is None else int(stride)
        if not (self._fit_rows <= first < last <= len(history)) or step < 1:
            raise _core.InputError(
                f"EnsembleForecaster.backtest: expected rows {self._fit_rows} (the fit's end) <= begin < end "
                f"<= {len(history)} and a stride of at least 1, got {first}, {last}, {step}"
            )
        given = reuse or {}
        said = {
            n: np.asarray(given[n]) if n in given else m.replay(history, first, last, step)
            for n, m in self.members_.items()
        }
        origins = np.arange(first, last, step)
        raw = combine(list(said.values()), self._weights)
        kept = raw
        if self._cover is not None and step == 1:
            kept = self._cover.replay(self._number(first), raw, truth_of(q, history, origins))
        return EnsembleRun(origins, kept, raw, said)

    # ---- files ------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Everything (members, weights, rows, what intervals learnt) in one safetensors file, atomically.

        Raises
        ------
        NotFittedError, FileError, InputError : a setting that JSON cannot hold.
        """
        check_is_fitted(self, "members_")
        _ensemble_file.write(self, os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EnsembleForecaster:
        """An ensemble that goes on to the same bits.

        Raises
        ------
        FileError : missing, truncated, changed, foreign, or of a newer format
        """
        return _ensemble_file.read(cls, os.fspath(path))

    def __getstate__(self) -> dict[str, Any]:
        if not hasattr(self, "members_"):
            return dict(super().__getstate__())
        return {"_file": _ensemble_file.bytes_of(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("_file", None)
        if content is None:
            super().__setstate__(state)
            return
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "ensemble.safetensors").write_bytes(content)
            self.__dict__.update(type(self).load(Path(folder) / "ensemble.safetensors").__dict__)

    # ---- notebooks --------------------------------------------------------------------------------------

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        if not hasattr(self, "members_"):
            return str(super().__repr__(N_CHAR_MAX))
        shares = ", ".join(f"{n} {w:.2f}" for n, w in self.weights_.mean().items())
        return f"EnsembleForecaster({self.tags_.plant!r}, {self._rows.rows:,} rows seen: {shares})"

    def _repr_html_(self) -> str:
        if not hasattr(self, "members_"):
            return f"<pre>{escape(repr(self))} (not fitted)</pre>"
        table = self.weights_.groupby("output", sort=False).mean()
        return f"<p>{escape(repr(self))}</p>{table.to_html(float_format=lambda x: f'{x:.2f}')}"
