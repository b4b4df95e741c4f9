"""The forecaster of a tick as PyTorch runs it, history cached: variables -> cost and excess of limits.

In float32 a peer's model, in float64 the judge's (merit.py).
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from benchmarks.engine_peers.torch_model import Cached, Caches
from benchmarks.nlp_peers.problem import Floats, Statement, Tick
from emisopt import _core


class Prefix:
    """What a tick fixes: tokens, anchors. `future0` are the future tokens that a plan of zeros would give;
    they are affine in the plan: each setpoint adds its value over its sd to two columns of its row."""

    def __init__(self, stated: Statement, tick: Tick, session: _core.ForecastSession | None = None) -> None:
        core, tags = stated.forecaster.core_, stated.tags
        session = session or _core.ForecastSession(core, 1)
        session.set_history(tick.rows, tick.end)
        plan = stated.plan(tick.start)
        history, future = session.tokens(plan, tick.known)
        self.history, self.future0 = history.astype(float), future.astype(float)
        scales = core.scales
        self.sd = scales[[tags.names.index(n) for n in tags.setpoints], 3]
        names = list(core.future_names)
        self.columns = [(names.index(f"{n} z"), names.index(f"{n} z - anchor")) for n in tags.setpoints]
        for u, columns in enumerate(self.columns):
            self.future0[:, columns] -= (plan[:, u] / self.sd[u])[:, None]
        log, offset, mean, sd = scales[[tags.names.index(n) for n in tags.outputs]].T
        anchor = session.anchors
        changed = np.where(log > 0, np.log(np.maximum(np.where(log > 0, anchor, 1), 0) + offset), anchor)
        self.log, self.offset, self.mean, self.out_sd = log > 0, offset, mean, sd
        self.anchor = (changed - mean) / sd  # normalised


def sizes(stated: Statement) -> SimpleNamespace:
    """The forecaster's sizes as the hand-written network wants them."""
    config = stated.forecaster.core_.config
    return SimpleNamespace(
        width=config.width, heads=config.heads, kv_heads=config.kv_heads, layers=config.layers,
        context=config.context, horizon=config.horizon, outputs=len(stated.tags.outputs),
        quantiles=tuple(config.quantiles), network=lambda: stated.forecaster.core_.network,
    )  # fmt: skip


class TorchModel:
    """The network of a problem in one precision; `set_tick`, then forecasts of variables (n)."""

    def __init__(self, stated: Statement, dtype: torch.dtype, plain: bool) -> None:
        theta = np.array(stated.forecaster.core_.theta)
        self.stated, self.dtype = stated, dtype
        self.net = Cached(sizes(stated), theta, plain).frozen().to(dtype)  # type: ignore[arg-type]
        self.priced = np.flatnonzero(stated.price_y)
        self.limited = np.unique([limit.output for limit in stated.limits])
        self.expand = self._tensor(stated.expand)
        self.caches: Caches = []

    def _tensor(self, values: Floats) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=self.dtype)

    def set_tick(self, prefix: Prefix, tick: Tick) -> None:
        stated = self.stated
        scatter = np.zeros((len(stated.low), prefix.future0.shape[1]))
        for u, columns in enumerate(prefix.columns):
            scatter[u, list(columns)] = stated.span[u] / prefix.sd[u]
        self.scatter, self.future0 = self._tensor(scatter), self._tensor(prefix.future0)
        with torch.no_grad():
            self.caches = self.net.prefill(self._tensor(prefix.history)[None])
        self.scale = [self._tensor(x) for x in (prefix.anchor, prefix.mean, prefix.out_sd, prefix.offset)]
        self.log = torch.as_tensor(prefix.log)
        self.coefficient = self._tensor(tick.coefficient)
        self.rhs = self._tensor(tick.rhs)
        self.row_output = torch.as_tensor(tick.output)
        self.price = self._tensor(stated.price_y)

    def money_and_excess(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """v (n) or (B, n) -> cost of the medians () or (B), excess of each limit row (m) or (B, m)."""
        blocks = v.unflatten(-1, (len(self.stated.starts), -1))
        future = self.future0 + (self.expand @ blocks) @ self.scatter
        quantiles = self.net(self.caches, future if v.dim() > 1 else future[None])
        quantiles = quantiles if v.dim() > 1 else quantiles[0]
        anchor, mean, sd, offset = self.scale

        def physical(level: int) -> Tensor:
            g = (quantiles[..., level] + anchor) * sd + mean
            return torch.where(self.log, torch.exp(torch.where(self.log, g, 0.0)) - offset, g)

        money = (physical(self.stated.middle) * self.price).sum((-1, -2))
        held = physical(self.stated.upper)
        excess = (self.coefficient * held[..., self.row_output].mT).sum(-1) - self.rhs
        return money, excess
