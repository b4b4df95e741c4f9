"""A program with a time limit, ended with all that it started."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Ended(NamedTuple):
    """How a program ended."""

    code: int | None  # None: it was stopped at its limit
    output: str  # both streams


def run(words: Sequence[str | Path], limit: float, cwd: Path, environment: Mapping[str, str]) -> Ended:
    """Raises OSError for a program that is not there."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its compilers and workers end with it
        )
        try:
            code: int | None = process.wait(max(0.0, limit))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
        log.seek(0)
        return Ended(code, log.read())
