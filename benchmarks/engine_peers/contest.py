"""The other side of the workers: starts them, compares answers, lets contestants take turns."""

from __future__ import annotations

import json
import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_peers.problem import Problem

TOLERANCE = 1e-4  # of the largest entry
# AdamW divides by the gradient's own size: where that is rounding alone, so is the step.
MOVED_TOLERANCE = 2e-2  # of the norm
FEW = 5
TOLD = 20.0  # seconds of preparation that are worth a line
ROOT = Path(__file__).resolve().parents[2]
INT8_TOLERANCE = 0.2  # told apart from a broken model, no more: int8 is not compared for its numbers here


def tell(text: str) -> None:
    """Progress, on standard error: a suite's rows come at its end, and a run that is stopped loses them."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Contestant:
    """E.g. torch_calls, full-eager, 1 thread."""

    library: str
    kind: str
    threads: int

    @property
    def name(self) -> str:
        label = {"torch_calls": "torch", "onnx_calls": "onnxruntime", "jax_calls": "jax", "ours": "emisopt"}
        parts = [label.get(self.library, self.library)]
        if self.kind not in ("", "full", "full-noynn", "fp32"):
            parts.append(self.kind.removeprefix("full-"))
        return "-".join(parts)

    @property
    def compiles(self) -> bool:
        """Takes long to prepare."""
        return self.kind.endswith(("-compile", "-autotune"))

    @property
    def rounded(self) -> bool:
        """To 8-bit numbers: other answers are expected."""
        return self.kind == "int8"

    @property
    def cached(self) -> bool:
        return self.kind.startswith("cached")


class Worker:
    """A process that holds one library; `missing` tells why there is none."""

    def __init__(self, contestant: Contestant) -> None:
        # kinds of one library are kept apart, too: packing of constants is a setting of the process
        command = [sys.executable, "-m", "benchmarks.engine_peers.worker", contestant.library]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        self._process = subprocess.Popen(
            [*command, str(contestant.threads), contestant.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("EMISOPT_BENCH_VERBOSE") else None,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        hello = self._read(120.0)
        self.missing = "" if "ready" in hello else hello.get("missing") or hello.get("error") or "no answer"

    def ask(self, patience: float, **order: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError:
            return {"error": "the process has ended"}
        return self._read(patience)

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                self.close()
                return {"error": f"no answer within {seconds:.0f} s"}
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": "the process has ended"}

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@dataclass
class Timing:
    """All calls of one contestant in one case, in milliseconds.

    The median is of calls during which no other process took a core away, if there are FEW of them: on a busy
    machine a long call is always interrupted and a short one hardly ever, which would favour the short.
    """

    contestant: Contestant
    ms: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    compile_seconds: float = 0.0
    method: str = ""
    flop: float = 0.0
    bytes: int = 0

    @property
    def p50(self) -> float:
        return statistics.median(self.quiet if self.is_quiet else self.ms)

    @property
    def is_quiet(self) -> bool:
        return len(self.quiet) >= FEW

    @property
    def p99(self) -> float:
        return float(np.quantile(self.ms, 0.99))

    @property
    def best(self) -> float:
        return min(self.ms)


@dataclass
class Result:
    """One case: who took part and with what, and who could not and why."""

    case: str
    ours: dict[int, Timing]  # by threads
    peers: list[Timing]
    absent: dict[str, str]  # peer -> reason
    load: float = 0.0  # of the machine when the turns began: above 1, others had the cores, too


@dataclass(frozen=True)
class Pace:
    """How long a case takes."""

    rounds: int = 8
    block: float = 0.06  # seconds
    least: int = 1  # calls per block
    prepare: float = 240.0  # a contestant that takes longer to compile is left out, and that is printed
    slow: float = 6.0  # seconds of a round above which rounds are fewer
    compile_until: float = 1e9  # time.monotonic() after which nothing is compiled any more


class Arena:
    """Workers by contestant, kept over cases; use as a context manager."""

    def __init__(self) -> None:
        self._workers: dict[tuple[str, int, str], Worker] = {}
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
        self._folder.cleanup()

    def worker(self, contestant: Contestant) -> Worker:
        how = "" if contestant.library == "onnx_calls" else contestant.kind.rpartition("-")[2]
        key = (contestant.library, contestant.threads, how)
        if key not in self._workers or not self._workers[key].alive:
            self._workers[key] = Worker(contestant)
        return self._workers[key]

    def hold(
        self, case: str, problem: Problem, ours: Sequence[Contestant], peers: Sequence[Contestant], pace: Pace
    ) -> Result:
        """Prepares all, refuses answers that differ, then lets them take turns."""
        ready: dict[Contestant, Timing] = {}
        answers: dict[Contestant, dict[str, np.ndarray]] = {}
        absent: dict[str, str] = {}
        for contestant in [*ours, *peers]:
            name, begin = f"{contestant.name}-{contestant.threads}t", time.monotonic()
            timing, answer, reason = self._prepare(contestant, problem, pace)
            if time.monotonic() - begin > TOLD:
                tell(f"{case}: {name} ready in {time.monotonic() - begin:.0f} s")
            if timing is not None:
                ready[contestant], answers[contestant] = timing, answer
            elif contestant in ours:
                raise RuntimeError(f"{case}: our side failed: {reason}")
            else:
                absent[name] = reason
        truth = next((a for c, a in answers.items() if not c.rounded), {})
        for contestant, answer in answers.items():
            _compare(case, contestant, answer, truth)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        self._take_turns(ready, pace)
        self._forget()
        return Result(
            case,
            {c.threads: ready[c] for c in ours},
            [timing for c, timing in ready.items() if c not in ours],
            absent,
            load,
        )

    def order(self, worker: Worker, who: Contestant, problem: Problem, what: str) -> dict[str, Any]:
        """A measurement that needs no turns: "memory" or "cold"."""
        return worker.ask(240.0, do=what, problem=asdict(problem), kind=who.kind)

    def _prepare(
        self, contestant: Contestant, problem: Problem, pace: Pace
    ) -> tuple[Timing | None, dict[str, np.ndarray], str]:
        if contestant.compiles and time.monotonic() > pace.compile_until:
            return (
                None,
                {},
                "not compiled within the suite's time; run it again",
            )
        worker = self.worker(contestant)
        if worker.missing:
            return None, {}, worker.missing
        file = Path(self._folder.name) / "answer.npz"
        reply = worker.ask(
            pace.prepare,
            do="prepare",
            key=f"{contestant.kind}",
            problem=asdict(problem),
            kind=contestant.kind,
            file=str(file),
        )
        reason = reply.get("cannot") or reply.get("error")
        if reason:
            return None, {}, reason
        with np.load(file) as stored:
            answer = {name: stored[name] for name in stored.files}
        timing = Timing(
            contestant,
            compile_seconds=reply["compile_seconds"],
            method=reply["method"],
            flop=reply["flop"],
            bytes=reply["bytes"],
        )
        return timing, answer, ""

    def _take_turns(self, ready: Mapping[Contestant, Timing], pace: Pace) -> None:
        rounds, order = pace.rounds, list(ready)
        turn = 0
        while turn <= rounds:  # the first one warms up and tells how long a round takes
            begin = time.perf_counter()
            for contestant in order[turn % len(order) :] + order[: turn % len(order)]:
                reply = self.worker(contestant).ask(
                    300.0, do="block", key=contestant.kind, seconds=pace.block, least=pace.least
                )
                if "ns" not in reply:
                    raise RuntimeError(f"{contestant.name}: {reply.get('error')}")
                timing = ready[contestant]
                for ns, disturbed in zip(reply["ns"], reply["disturbed"], strict=True):
                    timing.ms.append(ns * 1e-6)
                    if not disturbed:
                        timing.quiet.append(ns * 1e-6)
            if turn == 0:
                elapsed = time.perf_counter() - begin
                rounds = max(2, min(rounds, int(rounds * pace.slow / elapsed)))
                if elapsed < 3 * pace.slow:
                    for timing in ready.values():
                        timing.ms, timing.quiet = [], []
            turn += 1

    def _forget(self) -> None:
        for worker in self._workers.values():
            if worker.alive and not worker.missing:
                worker.ask(60.0, do="forget")


def _compare(
    case: str, who: Contestant, got: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> None:
    """Raises AssertionError when an answer is another one than ours."""
    tolerance = INT8_TOLERANCE if who.rounded else TOLERANCE
    for name in got.keys() & truth.keys():
        difference = np.asarray(got[name], np.float64).ravel() - np.asarray(truth[name], np.float64).ravel()
        if name == "moved":
            apart, allowed = np.linalg.norm(difference) / np.linalg.norm(truth[name]), MOVED_TOLERANCE
        else:
            apart, allowed = np.abs(difference).max() / np.abs(truth[name]).max(), tolerance
        if not apart <= allowed:
            raise AssertionError(
                f"{case}: {who.name} with {who.threads} threads: {name} differs by {apart:.2g} of the "
                f"largest entry, expected at most {allowed:g}"
            )
