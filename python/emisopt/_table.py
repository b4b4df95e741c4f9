"""A CSV or Parquet file as columns of texts or numbers, with the line that each row stands in."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from emisopt._fileformat import FileFormat
from emisopt.errors import DataError, MissingFileError, did_you_mean

__all__ = ["FileTable", "read_table"]

_DELIMITERS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}


@dataclass(frozen=True)
class FileTable:
    """Columns of one file.

    Parameters
    ----------
    path : the file
    columns : heading -> values, all of one length; texts as they stand in a CSV file
    body : the lines of a CSV file below its heading, b"" for Parquet
    first_line : line number of the first line of `body`
    """

    path: Path
    columns: dict[str, pa.ChunkedArray]
    body: bytes = b""
    first_line: int = 0

    def at(self, row: int) -> str:
        """Where a row stands: "line 7" of a CSV file, "row 5" (counted from 0) of a Parquet file."""
        if not self.body:
            return f"row {row}"
        seen = -1
        for number, line in enumerate(self.body.splitlines(), self.first_line):
            seen += bool(line)  # the parser passes over empty lines
            if seen == row:
                return f"line {number}"
        raise IndexError(row)


def read_table(path: Path, form: FileFormat, needed: Sequence[str]) -> FileTable:
    """The needed columns of one file.

    Parameters
    ----------
    path : CSV or Parquet file
    form : how it is written
    needed : headings

    Raises
    ------
    MissingFileError, DataError : one line that says what is wrong with the file or its heading.
    """
    if path.is_dir():
        raise DataError(f"{path}: expected a file, got a folder; name the files in it")
    if not path.is_file():
        folder = path.parent
        near = did_you_mean(path.name, sorted(f.name for f in folder.iterdir())) if folder.is_dir() else ""
        raise MissingFileError(f"{path}: no such file{near}")
    kind = form.format or ("parquet" if path.suffix.lower() in (".parquet", ".pq") else "csv")
    return _read_parquet(path, needed) if kind == "parquet" else _read_csv(path, form, needed)


def _check_heading(path: Path, headings: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in headings:
            raise DataError(
                f"{path}: column {name!r} is missing{did_you_mean(name, [h for h in headings if h])}"
            )
        if headings.count(name) > 1:
            raise DataError(
                f"{path}: column {name!r} stands {headings.count(name)} times; rename or drop one"
            )


def _read_parquet(path: Path, needed: Sequence[str]) -> FileTable:
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; expected a Parquet file")
    try:
        file = pa_parquet.ParquetFile(path)
        _check_heading(path, file.schema_arrow.names, needed)
        table = file.read(columns=list(needed))
    except pa.ArrowException as error:
        raise DataError(f"{path}: expected a Parquet file: {_one_line(error)}") from None
    return FileTable(path, {name: table.column(name) for name in needed})


def _read_csv(path: Path, form: FileFormat, needed: Sequence[str]) -> FileTable:
    data = _as_utf8(path, form.encoding)
    text = data.lstrip(b"\r\n")
    skipped = len(data[: len(data) - len(text)].splitlines())
    first, *rest = re.split(rb"\r\n|\r|\n", text, maxsplit=1)
    body = rest[0] if rest else b""
    line = first.decode()
    headings = _split(line, form.delimiter)
    _check_delimiter(path, line, form.delimiter, needed)
    _check_heading(path, headings, needed)
    out = FileTable(path, {}, body, skipped + 2)
    if not body.strip():
        raise DataError(f"{path}: expected rows below the heading, got none")

    names = [f"c{i}" for i in range(len(headings))]  # headings may repeat where no tag reads them
    wanted = {name: names[headings.index(name)] for name in needed}
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(column_names=names),
            parse_options=pa_csv.ParseOptions(delimiter=form.delimiter),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(dict.fromkeys(wanted.values())),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException as error:
        _check_widths(out, headings, form)
        raise DataError(f"{path}: cannot be read as CSV: {_one_line(error)}") from None
    out.columns.update({name: table.column(inner) for name, inner in wanted.items()})
    return out


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:  # a heading of megabytes, say: no known name is in it
        return [line[:60]]


def _check_delimiter(path: Path, line: str, delimiter: str, needed: Sequence[str]) -> None:
    def known(other: str) -> int:
        return len(set(_split(line, other)) & set(needed))

    best = max(_DELIMITERS, key=known)
    if known(delimiter) == 0 and known(best) > 0:
        raise DataError(
            f"{path}: expected columns separated by {_DELIMITERS.get(delimiter, repr(delimiter))}, got the "
            f"heading in {len(_split(line, delimiter))} part(s); {_DELIMITERS[best]} seems right "
            f"({len(_split(line, best))} columns): set it as file: delimiter in the tag map"
        )


def _check_widths(table: FileTable, headings: Sequence[str], form: FileFormat) -> None:
    """Finds the first row that has not as many cells as the heading."""
    for number, line in enumerate(table.body.splitlines(), table.first_line):
        cells = len(_split(line.decode(), form.delimiter))
        if line and cells != len(headings):
            comma = cells > len(headings) and form.delimiter == ","
            raise DataError(
                f"{table.path}: line {number}: expected {len(headings)} cells as in the heading, got {cells}"
                + ("; a decimal comma needs another delimiter than ','" if comma else "")
            )


def _as_utf8(path: Path, encoding: str) -> bytes:
    data = path.read_bytes()
    if not data.strip():
        raise DataError(f"{path}: the file is empty; expected a heading line and rows")
    if data[:4] in (b"PAR1", b"PK\x03\x04") or data[:2] == b"\x1f\x8b":
        kind = {b"PA": "a Parquet file", b"PK": "a zip or Excel file", b"\x1f\x8b": "a gzip file"}[data[:2]]
        raise DataError(f"{path}: expected CSV text, got {kind}; unpack or export it, or set file: format")
    wide = b"\0" in data[:1000]  # ASCII letters, which every heading has some of, hold a zero byte in UTF-16
    try:
        text = data.decode(encoding)
        fits = wide == encoding.lower().startswith(("utf-16", "utf16", "utf_16", "utf-32", "utf32", "utf_32"))
        at = data.index(b"\0") if wide else 0
    except UnicodeError as error:
        fits, at = False, getattr(error, "start", 0)
    if not fits:
        other = "cp1252" if encoding.lower().startswith(("utf-8", "utf8", "utf_8", "ascii")) else "utf-8"
        line = data.count(b"\n", 0, at) + 1
        raise DataError(
            f"{path}: line {line}: expected text in {encoding}, got byte 0x{data[at]:02X}; "
            f"{'utf-16' if wide else other} seems right: set it as file: encoding in the tag map"
        )
    return text.removeprefix("\ufeff").encode()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
