"""Closed loop on the synthetic boiler: 20 seeds of boiler-48h, MPC beside operator rules and the oracle."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Row
from emisopt._core import LoopSummary
from emisopt.demo import DAY, FULL, forecaster_for_boiler
from emisopt.loop import Scenario
from emisopt.plants import Boiler

FIRST_SEED = 5000  # operator and controller were tuned on others (900-931, 1000-2002)
HISTORY_SEED = 11
OPERATOR, ORACLE = "operator rules", "oracle"
# The first is what one would run: bias correction won on tuning seeds 920-931 (gap 0.66 against 0.65, hours
# above 0.08 against 0.33).
POLICIES = {"boiler-48h": "bias corrected", "boiler-48h-frozen": "frozen forecaster"}


def run(quick: bool) -> list[Row]:
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if quick else 20))
    summaries = run_seeds(seeds, days=120 if quick else FULL.days, steps=500 if quick else FULL.steps)
    rows = []
    for case, note in POLICIES.items():
        rows += score(case, note, summaries)
    return rows


def run_seeds(seeds: range, *, days: int, steps: int, nox_fee: float = 0.0) -> dict[str, list[LoopSummary]]:
    """Policy -> one summary a seed. One forecaster, fitted once on months of history of the same plant."""
    history, tags = Boiler(seed=HISTORY_SEED).simulate_history(days=days)
    forecaster = forecaster_for_boiler(steps=steps)
    held = FULL.held * DAY
    forecaster.fit(history, tags=tags, train_rows=len(history) - held, validation_rows=held, progress=False)
    out: dict[str, list[LoopSummary]] = {name: [] for name in (OPERATOR, *POLICIES, ORACLE)}
    for seed in seeds:
        scenario = Scenario(seed=seed, nox_fee=nox_fee)
        policies = {
            OPERATOR: scenario.operator(),
            "boiler-48h": scenario.mpc(forecaster, bias="additive"),
            "boiler-48h-frozen": scenario.mpc(forecaster),
            ORACLE: scenario.oracle(),
        }
        for name, policy in policies.items():
            out[name].append(scenario.run(policy).summary)
    return out


def beats_oracle(summary: LoopSummary, oracle: LoopSummary) -> bool:
    """Cheaper with no more hours above any limit: then the oracle is no upper bound and the table is void."""
    no_worse = all(
        mine.hours_above <= best.hours_above for mine, best in zip(summary.limits, oracle.limits, strict=True)
    )
    return no_worse and summary.total_eur < oracle.total_eur


def score(case: str, note: str, summaries: dict[str, list[LoopSummary]]) -> list[Row]:
    ours, operator, oracle = summaries[case], summaries[OPERATOR], summaries[ORACLE]
    cost = {name: np.array([s.total_eur for s in summaries[name]]) for name in (case, OPERATOR, ORACLE)}
    room = cost[OPERATOR] - cost[ORACLE]
    closed = float((cost[OPERATOR] - cost[case]).sum() / room.sum())
    worst = float(((cost[OPERATOR] - cost[case]) / room).min())
    hours = [float(np.sum([s.hours_above_permit for s in x])) for x in (ours, operator)]
    illegal = sum(s.illegal_moves for s in ours)
    broken = sum(
        beats_oracle(s, best)
        for name in (case, OPERATOR)
        for s, best in zip(summaries[name], oracle, strict=True)
    )
    n = len(ours)
    detail = (
        f"{note}; {n} seeds; room {room.sum() / cost[OPERATOR].sum():.2%} of cost; worst seed {worst:.2f}"
    )
    slip = [float(np.sum([s.limits[-1].hours_above for s in x])) for x in (ours, operator)]
    name = "operator_tuned"
    rows = [
        Row(case, "gap_closed", closed, 0.6, "goal", better="higher", note=detail),
        Row(
            case,
            "hours_above_permit",
            hours[0],
            hours[1],
            name,
            unit="h",
            note=f"NOx and CO, {n} seeds in all",
        ),
        Row(case, "hours_above_slip", slip[0], slip[1], name, unit="h", note="rank 2: NH3 slip"),
        Row(case, "cost", cost[case].mean(), cost[OPERATOR].mean(), name, unit="EUR", note="mean of 48 h"),
        Row(case, "illegal_moves", float(illegal), 0.0, "contract", note="outside bounds or rates"),
        Row(case, "beats_oracle", float(broken), 0.0, "contract", note="runs cheaper than the oracle"),
        Row(case, "decision_p99", max(s.p99_s for s in ours) * 1e3, unit="ms", note="worst seed"),
    ]
    return rows
