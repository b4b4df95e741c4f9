"""Closed loop on the boiler: what share of the room between tuned operator and oracle is closed."""

from __future__ import annotations

import numpy as np

from benchmarks import loop
from benchmarks.harness import Row
from emisopt._core import LoopSummary

CASE, GOAL, HOURS_GOAL = "boiler-48h", 0.9, 1.0
FEE_EUR_PER_KG = 4.5


def score(summaries: dict[str, list[LoopSummary]], case: str = CASE) -> list[Row]:
    """The issue's two figures, beside the suite `loop`'s own."""
    ours, operator, oracle = (summaries[n] for n in (CASE, loop.OPERATOR, loop.ORACLE))
    cost = [np.array([s.total_eur for s in group]) for group in (ours, operator, oracle)]
    room = (cost[1] - cost[2]).sum()
    closed = float((cost[1] - cost[0]).sum() / room)
    hours = sum(s.hours for s in ours)
    above = [sum(s.hours_above_permit for s in group) for group in (ours, oracle)]
    share = 100 * (above[0] - above[1]) / hours
    illegal = sum(s.illegal_moves for s in ours)
    note = f"{len(ours)} seeds; room {room / cost[1].sum():.2%} of cost"
    return [
        Row(case, "gap_closed", closed, GOAL, "goal", better="higher", note=note),
        Row(case, "hours_over_oracle", share, HOURS_GOAL, "goal", unit="%", note=f"of {hours:.0f} h, rank 1"),
        Row(case, "illegal_moves", float(illegal), 0.0, "contract"),
    ]


def run(quick: bool, nox_fee: float = 0.0, case: str = CASE) -> list[Row]:
    seeds = range(loop.FIRST_SEED, loop.FIRST_SEED + (2 if quick else 20))
    days, steps = (120, 500) if quick else (loop.FULL.days, loop.FULL.steps)
    return score(loop.run_seeds(seeds, days=days, steps=steps, nox_fee=nox_fee), case)


def run_fee(quick: bool) -> list[Row]:
    """The same with a fee on each kg of NOx. The operator's rules were tuned without one."""
    return run(quick, FEE_EUR_PER_KG, "boiler-48h-fee")
