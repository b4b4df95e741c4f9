"""A permit judged on tables: at once or as rows come, with tables of what was decided and by what."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt._format import html_table, short
from emisopt.errors import ConfigError, DataError, did_you_mean
from emisopt.permit.document import Permit
from emisopt.permit.signals import signals_of
from emisopt.permit.zones import zone_table
from emisopt.tags import TagMap

__all__ = ["Evaluation", "PermitStream", "RuleResult"]

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

PLANT = ("off", "on", "startup", "shutdown", "malfunction")
STATUS = ("valid", "calibration", "maintenance", "invalid")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SAMPLE = 10_000  # rows that the period between samples is read from


class PermitStream:
    """Judges a permit on rows as they come. Splitting the rows differently, or handing them over in another
    order within the lateness, changes no bit of the result.

    Parameters
    ----------
    permit : Permit
    signals : column -> `Signal` (or its fields, or the pollutant where `tags` has the unit). None: the permit's
        own, else the tags of role emission that are called like a pollutant
    tags : tag map, for units
    period : seconds between samples, for rules that count shares of samples. None: read from the first rows
    zone : IANA name of the zone of civil days instead of the permit's
    stamp : whether a stamp is the "start" or the "end" of the time that its sample stands for
    lateness : seconds that a row may be older than the newest before it; what is later is refused
    negative : "refuse" negative concentrations, or leave them out as "missing" (they are counted)
    allow_unverified : judge by limits that nobody has read in their source; every table then says UNVERIFIED
    threads : that share the columns; 0: EMISOPT_THREADS, else the machine's; the result does not depend on it

    Raises
    ------
    ConfigError, InputError : naming rule and tag: an unverified limit, a rule that no signal serves, a signal
        in another unit or on another basis.

    Examples
    --------
    >>> permit = Permit.from_dict({"name": "p", "rules": [{
    ...     "name": "NOx 1 h", "pollutant": "NOx", "unit": "ppm", "limit": 50, "source": "s", "verified": True,
    ...     "base": {"length": "1 h", "validity": {"need": "quadrants"}}}]})
    >>> minutes = pd.date_range("2024-05-05", periods=120, freq="1min")
    >>> frame = pd.DataFrame({"stack": np.repeat([40.0, 60.0], 60)}, index=minutes)
    >>> stream = PermitStream(permit, {"stack": {"pollutant": "NOx", "unit": "ppm"}})
    >>> judged = stream.push(frame[:70]).push(frame[70:]).finish()
    >>> judged.verdict, judged["NOx 1 h"].above
    ('broken', 1)
    """

    def __init__(
        self,
        permit: Permit,
        signals: Mapping[str, object] | None = None,
        *,
        tags: TagMap | None = None,
        period: float | None = None,
        zone: str | None = None,
        stamp: str = "start",
        lateness: float = 0.0,
        negative: str = "refuse",
        allow_unverified: bool = False,
        threads: int = 0,
    ) -> None:
        _one_of("stamp", stamp, ("start", "end"))
        _one_of("negative", negative, ("refuse", "missing"))
        self.permit = permit
        self._signals = list(permit.core.signals) if signals is None else []
        if not self._signals:
            self._signals = signals_of(signals, tags)
        if not self._signals:
            raise ConfigError(
                f"permit {permit.name!r}: what do the columns measure? give signals={{column: Signal(...)}}, or "
                "name them in the permit"
            )
        self._columns = list(
            dict.fromkeys(
                name for signal in self._signals for name in (signal.tag, signal.oxygen_tag) if name
            )
        )
        self._period = float(period) if period is not None else tags.period if tags and tags.period else None
        self._zone = zone or permit.zone
        self._options: dict[str, Any] = {
            "allow_unverified": allow_unverified,
            "lateness_s": float(lateness),
            "stamp_is_end": stamp == "end",
            "negative_is_missing": negative == "missing",
            "threads": threads or _core.default_threads(),
        }
        self._core: _core.Evaluator | None = None

    def push(
        self, frame: pd.DataFrame, *, plant: object = None, status: Mapping[str, object] | None = None
    ) -> PermitStream:
        """More rows.

        Parameters
        ----------
        frame : (N, columns) with a DatetimeIndex; columns that no signal names are passed over
        plant : state of the plant in each row: a column's name or (N,) values: "off", "on", "startup",
            "shutdown", "malfunction", their numbers, or booleans. None: always on
        status : column -> a column's name or (N,) values: "valid", "calibration", "maintenance", "invalid",
            their numbers, or booleans (valid). Columns left out are valid where they have a value

        Raises
        ------
        DataError : the table's index or columns. InputError : naming tag, row and time.
        """
        time = _seconds(frame)
        columns = [_numbers(frame, name) for name in self._columns]
        states = None if plant is None else _codes(frame, plant, PLANT, "plant")
        flags: list[Codes | None] = []
        for name in status or {}:
            if name not in self._columns:
                raise DataError(f"status: no signal has the column {name!r}{did_you_mean(name, self._columns)}")
        for name in self._columns:
            what = (status or {}).get(name)
            flags.append(None if what is None else _codes(frame, what, STATUS, f"status of {name!r}"))
        if self._core is None:
            self._core = self._begin(time)
        self._core.push(time, columns, flags, states)
        return self

    def _begin(self, time: Floats) -> _core.Evaluator:
        period = self._period
        if period is None and any(rule.needs_period for rule in self.permit.rules):
            steps = np.diff(time[:_SAMPLE])
            steps = steps[steps > 0]
            period = float(np.median(steps)) if steps.size else 0.0
        # Data may go on after the first rows; a table of a century costs nothing that a year would not.
        year = pd.Timestamp(time[0], unit="s").year if time.size and np.isfinite(time[0]) else 2000
        table = zone_table(self._zone, year - 2, year + (2 if time.size > 1 else 1) + 30)
        return _core.Evaluator(
            self.permit.core, self._signals, self._columns, table, period_s=period or 0.0, **self._options
        )

    def result(self) -> Evaluation:
        """What is decided so far."""
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: no rows yet")
        return Evaluation(self.permit, self._core.result())

    def finish(self) -> Evaluation:
        """Closes the last windows; no more rows may come.

        Raises
        ------
        InputError : there was no row.
        """
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: the data have no rows: nothing to judge")
        self._core.finish()
        return self.result()


class RuleResult:
    """One rule on one column.

    Attributes
    ----------
    rule : `limit`, `unit`, `limit_text`, `words`, `source`, ...
    tag : the column
    verdict : "holds", "broken" or "not judged" (no average counts); by itself, whatever an alternative says
    held_by : the alternative that holds in its place, or ""
    total, valid, above : averages of operating time; of these, those that count; of these, above the limit
    hours_above : the time that those stand for
    """

    def __init__(self, core: _core.RuleResult, zone: str) -> None:
        self.core = core
        self.zone = zone
        self.rule = core.rule
        self.tag = str(core.tag)
        self.verdict = str(core.verdict)
        self.held_by = str(core.held_by)
        self.total, self.valid, self.above = int(core.total), int(core.valid), int(core.above)
        self.hours_above = float(core.hours_above)

    @property
    def averages(self) -> pd.DataFrame:
        """Every average that was judged, by the end of its window in the permit's zone: begin, value (NaN where
        it does not count), limit, above, valid, why not, valid base means in it."""
        frame = self._frame(self.core.averages)
        frame.insert(2, "limit", self.rule.limit)
        frame.insert(3, "above", (frame["value"].to_numpy() > self.rule.limit) & self.core.judged)
        return frame

    @property
    def base(self) -> pd.DataFrame:
        """The short means that the averages are made of, as measured (before any confidence interval)."""
        return self._frame(self.core.base)

    def _frame(self, arrays: tuple[Any, ...]) -> pd.DataFrame:
        begin, end, value, reason, used = arrays
        words = pd.Categorical.from_codes(reason, categories=_core.average_reasons())
        index = pd.DatetimeIndex(pd.to_datetime(end, unit="s", utc=True)).tz_convert(self.zone)
        start = pd.DatetimeIndex(pd.to_datetime(begin, unit="s", utc=True)).tz_convert(self.zone)
        table = {"begin": start, "value": value, "valid": reason == 0, "why": words, "used": used}
        return pd.DataFrame(table, index=index.rename("end"))

    @property
    def worst(self) -> tuple[pd.Timestamp, float] | None:
        """End and value of the highest average that counts; None without any."""
        i = int(self.core.worst)
        if i < 0:
            return None
        end = pd.Timestamp(int(self.core.averages[1][i]), unit="s", tz="UTC").tz_convert(self.zone)
        return end, float(self.core.worst_value)

    @property
    def periods(self) -> pd.DataFrame:
        """Averages at or below the limit and above it by civil period, where the rule allows a share or number."""
        return _periods(self.core.periods)

    @property
    def availability(self) -> pd.DataFrame:
        """Valid and invalid averages by civil period, where the rule limits how many may be invalid."""
        return _periods(self.core.availability)

    @property
    def why_not(self) -> dict[str, int]:
        """How many averages do not count, by reason."""
        return dict(self.core.reasons)

    def deciding(self, count: int = 5) -> pd.DataFrame:
        """The base means of the worst average's window that weigh most, highest first.

        Parameters
        ----------
        count : how many

        Returns
        -------
        DataFrame by end of the base period: begin, value, share (of the window's sum).
        """
        i = int(self.core.worst)
        frame = self.base
        if i < 0:
            return frame.iloc[:0][["begin", "value"]].assign(share=[])
        begin, end = (pd.Timestamp(int(self.core.averages[k][i]), unit="s", tz="UTC") for k in (0, 1))
        inside = frame[(frame["begin"] >= begin) & (frame.index <= end) & frame["valid"]]
        share = inside["value"] / inside["value"].sum()
        top = inside[["begin", "value"]].assign(share=share)
        return top.sort_values("value", ascending=False, kind="stable").head(count)

    def deciding_samples(self, frame: pd.DataFrame, count: int = 5) -> pd.Series:
        """The highest samples of the highest of the `deciding` base means, as they stand in the table.

        Parameters
        ----------
        frame : the table that was judged
        count : how many
        """
        top = self.deciding(1)
        column = frame[self.tag]
        if top.empty:
            return column.iloc[:0]
        index = _utc(frame.index, "frame")
        inside = (index >= top["begin"].iloc[0]) & (index < top.index[0])
        return column[inside].sort_values(ascending=False, kind="stable").head(count)

    def __repr__(self) -> str:
        held = f" (held by {self.held_by!r})" if self.held_by else ""
        worst = self.worst
        most = f", worst {short(worst[1])}" if worst else ""
        return (
            f"RuleResult({self.rule.name!r} on {self.tag!r}: {self.verdict}{held}, {self.above} of {self.valid} "
            f"above {self.rule.limit_text}{most})"
        )


class Evaluation(Sequence[RuleResult]):
    """A permit judged on data.

    Attributes
    ----------
    permit : the permit
    verdict : "holds", "broken", or "not judged": nothing is broken, but some rule had no average that counts
    zone : of civil days
    rows : of the data;   steps_back : rows whose stamp lies before an earlier one's (a clock put back, or late)
    """

    def __init__(self, permit: Permit, core: _core.Evaluation) -> None:
        self.permit = permit
        self.core = core
        self.verdict = str(core.verdict)
        self.zone = str(core.zone)
        self.rows = int(core.rows)
        self.steps_back = int(core.steps_back)
        self._results = [RuleResult(one, self.zone) for one in core.results]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[RuleResult]:
        return iter(self._results)

    def __getitem__(self, key: Any) -> Any:
        """A result by number, by rule, or by (rule, column)."""
        if isinstance(key, int | slice):
            return self._results[key]
        rule, tag = key if isinstance(key, tuple) else (key, None)
        found = [r for r in self._results if r.rule.name == rule and tag in (None, r.tag)]
        if len(found) == 1:
            return found[0]
        if not found:
            names = [r.rule.name for r in self._results]
            raise ConfigError(f"evaluation: no result for {key!r}{did_you_mean(str(rule), names)}")
        raise ConfigError(f"evaluation: rule {rule!r} judged {len(found)} columns; ask for (rule, column)")

    @property
    def broken(self) -> list[RuleResult]:
        """Rules that are broken and that no alternative holds for."""
        return [r for r in self if r.verdict == "broken" and not r.held_by]

    @property
    def clock(self) -> list[str]:
        """One line for each of the first rows at which time stepped back."""
        zone = self.zone

        def text(seconds: float) -> str:
            return str(pd.Timestamp(seconds, unit="s", tz="UTC").tz_convert(zone))

        return [f"row {s.row}: from {text(s.from_s)} back to {text(s.to_s)}" for s in self.core.first_steps_back]

    def table(self) -> pd.DataFrame:
        """One row a rule and column; the limit's text says UNVERIFIED where nobody has read it in its source."""
        rows = []
        for r in self:
            worst = r.worst
            rows.append(
                {
                    "rule": r.rule.name,
                    "tag": r.tag,
                    "limit": r.rule.limit_text,
                    "verdict": f"{r.verdict}, held by {r.held_by}" if r.held_by else r.verdict,
                    "averages": r.total,
                    "valid": r.valid,
                    "above": r.above,
                    "hours above": r.hours_above,
                    "worst": worst[1] if worst else np.nan,
                    "worst ends": worst[0] if worst else pd.NaT,
                }
            )
        return pd.DataFrame(rows).set_index(["rule", "tag"])

    def to_json(self) -> str:
        """Counts, worst averages and verdicts, with the permit's hash, as canonical JSON."""
        return str(self.core.to_json())

    def __repr__(self) -> str:
        table = self.table().reset_index()
        ends = table["worst ends"]
        table["worst ends"] = [("" if pd.isna(t) else t.strftime("%Y-%m-%d %H:%M")) for t in ends]
        return f"{self.permit.name}: {self.verdict}\n{table.to_string(index=False, float_format=short)}"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.permit.name)}: {self.verdict}</b>{html_table(self.table())}"


# ---- tables to arrays -----------------------------------------------------------------------------------


def _one_of(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise ConfigError(f"{name}: expected {' or '.join(words)}, got {value!r}")


def _utc(index: pd.Index[Any], where: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"{where}: expected an index of time stamps (DatetimeIndex), got {index.dtype}")
    return index.tz_localize("UTC") if index.tz is None else index


def _seconds(frame: pd.DataFrame) -> Floats:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"data: expected a pandas DataFrame, got {type(frame).__name__}")
    index = _utc(frame.index, "data")
    if index.hasnans:
        raise DataError(f"data: row {int(np.argmax(np.asarray(index.isna())))}: expected a time stamp, got NaT")
    return np.asarray(index.asi8 / _PER_SECOND[index.unit], dtype=np.float64)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    headings = [str(c) for c in frame.columns]
    if headings.count(name) != 1:
        problem = "is missing" if name not in headings else "stands more than once"
        raise DataError(f"data: column {name!r} {problem}{did_you_mean(name, [h for h in headings if h != name])}")
    column = frame.iloc[:, headings.index(name)]
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"data: column {name!r}: expected numbers, got {column.dtype}")
    return np.ascontiguousarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _codes(frame: pd.DataFrame, what: object, words: Sequence[str], where: str) -> Codes:
    """Words, numbers or booleans as the core's codes."""
    if isinstance(what, str):
        if what not in frame.columns:
            raise DataError(f"{where}: no column {what!r}{did_you_mean(what, [str(c) for c in frame.columns])}")
        what = frame[what]
    values = pd.Series(np.asarray(what)) if not isinstance(what, pd.Series) else what
    if values.dtype == np.uint8 and len(values) == len(frame):  # codes already
        codes = np.ascontiguousarray(values.to_numpy())
        if not codes.size or codes.max() < len(words):
            return codes
    if len(values) != len(frame):
        raise DataError(f"{where}: expected {len(frame)} values, one per row, got {len(values)}")
    if pd.api.types.is_bool_dtype(values.dtype):
        good: Literal[0, 1] = 1 if words is PLANT else 0
        bad = 0 if words is PLANT else len(words) - 1
        return np.where(values.to_numpy(dtype=bool), good, bad).astype(np.uint8)
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = ~np.isin(numbers, np.arange(len(words)))
        codes = np.where(wrong, 0, numbers).astype(np.uint8)
    else:
        index = {word: i for i, word in enumerate(words)}
        mapped = values.astype(object).map(index)
        wrong = mapped.isna().to_numpy()
        codes = mapped.fillna(0).to_numpy(dtype=np.uint8)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{where}, row {row}: expected one of {', '.join(words)}, got {values.iloc[row]!r}")
    return np.ascontiguousarray(codes)


def _periods(periods: Sequence[_core.PeriodCount]) -> pd.DataFrame:
    rows = [(p.good, p.bad, p.good / max(1, p.good + p.bad), p.holds) for p in periods]
    index = pd.Index([p.label for p in periods], name="period")
    return pd.DataFrame(rows, index, ["good", "bad", "share", "holds"])
