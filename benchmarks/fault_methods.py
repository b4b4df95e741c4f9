"""The methods of the fault study: ours, PCA, river's detectors; each gives alarms as (row, tag)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.fault_plants import Fault, Ground
from emisopt.monitor import SensorMonitor

Floats = NDArray[np.float64]
Alarms = set[tuple[int, str]]  # (row, tag)


class Method:
    """A way to find faults, fitted."""

    names_tags = True  # False: looks at each tag by itself, so it cannot name a wrong one for a fault

    def alarms(self, rows: pd.DataFrame) -> Alarms:
        """The rows at which an alarm begins, with the tag that it names."""
        raise NotImplementedError

    def alarms_of_fault(self, rows: pd.DataFrame, fault: Fault) -> Alarms:
        """As `alarms`; a method that looks at each tag by itself need look at the faulty one only."""
        return self.alarms(rows)


def build(ground: Ground, budget: float, quick: bool) -> Mapping[str, Method]:
    """All methods for a plant, each at its defaults and at `budget` alarms a tag-month ("equal")."""
    ours = {b: Ours(ground, b) for b in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}
    pca = {f: Pca(ground, f) for f in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)}
    methods: dict[str, Method] = {
        "SensorMonitor": ours[0.1],
        "SensorMonitor equal": _within(ours, ground, budget),
        "PCA T2/SPE": pca[1.0],
        "PCA T2/SPE equal": _within(dict(sorted(pca.items(), reverse=True)), ground, budget),
    }
    try:
        from river import drift
    except ImportError:
        return methods
    plain, residual = Scaled(ground), Residual(ground, ours[0.1].monitor)
    deltas = (1e-200, 1e-100, 1e-50, 1e-25, 1e-12, 1e-6, 0.002)
    thresholds = (12800.0, 3200.0, 800.0, 400.0, 200.0, 100.0, 50.0)
    families: list[tuple[str, Callable[[float], Any], tuple[float, ...], Scaled]] = [
        ("river ADWIN", lambda d: drift.ADWIN(delta=d), deltas, plain),
        ("river PageHinkley", lambda h: drift.PageHinkley(threshold=h), thresholds, plain),
        ("river PageHinkley on residuals", lambda h: drift.PageHinkley(threshold=h), thresholds, residual),
        ("river ADWIN on residuals", lambda d: drift.ADWIN(delta=d), deltas, residual),
    ]
    if not quick:
        alphas = (1e-60, 1e-30, 1e-15, 1e-8, 0.005)
        families.append(("river KSWIN", lambda a: drift.KSWIN(alpha=a, seed=0), alphas, plain))
    for name, make, settings, signal in families:  # settings from the least sensitive to the default
        methods[name] = PerTag(ground, lambda s=settings[-1], make=make: make(s), signal)
        # One after another: the first setting beyond the budget ends it.
        fitted: dict[float, Method] = {
            s: PerTag(ground, lambda s=s, make=make: make(s), signal) for s in settings
        }
        methods[f"{name} equal"] = _within(fitted, ground, budget)
    return methods


def _within(fitted: Mapping[float, Method], ground: Ground, budget: float) -> Method:
    """The most sensitive that keeps to the budget on the calibration rows; they are in rising sensitivity."""
    months = ground.months(ground.calibration)
    best: Method | None = None
    for method in fitted.values():
        if len(method.alarms(ground.calibration)) > budget * months:
            break
        best = method
    return best if best is not None else Silent()


class Silent(Method):
    """What is left of a method that no setting keeps within the budget."""

    def alarms(self, rows: pd.DataFrame) -> Alarms:
        return set()


class Ours(Method):
    def __init__(self, ground: Ground, false_alarms: float) -> None:
        self.monitor = SensorMonitor(false_alarms=false_alarms, rows_per_month=ground.rows_per_month)
        self.monitor.fit(ground.reference, ground.tags)

    def alarms(self, rows: pd.DataFrame) -> Alarms:
        found = self.monitor.check(rows)
        return {
            (int(r), str(t)) for r, t in zip(found["alarm_row"], found["tag"], strict=True) if t is not None
        }


class Pca(Method):
    """T2 and SPE over `factor` times the 99 % quantile of their own reference scores; the tag with the largest
    contribution to the statistic that is highest is named. Rows in alarm for the same tag less than 12 apart
    are one alarm."""

    def __init__(self, ground: Ground, factor: float) -> None:
        self.tags, self.judged = ground.inputs, [ground.inputs.index(n) for n in ground.judged]
        x = _filled(ground.reference[self.tags])
        self.mean, self.sd = x.mean(0), x.std(0, ddof=1)
        _, values, axes = np.linalg.svd((x - self.mean) / self.sd, full_matrices=False)
        variance = values**2 / (len(x) - 1)
        keep = int(np.searchsorted(np.cumsum(variance) / variance.sum(), 0.9)) + 1
        self.axes, self.variance = axes[:keep], variance[:keep]
        t2, spe, _, _ = self._scores(x)
        self.limits = factor * np.quantile(t2, 0.99), factor * np.quantile(spe, 0.99)

    def _scores(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        z = (x - self.mean) / self.sd
        t = z @ self.axes.T
        residual = z - t @ self.axes
        t2_parts = z * ((t / self.variance) @ self.axes)
        return (t**2 / self.variance).sum(1), (residual**2).sum(1), t2_parts, residual**2

    def alarms(self, rows: pd.DataFrame) -> Alarms:
        t2, spe, t2_parts, spe_parts = self._scores(_filled(rows[self.tags]))
        a, b = t2 / self.limits[0], spe / self.limits[1]
        parts = np.where((a > b)[:, None], t2_parts, spe_parts)[:, self.judged]
        named = parts.argmax(1)
        out: Alarms = set()
        last: dict[int, int] = {}
        for row in np.flatnonzero((a > 1) | (b > 1)):
            tag = int(named[row])
            if row - last.get(tag, -1000) >= 12:
                out.add((int(row), self.tags[self.judged[tag]]))
            last[tag] = int(row)
        return out


class Scaled:
    """Readings as z-scores of the reference: what river's detectors are set up for."""

    def __init__(self, ground: Ground) -> None:
        part = ground.reference[ground.judged]
        self.mean, self.sd = part.mean(), part.std()

    def of(self, rows: pd.DataFrame, tags: Iterable[str]) -> pd.DataFrame:
        names = list(tags)
        return (rows[names] - self.mean[names]) / self.sd[names]


class Residual(Scaled):
    """What is left of a reading after what the other tags say, over its standard deviation."""

    def __init__(self, ground: Ground, monitor: SensorMonitor) -> None:
        self.monitor = monitor

    def of(self, rows: pd.DataFrame, tags: Iterable[str]) -> pd.DataFrame:
        names = list(tags)
        expected, sd = self.monitor.reconstruct(rows)
        return (rows[names] - expected[names]) / sd[names]


class PerTag(Method):
    """One detector a tag, started anew where it alarms, as river's do by themselves."""

    names_tags = False

    def __init__(self, ground: Ground, make: Callable[[], Any], signal: Scaled) -> None:
        self.make, self.signal, self.judged = make, signal, ground.judged
        self._healthy = ground.test
        self._warm: dict[tuple[str, int], Any] = {}

    def alarms(self, rows: pd.DataFrame) -> Alarms:
        values = self.signal.of(rows, self.judged)
        return {(row, tag) for tag in self.judged for row in _run(self.make(), values[tag].to_numpy(), 0)}

    def alarms_of_fault(self, rows: pd.DataFrame, fault: Fault) -> Alarms:
        """The faulty tag alone, from its onset on, by a copy of the detector that saw the rows before."""
        key = fault.tag, fault.onset
        if key not in self._warm:
            detector = self.make()
            before = self.signal.of(self._healthy.iloc[: fault.onset], [fault.tag])
            _run(detector, before[fault.tag].to_numpy(), 0)
            self._warm = {key: detector}
        part = self.signal.of(rows.iloc[fault.onset : fault.end], [fault.tag])[fault.tag].to_numpy()
        return {(row, fault.tag) for row in _run(copy.deepcopy(self._warm[key]), part, fault.onset)}


def _filled(rows: pd.DataFrame) -> Floats:
    """Missing readings hold the last one, as one would do for PCA."""
    return np.asarray(rows.ffill().bfill().to_numpy(), dtype=np.float64)


def _run(detector: Any, values: Floats, first: int) -> list[int]:
    out = []
    for row, value in enumerate(values, first):
        if np.isnan(value):
            continue  # a detector knows no missing value
        detector.update(value)
        if detector.drift_detected:
            out.append(row)
    return out
