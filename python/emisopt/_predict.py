"""How long a program's run() will take, from timings of its op kinds here. Public in `Program.cost`.

A probe is a network of the model's widths with one op kind in a chain; the chain's time beyond that of the
same network without it is the op's. A prediction is the sum over the model's ops. Probes run once per
process, kind, widths, rows, mode, threads and level; the best of some calls counts, so what is predicted is a
warm run that nobody disturbs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emisopt import _core

__all__ = ["Setting", "predict"]

CHAIN = 4  # items of a probe, each from the model's width back to it
PROBE_SECONDS = 0.02
LEAST_CALLS = 5
_ROWS, _KIND = _core.Rows, _core.OpKind
_Op = tuple[_core.OpKind, int, int]  # kind, width read, width written


@dataclass(frozen=True)
class Setting:
    """What decides an op's time beside the op itself."""

    mode: _core.Mode
    batch: int
    history_tokens: int
    horizon: int
    threads: int
    isa: _core.Isa
    precision: _core.Precision
    levels: tuple[float, ...]
    seeds: tuple[tuple[int, int], ...]
    directions: tuple[tuple[int, int], ...]
    history_width: int
    future_width: int
    outputs: int
    width: int
    heads: int
    kv_heads: int

    @property
    def key(self) -> int:
        """Width of queries, keys and values side by side."""
        return (self.heads + 2 * self.kv_heads) * (self.width // self.heads)


def predict(network: _core.OpList, s: Setting) -> float:
    """Seconds of one run() of a network of the forecaster's family.

    Every op of its blocks is timed in a chain, what stands around the blocks in the probe without one.
    """
    # The probe has the last attention and the product before it already.
    total = _probe_seconds(s, None) - _op_seconds(s, (_KIND.linear, s.width, s.key))
    # Behind that attention training runs future rows only, and a Jacobian's seed is one row, not up to H.
    seeds = len(s.seeds)
    share = {
        _core.Mode.train: s.horizon / (s.horizon + s.history_tokens),
        _core.Mode.jacobian: (1 + seeds) / (1 + seeds * (s.horizon + 1) / 2),
    }.get(s.mode, 1.0)
    for kind, rows, read, written, _, _ in _blocks(network):
        if rows == _ROWS.all:
            total += _op_seconds(s, (kind, read, written))
        elif kind != _KIND.attention:
            total += share * _op_seconds(s, (kind, read, written))
    return max(total, 0.0)


def _blocks(network: _core.OpList) -> list[tuple[_core.OpKind, _core.Rows, int, int, int, int]]:
    """Ops between the embeddings and the last norm."""
    ops: list[tuple[_core.OpKind, _core.Rows, int, int, int, int]] = network.ops
    return ops[2:-5]


@lru_cache(maxsize=512)
def _op_seconds(s: Setting, op: _Op) -> float:
    kind, read, written = op
    item = (_probe_seconds(s, op) - _probe_seconds(s, None)) / CHAIN
    if kind == _KIND.linear and read != written:
        item /= 2  # a product and the one that restores the width: equal work
    elif kind == _KIND.rope:
        item -= 2 * _op_seconds(s, (_KIND.linear, s.width, read))
    elif kind == _KIND.attention:
        item -= _op_seconds(s, (_KIND.linear, s.width, read))
    elif kind == _KIND.swiglu:
        item -= _op_seconds(s, (_KIND.linear, s.width, read)) + _op_seconds(
            s, (_KIND.linear, written, s.width)
        )
    return max(item, 0.0)


@lru_cache(maxsize=512)
def _probe_seconds(s: Setting, op: _Op | None) -> float:
    """Best call of a probe with a chain of an op, or with none."""
    network = _probe(s, op)
    program = _core.Program(
        network,
        batch=s.batch,
        history_tokens=s.history_tokens,
        future_tokens=s.horizon,
        mode=s.mode,
        loss=_core.Loss.pinball,
        levels=list(s.levels),
        threads=s.threads,
        isa=s.isa,
        precision=s.precision,
        seeds=list(s.seeds),
        directions=list(s.directions),
    )
    weights = 0.05 * np.random.default_rng(0).standard_normal(network.parameter_count)
    program.load(weights.astype(np.float32))
    program.history[:] = program.future[:] = 0.1
    if s.mode == _core.Mode.train:
        program.weight[:] = 1.0
    if s.mode == _core.Mode.vjp:
        program.seed[:] = 1.0
    if s.mode == _core.Mode.tangent:
        program.direction[:] = 0.1
    program.run_context()
    program.run()
    best, calls, begin = np.inf, 0, time.perf_counter()
    while calls < LEAST_CALLS or time.perf_counter() - begin < PROBE_SECONDS:
        start = time.perf_counter()
        program.run()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return float(best)


def _probe(s: Setting, op: _Op | None) -> _core.OpList:
    """Embeddings, the chain, one attention, norm, head, skip: a model without blocks, but for the chain."""
    net = _core.OpList()
    heads = {"heads": s.heads, "kv_heads": s.kv_heads, "head_dim": s.width // s.heads}

    def apply(kind: _core.OpKind, x: int, read: int, written: int, rows: _core.Rows, y: int = -1) -> int:
        y = net.add_value("y", written, rows) if y < 0 else y
        name, options = f"w{len(net.parameters)}", {}
        if kind == _KIND.linear:
            options["w"] = net.add_parameter(name, [read, written], True)
        elif kind == _KIND.rmsnorm:
            options["w"] = net.add_parameter(name, [read], False)
        elif kind == _KIND.add:
            options["x2"] = x
        elif kind == _KIND.rope:
            options = {**heads, "heads": s.heads + s.kv_heads}
        elif kind == _KIND.attention:
            options = heads
        net.add_op(kind, rows, x, y, **options)
        return y

    history = net.add_value("history", s.history_width, _ROWS.history)
    future = net.add_value("future", s.future_width, _ROWS.future)
    x = net.add_value("embedded", s.width, _ROWS.all)
    apply(_KIND.linear, history, s.history_width, s.width, _ROWS.history, x)
    apply(_KIND.linear, future, s.future_width, s.width, _ROWS.future, x)
    for kind, read, written in _item(s, op) * CHAIN:
        x = apply(kind, x, read, written, _ROWS.all)
    x = apply(_KIND.linear, x, s.width, s.key, _ROWS.all)
    x = apply(_KIND.attention, x, s.key, s.width, _ROWS.future)
    x = apply(_KIND.rmsnorm, x, s.width, s.width, _ROWS.future)
    levels = len(s.levels)
    out, shape = s.outputs * levels, {"outputs": s.outputs, "levels": levels, "middle": s.levels.index(0.5)}
    head = apply(_KIND.linear, x, s.width, out, _ROWS.future)
    skip = apply(_KIND.linear, future, s.future_width, out, _ROWS.future)
    raw, quantiles = (net.add_value(name, out, _ROWS.future) for name in ("raw", "quantiles"))
    net.add_op(_KIND.add, _ROWS.future, head, raw, x2=skip)
    net.add_op(_KIND.quantiles, _ROWS.future, raw, quantiles, **shape)
    net.set_io(future, quantiles, history=history, **shape)
    return net


def _item(s: Setting, op: _Op | None) -> list[_Op]:
    """The op with the products that lead to its width and back."""
    if op is None:
        return []
    _, read, written = op
    before = [] if read == s.width else [(_KIND.linear, s.width, read)]
    after = [] if written == s.width else [(_KIND.linear, written, s.width)]
    return [*before, op, *after]
