"""Where NVIDIA's libraries lie: in the folders of its wheels, else where the system finds them; versions."""

from __future__ import annotations

import ctypes.util
import os
import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

__all__ = ["LIBRARIES", "describe", "driver", "find_library", "versions"]

_DRIVER = Path("/proc/driver/nvidia/version")

# file, the system's name for it, packages that bring it; a library of another major number is never taken
LIBRARIES = {
    "cuBLASLt": ("libcublasLt.so.13", "cublasLt", "nvidia-cublas"),
    "NCCL": ("libnccl.so.2", "nccl", "nvidia-nccl-cu13"),
}
_FOLDERS = ("cu13/lib", "nccl/lib", "cublas/lib")  # of CUDA 13's wheels, and of older ones


def find_library(name: str) -> str:
    """The path of one of :data:`LIBRARIES` without loading it; "": not found.

    Examples
    --------
    >>> from emisopt._nvidia import find_library
    >>> isinstance(find_library("NCCL"), str)
    True
    """
    file, system, _ = LIBRARIES[name]
    spec = find_spec("nvidia")
    for place in () if spec is None else spec.submodule_search_locations or ():
        for folder in _FOLDERS:
            path = Path(place) / folder / file
            if path.is_file():
                return str(path)
    found = ctypes.util.find_library(system)
    return found if found == file else ""


def describe(name: str) -> str:
    """A library in one line: where it was found and its version, or the command that brings it."""
    _, _, package = LIBRARIES[name]
    path = find_library(name)
    if not path:
        return "not found; pip install 'emisopt[cuda13]' brings it"
    try:
        return f"{metadata.version(package)} ({path})" if "/" in path else path
    except metadata.PackageNotFoundError:
        return path


def driver() -> str:
    """The kernel driver's own version, e.g. "580.65.06"; "": the system tells none."""
    try:
        text = _DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return found.group(1) if found else ""


def versions(core: str) -> str:
    """Of driver and run-time, as the plugin that the core has opened is told them.

    Parameters
    ----------
    core : the compiled module's file, beside which the plugin lies unless EMISOPT_CUDA_PLUGIN names one; only
        where `cuda_refusal()` is empty, so that the file is known to be sound
    """
    path = os.environ.get("EMISOPT_CUDA_PLUGIN") or str(Path(core).with_name("libemisopt_cuda.so"))
    found, runtime = ctypes.c_int(), ctypes.c_int()
    ctypes.CDLL(path).emisopt_cuda_versions(ctypes.byref(found), ctypes.byref(runtime))
    numbers = [f"{v.value // 1000}.{v.value % 1000 // 10}" for v in (found, runtime)]
    return f"NVIDIA driver {driver() or 'of unknown version'} for CUDA {numbers[0]}, run-time {numbers[1]}"
