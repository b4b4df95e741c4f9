"""Our side: programs of the CUDA backend, in float32 or, where they have it, bfloat16."""

from __future__ import annotations

import numpy as np

from benchmarks.cuda_peers.contest import Absent, Contestant
from benchmarks.engine_peers.problem import CLIP, DECAY, RATE, SETPOINTS, Problem
from emisopt import _core

NAMES = {"float32": ("float32",), "bfloat16": ("bfloat16", "bf16")}
CHECKED = 3  # steps after which weights are compared


def compiled(problem: Problem, mode: str, precision: str) -> _core.Program:
    """Raises Absent where the backend has no such program."""
    a = problem.architecture
    kinds = _core.Precision.__members__
    kind = next((kinds[name] for name in NAMES[precision] if name in kinds), None)
    if kind is None:
        raise Absent(f"emisopt has no precision {precision}")
    try:
        return _core.Program(
            a.network(),
            batch=problem.batch,
            history_tokens=a.context // a.patch,
            future_tokens=a.horizon,
            mode=_core.Mode.__members__[mode],
            loss=_core.Loss.pinball,
            levels=list(a.quantiles),
            threads=0,
            isa=_core.Isa.cuda,
            precision=kind,
        )
    except _core.InputError as error:
        raise Absent(str(error)) from error


def precision_of(problem: Problem, mode: str) -> str:
    """bfloat16 where this backend compiles it for that mode, else float32."""
    try:
        compiled(problem, mode, "bfloat16")
    except Absent:
        return "float32"
    return "bfloat16"


class Training:
    """Steps of AdamW on the device; a batch is written by the host for each."""

    def __init__(self, problem: Problem, precision: str) -> None:
        self.problem = problem
        self.program = compiled(problem, "train", precision)
        self.flop = self.program.flop
        self.training = self.program.training(decay=DECAY, clip=CLIP)
        if self.training is None:
            raise Absent("emisopt's program has no training on the device")
        self._ones = np.ones_like(problem.target)
        self.losses: list[float] = []
        self.reset()

    def reset(self) -> None:
        zeros = np.zeros_like(self.problem.theta)
        self.training.put(self.problem.theta, zeros, zeros, self.problem.theta)
        self.steps = 0

    def run(self, steps: int) -> None:
        """So many steps, all of them finished."""
        p, program, training = self.problem, self.program, self.training
        for _ in range(steps):
            program.history[:] = p.history
            program.future[:] = p.future
            program.target[:] = p.target
            program.weight[:] = self._ones
            self.steps += 1
            training.step(RATE, step=self.steps)
            if training.in_flight == 2:
                self._finish()
        while training.in_flight:
            self._finish()

    def _finish(self) -> None:
        made = self.training.finish()
        if not made["finite"]:
            raise RuntimeError(f"emisopt: loss {made['loss']} after {self.steps} steps")
        self.losses = [*self.losses[-CHECKED:], made["loss"]]

    def weights(self) -> np.ndarray:
        theta = np.empty_like(self.problem.theta)
        self.training.get(theta=theta)
        return theta

    def answer(self) -> dict[str, np.ndarray]:
        self.reset()
        self.losses = []
        self.run(CHECKED)
        moved = self.weights() - self.problem.theta
        losses = np.array(self.losses)
        self.reset()
        return {"loss": losses, "moved": moved}


def training(problem: Problem, precision: str) -> Contestant:
    made = Training(problem, precision)
    return Contestant("emisopt", made.run, made.answer, per_call=False, flop=made.flop)


class Tick:
    """One plan: forecast and gradient on a history that is cached. The plan comes from the host and the
    answers go there, as in a controller."""

    def __init__(self, problem: Problem, precision: str) -> None:
        self.problem = problem
        self.program = compiled(problem, "vjp", precision)
        self.program.load(problem.theta)
        self.program.history[:] = problem.history.reshape(self.program.history.shape)
        self.program.run_context()
        self.program.seed[0] = problem.seed
        self._future, self._plan = self.program.future, problem.future.copy()

    def run(self, calls: int) -> None:
        for _ in range(calls):
            self._future[:] = self._plan
            self.program.run()

    def answer(self) -> dict[str, np.ndarray]:
        self.run(1)
        cost = np.dot(self.program.seed.ravel().astype(float), self.program.quantiles.ravel())
        return {"cost": np.array(cost), "gradient": self.program.future_gradient[0, :, :SETPOINTS].copy()}


def tick(problem: Problem, precision: str) -> Contestant:
    made = Tick(problem, precision)
    return Contestant("emisopt", made.run, made.answer, per_call=True, flop=made.program.flop)
