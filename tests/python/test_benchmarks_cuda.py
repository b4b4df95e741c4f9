"""Suite cuda: fair turns, compared answers, goals; its cases run on the host executor, as rehearsals."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import cuda, harness
from benchmarks.cuda_peers import card, cases, contest, core, runner
from benchmarks.cuda_peers.contest import Contestant, Pace
from benchmarks.cuda_peers.results import Budget, Results
from cuda_host import PLUGIN, need
from emisopt import _core

ROOT = Path(__file__).resolve().parents[2]
TORCH = "benchmarks.cuda_peers.torch_calls"


def contestant(name: str, value: float = 1.0, key: str = "loss", per_call: bool = True) -> Contestant:
    return Contestant(name, lambda n: None, lambda: {key: np.array([value, 2.0])}, per_call)


# ---- the contest ---------------------------------------------------------------------------------------


def test_answers_that_differ_are_refused_by_name() -> None:
    contest.compare("c", [contestant("ours"), contestant("peer", 1.00001)], "float32")
    with pytest.raises(AssertionError, match=r"c: peer: loss differs from ours's by 0\.05"):
        contest.compare("c", [contestant("ours"), contestant("peer", 1.1)], "float32")
    contest.compare("c", [contestant("ours"), contestant("peer", 1.03)], "bfloat16")
    with pytest.raises(AssertionError, match="peer: moved differs"):
        contest.compare("c", [contestant("ours", 1, "moved"), contestant("peer", 1.2, "moved")], "float32")
    with pytest.raises(AssertionError, match="answers"):
        contest.compare("c", [contestant("ours"), contestant("peer", key="other")], "float32")
    with pytest.raises(AssertionError, match="cost differs"):
        contest.compare("c", [contestant("o", math.nan, "cost"), contestant("p", key="cost")], "float32")


def test_all_take_turns_and_blocks_count_as_quotients() -> None:
    order: list[str] = []

    def run(name: str) -> Any:
        return lambda n: order.append(f"{name}{n}")

    each = Contestant("each", run("a"), dict, per_call=True)
    block = Contestant("block", run("b"), dict, per_call=False)
    timings = contest.take_turns([each, block], Pace(rounds=4, block=1e-9, least=3))
    assert len(timings["each"].ms) == 12 and len(timings["block"].ms) == 4
    turns = [entry for entry in order[4:] if entry != "a1"]
    assert turns == ["b3"] * 5
    assert order.index("b3", 4) > order.index("a1", 4)  # the first round begins with the first


def test_the_goals_are_those_of_each_size() -> None:
    assert [cases.EAGER[s] for s in "SMLX"] == [4.0, 3.0, 1.8, 1.3]
    assert [cases.COMPILED[s] for s in "SMLX"] == [2.0, 1.6, 1.3, 1.1]
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)
    assert {"train256-S", "train256-X", "tick-S", "tick-M", "attention", "deterministic"} <= set(names)
    assert [c.name for c in cases.choose(["tick-*"])] == ["tick-S", "tick-M", "tick-S-bf16", "tick-M-bf16"]
    assert cases.Case("train256", "X").problem(False).architecture.width == 512
    assert cases.Case("train256", "X").problem(False).batch == 256


# ---- the runner ----------------------------------------------------------------------------------------


def run_all(results: Results, chosen: list[cases.Case], seconds: float = 100.0) -> bool:
    return runner.run_cases(
        results, chosen, Budget(seconds), key="k", rehearse=True, environment={}, say=lambda text: None
    )


def record(case: str, ours: float | None = 1.0) -> dict[str, object]:
    return {
        "case": case, "metric": "ms", "ours": ours, "peer": 2.0, "peer_name": "p", "unit": "ms",
        "better": "lower", "note": "n",
    }  # fmt: skip


def test_a_run_goes_on_with_what_was_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, seen = cases.choose(["tick-S", "tick-M", "attention"]), []
    states = {"tick-S": "done", "tick-M": "failed", "attention": "stopped"}

    def one(case: cases.Case, *_: object) -> tuple[str, list[dict[str, object]], str]:
        seen.append(case.name)
        return states[case.name], [record(case.name)], "" if states[case.name] == "done" else "why"

    monkeypatch.setattr(runner, "run_one", one)
    path = tmp_path / "r.json"
    assert not run_all(Results(path, True), chosen, seconds=0.0) and seen == []
    assert run_all(Results(path, True), chosen)  # two attempts each, but for what is done
    assert seen == ["tick-S", "tick-M", "attention", "tick-M", "attention"]
    assert run_all(Results(path, True), chosen) and len(seen) == 5
    rows = runner.rows_of(Results(path, True), "k", chosen)
    assert [row.case for row in rows] == [f"rehearsal-{case.name}" for case in chosen]
    assert all("no figure of a GPU" in row.note for row in rows)
    assert "failed: why" in rows[1].note


def test_what_compiles_for_minutes_comes_when_all_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, seen = cases.choose(["tick-S", "tick-M"]), []

    def one(case: cases.Case, *rest: object) -> tuple[str, list[dict[str, object]], str]:
        seen.append((case.name, rest[-1]))
        return "quick" if rest[-1] else "done", [record(case.name)], ""

    monkeypatch.setattr(runner, "run_one", one)
    results = Results(tmp_path / "r.json", False)
    assert run_all(results, chosen)
    assert seen == [("tick-S", True), ("tick-M", True), ("tick-S", False), ("tick-M", False)]
    assert {entry["state"] for entry in results.section(runner.SECTION, "k").values()} == {"done"}


def test_a_case_that_fails_keeps_the_rows_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases.choose(["tick-S"])
    answers = [("stopped", [record("tick-S")], "why"), ("failed", [], "exit 1")]
    monkeypatch.setattr(runner, "run_one", lambda *_: answers.pop(0))
    results = Results(tmp_path / "r.json", False)
    for _ in range(2):
        run_all(results, chosen)
    (row,) = runner.rows_of(results, "k", chosen)
    assert row.case == "tick-S" and row.ours == 1.0 and "failed: exit 1" in row.note


def test_a_case_without_rows_is_still_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run_one", lambda *_: ("failed", [], "exit 1: no module"))
    results = Results(tmp_path / "r.json", False)
    run_all(results, cases.choose(["tick-S"]))
    (row,) = runner.rows_of(results, "k", cases.choose(["tick-S"]))
    assert math.isnan(row.ours) and "no module" in row.note
    assert "ours=nan" in harness.result_line("cuda", row)


@pytest.mark.parametrize(
    ("script", "state", "rows", "why"),
    [
        ('print(\'{"rows": [1], "complete": true}\')', "done", [1], ""),
        ('print(\'{"rows": [1], "complete": false}\', flush=True); time.sleep(60)', "stopped", [1], "no end"),
        ('print(\'{"rows": [1], "complete": true}\'); raise SystemExit("broken")', "failed", [1], "broken"),
        ("pass", "failed", [], "nothing said"),
        ('print(\'{"rows": [1], "complete": false}\')', "quick", [1], "second round"),
        ('print(\'{"rows": [1], "complete": false}\')', "failed", [1], "exit 0"),
    ],
)
def test_a_worker_is_read_stopped_and_judged(
    script: str, state: str, rows: list[int], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nimport time\n{script}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(fake))
    got = runner.run_one(cases.CASES[0], 1.5 if state == "stopped" else 30.0, True, {}, state == "quick")
    assert got[0] == state and got[1] == rows and why in got[2]


# ---- the suite -----------------------------------------------------------------------------------------


def test_without_a_gpu_the_suite_says_that_none_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(card, "find", lambda: None)
    monkeypatch.setattr(cuda, "BINARY", tmp_path / "none")
    assert cuda.run(quick=True) == []
    assert "no GPU was found" in capsys.readouterr().out


@pytest.fixture(scope="module")
def plugin() -> Path:
    need(PLUGIN)
    return PLUGIN


def worker(case: str, plugin: Path, **environment: str) -> list[dict[str, Any]]:
    """The last rows of a rehearsed case."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cuda_peers.worker", case, "--rehearse"],
        cwd=ROOT,
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(plugin), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # torch.compile on a busy machine
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1]["complete"]
    rows: list[dict[str, Any]] = told[-1]["rows"]
    return rows


def test_a_training_is_timed_on_the_executor_with_or_without_its_peers(plugin: Path) -> None:
    # whether torch is installed does not matter here
    rows = {row["metric"]: row for row in worker("train256-S", plugin, EMISOPT_BENCH_WITHOUT=TORCH)}
    assert rows.keys() == {"ms_vs_eager", "ms_vs_graphed", "ms_vs_compiled", "mfu"}
    assert all(rows[name]["ours"] > 0 and rows[name]["peer"] is None for name in rows if name != "mfu")
    assert (
        rows["ms_vs_eager"]["peer_name"] == "torch-eager"
        and "absent: torch-eager" in rows["ms_vs_eager"]["note"]
    )
    assert rows["mfu"]["ours"] is None and "no GPU" in rows["mfu"]["note"]


def test_two_processes_leave_the_same_bits(plugin: Path) -> None:
    rows = worker("deterministic", plugin)
    assert len(rows) == 3 and all(row["ours"] == 1.0 for row in rows)


def test_a_bare_machine_needs_the_core_and_numpy_only(plugin: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('pandas', 'pyarrow', 'sklearn', 'matplotlib', 'rich', 'typer', 'yaml', 'joblib'):\n"
        "    sys.modules[name] = None\n"
        "from benchmarks.cuda_peers import core\n"
        "core.settle()\n"
        "from benchmarks.cuda_peers import digest\n"
        "print(digest.digest('tick-S', 'float32', True))\n"
    )
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / Path(_core.__file__).name).symlink_to(_core.__file__)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(np.__file__).parents[1])]),
            "EMISOPT_CUDA_PLUGIN": str(plugin),
            core.FOLDER: str(stage),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 64


if importlib.util.find_spec("torch"):  # a peer: not everybody has it

    @pytest.mark.slow
    @pytest.mark.parametrize("case", ["train256-S-fp32", "tick-S"])
    def test_the_peers_answer_what_we_answer(case: str, plugin: Path) -> None:
        rows = {row["metric"]: row for row in worker(case, plugin)}
        assert rows["ms_vs_eager"]["peer"] > 0 and rows["ms_vs_compiled"]["peer"] > 0
        assert "a CPU has no CUDA graphs" in rows["ms_vs_eager"]["note"]
