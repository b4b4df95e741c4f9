"""Permits and monitors: rules judged, signals watched; beside what a skilled user writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import drift_batch, fault_study, permit_break, permit_year, sensor_speed, tep_detection
from benchmarks.harness import Row

Part = Callable[[bool, Sequence[str]], list[Row]]
PARTS: tuple[Part, ...] = (
    permit_year.rows,
    permit_break.rows,
    drift_batch.rows,
    tep_detection.rows,
    fault_study.rows,
    sensor_speed.rows,
)


def run(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """All cases, or those that match one of the patterns: no part works for a case that is not wanted."""
    return [row for part in PARTS for row in part(quick, cases)]
