"""What all suites share: rows, the RESULT lines, the table for people, the JSON file, fair timing."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is above 1 when we are ahead, whatever the direction of the metric."""

    case: str  # e.g. "boiler-48h"; no spaces
    metric: str  # e.g. "cost"; no spaces
    ours: float
    peer: float | None = None  # None: the peer could not be had, or the metric has none (then no peer_name)
    peer_name: str = ""
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"
    note: str = ""  # versions, thread counts, what was varied

    def __post_init__(self) -> None:
        for field in ("case", "metric", "peer_name"):
            value = getattr(self, field)
            if any(letter.isspace() or letter == "=" for letter in value):
                raise ValueError(f"Row.{field}: expected a name without spaces or '=', got {value!r}")
        if not (self.case and self.metric):
            raise ValueError("Row: case and metric must be named")
        if self.better not in ("lower", "higher"):
            raise ValueError(f"Row.better: expected 'lower' or 'higher', got {self.better!r}")
        if self.peer is not None and not self.peer_name:
            raise ValueError(f"Row {self.case}/{self.metric}: a peer's figure needs peer_name")

    @property
    def ratio(self) -> float:
        """peer / ours when lower is better, else ours / peer; 1 for equal figures, NaN without a peer."""
        if self.peer is None or math.isnan(self.ours) or math.isnan(self.peer):
            return math.nan
        if self.ours == self.peer:
            return 1.0
        if self.ours < 0 or self.peer < 0:
            return math.nan  # a quotient of figures that may change sign says nothing about who is ahead
        above, below = (self.peer, self.ours) if self.better == "lower" else (self.ours, self.peer)
        return math.inf if below == 0 else above / below


def matches(case: str, patterns: Sequence[str]) -> bool:
    """Whether a case is wanted; no pattern: all are."""
    return not patterns or any(fnmatch(case, pattern) for pattern in patterns)


def number(value: float | None) -> str:
    """Six significant digits; NaN for what is not there."""
    return "nan" if value is None else f"{value:.6g}"


def result_line(suite: str, row: Row) -> str:
    """The line that other programs read; the keys and their order are fixed."""
    return (
        f"RESULT suite={suite} case={row.case} metric={row.metric} ours={number(row.ours)} "
        f"peer={number(row.peer)} peer_name={row.peer_name or 'none'} ratio={number(row.ratio)}"
    )


def print_rows(suite: str, rows: Sequence[Row], console: Console | None = None) -> None:
    """The table for people, then the RESULT lines."""
    from rich.console import Console  # here: rows and their lines are also wanted where rich is not
    from rich.table import Table

    console = console or Console()
    table = Table("case", "metric", "unit", title=f"suite {suite}", title_justify="left")
    for heading in ("ours", "peer", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("peer name")
    table.add_column("note")
    for row in rows:
        style = "green" if row.ratio >= 1 else "red" if row.ratio < 1 else ""
        ratio = f"[{style}]{row.ratio:.3g}[/]" if style else "unmet" if row.peer_name else ""
        peer = "" if row.peer is None else f"{row.peer:.5g}"
        table.add_row(row.case, row.metric, row.unit, f"{row.ours:.5g}", peer, ratio, row.peer_name, row.note)
    console.print(table)
    for row in rows:  # not through rich: it would wrap and colour a line that programs read
        print(result_line(suite, row), file=console.file, flush=True)


def write_json(path: Path, machine: Mapping[str, object], suites: Mapping[str, Sequence[Row]]) -> None:
    """Machine and rows in one file. NaN and infinity, which JSON lacks, are written as null."""
    _write(path, {"machine": machine, "rows": records(suites)})


def merge_json(
    path: Path,
    machine: Mapping[str, object],
    suites: Mapping[str, Sequence[Row]],
    *,
    peers_chosen: bool = False,
) -> None:
    """Rows into a file that has others: those of one suite, case and metric take the place of the old ones,
    all of them unless some peers only were run. Their notes tell date and processor, as the head stays that
    of the file."""
    when = f"{machine['date']}, {machine['cpu']}"
    dated = {
        suite: [replace(row, note=f"{row.note}; {when}" if row.note else when) for row in rows]
        for suite, rows in suites.items()
    }

    def key(record: Mapping[str, object]) -> tuple[object, ...]:
        fields = ("suite", "case", "metric", *(("peer_name",) if peers_chosen else ()))
        return tuple(record[field] for field in fields)

    before = json.loads(path.read_text(encoding="utf-8"))
    new: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for record in records(dated):
        new.setdefault(key(record), []).append(record)
    replaced = set(new)
    kept: list[dict[str, object]] = []
    for record in before["rows"]:
        kept += new.pop(key(record), []) if key(record) in replaced else [record]
    rest = [record for records in new.values() for record in records]
    _write(path, {"machine": before["machine"], "rows": [*kept, *rest]})


def records(suites: Mapping[str, Sequence[Row]]) -> list[dict[str, object]]:
    """Rows as they stand in a file."""

    def plain(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [
        {
            "suite": suite,
            **{key: plain(value) for key, value in asdict(row).items()},
            "ratio": plain(row.ratio),
        }
        for suite, members in suites.items()
        for row in members
    ]


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    new.replace(path)


def time_interleaved(
    calls: Mapping[str, Callable[[], object]],
    repeats: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each call. The calls take turns, so that a slow phase of the machine hits all alike.

    `repeats` rounds are timed after `warmup` rounds that are not. `clock`: time.process_time for calls of one
    thread on a machine that others use, too.
    """
    if not calls or repeats < 1 or warmup < 0:
        got = f"{len(calls)} calls, repeats={repeats}, warmup={warmup}"
        raise ValueError(f"time_interleaved: expected calls, repeats >= 1 and warmup >= 0, got {got}")
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(warmup + repeats):
        for name, call in calls.items():
            begin = clock()
            call()
            elapsed = clock() - begin
            if round_number >= warmup:
                seconds[name].append(elapsed)
    return {name: statistics.median(values) for name, values in seconds.items()}
