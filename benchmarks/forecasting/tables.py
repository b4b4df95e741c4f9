"""Runs models on a task and puts their scores side by side: one DataFrame per table, one row per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.forecasting import cached
from benchmarks.forecasting.ours import Seeded
from benchmarks.forecasting.task import Floats, Model, Task, checked
from benchmarks.harness import Row

Score = Callable[[Task, Floats], Mapping[str, float]]
SEEDS = 5


@dataclass(frozen=True)
class Table:
    """Scores of all models on one task.

    Attributes
    ----------
    task : what was forecast
    scores : DataFrame (models, scores), ours first; of a model with seeds the mean
    spread : the standard deviation over seeds, NaN where there is one
    forecasts : model -> (n, H, O, Q), of ours that of seed 0
    ours : names of the models under test
    """

    task: Task
    scores: pd.DataFrame
    spread: pd.DataFrame
    forecasts: dict[str, Floats] = field(repr=False)
    ours: tuple[str, ...]

    @property
    def main(self) -> str:
        """The model that RESULT lines call ours."""
        return self.ours[0]

    def best(self, score: str, better: str = "lower") -> str:
        """The best baseline."""
        others = self.scores.drop(index=list(self.ours))[score]
        return str(others.idxmin() if better == "lower" else others.idxmax())

    def row(
        self, case: str, metric: str, score: str, *, better: str = "lower", unit: str = "", note: str = ""
    ) -> Row:
        """Ours beside the best baseline; the note names all others with their scores, those ahead of us
        too."""
        best = self.best(score, better)
        column = self.scores[score].sort_values(ascending=better == "lower")
        others = ", ".join(f"{n} {v:.4g}" for n, v in column.items() if n not in (self.main, best))
        sd = self.spread.loc[self.main, score]
        text = (f"±{sd:.2g} over seeds; " if np.isfinite(sd) else "") + (f"{note}; " if note else "") + others
        return Row(
            case,
            metric,
            float(self.scores.loc[self.main, score]),
            float(self.scores.loc[best, score]),
            best.replace(" ", "_"),
            unit=unit,
            better=better,
            note=text,
        )  # type: ignore[arg-type]

    def text(self) -> str:
        """For people."""
        with pd.option_context(
            "display.width", 200, "display.max_columns", 40, "display.float_format", "{:.4g}".format
        ):
            return f"{self.task.name}\n{self.scores.to_string()}\n"


def run(
    task: Task, baselines: Mapping[str, Model], ours: Mapping[str, Seeded], score: Score, seeds: int = SEEDS
) -> Table:
    """Baselines from the cache or computed once; the models under test always computed.

    A row is scored for every model alike: a value that some model has no forecast for is an error here,
    unless the truth is missing.
    """
    forecasts: dict[str, Floats] = {}
    scores: dict[str, Mapping[str, float]] = {}
    spread: dict[str, Mapping[str, float]] = {}
    for name, model in ours.items():
        each = []
        for seed in range(seeds):
            forecast = checked(model(task, seed), task, name)
            _complete(task, forecast, name)
            forecasts.setdefault(name, forecast)
            each.append(pd.Series(score(task, forecast)))
        table = pd.DataFrame(each)
        scores[name] = table.mean()
        spread[name] = table.std(ddof=1)
    for name, baseline in baselines.items():
        forecasts[name], seconds = cached.forecast(name, baseline, task)
        _complete(task, forecasts[name], name)
        scores[name] = {**score(task, forecasts[name]), "seconds": seconds}
    table = Table(task, pd.DataFrame(scores).T, pd.DataFrame(spread).T, forecasts, tuple(ours))
    _write(table)
    return table


def _complete(task: Task, forecast: Floats, name: str) -> None:
    lacking = np.isfinite(task.truth) & ~np.isfinite(forecast).all(axis=-1)
    if lacking.any():
        raise ValueError(f"{name} on {task.name}: {int(lacking.sum())} measured values without a forecast")


def _write(table: Table) -> None:
    """The whole table beside the cache, for docs/accuracy.md."""
    path = Path(cached.folder()) / f"{table.task.name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table.text(), encoding="utf-8")
