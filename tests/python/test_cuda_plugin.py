"""What nvcc makes of the CUDA sources: the plugin that is shipped, and the tests for a GPU (not run here)."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emisopt import _core
from tools.gpu import shards

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = re.compile(r"lib(c|m|stdc\+\+|gcc_s|dl|pthread|rt)\.so\.\d+|ld-linux.*")

pytestmark = pytest.mark.slow  # a few minutes of nvcc


def command(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{words}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    return done.stdout


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the wheel gets it: by the install of component python. One architecture, else it takes twice as
    long."""
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc (a CUDA toolkit) on PATH")
    folder = tmp_path_factory.mktemp("plugin")
    command(
        "cmake", "-S", ROOT, "-B", folder / "tree", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DEMISOPT_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=90a-real", "-DEMISOPT_BUILD_PYTHON=OFF",
        "-DEMISOPT_BUILD_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}",
    )  # fmt: skip
    targets = ("emisopt_cuda", "emisopt_cuda_attention", "test_cuda_device")
    command("cmake", "--build", folder / "tree", "--target", *targets)
    command("cmake", "--install", folder / "tree", "--component", "python", "--prefix", folder / "prefix")
    return folder / "prefix/emisopt/libemisopt_cuda.so"


def test_nothing_of_cuda_is_linked(plugin: Path) -> None:
    needed = re.findall(r"NEEDED\).*\[(.+?)\]", command("readelf", "-d", plugin))
    assert needed
    # cudart is static; the driver, cuBLAS and NCCL are opened at run time, where they are
    assert [library for library in needed if not SYSTEM.fullmatch(library)] == []
    undefined = command("nm", "-D", "--undefined-only", plugin)
    assert not re.findall(r"\b(?:cu[A-Z]\w+|cuda[A-Z]\w+|cublas\w+|nccl\w+)\b", undefined)


def test_it_shows_its_two_functions_and_no_other_of_ours(plugin: Path) -> None:
    shown = [line.split()[-1] for line in command("nm", "-D", "--defined-only", plugin).splitlines()]
    assert {"emisopt_cuda_plugin", "emisopt_cuda_versions"} <= set(shown)
    # templates of libstdc++ are shown by every library; the kernels and the static cudart must not be
    others = [name for name in shown if "emisopt" in name or re.match(r"_*cu(da)?[A-Z]|_*nv", name)]
    assert sorted(others) == ["emisopt_cuda_plugin", "emisopt_cuda_versions"]


def test_the_tests_for_a_gpu_know_nothing_of_the_executor(plugin: Path) -> None:
    binary = plugin.parents[2] / "tree/tests/cuda_device/test_cuda_device"
    tests = shards.list_tests(binary)
    suites = {test.partition(".")[0].partition("/")[0] for test in tests}
    assert {"Attention", "CudaProgram", "CudaTraining", "GemmBf16"} <= suites
    assert not suites & {"Defects", "Streams", "CudaErrors", "BlasLt"}
    assert len(tests) > 50


def test_its_interface_and_sources_are_those_of_the_core(plugin: Path) -> None:
    class Table(ctypes.Structure):
        _fields_ = (("abi", ctypes.c_uint32), ("sources", ctypes.c_char_p))

    entry = ctypes.CDLL(str(plugin)).emisopt_cuda_plugin
    entry.restype = ctypes.POINTER(Table)
    table = entry().contents
    header = (ROOT / "kernels/cuda_plugin.hpp").read_text(encoding="utf-8")
    stated = re.search(r"kCudaPluginAbi = (\d+);", header)
    assert stated and table.abi == int(stated.group(1))
    assert table.sources.decode().startswith(f"{_core.__version__}-")


def test_the_core_takes_it_and_says_what_the_machine_lacks(plugin: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", 'import emisopt; print(emisopt.show_config()["device"])'],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(plugin)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "can be used: NVIDIA driver" in done or "no NVIDIA driver is installed" in done or "GPU" in done
    assert "belongs to" not in done and "plugin interface" not in done and "torn" not in done
