"""Checks the house's plan: which room may see which, tests beside sources, no file too long.

    python tools/check_layers.py [ROOT]

Prints one line per breach, `file:line: what, and what is allowed`, and exits with 1 when there is any.
The rooms are folders of csrc/emisopt in the order in which data flows (docs/tour.md); an include may point
to the same or an earlier room only. So nothing that decides can see the simulated plant.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = (
    "base", "data", "permit", "plume", "monitor", "features", "model",
    "train", "qp", "control", "ledger", "plant", "loop",
)  # fmt: skip
# All that the rooms may know of the engines: the network's programs, and the dense fp64 algebra of qp, which
# is no program (nothing to compile, no arena) and so has a header of its own.
SEAMS = ("kernels/backend.hpp", "kernels/dense.hpp")
UMBRELLA = "emisopt/emisopt.hpp"  # for users; no room may include it
MAX_LINES = 500

# C++ tests without a source of the same name, each with its reason.
TESTS_OF_SEVERAL_SOURCES = {
    "tests/cpp/kernels/golden_test.cpp": "every op beside numbers of a PyTorch twin",
    "tests/cpp/kernels/levels_test.cpp": "the instruction sets beside each other, over all ops",
    "tests/cpp/kernels/network_gradient_test.cpp": "whole networks, through every kernel",
    "tests/cpp/kernels/op_gradient_test.cpp": "each op of kernels/ref by finite differences, one suite",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CXX = {".cpp", ".hpp", ".inl", ".cu", ".cuh", ".h"}
COUNTED = CXX | {".py", ".sh", ".cmake"}
FORBIDDEN = re.compile(r"^(Python\.h|pybind11/.*|nanobind/.*|numpy/.*|cuda.*\.h|cublas.*\.h|nccl\.h)$")
SKIPPED_FOLDERS = {"build", "dist", "__pycache__"}


@dataclass(frozen=True)
class Include:
    path: Path  # relative to the root
    line: int
    target: str  # as written between the quotes
    quoted: bool


def source_files(root: Path, folder: str, suffixes: set[str]) -> Iterator[Path]:
    """Files below `folder`, relative to the root, sorted; hidden and build folders are left out."""
    for path in sorted((root / folder).rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") or part in SKIPPED_FOLDERS for part in relative.parts)
        if path.is_file() and path.suffix in suffixes and not hidden:
            yield relative


def includes(root: Path, folder: str) -> Iterator[Include]:
    for path in source_files(root, folder, CXX):
        text = (root / path).read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            if match := INCLUDE.match(line):
                yield Include(path, number, match.group(2), match.group(1) == '"')


def own_target(target: str) -> bool:
    return target.startswith(("emisopt/", "kernels/"))


def room_of(target: str) -> str:
    """The room that "emisopt/ROOM/file.hpp" names, or "" when it names none."""
    parts = target.split("/")
    return parts[1] if len(parts) > 2 and parts[1] in ROOMS else ""


def breach_in_room(room: str, include: Include) -> str:
    """What is wrong with an include in csrc/emisopt/ROOM, or ""."""
    target = include.target
    if FORBIDDEN.match(target):
        return f"{target}: csrc knows neither Python nor CUDA (python/bindings and kernels/cuda do)"
    if target.startswith("kernels/"):
        if target not in SEAMS:
            return f"{target}: csrc knows the engines through {' and '.join(SEAMS)} only"
        if room == "base":
            return f"{target}: base comes before the engines"
    if target == UMBRELLA:
        return f"{target}: the umbrella header is for users; include the rooms that are needed"
    if target.startswith("emisopt/"):
        other = room_of(target)
        if not other:
            return f"{target}: no such room; the rooms are {', '.join(ROOMS)}"
        if ROOMS.index(other) > ROOMS.index(room):
            return f"{target}: {room} may include {' '.join(ROOMS[: ROOMS.index(room) + 1])}"
    elif include.quoted and not own_target(target):
        return f'"{target}": write the full path, "emisopt/ROOM/file.hpp"'
    return ""


def breach_in_kernels(include: Include) -> str:
    target = include.target
    if target.startswith("emisopt/") and room_of(target) != "base":
        return f"{target}: kernels know emisopt/base only"
    if FORBIDDEN.match(target) and include.path.parts[1] != "cuda":
        return f"{target}: only kernels/cuda may include it"
    return ""


def layer_breaches(root: Path) -> Iterator[str]:
    for folder in sorted((root / "csrc/emisopt").glob("*/")):
        if folder.is_dir() and folder.name not in ROOMS:
            yield f"csrc/emisopt/{folder.name}: not a room; the rooms are {', '.join(ROOMS)}"
    for include in includes(root, "csrc"):
        room = include.path.parts[2] if len(include.path.parts) > 3 else ""
        if room in ROOMS and (breach := breach_in_room(room, include)):
            yield f"{include.path}:{include.line}: {breach}"
    for include in includes(root, "kernels"):
        if breach := breach_in_kernels(include):
            yield f"{include.path}:{include.line}: {breach}"


def has_source(root: Path, test: Path) -> bool:
    """Whether tests/cpp/ROOM/x_test.cpp has csrc/emisopt/ROOM/x.* or, for kernels, any kernels/**/x.*."""
    name = test.name.removesuffix("_test.cpp")
    inner = test.relative_to("tests/cpp").parent
    if inner.parts[:1] == ("kernels",):
        return any(path.stem == name for path in source_files(root, "kernels", CXX))
    return any((root / "csrc/emisopt" / inner).glob(f"{name}.*"))


def mirror_breaches(root: Path, allowed: dict[str, str]) -> Iterator[str]:
    for test in source_files(root, "tests/cpp", {".cpp"}):
        if test.name.endswith("_test.cpp") and str(test) not in allowed and not has_source(root, test):
            yield f"{test}: no source of this name; rename it, or give tools/check_layers.py a reason"
    for test in allowed:
        if not (root / test).exists():
            yield f"{test}: listed in tools/check_layers.py, but not there"
        elif has_source(root, Path(test)):
            yield f"{test}: listed in tools/check_layers.py, but has a source of its name"


def length_breaches(root: Path) -> Iterator[str]:
    for folder in ("csrc", "kernels", "python", "tests", "tools", "benchmarks", "examples", "cmake"):
        for path in source_files(root, folder, COUNTED):
            lines = len((root / path).read_text(encoding="utf-8").splitlines())
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, at most {MAX_LINES}: is there a seam inside?"


def check(root: Path, allowed: dict[str, str]) -> list[str]:
    """All breaches below `root`, layers first. `allowed`: tests without a twin -> reason."""
    return [*layer_breaches(root), *mirror_breaches(root, allowed), *length_breaches(root)]


def main(arguments: list[str]) -> int:
    own = Path(__file__).resolve().parent.parent
    root = Path(arguments[0]) if arguments else own
    breaches = check(root, TESTS_OF_SEVERAL_SOURCES if root == own else {})
    for breach in breaches:
        print(breach)
    seen = sum(1 for folder in ("csrc", "kernels") for _ in source_files(root, folder, CXX))
    print(f"check_layers: {seen} C++ files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
