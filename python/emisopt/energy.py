"""Energy of a piece of work: read from the processor where the system allows it, else a marked estimate."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from emisopt import _core

__all__ = ["Energy", "EnergyMeter"]

POWERCAP = Path("/sys/class/powercap")
# A server core's share of its package's thermal design power is 4 to 12 W; memory and supply come on top.
WATTS_PER_CORE = 10.0


@dataclass(frozen=True)
class Energy:
    """What a piece of work took.

    Attributes
    ----------
    joules : energy
    measured : True: of the whole processor package meanwhile (RAPL), others' work included; False: CPU time
        times `watts_per_core`
    seconds, cpu_seconds : wall clock; summed over this process's threads
    watts_per_core : the figure of the estimate
    """

    joules: float
    measured: bool
    seconds: float
    cpu_seconds: float
    watts_per_core: float

    @property
    def source(self) -> str:
        """How the figure came about, in words."""
        return "measured (RAPL)" if self.measured else f"estimated at {self.watts_per_core:g} W per busy core"


class EnergyMeter:
    """Starts when made; `read` tells what was used since.

    Parameters
    ----------
    watts_per_core : for the estimate where the processor's counters (RAPL in /sys/class/powercap) are closed
    powercap : folder of the counters

    Notes
    -----
    Counters are read at both ends, so a piece of work must be shorter than the time in which one of them runs
    full (minutes to hours; one overflow is made good).

    Examples
    --------
    >>> meter = EnergyMeter(watts_per_core=10)
    >>> used = meter.read()
    >>> used.joules >= 0, used.source in ("measured (RAPL)", "estimated at 10 W per busy core")
    (True, True)
    """

    def __init__(self, *, watts_per_core: float = WATTS_PER_CORE, powercap: Path = POWERCAP) -> None:
        if not 0 < watts_per_core < float("inf"):
            raise _core.InputError(
                f"EnergyMeter(watts_per_core): expected a positive number of watts, got {watts_per_core}"
            )
        self._watts = watts_per_core
        self._packages = _packages(powercap)
        self._start = (time.perf_counter(), time.process_time(), _counters(self._packages))

    def read(self) -> Energy:
        """What was used since this meter was made."""
        seconds, cpu, before = self._start
        elapsed, busy = time.perf_counter() - seconds, time.process_time() - cpu
        after = _counters(self._packages)
        if before is None or after is None:
            return Energy(busy * self._watts, False, elapsed, busy, self._watts)
        used = [(b - a) % full if full else b - a for (a, full), (b, _) in zip(before, after, strict=True)]
        return Energy(sum(used) * 1e-6, True, elapsed, busy, self._watts)


def _packages(folder: Path) -> list[Path]:
    """Folders of whole packages; their parts (cores, memory) are counted within them."""
    try:
        return sorted(p for p in folder.iterdir() if re.fullmatch(r"intel-rapl:\d+", p.name))
    except OSError:
        return []


def _counters(packages: list[Path]) -> list[tuple[int, int]] | None:
    """Microjoules and where the count starts again, of each package; None: not to be read."""
    try:
        return [
            (_integer(package / "energy_uj"), _integer(package / "max_energy_range_uj"))
            for package in packages
        ] or None
    except (OSError, ValueError):
        return None


def _integer(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
