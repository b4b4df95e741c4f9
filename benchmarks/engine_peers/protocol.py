"""What a worker is asked for and what it answers; no library is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Prepared:
    """A workload that is ready to be timed."""

    call: Callable[[], object]
    answer: Callable[[], dict[str, np.ndarray]]  # asked once, before any timing
    flop: float = 0.0  # useful ones, causal count; ours alone fills it
    bytes: int = 0  # of our arena
    compile_seconds: float = 0.0
    method: str = ""  # the best of several, where there are several


class CannotDo(Exception):
    """This contestant has no way to do that workload; the text says why."""
