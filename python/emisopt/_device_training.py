"""A training that stays on the GPU of its program. Public in `emisopt.engine`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emisopt import _core
from emisopt._architecture import Floats32, check_array

__all__ = ["DeviceTraining", "StepOutcome"]


class StepOutcome(NamedTuple):
    """What one step made."""

    loss: float
    norm: float  # of the gradient, before it was clipped
    finite: bool  # loss and norm are; if not, this step and all after it have changed no weight


class DeviceTraining:
    """Weights, moments and the batches of a training on the GPU: made by :meth:`Program.training`.

    Write a batch into the program's views (`history`, `future`, `target`, `weight`), then :meth:`step`. The
    step is put in line and computed while the next batch is written: the views show other memory afterwards,
    so take them anew from the program and write all of them. At most two steps are in line;
    :meth:`finish` waits for the oldest.

    Notes
    -----
    Its memory goes with that of the program. The program's own `run()` between steps (a validation) leaves
    the training as it is, once no step is in flight.

    Examples
    --------
    One step per batch, with the next batch written while the GPU computes (`program` of isa "cuda")::

        training = program.training(decay=0.01, clip=1.0)
        for batch in batches:
            write(program, batch)
            training.step(rate=1e-3)
            if training.in_flight == 2:
                print(training.finish().loss)
        while training.in_flight:
            training.finish()
        theta = training.weights()
    """

    def __init__(self, core: _core.Training, theta: Floats32, views: dict[str, Floats32]) -> None:
        self._core, self._views, self._count = core, views, theta.size
        self.steps = 0
        self.put(theta)

    def put(self, theta: Floats32) -> None:
        """Begins anew from these weights (P,), moments 0.

        Raises
        ------
        ShapeError : another length, dtype or layout.   StateError : a step is in flight.
        """
        check_array("DeviceTraining.put(theta)", theta, self._count)
        zeros = np.zeros_like(theta)
        self._core.put(theta, zeros, zeros, theta)
        self.steps = 0

    def step(self, rate: float) -> None:
        """Puts one step in line for the batch in the program's views; these show other memory afterwards.

        Raises
        ------
        InputError : the rate is no number of at least 0.   StateError : two steps are in flight already.
        """
        if not (np.isfinite(rate) and rate >= 0):
            raise _core.InputError(f"DeviceTraining.step(rate): expected a number of at least 0, got {rate}")
        self._core.step(rate, step=self.steps + 1)
        self.steps += 1
        self._views.clear()

    @property
    def in_flight(self) -> int:
        """Steps in line that nobody has waited for, 0..2."""
        return int(self._core.in_flight)

    def finish(self) -> StepOutcome:
        """Waits for the oldest step in flight.

        Raises
        ------
        StateError : no step is in flight, or the GPU was lost.
        """
        return StepOutcome(**self._core.finish())

    def weights(self) -> Floats32:
        """The weights (P,) as they are now, a copy.

        Raises
        ------
        StateError : a step is in flight.
        """
        theta = np.empty(self._count, np.float32)
        self._core.get(theta=theta)
        return theta
