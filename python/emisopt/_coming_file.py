"""Files of coming rows, `forecast --plan` and `--known`: what they tell, and of which rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt._fileformat import FileFormat, TimeFormat
from emisopt._format import short, text_table
from emisopt._table import read_table
from emisopt._yaml import is_float
from emisopt.errors import DataError
from emisopt.io import PERIOD_TOLERANCE
from emisopt.tags import TagMap

__all__ = ["forecast_text", "read_coming", "what_is_known"]


def read_coming(path: Path, tags: TagMap, file: FileFormat, coming: pd.Index, period: float) -> pd.DataFrame:
    """A CSV file with a row per coming row; a time column must hold the stamps of these rows.

    Parameters
    ----------
    tags : of the model; of categories that look like numbers, the file's are names, not places
    file : how the plant's files are written, for time columns cut from them
    coming : labels of the coming rows
    period : seconds between rows

    Raises
    ------
    DataError, InputError : one line that names the file
    """
    _refuse_other_text(path)
    words = {tag.name: str for tag in tags if any(is_float(name) for name in tag.categories)}
    try:
        rows = pd.read_csv(path, dtype=words, skipinitialspace=True, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        text = " ".join(str(error).split())
        raise _core.InputError(f"{path}: not a readable CSV file: {text}") from None
    _refuse_other_delimiter(path, rows, tags)
    if isinstance(coming, pd.DatetimeIndex) and len(rows) == len(coming):
        form = _time_of(rows, file)
        if form is not None:
            _require_stamps(path, rows, form, coming, period)
    return rows


def what_is_known(tags: TagMap, plan: pd.DataFrame | None, known: pd.DataFrame | None) -> str:
    """One line: the tags that the forecast was told of, with how many of the rows where it is not all."""
    told, unused = [], []
    for given, names in ((plan, tags.setpoints), (known, tags.disturbances)):
        for name in names if given is not None else []:
            count = int(given[name].notna().sum()) if given is not None and name in given.columns else 0
            if count == 0:
                continue
            if tags[name].role == "disturbance" and not tags[name].known_ahead:
                unused.append(name)
                continue
            whole = given is not None and count == len(given)
            told.append(name if whole or given is None else f"{name} ({count} of {len(given)} rows)")
    rest = f"; not used, as the model does not know them ahead: {', '.join(unused)}" if unused else ""
    return f"known of the coming rows: {', '.join(told) or 'nothing'}{rest}"


def forecast_text(quantiles: pd.DataFrame, tags: TagMap, steps: Iterable[int]) -> str:
    levels = quantiles.columns.get_level_values("quantile")
    shown = quantiles.loc[:, levels.isin([0.1, 0.5, 0.9])] if levels.isin([0.5]).any() else quantiles
    stamps = [f"{t:%Y-%m-%d %H:%M}" for t in shown.index] if isinstance(shown.index, pd.DatetimeIndex) else []
    head = ["rows ahead", "time, UTC"] if stamps else ["rows ahead"]
    before = ""
    for name, level in shown.columns:
        head.append(f"{name} {level:.4g}" if name != before else f"{level:.4g}")
        before = name
    rows = [[str(h), *stamps[h - 1 : h], *(short(x) for x in shown.iloc[h - 1])] for h in steps]
    units = ", ".join(f"{n} in {tags[n].unit or '-'}" for n in tags.outputs)
    return f"{text_table(head, rows, left=0)}\nquantiles 0.1, 0.5 and 0.9; {units}"


def _refuse_other_text(path: Path) -> None:
    if not path.is_file():
        return  # the reader says so
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line}: expected text in UTF-8, got byte 0x{data[error.start]:02X}; save it "
            "as UTF-8 (in a spreadsheet: CSV UTF-8)"
        ) from None


def _refuse_other_delimiter(path: Path, rows: pd.DataFrame, tags: TagMap) -> None:
    """Of a file that a spreadsheet wrote with ';' and decimal commas, say."""
    headings = [str(c) for c in rows.columns]
    if set(headings) & set(tags.names):
        return
    for mark, word in ((";", "';'"), ("\t", "tabs"), ("|", "'|'")):
        parts = [part.strip().strip('"') for heading in headings for part in heading.split(mark)]
        if len(parts) > len(headings) and set(parts) & set(tags.names):
            raise DataError(
                f"{path}: expected columns separated by ',' and decimal points, got the heading separated by "
                f"{word}; save it with commas"
            )


def _time_of(rows: pd.DataFrame, file: FileFormat) -> TimeFormat | None:
    """Where the file's stamps stand: in the columns of the plant's files, else in one called time."""
    if file.time is not None and all(name in rows.columns for name in file.time.columns):
        return file.time
    zone = "UTC" if file.time is None else file.time.timezone
    plain = [str(c) for c in rows.columns if str(c).strip().lower() == "time"]
    return TimeFormat((plain[0],), "", zone) if plain else None


def _require_stamps(
    path: Path, rows: pd.DataFrame, form: TimeFormat, coming: pd.DatetimeIndex, period: float
) -> None:
    texts = pd.Series(
        rows[list(form.columns)].astype(object).fillna("").astype(str).agg(" ".join, axis=1), dtype=object
    ).str.strip()
    utc = coming.tz_localize("UTC") if coming.tz is None else coming.tz_convert("UTC")
    wrong = _differs(texts, form.format, form, utc, period)
    if wrong.any() and form.format:  # what `forecast --output` writes is ISO 8601, whatever the map says
        wrong &= _differs(texts, "", form, utc, period)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    at = read_table(path, FileFormat(), [form.columns[0]]).at(row)
    local = utc.tz_convert(form.tz())
    name = " + ".join(repr(c) for c in form.columns)
    raise DataError(
        f"{path}: {at}, column {name}: expected the stamps of the {len(utc)} coming rows in order, "
        f"{local[0]} to {local[-1]}, got {texts.iloc[row]!r} for {local[row]}; correct it, or leave the "
        "column out: the rows then count by position"
    )


def _differs(
    texts: pd.Series, written: str, form: TimeFormat, utc: pd.DatetimeIndex, period: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,) which rows are not at their stamp. Stamps without an offset are compared as the zone's clock shows
    them: of an hour that it shows twice, either will do."""
    offset = "%z" in written or (not written and texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").all())
    parsed = pd.to_datetime(texts, format=written or "ISO8601", errors="coerce", utc=True if offset else None)
    stamps = pd.DatetimeIndex(parsed)
    shown = utc.tz_localize(None) if offset else utc.tz_convert(form.tz()).tz_localize(None)
    stamps = stamps.tz_localize(None) if stamps.tz is not None else stamps
    off = np.abs((stamps - shown).total_seconds().to_numpy())
    return np.asarray(~(off <= PERIOD_TOLERANCE * period))
