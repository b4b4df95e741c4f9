"""The one door to the benchmarks."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import harness, machine

FOLDER = Path(__file__).parent
LOG_WIDTH = 140  # of the table in a file or pipe, where no terminal tells its own


def suites(folder: Path = FOLDER) -> dict[str, str]:
    """Name -> first docstring line of each module that defines `run`. Reads the sources only: a peer that is
    not installed must not hide the other suites."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


def _run_of(name: str) -> Callable[..., list[harness.Row]]:
    run: Callable[..., list[harness.Row]] = importlib.import_module(f"benchmarks.{name}").run
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    known = suites()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare with named peers.")
    parser.add_argument("suite", nargs="*", metavar="SUITE", help="all when none is named; see --list")
    parser.add_argument("--quick", action="store_true", help="fewer seeds, smaller sizes")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also write machine and rows to FILE; with --case, FILE's others stay",
    )
    parser.add_argument("--case", action="append", default=[], metavar="PATTERN", help="only such rows")
    parser.add_argument("--peer", action="append", default=[], metavar="PATTERN", help="only such peers")
    parser.add_argument("--list", action="store_true", help="name the suites and stop")
    options = parser.parse_args(arguments)
    if options.list:
        for name, description in known.items():
            print(f"{name:12} {description}")
        return 0
    unknown = [name for name in options.suite if name not in known]
    if unknown:
        print(
            f"benchmarks: no suite {', '.join(unknown)}; there are: {', '.join(known) or 'none'}",
            file=sys.stderr,
        )
        return 2

    choice = {name: value for name, value in (("cases", options.case), ("peers", options.peer)) if value}
    for name in (options.suite or known) if choice else ():
        missing = choice.keys() - inspect.signature(_run_of(name)).parameters.keys()
        if missing:
            what = " or ".join(sorted(missing)).replace("cases", "single rows")
            print(f"benchmarks: suite {name} has no choice of {what}", file=sys.stderr)
            return 2

    about = machine.describe()
    print(machine.sentence(about))
    console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
    results = {}
    for name in options.suite or known:
        rows = _run_of(name)(quick=options.quick, **choice)
        harness.print_rows(name, rows, console)
        results[name] = rows
    if options.json:
        if choice and options.json.is_file():
            harness.merge_json(options.json, about, results, peers_chosen=bool(options.peer))
        else:
            harness.write_json(options.json, about, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
