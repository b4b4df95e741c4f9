"""What suite cuda compares, and the goals."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.engine_peers.problem import Problem

BATCH = 256
EAGER = {"S": 4.0, "M": 3.0, "L": 1.8, "X": 1.3}  # x PyTorch eager
COMPILED = {"S": 2.0, "M": 1.6, "L": 1.3, "X": 1.1}  # x the best of compiled and graphed
MFU = {"S": 0.10, "M": 0.20, "L": 0.35, "X": 0.50}
TICK_MS, TICK_EAGER, TICK_GRAPHED = 0.060, 20.0, 3.0
FLASH = 1.3
SHORT = {"float32": "fp32", "bfloat16": "bf16"}
# windows, rows, heads, head_dim: S, M, L and X, and a wider head
ATTENTION = ((256, 120, 4, 16), (256, 120, 8, 16), (256, 120, 8, 32), (256, 120, 16, 32), (128, 128, 8, 64))
ATTENTION_REHEARSAL = ((2, 12, 2, 8),)


@dataclass(frozen=True)
class Case:
    """E.g. train256-S. `precision`: of all sides; empty: bfloat16 where our training has it, else float32."""

    kind: str  # train256, tick, attention, deterministic
    size: str = ""
    precision: str = ""

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.kind, self.size, SHORT.get(self.precision, "")) if part)

    @property
    def family(self) -> str:
        return "train" if self.kind.startswith("train") else self.kind

    def problem(self, rehearse: bool) -> Problem:
        """The suite engine's problem of this size, or of a tiny one."""
        from benchmarks.engine_peers.problem import Problem
        from emisopt._architecture import Architecture

        workload = "train" if self.family == "train" else "gradient"
        batch = BATCH if workload == "train" else 1
        if rehearse:
            small = Architecture(context=8, horizon=4, width=16, heads=2, layers=1, history_width=7)
            return Problem(workload, "S", min(batch, 3), small)
        return Problem(workload, "XL" if self.size == "X" else self.size, batch)


# In the order of what is wanted first: a run may end with its budget.
CASES = (
    *(Case("tick", size) for size in "SM"),
    *(Case("train256", size) for size in "SMLX"),
    Case("attention"),
    Case("deterministic"),
    *(Case("train256", size, "float32") for size in "SMLX"),
    *(Case("tick", size, "bfloat16") for size in "SM"),
)


def choose(patterns: tuple[str, ...] | list[str]) -> list[Case]:
    """The cases whose name fits one of the patterns; none given: all."""
    return [c for c in CASES if not patterns or any(fnmatchcase(c.name, p) for p in patterns)]
