"""QPs as a controller meets them, in closed loop: a plant of first-order lags, limits on its outputs that
cost when they are broken, rates, bounds. Each solver rolls out its own moves. Synthetic; nothing is measured
data.

The variables are the setpoints of `blocks` coming samples and one slack per output, n of them together:

    minimise    tracking + economics + move suppression + slack (100 s + 0.0005 s^2)
    subject to  0 <= u <= 1,  |u_k - u_k-1| <= rate,  y_t(u) - s <= limit,  s >= 0

so that every solver gets the same matrices: nobody pays for slacks that only another one can eliminate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SETPOINTS = 4
OUTPUTS = 4
RATE = 0.1
SLACK_L1, SLACK_L2 = 100.0, 1e-3


@dataclass
class Qp:
    """minimise 1/2 x'Px + q'x with l <= Ax <= u and lb <= x <= ub."""

    P: Floats
    q: Floats
    A: Floats
    l: Floats  # noqa: E741 - the name all QP solvers use
    u: Floats
    lb: Floats
    ub: Floats


@dataclass
class Loop:
    """One closed loop. `problem()` is the QP of the present sample, `apply(x)` takes its first move."""

    n: int
    new_jacobian: bool
    seed: int = 0
    past: Floats = field(init=False)
    applied: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = (self.n - OUTPUTS) // SETPOINTS
        if self.n != self.blocks * SETPOINTS + OUTPUTS or self.blocks < 2:
            raise ValueError(f"Loop.n: expected a multiple of {SETPOINTS}, at least 12, got {self.n}")
        self.rng = np.random.default_rng(self.seed)
        rng = self.rng
        self.gain = rng.normal(size=(OUTPUTS, SETPOINTS)) * rng.choice([0.3, 1.0, 1.5], (OUTPUTS, SETPOINTS))
        self.pole = np.exp(-1 / rng.uniform(1.5, 8, (OUTPUTS, SETPOINTS)))
        self.past = np.zeros((OUTPUTS, SETPOINTS))
        self.applied = np.full(SETPOINTS, 0.5)
        self.past[:] = self.gain * self.applied
        self.load = np.zeros(OUTPUTS)
        self.target = self.gain @ rng.uniform(0.1, 0.9, SETPOINTS)
        self.limit = np.maximum(self.target, self.past.sum(1)) + rng.uniform(0.0, 0.3, OUTPUTS)
        self.price = 0.02 * rng.normal(size=SETPOINTS)
        self.tick = 0
        self.linearise()
        self.disturb()

    def linearise(self) -> None:
        """Jacobian of the coming outputs (blocks * outputs, blocks * setpoints) as the model sees it now."""
        gain, pole = self.gain, self.pole
        if self.new_jacobian and self.tick > 0:  # what a network's local slope does from sample to sample
            gain = gain * (1 + 0.02 * self.rng.normal(size=gain.shape))
            pole = np.clip(pole * (1 + 0.005 * self.rng.normal(size=pole.shape)), 0.05, 0.97)
        self.seen = gain, pole
        age = np.arange(self.blocks)[:, None] - np.arange(self.blocks)[None, :]
        lag = (
            (1 - pole)
            * gain
            * np.where(age[..., None, None] >= 0, pole ** np.maximum(age, 0)[..., None, None], 0)
        )
        j = lag.transpose(0, 2, 1, 3).reshape(self.blocks * OUTPUTS, self.blocks * SETPOINTS)
        moves, n = self.blocks * SETPOINTS, self.n
        difference = np.eye(moves) - np.eye(moves, k=-SETPOINTS)
        self.P = np.zeros((n, n))
        self.P[:moves, :moves] = j.T @ j + 0.5 * difference.T @ difference + 5e-2 * np.eye(moves)
        self.P[moves:, moves:] = SLACK_L2 * np.eye(OUTPUTS)
        soft = np.hstack([j, -np.tile(np.eye(OUTPUTS), (self.blocks, 1))])
        rates = np.hstack([difference[SETPOINTS:], np.zeros((moves - SETPOINTS, OUTPUTS))])
        self.A = np.ascontiguousarray(np.vstack([soft, rates]))
        self.J = j

    def disturb(self) -> None:
        self.load += 0.02 * self.rng.normal(size=OUTPUTS)
        if self.tick % 10 == 5:  # another load, another price
            self.load += 0.3 * self.rng.normal(size=OUTPUTS)
            self.price = 0.02 * self.rng.normal(size=SETPOINTS)

    def problem(self) -> Qp:
        moves, m = self.blocks * SETPOINTS, len(self.A)
        _, pole = self.seen
        free = (pole[None] ** (1 + np.arange(self.blocks))[:, None, None] * self.past).sum(2) + self.load
        free = free.reshape(-1)
        q = np.zeros(self.n)
        q[:moves] = self.J.T @ (free - np.tile(self.target, self.blocks)) + np.tile(self.price, self.blocks)
        q[:SETPOINTS] -= 0.5 * self.applied
        q[moves:] = SLACK_L1
        u = np.full(m, RATE)
        u[: len(free)] = np.tile(self.limit, self.blocks) - free
        low = np.full(m, -RATE)
        low[: len(free)] = -np.inf
        lb, ub = np.zeros(self.n), np.ones(self.n)
        lb[:SETPOINTS] = np.maximum(0, self.applied - RATE)
        ub[:SETPOINTS] = np.minimum(1, self.applied + RATE)
        ub[moves:] = np.inf
        return Qp(self.P, q, self.A, low, u, lb, ub)

    def apply(self, x: Floats) -> None:
        self.applied = np.clip(x[:SETPOINTS], 0, 1)
        self.past = self.pole * self.past + (1 - self.pole) * self.gain * self.applied
        self.tick += 1
        if self.new_jacobian:
            self.linearise()
        self.disturb()

    def shift(self, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Multipliers of rows and bounds, one sample later; the last block keeps its own."""
        y, z = y.copy(), z.copy()
        soft, moves = self.blocks * OUTPUTS, self.blocks * SETPOINTS
        y[: soft - OUTPUTS] = y[OUTPUTS:soft]
        y[soft : len(y) - SETPOINTS] = y[soft + SETPOINTS :]
        z[: moves - SETPOINTS] = z[SETPOINTS:moves]
        return y, z


def wide(n: int, smooth: bool, seed: int = 0) -> tuple[Qp, Qp]:
    """Many variables (n setpoint values and 4 slacks), few outputs (240 or 256): the same problem dense and
    with the outputs as variables of their own (sparse: y = Ju are equalities).

    H = block tridiagonal + J'QJ. smooth: step responses; else decaying random Jacobians.
    """
    rng = np.random.default_rng(seed)
    steps = 60 if n < 512 else 64
    per_block, rows = 8, steps * OUTPUTS
    blocks = n // per_block
    age = np.arange(steps)[:, None] / steps - np.arange(blocks)[None, :] / blocks
    if smooth:
        speed = rng.uniform(2, 12, (OUTPUTS, per_block))
        gain = rng.normal(size=(OUTPUTS, per_block)) / blocks
        response = gain * (1 - np.exp(-speed * np.maximum(age, 0)[..., None, None]))
        response = np.where(age[..., None, None] >= 0, response, 0)
    else:
        response = rng.normal(size=(steps, blocks, OUTPUTS, per_block)) / np.sqrt(blocks)
        response = response * np.where(age >= 0, np.exp(-4 * np.maximum(age, 0)), 0)[..., None, None]
    j = response.transpose(0, 2, 1, 3).reshape(rows, n)
    difference = np.eye(n) - np.eye(n, k=-per_block)
    total = n + OUTPUTS
    h0 = np.zeros((total, total))
    h0[:n, :n] = 0.1 * difference.T @ difference + 1e-3 * np.eye(n)
    h0[n:, n:] = SLACK_L2 * np.eye(OUTPUTS)
    p = h0.copy()
    p[:n, :n] += j.T @ j
    target = j @ rng.uniform(0.2, 0.8, n)
    economics = 0.02 * rng.normal(size=n)
    q = np.concatenate([economics - j.T @ target, np.full(OUTPUTS, SLACK_L1)])
    slack = -np.tile(np.eye(OUTPUTS), (steps, 1))
    rates = np.hstack([difference[per_block:], np.zeros((n - per_block, OUTPUTS))])
    a = np.ascontiguousarray(np.vstack([np.hstack([j, slack]), rates]))
    limit = target + 0.1 * np.abs(target).max() * rng.uniform(-0.2, 1, rows)
    low = np.concatenate([np.full(rows, -np.inf), np.full(n - per_block, -0.1)])
    high = np.concatenate([limit, np.full(n - per_block, 0.1)])
    lb, ub = np.zeros(total), np.concatenate([np.ones(n), np.full(OUTPUTS, np.inf)])
    dense = Qp(p, q, a, low, high, lb, ub)

    lifted_h = np.zeros((total + rows, total + rows))
    lifted_h[:total, :total] = h0
    lifted_h[total:, total:] = np.eye(rows)
    lifted_q = np.concatenate([economics, np.full(OUTPUTS, SLACK_L1), -target])
    lifted_a = np.zeros((2 * rows + n - per_block, total + rows))
    lifted_a[:rows, :n], lifted_a[:rows, total:] = j, -np.eye(rows)
    lifted_a[rows : 2 * rows, n:total], lifted_a[rows : 2 * rows, total:] = slack, np.eye(rows)
    lifted_a[2 * rows :, :total] = rates
    zero = np.zeros(rows)
    free = np.full(rows, np.inf)
    lifted = Qp(
        lifted_h, lifted_q, lifted_a, np.concatenate([zero, low]), np.concatenate([zero, high]),
        np.concatenate([lb, -free]), np.concatenate([ub, free]),
    )  # fmt: skip
    return dense, lifted
