"""The network in PyTorch as somebody who knows it would write it: fused products, SDPA, tables made once.

`Full` runs the whole sequence; `Cached` keeps the history's keys and values and runs the future rows alone,
and of the last layer's history rows their keys and values only.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emisopt._architecture import Architecture

EPS = 1e-5
ROPE_BASE = 10000.0
Caches = list[tuple[Tensor, Tensor]]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, plain: bool) -> Tensor:
    """`plain`: written out, which torch.func batches and differentiates forward; else SDPA."""
    if not plain:
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    score = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    rows, keys = score.shape[-2:]
    if mask is None:
        mask = torch.full((rows, keys), -torch.inf).triu(keys - rows + 1)
    return (score + mask).softmax(-1) @ v


class Network(nn.Module):
    """Weights in PyTorch's layout, (out, in), and what both ways of running share."""

    def __init__(self, a: Architecture, theta: np.ndarray, plain: bool = False) -> None:
        super().__init__()
        self.a, self.plain = a, plain
        self.names: list[str] = []
        self.head_dim = a.width // a.heads
        for name, shape, offset, _ in a.network().parameters:
            values = theta[offset : offset + int(np.prod(shape))].reshape(shape)
            tensor = torch.from_numpy(np.ascontiguousarray(values.T if len(shape) == 2 else values).copy())
            self.names.append(name)
            self.register_parameter(name.replace(".", "_"), nn.Parameter(tensor))
        rows = a.context + a.horizon
        frequency = ROPE_BASE ** (-torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim)
        angle = torch.arange(rows, dtype=torch.float64)[:, None] * frequency
        self.register_buffer("cosine", angle.cos().float()[:, None, :])  # (rows, 1, head_dim / 2)
        self.register_buffer("sine", angle.sin().float()[:, None, :])
        mask = torch.full((a.horizon, rows), -torch.inf).triu(a.context + 1)
        self.register_buffer("mask", mask)  # future rows against all rows

    def w(self, name: str) -> Tensor:
        return getattr(self, name.replace(".", "_"))

    def frozen(self) -> Network:
        """Without gradients of weights: what a planner wants."""
        return self.eval().requires_grad_(False)

    def norm(self, x: Tensor, name: str) -> Tensor:
        # under autocast x is bf16 and the weight is not: of two types PyTorch has no fused kernel
        return F.rms_norm(x, (self.a.width,), self.w(name).to(x.dtype), EPS)

    def embed(self, x: Tensor, which: str) -> Tensor:
        return F.linear(x, self.w(f"embed_{which}.weight"), self.w(f"embed_{which}.bias"))

    def heads_of(self, x: Tensor, at: str, first: int, keys_only: bool = False) -> tuple[Tensor, ...]:
        """x (B, T, d) -> rotated q and k, and v, each (B, heads, T, head_dim)."""
        a, batch, rows = self.a, x.shape[0], x.shape[1]
        key_heads = a.kv_heads or a.heads
        weight = self.w(at + "qkv.weight")
        turning = a.heads + key_heads
        if keys_only:
            weight, turning = weight[a.width :], key_heads
        n = self.norm(x, at + "attention_norm.weight")
        qkv = F.linear(n, weight).view(batch, rows, turning + key_heads, self.head_dim)
        low, high = qkv[:, :, :turning].chunk(2, dim=-1)
        c, s = self.cosine[first : first + rows], self.sine[first : first + rows]
        turned = torch.cat([low * c - high * s, high * c + low * s], dim=-1).transpose(1, 2)
        values = qkv[:, :, turning:].transpose(1, 2)
        if keys_only:
            return turned, values
        q, k = turned.split([a.heads, key_heads], dim=1)
        return q, k, values

    def rest(self, x: Tensor, attended: Tensor, at: str) -> Tensor:
        """The block behind attention."""
        mixed = attended.transpose(1, 2).flatten(-2)
        x = x + F.linear(mixed, self.w(at + "attention_out.weight"))
        n = self.norm(x, at + "feedforward_norm.weight")
        gate, up = F.linear(n, self.w(at + "gate_up.weight")).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.w(at + "down.weight"))

    def quantiles_of(self, x: Tensor, future: Tensor) -> Tensor:
        """(B, H, outputs, levels)"""
        a = self.a
        levels = len(a.quantiles)
        middle = a.quantiles.index(0.5)
        n = self.norm(x, "norm.weight")
        raw = F.linear(n, self.w("head.weight"), self.w("head.bias")) + F.linear(
            future, self.w("skip.weight")
        )
        raw = raw.view(*raw.shape[:2], a.outputs, levels)
        median, steps = raw[..., middle : middle + 1], F.softplus(raw)
        above = median + steps[..., middle + 1 :].cumsum(-1)
        below = median - steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], dim=-1)


class Full(Network):
    """history (B, T, F), future (B, H, C) -> quantiles (B, H, outputs, levels)."""

    def forward(self, history: Tensor, future: Tensor) -> Tensor:
        x = torch.cat([self.embed(history, "history"), self.embed(future, "future")], dim=1)
        for layer in range(self.a.layers):
            at = f"layers.{layer}."
            q, k, v = self.heads_of(x, at, 0)
            x = self.rest(x, attend(q, k, v, None, self.plain), at)
        return self.quantiles_of(x[:, -self.a.horizon :], future)


class Cached(Network):
    """`prefill` once per history, `forward` per plan."""

    def prefill(self, history: Tensor) -> Caches:
        x, caches = self.embed(history, "history"), []
        for layer in range(self.a.layers):
            at = f"layers.{layer}."
            if layer + 1 == self.a.layers:
                k, v = self.heads_of(x, at, 0, keys_only=True)
                caches.append((k, v))
                break
            q, k, v = self.heads_of(x, at, 0)
            caches.append((k, v))
            x = self.rest(x, attend(q, k, v, None, self.plain), at)
        return caches

    def forward(self, caches: Caches, future: Tensor) -> Tensor:
        x = self.embed(future, "future")
        batch = x.shape[0]
        for layer, (past_k, past_v) in enumerate(caches):
            at = f"layers.{layer}."
            q, k, v = self.heads_of(x, at, self.a.context)
            k = torch.cat([past_k.expand(batch, -1, -1, -1), k], dim=2)
            v = torch.cat([past_v.expand(batch, -1, -1, -1), v], dim=2)
            x = self.rest(x, attend(q, k, v, self.mask, self.plain), at)
        return self.quantiles_of(x, future)


def canonical(net: Network, of: list[Tensor]) -> np.ndarray:
    """Tensors in the order of `net.names` as one buffer in the engine's layout, (in, out)."""
    flat = [t.detach().numpy().T if t.dim() == 2 else t.detach().numpy() for t in of]
    return np.concatenate([x.ravel() for x in flat])
