"""Residual, input and sensor drift of a plant, kept apart, at a rate of false alarms that is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.errors import ConfigError, DataError, did_you_mean
from emisopt.monitor.drift import DIRECTIONS, detector_options, table_of
from emisopt.tags import TagMap

__all__ = ["KINDS", "DriftMonitor"]

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

KINDS = ("residual", "input", "sensor")
_MONTH_S = 365.25 / 12 * 86400
_TOLERANCE = 0.5  # of a period: a longer step between stamps is a gap
_STATES = ("judged", "too few values", "constant")
_COLUMNS = (
    "kind", "tag", "row", "stamp", "direction", "size", "unit", "delay", "since", "statistic", "limit",
    "also",
)  # fmt: skip


@dataclass
class _Group:
    """The tags of one kind: numbers, judged by a chart, and flags, whose onset is an alarm."""

    names: list[str]
    flags: list[str]
    scores: _core.ScoreBank | None = None
    charts: _core.DriftBank | None = None
    inflation: Floats = field(default_factory=lambda: np.empty(0))
    limits: Floats = field(default_factory=lambda: np.empty(0))
    raised: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    lord: _core.LordPlusPlus | None = None
    missing: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass
class _Rows:
    """One kind's part of a push."""

    values: Floats
    flags: NDArray[np.bool_]


class DriftMonitor:
    """Tells when residuals of a forecaster, inputs of a plant, or checks of its sensors have drifted.

    Each tag is pre-whitened: an autoregression fitted on a reference period (order by BIC) takes its memory
    away, and what it did not foresee becomes its normal score among the reference's. A CUSUM or EWMA chart
    watches the scores, with the limit that gives the chosen run length by its integral equation, raised where
    blocks of the tag's own reference scores alarm more often than that.

    Parameters
    ----------
    tags : tag map; its units stand in the alarms, its period serves where rows have no stamps
    tag_months_per_alarm : one false alarm per so many months of one tag's data. With 1000 tags and 12, expect
        83 a month: say more, or control "fdr"
    chart : "cusum" (option slack, half the shift looked for, in standard deviations of what is unforeseen) or
        "ewma" (option weight)
    control : "arl": each tag by itself; "fdr": every `decide_every` rows all tags of a kind together, by
        Benjamini and Hochberg at level `fdr`; "lord": the same one after another for ever, by LORD++
    fdr : share of false ones among the alarms, for "fdr" and "lord"
    decide_every : rows between decisions, for "fdr" and "lord"; None: a day
    period : seconds between rows; None: the tag map's, else read from the reference's stamps
    max_order : of the autoregressions
    bootstrap : simulated values per tag for raising limits; 0: limits by the equation alone
    block : rows per resampled block; 0: 4 n^(1/3)
    seed, threads : of the resampling; shared by the tags. Alarms do not depend on the number of threads

    Notes
    -----
    csrc/emisopt/monitor/reference_score.hpp, cusum.hpp, ewma.hpp, run_length.hpp, run_length_study.hpp. A
    shift of the level by d moves what is unforeseen by d times `gain` of :meth:`table` only: a slow tag's
    drift shows late. Rows after a gap or a missing value give no score until the autoregression is full
    again. Scores saturate at those of the reference's extremes: a lone spike does not alarm.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stamps = pd.date_range("2024-01-01", periods=6000, freq="5min", tz="UTC")
    >>> errors = pd.DataFrame({"nox": rng.normal(0, 3, 6000)}, index=stamps)
    >>> errors.iloc[5000:, 0] += 6
    >>> monitor = DriftMonitor(tag_months_per_alarm=12).fit(residuals=errors[:4000])
    >>> monitor.push(residuals=errors[4000:])[["kind", "tag", "direction"]].iloc[0].tolist()
    ['residual', 'nox', 'up']
    """

    def __init__(
        self,
        tags: TagMap | None = None,
        *,
        tag_months_per_alarm: float = 12.0,
        chart: str = "cusum",
        slack: float = 0.5,
        weight: float = 0.1,
        control: str = "arl",
        fdr: float = 0.05,
        decide_every: int | None = None,
        period: float | None = None,
        max_order: int = 8,
        bootstrap: int = 60_000,
        block: int = 0,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        _one_of("chart", chart, ("cusum", "ewma"))
        _one_of("control", control, ("arl", "fdr", "lord"))
        if not (math.isfinite(tag_months_per_alarm) and tag_months_per_alarm > 0):
            raise ConfigError(
                f"DriftMonitor(tag_months_per_alarm): expected a number above 0, got {tag_months_per_alarm}"
            )
        if not 0 < fdr < 1:
            raise ConfigError(f"DriftMonitor(fdr): expected a share in (0, 1), got {fdr}")
        if decide_every is not None and decide_every < 1:
            raise ConfigError(f"DriftMonitor(decide_every): expected 1 row or more, got {decide_every}")
        if bootstrap and bootstrap < 10_000:
            raise ConfigError(f"DriftMonitor(bootstrap): expected 0 or 10000 and more, got {bootstrap}")
        self.tags = tags
        self.tag_months_per_alarm = float(tag_months_per_alarm)
        self.chart, self.slack, self.weight = chart, float(slack), float(weight)
        self.control, self.fdr, self.decide_every = control, float(fdr), decide_every
        self.period = (
            period if period is not None else tags.period if tags is not None and tags.period else None
        )
        self.max_order, self.bootstrap, self.block, self.seed = max_order, bootstrap, block, seed
        self._threads = threads or _core.default_threads()
        self._options(5.0)  # refuses slack and weight
        self._groups: dict[str, _Group] = {}
        self._last: float | None = None

    def _options(self, limit: float) -> Any:
        given = {"slack": self.slack} if self.chart == "cusum" else {"weight": self.weight}
        return detector_options(self.chart, {**given, "limit": limit})

    def _limit(self, run_length: float) -> float:
        if self.chart == "cusum":
            return float(_core.cusum_limit(run_length, self.slack))
        return float(_core.ewma_limit(run_length, self.weight))

    def fit(
        self,
        *,
        residuals: pd.DataFrame | None = None,
        inputs: pd.DataFrame | None = None,
        sensors: pd.DataFrame | None = None,
    ) -> DriftMonitor:
        """Learns what is usual from a reference period in which nothing drifted.

        Parameters
        ----------
        residuals : (N, tags) measured minus forecast, in the tags' units
        inputs : (N, tags) what the forecaster is given
        sensors : (N, tags) results of sensor checks: numbers that are near a constant in health (difference
            to a redundant or reconstructed signal), or flags (bool: suspicious), whose onset is an alarm at
            once (missing: not suspicious). All tables have one index; NaN = missing

        Returns
        -------
        self

        Raises
        ------
        DataError, InputError : naming kind, row, tag and time; the monitor is as before.
        """
        data = {"residual": residuals, "input": inputs, "sensor": sensors}
        frames = {kind: frame for kind, frame in data.items() if frame is not None}
        if not frames:
            raise DataError("DriftMonitor.fit: expected residuals, inputs or sensors, got none")
        groups = {kind: _group(kind, frame) for kind, frame in frames.items()}
        rows, seconds = _read(groups, frames, "fit")
        period = self.period
        if period is None:
            if seconds is None or seconds.size < 2:
                raise DataError("DriftMonitor.fit: rows have no stamps; say DriftMonitor(period=seconds)")
            period = float(np.median(np.diff(seconds)))
        gap = _gaps(seconds, None, period)
        run_length = self.tag_months_per_alarm * _MONTH_S / period
        if run_length < 2:
            raise ConfigError("DriftMonitor(tag_months_per_alarm): less than two rows to a false alarm")
        for kind, group in groups.items():
            self._fit_group(group, rows[kind].values, gap, run_length)
        self._groups = groups
        self._period = period
        self.arl0_ = run_length
        self._window = self.decide_every or max(1, round(86400 / period))
        curve = _core.RunLengthCurve
        self._curve = curve.cusum(self.slack) if self.chart == "cusum" else curve.ewma(self.weight)
        self._rows = 0
        self._last = None
        self._past: Floats = np.empty(0)  # stamps of the newest rows, a window long
        self._latest: dict[tuple[str, str], int] = {}
        return self

    def _fit_group(self, group: _Group, values: Floats, gap: Flags | None, run_length: float) -> None:
        group.raised = np.zeros(len(group.flags), dtype=bool)
        group.missing = np.zeros(len(group.names), dtype=np.int64)
        if self.control == "lord":
            group.lord = _core.LordPlusPlus(self.fdr)
        if not group.names:
            return
        group.scores = _core.ScoreBank(
            values, gap, group.names, max_order=self.max_order, threads=self._threads
        )
        judged = group.scores.table["state"] == 0
        group.inflation = np.where(judged, 1.0, np.nan)
        if self.bootstrap:
            shown = min(run_length, self.bootstrap / 100)
            group.inflation = np.asarray(
                group.scores.inflations(
                    values, gap, self._options(self._limit(shown)), run_length=shown, block=self.block,
                    values=self.bootstrap, seed=self.seed, threads=self._threads,
                )
            )  # fmt: skip
        group.limits = group.inflation * self._limit(run_length)
        group.charts = _core.DriftBank(self._options(5.0), group.names, self.control != "arl")
        given = group.limits if self.control == "arl" else np.where(judged, np.inf, np.nan)
        group.charts.set_limits(given.tolist())

    def push(
        self,
        *,
        residuals: pd.DataFrame | None = None,
        inputs: pd.DataFrame | None = None,
        sensors: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """More rows, as in :meth:`fit`: the same kinds and tags. Splitting them differently changes no alarm.

        Returns
        -------
        DataFrame, one row per alarm in the order of decision: kind ("residual", "input", "sensor"), tag, row
        (counted from the first push), stamp, direction, size (estimated shift of the level in `unit`), unit,
        delay (estimated rows since it began, rows without a score not counted), since (stamp), statistic,
        limit (NaN with control "fdr" and "lord": a p-value's threshold is not one number), also (other kinds
        that alarmed for the same tag since then: a sensor's drift shows in residual and input too).

        Raises
        ------
        StateError (not fitted), DataError, InputError : naming kind, row, tag and time; nothing has changed.
        """
        if not self._groups:
            raise _core.StateError("DriftMonitor.push: not fitted; call fit() with a reference period")
        data = {"residual": residuals, "input": inputs, "sensor": sensors}
        frames = {kind: frame for kind, frame in data.items() if frame is not None}
        for kind in KINDS:
            if (kind in frames) != (kind in self._groups):
                expected = "expected, as it was fitted" if kind in self._groups else "was not fitted"
                raise DataError(f"DriftMonitor.push: {kind}: {expected}")
        rows, seconds = _read(self._groups, frames, "push", self._rows, self._last)
        gap = _gaps(seconds, self._last, self._period)
        count = len(next(iter(rows.values())).flags)
        found: list[dict[str, Any]] = []
        for kind, group in self._groups.items():
            part = rows[kind]
            found += self._flag_onsets(kind, group, part.flags)
            if group.charts is not None and group.scores is not None:
                scores = group.scores.push(part.values, gap, self._threads)
                group.missing += np.isnan(scores).sum(axis=0)
                judge = self._by_limit if self.control == "arl" else self._by_window
                found += judge(kind, group, scores)
        table = self._table(found, seconds)
        self._rows += count
        if seconds is not None and count:
            self._last = float(seconds[-1])
            self._past = np.concatenate([self._past, seconds])[-self._window :]
        return table

    def _flag_onsets(self, kind: str, group: _Group, flags: NDArray[np.bool_]) -> list[dict[str, Any]]:
        if not group.flags or not len(flags):
            return []
        before = np.vstack([group.raised, flags[:-1]])
        group.raised = flags[-1].copy()
        return [
            {"kind": kind, "tag": group.flags[tag], "row": self._rows + int(row), "direction": 0,
             "decided": self._rows + int(row), "size": np.nan, "delay": 0, "statistic": 1.0, "limit": np.nan}
            for row, tag in np.argwhere(flags & ~before)
        ]  # fmt: skip

    def _by_limit(self, kind: str, group: _Group, scores: Floats) -> list[dict[str, Any]]:
        assert group.charts is not None
        got = group.charts.push(scores, None, self._threads)
        return self._alarms(kind, group, got, group.limits)

    def _by_window(self, kind: str, group: _Group, scores: Floats) -> list[dict[str, Any]]:
        """Decides whenever a window of rows is full: p-values of the tags' peaks, all of them together."""
        charts = group.charts
        assert charts is not None
        out: list[dict[str, Any]] = []
        begin = 0
        while begin < len(scores):
            left = self._window - int(charts.rows) % self._window
            part = scores[begin : begin + left]
            charts.push(part, None, self._threads)
            begin += len(part)
            if len(part) < left:
                break
            peaks = charts.take_peaks()
            height = peaks["statistic"] / group.inflation
            p_values = [
                self._curve.p_value(float(h), self._window) if row >= 0 and np.isfinite(h) else math.nan
                for h, row in zip(height, peaks["row"], strict=True)
            ]
            if group.lord is not None:
                found = np.array([group.lord.test(p) for p in p_values], dtype=bool)
            else:
                found = _core.benjamini_hochberg(p_values, self.fdr)
            places = np.flatnonzero(found)
            for tag in places:
                charts.restart(int(tag))
            chosen = {name: values[places] for name, values in peaks.items()}
            none = np.full(len(group.names), np.nan)
            out += self._alarms(kind, group, chosen, none, decided=int(charts.rows) - 1)
        return out

    def _alarms(
        self, kind: str, group: _Group, got: Mapping[str, Any], limits: Floats, decided: int | None = None
    ) -> list[dict[str, Any]]:
        assert group.scores is not None
        reference = group.scores.table
        out = []
        for i, tag in enumerate(got["tag"]):
            spread, gain = reference["spread"][tag], reference["gain"][tag]
            out.append(
                {"kind": kind, "tag": group.names[tag], "row": int(got["row"][i]),
                 "decided": int(got["row"][i]) if decided is None else decided,
                 "direction": int(got["direction"][i]),
                 "size": float(got["size"][i] * spread / gain) if gain > 0 else np.nan,
                 "delay": int(got["delay"][i]), "statistic": float(got["statistic"][i]),
                 "limit": float(limits[tag])}
            )  # fmt: skip
        return out

    def _table(self, found: list[dict[str, Any]], seconds: Floats | None) -> pd.DataFrame:
        found.sort(key=lambda a: (a["decided"], a["row"], KINDS.index(a["kind"])))
        for alarm in found:
            begun = alarm["row"] - alarm["delay"]
            latest = [(k, self._latest.get((k, alarm["tag"]), -1)) for k in KINDS if k != alarm["kind"]]
            alarm["also"] = ", ".join(k for k, row in latest if row >= max(begun, 0))
            self._latest[alarm["kind"], alarm["tag"]] = alarm["row"]
            alarm["direction"] = DIRECTIONS[alarm["direction"]]
            alarm["unit"] = self._unit(alarm["tag"])
            stamp = pd.NaT
            if seconds is not None:
                stamp = self._stamp(alarm["row"], seconds)
            alarm["stamp"] = stamp
            alarm["since"] = stamp - pd.Timedelta(seconds=alarm["delay"] * self._period)
        table = pd.DataFrame(found, columns=list(_COLUMNS))
        for name in ("stamp", "since"):
            table[name] = pd.to_datetime(table[name], utc=True)
        return table

    def _stamp(self, row: int, seconds: Floats) -> Any:
        place = row - self._rows  # a window's peak can lie in rows of an earlier push
        at = seconds[place] if place >= 0 else self._past[place]
        return pd.Timestamp(float(at), unit="s", tz="UTC")

    def _unit(self, tag: str) -> str:
        return self.tags[tag].unit if self.tags is not None and tag in self.tags else ""

    def table(self) -> pd.DataFrame:
        """What was learnt, by kind and tag: state ("judged", "too few values", "constant", "flag"), order of
        the autoregression, mean and spread (standard deviation of the unforeseen) in `unit`, gain (1 - sum of
        the autoregression), inflation of the limit, limit, arl0 (rows per false alarm that the limit stands
        for), no_score (rows pushed without a score). StateError before fit()."""
        if not self._groups:
            raise _core.StateError("DriftMonitor.table: not fitted; call fit() with a reference period")
        parts = []
        for kind, group in self._groups.items():
            if group.scores is not None:
                got = group.scores.table
                state = np.asarray(_STATES, dtype=object)[got["state"]]
                no_chart = np.isinf(group.inflation)
                state = np.where((state == "judged") & no_chart, "too restless", state)
                judged = state == "judged"
                parts.append(
                    pd.DataFrame(
                        {"kind": kind, "tag": group.names, "state": state, "order": got["order"],
                         "mean": got["mean"], "spread": got["spread"],
                         "gain": np.where(judged, got["gain"], np.nan), "inflation": group.inflation,
                         "limit": group.limits, "arl0": np.where(judged, self.arl0_, np.nan),
                         "no_score": group.missing}
                    )
                )  # fmt: skip
            if group.flags:
                parts.append(pd.DataFrame({"kind": kind, "tag": group.flags, "state": "flag"}))
        table = pd.concat(parts, ignore_index=True)
        table.insert(2, "unit", [self._unit(tag) for tag in table["tag"]])
        return table

    def __repr__(self) -> str:
        if not self._groups:
            return "DriftMonitor(not fitted)"
        sizes = ", ".join(f"{len(g.names) + len(g.flags)} {kind}" for kind, g in self._groups.items())
        return f"DriftMonitor({sizes} tags, {self.chart}, {self.arl0_:.4g} rows per false alarm and tag)"


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ConfigError(f"DriftMonitor({name}): expected one of {', '.join(words)}, got {value!r}")


def _group(kind: str, frame: pd.DataFrame) -> _Group:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"DriftMonitor: {kind}: expected a pandas DataFrame, got {type(frame).__name__}")
    names = [str(name) for name in frame.columns]
    if not names:
        raise DataError(f"DriftMonitor: {kind}: expected at least one column, got none")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"DriftMonitor: {kind}: tag {twice!r} stands more than once")
    flags = [n for n, t in zip(names, frame.dtypes, strict=True) if pd.api.types.is_bool_dtype(t)]
    if flags and kind != "sensor":
        raise DataError(f"DriftMonitor: {kind}: tag {flags[0]!r}: expected numbers, got bool")
    return _Group([n for n in names if n not in set(flags)], flags)


def _read(
    groups: Mapping[str, _Group],
    frames: Mapping[str, pd.DataFrame],
    where: str,
    first_row: int = 0,
    last: float | None = None,
) -> tuple[dict[str, _Rows], Floats | None]:
    """All kinds' values and their common stamps, checked before anything changes."""
    rows: dict[str, _Rows] = {}
    seconds: Floats | None = None
    index: pd.Index[Any] | None = None
    for kind, frame in frames.items():
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"DriftMonitor.{where}: {kind}: expected a DataFrame, got {type(frame).__name__}")
        if index is not None and not frame.index.equals(index):
            raise DataError(f"DriftMonitor.{where}: {kind}: expected the rows (index) of the other tables")
        index = frame.index
        group = groups[kind]
        named = {str(name): name for name in frame.columns}
        for name in group.flags:
            if name not in named:
                raise DataError(
                    f"DriftMonitor.{where}: {kind}: tag {name!r} is missing{did_you_mean(name, named)}"
                )
            if not pd.api.types.is_bool_dtype(frame[named[name]].dtype):
                raise DataError(f"DriftMonitor.{where}: {kind}: tag {name!r}: expected bool as in fit()")
        label = f"DriftMonitor.{where}: {kind}"
        numbers = frame.drop(columns=[named[n] for n in group.flags])
        values, seconds = table_of(numbers, group.names, label)
        _check_finite(values, group.names, seconds, label, first_row)
        flags = np.zeros((len(frame), len(group.flags)), dtype=bool)
        for i, name in enumerate(group.flags):
            flags[:, i] = frame[named[name]].fillna(False).to_numpy(dtype=bool)
        rows[kind] = _Rows(values, flags)
    _check_rising(seconds, last, where, first_row)
    return rows, seconds


def _check_finite(
    values: Floats, names: list[str], seconds: Floats | None, label: str, first_row: int
) -> None:
    bad = np.isinf(values)
    if not bad.any():
        return
    row, tag = (int(i) for i in np.argwhere(bad)[0])
    at = "" if seconds is None else f" ({pd.Timestamp(float(seconds[row]), unit='s')} UTC)"
    raise _core.InputError(
        f"{label}: row {first_row + row}{at}, tag {names[tag]!r}: expected a finite number or NaN for "
        f"missing, got {values[row, tag]}"
    )


def _check_rising(seconds: Floats | None, last: float | None, where: str, first_row: int) -> None:
    if seconds is None:
        if last is not None:
            raise DataError(f"DriftMonitor.{where}: expected stamps as the rows before have")
        return
    steps = np.diff(seconds, prepend=-np.inf if last is None else last)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0))
        stamp = pd.Timestamp(float(seconds[row]), unit="s")
        raise DataError(f"DriftMonitor.{where}: row {first_row + row}: time does not rise at {stamp} UTC")


def _gaps(seconds: Floats | None, last: float | None, period: float) -> Flags | None:
    """1 where a row does not follow the one before, within half a period."""
    if seconds is None or not seconds.size:
        return None
    steps = np.diff(seconds, prepend=seconds[0] - period if last is None else last)
    return np.ascontiguousarray(np.abs(steps - period) > _TOLERANCE * period, dtype=np.uint8)
