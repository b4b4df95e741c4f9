"""Permits and monitors: a year of minutes judged, beside pandas as a skilled user writes it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.harness import Row, time_interleaved
from emisopt.permit import Permit, Signal

LIMITS = {"1 h": 260.0, "3 h": 230.0, "24 h": 215.0, "day": 212.0, "30 days": 205.0, "month": 204.0}


def run(quick: bool) -> list[Row]:
    return permit_year(quick)


# ---- permit-year ----------------------------------------------------------------------------------------


def permit_year(quick: bool) -> list[Row]:
    """10 tags, a year of minutes with gaps, six rules on each: hours by the quadrant rule, and of them rolling
    3 h, 24 h and 30 days, civil days and months."""
    frame = year_of_minutes(days=30 if quick else 366)
    permit = year_permit()
    signals = {name: Signal("NOx", "mg/Nm3") for name in frame.columns}
    check_equal(permit.evaluate(frame, signals), by_pandas(frame))
    seconds = time_interleaved(
        {"ours": lambda: permit.evaluate(frame, signals), "pandas": lambda: by_pandas(frame)},
        repeats=3 if quick else 15,
    )
    note = f"{frame.shape[1]} tags x {len(frame)} min, 6 rules; 1 thread each; pandas {pd.__version__}"
    peer = "pandas_resample_rolling"
    return [
        Row("permit-year", "time", seconds["ours"] * 1e3, seconds["pandas"] * 1e3, peer, unit="ms", note=note)
    ]


def year_of_minutes(days: int, tags: int = 10) -> pd.DataFrame:
    """Levels that wander like a stack's, single lost minutes, and analysers out for hours."""
    rng = np.random.default_rng(3)
    rows = days * 1440
    index = pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC")
    columns = {}
    for tag in range(tags):
        slow = np.repeat(rng.normal(0, 1, rows // 240 + 1), 240)[:rows]
        values = np.round(200 * np.exp(0.12 * slow + 0.1 * rng.normal(0, 1, rows)), 2)
        values[rng.random(rows) < 0.01] = np.nan
        for begin in rng.integers(0, rows, days // 5 + 1):
            values[begin : begin + int(rng.integers(10, 400))] = np.nan
        columns[f"stack {tag + 1}"] = values
    return pd.DataFrame(columns, index=index)


def year_permit() -> Permit:
    averages = {
        "1 h": None,
        "3 h": {"over": "rolling", "length": "3 h", "min_share": 0.6},
        "24 h": {"over": "rolling", "length": "24 h", "min_share": 0.75},
        "day": {"over": "day", "min_share": 0.75},
        "30 days": {"over": "rolling", "length": "30 d", "min_share": 0.75},
        "month": {"over": "month", "min_share": 0.75},
    }
    return Permit.from_dict(
        {
            "name": "a year of minutes",
            "defaults": {
                "pollutant": "NOx",
                "unit": "mg/Nm3",
                "base": {"length": "1 h", "validity": {"need": "quadrants"}},
                "source": "a benchmark",
                "verified": True,
            },
            "rules": [
                {"name": name, "limit": LIMITS[name], "average": average} for name, average in averages.items()
            ],
        }
    )


def by_pandas(frame: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, pd.Series]]:
    """The same in pandas, without a wasted pass: the minutes are looked at twice (sums, counts), all else is
    done on quarters and hours."""
    quarters = frame.resample("15min")
    sums, counts = quarters.sum(), quarters.count()
    complete = (counts > 0).resample("1h").sum() == 4
    hours = (sums.resample("1h").sum() / counts.resample("1h").sum()).where(complete)
    averages = {
        "1 h": hours,
        "3 h": hours.rolling(3, min_periods=2).mean(),
        "24 h": hours.rolling(24, min_periods=18).mean(),
        "30 days": hours.rolling(720, min_periods=540).mean(),
    }
    for name, rule in (("day", "D"), ("month", "MS")):
        blocks = hours.resample(rule)
        means, valid = blocks.mean(), blocks.count()
        share = valid.div(hours.index.to_series().resample(rule).count(), axis=0)
        averages[name] = means.where(share >= 0.75)
    return {name: (table, (table > LIMITS[name]).sum()) for name, table in averages.items()}


def check_equal(ours: object, theirs: dict[str, tuple[pd.DataFrame, pd.Series]]) -> None:
    """Every average and every count agrees, or the comparison of speed says nothing."""
    for result in ours:
        table, above = theirs[result.rule.name]
        expected = table[result.tag].to_numpy()
        np.testing.assert_allclose(result.averages["value"].to_numpy(), expected, rtol=1e-12)
        if int(above[result.tag]) != result.above:
            raise AssertionError(f"{result.rule.name}, {result.tag}: {result.above} above, pandas {above[result.tag]}")
