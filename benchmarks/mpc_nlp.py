"""Rows nlp-* of suite `mpc`: one optimal control problem over one transformer, emisopt beside its peers.

The problem is in nlp_peers/problem.py, the judge of all answers in nlp_peers/merit.py. The problem has more
than one local optimum, so each peer is compared with ours at the ticks where both stop at a point that the
judge finds stationary (1e-4 of the cost) and of the same cost (1e-4); where they stop apart is counted.
`time`: against the best peer with a network of its own; `time_optimiser_only`: against IPOPT and SLSQP that
call our engine's values and slopes. All start cold from holding what is applied (-warm: from the plan of the
tick before). The peers find the history's keys and values computed; ours computes them inside its time.
"""

from __future__ import annotations

import fnmatch
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.harness import Row
from benchmarks.nlp_peers.problem import CASES, Case, Statement, Tick, statement, ticks
from emisopt import _core
from emisopt.history import held_disturbances, known_array, to_history

if TYPE_CHECKING:
    from benchmarks.nlp_peers import contest

TICKS, QUICK_TICKS = 20, 4
SLOW_TICKS, SLOWEST_TICKS = 4, 1  # of peers that take about a second, or many seconds, a solve
FTOL, IPOPT_TOLERANCE = 1e-6, 1e-4  # the loosest powers of ten with which their solves count
THREADS = (1, 2)
RTI_TICKS = 400
OURS = "emisopt"


def rows(quick: bool, cases: Sequence[str] = (), peers: Sequence[str] = ()) -> list[Row]:
    """cases, peers: patterns, e.g. "nlp-S"; none: all cases (quick: nlp-S alone), all peers."""
    out: list[Row] = []
    for name, case in CASES.items():
        chosen = (
            any(fnmatch.fnmatch(name, pattern) for pattern in cases)
            if cases
            else not quick or name == "nlp-S"
        )
        if chosen:
            out += rows_of(case, quick, peers)
    return out


def rows_of(case: Case, quick: bool, peers: Sequence[str]) -> list[Row]:
    begin = time.perf_counter()
    stated, frame = statement(case)
    limits = len(stated.limits) * case.horizon
    print(f"{case.name}: {stated.n} variables, {limits} limit rows; forecaster ready "
          f"in {time.perf_counter() - begin:.0f} s", flush=True)  # fmt: skip
    chosen = list(ticks(stated, frame, QUICK_TICKS if quick else TICKS, case.apart))
    return [
        *_contest(case, stated, chosen, peers, quick),
        *([] if case.apart else _real_time(case, stated, frame, quick)),
    ]


def _contest(
    case: Case, stated: Statement, chosen: list[Tick], peers: Sequence[str], quick: bool = False
) -> list[Row]:
    try:
        import casadi
        import scipy
        import torch
    except ImportError as error:
        return [Row(case.name, metric, float("nan"), None, "missing", note=str(error)) for metric in
                ("time", "time_optimiser_only")]  # fmt: skip
    from benchmarks.nlp_peers import contest
    from benchmarks.nlp_peers.derivatives import EngineDerivatives, TorchDerivatives

    sides = {"engine": EngineDerivatives(stated, 1), "torch": TorchDerivatives(stated, 1)}
    differences = contest.disagreement(stated, chosen[0], sides)
    print(f"  largest difference from float64: {differences}", flush=True)
    wrong = {name: d for name, d in differences.items() if not d <= contest.AGREE}
    if wrong:
        raise ValueError(f"{case.name}: expected values and slopes within {contest.AGREE:g}, got {wrong}")

    solvers: list[contest.Solver] = []
    limited: dict[str, int] = {}
    for threads in THREADS:
        solvers.append(contest.OurSolver(stated, threads))
        for method in ("slsqp", "ipopt"):
            engine = EngineDerivatives(stated, threads)
            if method == "ipopt":
                solvers.append(contest.EngineIpopt(stated, engine, IPOPT_TOLERANCE, threads))
            else:
                solvers.append(contest.ScipySolver(stated, engine, method, FTOL, threads))
        torch_side = TorchDerivatives(stated, threads)
        solvers.append(contest.ScipySolver(stated, torch_side, "slsqp", FTOL, threads))
        limited[solvers[-1].name] = SLOW_TICKS
    if not quick:
        compiled = TorchDerivatives(stated, 1, compiled=True)
        solvers.append(contest.ScipySolver(stated, compiled, "slsqp", FTOL, 1))
        limited[solvers[-1].name] = SLOW_TICKS
    solvers.append(contest.ScipySolver(stated, TorchDerivatives(stated, 1), "lbfgsb", 1e-9, 1))
    limited[solvers[-1].name] = SLOWEST_TICKS
    for method in ("ipopt-bfgs", "ipopt-exact", "sqp-qrqp"):
        solvers.append(contest.CasadiSolver(stated, method, IPOPT_TOLERANCE, jit=False))
        limited[solvers[-1].name] = SLOWEST_TICKS
    if peers:
        solvers = [
            s for s in solvers if s.name.startswith(OURS) or any(fnmatch.fnmatch(s.name, p) for p in peers)
        ]
    versions = f"casadi {casadi.__version__}, scipy {scipy.__version__}, torch {torch.__version__}"

    records = contest.compete(stated, chosen, solvers, limited, lambda line: print(line, flush=True))
    return _score(case, records, versions)


def _score(case: Case, records: dict[str, contest.Record], versions: str) -> list[Row]:
    """Each peer against ours at the ticks where both arrived at the same cost; the quickest peer's row."""
    from benchmarks.nlp_peers.contest import both_arrived

    ours = min((n for n in records if n.startswith(OURS)), key=lambda n: _p(records[n].seconds, 50))
    mine, pairs = records[ours], {}
    print(f"  {'solver':24} {'arrived':>8} {'same cost':>9} {'ours cheaper':>12} {'dearer':>6} "
          f"{'p50 ms':>10} {'ours':>8} {'cpu p50':>10} {'ours':>8} {'setup s':>8}")  # fmt: skip
    for name, record in records.items():
        same, cheaper, dearer = both_arrived(mine, record)
        times = [[r.seconds[i] for i in same] for r in (mine, record)]
        spent = [[r.cpu[i] for i in same] for r in (mine, record)]
        arrived = sum(record.stationary())
        print(f"  {name:24} {arrived:4}/{len(record.seconds):<3} {len(same):9} {cheaper:12} {dearer:6} "
              f"{_p(times[1], 50) * 1e3:10.2f} {_p(times[0], 50) * 1e3:8.2f} {_p(spent[1], 50) * 1e3:10.2f} "
              f"{_p(spent[0], 50) * 1e3:8.2f} {record.setup:8.1f}", flush=True)  # fmt: skip
        if name.startswith(OURS) or not same:
            continue
        words = (
            f"{ours}; same cost at {len(same)} of {len(record.seconds)} ticks, ours cheaper at {cheaper}, "
            f"dearer at {dearer}; CPU time {_p(spent[0], 50) * 1e3:.4g} and {_p(spent[1], 50) * 1e3:.4g} ms"
        )
        pairs[name] = (times, words)
    share = sum(mine.stationary()) / len(mine.seconds)
    out = [
        Row(case.name, "stationary", share, 1.0, "goal", better="higher", note=f"{len(mine.seconds)} ticks")
    ]
    for metric, prefixes in (("time", ("torch", "casadi")), ("time_optimiser_only", ("engine",))):
        able = [n for n in pairs if n.startswith(prefixes)]
        peer = min(able, key=lambda n: _p(pairs[n][0][1], 50) / _p(pairs[n][0][0], 50), default=None)
        for suffix, q in (("", 50), ("_p99", 99)):
            if peer is None:
                out.append(
                    Row(
                        case.name, metric + suffix, _p(mine.seconds, q) * 1e3, None, "none-arrived", unit="ms"
                    )
                )
                continue
            (a, b), words = pairs[peer]
            out.append(Row(case.name, metric + suffix, _p(a, q) * 1e3, _p(b, q) * 1e3, peer, unit="ms",
                           note=f"{words}; {versions}"))  # fmt: skip
    return out


def _real_time(case: Case, stated: Statement, frame: pd.DataFrame, quick: bool) -> list[Row]:
    """Thread CPU time of consecutive ticks with one Jacobian each, and of a loop that does fixed work."""
    from benchmarks.nlp_peers.ours import Ours

    count = 60 if quick else RTI_TICKS
    ours = Ours(stated, 1, max_iterations=1)
    series = _consecutive(stated, frame, count + 20)
    spent: list[float] = []
    idle: list[float] = []
    work = np.random.default_rng(0).normal(size=(64, 64))
    once = _idle_seconds(work, 1)
    repeats = 1
    for number, (end, history, known, applied, past) in enumerate(series):
        ours.predictor.set_tick(history, end, known)
        begin = time.thread_time()
        ours.controller.step(ours.predictor, applied, past)
        spent.append(time.thread_time() - begin)
        if number == 10:
            repeats = max(1, round(statistics.median(spent) / once))
        idle.append(_idle_seconds(work, repeats))
    spent, idle = spent[20:], idle[20:]
    share = _p(spent, 99) / _p(spent, 50)
    return [
        Row(case.name, "rti_p99_over_p50", share, 3.0, "goal",
            note=f"{count} ticks, p50 {_p(spent, 50) * 1e3:.2f} ms, p99 {_p(spent, 99) * 1e3:.2f} ms of "
            f"thread CPU time; a loop of fixed work beside it {_p(idle, 99) / _p(idle, 50):.2f}"),
    ]  # fmt: skip


def _consecutive(
    stated: Statement, frame: pd.DataFrame, count: int
) -> list[tuple[int, _core.History, np.ndarray, np.ndarray, np.ndarray]]:
    case, tags = stated.case, stated.tags
    history = to_history(frame, tags, where="ticks")
    outputs = [tags.names.index(n) for n in tags.outputs]
    setpoints = [tags.names.index(n) for n in tags.setpoints]
    found = []
    for end in range(case.context + 1, case.context + 1 + count):
        tail = frame.iloc[end - case.context : end]
        known = known_array(held_disturbances(tail, tags, case.horizon), tags, case.horizon)
        applied = np.clip(history.values[end - 1, setpoints], stated.low, stated.high)
        found.append(
            (
                end,
                history,
                known,
                applied,
                np.ascontiguousarray(history.values[end - case.context : end, outputs]),
            )
        )
    return found


def _idle_seconds(work: np.ndarray, repeats: int) -> float:
    begin = time.thread_time()
    for _ in range(repeats):
        work @ work
    return time.thread_time() - begin


def _p(values: Sequence[float], q: float) -> float:
    return float(np.percentile(values, q)) if len(values) else float("nan")
