"""Suite engine beyond single sizes: how times grow, memory of training, cold caches, call overhead, energy.

grow-tick-H8 .. H96, grow-prefix-T24 .. T512, grow-batch-1 .. 256 at size S; grow-parameters of 0.05 to 50 M
weights (tick and step); each group ends with its exponent, the slope of log time over log size.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.engine_peers.contest import Arena, Contestant, Pace, Result, Timing, Worker
from benchmarks.engine_peers.problem import SIZES, Problem
from benchmarks.harness import Row
from emisopt.engine import Architecture, Program

PACE = Pace(rounds=4, block=0.04, slow=1.0)
QUICK_PACE = Pace(rounds=2, block=0.02, slow=0.3)
SMALL = Architecture.S
# Weights from 0.05 M to 50 M: widths and layers.
GROWING = ((32, 4), (64, 3), (128, 4), (256, 6), (512, 6), (1024, 4))
COLD_BYTES = 1 << 26  # twice the third-level cache that one sees on such machines
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
ENERGY_SECONDS = 2.0


def rows(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    groups: dict[str, Callable[[Arena, bool, bool], list[Row]]] = {
        "grow-tick": _tick,
        "grow-prefix": _prefix,
        "grow-batch": _batch,
        "grow-parameters": _parameters,
        "memory": _memory,
        "cold": _cold,
        "call-overhead": lambda arena, quick, alone: [call_overhead()],
        "energy": lambda arena, quick, alone: [_energy()],
    }
    if cases:
        chosen = [g for g in groups if any(fnmatchcase(g, p) for p in cases)]
    else:
        chosen = ["grow-tick", "call-overhead", "energy"] if quick else list(groups)
    alone = bool(peers) and not any(fnmatchcase("torch-eager", p) for p in peers)
    out: list[Row] = []
    with Arena() as arena:
        for group in chosen:
            out += groups[group](arena, quick, alone)
    return out


# ---- growth ---------------------------------------------------------------------------------------------


def _tick(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    points = {h: Problem("tick", arch=SMALL.with_(horizon=h)) for h in (8, 24, 48, 96)}
    return _series(arena, "grow-tick", "H", points, None if alone else "cached-eager", quick)


def _prefix(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    points = {t: Problem("prefix", arch=SMALL.with_(context=t)) for t in (24, 96, 240, 512)}
    return _series(arena, "grow-prefix", "T", points, None, quick)


def _batch(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    points = {b: Problem("train", batch=b) for b in (1, 4, 16, 64, 256)}
    return _series(arena, "grow-batch", "", points, None if alone else "full-eager", quick)


def _parameters(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    archs = [SMALL.with_(width=w, heads=max(w // 32, 2), layers=n) for w, n in GROWING]
    out = []
    for name, workload, batch, kind in (
        ("tick", "tick", 1, "cached-eager"),
        ("step", "train", 4, "full-eager"),
    ):
        points = {a.parameter_count: Problem(workload, batch=batch, arch=a) for a in archs}
        out += _series(arena, f"grow-parameters-{name}", "", points, None if alone else kind, quick)
    return out


def _series(
    arena: Arena, group: str, letter: str, points: dict[int, Problem], peer: str | None, quick: bool
) -> list[Row]:
    if quick:
        first, *_, last = points
        points = {n: points[n] for n in (first, last)}
    ours = [Contestant("ours", "", n) for n in (1, 2)]
    rivals = [Contestant("torch_calls", peer, n) for n in (1, 2)] if peer else []
    out, times = [], []
    for n, problem in points.items():
        case = f"{group}-{letter}{n}"
        result = arena.hold(case, problem, ours, rivals, QUICK_PACE if quick else PACE)
        times.append((n, _best(list(result.ours.values())).p50))
        out.append(_point(case, result, problem))
    (small, fast), (large, slow) = times[0], times[-1]
    exponent = math.log(slow / fast) / math.log(large / small)
    note = f"log time over log size, from {small} to {large}; 1 is linear"
    out.append(Row(group, "exponent", exponent, note=note))
    return out


def _point(case: str, result: Result, problem: Problem) -> Row:
    ours = _best(list(result.ours.values()))
    note = f"{ours.contestant.threads} threads, {ours.bytes / 2**20:.1f} MiB"
    note += f", p99 {ours.p99:.3g} min {ours.best:.3g}"
    if result.absent:
        note += "; absent: " + ", ".join(f"{name} ({why})" for name, why in result.absent.items())
    if not result.peers:
        return Row(case, "ms", ours.p50, unit="ms", note=note)
    peer = _best(result.peers)
    name = f"{peer.contestant.name}-{peer.contestant.threads}t"
    return Row(case, "ms", ours.p50, peer.p50, name, unit="ms", note=f"{note}; peer min {peer.best:.3g}")


def _best(timings: Sequence[Timing]) -> Timing:
    return min(timings, key=lambda t: t.p50)


# ---- memory, cold caches --------------------------------------------------------------------------------


def _memory(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    """Peak of training steps beyond what stood after imports, each side in a process of its own."""
    out = []
    for case in ("train16-S", "train128-S", "train16-L"):
        problem = Problem.of(case)
        figures = {}
        for name, contestant in (
            ("ours", Contestant("ours", "", 1)),
            ("torch-eager", Contestant("torch_calls", "full-eager", 1)),
        ):
            worker = Worker(contestant)
            try:
                reply = arena.order(worker, contestant, problem, "memory")
            finally:
                worker.close()
            figures[name] = reply.get("mib", math.nan)
        peer = None if math.isnan(figures["torch-eager"]) else figures["torch-eager"]
        note = "peak resident memory of three steps after imports, 1 thread; goal 2"
        out.append(Row(f"memory-{case}", "MiB", figures["ours"], peer, "torch-eager", unit="MiB", note=note))
    return out


def _cold(arena: Arena, quick: bool, alone: bool) -> list[Row]:
    """One call after 64 MiB of other data went through the caches: what a control tick finds."""
    out = []
    for size in SIZES:
        problem = Problem("tick", size)
        figures = {}
        for contestant in (Contestant("ours", "", 1), Contestant("torch_calls", "cached-eager", 1)):
            worker = arena.worker(contestant)
            reply = {} if worker.missing else arena.order(worker, contestant, problem, "cold")
            figures[contestant.library] = reply.get("ms", math.nan)
        peer = figures["torch_calls"]
        out.append(
            Row(
                f"cold-tick-{size}",
                "ms",
                figures["ours"],
                None if math.isnan(peer) else peer,
                "torch-cached-eager-1t",
                unit="ms",
                note=f"median of first calls after {COLD_BYTES >> 20} MiB of other data, 1 thread",
            )
        )
    return out


# ---- calls, energy --------------------------------------------------------------------------------------


def call_overhead(batches: int = 200, calls: int = 100) -> Row:
    """Of run() from Python: the smallest network there is, whose own work counts, too."""
    tiny = Architecture(
        context=1,
        horizon=1,
        width=2,
        heads=1,
        layers=1,
        feedforward=1,
        history_width=1,
        future_width=1,
        outputs=1,
        quantiles=(0.5,),
    )
    program = Program(tiny, threads=1)
    program.load()
    program.run_context()
    run, clock = program.run, time.perf_counter_ns
    each = []
    for _ in range(batches):
        begin = clock()
        for _ in range(calls):
            run()
        each.append((clock() - begin) / calls * 1e-3)
    note = f"run() of a network of width 2, its own work included; min {min(each):.3g}; goal 1"
    return Row("call-overhead", "us", statistics.median(each), unit="us", note=note)


def _energy() -> Row:
    """Per forecast at size S, where the processor tells."""
    try:
        before = int(RAPL.read_text())
    except (OSError, ValueError):
        note = f"not readable on this machine ({RAPL})"
        return Row("energy-tick-S", "mJ", math.nan, unit="mJ", note=note)
    program = Program(Architecture.S, threads=1)
    program.load()
    program.run_context()
    calls, end = 0, time.perf_counter() + ENERGY_SECONDS
    while time.perf_counter() < end:
        program.run()
        calls += 1
    joules = (int(RAPL.read_text()) - before) * 1e-6
    if joules <= 0:
        return Row("energy-tick-S", "mJ", math.nan, unit="mJ", note="the counter wrapped around")
    return Row("energy-tick-S", "mJ", joules / calls * 1e3, unit="mJ", note="whole package, idle included")
