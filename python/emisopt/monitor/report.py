"""The page that `emisopt monitor check --report` writes: what was found, with pictures of the gravest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.plots import expected_band
from emisopt.report import Report, Section

if TYPE_CHECKING:
    from emisopt.monitor.sensors import SensorMonitor

__all__ = ["build"]

_PICTURES = 8
_AROUND = 96  # rows shown on either side of a finding, or half its length
_MOST_ROWS = 3000  # of a picture; a longer finding is shown by every n-th row


def build(
    monitor: SensorMonitor,
    history: pd.DataFrame,
    findings: pd.DataFrame,
    title: str | None,
    provenance: Mapping[str, object],
) -> Report:
    """The report of a check; `SensorMonitor.report` is the way in."""
    tags = monitor.tags_
    shown = findings[[c for c in findings.columns if c not in ("alarm_row", "words")]]
    counts = findings["kind"].value_counts()
    text = [
        f"{len(findings)} findings in {len(history):,} rows of {sum(monitor.core_.judged)} judged tags: "
        + (", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing")
        + ".",
        *(f"{_label(row)}: {row['words']}." for row in findings.head(40).to_dict("records")),
    ]
    if len(findings) > 40:
        text.append(f"... and {len(findings) - 40} more, all in the table.")
    sections = [
        Section("Findings", text, {"One row a finding": shown.set_index("tag")} if len(findings) else {}),
        *_pictures(monitor, history, findings),
        Section(
            "What is held to be a fault",
            [
                "frozen_rows and stuck_rows: readings in a row with one value (0: never judged). The others "
                "are in standard deviations of the reconstruction from the other tags: spread of healthy "
                "readings, limit of a jump, limits of means over so many rows. Limits come from stretches of "
                "the reference that the model had not seen."
            ],
            {"By tag": monitor.limits_},
        ),
    ]
    made = {
        "plant": tags.plant,
        "rows": f"{len(history):,}",
        "false alarms asked for, per tag in 30 days": f"{monitor.false_alarms:g}",
        "common causes": monitor.core_.factor_count,
        "emisopt": _core.__version__,
        **provenance,
    }
    return Report(title or f"{tags.plant or 'Sensors'}: sensor check", sections, made, tags.synthetic)


def _pictures(monitor: SensorMonitor, history: pd.DataFrame, findings: pd.DataFrame) -> list[Section]:
    """The longest finding of each tag and kind, at most eight."""
    known = findings[findings["tag"].notna()]
    if known.empty:
        return []
    length = (known["last_row"] - known["first_row"]).to_numpy()
    order = known.iloc[np.argsort(-length, kind="stable")].drop_duplicates(["tag", "kind"]).head(_PICTURES)
    expected, sd = monitor.reconstruct(history, findings=findings)
    figures = []
    for row in order.sort_values("first_row").to_dict("records"):
        around = max(_AROUND, (row["last_row"] - row["first_row"]) // 2)
        begin, end = max(0, row["first_row"] - around), row["last_row"] + around + 1
        part = slice(begin, end, max(1, (min(end, len(history)) - begin) // _MOST_ROWS))
        tag = monitor.tags_[row["tag"]]
        index = history.index
        figures.append(
            (
                f"{_label(row)}: {row['words']}",
                expected_band(
                    history[tag.name].iloc[part],
                    expected[tag.name].iloc[part],
                    sd[tag.name].iloc[part],
                    label=f"{tag.name}, {tag.unit}" if tag.unit else tag.name,
                    first=index[row["first_row"]],
                    last=index[row["last_row"]],
                    alarm=index[row["alarm_row"]],
                ),
            )
        )
    return [Section("Pictures", ["The longest finding of each tag and kind."], figures=figures)]


def _label(row: Mapping[str, object]) -> str:
    tag = row["tag"] if row["tag"] is not None else "all tags"
    return f"{tag}, {row['kind']}, from {_stamp(row['first_time'])}"


def _stamp(label: object) -> str:
    return f"{label:%Y-%m-%d %H:%M}" if isinstance(label, pd.Timestamp) else f"row {label}"
