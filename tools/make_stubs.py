"""Writes python/emisopt/_core.pyi, the types of the compiled module, from the module itself.

    python tools/make_stubs.py [--check]

Needs the built and installed package (`make build`). --check compares instead of writing and exits with 1
on a difference, which it prints.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "python/emisopt/_core.pyi"


def generate() -> str:
    """The stub text of the `emisopt._core` that this interpreter imports."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "emisopt._core", "-o", folder, "--exit-code"]
        command += ["--enum-class-locations", r"[A-Z]\w*:emisopt._core"]  # of enums as default arguments
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pybind11-stubgen failed:\n{done.stdout}{done.stderr}")
        text = (Path(folder) / "emisopt/_core.pyi").read_text(encoding="utf-8")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def difference(committed: str, generated: str) -> str:
    """A unified diff, empty when both agree."""
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True),
        generated.splitlines(keepends=True),
        "python/emisopt/_core.pyi",
        "the compiled module",
    )
    return "".join(lines)


def main(arguments: list[str]) -> int:
    generated = generate()
    if "--check" not in arguments:
        STUB.write_text(generated, encoding="utf-8")
        return 0
    delta = difference(STUB.read_text(encoding="utf-8") if STUB.exists() else "", generated)
    print(delta, end="")
    return 1 if delta else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
