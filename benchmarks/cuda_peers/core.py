"""The compiled core for suite cuda: that of the installed package, or of a build tree on a bare machine."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path

FOLDER = "EMISOPT_BENCH_CORE"
ATTENTION = "EMISOPT_BENCH_ATTENTION"  # the library of benchmarks/cuda_attention.cpp
CUBLASLT = "EMISOPT_CUBLASLT"
WITHOUT = "EMISOPT_BENCH_WITHOUT"
SOURCES = Path(__file__).resolve().parents[2] / "python/emisopt"


def settle() -> None:
    """Where EMISOPT_BENCH_CORE names a folder with _core and its plugin, `emisopt` is that core and the
    modules of the source tree, without what the package imports at its top (pandas and others, which a bare
    machine may lack). Modules that EMISOPT_BENCH_WITHOUT names count as not installed. Call it before
    anything of emisopt is imported."""
    for name in os.environ.get(WITHOUT, "").split():
        sys.modules[name] = None  # type: ignore[assignment]
    folder = os.environ.get(FOLDER)
    if folder and "emisopt" not in sys.modules:
        if not list(Path(folder).glob("_core*.so")):
            raise FileNotFoundError(f"{FOLDER}: expected a folder with _core*.so, got {folder}")
        package = types.ModuleType("emisopt")
        package.__path__ = [folder, str(SOURCES)]
        sys.modules["emisopt"] = package
        package._core = importlib.import_module("emisopt._core")  # type: ignore[attr-defined]
    # the plugin looks beside the installed package, where a build tree has nothing
    if folder and CUBLASLT not in os.environ:
        path = importlib.import_module("emisopt._nvidia").find_library("cuBLASLt")
        if path:
            os.environ[CUBLASLT] = path


def products() -> str:
    """What our products go to, as far as the environment says it."""
    if os.environ.get("EMISOPT_CUDA_PRODUCTS") == "own":
        return "our kernels"
    return os.environ.get(CUBLASLT) or "cuBLASLt where the plugin finds it"
