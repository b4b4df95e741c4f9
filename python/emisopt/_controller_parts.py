"""Parts of a controller: where the training rows lay, what is commanded now, what readings are none."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.history import to_history
from emisopt.tags import Tag, TagMap

if TYPE_CHECKING:
    from emisopt.decision import Decision

__all__ = ["believable", "commanded", "envelope", "late", "newest", "unbelievable", "within"]

Floats = NDArray[np.float64]

ENVELOPE_SHARE = 0.98  # of the training rows lie inside
ENVELOPE_WEIGHT = 20.0  # cost per squared excess of the squared distance and step


def newest(values: pd.Series) -> float:
    """The newest known number; NaN when there is none."""
    known = values.dropna()
    return float(known.iloc[-1]) if len(known) else np.nan


def envelope(training: pd.DataFrame, tags: TagMap) -> _core.Envelope:
    """Where the rows lay: the distance that holds 98 % of them, and what a step beyond it costs."""
    rows = to_history(training, tags, where="Controller(training)")
    return _core.training_envelope(rows, rows.rows, ENVELOPE_SHARE, ENVELOPE_WEIGHT)


def commanded(
    setpoints: Mapping[str, _core.Setpoint],
    tags: TagMap,
    tail: pd.DataFrame,
    applied: Mapping[str, float] | None,
    last: Decision | None,
    *,
    stale: bool,
) -> tuple[Floats, list[str]]:
    """The commands in force, (U), and a line for each that had to be taken from elsewhere.

    In this order, passing over what no plant can stand at: `applied`; the newest row; the last decision, when
    it was made for that row; the newest row that has one; the last decision. Of `stale` rows nothing is in
    force any more.

    Raises
    ------
    InputError : there is none at all.
    """
    values, remarks = [], []
    follows = last is not None and last.plan.index[0] == tail.index[-1]
    for name, setpoint in setpoints.items():
        low, high = _plausible(tags[name], setpoint)
        given = np.nan if applied is None else float(applied.get(name, np.nan))
        column = tail[name].to_numpy(dtype=np.float64, na_value=np.nan)
        credible = (column >= low) & (column <= high) & (column != tags[name].missing)
        believed = np.flatnonzero(credible & (not stale))
        mine = np.nan if last is None else float(last.move[name])
        places = [
            (given if low <= given <= high else np.nan, "as applied"),
            (column[-1] if believed.size and believed[-1] == len(column) - 1 else np.nan, "as read"),
            (mine if follows else np.nan, "the last command"),
            (column[believed[-1]] if believed.size else np.nan, "the newest before it"),
            (mine, "the last command"),
        ]
        value, where = next(((float(v), w) for v, w in places if np.isfinite(v)), (np.nan, ""))
        raw = given if np.isfinite(given) else float(column[-1])
        outside = "" if np.isnan(raw) or low <= raw <= high else f"outside {low:g} to {high:g}"
        if np.isnan(value):
            away = f" (it reads {raw:g}, {outside})" if outside else ""
            raise _core.InputError(
                f"Controller.step(applied): setpoint {name!r} has no value in the history{away}; give the "
                "one in force"
            )
        if outside:
            unit = f" {tags[name].unit}" if tags[name].unit else ""
            remarks.append(f"setpoint {name}: {raw:g}{unit} lies {outside}; taken as {value:g}, {where}")
        values.append(value)
    return np.array(values), remarks


def _plausible(tag: Tag, setpoint: _core.Setpoint) -> tuple[float, float]:
    """Where a command can stand: in the tag's physical range; where that is open, no further outside the
    setpoint's bounds than these are wide (by hand a plant is at times run beyond them)."""
    width = setpoint.high - setpoint.low
    low = setpoint.low - width if tag.low is None or np.isnan(tag.low) else tag.low
    high = setpoint.high + width if tag.high is None or np.isnan(tag.high) else tag.high
    return min(low, setpoint.low), max(high, setpoint.high)


def late(last: Decision | None, newest_row: Any) -> str:
    """Why rows that end there are no basis for a decision: the last one was made on newer ones. "" if not."""
    if last is None or len(last.plan.index) < 2:
        return ""
    made = last.plan.index[0] - (last.plan.index[1] - last.plan.index[0])
    if type(made) is not type(newest_row) or not newest_row < made:
        return ""
    return (
        f"the history ends at {newest_row}, before that of the last decision ({made}): rows that come late "
        "are no basis for another; reset() begins anew"
    )


def believable(tail: pd.DataFrame, tags: TagMap) -> pd.DataFrame:
    """The rows without disturbances' readings outside their tag's range: these would be held, and billed."""
    aside = {}
    for name in tags.disturbances:
        tag = tags[name]
        if tag.kind == "categorical" or not pd.api.types.is_numeric_dtype(tail[name].dtype):
            continue
        values = tail[name].to_numpy(dtype=np.float64, na_value=np.nan)
        outside = tag.outside(values) | (values == tag.missing)
        if outside.any():
            aside[name] = np.where(outside, np.nan, values)
    return tail.assign(**aside) if aside else tail


def within(coming: Floats, tags: TagMap) -> Floats:
    """Coming disturbances (H, D); what lies outside its tag's range is unknown."""
    outside = [tags[name].outside(coming[:, i]) for i, name in enumerate(tags.disturbances)]
    return np.where(np.stack(outside, axis=1), np.nan, coming) if outside else coming


def unbelievable(tail: pd.DataFrame, tags: TagMap) -> list[str]:
    """A line for each newest reading that lies outside its tag's range and so counts as missing."""
    lines = []
    row = dict(zip(tail.columns, tail.iloc[-1].tolist(), strict=True))
    for tag in tags:
        value = row[tag.name]
        if tag.role == "setpoint" or tag.kind == "categorical" or not isinstance(value, Real):
            continue
        number = float(value)  # as plain numbers: an array for each tag would take a tenth of a decision
        below, above = tag.low is not None and number < tag.low, tag.high is not None and number > tag.high
        if (below or above) and np.isfinite(number) and number != tag.missing:
            lines.append(f"{tag.name}: {number:g} {tag.unit} is outside {tag.range_text} and so missing")
    return lines
