"""Suite domain, drift: equal alarms are asserted, a missing river is an unmet row, not an absent one.

river itself is not needed here: what stands in for it gives our own alarms one value at a time. Its
real alarms are in tests/golden/drift.csv, and the suite compares them again whenever it runs.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types

import numpy as np
import pytest

from benchmarks import drift_batch
from emisopt.monitor import DriftBank

SMALL = [dataclasses.replace(case, rows=1500, sample=2) for case in drift_batch.CASES]


class OneByOne:
    def __init__(self, kind: str, **options: object) -> None:
        self.bank = DriftBank(kind, ["x"], **options)
        self.drift_detected = False

    def update(self, value: float) -> None:
        self.drift_detected = len(self.bank.push(np.array([[value]]))) > 0


@pytest.fixture(autouse=True)
def few_tags(monkeypatch):
    make = drift_batch.make_tags
    monkeypatch.setattr(drift_batch, "make_tags", lambda count: make(count, 6))


@pytest.fixture
def stand_in(monkeypatch):
    drift = types.SimpleNamespace(
        KSWIN=lambda **options: OneByOne("kswin", **options),
        ADWIN=lambda: OneByOne("adwin"),
        PageHinkley=lambda: OneByOne("page_hinkley"),
    )
    module = types.ModuleType("river")
    module.drift, module.__version__ = drift, "stand-in"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "river", module)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_alarms_are_compared_and_both_sides_timed(case, stand_in) -> None:
    row = drift_batch.row_of(case, quick=True)
    assert (row.case, row.metric, row.peer_name) == (case.name, "time", "river")
    assert row.ratio > 0
    assert "river stand-in on 2 tags" in row.note


def test_different_alarms_fail_the_row(stand_in) -> None:
    wrong = dataclasses.replace(SMALL[1], options={"delta": 0.9}, rows=7500)
    with pytest.raises(AssertionError, match="adwin-batch: tag 0: our alarms"):
        drift_batch.row_of(wrong, quick=True)


def test_without_river_the_row_is_unmet(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    row = drift_batch.row_of(SMALL[0], quick=True)
    assert row.peer is None
    assert math.isnan(row.ratio)
    assert "peer missing: river" in row.note
