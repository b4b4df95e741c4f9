"""Case permit-year of suite domain: 10 tags, a year of minutes, six averages of each, beside pandas.

Hours count by 40 CFR 60.13(h)(2) with its cases (calibration, part of an hour in operation); of them rolling
means over 3 h, 24 h and 30 days, civil days and months. permit-year-plain leaves out the states of plant and
analysers, and with them half of what pandas has to do.

A run is some turns of all sides; its ratio is that of their medians. What is told is the run in the middle of
several, as a slow phase of the machine spoils a run whole: pandas' time over ours there is the row's ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.harness import Row, matches, time_interleaved
from emisopt._core import default_threads
from emisopt.permit import Evaluation, Permit, Signal

LIMITS = {"1 h": 260.0, "3 h": 230.0, "24 h": 215.0, "day": 212.0, "30 days": 205.0, "month": 204.0}
Averages = dict[str, tuple[pd.DataFrame, pd.Series]]


@dataclass
class Year:
    """Values (N, tags), analysers' status (N, tags; 1: calibration), whether the unit ran (N)."""

    values: pd.DataFrame
    status: pd.DataFrame
    plant: NDArray[np.uint8]


RUNS, TURNS = 11, 21  # odd, so that one run is in the middle
NAMES = ("permit-year", "permit-year-plain")


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    wanted = [name for name in NAMES if matches(name, cases)]
    if not wanted:
        return []
    year = make_year(days=30 if quick else 366)
    permit = make_permit()
    signals = {name: Signal("NOx", "mg/Nm3") for name in year.values.columns}
    status = {name: year.status[name] for name in year.values.columns}

    def with_states(threads: int = 0) -> Evaluation:
        return permit.evaluate(year.values, signals, status=status, plant=year.plant, threads=threads)

    def plain(threads: int = 0) -> Evaluation:
        return permit.evaluate(year.values, signals, threads=threads)

    sides: dict[str, tuple[Callable[..., Evaluation], Callable[[], Averages]]] = {
        "permit-year": (with_states, lambda: by_pandas(year)),
        "permit-year-plain": (plain, lambda: by_pandas_plain(year.values)),
    }
    runs, turns = (1, 3) if quick else (RUNS, TURNS)
    out = []
    for case in wanted:
        ours, theirs = sides[case]
        check_equal(ours(), theirs())
        calls: dict[str, Callable[[], object]] = {"ours": ours, "one": partial(ours, 1), "pandas": theirs}
        seconds = [time_interleaved(calls, repeats=turns) for _ in range(runs)]
        about = f"{year.values.shape[1]} tags x {len(year.values)} min, 6 rules, same values; "
        out.append(row_of(case, seconds, turns, f"{about}pandas {pd.__version__}; pandas has one thread"))
    return out


def row_of(case: str, runs: Sequence[Mapping[str, float]], turns: int, about: str) -> Row:
    """The run whose ratio is the median. ours: with all threads, one: with one; the better of them counts."""

    def best(run: Mapping[str, float]) -> float:
        return min(run["ours"], run["one"])

    ranked = sorted(runs, key=lambda run: run["pandas"] / best(run))
    middle, ratios = ranked[len(ranked) // 2], [run["pandas"] / best(run) for run in ranked]

    def spread(side: str) -> str:
        times = [1e3 * run[side] for run in runs]
        return f"{statistics.median(times):.2f} ms, {min(times):.2f} to {max(times):.2f}"

    note = f"{about}; {len(runs)} runs of {turns} turns, the one of the median ratio is told; "
    note += f"ratios {ratios[0]:.1f} to {ratios[-1]:.1f}; medians, least and greatest of the runs: "
    note += f"{default_threads()} threads {spread('ours')}; one {spread('one')}; pandas {spread('pandas')}"
    ours, peer = 1e3 * best(middle), 1e3 * middle["pandas"]
    return Row(case, "time", ours, peer, "pandas_resample_rolling", unit="ms", note=note)


# ---- the year -------------------------------------------------------------------------------------------


def make_year(days: int, tags: int = 10) -> Year:
    """Levels that wander like a stack's, lost minutes, analysers out for hours, calibrations, stops."""
    rng = np.random.default_rng(3)
    count = days * 1440
    index = pd.date_range("2024-01-01", periods=count, freq="1min", tz="UTC")
    values, status = {}, {}
    for tag in range(tags):
        slow = np.repeat(rng.normal(0, 1, count // 240 + 1), 240)[:count]
        column = np.round(200 * np.exp(0.12 * slow + 0.1 * rng.normal(0, 1, count)), 2)
        column[rng.random(count) < 0.01] = np.nan
        for begin in rng.integers(0, count, days // 5 + 1):
            column[begin : begin + int(rng.integers(10, 400))] = np.nan
        flags = np.zeros(count, np.uint8)
        for day in range(days):
            begin = day * 1440 + 480 + 3 * tag + int(rng.integers(0, 30))
            flags[begin : begin + int(rng.integers(20, 50))] = 1
        values[f"stack {tag + 1}"], status[f"stack {tag + 1}"] = column, flags
    plant = np.ones(count, np.uint8)
    for begin in rng.integers(0, count, days // 9 + 1):
        plant[begin : begin + int(rng.integers(20, 3000))] = 0
    return Year(pd.DataFrame(values, index=index), pd.DataFrame(status, index=index), plant)


def make_permit() -> Permit:
    averages: Mapping[str, Mapping[str, object] | None] = {
        "1 h": None,
        "3 h": {"over": "rolling", "length": "3 h", "min_share": 0.6},
        "24 h": {"over": "rolling", "length": "24 h", "min_share": 0.75},
        "day": {"over": "day", "min_share": 0.75, "of": "operation"},
        "30 days": {"over": "rolling", "length": "30 d", "min_share": 0.75},
        "month": {"over": "month", "min_share": 0.75, "of": "operation"},
    }
    defaults = {
        "pollutant": "NOx",
        "unit": "mg/Nm3",
        "base": {"length": "1 h", "validity": {"need": "quadrants"}},
        "source": "a benchmark",
        "verified": True,
    }
    rules = [{"name": name, "limit": LIMITS[name], "average": average} for name, average in averages.items()]
    return Permit.from_dict({"name": "a year of minutes", "defaults": defaults, "rules": rules})


# ---- pandas, without a wasted pass over the minutes ------------------------------------------------------


def by_pandas_plain(values: pd.DataFrame) -> Averages:
    """Two passes over the minutes (sums, counts); all else on quarters and hours."""
    quarters = values.resample("15min")
    sums, counts = quarters.sum(), quarters.count()
    complete = (counts > 0).resample("1h").sum() == 4
    hours = (sums.resample("1h").sum() / counts.resample("1h").sum()).where(complete)
    return averages_of(hours, pd.Series(True, index=hours.index))


def by_pandas(year: Year) -> Averages:
    """The rule's cases too: what ran in each quarter, and in hours with calibration the first and last valid
    minute, looked at in those hours only."""
    index = year.values.index
    ran = pd.Series(year.plant == 1, index=index)
    valid = year.values.where((year.status == 0).to_numpy() & ran.to_numpy()[:, None])
    quarters = valid.resample("15min")
    sums, counts = quarters.sum(), quarters.count()
    ran_quarters = ran.resample("15min").max()
    covered = (counts > 0).to_numpy() | ~ran_quarters.to_numpy()[:, None]
    complete = pd.DataFrame(covered, counts.index, counts.columns).resample("1h").sum() == 4
    quarters_run = ran_quarters.resample("1h").sum()
    number = counts.resample("1h").sum()

    calibrated = (year.status == 1).resample("1h").max()
    inside = calibrated.any(axis=1).reindex(index, method="ffill").to_numpy()
    some = valid[inside]
    minute = np.asarray(some.index.minute, dtype=float)[:, None]
    places = pd.DataFrame(np.where(some.notna(), minute, np.nan), some.index, some.columns).resample("1h")
    apart = (places.max() - places.min() >= 15).reindex(calibrated.index, fill_value=False)
    one_quarter = (quarters_run == 1).to_numpy()[:, None]

    counts_as_hour = np.where(calibrated, apart.to_numpy() | one_quarter, complete) & (number > 0).to_numpy()
    hours = (sums.resample("1h").sum() / number).where(counts_as_hour)
    return averages_of(hours, quarters_run > 0)


def averages_of(hours: pd.DataFrame, ran: pd.Series) -> Averages:
    """The six averages of valid hours, and how often each is above its limit. ran: hours of operation."""
    averages = {
        "1 h": hours,
        "3 h": hours.rolling(3, min_periods=2).mean(),
        "24 h": hours.rolling(24, min_periods=18).mean(),
        "30 days": hours.rolling(720, min_periods=540).mean(),
    }
    for name, rule in (("day", "D"), ("month", "MS")):
        blocks = hours.resample(rule)
        means, valid = blocks.mean(), blocks.count()
        averages[name] = means.where(valid.div(ran.resample(rule).sum(), axis=0) >= 0.75)
    return {name: (table, (table > LIMITS[name]).sum()) for name, table in averages.items()}


def check_equal(ours: Evaluation, theirs: Averages) -> None:
    """Every average and every count agrees, or the comparison of speed says nothing."""
    for result in ours:
        table, above = theirs[result.rule.name]
        got = result.averages["value"].to_numpy()
        np.testing.assert_allclose(got, table[result.tag].to_numpy(), rtol=1e-11, err_msg=result.rule.name)
        if int(above[result.tag]) != result.above:
            raise AssertionError(f"{result!r}: pandas finds {above[result.tag]} above")
