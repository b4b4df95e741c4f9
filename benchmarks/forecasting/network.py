"""emisopt as it is used: `emisopt.EnsembleForecaster` with its defaults, asked as `task.py` asks; and its
members by themselves."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting.task import Floats, Task
from emisopt import Corrector, EnsembleForecaster, Forecaster
from emisopt._ensemble_members import fit_network, networks
from emisopt._ensemble_rules import CORRECTOR, NETWORK, ONLINE, Question
from emisopt.ensemble import EnsembleChoice, EnsembleRun

_CHOSEN: dict[str, EnsembleChoice] = {}
_RUNS: dict[str, tuple[pd.DataFrame, EnsembleForecaster, EnsembleRun]] = {}
_ALONE: dict[str, tuple[pd.DataFrame, Floats]] = {}


@dataclass(frozen=True)
class Network:
    """A model for `ours.py`.

    beside : the whole ensemble; else its network alone (with the corrector where it does not reach)
    intervals : whether they are kept at their cover by what came
    online : without the others: whether the weights follow the stream
    settings : of the Forecaster, updates : of the learner
    """

    beside: bool = True
    intervals: bool = True
    online: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    updates: dict[str, Any] = field(default_factory=dict)
    threads: int = 1

    def __call__(self, task: Task, seed: int = 0) -> Floats:
        ensemble, run = self.run_of(task, seed)
        if self.beside:
            return at_origins(task, run.quantiles if self.intervals else run.raw)
        alone = at_origins(task, self.alone(task, ensemble, run, seed))
        return np.where(np.isnan(alone), by_corrector(task), alone) if np.isnan(alone).any() else alone

    def run_of(self, task: Task, seed: int) -> tuple[EnsembleForecaster, EnsembleRun]:
        """The ensemble fitted on all rows before the test, run through it; kept, for the models that differ
        in what is looked at. Steps and weights are found once with seed 0; they serve all seeds, as do the
        members that nothing is random in."""
        settings = str((task.name, task.steps, self.settings, self.updates))
        origins = hashlib.sha256(task.origins.tobytes()).hexdigest()
        key = f"{task.key} {settings} {origins}"
        if (kept := _RUNS.get(f"{key} {seed}")) is not None and kept[0] is task.history:
            return kept[1:]
        chosen = hashlib.sha256(task.values[: task.fit_rows].tobytes()).hexdigest() + settings
        ensemble = self.estimator(task, seed if chosen in _CHOSEN else 0)
        ensemble.fit(
            task.history, tags=task.tags, train_rows=task.train_rows, validation_rows=task.validation_rows,
            choice=_CHOSEN.get(chosen), progress=False,
        )  # fmt: skip
        if chosen not in _CHOSEN:
            _CHOSEN[chosen] = ensemble.choice_
            if seed:
                return self.run_of(task, seed)
        first = _RUNS.get(f"{key} 0")
        reuse = {} if first is None or first[0] is not task.history else first[2].members
        run = ensemble.backtest(
            task.history, *span(task)[:2], stride=span(task)[2],
            reuse={n: f for n, f in reuse.items() if n not in (NETWORK, ONLINE)},
        )  # fmt: skip
        _RUNS[f"{key} {seed}"] = task.history, ensemble, run
        if CORRECTOR in run.members:
            _ALONE[corrector_key(task)] = task.history, at_origins(task, run.members[CORRECTOR])
        return ensemble, run

    def estimator(self, task: Task, seed: int) -> EnsembleForecaster:
        return EnsembleForecaster(
            horizon=task.steps, quantiles=task.levels, stride=spacing(task), lags=task.lags,
            utc_offset=task.utc_offset, network=self.settings, updates=self.updates, threads=self.threads,
            seed=seed,
        )  # fmt: skip

    def alone(self, task: Task, ensemble: EnsembleForecaster, run: EnsembleRun, seed: int) -> Floats:
        """The network's own forecasts; made here where they have no weight in the ensemble."""
        question = question_of(task)
        name = ONLINE if self.online and not question.pooled else NETWORK
        if name in run.members:
            return run.members[name]
        forecaster = ensemble.network_
        if forecaster is None:
            forecaster = self.fit(task, seed, task.fit_rows, 0, ensemble.steps_)[0]
        member = networks((name,), question, forecaster, self.updates, seed)[name]
        return member.replay(task.history, *span(task))

    def fit(
        self, task: Task, seed: int, train_rows: int, validation_rows: int, steps: int = 0
    ) -> tuple[Forecaster, int]:
        """A network and the number of steps that it took; with validation rows, the best number."""
        return fit_network(
            question_of(task), task.history, train_rows, validation_rows, steps=steps, seed=seed,
            threads=self.threads, settings=self.settings,
        )  # fmt: skip


def question_of(task: Task) -> Question:
    return Question(
        task.tags, task.steps, task.levels, stride=spacing(task), lags=task.lags, utc_offset=task.utc_offset
    )


def spacing(task: Task) -> int:
    return int(np.median(np.diff(task.origins))) if len(task.origins) > 1 else 1


def span(task: Task) -> tuple[int, int, int]:
    """First origin, end, and stride of a run that meets all origins."""
    stride = math.gcd(*np.diff(task.origins).tolist()) if len(task.origins) > 1 else 1
    return int(task.origins.min()), min(int(task.origins.max()) + 1, len(task.history)), stride


def at_origins(task: Task, forecast: Floats) -> Floats:
    begin, _, stride = span(task)
    return np.asarray(forecast[(task.origins - begin) // stride])


def by_corrector(task: Task) -> Floats:
    """The corrector with its defaults, kept for this very history."""
    key = corrector_key(task)
    if key not in _ALONE or _ALONE[key][0] is not task.history:
        model = Corrector(lags=task.lags).fit(task.history, tags=task.tags, train_rows=task.fit_rows)
        begin, end, stride = span(task)
        said = model.replay(
            task.history, begin, end, leads=task.steps, stride=stride, quantiles=task.levels
        )  # fmt: skip
        _ALONE[key] = task.history, at_origins(task, said)
    return _ALONE[key][1]


def corrector_key(task: Task) -> str:
    return str((task.name, task.fit_rows, task.steps, task.lags, task.origins.tobytes()))
