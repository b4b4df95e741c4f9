"""One file's columns as the tags' numbers: texts to numbers, codes to NaN, units converted, stamps to UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emisopt._clock import clock_hint, to_utc
from emisopt._fileformat import FileFormat, TimeFormat
from emisopt._table import FileTable, read_table
from emisopt.errors import DataError, did_you_mean
from emisopt.tags import Tag, TagMap
from emisopt.units import conversion

__all__ = ["FileColumns", "read_columns"]

Floats = NDArray[np.float64]

_ENOUGH = 20  # values from which on the share outside the range says something
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class FileColumns:
    """What one file says, in the tags' units.

    Parameters
    ----------
    path : the file
    values : tag -> (N,) float64, NaN = missing
    rows : (N,) the rows' numbers in the file; rows without any value are left out
    stamps : (N,) UTC, rising; empty for files without time columns
    put_aside : tag -> number of values outside its range, NaN in `values`
    """

    path: Path
    values: dict[str, Floats]
    rows: NDArray[np.int64]
    stamps: pd.DatetimeIndex
    put_aside: dict[str, int]


def read_columns(path: Path, tags: TagMap) -> FileColumns:
    """Reads and checks one file.

    Raises
    ------
    MissingFileError, DataError : one line that names file, line or row, column, what was expected, what came.
    """
    form = tags.file
    headings = {tag.name: form.source(tag.name).heading for tag in tags}
    time_columns = list(form.time.columns) if form.time else []
    table = read_table(path, form, list(dict.fromkeys([*headings.values(), *time_columns])))
    rows = _rows_with_text(table)
    if rows.size == 0:
        raise DataError(f"{path}: expected rows below the heading, got none that hold anything")
    stamps = _stamps(table, rows, form.time) if form.time else pd.DatetimeIndex([])
    values = {}
    for tag in tags:
        column = _Column(table, rows, tag, form)
        values[tag.name] = column.codes() if tag.kind == "categorical" else column.numbers()
    put_aside = {}
    for tag in tags:
        _check_range(path, tag, tags, values)
    for tag in tags:
        outside = tag.outside(values[tag.name])
        put_aside[tag.name] = int(outside.sum())
        values[tag.name][outside] = np.nan
    return FileColumns(path, values, rows, stamps, put_aside)


def _rows_with_text(table: FileTable) -> NDArray[np.int64]:
    """Rows that are not wholly empty: exports end in lines of bare delimiters."""
    some: NDArray[np.bool_] | None = None
    for column in table.columns.values():
        full = pc.is_valid(column) if not _is_text(column) else pc.not_equal(_trimmed(column), "")
        here = full.fill_null(False).to_numpy(zero_copy_only=False)
        some = here if some is None else some | here
    return np.flatnonzero(some if some is not None else np.empty(0, dtype=bool))


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(column)


@dataclass(frozen=True)
class _Column:
    """One column on its way to numbers."""

    table: FileTable
    rows: NDArray[np.int64]
    tag: Tag
    form: FileFormat

    def numbers(self) -> Floats:
        """(N,) in the tag's unit; NaN for empty cells and missing codes."""
        column = self._raw()
        if _is_text(column):
            values = self._parse(_trimmed(column))
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or _is_exact(column):
            values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).copy()
        else:
            raise DataError(f"{self._where()}: expected numbers, got {column.type}")
        if np.isinf(values).any():
            self._fail(int(np.argmax(np.isinf(values))), "expected a finite number, got an infinite one")
        codes = list(self.form.missing_number) + ([] if self.tag.missing is None else [self.tag.missing])
        values[np.isin(values, codes)] = np.nan  # as the file writes them: units change below
        source = self.form.source(self.tag.name)
        if source.unit is not None:
            factor, offset = conversion(source.unit, self.tag.unit, self._where())
            values = factor * values + offset
        return values

    def codes(self) -> Floats:
        """(N,) index of the category; NaN for empty cells."""
        column = self._raw()
        if pa.types.is_floating(column.type):
            raise DataError(f"{self._where()}: expected category names, got {column.type}")
        texts = _trimmed(pc.cast(column, pa.string()))
        index = pc.index_in(texts, value_set=pa.array(self.tag.categories, pa.string()))
        unknown = pc.and_(pc.is_null(index), pc.invert(self._no_value(texts)))
        row = pc.index(unknown, True).as_py()
        if row >= 0:
            text = texts[row].as_py()
            near = did_you_mean(text, self.tag.categories)
            self._fail(row, f"expected one of its categories, got {text!r}{near}")
        return np.array(pc.cast(index, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    def _raw(self) -> pa.ChunkedArray:
        column = self.table.columns[self.form.source(self.tag.name).heading]
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        return column if len(self.rows) == len(column) else column.take(pa.array(self.rows))

    def _no_value(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        none = pc.is_in(texts, value_set=pa.array(self.form.missing_text, pa.string()))
        return pc.or_(pc.is_null(texts), none)

    def _parse(self, texts: pa.ChunkedArray) -> Floats:
        given = pc.if_else(self._no_value(texts), pa.scalar(None, pa.string()), texts)
        plain = given
        if self.form.decimal == ",":
            point = pc.index(pc.match_substring(given, "."), True).as_py()
            if point >= 0:
                self._refuse_text(point, given[point].as_py())
            plain = pc.replace_substring(given, ",", ".")
        try:
            values = pc.cast(plain, pa.float64())
        except pa.ArrowInvalid:
            for row, text in enumerate(plain.to_pylist()):
                if text is not None and not _NUMBER.fullmatch(text):
                    self._refuse_text(row, given[row].as_py())
            raise
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64).copy()

    def _refuse_text(self, row: int, text: str) -> None:
        other = "." if self.form.decimal == "," else ","
        hint = ""
        if _NUMBER.fullmatch(text.replace(",", ".")) and other in text:
            hint = f"; it looks like a decimal {'comma' if other == ',' else 'point'}: set file: decimal"
        elif re.fullmatch(r"[A-Za-z#/ -]+", text):
            hint = "; if it stands for no value, add it to file: missing"
        self._fail(row, f"expected a number, got {text!r}{hint}")

    def _where(self) -> str:
        return f"{self.table.path}: column {self.form.source(self.tag.name).heading!r}"

    def _fail(self, row: int, what: str) -> None:
        at = self.table.at(int(self.rows[row]))
        heading = self.form.source(self.tag.name).heading
        raise DataError(f"{self.table.path}: {at}, column {heading!r}: {what}")


def _is_exact(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_decimal(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _stamps(table: FileTable, rows: NDArray[np.int64], form: TimeFormat) -> pd.DatetimeIndex:
    """Stamps in UTC, rising; the error names the line."""
    columns = [table.columns[name].take(pa.array(rows)) for name in form.columns]
    name = " + ".join(repr(column) for column in form.columns)

    def fail(row: int, what: str) -> DataError:
        return DataError(f"{table.path}: {table.at(int(rows[row]))}, column {name}: {what}")

    if len(columns) == 1 and pa.types.is_timestamp(columns[0].type):
        stamps = pd.DatetimeIndex(columns[0].to_pandas())
        texts = stamps.astype(str)
    else:
        parts = [_trimmed(pc.cast(column, pa.string())) for column in columns]
        texts = pd.Index(pc.binary_join_element_wise(*parts, " ").to_pandas().fillna(""), dtype=object)
        utc = "%z" in form.format or not form.format
        parsed = pd.to_datetime(texts, format=form.format or "ISO8601", errors="coerce", utc=utc or None)
        stamps = pd.DatetimeIndex(parsed)
        if not form.format and not texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).any():
            stamps = stamps.tz_localize(None)  # ISO texts without an offset stand in the map's zone
    bad = np.flatnonzero(np.asarray(stamps.isna()))
    if bad.size:
        expected = f"a time stamp as {form.format!r}" if form.format else "an ISO 8601 time stamp"
        raise fail(int(bad[0]), f"expected {expected}, got {str(texts[bad[0]])!r}")
    own = stamps.tz is not None  # stamps with an offset of their own
    stamps = stamps.tz_convert("UTC") if own else to_utc(stamps, form.tz(), form.timezone, fail)
    steps = np.diff(stamps.to_numpy(dtype="datetime64[ns]").astype(np.int64))
    wrong = np.flatnonzero(steps <= 0)
    if wrong.size:
        row = int(wrong[0]) + 1
        before, after = stamps[row - 1], stamps[row]
        hint = "" if own else clock_hint(before, after, form.tz())
        if before == after:
            raise fail(row, f"duplicate time stamp {after}; keep one of the two rows{hint}")
        raise fail(row, f"time goes backwards, from {before} to {after}; sort the rows by time{hint}")
    return stamps


def _check_range(path: Path, tag: Tag, tags: TagMap, values: dict[str, Floats]) -> None:
    mine = values[tag.name][~np.isnan(values[tag.name])]
    outside = int(tag.outside(mine).sum())
    if mine.size < _ENOUGH or 2 * outside <= mine.size:
        return
    heading = tags.file.source(tag.name).heading
    bounded = [t for t in tags if t.low is not None and t.high is not None and t.name != tag.name]
    fits = [t for t in bounded if not t.outside(mine).any() and t.outside(values[t.name]).any()]
    hint = (
        f"; it would fit {' or '.join(repr(t.name) for t in fits[:3])}: are headings exchanged?"
        if fits
        else ""
    )
    raise DataError(
        f"{path}: column {heading!r} looks like another signal or unit: {outside} of {mine.size} values lie "
        f"outside {tag.range_text} {tag.unit} of tag {tag.name!r} (they run from {mine.min():g} to "
        f"{mine.max():g}){hint}"
    )
