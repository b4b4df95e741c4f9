"""The models under test. Whatever is added to `models()` is scored beside every baseline, with five seeds: a
name and a callable of (task, seed) that issues forecasts as `task.py` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.forecasting.network import Network, by_corrector
from benchmarks.forecasting.task import Floats, Task

RAW = "emisopt, raw intervals"
Seeded = Callable[[Task, int], Floats]


def corrector(task: Task, seed: int = 0) -> Floats:
    """emisopt.Corrector with its defaults: fitted before the test, then label by label. Nothing random."""
    return by_corrector(task)


def models() -> Mapping[str, Seeded]:
    """Name -> model. The first is the one that RESULT lines call ours."""
    return {
        "emisopt": Network(),
        RAW: Network(intervals=False),
        "network online": Network(beside=False),
        "network frozen": Network(beside=False, online=False),
        "corrector": corrector,
    }
