"""Choosing setpoints: one optimal control problem over one transformer, beside IPOPT, SLSQP and others."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import mpc_nlp, mpc_work
from benchmarks.harness import Row


def run(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    out = mpc_nlp.rows(quick, cases, peers)
    if not cases or any(pattern.startswith("work") for pattern in cases):
        out += mpc_work.rows(quick)
    return out
