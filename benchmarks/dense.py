"""fp64 algebra of the controller (syrk, potrf, solves, rank-one changes) beside Eigen and OpenBLAS."""

from __future__ import annotations

from benchmarks import dense_algebra
from benchmarks.harness import Row


def run(quick: bool) -> list[Row]:
    return dense_algebra.rows(quick)
