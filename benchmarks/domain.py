"""Permits and monitors: rules judged, signals watched; beside what a skilled user writes."""

from __future__ import annotations

from benchmarks import drift_batch, fault_study, permit_year, tep_detection
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    parts = (permit_year, drift_batch, tep_detection, fault_study)
    return [row for part in parts for row in part.rows(quick)]
