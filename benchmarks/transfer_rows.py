"""Rows of the transfer table, one after another, that a results file lacks; stopped at any time, it goes on.

    python -m benchmarks.transfer_rows benchmarks/results/transfer.json --days 30 90 --pair 'Dongsi-*'

The whole table of suite `accuracy`, task `transfer`, takes hours: three seeds and every test period. Here
it is one seed, at seven days four test periods, otherwise two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks import harness, machine
from benchmarks.forecasting import transfer

SUITE = "accuracy"


def periods(days: int) -> int:
    """Test periods: all four at seven days, where the goal stands."""
    return 0 if days == 7 else 2


def lacking(path: Path, days: Sequence[int], patterns: Sequence[str]) -> list[tuple[tuple[str, str], int]]:
    """Pairs and days that match and that the file has no row of."""
    known = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    cases = {row["case"] for row in known}
    return [
        (pair, count)
        for count in days
        for pair in transfer.PAIRS
        if f"transfer-{pair[0]}-{pair[1]}-{count}" not in cases
        and any(fnmatchcase(f"{pair[0]}-{pair[1]}", pattern) for pattern in patterns)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer_rows", description=__doc__)
    parser.add_argument("json", type=Path, metavar="FILE")
    parser.add_argument("--days", type=int, nargs="+", default=transfer.DAYS)
    parser.add_argument("--pair", nargs="+", default=["*"], metavar="SOURCE-TARGET")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer steps and windows, one test period")
    options = parser.parse_args(arguments)
    for pair, days in lacking(options.json, options.days, options.pair):
        rows = transfer.rows(
            options.quick, options.seeds, [pair], days=[days], cuts=periods(days), threads=1
        )  # fmt: skip
        if rows:  # else the target has not so many days
            write = harness.merge_json if options.json.is_file() else harness.write_json
            write(options.json, machine.describe(), {SUITE: rows})
        for row in rows:
            print(harness.result_line(SUITE, row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
