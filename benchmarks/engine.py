"""Engine: forward, tick, gradient, Jacobian, training beside PyTorch, ONNX Runtime, JAX; same weights.

Every contestant sits in a process of its own at 1 and at 2 threads (`engine_peers`), answers are compared to
1e-4 before any timing, blocks of calls take turns, the best number of threads of each side counts. Rerun
single rows with `--case 'tick-*' --peer torch-eager`; EMISOPT_BENCH_VERBOSE=1 shows what the libraries say.
PyTorch keeps on disk what it compiled: what a first run did not compile within EMISOPT_BENCH_MINUTES (17), a
second one does.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

from benchmarks import engine_cost, engine_growth, engine_int8
from benchmarks.engine_peers.contest import Arena, Contestant, Pace, Result, Timing, tell
from benchmarks.engine_peers.problem import Problem
from benchmarks.harness import Row
from emisopt import _core

THREADS = (1, 2)
HOW = ("eager", "compile", "autotune")
# What the project set out to reach: case -> (against the best framework, against prefix-cached PyTorch).
GOALS: dict[str, tuple[float | None, float | None]] = {
    "forward-S": (5, None),
    "forward-M": (3.3, None),
    "forward-L": (2.0, None),
    "tick-S": (16, 10),
    "tick-M": (10, 6.5),
    "tick-L": (7, 3.6),
    "gradient-S": (22, 19),
    "gradient-M": (12, 10.5),
    "gradient-L": (8, 5.3),
    "jacobian-S": (55, 18),
    "jacobian-M": (30, 13),
    "jacobian-L": (18, 6),
    **{f"train{b}-{s}": (g, None) for b in (128, 16) for s, g in (("S", 2.8), ("M", 2.2), ("L", 1.45))},
    **{f"online-full-{s}": (g, None) for s, g in (("S", 3.0), ("M", 2.3), ("L", 1.5))},
    **{f"online-{part}-{s}": (2.0, None) for part in ("lora", "head") for s in "SML"},
    **{f"online-lora-all-{s}": (None, None) for s in "SML"},  # corrections in all blocks, not half of them
    "int8-L": (1.2, None),
    "int8-XL": (1.2, None),
}
QUICK = ("forward-S", "tick-S", "gradient-S", "jacobian-S")
QUICK_LEARNING = ("train16-S", "online-full-S", "online-head-S")
QUICK_PEERS = ("torch-eager", "torch-cached-eager", "onnxruntime", "jax")
LEARNING = ("train", "online")  # such cases are of suite learn; here they are run when named


def run(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    """`cases`, `peers`: patterns; none: all. `peers=["none"]` times our side alone."""
    if cases:
        chosen = [c for c in GOALS if _matches(c, cases)]
    else:
        chosen = list(QUICK) if quick else [c for c in GOALS if not c.startswith(LEARNING)]
    rows = rows_of_cases(chosen, quick, peers)
    rows += engine_int8.rows(quick, cases)
    return rows + engine_cost.rows(quick, cases) + engine_growth.rows(quick, cases, peers)


def learning(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    """Training and online steps, for suite learn."""
    known = [c for c in GOALS if c.startswith(LEARNING)]
    chosen = [c for c in known if _matches(c, cases)] if cases else list(QUICK_LEARNING if quick else known)
    return rows_of_cases(chosen, quick, peers)


def rows_of_cases(chosen: Sequence[str], quick: bool, peers: Sequence[str]) -> list[Row]:
    known = peers or (QUICK_PEERS if quick else ("*",))
    minutes = float(os.environ.get("EMISOPT_BENCH_MINUTES", "17"))
    pace = Pace(compile_until=time.monotonic() + 60 * minutes)
    if quick:
        pace = Pace(rounds=3, block=0.03, prepare=60.0, slow=2.0)
    rows: list[Row] = []
    with Arena() as arena:
        for case in chosen:
            found = rows_of(arena, case, known, pace)
            for row in found:
                if row.peer_name:
                    tell(f"{row.case} {row.metric}: {row.ours:.4g} ms, {row.ratio:.3g} x {row.peer_name}")
            rows += found
    return rows


def rows_of(arena: Arena, case: str, peers: Sequence[str], pace: Pace) -> list[Row]:
    if case.startswith("int8"):
        return _int8(arena, case, peers, pace)
    if case.startswith(("online-lora", "online-head")):
        return [_against_full_step(arena, case, pace)]
    problem = Problem.of(case)
    ours = [Contestant("ours", "", n) for n in threads()]
    rivals = [r for r in rivals_of(problem) if _matches(r.name, peers)]
    peak = fma_peak()
    result = arena.hold(case, problem, ours, rivals, pace)
    rows = []
    goals = GOALS.get(case, (None, None))
    named = {r.name for r in rivals_of(problem)}
    for metric, cached, goal in (("ms_vs_framework", False, goals[0]), ("ms_vs_cached", True, goals[1])):
        if not any(r.cached == cached for r in rivals):
            continue
        rows.append(_row(result, metric, cached, goal, complete=named == {r.name for r in rivals}))
    rows += _shares(result, peak)
    if not rivals:
        rows.append(Row(case, "ms", best(result.ours.values()).p50, unit="ms", note=_about(result)))
    return rows


def rivals_of(problem: Problem) -> list[Contestant]:
    """All that a case names, at each number of threads."""
    kinds: list[tuple[str, str]] = [("torch_calls", f"full-{how}") for how in HOW]
    if problem.workload in ("forward", "tick"):
        kinds.append(("onnx_calls", "fp32"))
    if problem.workload in ("gradient", "jacobian"):
        kinds.append(("jax_calls", "full" if problem.workload == "gradient" else "full-noynn"))
    if problem.workload in ("tick", "gradient", "jacobian"):
        kinds += [("torch_calls", f"cached-{how}") for how in HOW]
    elif problem.workload == "forward":  # no goal; shows what pruning the last layer gives PyTorch
        kinds += [("torch_calls", f"cached-{how}") for how in HOW[:2]]
    return [Contestant(library, kind, n) for library, kind in kinds for n in threads()]


def threads() -> list[int]:
    """1 and 2, as far as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [n for n in THREADS if n <= cores]


def best(timings: Sequence[Timing] | object) -> Timing:
    return min(timings, key=lambda t: t.p50)  # type: ignore[call-overload, no-any-return]


def fma_peak(windows: int = 30) -> dict[int, float]:
    """GFLOP/s of fused multiply-adds by number of threads, median of windows of 1 ms; NaN for ref."""
    isa = _core.isa_level()

    def rate(_: int) -> float:
        rates = _core._fma_rates(isa, windows)
        return float(statistics.median(rates)) if len(rates) else float("nan")

    peaks = {}
    for n in threads():
        with ThreadPoolExecutor(n) as pool:
            peaks[n] = sum(pool.map(rate, range(n)))
    return peaks


def _row(result: Result, metric: str, cached: bool, goal: float | None, complete: bool) -> Row:
    ours = best(result.ours.values())
    found = [t for t in result.peers if t.contestant.cached == cached]
    gone = {name: why for name, why in result.absent.items() if ("-cached-" in name) == cached}
    missing = any(why.startswith(("No module", "import")) for why in gone.values())
    note = [_words("ours", ours), *(_words(t.contestant.name, t) for t in _best_of_each(found))]
    note += [f"absent: {name} ({why})" for name, why in gone.items()]
    if goal is not None:
        note.append(f"goal {goal:g}")
    if not complete:
        note.append("chosen peers only")
    if not found or missing:
        name = "torch-cached" if cached else "frameworks"
        return Row(result.case, metric, ours.p50, None, name, unit="ms", note="; ".join(note))
    winner = best(found)
    name = f"{winner.contestant.name}-{winner.contestant.threads}t"
    quickest, our_best = min(t.best for t in found), min(t.best for t in result.ours.values())
    note.insert(0, f"by best calls {quickest / our_best:.3g}x, load {result.load:.1f}")
    return Row(result.case, metric, ours.p50, winner.p50, name, unit="ms", note="; ".join(note))


def _best_of_each(timings: Sequence[Timing]) -> list[Timing]:
    by_name: dict[str, list[Timing]] = {}
    for timing in timings:
        by_name.setdefault(timing.contestant.name, []).append(timing)
    return [best(same) for same in by_name.values()]


def _words(name: str, t: Timing) -> str:
    extra = f" {t.method}" if t.method else ""
    compiled = f" compiled in {t.compile_seconds:.0f} s" if t.compile_seconds else ""
    busy = "" if t.is_quiet else " (all disturbed)"
    times = f"p50 {t.p50:.3g}{busy} p99 {t.p99:.3g} min {t.best:.3g}"
    return f"{name}({t.contestant.threads}t{extra}) {times}{compiled}"


def _about(result: Result) -> str:
    return "; ".join(_words("ours", t) for t in result.ours.values())


def _shares(result: Result, peak: dict[int, float]) -> list[Row]:
    rows = []
    for n, timing in result.ours.items():
        rate = timing.flop / timing.p50 * 1e-6
        name = "peak_share" if n == 1 else f"peak_share_{n}t"
        note = (
            f"{timing.flop * 1e-6:.4g} MFLOP in p50 {timing.p50:.4g} ms (min {timing.best:.4g}: "
            f"{timing.flop / timing.best * 1e-6 / peak[n]:.0%}), peak {peak[n]:.0f} GFLOP/s on {n} "
            f"thread{'s' * (n > 1)} in this run"
        )
        rows.append(Row(result.case, name, rate / peak[n], unit="share", better="higher", note=note))
    return rows


def _against_full_step(arena: Arena, case: str, pace: Pace) -> Row:
    """LoRA and head-only steps beside our own full step."""
    problem = Problem.of(case)
    full = Problem.of("online-full-" + problem.size)
    part = arena.hold(case, problem, [Contestant("ours", "", n) for n in threads()], [], pace)
    whole = arena.hold(case, full, [Contestant("ours", "", n) for n in threads()], [], pace)
    ours, peer = best(part.ours.values()), best(whole.ours.values())
    goal = GOALS[case][0]
    note = f"{_about(part)}; full: {_about(whole)}" + (f"; goal {goal:g}" if goal else "")
    return Row(case, "ms_vs_framework", ours.p50, peer.p50, "our-full-step", unit="ms", note=note)


def _int8(arena: Arena, case: str, peers: Sequence[str], pace: Pace) -> list[Row]:
    """The forward pass in 8-bit numbers beside ONNX Runtime's and beside our own in fp32."""
    problem = Problem("forward", case.rpartition("-")[2])
    rivals = [Contestant("onnx_calls", kind, n) for kind in ("int8", "fp32") for n in threads()]
    rivals = [Contestant("ours", "", n) for n in threads()] + [r for r in rivals if _matches(r.name, peers)]
    result = arena.hold(case, problem, [Contestant("ours", "int8", n) for n in threads()], rivals, pace)
    ours = best(result.ours.values())
    theirs = [t for t in result.peers if t.contestant.name == "onnxruntime-int8"]
    fp32 = best([t for t in result.peers if t.contestant.library == "ours"])
    note = [_words("ours", ours), *(_words(t.contestant.name, t) for t in _best_of_each(result.peers))]
    note += [f"absent: {name} ({why})" for name, why in result.absent.items()]
    told = "; ".join(note)
    peer = best(theirs).p50 if theirs else None
    return [
        Row(case, "ms_vs_framework", ours.p50, peer, "onnxruntime-int8", unit="ms", note=f"{told}; goal 1.2"),
        Row(case, "ms_vs_fp32", ours.p50, fp32.p50, "our-fp32", unit="ms", note="goal 1.8"),
    ]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
