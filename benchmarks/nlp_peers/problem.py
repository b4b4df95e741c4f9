"""The optimal control problem that all sides solve, a fitted forecaster, and the ticks at which it is solved.

Variables v (blocks, U): block values of the setpoints, each divided by its range. With y the median forecast,
q the upper quantile, both functions of the plan that v expands to:

    minimise  sum_t [price_y . y_t + price_u . u_t] + sum_b move_weight . (v_b - v_b-1)^2
              + weight * sum_i phi(e_i),    phi(e) = max(e, 0) + curve / 2 * max(e, 0)^2
    e_i       = (coefficient_i . q[:, output_i] - rhs_i) / scale_i + margin          (soft, exact penalty)
    bounds on v, |v_b - v_b-1| <= rate                                               (hard)

Solvers with constraints have phi as a slack per row. The plants are synthetic (docs/boiler.md): one boiler
has 4 setpoints, two side by side 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import emisopt
from emisopt import _core
from emisopt.history import held_disturbances, known_array, to_history
from emisopt.tags import TagMap

Floats = NDArray[np.float64]
FOLDER = Path(__file__).parents[2] / "build" / "benchmarks"  # fitted forecasters; not under version control

CURVE = 1e-3  # of phi; csrc/emisopt/control/sqp.cpp: kQuadratic
MARGIN = 1e-4  # ControllerConfig::limit_margin
WINDOW = 12  # rows of the averaging limit
UPPER = 0.95

PRICE_Y = {"nh3_flow": 0.06, "nox": 0.02, "co": 0.01}
PRICE_U = {"o2_sp": 4.0, "ofa_sp": 0.1}
MOVE_WEIGHT = 2.0
RATES = {"o2_sp": 0.25, "ofa_sp": 2.0, "nh3_ratio_sp": 0.05, "tilt_sp": 4.0}
LIMITS = (("nox", 85.0, 1), ("co", 160.0, WINDOW))
WEIGHT = 3000.0  # per unit of slack / limit


@dataclass(frozen=True)
class Case:
    """Sizes of one row of the table."""

    name: str
    width: int
    heads: int
    layers: int
    horizon: int = 24
    blocks: int = 6
    boilers: int = 1  # 4 setpoints each
    context: int = 96
    steps: int = 300
    apart: int = 0  # rows between ticks, each begun from the last one's plan; 0: far apart, begun cold

    @property
    def forecaster_name(self) -> str:
        return f"d{self.width}h{self.heads}L{self.layers}-H{self.horizon}-B{self.boilers}-s{self.steps}"


S = Case("nlp-S", 64, 4, 3)
M = Case("nlp-M", 128, 8, 4, steps=150)
CASES = {
    case.name: case
    for case in (
        S,
        M,
        replace(S, name="nlp-S-warm", apart=1),
        replace(M, name="nlp-M-warm", apart=1),
        replace(S, name="nlp-S-H16", horizon=16),
        replace(S, name="nlp-S-U8", boilers=2),
        replace(S, name="nlp-S-unblocked", blocks=24),
    )
}


def plant_history(boilers: int, days: int, seed: int) -> tuple[pd.DataFrame, TagMap]:
    """Rows and tags of so many boilers side by side, names with a_, b_ when more than one."""
    parts = [emisopt.plants.Boiler(seed=seed + 50 * i).simulate_history(days=days) for i in range(boilers)]
    if boilers == 1:
        return parts[0]
    frames, tags = [], []
    for letter, (frame, own) in zip("abcd", parts, strict=False):
        frames.append(frame.add_prefix(letter + "_"))
        tags += [replace(tag, name=f"{letter}_{tag.name}") for tag in own.tags]
    whole = pd.concat(frames, axis=1)
    roles = {"setpoint": 0, "disturbance": 1}
    tags.sort(key=lambda tag: roles.get(tag.role, 2))
    first = parts[0][1]
    return whole[[t.name for t in tags]], replace(first, tags=tuple(tags))


def fitted(case: Case) -> tuple[emisopt.Forecaster, pd.DataFrame, TagMap]:
    """The forecaster of a case, fitted on a month of the plant or read back, and rows it has not seen."""
    history, tags = plant_history(case.boilers, 40, 11)
    train = 30 * 288
    path = FOLDER / f"nlp-{case.forecaster_name}-{emisopt.__version__}.safetensors"
    if path.exists():
        forecaster = emisopt.Forecaster.load(path)
    else:
        forecaster = emisopt.Forecaster(
            context=case.context,
            horizon=case.horizon,
            width=case.width,
            heads=case.heads,
            layers=case.layers,
            quantiles=(0.05, 0.5, UPPER),
            steps=case.steps,
            batch=32,
        )
        forecaster.fit(history.iloc[:train], tags=tags, progress=False)
        FOLDER.mkdir(parents=True, exist_ok=True)
        forecaster.save(path)
    return forecaster, history.iloc[train:], tags


def block_lengths(horizon: int, blocks: int) -> list[int]:
    """As csrc/emisopt/control/moves.cpp cuts them: short first, growing geometrically."""
    count = max(1, min(blocks, horizon))
    lengths, end = [], 0
    for b in range(count):
        wanted = horizon if count == 1 else horizon ** (b / (count - 1))
        upto = min(max(int(np.floor(wanted + 0.5)), end + 1), horizon - (count - 1 - b))
        upto = horizon if b == count - 1 else upto
        lengths.append(upto - end)
        end = upto
    return sorted(lengths)


@dataclass(frozen=True)
class Statement:
    """What does not change from tick to tick. n = blocks * U variables, setpoint index running fastest."""

    case: Case
    forecaster: emisopt.Forecaster
    tags: TagMap
    starts: tuple[int, ...]  # first step of each block
    expand: Floats  # (H, blocks) 0 or 1
    low: Floats  # (U), physical
    high: Floats
    rate: Floats
    price_y: Floats  # (O)
    price_u: Floats  # (U)
    limits: tuple[_core.Limit, ...]
    middle: int  # places among the trained levels
    upper: int

    @property
    def span(self) -> Floats:
        return self.high - self.low

    @property
    def n(self) -> int:
        return len(self.starts) * len(self.low)

    @property
    def moves(self) -> list[tuple[int, int, int]]:
        """(setpoint, first step, last step) of each variable."""
        ends = [*(s - 1 for s in self.starts[1:]), self.case.horizon - 1]
        return [(u, s, e) for s, e in zip(self.starts, ends, strict=True) for u in range(len(self.low))]

    def plan(self, v: Floats) -> Floats:
        """(H, U) physical from variables (n)."""
        return np.ascontiguousarray(self.expand @ (v.reshape(len(self.starts), -1) * self.span))

    def suppression(self, v: Floats, applied: Floats) -> tuple[float, Floats]:
        """Move suppression and its gradient (n)."""
        steps = np.diff(np.vstack([applied / self.span, v.reshape(len(self.starts), -1)]), axis=0)
        gradient = 2 * MOVE_WEIGHT * steps
        gradient[:-1] -= 2 * MOVE_WEIGHT * steps[1:]
        return MOVE_WEIGHT * float((steps**2).sum()), gradient.ravel()

    def setpoint_cost(self) -> Floats:
        """(n) price of each variable."""
        return (self.expand.sum(0)[:, None] * (self.price_u * self.span)).ravel()

    def rate_rows(self) -> Floats:
        """(m, n): v_b - v_b-1 of the blocks after the first, |.| <= rate_bounds."""
        users = len(self.low)
        rows = np.zeros((self.n - users, self.n))
        at = np.arange(self.n - users)
        rows[at, at + users], rows[at, at] = 1.0, -1.0
        return rows

    def rate_bounds(self) -> Floats:
        return np.tile(self.rate / self.span, len(self.starts) - 1)


@dataclass(frozen=True)
class Tick:
    """One moment at which a plan is wanted."""

    end: int  # row of the history that comes next
    rows: _core.History
    known: Floats  # (H, D)
    applied: Floats  # (U)
    past: Floats  # (N, O) measured
    coefficient: Floats  # (m, H) of the limit rows, divided by their scale
    rhs: Floats  # (m) divided by it, less the margin
    output: NDArray[np.intp]  # (m)
    low: Floats  # (n) of the variables; of the first block within a rate of what is applied
    high: Floats
    start: Floats  # (n) hold what is applied, or the last plan one row on


def statement(case: Case) -> tuple[Statement, pd.DataFrame]:
    """The problem of a case, and rows to take ticks from."""
    forecaster, rows, tags = fitted(case)
    letters = ("",) if case.boilers == 1 else ("a_", "b_")
    outputs, names = list(tags.outputs), list(tags.setpoints)
    price_y, price_u, rate = np.zeros(len(outputs)), np.zeros(len(names)), np.zeros(len(names))
    for letter in letters:
        for name, price in PRICE_Y.items():
            price_y[outputs.index(letter + name)] = price
        for name, price in PRICE_U.items():
            price_u[names.index(letter + name)] = price
        for name, value in RATES.items():
            rate[names.index(letter + name)] = value
    limits = tuple(
        _core.Limit(
            name=f"{letter}{name}-{window}",
            output=outputs.index(letter + name),
            limit=limit,
            window=window,
            quantile=UPPER,
        )
        for letter in letters
        for name, limit, window in LIMITS
    )
    lengths = block_lengths(case.horizon, case.blocks)
    starts = tuple(int(s) for s in np.cumsum([0, *lengths[:-1]]))
    expand = np.zeros((case.horizon, len(starts)))
    for b, (first, length) in enumerate(zip(starts, lengths, strict=True)):
        expand[first : first + length, b] = 1.0
    levels = list(forecaster.quantiles)
    return Statement(
        case=case,
        forecaster=forecaster,
        tags=tags,
        starts=starts,
        expand=expand,
        low=np.array([float(tags[n].low) for n in names]),  # type: ignore[arg-type]
        high=np.array([float(tags[n].high) for n in names]),  # type: ignore[arg-type]
        rate=rate,
        price_y=price_y,
        price_u=price_u,
        limits=limits,
        middle=levels.index(0.5),
        upper=levels.index(UPPER),
    ), rows


def ticks(stated: Statement, frame: pd.DataFrame, count: int, apart: int = 0) -> Iterator[Tick]:
    """So many ticks, `apart` rows from one to the next or, 0, spread over all rows."""
    case, tags = stated.case, stated.tags
    history = to_history(frame, tags, where="ticks")
    session = _core.ForecastSession(stated.forecaster.core_, 1)
    outputs = [tags.names.index(n) for n in tags.outputs]
    setpoints = [tags.names.index(n) for n in tags.setpoints]
    first = case.context + 1
    ends = first + apart * np.arange(count) if apart else np.linspace(first, history.rows - 1, count)
    for end in ends.astype(int):
        session.set_history(history, int(end))
        known = known_array(held_disturbances(frame.iloc[:end], tags, case.horizon), tags, case.horizon)
        applied = np.clip(history.values[end - 1, setpoints], stated.low, stated.high)
        past = np.ascontiguousarray(history.values[end - case.context : end, outputs])
        coefficient, rhs, output = limit_rows(stated, past)
        shape = (len(stated.starts), 1)
        low, high = np.tile(stated.low / stated.span, shape), np.tile(stated.high / stated.span, shape)
        now, reach = applied / stated.span, stated.rate / stated.span
        low[0], high[0] = np.maximum(low[0], now - reach), np.minimum(high[0], now + reach)
        yield Tick(
            int(end), history, known, applied, past, coefficient, rhs, output,
            low.ravel(), high.ravel(), np.tile(now, len(stated.starts)),
        )  # fmt: skip


def begun_from(stated: Statement, tick: Tick, last: Floats | None) -> Tick:
    """The tick with the plan of the tick before, one row on, as its start."""
    if last is None:
        return tick
    plan = stated.plan(last)
    rows = [min(start + 1, len(plan) - 1) for start in stated.starts]
    return replace(tick, start=legal(stated, tick, (plan[rows] / stated.span).ravel()))


def legal(stated: Statement, tick: Tick, v: Floats) -> Floats:
    """The nearest variables block by block that keep bounds and rates."""
    out = v.reshape(-1, len(stated.low)).copy()
    before, reach = tick.applied / stated.span, stated.rate / stated.span
    low, high = stated.low / stated.span, stated.high / stated.span
    for row in out:
        row[:] = np.clip(row, np.maximum(low, before - reach), np.minimum(high, before + reach))
        before = row
    return out.ravel()


def limit_rows(stated: Statement, past: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Rolling means over valid past and coming rows, scaled by the limit: coefficient (m, H), rhs, output."""
    horizon = stated.case.horizon
    coefficients, bounds, outputs = [], [], []
    for limit in stated.limits:
        for end in range(horizon):
            first = max(0, end - limit.window + 1)
            back = limit.window - (end - first + 1)
            before = past[len(past) - back :, limit.output] if back else np.empty(0)
            valid = before[np.isfinite(before)]
            count = len(valid) + end - first + 1
            row = np.zeros(horizon)
            row[first : end + 1] = 1 / count / limit.limit
            coefficients.append(row)
            bounds.append((limit.limit - valid.sum() / count) / limit.limit - MARGIN)
            outputs.append(limit.output)
    return np.array(coefficients), np.array(bounds), np.array(outputs)
