"""One library at one number of threads: `python -m benchmarks.engine_peers.worker LIBRARY THREADS KIND`.

Reads a JSON object a line, answers one a line: {"do": "prepare", "key", "problem", "kind", "file"} makes a
call and writes its answer to an npz file; {"do": "block", "key", "seconds", "least"} times calls; {"do":
"forget"} drops all. Standard output belongs to the answers: whatever a library prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

from benchmarks.engine_peers.protocol import CannotDo, Prepared

WARM = 3  # calls before each block: another process had the cores and the caches
MOST = 2000  # calls in a block


def settle(library: str, threads: int, kind: str) -> None:
    """Settings of the process, before the library is imported: some read their pool's size once."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if library == "jax_calls":
        eigen = "true" if threads > 1 else "false"
        flags = [f"--xla_cpu_multi_thread_eigen={eigen}"]
        if kind == "full-noynn":
            # XLA of jaxlib 0.10.2 compiles jit(jacrev) of this network to wrong numbers (0.4 of the largest
            # entry; jacrev alone and jit(jacfwd) are right); without this fusion it is right.
            flags.append("--xla_cpu_experimental_ynn_fusion_type=")
        os.environ["XLA_FLAGS"] = " ".join(flags)
        os.environ["NPROC"] = str(threads)
        os.environ["JAX_PLATFORMS"] = "cpu"
        if threads == 1 and hasattr(os, "sched_setaffinity"):  # XLA counts the cores that it may use
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def serve(library: str, threads: int) -> None:
    import numpy as np

    from benchmarks.engine_peers.problem import Problem
    from emisopt.engine import Architecture

    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    try:
        calls = importlib.import_module(f"benchmarks.engine_peers.{library}")
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"ready": True}), file=answers, flush=True)
    prepared: dict[str, Prepared] = {}

    def do(order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "forget":
            prepared.clear()
            if hasattr(calls, "forget"):
                calls.forget()
            return {}
        if order["do"] == "block":
            return {"ns": block(prepared[order["key"]], order["seconds"], order["least"])}
        fields = dict(order["problem"])
        if fields.get("arch"):
            fields["arch"] = Architecture(**fields["arch"])
        made = prepared[order["key"]] = calls.prepare(Problem(**fields), order["kind"], threads)
        np.savez(order["file"], **made.answer())
        return {
            "compile_seconds": made.compile_seconds,
            "method": made.method,
            "flop": made.flop,
            "bytes": made.bytes,
        }

    for line in sys.stdin:
        try:
            reply = do(json.loads(line))
        except CannotDo as error:
            reply = {"cannot": str(error)}
        except Exception as error:  # told to the other side, which decides
            reply = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"}
        print(json.dumps(reply), file=answers, flush=True)


def block(prepared: Prepared, seconds: float, least: int) -> list[int]:
    """Nanoseconds of each call, for about so many seconds and at least so many calls."""
    clock, call = time.perf_counter_ns, prepared.call
    for _ in range(WARM if least > 1 else 1):
        call()
    times: list[int] = []
    end = clock() + int(seconds * 1e9)
    while len(times) < least or (clock() < end and len(times) < MOST):
        begin = clock()
        call()
        times.append(clock() - begin)
    return times


if __name__ == "__main__":
    settle(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    serve(sys.argv[1], int(sys.argv[2]))
