"""Plants, injected faults and what counts as finding one: the ground of the fault study."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.tep_detection import folder
from emisopt.io import read_history
from emisopt.monitor import without_ranges
from emisopt.plants import Boiler
from emisopt.tags import TagMap, load_tagmap

Floats = NDArray[np.float64]

KINDS = ("frozen", "stuck", "spike", "bias", "drift")
# Size of a fault: rows for frozen and stuck, standard deviations of the tag in its reference for the others;
# a drift reaches it in 288 rows and goes on rising.
SIZES = {
    "frozen": (6, 24, 96),
    "stuck": (6, 24, 96),
    "spike": (1.0, 2.0, 4.0),
    "bias": (0.5, 1.0, 2.0),
    "drift": (0.5, 1.0, 2.0),
}
ROWS = {"spike": 1, "bias": 576, "drift": 1440}
SLACK = 3  # rows after a fault's end in which finding it still counts: a spike is known by its return


@dataclass(frozen=True)
class Ground:
    """Healthy rows of one seed: to learn from, to set alarm rates on, to be tested on."""

    tags: TagMap
    judged: list[str]  # tags that get faults and may be accused
    inputs: list[str]  # tags that a multivariate method may use
    reference: pd.DataFrame
    calibration: pd.DataFrame
    test: pd.DataFrame
    rows_per_month: float
    stretch: int = 0  # seeds of one number share their rows, whose false alarms count once

    def months(self, rows: pd.DataFrame) -> float:
        """Tag-months."""
        return len(rows) / self.rows_per_month * len(self.judged)


@dataclass(frozen=True)
class Fault:
    kind: str
    size: float
    tag: str
    onset: int  # row of the test part
    rows: int

    @property
    def end(self) -> int:
        """First row in which finding it counts no more."""
        return self.onset + self.rows + SLACK


def boiler(seed: int, quick: bool) -> Ground:
    """Synthetic: 60 days to learn from, 30 to set alarm rates on, 30 to be tested on; rows of 5 min."""
    learn, more = (20, 8) if quick else (60, 30)
    history, tags = Boiler(seed=4000 + seed).simulate_history(days=learn + 2 * more, instrument_faults=False)
    modelled = [t.name for t in tags if t.kind == "continuous"]
    judged = [n for n in modelled if tags[n].role != "setpoint"]
    a, b = learn * 288, (learn + more) * 288
    return Ground(
        tags, judged, modelled, history.iloc[:a], history.iloc[a:b], history.iloc[b:], 30 * 288.0, seed
    )


STRETCHES = 5  # half-years of the gas turbine that are tested on


@functools.cache
def turbine_halves() -> tuple[TagMap, tuple[pd.DataFrame, ...]]:
    """The eight half-years of 2011 to 2014, hourly."""
    tags = load_tagmap("gas_turbine")
    raw = without_ranges(tags)
    years = [read_history(folder().parent / "gas_turbine" / f"gt_{y}.csv", raw) for y in range(2011, 2015)]
    whole = pd.concat(years, ignore_index=True).rename_axis(years[0].index.name)
    ends = np.cumsum([0] + [n for year in years for n in (len(year) // 2, len(year) - len(year) // 2)])
    return tags, tuple(whole.iloc[a:b] for a, b in itertools.pairwise(ends))


def gas_turbine(seed: int, quick: bool) -> Ground:
    """Real, hourly: the seeds take turns at five half-years, from the second of 2012 on. Each is tested with
    what was learnt on a year that ended half a year before. Alarm rates are set on the first half of 2012
    alone, the half-year in between of stretch 0: it is never tested on, and all that is comes later."""
    tags, halves = turbine_halves()
    k = seed % STRETCHES
    reference = pd.concat(halves[k : k + 2])
    return Ground(tags, tags.names, tags.names, reference, halves[k + 2], halves[k + 3], 720.0, k)


PLANTS = {"boiler": boiler, "gas_turbine": gas_turbine}


def faults(ground: Ground, seed: int) -> Iterator[Fault]:
    """All kinds and sizes on one tag from one row on, both drawn by the seed."""
    rng = np.random.default_rng(1000 + seed)
    tag = ground.judged[seed % len(ground.judged)]
    # Late enough for detectors to have settled, early enough for the longest fault to end.
    onset = int(rng.integers(600, len(ground.test) - ROWS["drift"] - SLACK - 1))
    for kind in KINDS:
        for size in SIZES[kind]:
            yield Fault(kind, size, tag, onset, ROWS.get(kind, int(size)))


def inject(ground: Ground, fault: Fault, seed: int) -> pd.DataFrame:
    """The test rows with the fault."""
    rows = ground.test.copy()
    values = rows[fault.tag].to_numpy(copy=True)
    reference = ground.reference[fault.tag]
    spread = float(reference.std()) * (1 if seed % 2 else -1)
    part = slice(fault.onset, fault.onset + fault.rows)
    if fault.kind == "frozen":
        before = values[: fault.onset]
        values[part] = before[~np.isnan(before)][-1]
    elif fault.kind == "stuck":  # the end that the sensor has shown, as nobody knows of a nearer one
        values[part] = reference.max() if spread > 0 else reference.min()
    elif fault.kind == "drift":
        values[part] += spread * fault.size * np.arange(1, fault.rows + 1) / 288
    else:
        values[part] += spread * fault.size
    tag = ground.tags[fault.tag]
    # What an instrument cannot show it does not show: a fault ends at the range.
    low = -np.inf if tag.low is None else tag.low
    high = np.inf if tag.high is None else tag.high
    values[part] = np.clip(values[part], low, high)
    rows[fault.tag] = values
    return rows
