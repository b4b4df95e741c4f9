"""PyTorch's side: eager, torch.compile, torch.compile(max-autotune); on the full sequence or prefix-cached.

A kind is WAY-HOW, e.g. full-eager, cached-autotune. Weights are constants except in training. Of several ways
to a Jacobian the quickest here is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch._dynamo
import torch._inductor.config
from torch import Tensor

from benchmarks.engine_peers.problem import CLIP, DECAY, DISTILL, HEAD, L2SP, RATE, SETPOINTS, Problem
from benchmarks.engine_peers.protocol import CannotDo, Prepared
from benchmarks.engine_peers.torch_model import Cached, Full, canonical

Call = Callable[[], object]
PROBES = 3  # calls by which a Jacobian's method is chosen


def prepare(problem: Problem, kind: str, threads: int) -> Prepared:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    way, _, how = kind.partition("-")
    begin = time.perf_counter()
    # For constant weights and max-autotune: weights are packed once, products come from tuned templates.
    torch._inductor.config.freezing = how == "autotune" and not problem.trains
    prepared = _of_workload(problem, way == "cached", how)
    prepared.compile_seconds = time.perf_counter() - begin if how != "eager" else 0.0
    return prepared


def forget() -> None:
    """Drops compiled graphs: a limit on their number would otherwise be met after a few cases."""
    torch._dynamo.reset()


def _compiled(function: Callable[..., object], how: str) -> Callable[..., object]:
    if how == "eager":
        return function
    mode = {"compile": "default", "autotune": "max-autotune"}[how]
    return torch.compile(function, mode=mode, dynamic=False, fullgraph=True)


def _of_workload(problem: Problem, cached: bool, how: str) -> Prepared:
    if problem.trains:
        if cached:
            raise CannotDo("training has no history to keep")
        return _training(problem, how)
    history, future = torch.from_numpy(problem.history), torch.from_numpy(problem.future)
    if problem.workload in ("forward", "tick", "prefix"):
        return _forward(problem, cached, how, history, future)
    if problem.workload == "gradient":
        return _gradient(problem, cached, how, history, future)
    return _jacobian(problem, cached, how, history, future)


def _forward(problem: Problem, cached: bool, how: str, history: Tensor, future: Tensor) -> Prepared:
    net = (Cached if cached else Full)(problem.architecture, problem.theta).frozen()
    if not cached:
        whole = _compiled(net, how)

        def compute() -> object:
            return whole(history, future)
    elif problem.workload == "forward":
        both = _compiled(lambda h, f: net(net.prefill(h), f), how)

        def compute() -> object:
            return both(history, future)
    else:
        caches = net.prefill(history)
        tick = _compiled(net, how)

        def compute() -> object:
            return tick(caches, future)

    def call() -> object:
        with torch.inference_mode():
            return compute()

    def no_grad() -> object:  # a compiled graph that was traced in inference mode would be traced anew
        with torch.no_grad():
            return compute()

    chosen = call if how == "eager" else no_grad
    chosen()
    return Prepared(chosen, lambda: {"quantiles": chosen().numpy().reshape(problem.future.shape[1], -1)})


def _of_plan(
    problem: Problem, cached: bool, plain: bool, history: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """(plan (B, H, U), known (B, H, C - U)) -> quantiles, weights and history constant."""
    net = (Cached if cached else Full)(problem.architecture, problem.theta, plain).frozen()
    caches = net.prefill(history) if cached else []

    def forecast(plan: Tensor, known: Tensor) -> Tensor:
        future = torch.cat([plan, known], dim=-1)
        if cached:
            return net(caches, future)
        return net(history.expand(plan.shape[0], -1, -1), future)

    return forecast


def _gradient(problem: Problem, cached: bool, how: str, history: Tensor, future: Tensor) -> Prepared:
    forecast = _of_plan(problem, cached, False, history)
    plan, known = future[..., :SETPOINTS].contiguous(), future[..., SETPOINTS:].contiguous()
    seed = torch.from_numpy(problem.seed).view(
        1, problem.architecture.horizon, problem.architecture.outputs, -1
    )

    def cost(u: Tensor) -> Tensor:
        return (forecast(u, known) * seed).sum()

    if how == "eager":
        plan.requires_grad_()

        def call() -> tuple[Tensor, Tensor]:
            value = cost(plan)
            (gradient,) = torch.autograd.grad(value, plan)
            return gradient, value
    else:
        both = _compiled(torch.func.grad_and_value(cost), how)

        def call() -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return both(plan)  # type: ignore[return-value]

    call()

    def answer() -> dict[str, np.ndarray]:
        gradient, value = call()
        return {"cost": value.detach().numpy(), "gradient": gradient[0].numpy()}

    return Prepared(call, answer)


def _jacobian(problem: Problem, cached: bool, how: str, history: Tensor, future: Tensor) -> Prepared:
    a = problem.architecture
    middle, count = a.quantiles.index(0.5), a.horizon * a.outputs
    plan, known = future[..., :SETPOINTS].contiguous(), future[..., SETPOINTS:].contiguous()
    shape = (a.horizon, a.outputs, a.horizon, SETPOINTS)

    def medians(plain: bool) -> Callable[[Tensor], Tensor]:
        forecast = _of_plan(problem, cached, plain, history)
        return lambda u: forecast(u[None], known)[0, ..., middle]

    fused, plain = medians(False), medians(True)
    batched = _of_plan(problem, cached, False, history)
    many_known, pick = known.expand(count, -1, -1), torch.eye(count).view(count, a.horizon, a.outputs)

    def chosen_of_copies(u: Tensor) -> Tensor:  # a copy of the plan per output: one ordinary backward pass
        return (batched(u, many_known)[..., middle] * pick).sum()

    copies = plan.expand(count, -1, -1).contiguous()

    def eager_copies() -> Tensor:
        u = copies.detach().requires_grad_()
        return torch.autograd.grad(chosen_of_copies(u), u)[0]

    ways: dict[str, Call] = {}
    if how == "eager":
        ways["vectorized"] = lambda: torch.autograd.functional.jacobian(fused, plan[0], vectorize=True)
        backward, forward = torch.func.jacrev(plain), torch.func.jacfwd(plain)
        ways["jacrev"] = lambda: backward(plan[0])
        ways["jacfwd"] = lambda: forward(plan[0])
        ways["copies"] = eager_copies
    else:
        jacrev = _compiled(torch.func.jacrev(plain), how)
        replicated = _compiled(torch.func.grad(chosen_of_copies), how)
        ways["jacrev"] = lambda: jacrev(plan[0])
        ways["copies"] = lambda: replicated(copies)
    call, method = _quickest(ways, grad=how == "eager")
    return Prepared(
        call,
        lambda: {"jacobian": call().detach().numpy().reshape(shape)},
        method=method,  # type: ignore[attr-defined]
    )


def _quickest(ways: dict[str, Call], grad: bool) -> tuple[Call, str]:
    times: dict[str, float] = {}
    calls: dict[str, Call] = {}
    reasons = []
    for name, way in ways.items():

        def call(way: Call = way) -> object:
            with torch.set_grad_enabled(grad):
                return way()

        try:
            call()
        except Exception as error:  # a way that this version cannot go; others remain
            reasons.append(f"{name}: {str(error).splitlines()[0][:120] if str(error) else error!r}")
            continue
        times[name] = _seconds(call)
        if times[name] < 2 * min(times.values()):  # else it is beaten anyhow
            times[name] = min([times[name], *(_seconds(call) for _ in range(PROBES - 1))])
        calls[name] = call
    if not times:
        raise CannotDo("; ".join(reasons))
    best = min(times, key=times.__getitem__)
    return calls[best], best


def _seconds(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _training(problem: Problem, how: str) -> Prepared:
    a = problem.architecture
    if problem.workload.startswith("online-lora"):
        raise CannotDo("compared with our own full step")
    net = Full(a, problem.theta).train()
    trained = [n for n in net.names if problem.workload != "online-head" or n.startswith(HEAD)]
    for name in net.names:
        net.w(name).requires_grad_(name in trained)
    weights = [net.w(n) for n in trained]
    anchors = [w.detach().clone() for w in weights]
    decays = {name: decay for name, _, _, decay in a.network().parameters}
    groups = [
        {"params": [net.w(n) for n in trained if decays[n]], "weight_decay": DECAY},
        {"params": [net.w(n) for n in trained if not decays[n]], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=RATE, fused=True)
    history, future, target = (torch.from_numpy(x) for x in (problem.history, problem.future, problem.target))
    teacher = torch.from_numpy(problem.teacher[problem.batch // 2 :])
    tau = torch.tensor(a.quantiles)

    def loss_of(h: Tensor, f: Tensor, y: Tensor) -> Tensor:
        quantiles = net(h, f)
        error = y[..., None] - quantiles
        loss = torch.maximum(tau * error, (tau - 1) * error).mean()
        if problem.online:
            loss = loss + DISTILL * (quantiles[problem.batch // 2 :] - teacher).square().mean()
        return loss

    compiled = _compiled(loss_of, how)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss: Tensor = compiled(history, future, target)  # type: ignore[assignment]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP, foreach=True)
        if problem.online:
            grads = [w.grad for w in weights]
            with torch.no_grad():
                torch._foreach_add_(grads, torch._foreach_sub(weights, anchors), alpha=2 * L2SP)
        optimiser.step()
        return loss

    def answer() -> dict[str, np.ndarray]:
        loss = compiled(history, future, target)
        gradients = torch.autograd.grad(loss, weights)
        out = {"loss": loss.detach().numpy()}
        if len(trained) == len(net.names):
            out["gradient"] = canonical(net, list(gradients))
            before = canonical(net, weights)
            step()
            out["moved"] = canonical(net, weights) - before
        return out

    return Prepared(step, answer)
