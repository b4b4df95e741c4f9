"""The controller: room closed on the boiler, the failure contract, one problem beside IPOPT and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from benchmarks import mpc_nlp, mpc_work
from benchmarks.harness import Row
from benchmarks.mpc_cases import boiler, faults, plants

CASES: dict[str, Callable[[bool], list[Row]]] = {
    "boiler-48h": boiler.run,
    "boiler-48h-fee": boiler.run_fee,
    "boiler-48h-fan": boiler.run_fan,
    "boiler-48h-no-scr": boiler.run_no_scr,
    "boiler-60d": boiler.run_60d,
    "faults": faults.run,
    "cstr": plants.runner("cstr"),
    "tank": plants.runner("tank"),
}


def run(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    """All cases, or those that match one of the patterns; `peers`: of the rows nlp-*."""
    wanted = [n for n in CASES if not cases or any(fnmatch(n, p) for p in cases)]
    rows = [row for name in wanted for row in CASES[name](quick)]
    if not cases or any(p.startswith("nlp") for p in cases):
        rows += mpc_nlp.rows(quick, cases, peers)
    if not cases or any(p.startswith("work") for p in cases):
        rows += mpc_work.rows(quick)
    return rows
