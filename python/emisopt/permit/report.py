"""The page that `emisopt permit check --report` writes: one offline HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emisopt import _core
from emisopt.plots import rolling_limits
from emisopt.report import Report, Section

if TYPE_CHECKING:
    from emisopt.permit.evaluation import Evaluation, RuleResult

__all__ = ["build"]

_ROWS = 100  # of a table of exceedances
_POINTS = 750  # of a line in a picture: more than its pixels tell apart


def build(judged: Evaluation, title: str | None, synthetic: bool, provenance: Mapping[str, object]) -> Report:
    """The report of an evaluation; `Evaluation.report` is the way in."""
    by_rule: dict[str, list[RuleResult]] = {}
    for result in judged:
        by_rule.setdefault(result.rule.name, []).append(result)
    sections = [_summary(judged), *(_rule(results) for results in by_rule.values())]
    made = {
        "permit": judged.permit.name,
        "permit hash (SHA-256)": judged.permit.hash,
        "rows": f"{judged.rows:,}",
        "zone of civil days": judged.zone,
        "emisopt": _core.__version__,
        **provenance,
    }
    return Report(title or judged.headline, sections, made, synthetic)


def _summary(judged: Evaluation) -> Section:
    text = [f"{judged.headline}."]
    unverified = sorted({r.rule.name for r in judged if not r.rule.verified})
    if unverified:
        text.append(
            "UNVERIFIED: nobody has read the limits of these rules in their source; the verdict on them "
            f"holds only as far as they are right: {', '.join(unverified)}."
        )
    if judged.steps_back:
        text.append(
            f"{judged.steps_back} rows carry a stamp before an earlier row's (a clock put back, or late "
            "rows; put in order within the stated lateness): " + "; ".join(judged.clock)
        )
    left_out = {r.tag: int(r.core.negatives) for r in judged if r.core.negatives}
    if left_out:
        counts = ", ".join(f"{tag}: {count}" for tag, count in left_out.items())
        text.append(f"Negative samples left out as missing: {counts}.")
    table = judged.table()
    table["worst ends"] = [_stamp(end) for end in table["worst ends"]]
    return Section("Verdict", text, {"One row a rule and tag": table.reset_index()})


def _rule(results: list[RuleResult]) -> Section:
    rule = results[0].rule
    tables: dict[str, pd.DataFrame] = {}
    for r in results:
        if r.why_not:
            why = pd.DataFrame({"averages": r.why_not})
            tables[f"{r.tag}: averages that do not count, and why"] = why
        for caption, table in (("at or below the limit", r.periods), ("valid", r.availability)):
            if len(table):
                tables[f"{r.tag}: averages that are {caption} (good), by civil period"] = table
        if len(above := r.exceedances()):
            tables[_caption(f"{r.tag}: averages above the limit", above, _ROWS)] = _stamped(above.head(_ROWS))
        worst = r.worst
        if worst is not None:
            top = r.deciding().reset_index()
            top["begin"], top["end"] = ([_stamp(t) for t in top[key]] for key in ("begin", "end"))
            caption = (
                f"{r.tag}: what decided the worst average, {worst[1]:.4g} {rule.unit} to {_stamp(worst[0])}"
            )
            tables[caption] = top[["begin", "end", *top.columns.drop(["begin", "end"])]]
    figure = _picture(results)
    text = [rule.words]
    return Section(rule.name, text, tables, [(f"{rule.name}, {rule.limit_text}", figure)] if figure else [])


def _caption(text: str, above: pd.DataFrame, shown: int) -> str:
    """What the table of exceedances is of, and how many are left out of it."""
    whole = f"{text}: {int(above['averages'].sum())}, in {len(above)} stretch{'es' * (len(above) != 1)}"
    return f"{whole}; the first {shown}" if len(above) > shown else whole


def _stamped(above: pd.DataFrame) -> pd.DataFrame:
    table = above.reset_index()
    for key in ("first", "last", "highest ends"):
        table[key] = [_stamp(t) for t in table[key]]
    return table


def _picture(results: list[RuleResult]) -> Figure | None:
    rule = results[0].rule
    series = {r.tag: _thin(r.averages["value"]) for r in results[:7]}  # as many as there are colours
    if not any(line.notna().any() for line in series.values()) or not np.isfinite(rule.limit):
        return None
    label = f"{rule.pollutant}, {rule.unit}" + ("" if rule.verified else " UNVERIFIED")
    return rolling_limits({tag: line.to_frame(label) for tag, line in series.items()}, {label: rule.limit})


def _thin(line: pd.Series) -> pd.Series:
    """Of many points the highest of each stretch: what is above the limit stays in the picture."""
    if len(line) <= _POINTS:
        return line
    return (
        line.groupby(np.arange(len(line)) * _POINTS // len(line))
        .max()
        .set_axis(line.index[np.unique(np.arange(len(line)) * _POINTS // len(line), return_index=True)[1]])
    )


def _stamp(time: pd.Timestamp) -> str:
    return "" if pd.isna(time) else time.strftime("%Y-%m-%d %H:%M %z")
