"""The door to the benchmarks: rows, RESULT lines, timing, the JSON file."""

from __future__ import annotations

import io
import json
import math
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as door
from benchmarks import harness, machine
from benchmarks.harness import Row


@pytest.mark.parametrize(
    ("ours", "peer", "better", "ratio"),
    [
        (2.0, 4.0, "lower", 2.0),
        (4.0, 2.0, "lower", 0.5),
        (4.0, 2.0, "higher", 2.0),
        (0.0, 0.0, "lower", 1.0),
        (0.0, 3.0, "lower", math.inf),
        (3.0, 0.0, "lower", 0.0),
        (0.0, 3.0, "higher", 0.0),
    ],
)
def test_ratio_is_above_one_when_we_are_ahead(ours: float, peer: float, better: str, ratio: float) -> None:
    assert Row("case", "metric", ours, peer, "peer", better=better).ratio == ratio  # type: ignore[arg-type]


@pytest.mark.parametrize(("ours", "peer"), [(1.0, None), (math.nan, 1.0), (1.0, math.nan), (-1.0, 2.0)])
def test_no_ratio_is_claimed_where_a_quotient_has_no_meaning(ours: float, peer: float | None) -> None:
    assert math.isnan(Row("case", "metric", ours, peer, "peer").ratio)


@pytest.mark.parametrize(
    "wrong",
    [{"case": "two words"}, {"metric": "a=b"}, {"peer_name": "last value"}, {"better": "more"}, {"case": ""},
     {"peer_name": ""}],
)  # fmt: skip
def test_a_row_that_would_break_the_result_line_is_refused(wrong: dict[str, str]) -> None:
    right = {"case": "c", "metric": "m", "peer_name": "p", "better": "lower"}
    Row(ours=1.0, peer=2.0, **right)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Row"):
        Row(ours=1.0, peer=2.0, **(right | wrong))  # type: ignore[arg-type]


def test_result_lines_are_whole_whatever_the_width_of_the_terminal() -> None:
    rows = [
        Row("boiler-48h", "cost", 10.5, 21.0, "operator", unit="kEUR"),
        Row("boiler-48h", "illegal_moves", 0.0),
        Row("boiler-48h", "p50", 1.0, None, "casadi"),
    ]
    out = io.StringIO()
    harness.print_rows("loop", rows, Console(file=out, width=40))
    assert out.getvalue().splitlines()[-3:] == [
        "RESULT suite=loop case=boiler-48h metric=cost ours=10.5 peer=21 peer_name=operator ratio=2",
        "RESULT suite=loop case=boiler-48h metric=illegal_moves ours=0 peer=nan peer_name=none ratio=nan",
        "RESULT suite=loop case=boiler-48h metric=p50 ours=1 peer=nan peer_name=casadi ratio=nan",
    ]


def test_the_table_names_a_row_without_its_peer_unmet() -> None:
    out = io.StringIO()
    rows = [Row("a", "p50", 1.0, None, "casadi"), Row("a", "count", 1.0)]
    harness.print_rows("loop", rows, Console(file=out, width=120))
    assert ["unmet" in line for line in out.getvalue().splitlines() if "│ a " in line] == [True, False]


def test_the_json_file_is_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    rows = [Row("a", "b", 0.0, 3.0, "p"), Row("a", "c", math.nan)]
    harness.write_json(path, machine.describe(), {"suite": rows})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert [row["ratio"] for row in content["rows"]] == [None, None]
    assert content["rows"][1]["ours"] is None
    assert content["rows"][0]["suite"] == "suite"
    assert content["machine"]["cores"] >= 1
    assert content["machine"]["cpu"]
    assert "python" in content["machine"]["versions"]


def test_rows_take_the_place_of_those_of_the_same_name_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    about = {"date": "monday", "cpu": "one"}
    harness.write_json(path, about, {"s": [Row("a", "m", 1.0), Row("b", "m", 2.0, note="old")]})
    later = {"date": "tuesday", "cpu": "two"}
    harness.merge_json(path, later, {"s": [Row("b", "m", 3.0, note="new"), Row("c", "m", math.inf)]})
    content = json.loads(path.read_text())
    assert content["machine"] == about
    assert [(r["case"], r["ours"], r["note"]) for r in content["rows"]] == [
        ("a", 1.0, ""), ("b", 3.0, "new; tuesday, two"), ("c", None, "tuesday, two"),
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_all_peers_of_a_metric_are_replaced_unless_some_only_were_run(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    about = {"date": "monday", "cpu": "one"}
    old = [Row("a", "m", 1.0, 2.0, "p"), Row("a", "m", 1.0, 3.0, "q"), Row("b", "m", 1.0)]
    harness.write_json(path, about, {"s": old})
    harness.merge_json(path, about, {"s": [Row("a", "m", 1.0, 9.0, "q")]}, peers_chosen=True)
    rows = json.loads(path.read_text())["rows"]
    assert [(r["case"], r["peer_name"], r["peer"]) for r in rows] == [
        ("a", "p", 2.0), ("a", "q", 9.0), ("b", "", None),
    ]  # fmt: skip
    new = [Row("a", "m", 1.0, 5.0, "r"), Row("a", "m", 1.0, 6.0, "p"), Row("a", "m", 1.0, 7.0, "q")]
    harness.merge_json(path, about, {"s": new})
    rows = json.loads(path.read_text())["rows"]
    assert [(r["case"], r["peer_name"], r["peer"]) for r in rows] == [
        ("a", "r", 5.0), ("a", "p", 6.0), ("a", "q", 7.0), ("b", "", None),
    ]  # fmt: skip


def test_a_clock_may_be_chosen() -> None:
    ticks = iter(range(100))
    assert harness.time_interleaved({"a": lambda: None}, 3, 0, clock=lambda: float(next(ticks))) == {"a": 1.0}


def test_single_tasks_of_the_accuracy_suite_are_run_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import accuracy

    asked: list[str] = []
    monkeypatch.setattr(accuracy, "rows", lambda tasks, quick: asked.extend(tasks) or [])
    monkeypatch.setattr(accuracy.gt_cover, "rows", lambda quick: [Row("cover", "m", 1.0)])
    monkeypatch.setattr(accuracy.gt_backtest, "rows", lambda quick: [Row("backtest", "m", 1.0)])
    assert [r.case for r in accuracy.run(True, ["t?p", "gt_c*", "distill"])] == ["cover"]
    assert asked == ["tep", "distill"]
    asked.clear()
    assert [r.case for r in accuracy.run(True)] == ["backtest", "cover"]
    assert asked == list(accuracy.TASKS)


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    assert platform.node() not in json.dumps(machine.describe()).replace(machine.cpu_model(), "")


def test_timing_takes_turns_and_leaves_the_warm_up_out() -> None:
    order: list[str] = []

    def slow_at_first() -> None:
        order.append("a")
        if len(order) == 1:
            time.sleep(0.2)

    seconds = harness.time_interleaved(
        {"a": slow_at_first, "b": lambda: order.append("b")}, repeats=3, warmup=1
    )
    assert "".join(order) == "ab" * 4
    assert seconds["a"] < 0.1
    with pytest.raises(ValueError, match="repeats"):
        harness.time_interleaved({"a": slow_at_first}, repeats=0)


def test_suites_are_the_modules_with_run_and_a_description() -> None:
    known = door.suites()
    assert "harness" not in known
    assert all(description.endswith(".") for description in known.values()), known


def test_a_suite_runs_through_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "probe.py").write_text(
        '"""One row."""\nfrom benchmarks.harness import Row\n'
        "def run(quick):\n    return [Row('c', 'm', 1.0 if quick else 2.0, 2.0, 'p')]\n"
    )
    import benchmarks

    monkeypatch.setattr(door, "suites", lambda: {"probe": "One row."})
    monkeypatch.setattr(benchmarks, "__path__", [str(tmp_path)])
    results = tmp_path / "out.json"
    assert door.main(["probe", "--quick", "--json", str(results)]) == 0
    line = "RESULT suite=probe case=c metric=m ours=1 peer=2 peer_name=p ratio=2"
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert json.loads(results.read_text())["rows"][0]["ratio"] == 2


def test_an_unknown_suite_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["nosuch"]) == 2
    assert "no suite nosuch" in capsys.readouterr().err
    assert door.main(["--list"]) == 0
