"""A CSV or Parquet file as columns of texts or numbers, with the line that each row stands in."""

from __future__ import annotations

import csv
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
    first, *rest = text.split(b"\n", 1)
    body = rest[0] if rest else b""
    line = first.decode().rstrip("\r")
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
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


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
    reader = csv.reader(table.body.decode().splitlines(), delimiter=form.delimiter)
    for cells in reader:
        if cells and len(cells) != len(headings):
            comma = len(cells) > len(headings) and form.delimiter == ","
            at = f"{table.path}: line {table.first_line + reader.line_num - 1}"
            raise DataError(
                f"{at}: expected {len(headings)} cells as in the heading, got {len(cells)}"
                + ("; a decimal comma needs another delimiter than ','" if comma else "")
            )


def _as_utf8(path: Path, encoding: str) -> bytes:
    data = path.read_bytes()
    if not data.strip():
        raise DataError(f"{path}: the file is empty; expected a heading line and rows")
    if data[:4] in (b"PAR1", b"PK\x03\x04") or data[:2] == b"\x1f\x8b":
        kind = {b"PA": "a Parquet file", b"PK": "a zip or Excel file", b"\x1f\x8b": "a gzip file"}[data[:2]]
        raise DataError(f"{path}: expected CSV text, got {kind}; unpack or export it, or set file: format")
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:1000]
        right = "utf-16" if utf16 else "cp1252" if encoding.lower().startswith(("utf", "ascii")) else "utf-8"
        line = data.count(b"\n", 0, at) + 1
        raise DataError(
            f"{path}: line {line}: expected text in {encoding}, got byte "
            f"0x{data[at]:02X}; {right} seems right: set it as file: encoding in the tag map"
        ) from None
    if "\0" in text[:1000]:
        raise DataError(
            f"{path}: text in {encoding} holds no zero bytes; utf-16 seems right: set it as file: encoding"
        )
    return text.removeprefix("\ufeff").encode()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
