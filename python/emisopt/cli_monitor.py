"""The command `emisopt monitor check`.

Exit codes: 0 nothing found, 1 something found, 2 bad input.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from emisopt._format import short, text_table
from emisopt.errors import ConfigError
from emisopt.io import read_history
from emisopt.tags import load_tagmap

if TYPE_CHECKING:
    from emisopt.monitor import SensorMonitor

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Watch sensors.")

FOUND = 1


@app.callback()
def main() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@app.command()
def check(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA", help="CSV or Parquet files of the historian.")
    ],
    tags: Annotated[
        str, typer.Option(metavar="MAP", help="Tag map: a YAML file, or the name of a shipped one.")
    ],
    reference_rows: Annotated[
        int, typer.Option(help="So many first rows of DATA are the healthy reference; the rest is checked.")
    ],
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG=STATUS_TAG",
            help="Tag with an analyser's status: valid, calibration, maintenance or invalid; repeatable.",
        ),
    ] = None,
    false_alarms: Annotated[float, typer.Option(help="Wanted per tag in 30 days.")] = 0.1,
    memory: Annotated[str, typer.Option(help="Rows of the means that are watched, with commas.")] = "12,144",
    report: Annotated[Path | None, typer.Option(help="Write one HTML file with pictures.")] = None,
) -> None:
    """Say which sensors of DATA cannot be believed: a line per finding."""
    from emisopt.monitor import SensorMonitor, without_ranges

    tag_map = load_tagmap(tags)
    memories = _numbers(memory)
    # Raw: what is out of range is to be found, not taken out on reading.
    history = read_history(data, without_ranges(tag_map), use="live")
    if not 0 < reference_rows < len(history):
        raise ConfigError(
            f"--reference-rows: expected 1 to {len(history) - 1} of the {len(history)} rows of DATA, "
            f"got {reference_rows}"
        )
    flags = dict(_pair(text) for text in status or []) or None
    monitor = SensorMonitor(false_alarms=false_alarms, memory=memories)
    monitor.fit(history.iloc[:reference_rows], tag_map, status=flags)
    checked = history.iloc[reference_rows:]
    found = monitor.check(checked, status=flags)
    typer.echo(f"{tag_map.plant or 'plant'}: {len(found)} findings in {len(checked)} rows; {monitor!r}")
    if len(found):
        typer.echo(_table(found, monitor))
    if report is not None:
        facts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data}
        page = monitor.report(
            checked,
            found,
            **{"tag map": Path(tags).name, "reference": f"the first {reference_rows:,} rows of the files"},
            **facts,
        )
        typer.echo(f"written: {page.write(report)}")
    if len(found):
        raise typer.Exit(FOUND)


def _table(found: pd.DataFrame, monitor: SensorMonitor) -> str:
    rows = []
    for row in found.to_dict("records"):
        known = pd.notna(row["expected"])
        unit = monitor.tags_[row["tag"]].unit if row["tag"] is not None else ""
        rows.append(
            [
                row["tag"] or "(process)",
                row["kind"],
                _stamp(row["first_time"]),
                _stamp(row["last_time"]) + (" *" if row["open"] else ""),
                str(row["last_row"] - row["first_row"] + 1),
                "-" if pd.isna(row["value"]) else short(row["value"]),
                f"{short(row['expected'])} ± {short(row['sd'])}" if known else "-",
                unit or "-",
            ]
        )
    head = ["tag", "kind", "first", "last", "rows", "reading", "other tags say", "unit"]
    text = text_table(head, rows, left=4)
    return text + ("\n* still so at the end" if found["open"].any() else "")


def _stamp(label: object) -> str:
    return f"{label:%Y-%m-%d %H:%M}" if isinstance(label, pd.Timestamp) else str(label)


def _pair(text: str) -> tuple[str, str]:
    tag, found, column = text.partition("=")
    if not found or not tag.strip() or not column.strip():
        raise ConfigError(f"--status: expected TAG=STATUS_TAG, got {text!r}")
    return tag.strip(), column.strip()


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--memory: expected numbers with commas, got {text!r}") from None
