"""The methods of the fault study: ours, PCA, river's detectors; each gives alarms as (row, tag)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.fault_plants import Fault, Ground
from emisopt.monitor import SensorMonitor

Floats = NDArray[np.float64]
Alarms = set[tuple[int, str]]  # (row, tag)
SLOW_ROWS = 2000


class Method(ABC):
    """A way to find faults, fitted."""

    rows_looked_at: int | None = None  # of the healthy rows, by a method that is too slow for all
    names_tags = True  # False: looks at each tag by itself, so it cannot name a wrong one for a fault

    @abstractmethod
    def alarms(self, rows: pd.DataFrame) -> Alarms:
        """The rows at which an alarm begins, with the tag that it names."""

    def alarms_of_fault(self, rows: pd.DataFrame, fault: Fault) -> Alarms:
        """As `alarms`; a method that looks at each tag by itself need look at the faulty one only."""
        return self.alarms(rows)


def build(
    ground: Ground, budget: float, settings: dict[str, float | None], *, slow: bool
) -> Mapping[str, Method]:
    """All methods for a plant, each at its defaults and calibrated to `budget` alarms a tag-month at most.

    `settings` holds the settings chosen for the latter, None where none keeps to the budget. What is not in
    it is chosen on this plant and put there.
    """
    families: dict[str, tuple[Callable[[float], Method], tuple[float, ...]]] = {
        # Settings rise in sensitivity; the last is the default, but for ours.
        "SensorMonitor": (lambda b: Ours(ground, b), tuple(0.03 * 1.5**k for k in range(18))),
        "PCA T2/SPE": (lambda f: Pca(ground, f), tuple(1.25**k for k in range(14, -1, -1))),
    }
    methods: dict[str, Method] = {"SensorMonitor": Ours(ground, 0.1), "PCA T2/SPE": Pca(ground, 1.0)}
    try:
        from river import drift
    except ImportError:
        drift = None
    if drift is not None:
        plain, residual = Scaled(ground), Residual(methods["SensorMonitor"])
        deltas = (*(10.0 ** -(300 / 1.4**k) for k in range(14)), 0.002)
        thresholds = tuple(50 * 1.5**k for k in range(14, -1, -1))
        for name, signal in (("", plain), (" on residuals", residual)):
            families[f"river ADWIN{name}"] = (
                lambda d, s=signal: PerTag(ground, lambda: drift.ADWIN(delta=d), s),
                deltas,
            )
            families[f"river PageHinkley{name}"] = (
                lambda h, s=signal: PerTag(ground, lambda: drift.PageHinkley(threshold=h), s),
                thresholds,
            )
        if slow:
            families["river KSWIN"] = (
                lambda a: PerTag(ground, lambda: drift.KSWIN(alpha=a, seed=0), plain, rows=SLOW_ROWS),
                (1e-60, 1e-30, 1e-15, 1e-8, 0.005),
            )
    for name, (make, choices) in families.items():
        methods.setdefault(name, make(choices[-1]))
        if name not in settings:
            settings[name] = _most_sensitive(make, choices, ground, budget)
        chosen = settings[name]
        methods[f"{name} calibrated"] = Silent() if chosen is None else make(chosen)
    return methods


def _most_sensitive(
    make: Callable[[float], Method], choices: tuple[float, ...], ground: Ground, budget: float
) -> float | None:
    """The last choice before the first that is beyond the budget on the calibration rows."""
    best = None
    for choice in choices:
        method = make(choice)
        rows = ground.calibration.iloc[: method.rows_looked_at]
        if len(method.alarms(rows)) > budget * ground.months(rows):
            break
        best = choice
    return best


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
    """T2 and SPE over `factor` times the 99 % quantile of their own reference scores; the tag with largest
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

    def __init__(self, ours: Method) -> None:
        assert isinstance(ours, Ours)
        self.monitor = ours.monitor

    def of(self, rows: pd.DataFrame, tags: Iterable[str]) -> pd.DataFrame:
        names = list(tags)
        expected, sd = self.monitor.reconstruct(rows)
        return (rows[names] - expected[names]) / sd[names]


class PerTag(Method):
    """One detector a tag, started anew where it alarms, as river's do by themselves."""

    names_tags = False

    def __init__(
        self, ground: Ground, make: Callable[[], Any], signal: Scaled, rows: int | None = None
    ) -> None:
        self.rows_looked_at = rows
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
