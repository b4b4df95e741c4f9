"""The controller: room closed on the boiler, the failure contract, one problem beside IPOPT and others."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from benchmarks.harness import Row
from benchmarks.mpc_cases import boiler, faults

CASES: dict[str, Callable[[bool], list[Row]]] = {
    "boiler-48h": boiler.run,
    "boiler-48h-fee": boiler.run_fee,
    "faults": faults.run,
}
PROBLEM = "benchmarks.mpc_nlp"  # rows nlp-*: one optimal control problem over one transformer, and its peers


def run(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    """All cases, or those that match one of the patterns; `peers`: of the rows nlp-*."""
    wanted = [n for n in CASES if not cases or any(fnmatch(n, p) for p in cases)]
    rows = [row for name in wanted for row in CASES[name](quick)]
    if importlib.util.find_spec(PROBLEM) and (not cases or any(p.startswith("nlp") for p in cases)):
        rows += importlib.import_module(PROBLEM).rows(quick, cases, peers)
    return rows
