"""Golden numbers of the engine, from a twin of the small test network in PyTorch (float64, autograd).

Run from the repository root: ``python tests/golden/make_golden.py``. Needs torch; the tests do not: they
read the committed ``engine_*.golden``, whose first lines list the arrays and whose rest is little-endian
float64. The network is that of ``tests/cpp/support/tiny_network.hpp``, written here from its definition
with PyTorch's own functions (scaled_dot_product_attention, rms_norm, silu, softplus, huber_loss), so that
a mistake shared by both sides is unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
HISTORY_ROWS, STEPS, BATCH = 7, 5, 3
HISTORY_WIDTH, FUTURE_WIDTH, OUTPUTS, LEVELS, MIDDLE = 5, 3, 2, 3, 1
TAUS = [0.25, 0.5, 0.75]  # exact in float32
HUBER_DELTA = 0.75
EPS = float(np.float32(1e-5))  # the engine keeps it as a float
ROPE_BASE = 10000.0


@dataclass
class Config:
    name: str
    width: int
    heads: int
    kv_heads: int
    feedforward: int
    layers: int = 2

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


def parameter_shapes(c: Config) -> dict[str, tuple[int, ...]]:
    qkv = (c.heads + 2 * c.kv_heads) * c.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "embed_history.weight": (HISTORY_WIDTH, c.width),
        "embed_history.bias": (c.width,),
        "embed_future.weight": (FUTURE_WIDTH, c.width),
        "embed_future.bias": (c.width,),
    }
    for layer in range(c.layers):
        at = f"layers.{layer}."
        shapes |= {
            at + "norm1.weight": (c.width,),
            at + "qkv.weight": (c.width, qkv),
            at + "qkv.bias": (qkv,),
            at + "o.weight": (c.width, c.width),
            at + "norm2.weight": (c.width,),
            at + "gate_up.weight": (c.width, 2 * c.feedforward),
            at + "down.weight": (c.feedforward, c.width),
        }
    return shapes | {
        "norm.weight": (c.width,),
        "head.weight": (c.width, OUTPUTS * LEVELS),
        "head.bias": (OUTPUTS * LEVELS,),
        "skip.weight": (FUTURE_WIDTH, OUTPUTS * LEVELS),
    }


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions on (batch, heads, rows, head_dim), channel i against i + head_dim/2."""
    rows, head_dim = x.shape[-2:]
    frequency = ROPE_BASE ** (-torch.arange(0, head_dim, 2, dtype=x.dtype) / head_dim)
    angle = torch.arange(rows, dtype=x.dtype)[:, None] * frequency  # (rows, head_dim / 2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


def forward(
    p: dict[str, torch.Tensor], c: Config, history: torch.Tensor, future: torch.Tensor
) -> torch.Tensor:
    """history (B, T, HISTORY_WIDTH), future (B, H, FUTURE_WIDTH) -> quantiles (B, H, OUTPUTS, LEVELS)."""
    x = torch.cat(
        [
            history @ p["embed_history.weight"] + p["embed_history.bias"],
            future @ p["embed_future.weight"] + p["embed_future.bias"],
        ],
        dim=1,
    )
    batch, rows, _ = x.shape
    for layer in range(c.layers):
        at = f"layers.{layer}."
        n = F.rms_norm(x, (c.width,), p[at + "norm1.weight"], EPS)
        qkv = n @ p[at + "qkv.weight"] + p[at + "qkv.bias"]
        q, k, v = qkv.split([c.width, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim], dim=-1)
        heads = [z.view(batch, rows, -1, c.head_dim).transpose(1, 2) for z in (q, k, v)]
        q, k, v = rotate(heads[0]), rotate(heads[1]), heads[2]
        group = c.heads // c.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + y.transpose(1, 2).reshape(batch, rows, c.width) @ p[at + "o.weight"]
        n = F.rms_norm(x, (c.width,), p[at + "norm2.weight"], EPS)
        gate, up = (n @ p[at + "gate_up.weight"]).chunk(2, dim=-1)
        x = x + (F.silu(gate) * up) @ p[at + "down.weight"]
    last = F.rms_norm(x[:, -future.shape[1] :], (c.width,), p["norm.weight"], EPS)
    raw = last @ p["head.weight"] + p["head.bias"] + future @ p["skip.weight"]
    raw = raw.view(batch, -1, OUTPUTS, LEVELS)
    median, steps = raw[..., MIDDLE : MIDDLE + 1], F.softplus(raw)
    above = median + steps[..., MIDDLE + 1 :].cumsum(-1)
    below = median - steps[..., :MIDDLE].flip(-1).cumsum(-1).flip(-1)
    return torch.cat([below, median, above], dim=-1)


def loss_of(kind: str, q: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if kind == "pinball":
        error = target[..., None] - q
        taus = torch.tensor(TAUS, dtype=q.dtype)
        entry = torch.maximum(taus * error, (taus - 1) * error).mean(-1)
    elif kind == "squared":
        entry = (target - q[..., MIDDLE]) ** 2
    else:
        entry = F.huber_loss(q[..., MIDDLE], target, reduction="none", delta=HUBER_DELTA)
    return (weight * entry).sum() / weight.sum()


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Header: a title, one line ``name count`` per array, an empty line; then the numbers in that order."""
    lines = ["emisopt-golden 1"] + [f"{name} {array.size}" for name, array in arrays.items()]
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, dtype="<f8").tobytes())


def golden(c: Config, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 1.0, centre: float = 0.0) -> torch.Tensor:
        values = centre + scale * rng.uniform(-1, 1, shape)
        return torch.tensor(
            values.astype(np.float32).astype(np.float64)
        )  # the same numbers in float and double

    parameters = {}
    for name, shape in parameter_shapes(c).items():
        if "norm" in name:
            parameters[name] = draw(*shape, scale=0.3, centre=1.0)
        else:
            parameters[name] = draw(*shape, scale=1.2 / shape[0] ** 0.5 if len(shape) == 2 else 0.2)
    for tensor in parameters.values():
        tensor.requires_grad_()
    history = draw(BATCH, HISTORY_ROWS, HISTORY_WIDTH)
    future = draw(BATCH, STEPS, FUTURE_WIDTH)
    target, weight = (
        draw(BATCH, STEPS, OUTPUTS, scale=2.0),
        draw(BATCH, STEPS, OUTPUTS, scale=0.5, centre=1.0),
    )
    weight[0, 1, 0] = 0.0
    seed_tensor = draw(BATCH, STEPS, OUTPUTS, LEVELS)

    out = {f"parameter.{name}": value.detach().numpy() for name, value in parameters.items()}
    out |= {
        "history": history.numpy(),
        "future": future.numpy(),
        "target": target.numpy(),
        "weight": weight.numpy(),
    }
    out["train.quantiles"] = forward(parameters, c, history, future).detach().numpy()
    for kind in ("pinball", "squared", "huber"):
        loss = loss_of(kind, forward(parameters, c, history, future), target, weight)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        out[f"{kind}.loss"] = loss.detach().numpy()
        out[f"{kind}.gradient"] = np.concatenate([g.numpy().ravel() for g in gradients])

    # several candidate plans over the first window's history
    shared = history[:1].expand(BATCH, -1, -1)
    plan = future.clone().requires_grad_()
    quantiles = forward(parameters, c, shared, plan)
    out["seed"] = seed_tensor.numpy()
    out["infer.quantiles"] = quantiles.detach().numpy()
    out["vjp.gradient"] = torch.autograd.grad((quantiles * seed_tensor).sum(), plan)[0].numpy()

    def first_plan(u: torch.Tensor) -> torch.Tensor:  # (H, FUTURE_WIDTH) -> (OUTPUTS, LEVELS, H)
        return forward(parameters, c, history[:1], u[None])[0].permute(1, 2, 0)

    jacobian = torch.autograd.functional.jacobian(
        first_plan, future[0]
    )  # (OUTPUTS, LEVELS, H, H, FUTURE_WIDTH)
    out["jacobian"] = jacobian.numpy()
    return out


def main() -> None:
    for seed, c in enumerate([Config("mha", 8, 2, 2, 12), Config("gqa", 16, 4, 2, 12)], start=1):
        write(HERE / f"engine_{c.name}.golden", golden(c, seed))


if __name__ == "__main__":
    main()
