"""Closed loop on the boiler: what share of the room between tuned operator and oracle is closed.

Rows boiler-48h (fuel C, slagging, slip binding), -fee (a NOx fee), -fan (weak fans), -no-scr, each 20 seeds
of 48 h, and boiler-60d, 5 seeds of 60 days under averaging limits. Each unit has a
forecaster of its own, fitted on its own history. Runs are kept as they are done, see boiler_study.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import Row
from benchmarks.mpc_cases.boiler_study import (
    ENGINE,
    Settings,
    forecaster_for,
    mpc,
    record_of,
    remembered,
    settings_of,
)
from emisopt import _core
from emisopt.loop import Scenario

GOAL, HOURS_GOAL, IPOPT_GOAL = 0.9, 1.0, 0.5
FEE_EUR_PER_KG = 4.5
FIRST_SEED = 6000  # tuned on others (900-937); 5000-5019 were run once with earlier settings
SEEDS, LONG_SEEDS, IPOPT_SEEDS = 20, 5, 2
FEES = {"boiler-48h-fee": FEE_EUR_PER_KG}
# Half the oracle's work; on seeds 920 and 921 that raised its bill by 20 EUR, 3 % of the room.
LONG_ORACLE = {"iterations": 1, "fresh_every": 36}
QUICK = Settings(years=1, days=60, steps=300, layers=2, context=48)
OPERATOR, ORACLE, OURS, SPOT, IPOPT = "operator", "oracle", "mpc", "mpc-spot", "ipopt"
Records = dict[str, list[dict[str, Any]]]


def scenario_of(case: str, seed: int, rows: int | None = None) -> Scenario:
    fee = FEES.get(case, 0.0)
    return Scenario(seed=seed, nox_fee=fee, rows=rows, case="boiler-48h" if fee else case)


def runs(
    case: str, settings: Settings, policies: Sequence[str], seeds: Sequence[int], rows: int | None = None
) -> Records:
    """Policy -> one record a seed, read or made."""
    out: Records = {}
    for policy in policies:
        own = settings.key if policy in (OURS, SPOT, IPOPT) else "-"
        own += f"-p{settings.permit:g}" if case == "boiler-60d" and policy == OURS else ""
        length = "" if rows is None else f"-{rows}"
        out[policy] = [
            remembered(
                f"{case}{length}-{policy}-{own}-{seed}-v{ENGINE}",
                lambda policy=policy, seed=seed: one_run(case, policy, settings, seed, rows),
            )
            for seed in seeds
        ]
    return out


def one_run(case: str, policy: str, settings: Settings, seed: int, rows: int | None = None) -> dict[str, Any]:
    scenario = scenario_of(case, seed, rows)
    chosen: _core.Policy
    if policy == OPERATOR:
        chosen = scenario.operator()
    elif policy == ORACLE:
        chosen = scenario.oracle(**(LONG_ORACLE if case == "boiler-60d" else {}))
    else:
        forecaster, _ = forecaster_for(scenario.case, settings)
        if policy == IPOPT:
            from benchmarks.mpc_cases.boiler_ipopt import ipopt_policy

            chosen = ipopt_policy(scenario, forecaster, settings)
        elif policy == SPOT:
            limits = [*_core.spot_limits_60d(), *scenario.limits]
            chosen = mpc(scenario, forecaster, settings, limits=limits, permit=False)
        else:
            chosen = mpc(scenario, forecaster, settings)
    return record_of(scenario, scenario.run(chosen))


def hours_above(record: dict[str, Any]) -> float:
    """Of limits of rank 1, and of the permit's rules."""
    limits = sum(h for name, h in record["above"].items() if record["rank"][name] == 1)
    return float(limits + sum(h for h, *_ in record["permit"].values()))


def rows_of(case: str, records: Records, fit_s: float) -> list[Row]:
    """The issue's figures."""
    cost = {name: np.array([r["eur"] for r in group]) for name, group in records.items()}
    room = cost[OPERATOR] - cost[ORACLE]
    closed = (cost[OPERATOR] - cost[OURS]).sum() / room.sum()
    hours = sum(r["hours"] for r in records[OURS])
    above = {name: sum(map(hours_above, group)) for name, group in records.items()}
    share = 100 * (above[OURS] - above[ORACLE]) / hours
    slip = {
        name: sum(h for r in group for n, h in r["above"].items() if r["rank"][n] > 1)
        for name, group in records.items()
    }
    count = len(records[OURS])
    words = (
        f"{count} seeds; room {room.sum() / cost[OPERATOR].sum():.2%} of cost; worst seed "
        f"{((cost[OPERATOR] - cost[OURS]) / room).min():.2f}; fitting took {fit_s:.0f} s of CPU time"
    )
    over = (
        f"of {hours:.0f} h, rank 1; hours above: ours {above[OURS]:.2f}, oracle {above[ORACLE]:.2f}, "
        f"operator {above[OPERATOR]:.2f}; slip {slip[OURS]:.2f}, {slip[ORACLE]:.2f}, {slip[OPERATOR]:.2f}"
    )
    illegal = sum(r["illegal"] for r in records[OURS])
    return [
        Row(case, "gap_closed", float(closed), GOAL, "goal", better="higher", note=words),
        Row(case, "hours_over_oracle", share, HOURS_GOAL, "goal", unit="%", note=over),
        Row(case, "illegal_moves", float(illegal), 0.0, "contract"),
        Row(case, "decision_p50", float(np.median([r["p50_ms"] for r in records[OURS]])), unit="ms"),
    ]


def ipopt_rows(case: str, records: Records) -> list[Row]:
    """How much dearer than IPOPT in our place, by the same forecaster and back-off, on the first seeds."""
    theirs = records.get(IPOPT, [])
    ours = [r["eur"] for r in records[OURS][: len(theirs)]]
    cost = [r["eur"] for r in theirs]
    dearer = 100 * (sum(ours) / sum(cost) - 1) if cost else float("nan")
    words = (
        f"{len(cost)} seeds; hours above: ours {sum(map(hours_above, records[OURS][: len(cost)])):.2f}, "
        f"IPOPT {sum(map(hours_above, theirs)):.2f}; goal {IPOPT_GOAL:g}"
    )
    return [Row(case, "dearer_than_ipopt", dearer, unit="%", note=words)]


def run_case(case: str, quick: bool, settings: Settings | None = None) -> list[Row]:
    """One 48-h scenario."""
    chosen = settings or (QUICK if quick else settings_of(case))
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if quick else SEEDS))
    rows = 72 if quick else None
    records = runs(case, chosen, (OPERATOR, ORACLE, OURS), seeds, rows)
    _, fit_s = forecaster_for("boiler-48h" if case in FEES else case, chosen)
    try:
        import casadi  # noqa: F401

        records |= runs(case, chosen, (IPOPT,), seeds[: 1 if quick else IPOPT_SEEDS], 12 if quick else rows)
    except ImportError:
        pass
    return [*rows_of(case, records, fit_s), *ipopt_rows(case, records)]


def run(quick: bool) -> list[Row]:
    return run_case("boiler-48h", quick)


def run_fee(quick: bool) -> list[Row]:
    """The same with a fee on each kg of NOx, beside an operator who was tuned with it."""
    return run_case("boiler-48h-fee", quick)


def run_fan(quick: bool) -> list[Row]:
    return run_case("boiler-48h-fan", quick)


def run_no_scr(quick: bool) -> list[Row]:
    return run_case("boiler-48h-no-scr", quick)


def run_60d(quick: bool) -> list[Row]:
    """Averaging limits, stops, start-ups, hours without a reading; beside the same controller held to the
    averages' numbers on every row."""
    case = "boiler-60d"
    chosen = QUICK if quick else Settings()
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else LONG_SEEDS))
    records = runs(case, chosen, (OPERATOR, ORACLE, OURS, SPOT), seeds, 432 if quick else None)
    _, fit_s = forecaster_for(case, chosen)
    cost = {name: sum(r["eur"] for r in group) for name, group in records.items()}
    saved = 100 * (1 - cost[OURS] / cost[SPOT])
    over = {name: sum(map(hours_above, records[name])) for name in (OURS, SPOT)}
    words = f"hours above by the permit's rules: {over[OURS]:.1f} with averages, {over[SPOT]:.1f} with spot"
    return [
        *rows_of(case, records, fit_s),
        Row(case, "cheaper_than_spot", saved, 0.0, "goal", unit="%", better="higher", note=words),
    ]


def tuned(**changes: Any) -> Settings:
    """Settings with changes, for studies on tuning seeds."""
    return replace(Settings(), **changes)
