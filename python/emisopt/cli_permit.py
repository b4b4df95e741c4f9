"""The commands `emisopt permit check` and `emisopt permit explain`.

Exit codes: 0 all limits hold, 1 a limit was broken, 2 bad input, also data that no rule could be judged on.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer

from emisopt import _core
from emisopt._clock import to_utc
from emisopt._fileformat import TimeFormat
from emisopt._format import short
from emisopt.errors import ConfigError, DataError, MissingFileError
from emisopt.io import read_history
from emisopt.tags import TagMap, load_tagmap

if TYPE_CHECKING:
    from emisopt.permit import Evaluation, Permit

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Judge data by a permit's limits.")

BROKEN, BAD_INPUT = 1, 2
_ROWS = 20  # of a table of exceedances

Data = Annotated[
    list[Path], typer.Argument(help="CSV or Parquet; without --tags the first column is the time.")
]
PermitFile = Annotated[
    str, typer.Option("--permit", "-p", help="YAML or JSON file, or a shipped permit's name.")
]
Tags = Annotated[str | None, typer.Option(help="Tag map of the files.")]
Signals = Annotated[
    list[str] | None,
    typer.Option(
        "--signal", help="COLUMN=POLLUTANT[,unit=mg/Nm3][,moisture=dry][,oxygen=COLUMN or vol %], repeatable."
    ),
]
Plant = Annotated[str | None, typer.Option(help="Column with the plant's state: off, on, startup, ...")]
Status = Annotated[list[str] | None, typer.Option(help="COLUMN=STATUS_COLUMN of an analyser, repeatable.")]
Rules = Annotated[list[str] | None, typer.Option("--rule", help="Judge this rule only, repeatable.")]
ZoneName = Annotated[str | None, typer.Option("--zone", help="Zone of civil days instead of the permit's.")]
Timezone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        help="Zone of stamps without an offset: Europe/Berlin, UTC+01:00; else UTC. A tag map has its own.",
    ),
]
Stamp = Annotated[str, typer.Option(help="What a stamp is of its sample: start or end.")]
Lateness = Annotated[float, typer.Option(help="Seconds that a row may be older than the newest before it.")]
Negative = Annotated[str, typer.Option(help="Negative concentrations: refuse, or leave out as missing.")]
Unverified = Annotated[
    bool, typer.Option("--allow-unverified", help="Judge by limits that nobody read in their source.")
]


@app.command()
def check(
    data: Data,
    permit: PermitFile,
    tags: Tags = None,
    signal: Signals = None,
    plant: Plant = None,
    status: Status = None,
    rule: Rules = None,
    zone: ZoneName = None,
    timezone: Timezone = None,
    stamp: Stamp = "start",
    lateness: Lateness = 0.0,
    negative: Negative = "refuse",
    allow_unverified: Unverified = False,
    report: Annotated[Path | None, typer.Option(help="Write one HTML file with all that decided.")] = None,
) -> None:
    """Judge DATA: a table of all rules; exit code 0 all hold, 1 a limit was broken, 2 bad input."""
    tag_map, document = _documents(tags, permit, rule)
    frame, judged, remark = _judge(
        document, data, tag_map, signal, plant, status, zone, timezone, stamp, lateness, negative,
        allow_unverified,
    )  # fmt: skip
    typer.echo(str(judged))
    _remarks(frame, judged, remark)
    if report is not None:
        facts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data}
        if tags is not None:
            facts = {"tag map": Path(tags).name, **facts}
        page = judged.report(synthetic=bool(tag_map and tag_map.synthetic), **facts)
        typer.echo(f"written: {page.write(report)}")
    if judged.verdict == "broken":
        raise typer.Exit(BROKEN)
    if judged.verdict != "holds":
        names = [r.rule.name for r in judged if r.verdict == "not judged" and not r.held_by]
        sys.stderr.write(
            f"emisopt: no average counts for rule {', '.join(names)}: nothing was judged there\n"
        )
        raise typer.Exit(BAD_INPUT)


@app.command()
def explain(
    permit: Annotated[str, typer.Argument(help="YAML or JSON file, or a shipped permit's name.")],
    data: Annotated[list[Path] | None, typer.Argument(help="Files to say what decided on.")] = None,
    tags: Tags = None,
    signal: Signals = None,
    plant: Plant = None,
    status: Status = None,
    rule: Rules = None,
    zone: ZoneName = None,
    timezone: Timezone = None,
    stamp: Stamp = "start",
    lateness: Lateness = 0.0,
    negative: Negative = "refuse",
    allow_unverified: Unverified = False,
) -> None:
    """Say a permit's rules in words, with their sources; with DATA also the hours that decided."""
    tag_map, document = _documents(tags, permit, rule)
    typer.echo(f"{document.name}\nhash {document.hash}\n")
    if not data:
        typer.echo(document.explain())
        return
    frame, judged, remark = _judge(
        document, data, tag_map, signal, plant, status, zone, timezone, stamp, lateness, negative,
        allow_unverified,
    )  # fmt: skip
    local = frame.tz_convert(zone or document.zone)  # as all other times here
    typer.echo(f"times are of {zone or document.zone}\n")
    for result in judged:
        typer.echo(f"{result.rule.name}\n    {result.rule.words}\n    {result!r}")
        if len(above := result.exceedances()):
            rest = f"; the first {_ROWS}" if len(above) > _ROWS else ""
            typer.echo(
                f"    averages above the limit: {result.above}, those that follow each other as one{rest}:"
            )
            typer.echo(_indented(above.head(_ROWS)))
        if result.worst is not None:
            typer.echo(f"    worst average ends {result.worst[0]}; of its base means weigh most:")
            typer.echo(_indented(result.deciding()))
            typer.echo(f"    highest samples of the first of them, column {result.tag!r}:")
            typer.echo(_indented(result.deciding_samples(local).to_frame()))
        typer.echo("")
    _remarks(frame, judged, remark)


def _documents(tags: str | None, permit: str, rules: list[str] | None) -> tuple[TagMap | None, Permit]:
    from emisopt.permit import load_permit

    document = load_permit(permit)
    return None if tags is None else load_tagmap(tags), document.only(rules) if rules else document


def _judge(
    document: Permit,
    data: list[Path],
    tags: TagMap | None,
    signals: list[str] | None,
    plant: str | None,
    status: list[str] | None,
    zone: str | None,
    timezone: str | None,
    stamp: str,
    lateness: float,
    negative: str,
    allow_unverified: bool,
) -> tuple[pd.DataFrame, Evaluation, str]:
    """The rows, what came of them, and what to say of their clock."""
    frame = _read(data, tags, timezone)
    remark = _clock_remark(frame, zone or document.zone)
    try:
        judged = document.evaluate(
            frame,
            dict(_signal(text) for text in signals) if signals else None,
            tags=tags,
            plant=plant,
            status=dict(_split(text, "--status") for text in status or []) or None,
            zone=zone,
            stamp=stamp,
            lateness=lateness,
            negative=negative,
            allow_unverified=allow_unverified,
        )
    except _core.InputError as error:
        if remark and "clock put back" in str(error):
            raise DataError(f"{error}; {remark}") from None
        raise
    return frame, judged, remark


def _clock_remark(frame: pd.DataFrame, zone: str) -> str:
    """What is to be said of stamps that may be local ones; "" where they say what they are."""
    if not frame.attrs.get("no_offset") or zone == "UTC":
        return ""
    return f"stamps carry no offset, taken as UTC; if they are local, give --timezone {zone}"


def _remarks(frame: pd.DataFrame, judged: Evaluation, remark: str) -> None:
    if remark:
        typer.echo(remark)
    aside = {tag: count for tag, count in frame.attrs.get("put_aside", {}).items() if count}
    if aside:
        typer.echo(
            "outside the tag map's range, taken as missing: "
            + ", ".join(f"{t}: {n}" for t, n in aside.items())
        )
    negatives = {r.tag: int(r.core.negatives) for r in judged if r.core.negatives}
    if negatives:
        typer.echo("negative, taken as missing: " + ", ".join(f"{t}: {n}" for t, n in negatives.items()))
    if judged.steps_back:
        typer.echo(f"time steps back at {judged.steps_back} rows: {'; '.join(judged.clock)}")


def _split(text: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name.strip() or not value.strip():
        raise ConfigError(f"{option}: expected COLUMN=..., got {text!r}")
    return name.strip(), value.strip()


def _signal(text: str) -> tuple[str, object]:
    column, rest = _split(text, "--signal")
    pollutant, *parts = [part.strip() for part in rest.split(",")]
    fields: dict[str, object] = {"pollutant": pollutant}
    for part in parts:
        key, value = _split(part, "--signal")
        if key not in ("unit", "moisture", "oxygen"):
            raise ConfigError(f"--signal: expected unit, moisture or oxygen, got {key!r}")
        try:
            fields[key] = float(value) if key == "oxygen" else value
        except ValueError:
            fields[key] = value  # the name of a column
    return column, fields


def _read(paths: list[Path], tags: TagMap | None, zone: str | None) -> pd.DataFrame:
    if tags is not None:
        if zone is not None:
            raise ConfigError("--timezone: a tag map has its own; set it there, file: time: timezone")
        return read_history(paths, tags, use="live")
    if zone is not None:
        try:
            TimeFormat((), "", zone).tz()
        except ConfigError as error:
            raise ConfigError(f"--{error}") from None
    tables = [_table(path, zone) for path in paths]
    frame = pd.concat(tables)
    frame.attrs["no_offset"] = any(table.attrs["no_offset"] for table in tables)
    return frame


def _table(path: Path, zone: str | None) -> pd.DataFrame:
    """A file whose first column is the time: ISO stamps, of `zone` (else UTC) unless they have an offset;
    `attrs["no_offset"]`: they have none, and no zone was given."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            frame = frame if isinstance(frame.index, pd.DatetimeIndex) else frame.set_index(frame.columns[0])
        else:
            frame = pd.read_csv(path, index_col=0)
        index = pd.to_datetime(frame.index, utc=True, format="ISO8601" if path.suffix == ".csv" else None)
    except (ValueError, OSError, IndexError) as error:
        problem = " ".join(str(error).split())
        problem = problem.split(". You might want")[0]  # pandas' advice is for its callers
        raise DataError(
            f"{path}: expected a table whose first column is the time (ISO 8601): {problem}; for other files "
            "give --tags"
        ) from None
    if index.hasnans:
        row = int(pd.isna(index).argmax())
        raise DataError(f"{path}: row {row}: expected a time stamp, got an empty one")
    plain = _without_offset(path, frame.index)
    if plain and zone is not None:
        form = TimeFormat((), "", zone)

        def fail(row: int, what: str) -> DataError:
            return DataError(f"{path}: row {row}: {what.replace('set timezone:', 'give --timezone')}")

        index = to_utc(index.tz_localize(None), form.tz(), zone, fail)
    frame = frame.set_axis(index.rename("time"), axis=0)
    frame.attrs["no_offset"] = plain and zone is None
    return frame


def _without_offset(path: Path, index: pd.Index) -> bool:
    """Whether stamps say nothing of their offset. Raises DataError where only some do."""
    if isinstance(index, pd.DatetimeIndex):
        return index.tz is None
    texts = pd.Series(index, dtype=object).astype(str)
    offset = texts.str.contains(r"(?:Z|[+-]\d\d(?::?\d\d)?)$") & (texts.str.len() > 10)  # -05 may be a day
    plain = ~offset.to_numpy(dtype=bool)
    if plain.any() and not plain.all():
        row = int(np.argmax(plain != plain[0]))
        raise DataError(
            f"{path}: row {row}: expected a time stamp {'without' if plain[0] else 'with'} an offset, as in "
            f"row 0, got {index[row]!r}"
        )
    return bool(plain.any())


def _indented(table: pd.DataFrame) -> str:
    text = table.to_string(float_format=short)
    return "\n".join(f"      {line}" for line in text.splitlines())
