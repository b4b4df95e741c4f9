"""Tests of a monitor against a reference method, as a report of what was computed and by which limits.

Relative accuracy with bias (RATA), the F-test, t-test and correlation for predictive systems, the short
audit, QAL2-style variability. A report is arithmetic on the runs that it prints: it approves no monitor, and
it never uses the word that would say so. Formulas and sources: docs/compliance.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from emisopt import _core
from emisopt.compliance._rows import column, vector
from emisopt.report import Section

__all__ = [
    "AcceptanceLimit",
    "MonitorTest",
    "Verdict",
    "accuracy_audit",
    "predictive_system",
    "relative_accuracy",
    "variability",
]

_LABELS = {
    "runs": ("runs", ""),
    "mean_reference": ("mean of the reference", "{unit}"),
    "mean_monitor": ("mean of the monitor", "{unit}"),
    "mean_difference": ("mean difference, reference - monitor", "{unit}"),
    "absolute_mean_difference": ("its absolute value", "{unit}"),
    "sd": ("standard deviation of the differences", "{unit}"),
    "confidence_coefficient": ("confidence coefficient", "{unit}"),
    "relative_accuracy_pct": ("relative accuracy", "%"),
    "biased": ("monitor reads low beyond chance (1: yes)", ""),
    "bias_adjustment_factor": ("bias adjustment factor", ""),
    "accuracy_pct": ("accuracy", "%"),
    "f": ("F, variance of the monitor / of the reference", ""),
    "f_critical": ("F at 95 %", ""),
    "t": ("t of the differences", ""),
    "t_critical": ("t at 95 %", ""),
    "r": ("correlation r", ""),
    "intercept": ("calibration: intercept", "{unit}"),
    "slope": ("calibration: slope", ""),
    "sigma0": ("sigma0", "{unit}"),
    "kv": ("k_v", ""),
    "allowed_sd": ("sigma0 k_v", "{unit}"),
}
_CLOSING = (
    "Arithmetic on the runs printed here, by emisopt {version}. It approves no monitor: whether a test "
    "counts is for the competent authority to say."
)


@dataclass(frozen=True)
class AcceptanceLimit:
    """A limit that a statistic is judged by.

    Parameters
    ----------
    statistic : its name in :attr:`MonitorTest.statistics`
    limit : number;   at_most : the statistic must not be larger; False: not smaller
    source : where the limit comes from, e.g. "permit 4711, condition 3.2"; must be given
    verified : False for a text that was recalled, not read: used with `allow_unverified` alone
    """

    statistic: str
    limit: float
    source: str
    at_most: bool = True
    verified: bool = True

    def to_core(self) -> _core.AcceptanceLimit:
        return _core.AcceptanceLimit(self.statistic, self.limit, self.at_most, self.source, self.verified)


@dataclass(frozen=True)
class Verdict:
    """What a statistic is beside its limit. NaN meets no limit."""

    limit: AcceptanceLimit
    value: float
    met: bool


@dataclass(frozen=True)
class MonitorTest:
    """One test: its runs, its statistics, its verdicts.

    Attributes
    ----------
    title, subject, unit : what was tested
    runs : DataFrame with reference, monitor and difference
    statistics : name -> number
    verdicts : in the order of the limits; none without limits
    """

    title: str
    subject: str
    unit: str
    runs: pd.DataFrame
    statistics: Mapping[str, float]
    verdicts: tuple[Verdict, ...]

    def __post_init__(self) -> None:
        texts = (self.subject, self.unit, *(v.limit.source for v in self.verdicts))
        for text in texts:
            if "certif" in text.lower():
                raise _core.InputError(f"{self.title}: expected a text that certifies nothing, got {text!r}")

    @property
    def met(self) -> bool:
        """Whether there are limits and all of them are met."""
        return bool(self.verdicts) and all(v.met for v in self.verdicts)

    def statistics_table(self) -> pd.DataFrame:
        """A row per statistic: value, unit."""
        rows = [(_label(name), value, _unit(name, self.unit)) for name, value in self.statistics.items()]
        return pd.DataFrame(rows, columns=["statistic", "value", "unit"]).set_index("statistic")

    def verdict_table(self) -> pd.DataFrame:
        """A row per limit: condition, value, met or not, source, UNVERIFIED where the source was recalled."""
        rows = [
            (
                f"{_label(v.limit.statistic)} {'<=' if v.limit.at_most else '>='} {v.limit.limit:.6g}",
                v.value,
                "met" if v.met else "NOT MET",
                v.limit.source,
                "" if v.limit.verified else "UNVERIFIED",
            )
            for v in self.verdicts
        ]
        names = ["condition", "value", "verdict", "source", "mark"]
        return pd.DataFrame(rows, columns=names).set_index("condition")

    def text(self) -> str:
        """The report as plain text."""
        parts = [self._heading(), "=" * len(self._heading()), "", _plain(self.statistics_table()), ""]
        if self.verdicts:
            parts += [_plain(self.verdict_table()), ""]
        runs = self.runs.rename(columns=lambda name: f"{name} [{self.unit}]")
        return "\n".join([*parts, _plain(runs), "", self._closing(), ""])

    def section(self) -> Section:
        """The same as a section of an :class:`emisopt.report.Report` (HTML)."""
        tables = {"Statistics": self.statistics_table()}
        if self.verdicts:
            tables["Limits"] = self.verdict_table()
        tables[f"Runs [{self.unit}]"] = self.runs
        return Section(self._heading(), [self._closing()], tables)

    def _heading(self) -> str:
        return f"{self.title}: {self.subject}" if self.subject else self.title

    def _closing(self) -> str:
        text = _CLOSING.format(version=_core.__version__)
        if all(v.limit.verified for v in self.verdicts):
            return text
        return text + " UNVERIFIED limits were recalled, not read in their source."


def relative_accuracy(
    reference: ArrayLike,
    monitor: ArrayLike,
    *,
    unit: str,
    subject: str = "",
    limits: Sequence[AcceptanceLimit] = (),
    least_runs: int = 9,
    denominator: float | None = None,
    t_decimals: int = 3,
    allow_unverified: bool = False,
) -> MonitorTest:
    """Relative accuracy, bias test and bias adjustment factor (RATA).

    Parameters
    ----------
    reference, monitor : (n,) one value per run, on one basis
    unit, subject : for the report
    limits : acceptance limits; none: statistics alone
    least_runs : fewer are refused
    denominator : instead of the mean of the reference, e.g. the emission standard
    t_decimals : t as printed tables have it; -1: not rounded

    Raises
    ------
    InputError : too few runs, a run that is not finite (named), a recalled limit that is not allowed.
        ShapeError : lengths

    Notes
    -----
    RA = (|mean d| + |CC|) / mean RM, CC = t(0.975, n-1) sd / sqrt(n):
    csrc/emisopt/permit/relative_accuracy.hpp.

    Examples
    --------
    >>> d = [1, -0.5, 0.8, 1.2, -0.3, 0.6, 0.9, -0.1, 0.4]
    >>> test = relative_accuracy([50.0] * 9, [50 - x for x in d], unit="ppm")
    >>> round(test.statistics["relative_accuracy_pct"], 5), bool(test.statistics["biased"])
    (1.82752, False)
    """
    runs = _runs(reference, monitor, "relative_accuracy")
    core = _core.relative_accuracy(runs["reference"], runs["monitor"], least_runs, denominator, t_decimals)
    return _judged("Relative accuracy", subject, unit, runs, core, limits, allow_unverified)


def predictive_system(
    reference: ArrayLike,
    monitor: ArrayLike,
    *,
    unit: str = "ppm",
    subject: str = "",
    limits: Sequence[AcceptanceLimit] | str = (),
    least_runs: int = 27,
    allow_unverified: bool = False,
) -> MonitorTest:
    """A predictive emission monitoring system: relative accuracy, bias, F-test, t-test, correlation.

    Parameters
    ----------
    reference, monitor : (n,), n >= 27 unless `least_runs` says less
    limits : acceptance limits, or "PS-16": those of 40 CFR 60 appendix B, recalled, which need
        `allow_unverified` and the unit ppm

    Raises
    ------
    InputError : as in :func:`relative_accuracy`; "PS-16" in another unit than ppm

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(60, 140, 27)
    >>> test = predictive_system(truth, truth + rng.normal(0, 3, 27), limits="PS-16", allow_unverified=True)
    >>> test.met, "UNVERIFIED" in test.text()
    (True, True)
    """
    runs = _runs(reference, monitor, "predictive_system")
    accuracy = _core.relative_accuracy(runs["reference"], runs["monitor"], least_runs, None, 3)
    comparison = _core.compare_methods(runs["reference"], runs["monitor"], least_runs)
    statistics = {
        **accuracy,
        **{name: comparison[name] for name in ("f", "f_critical", "t", "t_critical", "r")},
    }
    if isinstance(limits, str):
        if limits != "PS-16" or unit != "ppm":
            raise _core.InputError(
                f"predictive_system(limits): expected limits, or 'PS-16' in ppm, got {limits!r} in {unit}"
            )
        recalled = _core.ps16_limits(statistics["mean_reference"], statistics["f_critical"])
        limits = [AcceptanceLimit(c.statistic, c.limit, c.source, c.at_most, c.verified) for c in recalled]
    return _judged("Predictive system", subject, unit, runs, statistics, limits, allow_unverified)


def accuracy_audit(
    reference: ArrayLike,
    monitor: ArrayLike,
    *,
    unit: str,
    subject: str = "",
    limits: Sequence[AcceptanceLimit] = (),
    allow_unverified: bool = False,
) -> MonitorTest:
    """The short audit: 100 (mean monitor - mean reference) / mean reference.

    Examples
    --------
    >>> accuracy_audit([100, 100, 100], [90, 95, 100], unit="ppm").statistics["accuracy_pct"]
    -5.0
    """
    runs = _runs(reference, monitor, "accuracy_audit")
    accuracy = _core.audit_accuracy_pct(runs["reference"], runs["monitor"])
    statistics = {"runs": float(len(runs)), "accuracy_pct": accuracy}
    return _judged("Accuracy audit", subject, unit, runs, statistics, limits, allow_unverified)


def variability(
    signal: ArrayLike,
    reference: ArrayLike,
    *,
    unit: str,
    limit: float,
    pollutant: str | None = None,
    confidence_pct: float | None = None,
    zero: float | None = None,
    subject: str = "",
    limits: Sequence[AcceptanceLimit] | str = (),
    allow_unverified: bool = False,
) -> MonitorTest:
    """QAL2-style calibration of a monitor's signal against the reference method, and its variability.

    Parameters
    ----------
    signal : (n,) the monitor's readings;   reference : (n,) in `unit` at reference conditions
    limit : daily emission limit value, in `unit`
    pollutant, confidence_pct : the confidence interval in % of the limit, by its pollutant (2000/76/EC annex
        III) or as a number; one of the two
    zero : the reading at zero concentration, for readings that hardly vary; None: least squares
    limits : acceptance limits, or "EN 14181": sd <= sigma0 k_v, whose form was recalled and needs
        `allow_unverified`

    Examples
    --------
    >>> test = variability([4, 8, 12, 20], [1.1, 2.9, 5.1, 8.9], unit="mg/m3", limit=10, pollutant="NOx")
    >>> round(test.statistics["slope"], 3), test.statistics["sd"] < test.statistics["allowed_sd"]
    (0.491, True)
    """
    if pollutant is not None and confidence_pct is None:
        percent = _core.confidence_interval_pct(pollutant)
    elif pollutant is None and confidence_pct is not None:
        percent = confidence_pct
    else:
        raise _core.InputError("variability: expected pollutant or confidence_pct, got both or none")
    runs = _runs(reference, signal, "variability", "signal")
    core = _core.variability(runs["monitor"], runs["reference"], zero, limit, percent)
    fitted = core["intercept"] + core["slope"] * runs["monitor"]
    runs = pd.DataFrame(
        {"reference": runs["reference"], "monitor": fitted, "difference": runs["reference"] - fitted}
    )
    if isinstance(limits, str):
        if limits != "EN 14181":
            raise _core.InputError(f"variability(limits): expected limits or 'EN 14181', got {limits!r}")
        limits = [AcceptanceLimit("sd", core["allowed_sd"], "EN 14181 (form recalled)", verified=False)]
    return _judged("Variability", subject, unit, runs, core, limits, allow_unverified)


def _runs(reference: ArrayLike, monitor: ArrayLike, where: str, name: str = "monitor") -> pd.DataFrame:
    first = vector(reference, f"{where}(reference)")
    second = column(monitor, reference, f"{where}({name})")
    if second.size != first.size:
        raise _core.ShapeError(f"{where}({name}): expected ({first.size},), got ({second.size},)")
    index = (
        reference.index if isinstance(reference, pd.Series) else pd.RangeIndex(1, first.size + 1, name="run")
    )
    return pd.DataFrame({"reference": first, "monitor": second, "difference": first - second}, index=index)


def _judged(
    title: str,
    subject: str,
    unit: str,
    runs: pd.DataFrame,
    statistics: Mapping[str, float],
    limits: Sequence[AcceptanceLimit],
    allow_unverified: bool,
) -> MonitorTest:
    ordered = {name: float(statistics[name]) for name in _LABELS if name in statistics}
    judged = _core.judge(ordered, [limit.to_core() for limit in limits], allow_unverified)
    verdicts = tuple(Verdict(limit, value, met) for limit, (value, met) in zip(limits, judged, strict=True))
    return MonitorTest(title, subject, unit, runs, ordered, verdicts)


def _label(statistic: str) -> str:
    return _LABELS[statistic][0]


def _unit(statistic: str, unit: str) -> str:
    return _LABELS[statistic][1].format(unit=unit)


def _plain(table: pd.DataFrame) -> str:
    formatted = table.map(lambda x: f"{x:.6g}" if isinstance(x, (float, np.floating)) else x)
    return str(formatted.reset_index().to_string(index=False))
