"""Suite `mpc`: the faults bite and are counted, the boiler's figures are the issue's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import loop, mpc
from benchmarks.mpc_cases import boiler, faults


@pytest.fixture(scope="module")
def forecaster() -> Any:
    return faults.small_forecaster(quick=True)


@pytest.mark.parametrize("name", ["nan-sensors", "past-limit", "interrupted", "deadline-0.2ms"])
def test_no_fault_breaks_the_contract(forecaster: Any, name: str) -> None:
    fault = next(f for f in faults.FAULTS if f.name == name)
    count = faults.run_fault(fault, forecaster, 42)
    assert count.ticks == 42
    assert (count.raised, count.illegal, count.wrong_status) == (0, 0, 0), count


def test_a_broken_controller_would_be_counted(forecaster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = faults.Controller.step

    def bad(self: Any, *args: Any, **kwargs: Any) -> Any:
        decision = step(self, *args, **kwargs)
        decision.move["o2_sp"] += 5.0
        return decision

    monkeypatch.setattr(faults.Controller, "step", bad)
    count = faults.run_fault(faults.FAULTS[0], forecaster, 3)
    assert count.illegal == 3

    def worse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(faults.Controller, "step", worse)
    assert faults.run_fault(faults.FAULTS[0], forecaster, 3).raised == 3


def test_a_fault_that_does_not_bite_counts_as_wrong(forecaster: Any) -> None:
    toothless = faults.Fault("toothless", expected=frozenset({"SAFE_RAMP"}))
    assert faults.run_fault(toothless, forecaster, 2).wrong_status == 1


def test_shares_of_the_room_and_of_the_hours() -> None:
    def summary(total: float, hours: float) -> SimpleNamespace:
        return SimpleNamespace(total_eur=total, hours=48.0, hours_above_permit=hours, illegal_moves=0)

    rows = boiler.score(
        {
            boiler.CASE: [summary(101.0, 0.96), summary(102.0, 0.0)],  # type: ignore[list-item]
            loop.OPERATOR: [summary(110.0, 2.0), summary(110.0, 2.0)],  # type: ignore[list-item]
            loop.ORACLE: [summary(100.0, 0.0), summary(100.0, 0.0)],  # type: ignore[list-item]
        }
    )
    found = {r.metric: r.ours for r in rows}
    assert found["gap_closed"] == pytest.approx(17 / 20)
    assert found["hours_over_oracle"] == pytest.approx(1.0)
    assert found["illegal_moves"] == 0


def test_cases_are_chosen_by_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        mpc, "CASES", {n: lambda quick, n=n: asked.append(n) or [] for n in ("a-1", "a-2", "b")}
    )
    mpc.run(True, ["a*"])
    assert asked == ["a-1", "a-2"]
