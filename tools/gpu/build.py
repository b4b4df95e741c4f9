"""The build tree for a GPU (build/gpu), or its rehearsal on the host executor (build/gpu-rehearsal)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cuda_peers.core import ATTENTION, FOLDER
from benchmarks.cuda_peers.results import Budget
from tools.gpu import process

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = "third_party"  # in a bundle: what the build would else look for on the system
Say = Callable[[str], None]


class BuildFailed(Exception):
    """The text names the step and its last lines."""


class BudgetEnded(Exception):
    """The time was up; the next call goes on."""


@dataclass(frozen=True)
class Tree:
    """A build tree: where its parts lie, which of them a command needs."""

    root: Path = ROOT
    rehearse: bool = False
    architecture: str = "90a-real"

    @property
    def folder(self) -> Path:
        return self.root / ("build/gpu-rehearsal" if self.rehearse else "build/gpu")

    @property
    def results(self) -> Path:
        return self.folder / "results.json"

    @property
    def tests(self) -> Path:
        """The kernels' tests, for the device, or on the executor."""
        return self.folder / (
            "tests/cuda_host/test_cuda" if self.rehearse else "tests/cuda_device/test_cuda_device"
        )

    @property
    def checked(self) -> Path:
        """A rehearsal's stand-in for compute-sanitizer: every access watched by the executor."""
        return self.folder / "tests/cuda_host/test_cuda_checked"

    @property
    def stage(self) -> Path:
        """Where component python is installed."""
        return self.folder / "stage"

    @property
    def plugin(self) -> Path:
        if self.rehearse:
            return self.folder / "tests/cuda_host/libemisopt_cuda_on_host.so"
        return self.stage / "emisopt/libemisopt_cuda.so"

    @property
    def attention(self) -> Path:
        if self.rehearse:
            return self.folder / "tests/cuda_host/libemisopt_cuda_attention_on_host.so"
        return self.folder / "tests/cuda_device/libemisopt_cuda_attention.so"

    def environment(self) -> dict[str, str]:
        """What a benchmark's process needs to find them."""
        return {
            FOLDER: str(self.stage / "emisopt"),
            "EMISOPT_CUDA_PLUGIN": str(self.plugin),
            ATTENTION: str(self.attention),
            # what torch.compile tuned is kept: a case that was stopped goes on from there
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
            "TRITON_CACHE_DIR": str(self.folder / "triton"),
        }

    def targets(self, command: str) -> list[str]:
        if command == "test":
            return [self.tests.name]
        if command == "sanitize":
            return [self.checked.name if self.rehearse else self.tests.name]
        programs = ["_core", "emisopt_cuda_on_host" if self.rehearse else "emisopt_cuda"]
        programs.append("emisopt_cuda_attention_on_host" if self.rehearse else "emisopt_cuda_attention")
        if command == "bench":
            return programs
        tests = [self.tests.name, self.checked.name] if self.rehearse else [self.tests.name]
        return [*programs, *tests]

    def key(self, files: Sequence[Path]) -> str:
        """A hash of what is run: results belong to it."""
        whole = hashlib.sha256()
        for file in files:
            whole.update(file.read_bytes())
        return whole.hexdigest()[:16]


def options(tree: Tree) -> list[str]:
    """Of CMake's configuration."""
    found = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DEMISOPT_BUILD_TESTS=ON",
        "-DEMISOPT_BUILD_PYTHON=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    if not tree.rehearse:
        found += ["-DEMISOPT_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={tree.architecture}"]
    if shutil.which("ninja"):
        found += ["-G", "Ninja"]
    third_party = tree.root / THIRD_PARTY
    if third_party.is_dir():
        return [
            *found,
            f"-DCMAKE_PREFIX_PATH={third_party / 'eigen'}",
            f"-Dpybind11_DIR={third_party / 'pybind11/share/cmake/pybind11'}",
            f"-DEMISOPT_GOOGLETEST={third_party / 'googletest'}",
            "-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON",
        ]
    try:
        import pybind11
    except ImportError:
        return found
    return [*found, f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]


def build(tree: Tree, command: str, budget: Budget, say: Say) -> None:
    """Configures where need be and builds what `command` runs. Raises BuildFailed, BudgetEnded."""
    if not (tree.folder / "CMakeCache.txt").exists():
        say(f"configuring {tree.folder}")
        _step(["cmake", "-S", tree.root, "-B", tree.folder, *options(tree)], tree, budget)
    say(f"building {', '.join(tree.targets(command))}")
    jobs = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    _step(["cmake", "--build", tree.folder, "-j", jobs, "--target", *tree.targets(command)], tree, budget)
    if command in ("bench", "build"):
        words = ["cmake", "--install", tree.folder, "--component", "python", "--prefix", tree.stage]
        _step([str(word) for word in words], tree, budget)
        if not list((tree.stage / "emisopt").glob("_core*.so")):
            raise BuildFailed(
                f"no Python module in {tree.stage}: expected Python's headers (Python.h) for {sys.executable}"
            )


def _step(words: Sequence[str | Path], tree: Tree, budget: Budget) -> None:
    try:
        ended = process.run(words, budget.left, tree.root, {})
    except OSError as error:
        raise BuildFailed(f"{words[0]}: {error.strerror}") from error
    if ended.code is None:
        raise BudgetEnded(f"{words[0]} {words[1]}")
    if ended.code != 0:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)][:8]
        told = "\n".join(errors + lines[-12:])
        raise BuildFailed(f"{' '.join(map(str, words[:3]))} ...: exit {ended.code}\n{told}")
