"""What was decided on a permit and by what, as tables."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt._format import html_table, short
from emisopt.errors import ConfigError, did_you_mean
from emisopt.permit.arrays import utc
from emisopt.permit.document import Permit

if TYPE_CHECKING:
    from emisopt.report import Report

__all__ = ["Evaluation", "RuleResult"]


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
        """Every average that was judged, by the end of its window in the permit's zone: begin, value (NaN
        where it does not count), limit, above, valid, why not, valid base means in it."""
        frame = self._frame(self.core.averages)
        frame.insert(2, "limit", self.rule.limit)
        frame.insert(3, "above", self._above())
        return self._marked(frame, 3)

    def _above(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return (self.core.averages[2] > self.rule.limit) & self.core.judged

    def _marked(self, table: pd.DataFrame, place: int | None = None) -> pd.DataFrame:
        """Beside what rests on a limit that nobody has read in its source, a column that says so."""
        if not self.rule.verified:
            table.insert(len(table.columns) if place is None else place, "limit is", "UNVERIFIED")
        return table

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
        """Averages at or below the limit (good) and above it by civil period."""
        return self._marked(_periods(self.core.periods))

    @property
    def availability(self) -> pd.DataFrame:
        """Valid and invalid averages by civil period, where the rule limits how many may be invalid."""
        return self._marked(_periods(self.core.availability))

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
            return self._marked(frame.iloc[:0][["begin", "value"]].assign(share=[]))
        begin, end = (pd.Timestamp(int(self.core.averages[k][i]), unit="s", tz="UTC") for k in (0, 1))
        inside = frame[(frame["begin"] >= begin) & (frame.index <= end) & frame["valid"]]
        share = inside["value"] / inside["value"].sum()
        top = inside[["begin", "value"]].assign(share=share)
        return self._marked(top.sort_values("value", ascending=False, kind="stable").head(count))

    def exceedances(self) -> pd.DataFrame:
        """All averages above the limit, those that follow each other as one: of a rolling mean a long time
        above is one row.

        Returns
        -------
        DataFrame by the end of the first average: last (end of the last one), averages (how many), highest,
        its end, and its share of the limit.
        """
        end, value = self.core.averages[1], self.core.averages[2]
        rows = np.flatnonzero(self._above())
        groups = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if rows.size else []
        worst = [int(group[np.argmax(value[group])]) for group in groups]

        def stamps(places: list[int]) -> pd.DatetimeIndex:
            stamps = pd.to_datetime(np.asarray(end[places]), unit="s", utc=True)
            return pd.DatetimeIndex(stamps).tz_convert(self.zone)

        table = pd.DataFrame(
            {
                "last": stamps([int(group[-1]) for group in groups]),
                "averages": np.asarray([group.size for group in groups], dtype=np.int64),
                "highest": value[worst],
                "highest ends": stamps(worst),
                "of the limit": value[worst] / self.rule.limit,
            },
            index=stamps([int(group[0]) for group in groups]).rename("first"),
        )
        return self._marked(table)

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
        index = utc(frame.index, "frame")
        inside = (index >= top["begin"].iloc[0]) & (index < top.index[0])
        return column[inside].sort_values(ascending=False, kind="stable").head(count)

    def __repr__(self) -> str:
        held = f" (held by {self.held_by!r})" if self.held_by else ""
        worst = self.worst
        most = f", worst {short(worst[1])}" if worst else ""
        return (
            f"RuleResult({self.rule.name!r} on {self.tag!r}: {self.verdict}{held}, {self.above} of "
            f"{self.valid} above {self.rule.limit_text}{most})"
        )


class Evaluation(Sequence[RuleResult]):
    """A permit judged on data.

    Attributes
    ----------
    permit : the permit
    verdict : "holds", "broken", or "not judged": nothing is broken, but some rule had no average that counts
    zone : of civil days
    rows : that were judged, each stamp once
    steps_back : rows whose stamp lies before an earlier one's (a clock put back, or late)
    """

    def __init__(self, permit: Permit, core: _core.Evaluation) -> None:
        self.permit = permit
        self.core = core
        self.verdict = str(core.verdict)
        self.zone = str(core.zone)
        self.rows = int(core.rows)
        self.steps_back = int(core.steps_back)

    @cached_property
    def _results(self) -> list[RuleResult]:
        return [RuleResult(self.core.result(i), self.zone) for i in range(len(self.core))]

    def __len__(self) -> int:
        return len(self.core)

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

    def report(self, title: str | None = None, *, synthetic: bool = False, **provenance: object) -> Report:
        """A page for the file: verdicts, each rule in words with its source, what decided, pictures.

        Parameters
        ----------
        title : of the page; None: the permit's name
        synthetic : the data are simulated: a banner says so
        provenance : further facts of how it was made, e.g. data="2024.csv"
        """
        from emisopt.permit.report import build

        return build(self, title, synthetic, provenance)

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

        return [
            f"row {s.row}: from {text(s.from_s)} back to {text(s.to_s)}" for s in self.core.first_steps_back
        ]

    @property
    def headline(self) -> str:
        """The permit's name and the verdict, which says so when it rests on limits that nobody has read."""
        unverified = any(not r.rule.verified for r in self)
        return f"{self.permit.name}: {self.verdict}" + (" (by UNVERIFIED limits)" if unverified else "")

    def table(self) -> pd.DataFrame:
        """One row a rule and column; a limit that nobody has read in its source is marked UNVERIFIED."""
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
        return f"{self.headline}\n{table.to_string(index=False, float_format=short)}"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.headline)}</b>{html_table(self.table())}"


def _periods(periods: Sequence[_core.PeriodCount]) -> pd.DataFrame:
    rows = [(p.good, p.bad, p.good / max(1, p.good + p.bad), p.holds) for p in periods]
    index = pd.Index([p.label for p in periods], name="period")
    return pd.DataFrame(rows, index, ["good", "bad", "share", "holds"])
