"""Suite engine: times that `Program.cost` predicts beside measured ones, cases cost-MODE-SIZE, goal 25 %."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks.engine_peers.problem import SIZES
from benchmarks.harness import Row
from emisopt.engine import Program

MODES = {
    "infer": 1,
    "plans": 8,
    "vjp": 1,
    "jacobian": 1,
    "tangent": 1,
    "train": 4,
}  # batch; plans: infer of several
SECONDS = 0.15
LEAST_CALLS = 8


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """One thread: predicted and measured are the best of their calls, which others disturb least."""
    out = []
    for size in SIZES:
        for name in MODES:
            case = f"cost-{name}-{size}"
            if cases:
                named = any(fnmatchcase(case, p) for p in cases)
            else:
                named = not quick or case == "cost-infer-S"
            if named:
                out.append(row_of(name, size))
    return out


def row_of(name: str, size: str) -> Row:
    mode = "infer" if name == "plans" else name
    moves = [(first, first + 3) for first in range(0, 24, 4) for _ in range(6)]
    program = Program(SIZES[size], MODES[name], mode=mode, threads=1, directions=moves)
    program.load()
    program.history[:] = 0.1
    program.future[:] = 0.1
    if mode == "train":
        program.weight[:] = 1.0
    elif mode == "vjp":
        program.seed[:] = 1.0
    elif mode == "tangent":
        program.direction[:] = 0.1
    program.run_context()
    program.run()
    predicted = program.cost().seconds
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < LEAST_CALLS or time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        program.run()
        times.append(time.perf_counter() - start)
    note = f"predicted {predicted * 1e3:.4g} ms, best measured {min(times) * 1e3:.4g} ms; goal 0.75 to 1.25"
    return Row(f"cost-{name}-{size}", "predicted_over_measured", predicted / min(times), note=note)
