"""PyTorch's side: eager, torch.compile(mode="max-autotune"), and captured as one CUDA graph.

float32 without TF32; bfloat16 by autocast. The network is that of suite engine, full in training, with the
history's keys and values cached for a tick. As on our side, batches and plans come from the host's memory
(pinned) with each call, and a tick's answers go there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.cuda_peers.contest import Absent, Contestant
from benchmarks.cuda_peers.ours import CHECKED
from benchmarks.engine_peers.problem import CLIP, DECAY, RATE, SETPOINTS, Problem
from benchmarks.engine_peers.torch_model import Cached, Full

WARM = 3  # calls before a graph is captured


def settle(device: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    if device == "cuda" and not torch.cuda.is_available():
        raise Absent(f"torch {torch.__version__} sees no GPU")


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def rounded(precision: str, device: str) -> contextlib.AbstractContextManager[object]:
    if precision == "float32":
        return contextlib.nullcontext()
    # no cache of cast weights: under a captured graph it would outlive the step that changes them
    return torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)


def host(array: np.ndarray, device: str) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device == "cuda" else tensor


def compiled(function: Callable[..., Tensor], how: str) -> Callable[..., Tensor]:
    if how != "compiled":
        return function
    return torch.compile(function, mode="max-autotune", dynamic=False, fullgraph=True)


def graphed(function: Callable[[], object], device: str) -> Callable[[], object]:
    """`function`, on tensors that stay where they are, as one CUDA graph."""
    if device != "cuda":
        raise Absent("a CPU has no CUDA graphs")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


class Training:
    """Forward, backward, clip and fused AdamW."""

    def __init__(self, problem: Problem, how: str, precision: str, device: str) -> None:
        a = problem.architecture
        self.problem, self.how, self.device = problem, how, device
        self.net = Full(a, problem.theta).train().to(device)
        self.weights = [self.net.w(name) for name in self.net.names]
        self.start = [w.detach().clone() for w in self.weights]
        decays = {name: decay for name, _, _, decay in a.network().parameters}
        groups = [
            {"params": [self.net.w(n) for n in self.net.names if decays[n] == on], "weight_decay": on * DECAY}
            for on in (True, False)
        ]
        # a graph needs the count of steps on the device
        on_device = {"capturable": True} if device == "cuda" and how == "graphed" else {}
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, fused=True, **on_device)
        batch = (problem.history, problem.future, problem.target)
        self.source = [host(x, device) for x in batch]
        self.batch = [torch.empty_like(x, device=device) for x in self.source]
        tau = torch.tensor(a.quantiles, device=device)

        def loss_of(history: Tensor, future: Tensor, target: Tensor) -> Tensor:
            with rounded(precision, device):
                quantiles = self.net(history, future)
            error = target[..., None] - quantiles.float()
            return torch.maximum(tau * error, (tau - 1) * error).mean()

        self.loss_of = compiled(loss_of, how)
        self.loss = torch.zeros((), device=device)
        self.copy()
        self.compute: Callable[[], object] = self.step
        if how == "graphed":
            self.compute = graphed(self.step, device)
        else:
            self.step()
        wait(device)
        self.reset()

    def copy(self) -> None:
        for to, source in zip(self.batch, self.source, strict=True):
            to.copy_(source, non_blocking=True)

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss_of(*self.batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP, foreach=True)
        self.optimiser.step()
        self.loss.copy_(loss.detach())

    def reset(self) -> None:
        """The weights and moments of the start, in place: a graph knows them by their address."""
        with torch.no_grad():
            for weight, start in zip(self.weights, self.start, strict=True):
                weight.copy_(start)
                for moment in self.optimiser.state[weight].values():
                    moment.zero_()
        wait(self.device)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.copy()
            self.compute()
        wait(self.device)

    def answer(self) -> dict[str, np.ndarray]:
        self.reset()
        losses = []
        for _ in range(CHECKED):
            self.run(1)
            losses.append(float(self.loss))
        moved = [
            (w.detach() - start).float().cpu().numpy()
            for w, start in zip(self.weights, self.start, strict=True)
        ]
        self.reset()
        flat = np.concatenate([(m.T if m.ndim == 2 else m).ravel() for m in moved])
        return {"loss": np.array(losses), "moved": flat}


def training(problem: Problem, how: str, precision: str, device: str) -> Contestant:
    settle(device)
    begin = time.perf_counter()
    made = Training(problem, how, precision, device)
    name = f"torch-{how}"
    return Contestant(
        name, made.run, made.answer, per_call=False, compile_seconds=time.perf_counter() - begin
    )


class Tick:
    """Cost and its gradient by the plan."""

    def __init__(self, problem: Problem, how: str, precision: str, device: str) -> None:
        a = problem.architecture
        self.device = device
        net = Cached(a, problem.theta).frozen().to(device)
        with torch.no_grad(), rounded(precision, device):
            caches = net.prefill(torch.from_numpy(problem.history).to(device))
        future = torch.from_numpy(problem.future)
        self.source = host(np.ascontiguousarray(problem.future[..., :SETPOINTS]), device)
        self.plan = self.source.clone().to(device)
        known = future[..., SETPOINTS:].contiguous().to(device)
        seed = torch.from_numpy(problem.seed).to(device).view(1, a.horizon, a.outputs, -1)
        self.gradient, self.value = torch.empty_like(self.plan), torch.zeros((), device=device)
        self.told = [torch.empty_like(self.source), torch.zeros(())]
        if device == "cuda":
            self.told = [x.pin_memory() for x in self.told]

        def cost(plan: Tensor) -> Tensor:
            with rounded(precision, device):
                quantiles = net(caches, torch.cat([plan, known], dim=-1))
            return (quantiles.float() * seed).sum()

        if how == "compiled":
            both = compiled(torch.func.grad_and_value(cost), how)

            def compute() -> None:
                with torch.no_grad():
                    gradient, value = both(self.plan)
                self.gradient.copy_(gradient)
                self.value.copy_(value)
        else:

            def compute() -> None:
                plan = self.plan.detach().requires_grad_()
                value = cost(plan)
                (gradient,) = torch.autograd.grad(value, plan)
                self.gradient.copy_(gradient)
                self.value.copy_(value.detach())

        self.compute: Callable[[], object] = graphed(compute, device) if how == "graphed" else compute
        self.run(1)

    def run(self, calls: int) -> None:
        for _ in range(calls):
            self.plan.copy_(self.source, non_blocking=True)
            self.compute()
            self.told[0].copy_(self.gradient, non_blocking=True)
            self.told[1].copy_(self.value, non_blocking=True)
            wait(self.device)

    def answer(self) -> dict[str, np.ndarray]:
        self.run(1)
        return {"cost": self.told[1].numpy().copy(), "gradient": self.told[0][0].numpy().copy()}


def tick(problem: Problem, how: str, precision: str, device: str) -> Contestant:
    settle(device)
    begin = time.perf_counter()
    made = Tick(problem, how, precision, device)
    return Contestant(
        f"torch-{how}", made.run, made.answer, per_call=True, compile_seconds=time.perf_counter() - begin
    )
