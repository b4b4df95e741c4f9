"""Our side of suite engine: each workload as a call on a compiled program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.engine_peers.problem import (
    CLIP,
    DECAY,
    DISTILL,
    HEAD,
    L2SP,
    LORA_RANK,
    RATE,
    SETPOINTS,
    Problem,
)
from benchmarks.engine_peers.protocol import Prepared
from emisopt import _core
from emisopt.engine import AdamW, Program


def prepare(problem: Problem, kind: str, threads: int) -> Prepared:
    """`kind`: "int8" for products in 8-bit numbers, else empty."""
    if problem.workload.startswith("online-lora"):
        return _lora(problem, threads)
    if problem.trains:
        return _training(problem, threads)
    modes = {
        "forward": "infer",
        "tick": "infer",
        "prefix": "infer",
        "gradient": "vjp",
        "jacobian": "jacobian",
    }
    precision = "int8" if kind == "int8" else "float32"
    mode = modes[problem.workload]
    program = Program(problem.architecture, mode=mode, threads=threads, precision=precision)
    program.load()
    program.history[:] = problem.history
    program.future[:] = problem.future
    program.run_context()
    run: Callable[[], object] = program.run
    flop = program._core.flop
    if problem.workload == "forward":
        flop += context_flop(problem)

        def run() -> None:
            program.run_context()
            program.run()
    elif problem.workload == "prefix":
        run, flop = program.run_context, context_flop(problem)
    elif problem.workload == "gradient":
        program.seed[0] = problem.seed
        seed, quantiles = program.seed.ravel(), program.quantiles.ravel()

        def run() -> float:
            program.run()
            return float(np.dot(seed, quantiles))

    def answer() -> dict[str, np.ndarray]:
        value = run()
        if problem.workload == "prefix":  # what the cached rows lead to
            program.run()
        if problem.workload == "gradient":
            return {"cost": np.array(value), "gradient": program.future_gradient[0, :, :SETPOINTS].copy()}
        if problem.workload == "jacobian":  # (outputs, t, s, u) -> (t, outputs, s, u)
            return {"jacobian": program.jacobian[..., :SETPOINTS].transpose(1, 0, 2, 3).copy()}
        return {"quantiles": program.quantiles[0].copy()}

    return Prepared(run, answer, flop=flop, bytes=program._core.bytes)


def context_flop(problem: Problem) -> float:
    """Of run_context(): of the last layer's history rows keys and values alone are needed."""
    a = problem.architecture
    total = 0.0
    tokens = a.context // a.patch
    for kind, rows, read, written, heads, head_dim in problem.architecture.network().ops:
        if rows == _core.Rows.future:
            continue
        if kind == _core.OpKind.linear:
            total += 2.0 * tokens * read * written
        elif kind == _core.OpKind.attention:
            total += 2.0 * tokens * (tokens + 1) * heads * head_dim
        else:
            total += 10.0 * tokens * written
    return total


def _training(problem: Problem, threads: int) -> Prepared:
    options: dict[str, object] = {}
    if problem.online:
        options["distill"] = DISTILL
        if problem.workload == "online-head":
            options["trainable"] = HEAD
    program = Program(problem.architecture, problem.batch, mode="train", threads=threads, **options)  # type: ignore[arg-type]
    theta = problem.theta.copy()
    pull = {"l2sp": L2SP, "anchor": problem.theta} if problem.online else {}
    optimiser = AdamW(program, theta, rate=RATE, decay=DECAY, clip=CLIP, **pull)  # type: ignore[arg-type]
    _fill(program._core, problem)

    def step() -> None:
        program.load(theta)
        program.run()
        optimiser.step(program.gradient)

    def answer() -> dict[str, np.ndarray]:
        step()
        return {
            "loss": np.array(program.loss),
            "gradient": program.gradient.copy(),
            "moved": theta - problem.theta,
        }

    return Prepared(step, answer, flop=program._core.flop, bytes=program._core.bytes)


def _lora(problem: Problem, threads: int) -> Prepared:
    """Corrections trained alone: in the upper half of the blocks, the learner's default, or in all."""
    a = problem.architecture
    linears = ["qkv", "attention_out", "gate_up", "down"] if problem.workload == "online-lora-all" else []
    network, trainable, theta = _core.with_lora(a.network(), problem.theta.tolist(), LORA_RANK, linears)
    isa = _core.isa_level()
    program = _core.Program(
        network,
        batch=problem.batch,
        history_tokens=a.context // a.patch,
        future_tokens=a.horizon,
        mode=_core.Mode.train,
        loss=_core.Loss.pinball,
        levels=list(a.quantiles),
        threads=threads,
        isa=isa,
        distill=DISTILL,
        trainable=trainable,
    )
    _fill(program, problem)
    begin = problem.theta.size  # what the base's optimiser never touches
    first, second, mask = (np.zeros(theta.size - begin, np.float32) for _ in range(3))
    start, anchor = theta.copy(), theta[begin:].copy()
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        program.load(theta)
        program.run()
        gradient = program.gradient[begin:]
        norm = float(np.sqrt(_core.squared_norm(gradient)))
        _core.adamw(
            theta[begin:],
            first,
            second,
            gradient,
            mask,
            rate=RATE,
            decay=0.0,
            clip_scale=min(1.0, CLIP / norm),
            step=steps,
            isa=isa,
            l2sp=L2SP,
            anchor=anchor,
            threads=threads,
        )

    def answer() -> dict[str, np.ndarray]:
        step()
        return {"loss": np.array(program.loss), "moved": (theta - start)[begin:]}

    return Prepared(step, answer, flop=program.flop, bytes=program.bytes)


def _fill(program: _core.Program, problem: Problem) -> None:
    program.history[:] = problem.history
    program.future[:] = problem.future
    program.target[:] = problem.target
    program.weight[:] = 1.0
    if problem.online:
        program.teacher[:] = problem.teacher.reshape(program.teacher.shape)
        program.teacher_weight[:] = problem.teacher_weight.reshape(program.teacher.shape)
