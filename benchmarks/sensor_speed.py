"""Cases sensor-speed-* of suite domain: time a reading of `SensorMonitor.check`, beside a detector of river.

All checks of ours against one Page-Hinkley that sees one tag at a time; rows of minutes, ten common causes.
The peer's values are fewer, as its time per value does not depend on how many there are. Told is processor
time: both sides have one thread, and by the wall both took seven times as long on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.harness import Row, matches, time_interleaved
from emisopt.monitor import SensorMonitor
from emisopt.tags import Tag, TagMap

CAUSES = 10
PEER_VALUES = 100_000


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    sizes = ((20, 50_000), (200, 2_000)) if quick else ((20, 525_600), (2000, 3_000))
    return [
        _row(tags, count, missing)
        for tags, count in sizes
        for missing in (0.0, 0.005)
        if matches(_name(tags, missing), cases)
    ]


def _name(tags: int, missing: float) -> str:
    return f"sensor-speed-{tags}{'-missing' if missing else ''}"


def _row(tags: int, count: int, missing: float) -> Row:
    reference = 20_000 if tags < 100 else 4_000
    frame = _plant(tags, reference + count, missing)
    tag_map = TagMap(tuple(Tag(name, "K") for name in frame.columns), period=60.0)
    monitor = SensorMonitor(factors=CAUSES).fit(frame.iloc[:reference], tag_map)
    later = frame.iloc[reference:]
    values = frame.iloc[:PEER_VALUES, 0].dropna().tolist()

    calls = {"ours": lambda: monitor.check(later)}
    peer: float | None = None
    version = ""
    try:
        import river
        from river import drift
    except ImportError:
        pass
    else:
        version = f"; river {river.__version__}"

        def detect() -> None:
            detector = drift.PageHinkley()
            for value in values:
                detector.update(value)

        calls["peer"] = detect
    seconds = time_interleaved(calls, repeats=3, warmup=0, clock=time.process_time)
    if "peer" in seconds:
        peer = 1e9 * seconds["peer"] / len(values)
    return Row(
        _name(tags, missing),
        "time_per_reading",
        1e9 * seconds["ours"] / (tags * count),
        peer,
        "river_PageHinkley",
        unit="ns",
        note=f"{tags} tags x {count} rows, {seconds['ours']:.2f} s of processor time, {100 * missing:g} % "
        f"missing; one thread{version}",
    )


def _plant(tags: int, count: int, missing: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(CAUSES, tags)).astype(np.float64)
    causes = np.empty((count, CAUSES))
    state = np.zeros(CAUSES)
    for row in range(count):
        state = 0.97 * state + 0.24 * rng.normal(size=CAUSES)
        causes[row] = state
    values = causes @ weights + 0.5 * rng.normal(size=(count, tags))
    if missing:
        values[rng.random(values.shape) < missing] = np.nan
    index = pd.date_range("2024-01-01", periods=count, freq="1min", tz="UTC")
    return pd.DataFrame(values, index=index, columns=[f"t{i}" for i in range(tags)])


if __name__ == "__main__":
    for row in rows(quick=False):
        print(
            f"{row.case:26} {row.ours:6.0f} ns a reading, peer {row.peer or float('nan'):6.0f} ns; {row.note}"
        )
