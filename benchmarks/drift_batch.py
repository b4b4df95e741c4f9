"""Drift of 10^4 tags in one call, beside river one value at a time; alarms are the same, or the row fails.

Cases kswin-batch, adwin-batch and page-hinkley-batch of suite domain. river has no batch: its cost a value is
measured on a sample of the same tags and told for all of them. Tags that shift, wander and stand still take
turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import drift_alarms
from benchmarks.harness import Row, matches
from emisopt._core import default_threads
from emisopt.monitor import detect_drift

TAGS = 10_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    name: str
    kind: str  # of detect_drift
    options: dict[str, Any]
    peer: Callable[[Any], Any]  # river.drift -> a new detector with the same options
    rows: int
    sample: int  # tags that river is given


CASES = (
    Case("kswin-batch", "kswin", {"seed": 42}, lambda drift: drift.KSWIN(seed=42), 1440, 4),
    Case("adwin-batch", "adwin", {}, lambda drift: drift.ADWIN(), 2880, 200),
    Case("page-hinkley-batch", "page_hinkley", {}, lambda drift: drift.PageHinkley(), 2880, 100),
)  # fmt: skip


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    wanted = [case for case in CASES if matches(case.name, cases)]
    return [*(row_of(case, quick) for case in wanted), *drift_alarms.rows(quick, cases)]


def make_tags(count: int, tags: int = TAGS) -> pd.DataFrame:
    """(count, tags): level shifts of a third, slow wandering of a third, noise alone of a third."""
    rng = np.random.default_rng(11)
    values = rng.standard_normal((count, tags))
    step = rng.integers(count // 3, count, tags)
    height = np.where(np.arange(tags) % 3 == 0, rng.normal(0, 3, tags), 0.0)
    values += np.where(np.arange(count)[:, None] >= step, height, 0.0)
    wander = np.arange(1, tags, 3)
    values[:, wander] += 0.05 * np.cumsum(rng.standard_normal((count, len(wander))), axis=0)
    return pd.DataFrame(values, columns=[f"tag {i}" for i in range(tags)])


def row_of(case: Case, quick: bool) -> Row:
    count = case.rows // 5 if quick else case.rows
    frame = make_tags(count)
    sample = [frame.iloc[:, tag].tolist() for tag in range(case.sample)]
    try:
        import river
        from river import drift
    except ImportError:
        river = drift = None
    seconds: dict[str, list[float]] = {"one": [], "all": [], "river": []}
    theirs: list[list[int]] = []
    found = detect_drift(frame.iloc[:50], case.kind, **case.options)  # warm
    for _ in range(3 if quick else 5):  # turn by turn, so that a slow phase of the machine hits all alike
        for name, threads in (("one", 1), ("all", 0)):
            begin = time.perf_counter()
            found = detect_drift(frame, case.kind, threads=threads, **case.options)
            seconds[name].append(time.perf_counter() - begin)
        if drift is not None:
            begin = time.perf_counter()
            theirs = [alarms_of(case.peer(drift), values) for values in sample]
            seconds["river"].append((time.perf_counter() - begin) / case.sample * TAGS)
    ours = min(statistics.median(seconds["one"]), statistics.median(seconds["all"]))
    per_value = 1e9 / (count * TAGS)
    note = f"{TAGS} tags x {count} rows, {len(found)} alarms; ours {ours * per_value:.3g} ns a value "
    note += f"({default_threads()} threads, one: {statistics.median(seconds['one']):.3g} s)"
    if drift is None:
        return Row(case.name, "time", ours, None, "river", unit="s", note=f"{note}; peer missing: river")
    mine = [found["row"][(found["tag"] == f"tag {tag}").to_numpy()].tolist() for tag in range(case.sample)]
    if mine != theirs:
        tag = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
        raise AssertionError(f"{case.name}: tag {tag}: our alarms {mine[tag]}, river's {theirs[tag]}")
    peer = statistics.median(seconds["river"])
    note += (
        f"; river {river.__version__} on {case.sample} tags, {peer * per_value:.4g} ns a value, one thread; "
    )
    note += f"same {sum(len(t) for t in theirs)} alarms there"
    return Row(case.name, "time", ours, peer, "river", unit="s", note=note)


def alarms_of(detector: Any, values: Sequence[float]) -> list[int]:
    found = []
    for row, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(row)
    return found
