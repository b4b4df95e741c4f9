"""Where NVIDIA's libraries lie: in the folders of its wheels, else where the system finds them."""

from __future__ import annotations

import ctypes.util
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

__all__ = ["LIBRARIES", "describe", "find_library"]

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
