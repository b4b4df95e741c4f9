"""Runs the cases of suite cuda, each in a process with a time limit, and keeps what they say."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cuda_peers import card
from benchmarks.cuda_peers.cases import Case
from benchmarks.cuda_peers.results import Budget, Results

ROOT = Path(__file__).resolve().parents[2]
SECTION = "bench"
LIMIT = 240.0  # seconds of a case
LEAST = 20.0  # seconds that must be left to begin one
ATTEMPTS = 2  # of a case that fails or outlasts its limit by itself
Say = Callable[[str], None]


def pending(entries: Mapping[str, Any], cases: Sequence[Case]) -> list[Case]:
    """Those to run: the ones never tried first, then those that lack the compiled peer, were stopped, or
    failed."""

    def again(case: Case) -> bool:
        entry = entries.get(case.name)
        return bool(entry) and entry["state"] != "done" and entry["attempts"] < ATTEMPTS

    return [c for c in cases if c.name not in entries] + [c for c in cases if again(c)]


def run_cases(
    results: Results,
    cases: Sequence[Case],
    budget: Budget,
    *,
    key: str,
    rehearse: bool,
    environment: Mapping[str, str],
    say: Say,
    limit: float = LIMIT,
) -> bool:
    """True when all cases have been brought to an end; else the budget ended first."""
    entries = results.section(SECTION, key)
    order = pending(entries, cases)
    order += [case for case in order if case.name not in entries]  # a second time, with the compiled peer
    for case in order:
        if budget.left < LEAST:
            break
        if case not in pending(entries, cases):
            continue
        before = entries.get(case.name, {"attempts": 0, "rows": []})
        say(f"bench {case.name} ...")
        begin = time.monotonic()
        quick = case.name not in entries  # all cases first without what takes minutes to compile
        state, rows, why = run_one(case, min(limit, budget.left), rehearse, environment, quick)
        uncounted = state == "quick" or (state == "stopped" and budget.left < 1.0)
        entries[case.name] = {
            "state": state,
            "attempts": before["attempts"] + (0 if uncounted else 1),
            "rows": rows or before["rows"],
            "why": why,
            "seconds": round(time.monotonic() - begin, 1),
            "clock_sm": _clock(rehearse),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        }
        results.save()
        say(f"bench {case.name}: {state} in {entries[case.name]['seconds']} s{': ' + why if why else ''}")
    return not pending(entries, cases)


def _clock(rehearse: bool) -> str:
    """Of the GPU, just after a case has used it."""
    found = None if rehearse else card.find()
    return found.clock_sm if found else ""


def run_one(
    case: Case, limit: float, rehearse: bool, environment: Mapping[str, str], quick: bool
) -> tuple[str, list[dict[str, Any]], str]:
    """("done" | "quick" (without the compiled peer) | "stopped" | "failed", the rows that it told, why)."""
    command = [sys.executable, "-m", "benchmarks.cuda_peers.worker", case.name]
    command += ["--rehearse"] * rehearse + ["--quick"] * quick
    rows: list[dict[str, Any]] = []
    complete, end = False, time.monotonic() + limit
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, **environment},
            start_new_session=True,  # compilers that it starts end with it
        )
        assert process.stdout is not None
        pipe, unread = process.stdout.fileno(), b""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(pipe, selectors.EVENT_READ)
                while selector.select(max(0.0, end - time.monotonic())):
                    chunk = os.read(pipe, 1 << 16)
                    if not chunk:
                        break
                    *lines, unread = (unread + chunk).split(b"\n")
                    for line in lines:
                        told = json.loads(line)
                        rows, complete = told["rows"], told["complete"]
                else:
                    return "stopped", rows, f"no end within {limit:.0f} s"
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            return "stopped", rows, "did not end after its last answer"
        finally:
            _end(process)
        if complete and code == 0:
            return "done", rows, ""
        if quick and rows and code == 0:
            return "quick", rows, "the compiled peer comes in a second round"
        log.seek(0)
        said = [line.strip() for line in log.read().splitlines() if line.strip()]
        return "failed", rows, f"exit {code}: {said[-1][:300] if said else 'nothing said'}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and what it started; its session is its own."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def rows_of(results: Results, key: str, cases: Sequence[Case]) -> list[harness.Row]:
    """What is known of the cases, as rows; of a rehearsal they are named so."""
    mark = "rehearsal-" if results.content["rehearsal"] else ""
    rows = []
    for case in cases:
        entry = results.section(SECTION, key).get(case.name)
        if entry is None:
            continue
        for record in entry["rows"]:
            fields = {**record, "case": mark + record["case"]}
            if fields["ours"] is None:
                fields["ours"] = float("nan")
            if mark:
                fields["note"] = f"rehearsal on a CPU, no figure of a GPU; {fields['note']}"
            if entry["state"] != "done":
                fields["note"] += f"; {entry['state']}: {entry['why']}"
            rows.append(harness.Row(**fields))
        if not entry["rows"]:
            note = f"{entry['state']}: {entry['why']}"
            rows.append(harness.Row(mark + case.name, "ms", float("nan"), note=note))
    return rows
