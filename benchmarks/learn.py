"""Learning: how long a plant-year takes to train, and in how much memory."""

from __future__ import annotations

from benchmarks import train_time
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    return train_time.rows(quick)
