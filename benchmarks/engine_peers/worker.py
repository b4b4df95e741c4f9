"""One library at one number of threads: `python -m benchmarks.engine_peers.worker LIBRARY THREADS KIND`.

Reads a JSON object a line, answers one a line: {"do": "prepare", "key", "problem", "kind", "file"} makes a
call and writes its answer to an npz file; {"do": "block", "key", "seconds", "least"} times calls; {"do":
"forget"} drops all; {"do": "memory"} and {"do": "cold"} measure one call by itself. Standard output belongs
to the answers: whatever a library prints goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.engine_peers.protocol import CannotDo, Prepared

if TYPE_CHECKING:
    from benchmarks.engine_peers.problem import Problem

WARM, WARM_NS = 3, 20_000_000  # calls before each block, or so long: another had the cores and the caches
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
            times, disturbed = block(prepared[order["key"]], order["seconds"], order["least"])
            return {"ns": times, "disturbed": disturbed}
        fields = dict(order["problem"])
        if fields.get("arch"):
            fields["arch"] = Architecture(**fields["arch"])
        problem = Problem(**fields)
        if order["do"] == "memory":
            return {"mib": memory(lambda: calls.prepare(problem, order["kind"], threads), problem)}
        if order["do"] == "cold":
            return {"ms": cold(calls.prepare(problem, order["kind"], threads))}
        made = prepared[order["key"]] = calls.prepare(problem, order["kind"], threads)
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


def block(prepared: Prepared, seconds: float, least: int) -> tuple[list[int], list[bool]]:
    """Nanoseconds of each call, for about so many seconds and at least so many calls; and whether another
    process took a core away meanwhile."""
    clock, call = time.perf_counter_ns, prepared.call

    def switches() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

    warm, end = 0, clock() + WARM_NS
    while warm < WARM and clock() < end:
        call()
        warm += 1
    times: list[int] = []
    disturbed: list[bool] = []
    end = clock() + int(seconds * 1e9)
    while len(times) < least or (clock() < end and len(times) < MOST):
        before = switches()
        begin = clock()
        call()
        times.append(clock() - begin)
        disturbed.append(switches() != before)
    return times, disturbed


def cold(prepared: Prepared, calls: int = 15) -> float:
    """Median milliseconds of a call after other data has gone through the caches."""
    import numpy as np

    other = np.ones(1 << 24, np.float32)  # 64 MiB
    prepared.call()
    times = []
    for _ in range(calls):
        other += 1.0
        begin = time.perf_counter_ns()
        prepared.call()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) * 1e-6


def memory(prepare: Callable[[], Prepared], problem: Problem) -> float:
    """MiB that preparing and three calls need at their peak, beyond what imports and inputs took."""
    for name in ("theta", "history", "future", "target"):
        getattr(problem, name)  # the inputs are everybody's
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    prepared = prepare()
    for _ in range(3):
        prepared.call()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """kB of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status: expected {field}, got none")


if __name__ == "__main__":
    settle(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    serve(sys.argv[1], int(sys.argv[2]))
