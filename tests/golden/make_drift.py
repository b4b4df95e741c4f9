"""Golden alarms of river's detectors and Kolmogorov-Smirnov p-values of SciPy for csrc/emisopt/monitor.

Run from the repository root, with the packages of the group `bench`: ``python tests/golden/make_drift.py``.
The tests read the committed ``drift.csv``:

    alarms,DETECTOR,OPTION=VALUE ...,STREAM,ROW ROW ...
    ks,N,H,P-VALUE

A stream is a seed of Python's random.Random, whose numbers C++ makes too; `stream` below says how.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from river import drift
from scipy.stats import _stats_py

ROWS = 3000


def stream(seed: int) -> list[float]:
    """Near-normal noise about a level that jumps every 500 values; odd seeds give multiples of a quarter."""
    rng = random.Random(seed)
    out, level = [], 0.0
    for i in range(ROWS):
        if i % 500 == 0:
            level = 3.0 * (rng.random() - 0.5)
        noise = rng.random() + rng.random()
        noise = noise + rng.random() + rng.random() - 2.0
        value = level + noise
        out.append(math.floor(value * 4.0) / 4.0 if seed % 2 else value)
    return out


def alarms(detector: Any, values: list[float]) -> list[int]:
    found = []
    for row, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(row)
    return found


CASES: list[tuple[str, str, Callable[[], Any]]] = [
    ("adwin", "", drift.ADWIN),
    ("adwin", "delta=0.2 clock=1 max_buckets=3 min_window=1 grace=0",
     lambda: drift.ADWIN(delta=0.2, clock=1, max_buckets=3, min_window_length=1, grace_period=0)),
    ("adwin", "delta=0.05 clock=7 max_buckets=8 min_window=20 grace=100",
     lambda: drift.ADWIN(delta=0.05, clock=7, max_buckets=8, min_window_length=20, grace_period=100)),
    ("page_hinkley", "limit=15", lambda: drift.PageHinkley(threshold=15)),
    ("page_hinkley", "limit=5 delta=0.1 alpha=0.99 min_instances=5 mode=up",
     lambda: drift.PageHinkley(threshold=5, delta=0.1, alpha=0.99, min_instances=5, mode="up")),
    ("page_hinkley", "limit=8 mode=down", lambda: drift.PageHinkley(threshold=8, mode="down")),
    ("kswin", "alpha=0.005 window=100 sample=30 seed=0", lambda: drift.KSWIN(seed=0)),
    ("kswin", "alpha=0.001 window=60 sample=25 seed=1099511627779",
     lambda: drift.KSWIN(alpha=0.001, window_size=60, stat_size=25, seed=1099511627779)),
    ("kswin", "alpha=0.02 window=700 sample=40 seed=7",
     lambda: drift.KSWIN(alpha=0.02, window_size=700, stat_size=40, seed=7)),
]  # fmt: skip


def ks_p(n: int, h: int) -> float:
    return min(float(_stats_py._compute_prob_outside_square(n, h)), 1.0)  # rounding can take it above 1


def rows() -> list[str]:
    out = []
    for seed in (1, 2, 3, 4):
        values = stream(seed)
        for name, options, make in CASES:
            found = " ".join(map(str, alarms(make(), values)))
            out.append(f"alarms,{name},{options},{seed},{found}")
    shares = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    places = [(n, round(share * n)) for n in (5, 25, 30, 100, 1000, 10000) for share in shares]
    return out + [f"ks,{n},{h},{ks_p(n, h)!r}" for n, h in places if h]


if __name__ == "__main__":
    Path(__file__).with_name("drift.csv").write_text("\n".join(rows()) + "\n", encoding="utf-8")
