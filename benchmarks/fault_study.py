"""Cases fault-study-* of suite domain: faults injected into sensors; found how soon, at what price.

Five kinds, three sizes, a seed each for tag and row, on the synthetic boiler and on a real gas turbine.
Compared: `SensorMonitor`; PCA with T2 and SPE (components for 90 % of the variance, contributions name the
tag); river's ADWIN, Page-Hinkley and KSWIN on each tag's readings, and the first two on the residuals of our
reconstruction. Each at its defaults, and calibrated: the most sensitive setting that on healthy rows after
the first seed's reference alarms once per tag-month at most. What it then does on the rows that are tested
on differs between methods, so the rate that came about stands beside each. A finding counts if it names the
tag within the fault. What is not found counts as found at the fault's end. KSWIN takes 0.4 ms a value: it is
left out of the short form, and its alarm rates come from the first seed's first 2000 rows.

    python -m benchmarks.fault_study [--quick] [--plant NAME] [--cells FILE] [--rows FILE]

prints the whole table. --cells: every cell and row into FILE, from which benchmarks.fault_tables makes the
tables of the pages; a plant that was not run stays as it is there. --rows: the rows in place in FILE, as
`python -m benchmarks domain --json` writes it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import fault_methods, harness, machine
from benchmarks.fault_methods import Method
from benchmarks.fault_plants import KINDS, PLANTS, SIZES, Fault, Ground, faults, inject
from benchmarks.harness import Row, matches

BUDGET = 1.0  # alarms per tag-month on the calibration rows, for the methods marked "calibrated"
ROW_HOURS = {"boiler": 1 / 12, "gas_turbine": 1.0}


@dataclass
class Score:
    """What a method did over all seeds: by kind and size the delays in rows (the window where not found)."""

    delays: dict[tuple[str, float], list[float]] = field(default_factory=dict)
    found: dict[tuple[str, float], list[bool]] = field(default_factory=dict)
    first_right: list[bool] = field(default_factory=list)  # of the faults that raised a new alarm anywhere
    alarms: list[int] = field(default_factory=list)  # on the healthy test rows of each stretch, once
    tag_months: list[float] = field(default_factory=list)  # of those rows

    def delay(self, kind: str, size: float) -> float:
        return float(np.mean(self.delays[kind, size]))

    def share(self, kind: str, size: float) -> float:
        return float(np.mean(self.found[kind, size]))

    by_tag: Counter[str] = field(default_factory=Counter)  # false alarms

    @property
    def rate(self) -> float:
        """False alarms a tag-month."""
        return sum(self.alarms) / sum(self.tag_months)

    @property
    def mean_share(self) -> float:
        return float(np.mean([np.mean(v) for v in self.found.values()]))

    @property
    def mean_delay(self) -> float:
        """Share of the fault's window that passed before it was found, so that long faults do not rule."""
        return float(np.mean([np.mean(self.relative[key]) for key in self.delays]))

    relative: dict[tuple[str, float], list[float]] = field(default_factory=dict)


def case_of(plant: str) -> str:
    return f"fault-study-{plant}".replace("_", "-")


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """Rows of the suite: shares found and false alarms, beside the best peer calibrated alike."""
    wanted = [plant for plant in PLANTS if matches(case_of(plant), cases)]
    return [row for plant in wanted for row in rows_of(plant, study(plant, quick)[0])]


def rows_of(plant: str, scores: Mapping[str, Score]) -> list[Row]:
    ours, default = scores["SensorMonitor calibrated"], scores["SensorMonitor"]
    peers = {n: s for n, s in scores.items() if n.endswith("calibrated") and n != "SensorMonitor calibrated"}
    best = max(peers, key=lambda n: peers[n].mean_share)
    soonest = min(peers, key=lambda n: peers[n].mean_delay)
    case = case_of(plant)
    seeds = len(next(iter(ours.found.values())))

    def rates(peer: str) -> str:
        return f"false alarms a tag-month that came about: ours {ours.rate:.2f}, peer {peers[peer].rate:.2f}"

    note = f"15 faults x {seeds} seeds; calibrated to {BUDGET:g} alarms a tag-month at most; {rates(best)}"
    alarms, unit = "false_alarms", "per tag-month"
    return [
        Row(case, "found", ours.mean_share, peers[best].mean_share, _name(best), "share", "higher", note),
        Row(
            case, "delay", ours.mean_delay, peers[soonest].mean_delay, _name(soonest), "share of window",
            note=f"mean over faults; not found counts as the whole window; {rates(soonest)}",
        ),
        Row(
            case, alarms, ours.rate, peers[best].rate, _name(best), unit,
            note="calibrated; on test rows, which nothing was set on",
        ),
        Row(
            case, f"{alarms}_default", default.rate, scores["PCA T2/SPE"].rate, "PCA_T2/SPE", unit,
            note="both as they come; SensorMonitor was asked for 0.1",
        ),
    ]  # fmt: skip


def study(
    plant: str, quick: bool, progress: bool = False
) -> tuple[dict[str, Score], dict[str, float | None]]:
    """Method -> what it did; family -> the setting that was calibrated."""
    seeds = 2 if quick else 20
    scores: dict[str, Score] = {}
    settings: dict[str, float | None] = {}
    counted: set[int] = set()
    for seed in range(seeds):
        ground = PLANTS[plant](seed, quick)
        methods = fault_methods.build(ground, BUDGET, settings, slow=not quick)
        cases = [(fault, inject(ground, fault, seed)) for fault in faults(ground, seed)]
        new = ground.stretch not in counted
        counted.add(ground.stretch)
        for name, method in methods.items():
            score = scores.setdefault(name, Score())
            _judge(score, ground, method, cases, first=seed == 0, new_rows=new)
        if progress:
            print(f"{plant}: seed {seed + 1} of {seeds}", file=sys.stderr, flush=True)
    return scores, settings


def _judge(
    score: Score,
    ground: Ground,
    method: Method,
    cases: list[tuple[Fault, pd.DataFrame]],
    *,
    first: bool,
    new_rows: bool = True,
) -> None:
    """first: the seed that a slow method's false alarms are counted on; new_rows: none before had these."""
    healthy: set[tuple[int, str]] = set()
    if first or method.rows_looked_at is None:
        rows = ground.test.iloc[: method.rows_looked_at]
        healthy = method.alarms(rows)
        if new_rows:
            score.alarms.append(len(healthy))
            score.tag_months.append(ground.months(rows))
            score.by_tag.update(tag for _, tag in healthy)
    for fault, rows in cases:
        key = fault.kind, fault.size
        found = [
            (row, tag)
            for row, tag in method.alarms_of_fault(rows, fault)
            if fault.onset <= row < fault.end and (row, tag) not in healthy
        ]
        own = [row for row, tag in found if tag == fault.tag]
        window = fault.end - fault.onset
        delay = min(own) - fault.onset if own else window
        score.delays.setdefault(key, []).append(delay)
        score.relative.setdefault(key, []).append(delay / window)
        score.found.setdefault(key, []).append(bool(own))
        if found and method.names_tags:
            score.first_right.append(min(found)[1] == fault.tag or (bool(own) and min(own) == min(found)[0]))


def _name(method: str) -> str:
    return method.removesuffix(" calibrated").replace(" ", "_")


def report(
    plant: str, scores: Mapping[str, Score], settings: Mapping[str, float | None]
) -> dict[str, list[dict[str, object]]]:
    """Everything, for a file: `cells` by method and fault, `methods` with what is told of a method whole."""
    hours = ROW_HOURS[plant]
    cells: list[dict[str, object]] = []
    methods: list[dict[str, object]] = []
    for name, s in scores.items():
        about = {"plant": plant, "method": name}
        rate = {"false_alarms_per_tag_month": round(s.rate, 4)}
        for kind, size in s.found:
            cells.append(
                {
                    **about, "fault": kind, "size": size, "seeds": len(s.found[kind, size]),
                    "found": round(s.share(kind, size), 4), "delay_h": round(s.delay(kind, size) * hours, 4),
                    **rate,
                }
            )  # fmt: skip
        family = name.removesuffix(" calibrated")
        methods.append(
            {
                **about, "found": round(s.mean_share, 4), "delay_share": round(s.mean_delay, 4), **rate,
                "false_alarms": sum(s.alarms), "false_alarms_by_stretch": s.alarms,
                "tag_months": round(sum(s.tag_months), 2),
                "first_right": round(float(np.mean(s.first_right)), 4) if s.first_right else None,
                "setting": settings.get(family) if name != family else "default",
                "false_alarms_by_tag": dict(s.by_tag.most_common()),
            }
        )  # fmt: skip
    return {"methods": methods, "cells": cells}


def write_cells(
    path: Path, rows: Sequence[Row], parts: Mapping[str, Mapping[str, list[dict[str, object]]]]
) -> None:
    """Plants in `parts` take the place of those in the file, the others stay; a cell a line."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    about = machine.describe()
    try:
        river = metadata.version("river")
    except metadata.PackageNotFoundError:
        river = None
    runs = {**before.get("runs", {}), **{p: {"date": about["date"], "river": river} for p in parts}}
    content: dict[str, object] = {"machine": about, "runs": {p: runs[p] for p in PLANTS if p in runs}}
    mine = {case_of(plant) for plant in parts}
    kept = [row for row in before.get("rows", []) if row["case"] not in mine]
    content["rows"] = sorted([*kept, *harness.records({"domain": rows})], key=lambda row: str(row["case"]))
    for key in ("methods", "cells"):
        old = [line for line in before.get(key, []) if line["plant"] not in parts]
        lines = [*old, *(line for part in parts.values() for line in part[key])]
        content[key] = sorted(lines, key=lambda line: list(PLANTS).index(str(line["plant"])))
    dump(path, content)


def dump(path: Path, content: Mapping[str, object]) -> None:
    """JSON with a line for each row, method and cell."""
    entries = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = [json.dumps(line, allow_nan=False) for line in value]
            entries.append(f'"{key}": [\n  ' + ",\n  ".join(lines) + "\n ]")
        else:
            entries.append(f'"{key}": {json.dumps(value, allow_nan=False)}')
    path.write_text("{\n " + ",\n ".join(entries) + "\n}\n", encoding="utf-8")


def table(plant: str, scores: Mapping[str, Score], row_hours: float) -> str:
    """The whole of it: for each method and fault the share found and the mean delay in hours."""
    lines = [f"{plant}: share found / mean delay in h (not found: the whole window)"]
    head = [f"{kind} {size:g}" for kind in KINDS for size in SIZES[kind]]
    lines.append(f"{'method':34}{'alarms/tag-month':>18}" + "".join(f"{h:>15}" for h in head))
    for name, s in scores.items():
        cells = [f"{s.share(k, z):.2f}/{s.delay(k, z) * row_hours:.3g}" for k in KINDS for z in SIZES[k]]
        lines.append(f"{name:34}{s.rate:>18.2f}" + "".join(f"{c:>15}" for c in cells))
    heads = ("found", "delay, share of window", "false alarms/tag-month", "first alarm right")
    lines.append(f"{'method':34}" + "".join(f"{head:>25}" for head in heads))
    for name, s in scores.items():
        right = f"{np.mean(s.first_right):.2f}" if s.first_right else "-"
        cells = [f"{s.mean_share:.3f}", f"{s.mean_delay:.3f}", f"{s.rate:.2f}", right]
        lines.append(f"{name:34}" + "".join(f"{cell:>25}" for cell in cells))
    by_tag = scores["SensorMonitor"].by_tag.most_common()
    lines.append("false alarms of SensorMonitor by tag: " + ", ".join(f"{t} {n}" for t, n in by_tag))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_study")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--plant", choices=list(PLANTS), action="append", default=[])
    parser.add_argument("--cells", type=Path, metavar="FILE", help="every cell into FILE")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="the rows in place in FILE")
    options = parser.parse_args()
    out: list[Row] = []
    parts = {}
    for plant in options.plant or PLANTS:
        begin = time.monotonic()
        scores, settings = study(plant, options.quick, progress=True)
        print(table(plant, scores, ROW_HOURS[plant]), end="\n\n", flush=True)
        print(f"{plant}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        parts[plant] = report(plant, scores, settings)
        out += rows_of(plant, scores)
    for row in out:
        print(harness.result_line("domain", row))
    if options.cells:
        write_cells(options.cells, out, parts)
    if options.rows:
        write = harness.merge_json if options.rows.is_file() else harness.write_json
        write(options.rows, machine.describe(), {"domain": out})


if __name__ == "__main__":
    main()
