"""Workloads of suite engine: sizes, weights, inputs, and the names of what is computed.

Inputs are seeded, so every process makes the same ones. A future row holds 6 setpoints, then what is known of
it. The engine differentiates by all its columns; compared are those of the setpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emisopt._architecture import Architecture  # not by emisopt.engine: that needs pandas

Floats32 = NDArray[np.float32]

SETPOINTS = 6
SIZES = {"S": Architecture.S, "M": Architecture.M, "L": Architecture.L}
LARGER = {"XL": Architecture(width=512, heads=16, layers=8)}  # int8 alone
# One optimiser for all sides; the largest norm is small enough to clip.
RATE, DECAY, CLIP = 1e-3, 0.01, 0.5
# Online: half of the batch is new rows, half is replayed rows with a teacher's stored quantiles.
L2SP, DISTILL, LORA_RANK = 1e-2, 0.5, 8
HEAD = ("head.", "skip.", "norm.")


@dataclass(frozen=True)
class Problem:
    """One case, e.g. tick-M: what to compute at which size. `arch` overrides the size, for growth tables."""

    workload: str
    size: str = "S"
    batch: int = 1
    arch: Architecture | None = None

    @classmethod
    def of(cls, case: str) -> Problem:
        """From a case's name: forward-S, train128-M, online-full-L."""
        workload, _, size = case.rpartition("-")
        if size not in SIZES | LARGER:
            raise ValueError(f"case: expected a name that ends in -S, -M, -L or -XL, got {case!r}")
        batch = 1
        if workload.startswith("train"):
            workload, batch = "train", int(workload.removeprefix("train"))
        elif workload.startswith("online-"):
            batch = 16
        return cls(workload, size, batch)

    @property
    def architecture(self) -> Architecture:
        return self.arch or (SIZES | LARGER)[self.size]

    @property
    def trains(self) -> bool:
        return self.workload == "train" or self.online

    @property
    def online(self) -> bool:
        return self.workload.startswith("online-")

    @cached_property
    def theta(self) -> Floats32:
        return self.architecture.weights()

    @cached_property
    def history(self) -> Floats32:
        """(batch, context, features); one window where plans share a history."""
        a = self.architecture
        return self._draw(1, (self.batch if self.trains else 1, a.context, a.history_width))

    @cached_property
    def future(self) -> Floats32:
        """(batch, horizon, columns), setpoints first."""
        a = self.architecture
        return self._draw(2, (self.batch, a.horizon, a.future_width))

    @cached_property
    def seed(self) -> Floats32:
        """(horizon, outputs * levels): the cost is the sum of seed * quantiles."""
        a = self.architecture
        return self._draw(3, (a.horizon, a.outputs * len(a.quantiles)))

    @cached_property
    def target(self) -> Floats32:
        a = self.architecture
        return self._draw(4, (self.batch, a.horizon, a.outputs))

    @cached_property
    def teacher(self) -> Floats32:
        """(batch, horizon, outputs, levels), stored quantiles."""
        a = self.architecture
        return np.sort(self._draw(5, (self.batch, a.horizon, a.outputs, len(a.quantiles))), axis=-1)

    @cached_property
    def teacher_weight(self) -> Floats32:
        """1 for the replayed half of the batch, 0 for the new half, which no teacher has seen."""
        weight = np.zeros_like(self.teacher)
        weight[self.batch // 2 :] = 1.0
        return weight

    def _draw(self, stream: int, shape: tuple[int, ...]) -> Floats32:
        return np.random.default_rng([7, stream]).standard_normal(shape).astype(np.float32)
