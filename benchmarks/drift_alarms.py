"""How often DriftMonitor alarms falsely, per alarm asked for; beside a chart that standardises only.

Cases drift-false-alarms-* of suite domain: AR(1) noise, noise whose spread comes in bursts, and residuals of
the synthetic boiler (what the value of an hour ago leaves over); one alarm asked per tenth of a tag-month,
reference and test of equal length. drift-fdr: share of false alarms where a tenth of 500 tags shifts, at most
0.1 asked. drift-delay: rows until shifts of one standard deviation are found, beside the equation's (which
starts a chart at zero, where one in use seldom is).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.harness import Row, matches
from emisopt.monitor import DriftMonitor, chart_run_length
from emisopt.plants import Boiler

Floats = NDArray[np.float64]


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    tags, count, days = (24, 16_000, 40) if quick else (96, 48_000, 180)
    signals: dict[str, Callable[[], pd.DataFrame]] = {
        "ar1-0.5": lambda: table(ar1(count, tags, 0.5, 7)),
        "ar1-0.9": lambda: table(ar1(count, tags, 0.9, 7)),
        "bursts": lambda: table(bursts(count, tags, 4)),
        "boiler": lambda: boiler_residuals(days, 3),
    }
    out = [
        false_alarms(name, make())
        for name, make in signals.items()
        if matches(f"drift-false-alarms-{name}", cases)
    ]
    if matches("drift-fdr", cases) or matches("drift-delay", cases):  # of the same studies
        out += [row for row in discoveries(3 if quick else 12) if matches(row.case, cases)]
    return out


def table(values: Floats) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=len(values), freq="5min", tz="UTC")
    return pd.DataFrame(values, index=stamps, columns=[f"t{i}" for i in range(values.shape[1])])


def ar1(count: int, tags: int, phi: float, seed: int) -> Floats:
    """Standard deviation 1."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(count, tags))
    out[1:] *= np.sqrt(1 - phi * phi)
    for row in range(1, count):
        out[row] += phi * out[row - 1]
    return out


def bursts(count: int, tags: int, seed: int) -> Floats:
    """Uncorrelated, with a standard deviation that wanders with a memory of 50 rows."""
    spread = np.exp(0.8 * ar1(count, tags, 0.98, seed + 1))
    return np.random.default_rng(seed).normal(size=spread.shape) * spread


def boiler_residuals(days: int, seed: int) -> pd.DataFrame:
    history, tags = Boiler(seed=seed).simulate_history(days=days)
    outputs = history[tags.outputs].astype(float)
    return (outputs - outputs.shift(12)).iloc[12:]


def false_alarms(name: str, values: pd.DataFrame) -> Row:
    half = len(values) // 2

    def realised(**options: object) -> float:
        monitor = DriftMonitor(tag_months_per_alarm=0.1, **options)  # type: ignore[arg-type]
        monitor.fit(residuals=values[:half])
        return len(monitor.push(residuals=values[half:])) / (values[half:].size / monitor.arl0_)

    whitened = realised(bootstrap=0)
    note = f"{values.shape[1]} tags x {half} rows after as many of reference; limits by the equation alone "
    note += f"{whitened:.3g}"
    ours, plain = realised(), realised(bootstrap=0, max_order=0)
    return Row(f"drift-false-alarms-{name}", "alarms_per_asked", ours, plain, "standardised_only", note=note)


def discoveries(studies: int) -> list[Row]:
    shares, delays, found = [], [], 0
    for study in range(studies):
        values = ar1(7000 + 10 * 288, 500, 0.0, 100 + study)
        values[7000 + 5 * 288 :, ::10] += 1.0
        frame = table(values)
        monitor = DriftMonitor(control="fdr", fdr=0.1, bootstrap=0).fit(residuals=frame[:7000])
        alarms = monitor.push(residuals=frame[7000:])
        true = (alarms["tag"].str[1:].astype(int) % 10 == 0) & (alarms["row"] >= 5 * 288)
        shares.append(float((~true).mean()) if len(alarms) else 0.0)
        found += alarms["tag"][true].nunique()
        chart = DriftMonitor(tag_months_per_alarm=12, bootstrap=0).fit(residuals=frame[:7000])
        first = chart.push(residuals=frame[7000:])
        first = first[(first["tag"].str[1:].astype(int) % 10 == 0) & (first["row"] >= 5 * 288)]
        delays += (first.groupby("tag")["row"].min() - 5 * 288 + 1).tolist()
    limit = chart.table()["limit"].iloc[0]
    equation = chart_run_length("cusum", float(limit), shift=1.0)
    note = (
        f"{studies} studies of 500 tags, 50 shifted by 1 standard deviation; found {found} of {50 * studies}"
    )
    return [
        Row("drift-fdr", "false_share", float(np.mean(shares)), 0.1, "asked", note=note),
        Row("drift-delay", "mean_delay", float(np.mean(delays)), equation, "equation", unit="rows",
            note="one false alarm in 12 tag-months of 5-min rows, limit by the equation"),
    ]  # fmt: skip
