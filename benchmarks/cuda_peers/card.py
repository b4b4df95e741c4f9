"""The GPU: what it is, at what clocks, and what its maker says that it can do."""

from __future__ import annotations

import csv
import shutil
import subprocess
from dataclasses import asdict, dataclass

FIELDS = {
    "name": "name",
    "driver": "driver_version",
    "capability": "compute_cap",
    "memory": "memory.total",
    "clock_sm": "clocks.sm",
    "clock_sm_max": "clocks.max.sm",
    "clock_memory": "clocks.mem",
    "power_limit": "power.limit",
}
NONE = "no GPU was found (nvidia-smi names none)"
# TFLOP/s without sparsity, NVIDIA's data sheets; float32 without TF32. By a part of the card's name.
PEAKS = {
    "H200": {"bfloat16": 989.5, "float32": 67.0},
    "H100 80GB HBM3": {"bfloat16": 989.5, "float32": 67.0},
    "A100": {"bfloat16": 312.0, "float32": 19.5},
}


@dataclass(frozen=True)
class Card:
    """As nvidia-smi tells it, units included."""

    name: str
    driver: str
    capability: str
    memory: str = ""
    clock_sm: str = ""
    clock_sm_max: str = ""
    clock_memory: str = ""
    power_limit: str = ""

    @property
    def architecture(self) -> str:
        """What CMake calls it: 9.0 -> 90a-real, 8.0 -> 80-real."""
        number = self.capability.replace(".", "")
        return f"{number}a-real" if int(number) >= 90 else f"{number}-real"

    def facts(self) -> dict[str, str]:
        return {key: value for key, value in asdict(self).items() if value}


def find() -> Card | None:
    """The first GPU that this process may use; None: there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, f"--query-gpu={','.join(FIELDS.values())}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode != 0 else parse(done.stdout)


def parse(text: str) -> Card | None:
    """nvidia-smi's answer, a line per GPU; None for none, or one that names no capability."""
    for cells in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(cells) == len(FIELDS) and cells[2].replace(".", "").isdigit():
            return Card(*(cell.strip() for cell in cells))
    return None


def peak(name: str, precision: str) -> float | None:
    """FLOP/s of the named card; None: not known here."""
    for part, rates in PEAKS.items():
        if part in name:
            return rates[precision] * 1e12
    return None
