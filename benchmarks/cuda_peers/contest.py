"""Compares the contestants' answers, then lets them take turns on the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# Of the largest entry; `moved`, by AdamW, which divides by the gradient's own size, of the norm.
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
MOVED = 2e-2
LOSS = {"float32": 1e-4, "bfloat16": 2e-2}  # relative
MOST = 5000  # calls in a block


class Absent(Exception):
    """This contestant cannot be had here; the text says why."""


@dataclass
class Contestant:
    """`run(n)` does n calls and returns when they are done."""

    name: str
    run: Callable[[int], object]
    answer: Callable[[], dict[str, np.ndarray]]
    per_call: bool  # each call is timed by itself; else a block of calls, whose quotient counts
    flop: float = 0.0
    compile_seconds: float = 0.0


@dataclass
class Timing:
    """Milliseconds per call."""

    ms: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.ms)

    @property
    def p99(self) -> float:
        return float(np.quantile(self.ms, 0.99))

    def words(self, name: str) -> str:
        return f"{name} p50 {self.p50:.4g} p99 {self.p99:.4g} of {len(self.ms)}"


@dataclass(frozen=True)
class Pace:
    """How long turns take."""

    rounds: int = 12
    block: float = 0.1  # seconds of a turn
    least: int = 3  # calls in a block


def compare(case: str, contestants: Sequence[Contestant], precision: str) -> None:
    """Raises AssertionError when one's answer is another than the first one's."""
    truth = contestants[0].answer()
    for other in contestants[1:]:
        got = other.answer()
        if not got.keys() & truth.keys():
            raise AssertionError(f"{case}: {other.name} answers {sorted(got)}, expected {sorted(truth)}")
        for name in sorted(got.keys() & truth.keys()):
            if name == "moved" and precision != "float32":
                continue  # AdamW's first steps are the signs of the gradient, here rounded: see loss
            apart, allowed = distance(name, got[name], truth[name], precision)
            if not apart <= allowed:
                raise AssertionError(
                    f"{case}: {other.name}: {name} differs from {contestants[0].name}'s by {apart:.2g}, "
                    f"expected at most {allowed:g}"
                )


def distance(name: str, got: np.ndarray, truth: np.ndarray, precision: str) -> tuple[float, float]:
    """How far apart, and how far allowed."""
    a, b = np.asarray(got, np.float64).ravel(), np.asarray(truth, np.float64).ravel()
    if a.shape != b.shape:
        return np.inf, 0.0
    if name == "moved":
        return float(np.linalg.norm(a - b) / np.linalg.norm(b)), MOVED
    allowed = LOSS[precision] if name == "loss" else TOLERANCE[precision]
    return float(np.abs(a - b).max() / np.abs(b).max()), allowed


def take_turns(contestants: Sequence[Contestant], pace: Pace) -> Mapping[str, Timing]:
    """In rounds, each beginning with another contestant; the first one warms up. How many calls fill a
    block is measured before."""
    timings = {c.name: Timing() for c in contestants}
    calls: dict[str, int] = {}
    for contestant in contestants:
        contestant.run(2)
        begin = time.perf_counter()
        contestant.run(pace.least)
        each = (time.perf_counter() - begin) / pace.least
        calls[contestant.name] = int(min(MOST, max(pace.least, pace.block / max(each, 1e-9))))
    order = list(contestants)
    for turn in range(pace.rounds + 1):
        at = turn % len(order)
        for contestant in order[at:] + order[:at]:
            times = _block(contestant, calls[contestant.name])
            if turn > 0:
                timings[contestant.name].ms += times
    return timings


def _block(contestant: Contestant, calls: int) -> list[float]:
    clock, run = time.perf_counter_ns, contestant.run
    if not contestant.per_call:
        begin = clock()
        run(calls)
        return [(clock() - begin) * 1e-6 / calls]
    times = []
    for _ in range(calls):
        begin = clock()
        run(1)
        times.append((clock() - begin) * 1e-6)
    return times
