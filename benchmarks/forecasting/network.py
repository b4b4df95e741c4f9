"""emisopt as it would be used: a network whose weights follow the stream, closed-form members beside it,
each held at the weight that served best before the test. One set of settings for all tasks; what differs
follows from a task's own numbers: rows, horizon, season, whether anything of the coming rows is known.

Twice: fitted on the training rows and run through the validation rows, which chooses the steps and the
weights; then fitted on both and run through the test.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting.baseline_simple import Climatology
from benchmarks.forecasting.task import Floats, Task
from emisopt import Corrector, Forecaster, TagMap, blend_weights, run_online
from emisopt.monitor import ConformalCorrector
from emisopt.tags import Tag

MOST_STEPS = 168  # of a network's horizon; beyond it the other members answer alone
MOST_LATE = 24  # the same where single steps are forecast: labels so many rows late
MOST_CONTEXT = 512
TOKENS = 96  # of a context, about
FEW_WINDOWS = 50  # below it outputs share their weights
PRIOR_WINDOWS = 30  # that the prior weights count as much as
POWER = 6
MOST_WINDOWS = 90  # that weights are chosen on, where windows do not overlap
LEAST_WEIGHT = 0.03  # of a member on average; below it, it is left out
_CHOSEN: dict[str, tuple[int, Floats, tuple[Floats, ...]]] = {}
_RUNS: dict[str, tuple[pd.DataFrame, list[Floats]]] = {}
_KEPT: dict[str, tuple[pd.DataFrame, Floats]] = {}


@dataclass(frozen=True)
class Network:
    """A model for `ours.py`.

    beside : whether other members are blended in, and both frozen and moving weights
    intervals : whether they are kept at their cover by what came (adaptive conformal), where a forecast is
        issued every row
    online : without them: whether the weights follow the stream
    settings : of the Forecaster, updates : of the learner
    """

    beside: bool = True
    intervals: bool = True
    online: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    updates: dict[str, Any] = field(default_factory=dict)
    threads: int = 1

    def __call__(self, task: Task, seed: int = 0) -> Floats:
        best, weights, earlier = self.chosen(task)
        runs = self.runs_of(task, seed, best)
        if self.beside:
            forecast = blend([*runs, *others(task, weights)], weights)
            return kept_at_cover(task, forecast, *earlier) if self.intervals and earlier else forecast
        alone = runs[-1 if self.online else 0]
        return np.where(np.isnan(alone), by_corrector(task), alone) if np.isnan(alone).any() else alone

    def runs_of(self, task: Task, seed: int, steps: int) -> list[Floats]:
        """Of the network fitted on all rows before the test; kept, for the models that differ in what stands
        beside it."""
        settings = (self.settings, self.updates)
        key = str((task.key, task.name, task.steps, len(task.origins), seed, steps, settings))
        if key not in _RUNS:
            network = self.fit(task, seed, task.fit_rows, 0, steps)[0]
            _RUNS[key] = task.history, self.runs(network, task, seed)
        if _RUNS[key][0] is not task.history:
            del _RUNS[key]
            return self.runs_of(task, seed, steps)
        return _RUNS[key][1]

    def chosen(self, task: Task) -> tuple[int, Floats, tuple[Floats, ...]]:
        """Steps and weights, found once with seed 0; they serve all seeds. And, where there is a forecast
        every row, the blend of the validation rows and what came."""
        before_test = task.values[: task.fit_rows].tobytes()
        settings = (task.name, task.steps, self.settings, self.updates)
        key = hashlib.sha256(before_test).hexdigest() + str(settings)
        if key not in _CHOSEN:
            trial = before(task)
            network, best = self.fit(task, 0, task.train_rows, task.validation_rows)
            members = [*self.runs(network, trial, 0), *others(trial)]
            weights = shares(trial, members)
            every = len(trial.origins) > 1 and (np.diff(trial.origins) == 1).all() and not pooled(task)
            _CHOSEN[key] = best, weights, (blend(members, weights), trial.truth) if every else ()
        return _CHOSEN[key]

    def fit(
        self, task: Task, seed: int, train_rows: int, validation_rows: int, steps: int = 0
    ) -> tuple[Forecaster, int]:
        """A network and the number of steps that it took; with validation rows, the best number."""
        horizon = reach(task)
        context, patch = lengths(horizon)
        shared = pooled(task)
        rows = train_rows * (len(task.outputs) if shared else 1)
        options: dict[str, Any] = {
            "context": context, "horizon": horizon, "patch": patch, "quantiles": task.levels,
            "season": task.season if stamped(task) and 2 * task.season <= context else 0,
            "steps": steps or 1500, "patience": 0 if steps else 6, "validate_every": 50,
            "rate": 2e-3 * min(1.0, math.sqrt(rows / 10_000)), "level_shift": 0.0 if shared else 1.0,
            "input_shift": 0.8, "slope_shift": 0.3, "unknown_plan": 0.0,
            "seed": seed, "threads": self.threads, **self.settings,
        }  # fmt: skip
        if len(task.levels) == 1:
            options["loss"] = "squared"
        history, tags, factor = task.history, task.tags, 1
        if shared:
            history, tags, factor = stacked(task, train_rows, validation_rows), SHARED, len(task.outputs)
        forecaster = Forecaster(**options)
        forecaster.fit(
            history,
            tags=tags,
            train_rows=factor * train_rows,
            validation_rows=factor * validation_rows,
            progress=False,
        )
        return forecaster, max(50, int(forecaster.training_["best_step"]))

    def runs(self, forecaster: Forecaster, task: Task, seed: int) -> list[Floats]:
        """With weights that stay, and with weights that follow the stream."""
        learn = [False] if pooled(task) else [False, True]
        return [self.run(forecaster, task, seed, each) for each in learn]

    def run(self, forecaster: Forecaster, task: Task, seed: int, learn: bool) -> Floats:
        """Forecasts (task.shape()), NaN beyond the network's horizon."""
        begin = int(task.origins.min())
        end = min(int(task.origins.max()) + 1, len(task.history))
        stride = math.gcd(*np.diff(task.origins).tolist()) if len(task.origins) > 1 else 1
        rows = (task.origins - begin) // stride
        steps = [i for i, h in enumerate(task.steps) if h <= reach(task)]
        ahead = [task.steps[i] - 1 for i in steps]
        out = np.full(task.shape(), np.nan)
        options: dict[str, Any] = {"guard": 0, "threads": self.threads, "seed": seed, **self.updates}
        if not pooled(task):
            run = run_online(forecaster, task.history, begin, end, stride=stride, learn=learn, **options)
            out[:, steps] = run.quantiles[rows][:, ahead]
            return out
        for o, name in enumerate(task.outputs):
            alone = pd.DataFrame({"value": task.history[name].to_numpy(dtype=float)})
            run = run_online(forecaster, alone, begin, end, stride=stride, learn=False, **options)
            out[:, steps, o] = run.quantiles[rows][:, ahead, 0]
        return out


# ---- one network for all outputs ------------------------------------------------------------------------

SHARED = TagMap((Tag("value", "", "quality"),))


def stamped(task: Task) -> bool:
    return task.tags.period > 0


def reach(task: Task) -> int:
    """The network's horizon: all steps of a window; of single steps, those that are not far."""
    most = MOST_STEPS if len(task.steps) >= max(task.steps) // 12 else MOST_LATE
    return max(h for h in task.steps if h <= most)


def pooled(task: Task) -> bool:
    """Where nothing but the outputs' own past is given, all outputs teach one network, each from its past
    alone ("channel independence", Nie et al. 2023)."""
    return len(task.outputs) > 1 and len(task.tags.outputs) == len(task.tags.names)


def stacked(task: Task, train_rows: int, validation_rows: int) -> pd.DataFrame:
    """(O (train + validation),) the training rows of all outputs, then their validation rows."""
    values = task.values
    parts = [values[:train_rows].T.ravel(), values[train_rows : train_rows + validation_rows].T.ravel()]
    return pd.DataFrame({"value": np.concatenate(parts)})


# ---- members beside it ----------------------------------------------------------------------------------


def before(task: Task) -> Task:
    """The validation rows as a test: nothing of the test is in it."""
    spacing = int(np.median(np.diff(task.origins))) if len(task.origins) > 1 else 1
    last = task.fit_rows - min(max(task.steps), MOST_STEPS)
    if spacing > 1:
        spacing *= max(1, (last - task.train_rows) // spacing // MOST_WINDOWS)
    return replace(
        task,
        validation_rows=0,
        train_rows=task.train_rows,
        origins=np.arange(task.train_rows, last + 1, spacing),
        history=task.history.iloc[: task.fit_rows],
    )


def others(task: Task, weights: Floats | None = None) -> list[Floats]:
    """Members without a network: closed form, the same for every seed, so made once. With weights, those that
    have none are not made (zeros)."""
    if pooled(task):
        return []
    makers: list[tuple[str, Callable[[], Floats]]] = []
    if stamped(task):
        makers += [("seasonal", lambda: corrected(task, seasonal(task)))]
        makers += [("slots", lambda: Climatology()(task))]
    makers += [("corrector", lambda: by_corrector(task))]
    wanted = np.ones(len(makers)) if weights is None else weights[-len(makers) :].max(axis=(1, 2))
    nothing = np.zeros(task.shape())
    return [kept(task, *m) if w > 0 else nothing for m, w in zip(makers, wanted, strict=True)]


def by_corrector(task: Task) -> Floats:
    """The corrector with its defaults."""
    return kept(task, "plain", lambda: corrected(task, Corrector(lags=task.lags)))


def kept(task: Task, name: str, make: Callable[[], Floats]) -> Floats:
    """What a member said of this very history before, or says now."""
    key = str((name, task.name, task.fit_rows, task.steps, task.origins.tobytes()))
    if key not in _KEPT or _KEPT[key][0] is not task.history:
        _KEPT[key] = task.history, make()
    return _KEPT[key][1]


def seasonal(task: Task) -> Corrector:
    return Corrector.seasonal(task.tags.period, utc_offset=task.utc_offset, lags=task.lags)


def corrected(task: Task, model: Corrector) -> Floats:
    model.fit(task.history, tags=task.tags, train_rows=task.fit_rows)
    begin, end = int(task.origins.min()), int(task.origins.max()) + 1
    stride = math.gcd(*np.diff(task.origins).tolist()) if len(task.origins) > 1 else 1
    forecast = model.replay(task.history, begin, end, leads=task.steps, stride=stride, quantiles=task.levels)
    return np.asarray(forecast[(task.origins - begin) // stride])


# ---- the blend ------------------------------------------------------------------------------------------


def shares(task: Task, members: list[Floats]) -> Floats:
    """(members, steps, O) weights, >= 0 with sum 1, of the blend that errs least on the validation rows.

    Neighbouring steps share weights; with fewer than FEW_WINDOWS windows, so do all outputs. Weights that
    fall with a power of each member's own error count as much as PRIOR_WINDOWS windows.
    """
    steps, outputs = members[0].shape[1:3]
    weights = np.zeros((len(members), steps, outputs))
    span = int(task.origins.max() - task.origins.min()) + 1
    truth = task.truth
    scale = np.nanmean(np.abs(truth - np.nanmedian(truth, axis=(0, 1))), axis=(0, 1))
    for block in blocks(task.steps):
        usable = [m for m, f in enumerate(members) if np.isfinite(f[:, block]).any()]
        windows = max(1.0, min(len(task.origins), span / task.steps[block[-1]]))
        alone = windows >= FEW_WINDOWS
        for group in [[o] for o in range(outputs)] if alone else [list(range(outputs))]:
            pick = np.ix_(range(len(truth)), block, group)
            y = (truth[pick] / scale[group]).ravel()
            each = [(members[m][..., task.median][pick] / scale[group]).ravel() for m in usable]
            count = windows * (1 if alone else outputs)
            merit = np.array([np.nanmean(np.abs(f - y)) for f in each]) ** -POWER
            prior = PRIOR_WINDOWS * merit / merit.sum()
            fitted = (count * blend_weights(y, each) + prior) / (count + PRIOR_WINDOWS)
            for m, w in zip(usable, fitted, strict=True):
                weights[np.ix_([m], block, group)] = w
    weights[weights.mean(axis=(1, 2)) < LEAST_WEIGHT] = 0
    return weights / weights.sum(axis=0)


def blend(members: list[Floats], weights: Floats) -> Floats:
    """Quantiles averaged level by level, so that they cannot cross; where one member says nothing (a network,
    too soon after a gap) the others share its weight."""
    total, result = np.zeros(members[0].shape), np.zeros(members[0].shape)
    for forecast, w in zip(members, weights, strict=True):
        there = np.where(np.isnan(forecast), 0.0, w[None, :, :, None])
        result += there * np.nan_to_num(forecast)
        total += there
    with np.errstate(invalid="ignore"):
        return result / total


def kept_at_cover(task: Task, forecast: Floats, before: Floats, came: Floats) -> Floats:
    """Intervals corrected by how many of the newest labels they held, those of the validation rows first. A
    label is used from the row on at which it is known: h rows after its forecast was issued."""
    out = np.empty_like(forecast)
    for i, h in enumerate(task.steps):
        corrector = ConformalCorrector(delay=h - 1)
        fans = np.concatenate([before[:, i : i + 1], forecast[:, i : i + 1]])
        truth = np.concatenate([came[:, i], task.truth[:, i]])
        fixed = corrector.replay(fans, truth, outputs=task.outputs, levels=task.levels)
        out[:, i] = fixed[len(before) :, 0]
    return out


def lengths(horizon: int) -> tuple[int, int]:
    """Context and patch for a horizon: some horizons back, in about TOKENS tokens."""
    context = min(4 * horizon, MOST_CONTEXT) if horizon <= MOST_LATE else min(6 * horizon, MOST_CONTEXT)
    patch = max(1, round(context / TOKENS))
    return max(TOKENS, context // patch * patch), patch


def blocks(steps: tuple[int, ...]) -> list[list[int]]:
    """Places of steps, in groups that double in length: 1, 2, 3-4, 5-8 ..."""
    groups: dict[int, list[int]] = {}
    for i, h in enumerate(steps):
        groups.setdefault(math.ceil(math.log2(h)) if h > 1 else 0, []).append(i)
    return list(groups.values())
