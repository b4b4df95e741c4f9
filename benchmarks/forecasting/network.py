"""emisopt's forecaster as it would be used: fitted before the test, weights moved by what comes, a corrector
beside it. One set of settings for all tasks; what differs follows from a task's numbers (steps, season).

Twice: fitted on the training rows and run through the validation rows, which chooses the steps and the blend;
then fitted on both and run through the test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.forecasting.task import Floats, Task
from emisopt import Corrector, Forecaster, blend_weights, run_online

MOST_STEPS = 168  # of a network's horizon; beyond it the corrector answers alone
TOKENS = 96  # of a context, about


@dataclass(frozen=True)
class Network:
    """A model for `ours.py`: network and corrector, each of which may be left out.

    online : whether the weights follow the stream;   beside : whether the corrector is blended in
    settings : of the Forecaster, updates : of the learner
    """

    online: bool = True
    beside: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    updates: dict[str, Any] = field(default_factory=dict)
    threads: int = 0

    def __call__(self, task: Task, seed: int = 0) -> Floats:
        steps = [h for h in task.steps if h <= MOST_STEPS]
        trial = replace(
            task,
            validation_rows=0,
            origins=validation_origins(task),
            history=task.history.iloc[: task.fit_rows],
        )
        first, best = self.fit(task, seed, task.train_rows, task.validation_rows)
        forecast = self.run(first, trial, steps, seed)
        if not self.beside:
            return self.run(self.fit(task, seed, task.fit_rows, 0, best)[0], task, steps, seed)
        other = corrected(trial)
        share = self.shares(trial, forecast, other)
        network = self.run(self.fit(task, seed, task.fit_rows, 0, best)[0], task, steps, seed)
        return blend(network, corrected(task), share)

    def fit(
        self, task: Task, seed: int, train_rows: int, validation_rows: int, steps: int = 0
    ) -> tuple[Forecaster, int]:
        horizon = max(h for h in task.steps if h <= MOST_STEPS)
        context, patch = lengths(horizon)
        options: dict[str, Any] = {
            "context": context, "horizon": horizon, "patch": patch, "quantiles": task.levels,
            "season": task.season if task.tags.period > 0 and 2 * task.season <= context else 0,
            "steps": steps or 1500, "input_shift": 0.8, "slope_shift": 0.3, "unknown_plan": 0.0,
            "seed": seed, "threads": self.threads, **self.settings,
        }  # fmt: skip
        if steps:
            options["steps"] = steps
        forecaster = Forecaster(**options)
        forecaster.fit(
            task.history,
            tags=task.tags,
            train_rows=train_rows,
            validation_rows=validation_rows,
            progress=False,
        )
        return forecaster, max(100, int(forecaster.training_["best_step"]))

    def run(self, forecaster: Forecaster, task: Task, steps: list[int], seed: int) -> Floats:
        begin, end = int(task.origins.min()), int(task.origins.max()) + 1
        stride = math.gcd(*np.diff(task.origins).tolist()) if len(task.origins) > 1 else 1
        options: dict[str, Any] = {"guard": 0, "threads": self.threads, "seed": seed, **self.updates}
        end = min(end, len(task.history))
        run = run_online(forecaster, task.history, begin, end, stride=stride, learn=self.online, **options)
        out = np.full(task.shape(), np.nan)
        rows = (task.origins - begin) // stride
        for i, h in enumerate(task.steps):
            if h in steps:
                out[:, i] = run.quantiles[rows, h - 1]
        return out

    @staticmethod
    def shares(task: Task, network: Floats, corrector: Floats) -> Floats:
        """(steps, O) of the network in the blend that errs least on the validation rows."""
        share = np.zeros(network.shape[1:3])
        truth = task.truth
        for o in range(share.shape[1]):
            for block in blocks(task.steps):  # neighbouring steps share a weight
                y = truth[:, block, o].ravel()
                pair = [f[:, block, o, task.median].ravel() for f in (network, corrector)]
                if np.isfinite(pair[0]).any():
                    share[block, o] = blend_weights(y, pair)[0]
        return share


def lengths(horizon: int) -> tuple[int, int]:
    """Context and patch for a horizon: four horizons back, in about TOKENS tokens."""
    context = min(4 * horizon, 512)
    patch = max(1, round(context / TOKENS))
    return max(TOKENS, context // patch * patch), patch


def blocks(steps: tuple[int, ...]) -> list[list[int]]:
    """Places of steps, in groups that double in length: 1, 2, 3-4, 5-8 ..."""
    groups: dict[int, list[int]] = {}
    for i, h in enumerate(steps):
        groups.setdefault(math.ceil(math.log2(h)) if h > 1 else 0, []).append(i)
    return list(groups.values())


def validation_origins(task: Task) -> np.ndarray[Any, np.dtype[np.int64]]:
    spacing = int(np.median(np.diff(task.origins))) if len(task.origins) > 1 else 1
    last = task.fit_rows - min(max(task.steps), MOST_STEPS)
    return np.arange(task.train_rows, last + 1, spacing)


def corrected(task: Task) -> Floats:
    model = Corrector(lags=task.lags)
    model.fit(task.history, tags=task.tags, train_rows=task.fit_rows)
    begin, end = int(task.origins.min()), int(task.origins.max()) + 1
    stride = math.gcd(*np.diff(task.origins).tolist()) if len(task.origins) > 1 else 1
    forecast = model.replay(task.history, begin, end, leads=task.steps, stride=stride, quantiles=task.levels)
    return np.asarray(forecast[(task.origins - begin) // stride])


def blend(network: Floats, corrector: Floats, share: Floats) -> Floats:
    """Quantiles averaged level by level, so that they cannot cross; without a network, the corrector's."""
    share = np.where(np.isnan(network), 0.0, share[None, :, :, None])
    return share * np.nan_to_num(network) + (1 - share) * corrector
