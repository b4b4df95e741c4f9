"""The kernels' tests, each in a process of its own: by themselves, or under compute-sanitizer."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from benchmarks.cuda_peers.results import Budget, Results
from tools.gpu import process

SANITIZER = "compute-sanitizer"
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
ERROR = 86  # its exit status when it found something
LEAST = 10.0  # seconds that must be left to begin a shard
Say = Callable[[str], None]


@dataclass(frozen=True)
class Shard:
    """`name` in the results file, and the command."""

    name: str
    words: tuple[str, ...]


def list_tests(binary: Path) -> list[str]:
    """Suite.Test of a GoogleTest binary, typed and parametrised ones as it names them."""
    done = subprocess.run(
        [str(binary), "--gtest_list_tests"], capture_output=True, text=True, check=True, timeout=120
    )
    return parse_tests(done.stdout)


def parse_tests(listing: str) -> list[str]:
    tests, suite = [], ""
    for line in listing.splitlines():
        word = line.split("#")[0].strip()
        if re.fullmatch(r"\S+\.", word) and not line.startswith(" "):
            suite = word
        elif line.startswith("  ") and word and suite:
            tests.append(suite + word)
    return tests


def of_tests(binary: Path, tests: Sequence[str]) -> list[Shard]:
    return [Shard(test, (str(binary), f"--gtest_filter={test}")) for test in tests]


def of_sanitizer(binary: Path, tests: Sequence[str]) -> list[Shard]:
    """Tool by tool: memcheck is whole before racecheck begins."""
    return [
        Shard(
            f"{tool}:{test}",
            (
                SANITIZER,
                "--tool",
                tool,
                "--error-exitcode",
                str(ERROR),
                str(binary),
                f"--gtest_filter={test}",
            ),
        )
        for tool in TOOLS
        for test in tests
    ]


def of_checked(binary: Path, tests: Sequence[str]) -> list[Shard]:
    return [Shard(f"checked:{test}", (str(binary), f"--gtest_filter={test}")) for test in tests]


def verdict(ended: process.Ended) -> tuple[str, str]:
    """("passed" | "skipped" | "failed" | "stopped", why)."""
    if ended.code is None:
        return "stopped", "no end within its limit"
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    if ended.code == 0 and re.search(r"\[  SKIPPED \]", ended.output):
        return "skipped", ""
    if ended.code == 0 and re.search(r"\[  PASSED  \] 1 test", ended.output):
        return "passed", ""
    telling = [
        line
        for line in lines
        if re.search(r"^========= (?!COMPUTE|ERROR SUMMARY)\S|Failure|expected|error|terminate", line)
    ]
    return "failed", f"exit {ended.code}: " + " | ".join((telling or lines[-3:])[:6])[:800]


def pending(entries: Mapping[str, Any], shards: Sequence[Shard]) -> list[Shard]:
    """Never tried ones first, then those that were stopped (twice at most)."""

    def again(shard: Shard) -> bool:
        entry = entries.get(shard.name)
        return bool(entry) and entry["state"] == "stopped" and entry["attempts"] < 2

    return [s for s in shards if s.name not in entries] + [s for s in shards if again(s)]


def run(
    results: Results,
    section: str,
    key: str,
    shards: Sequence[Shard],
    budget: Budget,
    *,
    limit: float,
    jobs: int,
    root: Path,
    say: Say,
) -> bool:
    """True when every shard has an end; else the budget ended first."""
    entries = results.section(section, key)
    lock = Lock()

    def one(shard: Shard) -> None:
        left = budget.left
        if left < LEAST:
            return
        begin = time.monotonic()
        ended = process.run(shard.words, min(limit, left), root, {})
        state, why = verdict(ended)
        seconds = time.monotonic() - begin
        with lock:
            attempts = entries.get(shard.name, {"attempts": 0})["attempts"]
            by_budget = state == "stopped" and left < limit
            entries[shard.name] = {
                "state": state,
                "attempts": attempts + (0 if by_budget else 1),
                "seconds": round(seconds, 2),
                "why": why,
            }
            results.save()
            if state != "passed":
                say(f"{section} {shard.name}: {state} {why}")

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for done in [pool.submit(one, shard) for shard in pending(entries, shards)]:
            done.result()
    return not pending(entries, shards)


def counts(entries: Mapping[str, Any], shards: Sequence[Shard]) -> dict[str, int]:
    """How many passed, were skipped, failed, are to go; by the shards that there are now."""
    found = {"passed": 0, "skipped": 0, "failed": 0, "to go": 0}
    waiting = {shard.name for shard in pending(entries, shards)}
    for shard in shards:
        state = "to go" if shard.name in waiting else entries[shard.name]["state"]
        found["failed" if state == "stopped" else state] += 1
    return found
