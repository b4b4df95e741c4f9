"""Decisions written down, so that they can be made again, bit for bit.

A decision depends on what it was given and on how much of its work the deadline let it do. Both are kept:
a :class:`emisopt.Controller` with `record=True` collects them in `log`, :func:`write_log` puts them into a
file, and :func:`replay` has a controller that was made alike go through them again, without asking a clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.control import Controller
from emisopt.decision import Tick
from emisopt.errors import DataError

__all__ = ["read_log", "replay", "write_log"]

FORMAT = 1


def fingerprint(controller: Controller) -> dict[str, str]:
    """What a decision depends on beside its inputs: the weights, and how the controller was made."""
    weights = np.ascontiguousarray(controller.forecaster.core_.theta)
    made = repr(
        (controller, controller.objective, controller.limits, controller.setpoints, controller.interlocks)
    )
    return {
        "weights": hashlib.sha256(weights.tobytes()).hexdigest(),
        "settings": hashlib.sha256(made.encode()).hexdigest(),
        "version": str(_core.__version__),
        "isa": str(_core.isa_level()) if hasattr(_core, "isa_level") else "",
        "conformal": "" if controller.backoff is None else controller.backoff.began,
        "windows": "" if controller.windows is None else controller.windows.began,
    }


def write_log(controller: Controller, path: str | Path) -> None:
    """Writes `controller.log`, a line of JSON per decision after one of versions and hashes; atomic.

    Raises
    ------
    StateError : the controller was not made with record=True
    """
    if controller.log is None:
        raise _core.StateError(
            "write_log(controller): expected one made with record=True, got one without a log"
        )
    head = {"format": FORMAT, **fingerprint(controller)}
    if controller.backoff is not None:
        head["conformal_state"] = base64.b64encode(controller.backoff.began_with).decode()
    if controller.windows is not None:
        head["windows_state"] = base64.b64encode(controller.windows.began_with).decode()
    lines = [json.dumps(head)]
    lines += [json.dumps(_plain(tick)) for tick in controller.log]
    temporary = Path(f"{path}.partial")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_log(path: str | Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Versions and hashes, and the ticks as plain data.

    Raises
    ------
    DataError : the file is no such log, or of a newer format; naming the line
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    parsed = []
    for number, line in enumerate(lines, start=1):
        try:
            parsed.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"read_log: {path}: line {number}: expected JSON, got {error}") from None
    if not parsed or not isinstance(parsed[0], dict) or parsed[0].get("format") != FORMAT:
        raise DataError(f"read_log: {path}: line 1: expected a log of format {FORMAT}, got another file")
    return parsed[0], parsed[1:]


def replay(log: Sequence[Tick] | str | Path, controller: Controller) -> pd.DataFrame:
    """Makes the decisions again and compares them.

    Parameters
    ----------
    log : `Controller.log`, or a file of :func:`write_log`
    controller : made as the one that wrote it, and fresh; back-offs that learn begin in the state that a file
        holds

    Returns
    -------
    DataFrame, a row per decision: status, questions (to the clock), same (move, plan and what the back-off
    has learnt, to the last bit)

    Raises
    ------
    DataError : the file was written with other weights or settings; naming which
    """
    if isinstance(log, (str, Path)):
        head, plain = read_log(log)
        if "conformal_state" in head and controller.backoff is not None:
            controller.backoff.begin(base64.b64decode(head["conformal_state"]))
        if "windows_state" in head and controller.windows is not None:
            controller.windows.begin(base64.b64decode(head["windows_state"]))
        now = fingerprint(controller)
        for what in ("weights", "settings", "conformal", "windows"):
            if head.get(what, "") != now[what]:
                raise DataError(f"replay(controller): expected the {what} of the log, got others")
        ticks = [_tick(p) for p in plain]
    else:
        ticks = [_fields(t) for t in log]
    rows = []
    for tick in ticks:
        if tick["prepared"]:
            controller.prepare()
        found = controller.step(
            tick["history"],
            tick["known"],
            tick["applied"],
            manual=tick["manual"],
            calibrating=tick["calibrating"],
            steady_target=tick["steady_target"],
            replay=tick["work"],
        )
        same = (
            np.array_equal(found.move.to_numpy(), tick["move"])
            and np.array_equal(found.plan.to_numpy(), tick["plan"])
            and found.status == tick["status"]
            and tick["backoff"] == ("" if controller.backoff is None else controller.backoff.hash)
            and tick["windows"] == ("" if controller.windows is None else controller.windows.hash)
        )
        rows.append((found.status, found.work[0], same))
    return pd.DataFrame(rows, columns=["status", "questions", "same"])


def _fields(tick: Tick) -> dict[str, Any]:
    d = tick.decision
    return {
        "history": tick.history,
        "known": tick.known,
        "applied": tick.applied,
        "manual": tick.manual,
        "calibrating": tick.calibrating,
        "steady_target": tick.steady_target,
        "prepared": tick.prepared,
        "backoff": tick.backoff,
        "windows": tick.windows,
        "work": d.work,
        "status": d.status,
        "move": d.move.to_numpy(),
        "plan": d.plan.to_numpy(),
    }


def _plain(tick: Tick) -> dict[str, Any]:
    """A tick as JSON has it: floats as their shortest exact decimals, NaN as null."""
    fields = _fields(tick)
    known = fields["known"]
    fields["history"] = _frame_out(tick.history)
    fields["known"] = _frame_out(known) if isinstance(known, pd.DataFrame) else known
    if isinstance(known, np.ndarray):
        fields["known"] = {"array": [[_number(v) for v in row] for row in known.tolist()]}
    for name in ("move", "plan"):
        fields[name] = fields[name].tolist()
    if fields["applied"]:
        fields["applied"] = {k: _number(v) for k, v in fields["applied"].items()}
    return fields


def _tick(plain: dict[str, Any]) -> dict[str, Any]:
    fields = dict(plain)
    fields["history"] = _frame_in(plain["history"])
    known = plain["known"]
    if known is not None:
        fields["known"] = np.array(known["array"], dtype=float) if "array" in known else _frame_in(known)
    if plain["applied"]:
        fields["applied"] = {k: np.nan if v is None else v for k, v in plain["applied"].items()}
    fields["work"] = tuple(plain["work"])
    for name in ("backoff", "windows"):
        fields.setdefault(name, "")  # of logs before there was one
    fields["move"], fields["plan"] = np.array(plain["move"]), np.array(plain["plan"])
    return fields


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _frame_out(frame: pd.DataFrame) -> dict[str, Any]:
    index = frame.index
    stamps = isinstance(index, pd.DatetimeIndex)
    return {
        "index": index.as_unit("ns").asi8.tolist() if stamps else [int(i) for i in index],
        "zone": str(index.tz) if stamps and index.tz is not None else None,
        "stamps": stamps,
        "columns": {
            str(name): [None if pd.isna(v) else v for v in column.tolist()] for name, column in frame.items()
        },
        "text": [str(n) for n, c in frame.items() if not pd.api.types.is_numeric_dtype(c.dtype)],
    }


def _frame_in(plain: dict[str, Any]) -> pd.DataFrame:
    index: pd.Index
    if plain["stamps"]:
        index = pd.DatetimeIndex(pd.to_datetime(plain["index"], unit="ns", utc=plain["zone"] is not None))
        if plain["zone"] is not None:
            index = index.tz_convert(plain["zone"])
    else:
        index = pd.Index(plain["index"])
    columns = {
        name: pd.Series(values, index=index, dtype=object if name in plain["text"] else float)
        for name, values in plain["columns"].items()
    }
    return pd.DataFrame(columns, index=index)
