"""Tables of the fault study in docs/, made from the cells in benchmarks/results/fault_study.json.

python -m benchmarks.fault_tables      puts them in place, between the marks in the pages
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / "benchmarks/results/fault_study.json"
SHORT = {
    "SensorMonitor": "SensorMonitor",
    "PCA T2/SPE": "PCA",
    "river KSWIN": "KSWIN",
    "river ADWIN": "ADWIN",
    "river PageHinkley": "PH",
    "river ADWIN on residuals": "ADWIN r",
    "river PageHinkley on residuals": "PH r",
}
WHOLE = (("SensorMonitor", "PCA T2/SPE", "river KSWIN"), tuple(SHORT)[3:])  # two tables, as one is too wide
CALIBRATED = tuple(name for name in SHORT if name != "river KSWIN")
Content = Mapping[str, Any]


def short(method: str) -> str:
    name = method.removesuffix(" calibrated")
    return SHORT[name] + (" c" if name != method else "")


def faults_table(content: Content, plant: str, methods: Sequence[str]) -> str:
    """Share found / mean delay in h by fault; in the head what each method cost in false alarms."""
    rates = {m["method"]: m["false_alarms_per_tag_month"] for m in content["methods"] if m["plant"] == plant}
    cells: dict[tuple[str, float], dict[str, str]] = {}
    for cell in content["cells"]:
        if cell["plant"] == plant:
            row = cells.setdefault((cell["fault"], cell["size"]), {})
            row[cell["method"]] = f"{cell['found']:.2f} / {delay(cell['delay_h'])}"
    head = [f"{short(m)} ({rates[m]:.2f})" for m in methods]
    body = [[f"{kind} {size:g}", *(row[m] for m in methods)] for (kind, size), row in cells.items()]
    return markdown(["fault", *head], body)


def delay(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.3g}"


def methods_table(content: Content, plant: str) -> str:
    body = [
        [
            short(m["method"]),
            f"{m['found']:.3f}",
            f"{m['delay_share']:.3f}",
            f"{m['false_alarms_per_tag_month']:.2f}",
            f"{m['false_alarms']} in {m['tag_months']:.0f}",
            "-" if m["first_right"] is None else f"{m['first_right']:.2f}",
        ]
        for m in content["methods"]
        if m["plant"] == plant
    ]
    head = ["all 15 faults", "found", "delay, share of window", "false alarms a tag-month"]
    return markdown([*head, "alarms in tag-months", "first alarm names the right tag"], body)


def run_line(content: Content, plant: str) -> str:
    about, run = content["machine"], content["runs"][plant]
    by_tag = next(
        m["false_alarms_by_tag"]
        for m in content["methods"]
        if m["plant"] == plant and m["method"] == "SensorMonitor"
    )
    tags = ", ".join(f"{tag} {count}" for tag, count in by_tag.items())
    return (
        f"Run of {run['date']}, {about['cores']}-core {about['cpu']}, river {run['river']}. "
        f"False alarms of SensorMonitor at its defaults by tag: {tags}."
    )


def whole(content: Content, plant: str) -> str:
    parts = [[n for m in part for n in (m, f"{m} calibrated")] for part in WHOLE]
    tables = [faults_table(content, plant, part) for part in parts]
    return "\n\n".join([*tables, methods_table(content, plant), run_line(content, plant)])


def brief(content: Content, plant: str) -> str:
    chosen = [f"{m} calibrated" for m in CALIBRATED]
    return "\n\n".join([faults_table(content, plant, chosen), methods_table(content, plant)])


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace(" --- ", "---")


Make = Callable[[Content, str], str]
PAGES: dict[Path, Make] = {ROOT / "docs/fault_study.md": whole, ROOT / "docs/monitor_sensors.md": brief}


def placed(page: str, content: Content, make: Make) -> str:
    """The page with what stands between the marks of each plant made anew."""
    for plant in content["runs"]:
        begin, end = f"<!-- made by benchmarks.fault_tables: {plant} -->", "<!-- end -->"
        block = f"{begin}\n{make(content, plant)}\n{end}"
        parts = page.split(begin)
        if len(parts) != 2 or end not in parts[1]:
            raise ValueError(f"expected one place {begin!r} in the page, with an end, got {len(parts) - 1}")
        page = parts[0] + block + parts[1].split(end, 1)[1]
    return page


def main() -> None:
    content = json.loads(CELLS.read_text(encoding="utf-8"))
    for path, make in PAGES.items():
        path.write_text(placed(path.read_text(encoding="utf-8"), content, make), encoding="utf-8")


if __name__ == "__main__":
    main()
