"""Which sensors can be believed: frozen, spiking, drifting, out of range, stuck, against their neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt._format import short
from emisopt.errors import ConfigError
from emisopt.history import core_tags
from emisopt.io import to_arrays
from emisopt.monitor._tables import status_codes
from emisopt.tags import TagMap

if TYPE_CHECKING:
    from emisopt.report import Report

__all__ = ["SensorMonitor", "SensorStream", "without_ranges"]

_MONTH_S = 30 * 86400.0
_COLUMNS = (
    "tag", "kind", "first_row", "last_row", "alarm_row", "first_time", "last_time",
    "averaged", "value", "expected", "sd", "strength", "open", "words",
)  # fmt: skip


class SensorMonitor:
    """Learns how a plant's sensors behave in health and says which do not.

    Each tag is held against its physical range, against its own past (freezes, spikes) and against what all
    other tags say of it (disagreement, drift), with that reconstruction's uncertainty. When a bad sensor
    moves the reconstruction of its neighbours, they are not accused: the one whose fault explains most is
    left out first. Readings flagged as calibration or maintenance are neither judged nor learned from.

    Parameters
    ----------
    false_alarms : wanted per tag in 30 days, all checks together; limits are set from held-out stretches of
        the reference, so it holds for a plant that goes on as it was
    memory : rows of the means that look for lasting differences, rising; the longest finds drifts
    baseline : rows of a longer mean that these are compared with as well, so that what the plant has wandered
        since the reference does not hide a change
    factors : common causes that tags share; None: chosen on the last fifth of the reference
    blocks : stretches of the reference, each held out once
    settle_rows : rows after a flag's end that are not judged either
    most_accused : share of the judged tags; when more disagree at once, the finding is "process"
    confidence : that limits are not too close, as far as the blocks tell
    rows_per_month : rows in 30 days; None: from the tag map's period, and 720 for rows without stamps

    Attributes
    ----------
    tags_ : the tag map;   core_ : the fitted core model;   limits_ : what is held to be a fault, by tag

    Notes
    -----
    Formulas and figures: docs/monitor_sensors.md. Core: csrc/emisopt/monitor/sensor_model.cpp,
    sensor_stream.cpp.

    Examples
    --------
    >>> from emisopt import plants
    >>> history, tags = plants.Boiler(seed=3).simulate_history(days=30)
    >>> monitor = SensorMonitor().fit(history.iloc[:6000], tags)
    >>> bad = history.iloc[6000:7000].copy()
    >>> bad.iloc[500:, bad.columns.get_loc("co2")] += 40.0  # t/h
    >>> found = monitor.check(bad)
    >>> found.loc[found["tag"] == "co2", "kind"].tolist()[0]
    'disagrees'
    """

    def __init__(
        self,
        *,
        false_alarms: float = 0.1,
        memory: Sequence[float] = (12, 144),
        baseline: float = 1000,
        factors: int | None = None,
        blocks: int = 5,
        settle_rows: int = 1,
        most_accused: float = 0.25,
        confidence: float = 0.8,
        rows_per_month: float | None = None,
    ) -> None:
        self.false_alarms = false_alarms
        self.memory = memory
        self.baseline = baseline
        self.factors = factors
        self.blocks = blocks
        self.settle_rows = settle_rows
        self.most_accused = most_accused
        self.confidence = confidence
        self.rows_per_month = rows_per_month

    def fit(
        self, history: pd.DataFrame, tags: TagMap, *, status: Mapping[str, object] | None = None
    ) -> SensorMonitor:
        """Learns from a reference period. It may hold the usual few spikes and freezes, no lasting fault.

        Parameters
        ----------
        history : DataFrame (N, tags), physical units, NaN = missing, index as `read_history` makes it
        tags : the tag map; categorical and cost tags are passed over, laboratory tags held to their range
        status : tag -> a column's name or (N,) values: "valid", "calibration", "maintenance", "invalid"

        Returns
        -------
        self

        Raises
        ------
        DataError, InputError : a column that is missing, time that does not rise, options out of range, a
            reference too short for the memories.
        """
        if not isinstance(tags, TagMap):
            raise ConfigError(f"SensorMonitor.fit: expected a TagMap, got {type(tags).__name__}")
        rows = self.rows_per_month
        if rows is None:
            rows = _MONTH_S / tags.period if tags.period > 0 else 720.0
        arrays = to_arrays(history, tags, "SensorMonitor.fit")
        self.core_ = _core.SensorModel.fit(
            core_tags(tags),
            arrays.values,
            status_codes(history, tags, status, "SensorMonitor.fit"),
            arrays.gap,
            false_alarms=float(self.false_alarms),
            rows_per_month=float(rows),
            memory=[float(m) for m in self.memory],
            baseline=float(self.baseline),
            factors=0 if self.factors is None else int(self.factors),
            blocks=int(self.blocks),
            settle_rows=int(self.settle_rows),
            most_accused=float(self.most_accused),
            confidence=float(self.confidence),
        )
        self.tags_ = tags
        return self

    @property
    def limits_(self) -> pd.DataFrame:
        """A row per tag: `frozen_rows`, `stuck_rows` (rows with one value that are a fault; 0: never judged),
        and for modelled tags, in standard deviations of the reconstruction: `spread` of healthy readings,
        limits of a `jump`, of the mean over each memory and of its change against the baseline; NaN: not
        modelled, or a setpoint."""
        core = self._fitted()
        heads = ["spread", "jump", *(f"{what} of {m:g}" for what in ("mean", "change") for m in self.memory)]
        out = pd.DataFrame(np.nan, index=pd.Index(self.tags_.names, name="tag"), columns=heads)
        for row, place, judged in zip(core.limits, core.modelled, core.judged, strict=True):
            if judged:
                out.iloc[place] = row
        out.insert(0, "frozen_rows", core.frozen_rows)
        out.insert(1, "stuck_rows", core.stuck_rows)
        return out

    def check(self, history: pd.DataFrame, *, status: Mapping[str, object] | None = None) -> pd.DataFrame:
        """What is wrong with the sensors of these rows.

        Parameters
        ----------
        history : DataFrame (N, tags) in time order, raw: readings out of range must not have been taken out
        status : as in `fit`

        Returns
        -------
        DataFrame, a row per finding, by first row: `tag` (None for kind "process"), `kind` (range, frozen,
        stuck, spike, disagrees, drift, process), `first_row` .. `last_row` (counted from 0; a drift's first
        is an estimate), `alarm_row` at whose arrival it was found, `first_time`, `last_time` (labels of the
        index), `value` at the alarm and what is `expected` by the other tags, means over `averaged` rows (1:
        readings), `sd` of a healthy reading about it, `strength` (statistic over its limit; NaN for runs),
        `open` (goes on at the end), `words`.

        Raises
        ------
        NotFittedError : before `fit`.   DataError : as `fit`.
        """
        return self.stream().push(history, status=status).findings()

    def stream(self) -> SensorStream:
        """A stream that takes rows as they come; any split of the rows gives the same findings.

        Examples
        --------
        >>> SensorMonitor().stream()
        Traceback (most recent call last):
        emisopt._core.StateError: SensorMonitor: not fitted yet; call fit(history, tags) first
        """
        return SensorStream(self)

    def reconstruct(
        self,
        history: pd.DataFrame,
        *,
        status: Mapping[str, object] | None = None,
        findings: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What the other tags say of each tag, row by row; its own reading has no part in it.

        Parameters
        ----------
        history, status : as in `check`
        findings : what `check` found on the same rows: those readings do not inform the other tags

        Returns
        -------
        expected, sd : DataFrames like `history`: the expectation, and the standard deviation of a healthy
        reading about it; NaN for tags that are not modelled.
        """
        core = self._fitted()
        arrays = to_arrays(history, self.tags_, "SensorMonitor.reconstruct")
        codes = status_codes(history, self.tags_, status, "SensorMonitor.reconstruct")
        if findings is not None:
            marked = self._marked(len(history), findings)
            codes = marked if codes.size == 0 else np.maximum(codes, marked)
        expected, sd = core.reconstruct(arrays.values, codes, arrays.gap)
        names = self.tags_.names
        return (
            pd.DataFrame(expected, index=history.index, columns=names),
            pd.DataFrame(sd, index=history.index, columns=names),
        )

    def replace(
        self, history: pd.DataFrame, *, status: Mapping[str, object] | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The history with each reading that a finding covers replaced by what the other tags say.

        A tag that is not modelled becomes missing there. Nothing is replaced silently: the second table says
        where.

        Returns
        -------
        repaired : DataFrame like `history`;   replaced : DataFrame of bool, True where one was.
        """
        findings = self.check(history, status=status)
        expected, _ = self.reconstruct(history, status=status, findings=findings)
        marked = self._marked(len(history), findings).astype(bool)
        repaired = history.copy()
        replaced = pd.DataFrame(False, index=history.index, columns=self.tags_.names)
        for place, name in enumerate(self.tags_.names):
            rows = marked[:, place]
            replaced[name] = rows
            if rows.any():
                repaired[name] = history[name].where(~rows, expected[name])
        return repaired, replaced

    def report(
        self, history: pd.DataFrame, findings: pd.DataFrame, *, title: str | None = None, **provenance: object
    ) -> Report:
        """One offline page: the table of findings, a picture of the gravest ones, what the limits are.

        Parameters
        ----------
        history : the rows that were checked;   findings : what `check` returned for them
        title : of the page;   provenance : more facts of how it was made
        """
        from emisopt.monitor.report import build

        return build(self, history, findings, title, provenance)

    def _fitted(self) -> _core.SensorModel:
        if not hasattr(self, "core_"):
            raise _core.StateError("SensorMonitor: not fitted yet; call fit(history, tags) first")
        return self.core_

    def _marked(self, rows: int, findings: pd.DataFrame) -> Any:
        """(rows, tags) uint8: 3 (invalid) where a finding covers a tag."""
        marked = np.zeros((rows, len(self.tags_)), dtype=np.uint8)
        for tag, first, last in zip(
            findings["tag"], findings["first_row"], findings["last_row"], strict=True
        ):
            if tag is not None:
                marked[first : last + 1, self.tags_.names.index(tag)] = 3
        return marked

    def __repr__(self) -> str:
        if not hasattr(self, "core_"):
            return "SensorMonitor(not fitted)"
        judged = sum(self.core_.judged)
        return (
            f"SensorMonitor({judged} tags judged by {len(self.core_.modelled)}, "
            f"{self.core_.factor_count} common causes, {self.false_alarms:g} false alarms a tag and month)"
        )


class SensorStream:
    """Rows watched as they come; made by `SensorMonitor.stream`.

    Examples
    --------
    >>> from emisopt import plants
    >>> history, tags = plants.Boiler(seed=3).simulate_history(days=20)
    >>> monitor = SensorMonitor(memory=(12, 60)).fit(history.iloc[:4000], tags)
    >>> stream = monitor.stream()
    >>> for begin in range(4000, 5000, 100):
    ...     _ = stream.push(history.iloc[begin : begin + 100])
    >>> stream.findings().equals(monitor.check(history.iloc[4000:5000]))
    True
    """

    def __init__(self, monitor: SensorMonitor) -> None:
        self._core = _core.SensorStream(monitor._fitted())
        self._tags = monitor.tags_
        self._memory = monitor.memory
        self._index: list[pd.Index[Any]] = []

    def push(self, history: pd.DataFrame, *, status: Mapping[str, object] | None = None) -> SensorStream:
        """More rows (n, tags), which come after those before; `status` as in `SensorMonitor.fit`."""
        arrays = to_arrays(history, self._tags, "SensorMonitor.check")
        gap = arrays.gap
        if self._index and len(history):
            # Whether the first row follows the last one before is seen from both.
            joint = history.iloc[:1].set_axis(history.index[:1])
            last = self._index[-1][-1:]
            both = pd.concat([joint.set_axis(last), joint])
            gap = gap.copy()
            gap[0] = to_arrays(both, self._tags, "SensorMonitor.check").gap[1]
        self._core.push(arrays.values, status_codes(history, self._tags, status, "SensorMonitor.check"), gap)
        if len(history):
            self._index.append(history.index)
        return self

    def findings(self) -> pd.DataFrame:
        """All findings so far; columns as `SensorMonitor.check` says."""
        found = self._core.findings()
        names = self._tags.names
        index = self._index[0] if self._index else pd.RangeIndex(0)
        for more in self._index[1:]:
            index = index.append(more)
        frame = pd.DataFrame(
            {k: found[k] for k in _COLUMNS if k not in ("tag", "first_time", "last_time", "words")}
        )
        frame["tag"] = pd.Series([None if t < 0 else names[t] for t in found["tag"]], dtype=object)
        frame["first_time"] = index.take(found["first_row"])
        frame["last_time"] = index.take(found["last_row"])
        frame["words"] = pd.Series([self._words(row) for row in frame.to_dict("records")], dtype=object)
        return frame[list(_COLUMNS)]

    def _words(self, row: Mapping[str, Any]) -> str:
        rows = row["last_row"] - row["first_row"] + 1
        long = f"{rows} row{'s' if rows > 1 else ''}" + (", still so" if row["open"] else "")
        if row["kind"] == "process":
            return f"more tags disagree than sensors fail at once: the process changed; {long}"
        tag = self._tags[row["tag"]]
        unit = f" {tag.unit}" if tag.unit else ""
        value = f"{short(row['value'])}{unit}"
        expected = ""
        if np.isfinite(row["expected"]):
            expected = f"; the other tags say {short(row['expected'])} ± {short(row['sd'])}{unit}"
        if row["averaged"] > 1:
            value += f" (mean of about {row['averaged']:g} rows)"
        return {
            "range": f"shows {value}, outside its range ({tag.range_text}); {long}{expected}",
            "frozen": f"hangs at {value}; {long}{expected}",
            "stuck": f"stands at {value}, an end of what it can show; {long}{expected}",
            "spike": f"spikes to {value}; {long}{expected}",
            "disagrees": f"shows {value} and disagrees with the other tags; {long}{expected}",
            "drift": f"shows {value} and drifts from the other tags; {long}{expected}",
        }[row["kind"]]


def without_ranges(tags: TagMap) -> TagMap:
    """The same map without physical ranges and freezes: `read_history` then leaves raw readings as they are.

    Examples
    --------
    >>> from emisopt.tags import load_tagmap
    >>> without_ranges(load_tagmap("gas_turbine"))["NOX"]
    Tag('NOX' [mg/m3], emission)
    """
    if not isinstance(tags, TagMap):
        raise ConfigError(f"without_ranges: expected a TagMap, got {type(tags).__name__}")
    return dataclasses.replace(
        tags, tags=tuple(dataclasses.replace(t, low=None, high=None, frozen_after=0) for t in tags)
    )
