"""The arguments of the command `emisopt`: texts to limits, prices, horizons, files to histories.

Everything here refuses with one line that names the option.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.io import read_history
from emisopt.objective import Limit
from emisopt.tags import FileFormat, TagMap


def declare(tags: TagMap, setpoints: list[str], known_ahead: str | None) -> TagMap:
    if setpoints:
        tags = tags.with_setpoints(setpoints)
    if known_ahead is None:
        return tags
    if known_ahead in ("all", "none"):
        return tags.with_known_ahead(None if known_ahead == "all" else [])
    return tags.with_known_ahead([n.strip() for n in known_ahead.split(",")])


def read_parts(
    tags: TagMap,
    data: list[Path],
    validate: list[Path],
    validation_rows: int,
    test: list[Path] | None = None,
    test_rows: int = 0,
) -> tuple[pd.DataFrame, int, int]:
    """All files as one table, rows for training, rows for validation; the rest is the test."""
    if (validate and validation_rows) or (test and test_rows):
        raise _core.InputError("expected files or a number of rows for validation and test, got both")
    tail = validation_rows + test_rows
    history = read_history([*data, *validate, *(test or [])], tags)
    train = len(read_history(data, tags)) if validate or test else len(history)
    held = len(read_history(validate, tags)) if validate else validation_rows
    train -= tail
    if train <= 0 or min(validation_rows, test_rows) < 0:
        raise _core.InputError(
            f"expected rows to be left for training, got {len(history)} rows, {held} for validation, "
            f"{test_rows} for the test"
        )
    return history, train, held


def only_disturbances(rows: pd.DataFrame, tags: TagMap, file: FileFormat) -> pd.DataFrame:
    """Without the stamps and the plant's other tags, so that rows cut from a historian's file will do."""
    stamps = () if file.time is None else file.time.columns
    others = [n for n in tags.names if n not in tags.disturbances]
    aside = [n for n in rows.columns if n in (*stamps, *others) or n.strip().lower() == "time"]
    return rows.drop(columns=[n for n in aside if n not in tags.disturbances])


def require_scored(metric: str, operation: str, test: list[Path] | None, test_rows: int) -> None:
    """What `backtest` would refuse after hours of fitting, refused before."""
    from emisopt.backtest import METRICS

    if metric not in METRICS:
        raise _core.InputError(f"--metric: expected one of {', '.join(METRICS)}, got {metric!r}")
    if operation not in ("known", "unknown", "both"):
        raise _core.InputError(f"--operation: expected known, unknown or both, got {operation!r}")
    if not test and test_rows <= 0:
        raise _core.InputError(
            "backtest: expected rows to score, got none: give --test FILE, or --test-rows, so many last rows "
            "of DATA (as left out by fit)"
        )


def split(text: str, mark: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip() or not value.strip():
        raise _core.InputError(f"{option}: expected NAME{mark}VALUE, got {text!r}")
    return name.strip(), value.strip()


def number_of(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        point = text.strip().replace(",", ".", 1)
        comma = "," in text and re.fullmatch(r"[+-]?\d+\.\d+", point)
        hint = f"; with a decimal point: {point}" if comma else ""
        raise _core.InputError(f"{option}: expected a number, got {text!r}{hint}")
    return value


def assignment(text: str, option: str) -> tuple[str, float]:
    name, value = split(text, "=", option)
    return name, number_of(value, option)


def bounds_of(text: str, name: str) -> tuple[float, float]:
    low, high = (number_of(part, "--bound") for part in split(text, ":", f"--bound {name}"))
    if not low < high:
        raise _core.InputError(f"--bound {name}: expected LOW:HIGH, low below high, got {text!r}")
    return low, high


def horizon_list(text: str | None, longest: int) -> list[int]:
    if text is None:
        return [h for h in (1, 6, 24) if h <= longest]
    try:
        chosen = [int(t) for t in text.split(",")]
    except ValueError:
        raise _core.InputError(f"--horizons: expected whole numbers with commas, got {text!r}") from None
    for h in chosen:
        if not 1 <= h <= longest:
            raise _core.InputError(
                f"--horizons: expected 1 to {longest} rows, the forecaster's horizon, got {h}"
            )
    return chosen


def limit_of(text: str) -> Limit:
    first, *rest = text.split(",")
    if rest and rest[0].strip().isdigit():
        raise _core.InputError(
            f"--limit: expected a decimal point, got {text!r}; write "
            + ",".join([f"{first}.{rest[0].strip()}", *rest[1:]])
        )
    name, value = split(first, "<=", "--limit")
    extra = dict(assignment(part, "--limit") for part in rest)
    unknown = set(extra) - {"window", "quantile", "rank"}
    if unknown:
        raise _core.InputError(f"--limit: expected window, quantile or rank, got {sorted(unknown)[0]!r}")
    return Limit(
        name,
        number_of(value, "--limit"),
        window=int(extra.get("window", 1)),
        quantile=extra.get("quantile", 0.9),
        rank=int(extra.get("rank", 1)),
    )


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
