"""Runs notebooks and example programs from top to bottom, each in a temporary folder of its own.

    python tools/run_examples.py FILE_OR_FOLDER ...

Takes *.ipynb and *.py; a cell or program that fails is shown with its traceback. A notebook whose metadata
say `needs_data: NAME` is skipped where that data set is not there, except under CI=true, where that is a
failure. Notebooks need the extra `notebooks`. The last line counts: N passed, N failed, N skipped. Nothing
found is a failure, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

TIMEOUT_S = 900


def programs(arguments: list[str]) -> Iterator[Path]:
    for argument in map(Path, arguments):
        found = argument.iterdir() if argument.is_dir() else [argument]
        yield from sorted(path for path in found if path.suffix in (".ipynb", ".py"))


def missing() -> str:
    """What notebooks need and this Python lacks, with the command that brings it; ""."""
    lacking = [name for name in ("nbformat", "nbclient", "ipykernel") if find_spec(name) is None]
    root = Path(__file__).resolve().parents[1]
    install = f'{sys.executable} -m pip install "{root}[notebooks]"'
    return f"notebooks need {', '.join(lacking)}: {install}" if lacking else ""


def run_notebook(path: Path, folder: str) -> str:
    """Executes all cells in order; "" or what went wrong."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": folder}})
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return str(error)
    return ""


def lacks(path: Path) -> str:
    """The data set that a notebook needs and that is not there, or ""."""
    if path.suffix != ".ipynb":
        return ""
    import nbformat

    from emisopt import datasets
    from emisopt.errors import MissingFileError

    needs = str(nbformat.read(path, as_version=4).metadata.get("needs_data", ""))
    try:
        if needs:
            datasets.load(needs)
    except MissingFileError:
        return needs
    return ""


def run_program(path: Path, folder: str) -> str:
    """Executes a Python program without arguments; "" or what it printed and how it ended."""
    try:
        done = subprocess.run(
            [sys.executable, str(path.resolve())],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"still running after {TIMEOUT_S} s"
    return "" if done.returncode == 0 else f"{done.stdout}exit {done.returncode}"


def main(arguments: list[str]) -> int:
    passed = failed = skipped = 0
    needs_more = missing()
    for path in programs(arguments):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="emisopt-example-") as folder:
            try:
                if needs_more and path.suffix == ".ipynb":
                    raise ValueError(needs_more)
                if needs := lacks(path):
                    ci = os.environ.get("CI") == "true"
                    what = "FAILED" if ci else "skipped"
                    print(f"{what} {path}: no data set {needs}; set EMISOPT_DATA", flush=True)
                    failed, skipped = failed + ci, skipped + (not ci)
                    continue
                wrong = run_notebook(path, folder) if path.suffix == ".ipynb" else run_program(path, folder)
            except (OSError, ValueError) as error:  # not there, or not a notebook
                wrong = str(error)
        print(f"{'FAILED' if wrong else 'passed'} {path} ({time.monotonic() - begin:.0f} s)", flush=True)
        if wrong:
            print(wrong, flush=True)
        failed += bool(wrong)
        passed += not wrong
    if not passed + failed + skipped:
        print(f"no notebook or program in {' '.join(arguments) or 'no arguments'}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed + skipped and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
