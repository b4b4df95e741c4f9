"""Permits and monitors: rules judged, signals watched; beside what a skilled user writes."""

from __future__ import annotations

from benchmarks import fault_study, permit_year, sensor_speed, tep_detection
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    return [
        *permit_year.rows(quick),
        *tep_detection.rows(quick),
        *fault_study.rows(quick),
        *sensor_speed.rows(quick),
    ]
