"""Everybody solves the same ticks in turn; the judge says who arrived; times of those are compared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.nlp_peers.derivatives import EngineDerivatives, TorchDerivatives
from benchmarks.nlp_peers.merit import Judge, Verdict
from benchmarks.nlp_peers.network import Prefix
from benchmarks.nlp_peers.ours import Ours
from benchmarks.nlp_peers.problem import Floats, Statement, Tick, begun_from, legal
from benchmarks.nlp_peers.scipy_calls import lbfgsb, slsqp

SAME = 1e-4  # relative, of objectives that count as the same
STATIONARY = 1e-4  # share of the cost that a step may still promise in a solved problem
FIRST_WARM = 3  # ticks of a warm series that are not counted
LEGAL = 1e-5  # ranges by which an answer may leave bounds or rates before it is mended
OUR_TOLERANCE = 3e-5  # the controller's own residual is up to three times smaller than the judge's
AGREE = 1e-4  # relative to the largest entry, of values and slopes of all sides


class Solver(Protocol):
    name: str

    def set_tick(self, prefix: Prefix, tick: Tick) -> None: ...
    def solve(self) -> Floats: ...


@dataclass
class Record:
    """What one solver did at each tick."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(
        default_factory=list
    )  # of all threads; what others do on the machine moves it less
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    setup: float = 0.0

    def stationary(self) -> list[bool]:
        return [v.kkt <= STATIONARY and v.illegal <= LEGAL for v in self.verdicts]


def both_arrived(ours: Record, peer: Record) -> tuple[list[int], int, int]:
    """Ticks at which both stopped at a stationary point of the same cost; at how many others ours was the
    cheaper, and the dearer one (a point that is not stationary counts as the dearer)."""
    same, cheaper, dearer = [], 0, 0
    arrived = zip(ours.stationary(), peer.stationary(), ours.verdicts, peer.verdicts, strict=False)
    for tick, (mine, theirs, a, b) in enumerate(arrived):
        if mine and theirs and abs(a.objective - b.objective) <= SAME * abs(b.objective):
            same.append(tick)
        elif mine and (not theirs or a.objective < b.objective):
            cheaper += 1
        elif theirs:
            dearer += 1
    return same, cheaper, dearer


class OurSolver:
    def __init__(self, stated: Statement, threads: int, **options: Any) -> None:
        self.name = f"emisopt-t{threads}"
        self.ours = Ours(stated, threads, kkt_tolerance=OUR_TOLERANCE, **options)
        self.note = ""

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        self.tick = tick
        self.ours.set_tick(tick, warm=self.ours.stated.case.apart > 0)

    def solve(self) -> Floats:
        decision = self.ours.solve(self.tick)
        self.note = (
            f"{decision.status.name} it={decision.iterations} kkt={decision.kkt:.1e} {decision.reason}"
        )
        return self.ours.variables(decision)


class ScipySolver:
    """`method` slsqp or lbfgsb over either engine's derivatives."""

    def __init__(
        self, stated: Statement, derivatives: EngineDerivatives | TorchDerivatives, method: str,
        tolerance: float, threads: int,
    ) -> None:  # fmt: skip
        side = "engine" if isinstance(derivatives, EngineDerivatives) else "torch"
        if isinstance(derivatives, TorchDerivatives) and derivatives.compiled:
            side = "torch-compiled"
        self.name = f"{side}+{method}-t{threads}"
        self.stated, self.derivatives, self.method = stated, derivatives, method
        self.tolerance, self.threads = tolerance, threads
        self.note = self.way = ""

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        self.tick = tick
        torch.set_num_threads(self.threads)
        self.derivatives.set_tick(prefix, tick)
        if self.method != "slsqp" or not isinstance(self.derivatives, TorchDerivatives) or self.way:
            return
        if self.derivatives.compiled:
            self.way = self.derivatives.way
            self.derivatives.evaluate(tick.start)
            self.derivatives.slopes(tick.start)
        else:
            self.way = self.derivatives.choose(tick.start)

    def solve(self) -> Floats:
        torch.set_num_threads(self.threads)
        run: Callable[..., tuple[Floats, int]] = slsqp if self.method == "slsqp" else lbfgsb
        v, iterations = run(self.stated, self.tick, self.derivatives, self.tolerance)
        calls = self.derivatives.calls
        self.note = f"it={iterations} values={calls['value']} slopes={calls['slope']} {self.way}"
        return v


class EngineIpopt:
    """IPOPT over our values and slopes."""

    def __init__(
        self, stated: Statement, derivatives: EngineDerivatives, tolerance: float, threads: int
    ) -> None:
        from benchmarks.nlp_peers.casadi_calls import of_derivatives

        self.name = f"engine+ipopt-t{threads}"
        self.derivatives = derivatives
        self.nlp, self.values = of_derivatives(stated, derivatives, tolerance)
        self.note = ""

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        self.tick = tick
        self.derivatives.set_tick(prefix, tick)

    def solve(self) -> Floats:
        v, stats = self.nlp.solve(self.tick, self.derivatives.evaluate(self.tick.start)[1])
        calls = self.derivatives.calls
        done = f"values={calls['value']} slopes={calls['slope']}"
        self.note = f"{stats['return_status']} it={stats['iter_count']} {done}"
        return v


class CasadiSolver:
    """The network in MX, solved by `method`; made at the first tick, parameters set before the clock runs."""

    def __init__(self, stated: Statement, method: str, tolerance: float, jit: bool) -> None:
        from benchmarks.nlp_peers.casadi_network import CasadiNetwork

        self.name = f"casadi-mx{'-jit' if jit else ''}+{method}"
        self.stated, self.method, self.tolerance, self.jit = stated, method, tolerance, jit
        self.network = CasadiNetwork(stated)
        self.nlp: Any = None
        self.note, self.setup = "", 0.0

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        from benchmarks.nlp_peers.casadi_calls import of_network

        self.tick = tick
        self.p = self.network.parameters(prefix, tick)
        with torch.no_grad():
            start = self.network.torch.money_and_excess(torch.as_tensor(tick.start))[1].numpy()
        self.excess = start
        if self.nlp is None:
            begin = time.perf_counter()
            self.nlp = of_network(self.stated, self.network, prefix, self.method, self.tolerance, self.jit)
            self.setup = time.perf_counter() - begin

    def solve(self) -> Floats:
        v, stats = self.nlp.solve(self.tick, self.excess, self.p)
        self.note = f"{stats['return_status']} it={stats['iter_count']}"
        return v


def compete(
    stated: Statement, all_ticks: Sequence[Tick], solvers: Sequence[Solver], rounds: dict[str, int],
    report: Callable[[str], None],
) -> dict[str, Record]:  # fmt: skip
    """Each tick is solved by all in turn; solvers named in `rounds` only take so many ticks."""
    judge = Judge(stated)
    records = {solver.name: Record() for solver in solvers}
    last: dict[str, Floats] = {}
    for number, each in enumerate(all_ticks):
        prefix = Prefix(stated, each)
        judge.set_tick(prefix, each)
        for solver in solvers:
            tick = begun_from(stated, each, last.get(solver.name)) if stated.case.apart else each
            record = records[solver.name]
            if number >= rounds.get(solver.name, len(all_ticks)):
                continue
            if number == 0:  # compiles what is made at first use, warms caches; not counted
                begin = time.perf_counter()
                solver.set_tick(prefix, tick)
                if rounds.get(solver.name, 99) > 3:
                    solver.solve()
                record.setup = time.perf_counter() - begin
            solver.set_tick(prefix, tick)
            gc.collect()
            with threadpool_limits(1, user_api="blas"):  # matrices of a hundred rows: two cores only wait
                begin, spent = time.perf_counter(), time.process_time()
                v = solver.solve()
                record.cpu.append(time.process_time() - spent)
                record.seconds.append(time.perf_counter() - begin)
            last[solver.name] = legal(stated, tick, v)
            if stated.case.apart and number < FIRST_WARM:
                for kept in (record.seconds, record.cpu):
                    kept.pop()
                continue
            record.verdicts.append(judge.verdict(v))
            record.notes.append(getattr(solver, "note", ""))
            seen = record.verdicts[-1]
            report(
                f"  tick {number:2} {solver.name:28} {record.seconds[-1] * 1e3:10.2f} ms "
                f"(cpu {record.cpu[-1] * 1e3:.2f}) "
                f"objective {seen.objective:.6f} kkt {seen.kkt:.1e} slack {seen.slack:.3g} {record.notes[-1]}"
            )
    return records


def disagreement(stated: Statement, tick: Tick, sides: dict[str, Any]) -> dict[str, float]:
    """Largest relative difference of each side from the judge, in cost, excess, gradient and Jacobian."""
    prefix, judge = Prefix(stated, tick), Judge(stated)
    judge.set_tick(prefix, tick)
    v = np.clip(tick.start + 0.02 * np.random.default_rng(7).normal(size=stated.n), tick.low, tick.high)
    expected = [*judge.values(v), *judge.slopes(v)]
    found: dict[str, float] = {}
    for name, side in sides.items():
        side.set_tick(prefix, tick)
        got = [*side.evaluate(v), *side.slopes(v)]
        found[name] = max(
            float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())
            for a, b in zip(got, expected, strict=True)
        )
    return found
