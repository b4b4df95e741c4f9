"""The models under test. Whatever is added to `models()` is scored beside every baseline, with five seeds
where it is random: a name and a callable of (task, seed) that issues forecasts as `task.py` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.forecasting.task import Floats, Task
from emisopt import Corrector

Seeded = Callable[[Task, int], Floats]


def corrector(task: Task, seed: int = 0, **settings: object) -> Floats:
    """emisopt.Corrector with its defaults: fitted before the test, then label by label."""
    model = Corrector(lags=task.lags, seed=seed, **settings)  # type: ignore[arg-type]
    model.fit(task.history, tags=task.tags, train_rows=task.fit_rows)
    begin, end = int(task.origins.min()), int(task.origins.max()) + 1
    every = task.origins[1:] - task.origins[:-1]
    stride = int(every[0]) if len(every) and (every == every[0]).all() else 1
    forecast = model.replay(task.history, begin, end, leads=task.steps, stride=stride, quantiles=task.levels)
    return forecast[(task.origins - begin) // stride]


def models() -> Mapping[str, Seeded]:
    """Name -> model. The first is the one that RESULT lines call ours."""
    return {"corrector": corrector}
