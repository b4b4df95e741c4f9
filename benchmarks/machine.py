"""What a figure was measured on: processor, instruction sets, system, versions; nothing that names a host."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

# Peers and what the figures depend on; those not installed are left out.
PACKAGES = (
    "emisopt",
    "numpy",
    "pandas",
    "scikit-learn",
    "torch",
    "onnxruntime",
    "jax",
    "lightgbm",
    "xgboost",
    "osqp",
    "piqp",
    "scipy",
    "river",
)


def cpu_model() -> str:
    """The processor's name as the system tells it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Those that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Python and the packages that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, object]:
    """For the head of the report and the JSON file."""
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "isa": os.environ.get("EMISOPT_ISA") or core_isa(),
        "threads": os.environ.get("EMISOPT_THREADS", ""),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": versions(),
    }


def sentence(about: dict[str, object]) -> str:
    """`describe()` as one line for people."""
    versions = about["versions"]
    assert isinstance(versions, dict)
    facts = [f"{key} {value}" for key, value in about.items() if value and key != "versions"]
    return ", ".join([*facts, *(f"{name} {version}" for name, version in versions.items())])


def core_isa() -> str:
    """The level that the compiled core dispatches to; empty when there is no core."""
    try:
        from emisopt import _core
    except ImportError:
        return ""
    return str(_core.isa_level().name)
