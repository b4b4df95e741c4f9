"""Suite `loop`: the comparison itself. An oracle that is beaten at equal violations voids the table."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import loop


def summary(total: float, hours: tuple[float, ...], illegal: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        total_eur=total,
        limits=[SimpleNamespace(hours_above=h) for h in hours],
        hours_above_permit=sum(hours[:2]),
        illegal_moves=illegal,
        p99_s=0.01,
    )


def test_cheaper_counts_as_beating_only_with_no_more_hours_above_any_limit() -> None:
    oracle = summary(100.0, (0.0, 0.5, 0.0))
    assert loop.beats_oracle(summary(99.0, (0.0, 0.5, 0.0)), oracle)  # type: ignore[arg-type]
    assert not loop.beats_oracle(summary(99.0, (0.1, 0.0, 0.0)), oracle)  # type: ignore[arg-type]
    assert not loop.beats_oracle(summary(100.0, (0.0, 0.0, 0.0)), oracle)  # type: ignore[arg-type]


def test_the_gap_is_money_over_all_seeds_and_hours_are_added_up() -> None:
    case = "boiler-48h"
    summaries = {
        loop.OPERATOR: [summary(110.0, (0.5, 0.0, 0.0)), summary(120.0, (0.0, 0.0, 1.0))],
        case: [summary(104.0, (0.0, 0.25, 0.0)), summary(105.0, (0.0, 0.0, 0.0), illegal=2)],
        loop.ORACLE: [summary(100.0, (0.0, 0.0, 0.0)), summary(100.0, (0.0, 0.0, 0.0))],
    }
    rows = {r.metric: r for r in loop.score(case, "note", summaries)}  # type: ignore[arg-type]
    assert rows["gap_closed"].ours == pytest.approx(21 / 30)
    assert (rows["hours_above_permit"].ours, rows["hours_above_permit"].peer) == (0.25, 0.5)
    assert (rows["illegal_moves"].ours, rows["beats_oracle"].ours) == (2.0, 0.0)


@pytest.mark.slow
def test_two_tuning_seeds_nothing_beats_the_oracle_and_every_move_is_legal() -> None:
    """The suite's own seeds are left alone: they are looked at when its figures are taken, not in tests."""
    summaries = loop.run_seeds(range(907, 909), days=240, steps=1200)
    for case, note in loop.POLICIES.items():
        rows = {r.metric: r for r in loop.score(case, note, summaries)}
        assert rows["beats_oracle"].ours == 0
        assert rows["illegal_moves"].ours == 0
        assert rows["gap_closed"].ours > 0.5
        assert rows["hours_above_permit"].ours <= 0.5
