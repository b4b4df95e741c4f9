"""The `file:` section of a tag map: how a historian writes its files."""

from __future__ import annotations

import codecs
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo

from emisopt._yaml import Reader, as_text
from emisopt.errors import ConfigError, did_you_mean
from emisopt.units import conversion

__all__ = ["FileFormat", "Source", "TimeFormat"]

# Empty cells and the usual spellings of "not a number"; a tag map adds its historian's own words.
NO_VALUE = ("", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL")


@dataclass(frozen=True)
class TimeFormat:
    """Where the time stamps stand.

    Parameters
    ----------
    columns : headings whose texts, joined by one space, are the stamp
    format : as for `datetime.strptime`; "" for ISO 8601
    timezone : "UTC", a fixed offset "UTC+01:00", or a name such as "Europe/Rome"; ignored where the stamps
        carry their own offset
    """

    columns: tuple[str, ...]
    format: str = ""
    timezone: str = "UTC"

    def tz(self) -> tzinfo:
        """The zone; ConfigError when its name is not known."""
        match = re.fullmatch(r"UTC(?:([+-])(\d{1,2}):?(\d\d)?)?", self.timezone)
        if match:
            minutes = int(match[2] or 0) * 60 + int(match[3] or 0)
            if minutes >= 24 * 60:
                raise ConfigError(f"timezone: expected an offset below 24 hours, got {self.timezone!r}")
            return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
        try:
            return zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f"timezone: expected UTC, UTC+01:00 or a name such as Europe/Rome, got {self.timezone!r}"
            ) from None


@dataclass(frozen=True)
class Source:
    """The column that a tag is read from: its heading, and its unit where that is not the tag's."""

    heading: str
    unit: str | None = None


@dataclass(frozen=True)
class FileFormat:
    """How a historian writes its files.

    Parameters
    ----------
    format : "csv", "parquet", or "" to go by the file's name
    delimiter, decimal, encoding : of CSV files
    time : where the stamps stand; None for rows without stamps
    missing_text, missing_number : what stands for no value in any column, beside empty cells and NaN
    sources : tag -> where it is read from; a tag that is not in it is read from the column of its own name
    """

    format: str = ""
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    time: TimeFormat | None = None
    missing_text: tuple[str, ...] = NO_VALUE
    missing_number: tuple[float, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, tag: str) -> Source:
        """Where a tag is read from."""
        return self.sources.get(tag, Source(tag))

    def check_against(self, units: Mapping[str, str]) -> None:
        """Refuses sources of tags that are not there, and units that do not convert; units: tag -> unit."""
        for tag, source in self.sources.items():
            if tag not in units:
                raise ConfigError(
                    f"file: columns: {source.heading!r}: no tag {tag!r}{did_you_mean(tag, units)}"
                )
            if source.unit is not None:
                conversion(source.unit, units[tag], f"file: columns: {source.heading!r}, tag {tag!r}")
        headings = [self.source(tag).heading for tag in units]
        for heading in headings:
            if headings.count(heading) > 1:
                pair = [repr(tag) for tag in units if self.source(tag).heading == heading]
                raise ConfigError(f"file: columns: {heading!r} is read for two tags, {' and '.join(pair)}")

    @classmethod
    def read(cls, section: Reader) -> FileFormat:
        """From the YAML section; ConfigError names the field."""
        section.check_keys(["format", "delimiter", "decimal", "encoding", "time", "missing", "columns"])
        where, missing = section.where, _read_missing(section)
        out = cls(
            format=section.text("format"),
            delimiter=section.text("delimiter", ","),
            decimal=section.text("decimal", "."),
            encoding=section.text("encoding", "utf-8"),
            time=_read_time(section),
            missing_text=NO_VALUE + tuple(code for code in missing if isinstance(code, str)),
            missing_number=tuple(float(code) for code in missing if not isinstance(code, str)),
            sources=_read_sources(section.section("columns")),
        )
        if out.format not in ("", "csv", "parquet"):
            raise ConfigError(f"{where}: format: expected csv or parquet, got {out.format!r}")
        if len(out.delimiter) != 1 or out.delimiter in '"\n\r':
            raise ConfigError(f"{where}: delimiter: expected one character, got {out.delimiter!r}")
        if out.decimal not in (".", ","):
            raise ConfigError(f"{where}: decimal: expected '.' or ',', got {out.decimal!r}")
        if out.decimal == out.delimiter and out.format != "parquet":
            raise ConfigError(f"{where}: decimal and delimiter are both {out.decimal!r}; they must differ")
        try:
            codecs.lookup(out.encoding)
        except LookupError:
            raise ConfigError(f"{where}: encoding: {out.encoding!r} is not known; e.g. utf-8") from None
        return out


def _read_missing(section: Reader) -> list[str | float]:
    codes: list[str | float] = []
    for item in section.sequence("missing", scalars=True):
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            raise ConfigError(f"{section.where}: missing: expected numbers or texts, got {item!r}")
        codes.append(item)
    return codes


def _read_time(section: Reader) -> TimeFormat | None:
    if section.get("time") is None:
        return None
    time = section.section("time")
    time.check_keys(["columns", "format", "timezone"])
    columns = time.texts("columns")
    if not columns:
        raise ConfigError(f"{time.where}: columns: expected the headings of the time columns, got none")
    out = TimeFormat(tuple(columns), time.text("format"), time.text("timezone", "UTC"))
    try:
        out.tz()
    except ConfigError as error:
        raise ConfigError(f"{time.where}: {error}") from None
    return out


def _read_sources(columns: Reader) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for key, value in columns.data.items():
        heading = as_text(key, f"{columns.where}: heading")
        where = f"{columns.where}: {heading!r}"
        unit = None
        if isinstance(value, Mapping):
            entry = Reader(value, where)
            entry.check_keys(["tag", "unit"])
            tag = entry.text("tag", heading)
            unit = entry.text("unit") if entry.get("unit") is not None else None
        else:
            tag = as_text(value, where)
        if tag in sources:
            raise ConfigError(f"{where}: tag {tag!r} is read from {sources[tag].heading!r} already")
        sources[tag] = Source(heading, unit)
    return sources
