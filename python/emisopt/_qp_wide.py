"""Wide quadratic programs: what is banded, what is an output, what is a few entries. Private to qp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emisopt import _core

Floats = NDArray[np.float64]
FEW = 16  # entries of a row that the banded part may carry; longer rows become outputs


class Form:
    """min 1/2 x'Px + 1/2 sum w (Jx)^2, rows A, as the compiled solver takes it (csrc/emisopt/qp/wide.hpp).

    Parameters
    ----------
    hessian : (n, n) P, banded; its band is as wide as its outermost entry
    rows : (m, n) A
    outputs : (p, n) J
    weights : (p,) w

    Attributes
    ----------
    outputs, weights : J and w, and below them, with weight 0, long rows of A that are no output
    output : (m,) the output that a row contains, or -1
    start, column, value : what rows contain beside it
    pays : are there so few outputs that a system of their order costs less than one of order n?
    """

    def __init__(self, hessian: Floats, rows: Floats, outputs: Floats, weights: Floats):
        n, m = len(hessian), len(rows)
        i, j = np.nonzero(hessian)
        width = int(np.abs(i - j).max(initial=0))
        self.band = np.zeros((n, width + 1))
        for d in range(width + 1):
            self.band[d:, d] = np.diagonal(hessian, -d)
        shared = (outputs != 0).any(axis=0)  # an output depends on it; the others are slacks and the like
        key = {row[shared].tobytes(): k for k, row in reversed(list(enumerate(outputs + 0.0)))}
        self.output = np.full(m, -1, dtype=np.int32)
        more: list[Floats] = []
        starts, columns, values = [0], [], []
        for at, row in enumerate(rows + 0.0):
            entries = np.flatnonzero(row)
            same = key.get(row[shared].tobytes()) if len(entries) > 2 else None
            if same is not None:
                self.output[at] = same
                entries = entries[~shared[entries]]
            elif len(entries) > FEW:
                self.output[at] = len(outputs) + len(more)
                more.append(row)
                entries = entries[:0]
            columns.append(entries)
            values.append(row[entries])
            starts.append(starts[-1] + len(entries))
        self.outputs = np.ascontiguousarray(np.vstack([outputs, *more])) if more else outputs
        self.weights = np.concatenate([weights, np.zeros(len(more))])
        self.pays = 4 * len(self.weights) <= 3 * n
        self.start = np.array(starts, dtype=np.int32)
        self.column = np.concatenate(columns).astype(np.int32) if m else np.empty(0, dtype=np.int32)
        self.value = np.concatenate(values) if m else np.empty(0)

    def solver(self, max_iterations: int, tolerance: float) -> _core._QpWideSolver:
        """A workspace for problems of this form and size."""
        n, width = self.band.shape
        m, used = len(self.output), self.output[self.output >= 0]
        repeated = len(used) - len(np.unique(used))  # a second row about one output counts again
        return _core._QpWideSolver(
            n, len(self.weights) + repeated, m, len(self.value), width - 1, max_iterations, tolerance
        )

    def run(
        self, solver: _core._QpWideSolver, gradient: Floats, lower: Floats, upper: Floats, row_lower: Floats,
        row_upper: Floats, l1: Floats, l2: Floats,
    ) -> _core.QpAnswer:  # fmt: skip
        return solver.run(
            self.band, self.outputs, self.weights, gradient, lower, upper, self.start, self.column,
            self.value, self.output, row_lower, row_upper, l1, l2,
        )  # fmt: skip

    def solve(
        self, gradient: Floats, lower: Floats, upper: Floats, row_lower: Floats, row_upper: Floats,
        l1: Floats, l2: Floats, max_iterations: int, tolerance: float,
    ) -> _core.QpAnswer:  # fmt: skip
        solver = self.solver(max_iterations, tolerance)
        return self.run(solver, gradient, lower, upper, row_lower, row_upper, l1, l2)
