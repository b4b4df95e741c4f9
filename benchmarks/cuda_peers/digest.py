"""SHA-256 of what a training or a tick leaves: `python -m benchmarks.cuda_peers.digest NAME PRECISION
[--rehearse]`, NAME as of a case. Two processes must print the same."""

from __future__ import annotations

import hashlib
import sys

from benchmarks.cuda_peers import core

STEPS = 20


def digest(name: str, precision: str, rehearse: bool) -> str:
    from benchmarks.cuda_peers import cases, ours

    kind, _, size = name.partition("-")
    case = cases.Case(kind, size)
    problem = case.problem(rehearse)
    whole = hashlib.sha256()
    if case.family == "train":
        training = ours.Training(problem, precision)
        training.run(4 if rehearse else STEPS)
        whole.update(training.weights().tobytes())
    else:
        tick = ours.Tick(problem, precision)
        tick.run(2)
        whole.update(tick.program.future_gradient.tobytes() + tick.program.quantiles.tobytes())
    return whole.hexdigest()


if __name__ == "__main__":
    core.settle()
    print(digest(sys.argv[1], sys.argv[2], "--rehearse" in sys.argv))
