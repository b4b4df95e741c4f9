"""Permits and monitors: rules judged, signals watched; beside what a skilled user writes."""

from __future__ import annotations

from benchmarks import drift_batch, fault_study, permit_break, permit_year, tep_detection
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    parts = (
        permit_year.rows,
        permit_break.permit_break,
        drift_batch.rows,
        tep_detection.rows,
        fault_study.rows,
    )
    return [row for part in parts for row in part(quick)]
