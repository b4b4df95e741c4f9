"""The same network written out in CasADi's MX, in the form that suits it best.

Float64. The history's keys and values are parameters, computed beforehand; norms' weights are folded into the
products behind them, the future rows' embedding is affine in the plan, and of the head only the columns are
kept that a price or a limit looks at. Columns are time steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import casadi as ca
import numpy as np
import torch

from benchmarks.engine_peers.torch_model import EPS
from benchmarks.nlp_peers.network import Prefix, TorchModel
from benchmarks.nlp_peers.problem import MOVE_WEIGHT, Floats, Statement, Tick


class CasadiNetwork:
    """`outputs(v, p)` -> medians (priced, H), uppers (limited, H); `parameters(...)` of a tick."""

    def __init__(self, stated: Statement) -> None:
        self.stated = stated
        self.torch = TorchModel(stated, torch.float64, plain=True)  # weights, and the history's pass
        self.a = self.torch.net.a
        self.half = self.a.width // self.a.heads // 2
        turned = np.arange(self.a.width).reshape(self.a.heads, 2, self.half)
        self.low, self.high = turned[:, 0].ravel(), turned[:, 1].ravel()  # rows of all heads
        levels = len(self.a.quantiles)
        middle, upper = stated.middle, stated.upper
        self.median_rows = [int(o) * levels + middle for o in self.torch.priced]
        self.upper_rows = [
            [int(o) * levels + k for o in self.torch.limited] for k in range(middle, upper + 1)
        ]
        self.head_rows = [*self.median_rows, *(r for rows in self.upper_rows for r in rows)]
        self._declare()

    def w(self, name: str) -> Floats:
        values: Floats = self.torch.net.w(name).detach().numpy()
        return values

    def _declare(self) -> None:
        a, stated = self.a, self.stated
        sizes: list[tuple[int, int]] = []
        for _ in range(a.layers):
            sizes += [(a.width, a.context), (a.width, a.context)]
        scales = len(self.torch.priced) + len(self.torch.limited)
        m = 0 if not stated.limits else len(stated.limits) * stated.case.horizon
        sizes += [(a.width, a.horizon), (len(self.head_rows), a.horizon)]
        sizes += [(scales, 1), (m, 1), (m, 1), (len(stated.low), 1)]
        self.symbols = [ca.MX.sym(f"p{i}", *size) for i, size in enumerate(sizes)]
        self.p = ca.vertcat(*(ca.vec(s) for s in self.symbols))

    def parameters(self, prefix: Prefix, tick: Tick) -> Floats:
        """Everything that the network and the limits need of a tick, one vector."""
        a, model = self.a, self.torch
        model.set_tick(prefix, tick)
        parts: list[Floats] = []
        for key, value in model.caches:
            for heads in (key, value):
                flat = heads[0].transpose(1, 2).reshape(a.width, a.context).numpy()
                parts.append(flat)
        future = prefix.future0.T
        parts.append(self.w("embed_future.weight") @ future + self.w("embed_future.bias")[:, None])
        skip, bias = self.w("skip.weight")[self.head_rows], self.w("head.bias")[self.head_rows]
        parts.append(skip @ future + bias[:, None])
        chosen = [*model.priced, *model.limited]
        parts.append((prefix.anchor * prefix.out_sd + prefix.mean)[chosen][:, None])
        largest = tick.coefficient.max(1)
        parts += [largest[:, None], tick.rhs[:, None], (tick.applied / self.stated.span)[:, None]]
        self.prefix = prefix
        return np.concatenate([np.ascontiguousarray(part.T).ravel() for part in parts])

    def outputs(self, v: ca.MX, prefix: Prefix) -> tuple[ca.MX, ca.MX]:
        a, stated = self.a, self.stated
        blocks = ca.reshape(v, len(stated.low), len(stated.starts))
        plan = blocks @ ca.DM(stated.expand.T)
        scatter = np.zeros((prefix.future0.shape[1], len(stated.low)))  # constant: the scales' alone
        for u, columns in enumerate(prefix.columns):
            scatter[list(columns), u] = stated.span[u] / prefix.sd[u]
        x = self.symbols[2 * a.layers] + ca.DM(self.w("embed_future.weight") @ scatter) @ plan
        for layer in range(a.layers):
            x = self._block(x, layer)
        raw = self._normed(x, "norm.weight", self.w("head.weight")[self.head_rows])
        raw += self.symbols[2 * a.layers + 1] + ca.DM(self.w("skip.weight")[self.head_rows] @ scatter) @ plan
        return self._physical(raw, prefix)

    def _normed(self, x: ca.MX, norm: str, weight: Floats) -> ca.MX:
        """weight @ rmsnorm(x), the division by the root after the product."""
        root = ca.sqrt(ca.sum1(x * x) / self.a.width + EPS)
        return (ca.DM(weight * self.w(norm)) @ x) / ca.repmat(root, weight.shape[0], 1)

    def _turned(self, raw: ca.MX, first: int) -> tuple[ca.MX, ca.MX]:
        """Rows `first` on hold the lower halves of all heads, then the upper ones; rotated."""
        d = self.a.width // 2
        low, high = raw[first : first + d, :], raw[first + d : first + 2 * d, :]
        rows = slice(self.a.context, self.a.context + self.a.horizon)
        cosine = self.torch.net.cosine[rows, 0].numpy().T
        sine = self.torch.net.sine[rows, 0].numpy().T
        c, s = ca.DM(np.tile(cosine, (self.a.heads, 1))), ca.DM(np.tile(sine, (self.a.heads, 1)))
        return low * c - high * s, high * c + low * s

    def _block(self, x: ca.MX, layer: int) -> ca.MX:
        a, at, half = self.a, f"layers.{layer}.", self.half
        width, size = a.width, 2 * half
        order = np.concatenate([self.low, self.high])
        weight = self.w(at + "qkv.weight").copy()
        weight[:width] *= size**-0.5  # the scores' scale
        weight = np.concatenate(
            [weight[:width][order], weight[width : 2 * width][order], weight[2 * width :]]
        )
        qkv = self._normed(x, at + "attention_norm.weight", weight)
        q_low, q_high = self._turned(qkv, 0)
        k_low, k_high = self._turned(qkv, width)
        mask = ca.DM(np.triu(np.ones((a.horizon, a.horizon))))  # key s, query t: s <= t
        past_k, past_v = self.symbols[2 * layer], self.symbols[2 * layer + 1]
        mixed = []
        for h in range(a.heads):
            rows, lanes = slice(h * size, (h + 1) * size), slice(h * half, (h + 1) * half)
            q = ca.vertcat(q_low[lanes, :], q_high[lanes, :])
            k = ca.vertcat(k_low[lanes, :], k_high[lanes, :])
            v = qkv[2 * width + h * size : 2 * width + (h + 1) * size, :]
            past = ca.exp(past_k[rows, :].T @ q)
            own = ca.exp(k.T @ q) * mask
            total = ca.sum1(past) + ca.sum1(own)
            mixed.append((past_v[rows, :] @ past + v @ own) / ca.repmat(total, size, 1))
        x = x + ca.DM(self.w(at + "attention_out.weight")) @ ca.vertcat(*mixed)
        gates = self._normed(x, at + "feedforward_norm.weight", self.w(at + "gate_up.weight"))
        inner = gates.shape[0] // 2
        gate, up = gates[:inner, :], gates[inner:, :]
        return x + ca.DM(self.w(at + "down.weight")) @ (gate * up / (1 + ca.exp(-gate)))

    def _physical(self, raw: ca.MX, prefix: Prefix) -> tuple[ca.MX, ca.MX]:
        priced, limited = len(self.torch.priced), len(self.torch.limited)
        median = raw[:priced, :]
        # the limited outputs' medians, and above them the softplus increments
        upper = raw[priced : priced + limited, :]
        for k in range(1, len(self.upper_rows)):
            step = raw[priced + k * limited : priced + (k + 1) * limited, :]
            upper += ca.fmax(step, 0) + ca.log1p(ca.exp(-ca.fabs(step)))
        centre = self.symbols[2 * self.a.layers + 2]

        def said(z: ca.MX, outputs: Sequence[int], first: int) -> ca.MX:
            rows = []
            for i, o in enumerate(outputs):
                g = z[i, :] * prefix.out_sd[o] + centre[first + i]
                rows.append(ca.exp(g) - prefix.offset[o] if prefix.log[o] else g)
            return ca.vertcat(*rows)

        return said(median, self.torch.priced, 0), said(upper, self.torch.limited, priced)

    def money_and_excess(self, v: ca.MX, prefix: Prefix) -> tuple[ca.MX, ca.MX]:
        stated = self.stated
        median, upper = self.outputs(v, prefix)
        money = ca.sum2(ca.DM(stated.price_y[self.torch.priced]).T @ median)
        largest, rhs, applied = self.symbols[-3:]
        horizon, means = stated.case.horizon, []
        for limit in stated.limits:
            place = int(np.flatnonzero(self.torch.limited == limit.output)[0])
            band = np.tril(np.ones((horizon, horizon))) - np.tril(np.ones((horizon, horizon)), -limit.window)
            means.append(ca.sparsify(ca.DM(band)) @ upper[place, :].T)
        excess = ca.vertcat(*means) * largest - rhs
        users = len(stated.low)
        steps = v - ca.vertcat(applied, v[: stated.n - users])
        cost = money + ca.dot(ca.DM(stated.setpoint_cost()), v) + MOVE_WEIGHT * ca.sumsqr(steps)
        return cost, excess
