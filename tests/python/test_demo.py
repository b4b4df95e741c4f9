"""emisopt.demo, its quick form: what it prints and writes says what was run."""

import io
import re

import pandas as pd
import pytest
from rich.console import Console

from emisopt import _core, demo


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """(result, what was printed)"""
    console = Console(file=io.StringIO(), width=140)
    result = demo.run(tmp_path_factory.mktemp("demo"), quick=True, console=console)
    return result, console.file.getvalue()


def test_the_title_says_the_real_length(quick):
    result, printed = quick
    assert "2 h closed loop, SYNTHETIC boiler" in printed and "in 2 h (" in printed
    assert "48 h" not in printed.replace("boiler-48h", "")
    page = result.report.read_text(encoding="utf-8")
    assert "<h1>emisopt: 2 hours on a synthetic boiler</h1>" in page
    assert "48 h" not in page


def test_tables_carry_units_and_star_the_best(quick):
    _, printed = quick
    for text in ("nox, mg/Nm3", "nh3_slip, ppm", "NOx 1 h worst, mg/Nm3", "CO 1 h above 125 mg/Nm3, h"):
        assert text in printed
    mae = printed[printed.index("known: MAE") : printed.index("known: RMSE")]
    assert mae.count("*") == 18 + 1


def test_the_operator_has_no_status(quick):
    result, printed = quick
    row = next(
        line for line in printed.splitlines() if "status FEASIBLE_DEADLINE" in line or "OPTIMAL" in line
    )
    assert row.split("rows")[1].split()[0] == "-"
    frame = pd.read_parquet(result.parquet)
    rules = frame[frame["policy"] == "operator rules"]
    assert len(rules) == 24 and (rules["decision.status"] == "-").all()


def test_the_report_is_whole_and_has_nothing_from_outside(quick):
    page = quick[0].report.read_text(encoding="utf-8")
    for title in ("Result", "What came", "Limits", "Forecasts", "Moves", "Cost", "Accuracy"):
        assert f">{title}</h2>" in page
    assert page.count("<figure>") == 1 + 1 + 3 + 1 + 1
    assert not re.search(r'(src|href)="(?!#)|@import|url\((?!#)', page)
    assert len(page) < 3_000_000


def test_a_policy_has_one_colour_in_every_picture(quick):
    runs = quick[0].runs
    assert tuple(runs) == demo.POLICIES == tuple(demo.COLOUR)
    limits = demo.plots.rolling_limits({k: r.rolling for k, r in runs.items()}, {"NOx 1 h": 75.0})
    money = demo.plots.cumulative_difference({k: r.cost for k, r in runs.items()}, "operator rules")
    for figure in (limits, money):
        lines = {line.get_label().split(": ")[0]: line.get_color() for line in figure.axes[0].lines}
        shared = lines.keys() & demo.COLOUR.keys()
        assert len(shared) >= 3 and all(lines[name] == demo.COLOUR[name] for name in shared)


def test_the_instruction_set_is_named_as_elsewhere(quick):
    page = quick[0].report.read_text(encoding="utf-8")
    assert f"<dd>{_core.isa_level().name}, " in page and "Isa." not in page


def test_a_change_of_fuel_is_named_at_its_row(quick):
    run = quick[0].runs["operator rules"]
    assert demo._fuel_changes({"a": run}) == {}
    frame = run.frame.copy()
    frame.loc[frame.index[10] :, ("disturbance", "fuel_grade")] = 2.0
    changed = demo.Run(run.name, run.log, run.summary, run.limits, run.prices)
    changed.__dict__["frame"] = frame
    assert demo._fuel_changes({"a": changed}) == {frame.index[10]: "fuel A to C"}
