"""Permits and monitors: rules judged, signals watched; beside what a skilled user writes."""

from __future__ import annotations

from benchmarks import drift_batch, permit_year
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    return [*permit_year.rows(quick), *drift_batch.rows(quick)]
