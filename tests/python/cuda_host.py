"""The plugin on the executor and its stand-ins, which the C++ tests' build leaves in tests/cuda_host."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "build/dev/tests/cuda_host"
PLUGIN = FOLDER / "libemisopt_cuda_on_host.so"


def need(*files: Path) -> None:
    """Skips, under CI fails (no_skips.py), where one of these was not built."""
    for file in files:
        if not file.is_file():
            pytest.skip(
                f"no {file.name}: the C++ tests were not built, or no CUDA toolkit's headers are here"
            )
