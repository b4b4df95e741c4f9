"""Trains a base forecaster on a stated family of synthetic plants, and measures whether it may be shipped.

    python tools/pretrain_base.py --out base.safetensors            # goes on where a killed run stood
    python tools/pretrain_base.py --out base.safetensors --measure  # beside scratch, on both real pairs

The family: five inputs, two outputs, no stamps. Per plant, with numbers drawn from its seed,

    x_i  first-order noise of 5..200 rows, some with a daily wave, some held between steps
    s_o  = a_o'x + sum_j b_oj tanh(c_oj'x),  l_o' = (s_o - l_o) / tau_o, tau 1..12 rows
    y_o  = l_o + slow wander (500..5,000 rows) + noise of one row and of five; every other one exponentiated

It ships as Forecaster.from_pretrained("base") only if it wins on both pairs: docs/learning.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emisopt import Forecaster, Tag, TagMap, transfer

INPUTS, OUTPUTS, ROWS = 5, 2, 1500
TAGS = TagMap(
    tuple(Tag(f"in{i}", "", "disturbance", known_ahead=True) for i in range(1, INPUTS + 1))
    + tuple(Tag(f"out{i}", "", "emission", scale="linear") for i in range(1, OUTPUTS + 1)),
    plant="Family of synthetic plants",
    source="tools/pretrain_base.py",
    synthetic=True,
)


def first_order(noise: np.ndarray, rows: np.ndarray | float) -> np.ndarray:
    """Unit-variance first-order noise (n, k) with these time constants."""
    keep = np.exp(-1.0 / np.asarray(rows))
    out = np.empty_like(noise)
    state = noise[0].copy()
    for r, e in enumerate(noise):
        state = keep * state + np.sqrt(1 - keep**2) * e
        out[r] = state
    return out


def plant(seed: int, rows: int = ROWS) -> np.ndarray:
    """(rows, inputs + outputs), each column of mean 0 and standard deviation 1."""
    rng = np.random.default_rng(seed)

    def log_uniform(low: float, high: float, n: int) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    x = first_order(rng.normal(size=(rows, INPUTS)), log_uniform(5, 200, INPUTS))
    day = np.arange(rows)[:, None] * 2 * np.pi / rng.choice([24, 96, 288])
    x += rng.uniform(0, 1.5, INPUTS) * (rng.random(INPUTS) < 0.4) * np.sin(day + rng.uniform(0, 6.3, INPUTS))
    for i in np.flatnonzero(rng.random(INPUTS) < 0.3):  # setpoints: held between moves
        moves = np.maximum.accumulate(np.where(rng.random(rows) < 0.05, np.arange(rows), 0))
        x[:, i] = x[moves, i]
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    bends = rng.normal(size=(OUTPUTS, 4, INPUTS))
    steady = x @ rng.normal(size=(INPUTS, OUTPUTS)) + sum(
        rng.normal(size=OUTPUTS) * np.tanh(x @ bends[:, j].T) for j in range(4)
    )
    gain = 1 - np.exp(-1 / log_uniform(1, 12, OUTPUTS))
    lagged, state = np.empty_like(steady), steady[0].copy()
    for r in range(rows):
        state = state + gain * (steady[r] - state)
        lagged[r] = state
    y = (lagged - lagged.mean(0)) / (lagged.std(0) + 1e-9)
    y += rng.uniform(0, 0.8, OUTPUTS) * first_order(
        rng.normal(size=(rows, OUTPUTS)), log_uniform(500, 5000, OUTPUTS)
    )
    y += rng.uniform(0.02, 0.2, OUTPUTS) * rng.normal(size=y.shape)
    y += rng.uniform(0, 0.4, OUTPUTS) * first_order(rng.normal(size=y.shape), 5.0)
    y = np.where(np.arange(OUTPUTS) % 2 == seed % 2, np.exp(0.5 * y), y)
    return np.column_stack([x, (y - y.mean(0)) / y.std(0)])


def family(plants: int) -> pd.DataFrame:
    """One history; a row number is left out between two plants, so no window holds two of them."""
    values = np.concatenate([plant(seed) for seed in range(plants)])
    rows = np.concatenate([np.arange(ROWS) + seed * (ROWS + 1) for seed in range(plants)])
    return pd.DataFrame(values, columns=TAGS.names, index=pd.Index(rows, name="row"))


def train(out: Path, plants: int, steps: int) -> Forecaster:
    from benchmarks.forecasting.transfer import SIZES, TRAINING

    held_out = max(1, plants // 10)
    f = Forecaster(**SIZES, **TRAINING, steps=steps)
    f.fit(
        family(plants), tags=TAGS, train_rows=(plants - held_out) * ROWS, validation_rows=held_out * ROWS,
        resume=out.with_suffix(".state"),
    )  # fmt: skip
    f.save(out)
    return f


def measure(base: Forecaster) -> bool:
    """From the base and from scratch, on the sulphur unit and on one station of Beijing."""
    from benchmarks.forecasting import transfer as bench

    won = True
    for name, days in (("sru", 1), ("Dongsi", 30)):
        target = bench.TARGETS[name]()
        errors: dict[str, list[float]] = {}
        for cut in target.cuts[:2]:
            case = bench.Case.of(target, days, cut, 2)
            begin, end, stride = case.span()
            history, tags = case.live()
            inputs = [n for n in tags.disturbances if tags[n].kind == "continuous"][:INPUTS]
            match = dict(zip(inputs, TAGS.disturbances, strict=False))
            match |= dict(zip(tags.outputs, TAGS.outputs, strict=False))
            moved = transfer(
                base, history, tags=tags, match=match, train_rows=case.rows, steps=300, l2sp=0.01,
                rate=2e-3, scratch_steps=0, season=target.season, progress=False,
            )  # fmt: skip
            errors.setdefault("base", []).append(
                _error(case, moved, "transferred network", begin, end, stride)
            )
            for rival, forecast in bench.from_scratch(case, 300, 0, 0).items():
                errors.setdefault(rival, []).append(bench._mean(case.losses(forecast)))
            errors.setdefault("blend", []).append(
                bench._mean(case.losses(case.at_leads(moved.replay(case.part, begin, end, stride=stride))))
            )
        means = {n: float(np.mean(e)) for n, e in errors.items()}
        print(f"{name}, {days} days: " + ", ".join(f"{n} {v:.4f}" for n, v in means.items()), flush=True)
        rivals = [v for n, v in means.items() if n not in ("base", "blend")]
        won = won and min(means["base"], means["blend"]) < min(rivals)
    return won


def _error(case, moved, name: str, begin: int, end: int, stride: int) -> float:  # type: ignore[no-untyped-def]
    from benchmarks.forecasting import transfer as bench

    member = next((m for m in moved.members if m.name == name), None)
    if member is None:
        return float("inf")
    quantiles = member.replay(case.part, begin, end, stride, moved.quantiles)
    return bench._mean(case.losses(case.at_leads(quantiles)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plants", type=int, default=400)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    base = train(args.out, args.plants, args.steps)  # of a run that ended: at once
    if args.measure:
        print("ships" if measure(base) else "does not ship: it does not win on both pairs")


if __name__ == "__main__":
    main()
