"""tools/run_steps.py: every step runs, the closing lines of all come last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools import run_steps

ROOT = Path(__file__).resolve().parents[2]


def run_tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/run_steps.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )


def test_closing_lines_of_all_steps_come_last_and_a_failure_counts(tmp_path: Path) -> None:
    done = run_tool(
        tmp_path,
        "pytest=echo '=== 3 passed, 1 skipped in 0.10s ==='",
        "ctest=echo noise; echo '50% tests passed, 1 tests failed out of 2'; echo '  1 - a (Failed)'; exit 8",
    )
    assert done.returncode == 1
    last = done.stdout.split("==== closing lines\n")[1].splitlines()
    assert last[0].startswith("-- ctest: FAILED (exit 8)")
    assert last[1:3] == ["50% tests passed, 1 tests failed out of 2", "  1 - a (Failed)"]
    assert last[3].startswith("-- pytest: ok")
    assert last[4] == "=== 3 passed, 1 skipped in 0.10s ==="


def test_the_lines_of_an_earlier_call_are_repeated(tmp_path: Path) -> None:
    assert run_tool(tmp_path, "pytest=echo '=== 3 passed in 1s ==='").returncode == 0
    done = run_tool(
        tmp_path, "--with", "pytest", "absent", "--", "readme=echo '7 passed, 0 failed, 0 skipped'"
    )
    assert done.returncode == 0
    last = done.stdout.split("==== closing lines\n")[1]
    assert "7 passed, 0 failed" in last
    assert "-- absent: did not run" in last
    assert last.endswith("=== 3 passed in 1s ===\n")


def test_steps_joined_by_a_plus_run_at_the_same_time_and_print_in_one_piece(tmp_path: Path) -> None:
    # each waits for what the other makes: one after the other they would not end
    wait = "for i in $(seq 600); do [ -e {1} ] && break; sleep 0.05; done"
    meet = f"touch {{0}}; {wait}; echo {{0}}1; [ -e {{1}} ] && echo {{0}}2"
    done = run_tool(tmp_path, f"a={meet.format('a', 'b')}", "+", f"b={meet.format('b', 'a')}", "c=exit 3")
    assert done.returncode == 1
    for step in "ab":
        assert f"{step}1\n{step}2\n" in done.stdout
        assert (tmp_path / f"build/logs/{step}.verdict").read_text().startswith("ok, ")
    assert (tmp_path / "build/logs/c.verdict").read_text().startswith("FAILED (exit 3)")
    assert run_steps.groups(["a", "+", "b", "c", "d", "+"]) == [["a", "b"], ["c"], ["d"]]


def test_skips_and_their_reasons_belong_to_the_closing_lines() -> None:
    summary = ["=== short test summary info ===", "SKIPPED [1] a.py:3: no data", "=== 1 skipped in 1s ==="]
    assert run_steps.closing_lines("\n".join(["...", *summary, ""])) == summary


def test_a_step_without_a_command_is_refused(tmp_path: Path) -> None:
    assert run_tool(tmp_path, "pytest").returncode == 2
    assert run_tool(tmp_path).returncode == 2
