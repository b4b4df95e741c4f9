"""The optimiser's fused pass over canonical buffers. Public in `emisopt.engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emisopt import _core
from emisopt._architecture import Floats32, check_array

if TYPE_CHECKING:
    from emisopt.engine import Program


class AdamW:
    """The optimiser's fused pass over canonical buffers: clip, AdamW, L2-SP and EWC in one sweep.

    Parameters
    ----------
    program : whose layout the buffers have
    theta : (P,) float32, writable: changed in place by each `step`
    rate, betas, eps, decay : of AdamW; decay acts on parameters whose `decay` is set
    clip : largest norm of the gradient; inf: no clipping
    l2sp, anchor : adds l2sp |theta - anchor|^2 to the loss; None: the weights of now
    ewc, fisher : adds ewc/2 sum fisher (theta - anchor)^2

    Raises
    ------
    InputError, ShapeError : a coefficient is not a number of its range, a buffer is foreign, read-only,
        not contiguous or of another length. Nothing is changed then.

    References
    ----------
    Loshchilov, Hutter 2019 (AdamW); Li et al. 2018 (L2-SP); Kirkpatrick et al. 2017 (EWC).

    Examples
    --------
    >>> from emisopt.engine import AdamW, Architecture, Program
    >>> program = Program(Architecture(width=8, heads=2, layers=1), batch=2, mode="train", threads=1)
    >>> program.weight[:] = 1.0
    >>> theta = program.theta.copy()
    >>> optimiser = AdamW(program, theta, rate=1e-2)
    >>> program.load(theta); program.run(); before = program.loss
    >>> optimiser.step(program.gradient); program.load(theta); program.run()
    >>> program.loss < before
    True
    """

    def __init__(
        self,
        program: Program,
        theta: Floats32,
        *,
        rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decay: float = 0.0,
        clip: float = np.inf,
        l2sp: float = 0.0,
        anchor: Floats32 | None = None,
        ewc: float = 0.0,
        fisher: Floats32 | None = None,
    ) -> None:
        count = sum(int(np.prod(p.shape)) for p in program.parameters.values())
        for name, value in (("rate", rate), ("decay", decay), ("l2sp", l2sp), ("ewc", ewc)):
            if not (np.isfinite(value) and value >= 0):
                raise _core.InputError(f"AdamW({name}): expected a number of at least 0, got {value}")
        if not clip > 0:
            raise _core.InputError(f"AdamW(clip): expected a positive norm, got {clip}")
        if ewc and fisher is None:
            raise _core.InputError("AdamW(fisher): expected the Fisher diagonal for ewc, got None")
        check_array("AdamW(theta)", theta, count, writable=True)
        for name, array in (("anchor", anchor), ("fisher", fisher)):
            if array is not None:
                check_array(f"AdamW({name})", array, count)
        self.theta, self.rate, self.betas, self.eps = theta, rate, betas, eps
        self.decay, self.clip, self.l2sp, self.ewc, self.fisher = decay, clip, l2sp, ewc, fisher
        self.anchor = theta.copy() if anchor is None and (l2sp or ewc) else anchor
        self.first, self.second = np.zeros_like(theta), np.zeros_like(theta)
        self.steps = 0
        self._mask = np.zeros_like(theta)
        for p in program.parameters.values():
            self._mask[p.offset : p.offset + int(np.prod(p.shape))] = p.decay
        self._isa, self._threads = program._level, program.threads

    def step(self, gradient: Floats32) -> None:
        """Changes `theta` in place by one gradient (P,).

        Raises
        ------
        ShapeError : a foreign buffer.   InputError : the gradient is not finite; `theta` stays as it is.
        """
        check_array("AdamW.step(gradient)", gradient, self.theta.size)
        norm = float(np.sqrt(_core.squared_norm(gradient)))
        if not np.isfinite(norm):
            raise _core.InputError("AdamW.step(gradient): expected finite numbers, got inf or NaN")
        self.steps += 1
        _core.adamw(
            self.theta,
            self.first,
            self.second,
            gradient,
            self._mask,
            rate=self.rate,
            decay=self.decay,
            clip_scale=min(1.0, self.clip / norm) if norm > 0 else 1.0,
            step=self.steps,
            isa=self._isa,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            l2sp=self.l2sp,
            ewc=self.ewc,
            anchor=self.anchor,
            fisher=self.fisher,
            threads=self._threads,
        )
