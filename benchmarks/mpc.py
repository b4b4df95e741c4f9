"""The controller in closed loop and under faults: room closed on the boiler, the failure contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from benchmarks.harness import Row
from benchmarks.mpc_cases import boiler, faults

CASES: dict[str, Callable[[bool], list[Row]]] = {"boiler-48h": boiler.run, "faults": faults.run}


def run(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """All cases, or those that match one of the patterns."""
    wanted = [n for n in CASES if not cases or any(fnmatch(n, p) for p in cases)]
    return [row for name in wanted for row in CASES[name](quick)]
