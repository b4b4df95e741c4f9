"""The members of an ensemble: each answers over a past, and row by row the same."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt._ensemble_rows import StreamRows
from emisopt._ensemble_rules import (
    CLIMATOLOGY,
    CORRECTOR,
    NETWORK,
    ONLINE,
    SEASONAL,
    Question,
    network_settings,
)
from emisopt.climatology import Climatology
from emisopt.corrector import Corrector
from emisopt.forecaster import Forecaster
from emisopt.history import core_tags, to_history
from emisopt.online import OnlineLearner
from emisopt.prequential import run_online
from emisopt.tags import Tag, TagMap

Floats = NDArray[np.float64]
SHARED = TagMap((Tag("value", "", "quality"),))  # one network for all outputs sees each as this


class Member(Protocol):
    """What an ensemble asks of a model. All arrays are (..., leads, O, Q), physical, NaN: no forecast."""

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        """(n, H, O, Q) before the rows begin, begin + stride, ... < end, labels as they came."""

    def begin(self, frame: pd.DataFrame, rows: StreamRows) -> None:
        """A stream begins after the rows of `frame`."""

    def observe(self, frame: pd.DataFrame, rows: StreamRows) -> pd.DataFrame | None:
        """One row has come; it is in `rows`."""

    def label(self, labels: pd.DataFrame, first_row: int, rows: StreamRows) -> None:
        """Labels of earlier rows have come; they are in `rows`."""

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        """(H, O, Q) after a history whose first row is number `first`; plan (furthest, U), known (furthest,
        D)."""

    def rows_needed(self) -> int:
        """Rows of a stream that it reads."""

    def resume(self, rows: StreamRows) -> None:
        """After a file: the stream goes on."""

    def to_bytes(self) -> bytes: ...


def fit_network(
    question: Question,
    history: pd.DataFrame,
    train_rows: int,
    validation_rows: int,
    *,
    steps: int = 0,
    seed: int = 0,
    threads: int = 0,
    settings: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> tuple[Forecaster, int]:
    """A network and the number of steps that it took; with validation rows, the best number."""
    options = network_settings(question, train_rows, steps, settings or {})
    tags, factor = question.tags, 1
    if question.pooled:
        history, tags, factor = (
            stacked(question, history, train_rows, validation_rows),
            SHARED,
            len(tags.outputs),
        )
    forecaster = Forecaster(**{"seed": seed, "threads": threads, **options})
    forecaster.fit(
        history, tags=tags, train_rows=factor * train_rows, validation_rows=factor * validation_rows,
        progress=progress,
    )  # fmt: skip
    return forecaster, max(50, int(forecaster.training_["best_step"]))


def stacked(question: Question, history: pd.DataFrame, train_rows: int, validation_rows: int) -> pd.DataFrame:
    """(O (train + validation),) the training rows of all outputs, then their validation rows.

    One output's rows follow another's without a mark, so a few windows that teach have two of them in
    sight; so it was when the table was printed.
    """
    rows = train_rows + validation_rows
    whole = to_history(history.iloc[:rows], question.tags, live=True)
    values = np.asarray(whole.values)[:, [question.tags.names.index(n) for n in question.tags.outputs]]
    parts = [values[:train_rows].T.ravel(), values[train_rows:].T.ravel()]
    step = np.where(np.asarray(whole.gap), 2, 1)  # a gap is a number left out
    index = [np.tile(s, values.shape[1]) for s in (step[:train_rows], step[train_rows:])]
    return pd.DataFrame({"value": np.concatenate(parts)}, index=np.cumsum(np.concatenate(index)) - 1)


def replay_network(
    forecaster: Forecaster, history: pd.DataFrame, begin: int, end: int, stride: int, **options: Any
) -> Floats:
    """(n, H, O, Q) of all rows of its horizon, as :func:`run_online`."""
    run = run_online(forecaster, history, begin, end, stride=stride, **{"guard": 0, **options})
    return np.asarray(run.quantiles)


class _Base:
    """A member that keeps nothing of the stream."""

    def __init__(self, question: Question) -> None:
        self.question = question

    def begin(self, frame: pd.DataFrame, rows: StreamRows) -> None:
        pass

    def observe(self, frame: pd.DataFrame, rows: StreamRows) -> pd.DataFrame | None:
        return None

    def label(self, labels: pd.DataFrame, first_row: int, rows: StreamRows) -> None:
        pass

    def resume(self, rows: StreamRows) -> None:
        pass


class NetworkMember(_Base):
    """A network with weights that stay as they were fitted."""

    def __init__(self, question: Question, forecaster: Forecaster) -> None:
        super().__init__(question)
        self.forecaster = forecaster

    def _at_leads(self, said: Floats) -> Floats:
        """(..., reach, O, Q) -> (..., leads, O, Q), NaN beyond the network's horizon."""
        near = [h - 1 for h in self.question.leads if h <= self.question.reach]
        out = np.full((*said.shape[:-3], *self.question.shape()), np.nan)
        out[..., : len(near), :, :] = said[..., near, :, :]
        return out

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        said = replay_network(
            self.forecaster, history, begin, end, stride, delay=self.question.delay, learn=False,
            threads=self.forecaster.threads,
        )  # fmt: skip
        return self._at_leads(said)

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        reach = self.question.reach
        return self._at_leads(self.forecaster._say(history, plan[:reach], known[:reach]))

    def rows_needed(self) -> int:
        return int(self.forecaster.core_.config.context) + 1

    def to_bytes(self) -> bytes:
        return _file_bytes(self.forecaster.save)


class OnlineMember(NetworkMember):
    """The same network with weights that follow the stream."""

    def __init__(self, question: Question, forecaster: Forecaster, settings: Mapping[str, Any]) -> None:
        super().__init__(question, forecaster)
        self.settings = {"guard": 0, "threads": forecaster.threads, **settings, "delay": question.delay}
        self.learner: OnlineLearner | None = None

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        return self._at_leads(
            replay_network(self.forecaster, history, begin, end, stride, learn=True, **self.settings)
        )

    def begin(self, frame: pd.DataFrame, rows: StreamRows) -> None:
        frame = frame[self.question.tags.names].copy()
        if rows.delay:
            outputs = [frame.columns.get_loc(n) for n in self.question.tags.outputs]
            frame.iloc[-rows.delay :, outputs] = np.nan
        self.learner = OnlineLearner(self.forecaster, frame, **self.settings)
        self.resume(rows)

    def resume(self, rows: StreamRows) -> None:
        if self.learner is not None:  # a label that the stream still takes, it takes
            self.learner.core.keep_rows(2 * rows.keep)

    def observe(self, frame: pd.DataFrame, rows: StreamRows) -> pd.DataFrame | None:
        return None if self.learner is None else self.learner.observe(frame)

    def label(self, labels: pd.DataFrame, first_row: int, rows: StreamRows) -> None:
        if self.learner is not None:
            self.learner.label(labels, first_row)

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        serving = self.forecaster if self.learner is None else self.learner.forecaster
        reach = self.question.reach
        return self._at_leads(serving._say(history, plan[:reach], known[:reach]))

    def to_bytes(self) -> bytes:
        return b"" if self.learner is None else _file_bytes(self.learner.save)


class PooledMember(NetworkMember):
    """One network for all outputs, each forecast from its own past."""

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        whole = to_history(history, self.question.tags, live=True, where="EnsembleForecaster(history)")
        number = np.cumsum(np.where(np.asarray(whole.gap), 2, 1)) - 1
        said = []
        for name in self.question.tags.outputs:
            values = np.asarray(whole.values)[:, self.question.tags.names.index(name)]
            alone = pd.DataFrame({"value": values}, index=number)
            said.append(
                replay_network(
                    self.forecaster, alone, begin, end, stride, delay=self.question.delay, learn=False,
                    threads=self.forecaster.threads,
                )
            )  # fmt: skip
        return self._at_leads(np.concatenate(said, axis=2))

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        said = []
        nothing = np.empty((self.question.reach, 0))
        for name in self.question.tags.outputs:
            column = np.asarray(history.values)[:, [self.question.tags.names.index(name)]]
            alone = _core.make_history(
                core_tags(SHARED), np.ascontiguousarray(column), np.empty(0), history.gap, True
            )
            said.append(self.forecaster._say(alone, nothing, nothing))
        return self._at_leads(np.concatenate(said, axis=1))


class CorrectorMember(_Base):
    """A corrector; it takes each label as it comes.

    `model` stays as fitted on the first `rows` rows, or is fitted anew when it is asked for a past and came
    from a file; `live` follows the stream.
    """

    def __init__(self, question: Question, model: Corrector, rows: int) -> None:
        super().__init__(question)
        self.model, self.rows, self.fitted = model, rows, False
        self.live: _core.Corrector

    def fit(self, history: pd.DataFrame) -> CorrectorMember:
        self.model.fit(history, tags=self.question.tags, train_rows=self.rows)
        self.live, self.fitted = copy.copy(self.model.core_), True
        return self

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        if not self.fitted:
            live = self.live
            self.fit(history)
            self.live = live
        q = self.question
        return self.model.replay(history, begin, end, leads=q.leads, stride=stride, quantiles=q.levels)

    def observe(self, frame: pd.DataFrame, rows: StreamRows) -> pd.DataFrame | None:
        if not self.question.delay:
            history = rows.history()
            self.live.catch_up(history, history.rows, rows.first)
        return None

    def label(self, labels: pd.DataFrame, first_row: int, rows: StreamRows) -> None:
        history = rows.history()
        for row in range(first_row - rows.first, first_row - rows.first + len(labels)):
            self.live.observe(history, row, history.rows, rows.first)

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        mean, variance = self.live.forecast(history, plan, known, first)
        said = np.asarray(self.live.quantiles(mean, variance, list(self.question.levels)))
        return np.asarray(said[[h - 1 for h in self.question.leads]])

    def rows_needed(self) -> int:
        return int(self.live.rows_needed)

    def to_bytes(self) -> bytes:
        return _file_bytes(self.live.save)


class ClimatologyMember(_Base):
    """The same time of day lately."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.model = Climatology(question.tags, utc_offset=question.utc_offset, delay=question.delay)

    def replay(self, history: pd.DataFrame, begin: int, end: int, stride: int) -> Floats:
        q = self.question
        return self.model.replay(history, begin, end, leads=q.leads, stride=stride, quantiles=q.levels)

    def predict(self, history: _core.History, first: int, plan: Floats, known: Floats) -> Floats:
        q = self.question
        return np.asarray(self.model.at(history, np.array([history.rows]), q.leads, q.levels)[0])

    def rows_needed(self) -> int:
        return self.model.rows_needed(self.question.furthest)

    def to_bytes(self) -> bytes:
        return b""


def closed_form(
    name: str, question: Question, history: pd.DataFrame, rows: int, settings: Mapping[str, Any]
) -> Member:
    """A member without a network, fitted on the first `rows` rows; nothing of it is random."""
    if name == CLIMATOLOGY:
        return ClimatologyMember(question)
    return CorrectorMember(question, _corrector(name, question, settings), rows).fit(history)


def _corrector(name: str, question: Question, settings: Mapping[str, Any]) -> Corrector:
    own: dict[str, Any] = {"lags": question.lags, **settings, "delay": question.delay}
    if name == SEASONAL:
        return Corrector.seasonal(question.tags.period, **{"utc_offset": question.utc_offset, **own})
    return Corrector(**own)


def networks(
    names: tuple[str, ...], question: Question, forecaster: Forecaster, updates: Mapping[str, Any], seed: int
) -> dict[str, Member]:
    """The members that one network makes."""
    made: dict[str, Member] = {}
    if NETWORK in names:
        kind = PooledMember if question.pooled else NetworkMember
        made[NETWORK] = kind(question, forecaster)
    if ONLINE in names:
        made[ONLINE] = OnlineMember(question, forecaster, {"seed": seed, **updates})
    return made


def load_member(
    name: str,
    question: Question,
    content: bytes,
    network: Forecaster | None,
    rows: int,
    updates: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Member:
    """From what `to_bytes` gave. Raises emisopt.Error, ValueError: another content."""
    if name == CLIMATOLOGY:
        return ClimatologyMember(question)
    if name in (CORRECTOR, SEASONAL):
        corrector = CorrectorMember(question, _corrector(name, question, settings), rows)
        corrector.live = Corrector.from_bytes(content).core_
        return corrector
    if network is None:
        raise ValueError("its network is missing")
    if name == NETWORK:
        return (PooledMember if question.pooled else NetworkMember)(question, network)
    online = OnlineMember(question, network, updates)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "learner.safetensors").write_bytes(content)
        online.learner = OnlineLearner.load(Path(folder) / "learner.safetensors")
    return online


def forecaster_from(content: bytes, threads: int) -> Forecaster:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.safetensors").write_bytes(content)
        forecaster = Forecaster.load(Path(folder) / "network.safetensors")
    forecaster.set_params(threads=threads)
    return forecaster


def _file_bytes(save: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.safetensors"
        save(str(path))
        return path.read_bytes()
