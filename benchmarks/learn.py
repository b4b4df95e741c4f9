"""Learning: training and online steps beside PyTorch, how long a plant-year takes to train, its memory."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks import engine, train_time
from benchmarks.harness import Row


def run(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    rows = engine.learning(quick, cases, peers)
    if not cases or any(fnmatchcase("train-hour-year", p) for p in cases):
        rows += train_time.rows(quick)
    return rows
