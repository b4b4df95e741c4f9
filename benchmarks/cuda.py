"""CUDA: what the host executor finds; where a GPU is, training, ticks and attention against PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks import machine
from benchmarks.cuda_peers import card, cases, runner
from benchmarks.cuda_peers.results import Budget, Results
from benchmarks.harness import Row

BUILD = Path(os.environ.get("EMISOPT_BUILD", "build/dev"))
BINARY = BUILD / "tests/cuda_host/test_cuda_checked"
EXECUTOR = "executor"


def run(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    rows = []
    if not cases or any(fnmatchcase(EXECUTOR, pattern) for pattern in cases):
        rows += executor_rows(BINARY)
    return rows + device_rows(quick, cases)


def device_rows(quick: bool, patterns: Sequence[str]) -> list[Row]:
    """Against PyTorch; none where no GPU is found, or this installation cannot use it, which is printed."""
    from emisopt import _core

    found = card.find()
    why = card.NONE if found is None else _core.cuda_refusal()
    if found is None or why:
        print(f"cuda: {why}; only the host executor is measured")
        return []
    chosen = cases.choose(list(patterns))
    results = Results(BUILD / "cuda.json", rehearsal=False)
    if results.told:
        print(f"cuda: {results.told}", file=sys.stderr)
    results.content["machine"] = {**machine.describe(), **found.facts()}
    results.content.pop(runner.SECTION, None)  # asked for anew: tools/gpu goes on where it stopped
    key = _core.__version__
    runner.run_cases(
        results,
        chosen[:3] if quick else chosen,
        Budget(600.0 if quick else 7200.0),
        key=key,
        rehearse=False,
        environment={},
        say=lambda text: print(text, file=sys.stderr, flush=True),
        limit=900.0,
    )
    return runner.rows_of(results, key, chosen)


def executor_rows(binary: Path) -> list[Row]:
    """Sown defects that the executor finds (tests/cuda_host/defects.cu), and how many there are."""
    if not binary.is_file():
        print(f"cuda: no {binary}; build the C++ tests with `make build` where a CUDA toolkit's headers are")
        return []
    done = subprocess.run(
        [str(binary), "--gtest_filter=Defects.*"], capture_output=True, text=True, check=False, timeout=300
    )
    found = re.search(r"DEFECTS found=(\d+) total=(\d+)", done.stdout)
    if not found:
        raise RuntimeError(
            f"{binary}: expected a line 'DEFECTS found=', got rc {done.returncode}:\n{done.stdout}"
        )
    note = "every load and store watched" if done.returncode == 0 else "the test failed"
    return [
        Row(EXECUTOR, "seeded_caught", float(found[1]), better="higher", note=note),
        Row(EXECUTOR, "seeded_total", float(found[2]), better="higher"),
    ]
