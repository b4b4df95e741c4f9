"""Pictures of forecasts and closed loops: each function returns a matplotlib Figure, no global state.

Colours are the palette of Okabe and Ito (2008), told apart with any colour vision; units stand on the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from emisopt._format import number
from emisopt._sentinels import is_usual_code

__all__ = [
    "COLOURS",
    "cumulative_difference",
    "decision",
    "expected_band",
    "forecast_fan",
    "moves",
    "rolling_limits",
    "study",
]

# Order of policies in every picture: the same policy has the same colour everywhere.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LIMIT = "#B00020"
_SHORT = 12  # rows of a finding that must not be cut off
Events = Mapping[Any, str]  # stamp -> what happened then


def _figure(rows: int, height: float = 2.1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.0, height * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for axis in axes:
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _time_axis(axis: Axes, index: pd.Index[Any]) -> None:
    """Ticks in the zone of the stamps; from when to when, and the zone, stand below."""
    if not isinstance(index, pd.DatetimeIndex):
        axis.set_xlabel("row")
        return
    locator = AutoDateLocator(tz=index.tz)  # type: ignore[no-untyped-call]
    formatter = ConciseDateFormatter(locator, tz=index.tz, show_offset=False)  # type: ignore[no-untyped-call]
    formatter.formats[2] = formatter.zero_formats[2] = formatter.zero_formats[3] = "%d %b"
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(formatter)
    if len(index):
        days = list(dict.fromkeys(f"{stamp:%Y-%m-%d}" for stamp in (index.min(), index.max())))
        axis.set_xlabel(f"{' to '.join(days)}, {index.tz or 'stamps without a zone'}")


def _legend(axis: Axes, columns: int = 5, events: Events | None = None) -> None:
    """Above the panel, where no line runs through it, and above the names of events there."""
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        borderaxespad=1.8 if events else 0.5,
    )


def _events(axes: Sequence[Axes], events: Events | None) -> None:
    """A line through all panels for each event, named above the first."""
    for stamp, name in (events or {}).items():
        for axis in axes:
            axis.axvline(stamp, color="#555555", linewidth=1.0, linestyle=(0, (1, 2)), label="_event")
        axes[0].annotate(
            name,
            (stamp, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#333333",
        )


def _robust(known: np.ndarray) -> tuple[float, float]:
    """Lowest and highest value that a picture shows.

    What lies three times the spread of the inner nine tenths away is a sentinel such as -9999, or a spike. Of
    the rest the outermost half percent counts where it is within half of the height of all others.
    """
    low, high = np.quantile(known, [0.05, 0.95])
    inner = known[(known >= low - 3 * (high - low)) & (known <= high + 3 * (high - low))]
    low, high = np.quantile(inner, [0.005, 0.995])
    near = inner[(inner >= low - 0.5 * (high - low)) & (inner <= high + 0.5 * (high - low))]
    return float(near.min()), float(near.max())


def _axis_limits(axis: Axes, lines: Sequence[pd.Series], limit: float | None) -> None:
    """Shows all but what lies far outside, so that one spike does not flatten the rest; that is marked.

    Of what lies above a limit more is shown, up to 1.4 times the limit: that is what the reader looks for.
    """
    values = np.concatenate([line.to_numpy(dtype=float) for line in lines])
    known = values[np.isfinite(values)]
    if known.size == 0:
        return
    low, high = _robust(known)
    if limit is not None:
        low, high = min(low, limit), max(high, limit, min(float(known.max()), 1.4 * limit))
    axis.set_ylim(low - 0.08 * (high - low), high + 0.12 * (high - low) + 1e-12)


def _mark_beyond(axis: Axes, lines: Mapping[str, pd.Series]) -> None:
    """Triangles at the edge for values (colour -> line) beyond the axis; how many and how far, in words."""
    words = []
    edges = axis.get_ylim()
    for edge, marker, side in zip(edges, "v^", ("below", "above"), strict=True):
        count, farthest = 0, edge
        for colour, line in lines.items():
            out = line[(line < edge) if side == "below" else (line > edge)]
            if len(out):
                axis.plot(
                    out.index, np.full(len(out), edge), marker, color=colour, markersize=5, clip_on=False,
                    label="_beyond",
                )  # fmt: skip
                count += len(out)
                farthest = min(farthest, out.min()) if side == "below" else max(farthest, out.max())
        if count:
            words.append(f"{count} {side}, to {number(farthest)}")
    axis.set_ylim(edges)
    if words:
        axis.annotate(
            f"beyond the axis: {'; '.join(words)}", (1.0, 1.0), xycoords="axes fraction", xytext=(0, 4),
            textcoords="offset points", ha="right", fontsize=8, color="#333333",
        )  # fmt: skip


def forecast_fan(
    past: pd.Series,
    fan: pd.DataFrame,
    *,
    label: str,
    limit: float | None = None,
    actual: pd.Series | None = None,
    band: str = "back-off quantiles",
) -> Figure:
    """The measured past, the forecast's bands, and what came.

    Parameters
    ----------
    past : measured values up to now
    fan : index: future stamps; columns: "low", "median", "high", or quantile levels as numbers (with 0.5)
    label : what it is, with unit
    limit : drawn as a line, in the same unit
    actual : what was measured afterwards
    band : legend of the band from "low" to "high"
    """
    figure, (axis,) = _figure(1, 3.2)
    axis.plot(past.index, past.to_numpy(), color="black", linewidth=1.2, label="measured")
    bands: list[tuple[Any, Any, str]]  # low column, high column, legend; outermost first
    if "median" in fan.columns:
        bands = [("low", "high", band)] if {"low", "high"} <= set(fan.columns) else []
        middle = fan["median"]
    else:
        levels = sorted(float(c) for c in fan.columns)
        pairs = zip(levels, reversed(levels), strict=True)
        bands = [(low, high, f"{round(100 * (high - low))} %") for low, high in pairs if low < high]
        middle = fan[0.5]
    for i, (low, high, name) in enumerate(bands):
        axis.fill_between(
            fan.index, fan[low], fan[high], color=COLOURS[0], alpha=0.16 + 0.1 * i, linewidth=0, label=name
        )
    axis.plot(fan.index, middle, color=COLOURS[0], linewidth=1.8, label="forecast")
    if actual is not None:
        axis.plot(
            actual.index, actual.to_numpy(), color="black", linewidth=1.0, linestyle=":", label="what came"
        )
    if limit is not None:
        axis.axhline(limit, color=LIMIT, linewidth=1.2, linestyle="--", label="limit")
    axis.set_ylabel(label)
    _time_axis(axis, past.index.append(fan.index))
    _legend(axis, 7)  # the most that seven quantiles, a limit and what came can need
    return figure


def rolling_limits(
    series: Mapping[str, pd.DataFrame],
    limits: Mapping[str, float],
    units: Mapping[str, str] | None = None,
    events: Events | None = None,
) -> Figure:
    """The rolling mean that each limit is judged by, one panel a limit, one line a policy.

    Parameters
    ----------
    series : policy -> DataFrame with a column per limit name
    limits : limit name -> its value; the panels' order
    units : limit name -> unit
    events : stamp -> what happened then, drawn as a line through all panels
    """
    figure, axes = _figure(len(limits))
    for axis, (name, limit) in zip(axes, limits.items(), strict=True):
        for i, (policy, frame) in enumerate(series.items()):
            axis.plot(frame.index, frame[name], color=COLOURS[i % 7], linewidth=1.2, label=policy)
        axis.axhline(limit, color=LIMIT, linewidth=1.2, linestyle="--", label="limit")
        unit = (units or {}).get(name, "")
        axis.set_ylabel(f"{name}\n{unit}" if unit else name)
        lines = {COLOURS[i % 7]: frame[name] for i, frame in enumerate(series.values())}
        _axis_limits(axis, list(lines.values()), limit)
        _mark_beyond(axis, lines)
    _events(axes, events)
    _legend(axes[0], events=events)
    _time_axis(axes[-1], next(iter(series.values())).index)
    return figure


def moves(
    series: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
    bounds: Mapping[str, tuple[float, float]] | None = None,
    names: Mapping[str, str] | None = None,
    events: Events | None = None,
) -> Figure:
    """Setpoints as steps, one panel each, one line a policy.

    Parameters
    ----------
    series : policy -> DataFrame with a column per setpoint
    units : setpoint -> unit; the panels' order
    bounds : setpoint -> lowest and highest value allowed, drawn as lines; NaN: open
    names : setpoint -> what the axis calls it; left out: the setpoint itself
    events : stamp -> what happened then, drawn as a line through all panels
    """
    figure, axes = _figure(len(units), 1.6)
    for axis, (name, unit) in zip(axes, units.items(), strict=True):
        for i, (policy, frame) in enumerate(series.items()):
            axis.step(
                frame.index, frame[name], where="post", color=COLOURS[i % 7], linewidth=1.1, label=policy
            )
        for bound in (bounds or {}).get(name, ()):
            if np.isfinite(bound):
                axis.axhline(bound, color=LIMIT, linewidth=1.0, linestyle="--", label="_bound")
        axis.set_ylabel(f"{(names or {}).get(name, name)}\n{unit}")
    _events(axes, events)
    if len(series) > 1:
        _legend(axes[0], events=events)
    _time_axis(axes[-1], next(iter(series.values())).index)
    return figure


def decision(
    plan: pd.DataFrame,
    trajectories: pd.DataFrame,
    *,
    past: pd.DataFrame | None = None,
    limits: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    units: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Figure:
    """A decision on one page: the fan of each output with its limit, and the moves of each setpoint.

    Parameters
    ----------
    plan, trajectories : of a :class:`emisopt.Decision`: setpoints (H, U) and median and upper of each output
    past : measured rows up to now, with columns named as outputs and setpoints
    limits : output -> its limit, drawn as a line
    bounds : setpoint -> lowest and highest value allowed; NaN: open
    units : name -> unit of the axis
    outputs : which ones, in order; None: those that have a limit, else all
    """
    known = list(dict.fromkeys(trajectories.columns.get_level_values(0)))
    chosen = list(outputs) if outputs is not None else [n for n in known if n in (limits or {})] or known
    figure, axes = _figure(len(chosen) + plan.shape[1], 1.7)
    for i, (axis, name) in enumerate(zip(axes, [*chosen, *plan.columns], strict=True)):
        if past is not None and name in past:
            axis.plot(
                past.index, past[name].to_numpy(dtype=float), color="black", linewidth=1.1, label="measured"
            )
        if i < len(chosen):
            fan = trajectories[name]
            axis.fill_between(
                fan.index, fan["median"], fan["upper"], color=COLOURS[0], alpha=0.2, linewidth=0,
                label="up to the back-off quantile",
            )  # fmt: skip
            axis.plot(fan.index, fan["median"], color=COLOURS[0], linewidth=1.6, label="forecast")
            if name in (limits or {}):
                axis.axhline((limits or {})[name], color=LIMIT, linewidth=1.2, linestyle="--", label="limit")
        else:
            axis.step(plan.index, plan[name], where="post", color=COLOURS[1], linewidth=1.4, label="plan")
            for bound in (bounds or {}).get(name, ()):
                if np.isfinite(bound):
                    axis.axhline(bound, color=LIMIT, linewidth=1.0, linestyle="--", label="_bound")
        unit = (units or {}).get(name, "")
        axis.set_ylabel(f"{name}\n{unit}" if unit else name)
    _legend(axes[0])
    _time_axis(axes[-1], plan.index if past is None else past.index.append(plan.index))
    return figure


def cumulative_difference(
    costs: Mapping[str, pd.Series], against: str, currency: str = "EUR", events: Events | None = None
) -> Figure:
    """Money saved so far against one policy: above zero is cheaper.

    Parameters
    ----------
    costs : policy -> cost of each row
    against : the policy that the others are compared with
    events : stamp -> what happened then
    """
    figure, (axis,) = _figure(1, 3.0)
    base = costs[against].to_numpy().cumsum()
    for i, (policy, cost) in enumerate(costs.items()):
        if policy != against:
            saved = base - cost.to_numpy().cumsum()
            label = f"{policy}: {saved[-1]:,.0f} {currency}" if saved.size else policy
            # Two that save the same are one line: dashes let the one below be seen.
            dashes = "-" if i % 2 else (0, (4, 3))
            axis.plot(cost.index, saved, color=COLOURS[i % 7], linestyle=dashes, linewidth=1.8, label=label)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylabel(f"saved so far, {currency}")
    _events([axis], events)
    _legend(axis, events=events)
    _time_axis(axis, costs[against].index)
    return figure


def expected_band(
    reading: pd.Series,
    expected: pd.Series,
    sd: pd.Series,
    *,
    label: str,
    first: Any = None,
    last: Any = None,
    alarm: Any = None,
    began: Any = None,
    title: str = "",
) -> Figure:
    """A sensor's readings beside what the other tags say of it, with a finding marked.

    Parameters
    ----------
    reading, expected, sd : of one tag over the same index; the band is expected +- 2 sd. NaN: left out
    label : what it is, with unit
    first, last : labels between which the finding lies, shaded
    alarm : label at which it was found, a line
    began : label at which it truly began, where that is known, as in a simulation; a line
    title : above all
    """
    figure, (axis,) = _figure(1, 2.8)
    low, high = expected - 2 * sd, expected + 2 * sd
    if expected.notna().any():
        axis.fill_between(
            expected.index,
            low,
            high,
            color=COLOURS[0],
            alpha=0.2,
            linewidth=0,
            label="other tags say, ± 2 sd",
        )
        axis.plot(expected.index, expected, color=COLOURS[0], linewidth=1.0, label="_expected")
    axis.plot(reading.index, reading, color="black", linewidth=1.0, label="reading")
    # A lone reading between missing ones has no line to be seen by.
    lone = reading.notna() & reading.shift().isna() & reading.shift(-1).isna()
    axis.plot(reading.index[lone], reading[lone], ".", color="black", markersize=3, label="_lone")
    if first is not None and last is not None:
        axis.axvspan(first, last, color=COLOURS[4], alpha=0.25, linewidth=0, label="finding")
    if alarm is not None:
        axis.axvline(alarm, color=LIMIT, linewidth=1.2, linestyle="--", label="found")
    if began is not None:
        axis.axvline(began, color="#333333", linewidth=1.4, linestyle=(0, (1, 1.5)), label="truly began")
    _axis_limits(axis, [reading, low, high], None)
    if first is not None and last is not None:
        within = reading.loc[first:last].dropna()
        # A short finding is what the picture is for: all of it is shown, but for codes that are no readings.
        if 0 < len(within) <= _SHORT:
            bottom, top = axis.get_ylim()
            read = within[[not is_usual_code(value) for value in within]]
            room = 0.05 * (top - bottom)
            axis.set_ylim(min([bottom, *(read - room)]), max([top, *(read + room)]))
    _mark_beyond(axis, {"black": reading})
    axis.set_ylabel(label)
    _time_axis(axis, reading.index)
    _legend(axis)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def study(table: pd.DataFrame, value: str, by: str, within: str | None = None) -> Figure:
    """Runs of a study: each a point, the median a bar; `value` over groups `by`, one colour per `within`."""
    figure, (axis,) = _figure(1, 3.4)
    groups = list(dict.fromkeys(table[by]))
    kinds = [None] if within is None else list(dict.fromkeys(table[within]))
    width = 0.8 / len(kinds)
    for k, kind in enumerate(kinds):
        colour, label = COLOURS[k % len(COLOURS)], None if within is None else str(kind)
        for g, group in enumerate(groups):
            chosen = table[(table[by] == group) & (True if within is None else table[within] == kind)]
            y = chosen[value].to_numpy(dtype=float)
            y = y[np.isfinite(y)]
            if not len(y):
                continue
            centre = g + (k - (len(kinds) - 1) / 2) * width
            spread = np.linspace(-0.3, 0.3, len(y)) * width if len(y) > 1 else np.zeros(1)
            axis.plot(centre + spread, y, "o", ms=3.5, color=colour, alpha=0.6, label=label)
            label = None
            axis.plot(centre + np.array([-0.4, 0.4]) * width, [np.median(y)] * 2, color=colour, lw=2)
    axis.set_xticks(range(len(groups)), [str(g) for g in groups])
    axis.set_xlabel(by)
    axis.set_ylabel(value)
    if within is not None:
        axis.legend(title=within, frameon=False)
    return figure
