"""Transfer: error against days of target data, beside the same plant from scratch and boosting.

A case is a pair of plants, a number of days and a cut. All models learn from the target's days before the
cut; then `context` rows pass, and the rows after them are forecast. Correctors follow the labels of the test,
in transfer and from scratch alike; weights and boosters stay. Rows before the days given count as never
measured.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from benchmarks.forecasting import data, scores
from benchmarks.forecasting.soft_sensors import SRU_LAGS
from benchmarks.forecasting.task import Floats, Ints
from benchmarks.harness import Row
from emisopt import Corrector, Forecaster, plants, run_online, transfer
from emisopt._transfer_members import SCRATCH_CORRECTOR, LastValue, believed_shares
from emisopt.combination import drawn_weights
from emisopt.history import to_history, to_table
from emisopt.lags import lag_features
from emisopt.tags import TagMap

DAYS = (1, 3, 7, 30, 90)
SEEDS = 3
LEVELS = (0.1, 0.5, 0.9)
CONTEXT, HORIZON = 72, 24
# What is strongest where plants drift, for the source, for transfer and from scratch alike.
TRAINING = {"slope_shift": 0.3, "input_shift": 0.8, "unknown_plan": 0.0}
SIZES = {"context": CONTEXT, "horizon": HORIZON, "width": 32, "heads": 4, "quantiles": LEVELS}
# Networks of a source; the second looks further back than the days of a young target allow one to be trained.
NETWORKS = (SIZES, SIZES | {"context": 168, "patch": 3, "width": 48})


@dataclass(frozen=True)
class Plant:
    """One side of a pair.

    per_day : rows;   season : of the network;   lags : of operation, for correctors;   learn : rows that a
    source learns from;   cuts : ends of the target's days
    """

    name: str
    history: pd.DataFrame
    tags: TagMap
    per_day: int
    season: int = 0
    lags: tuple[int, ...] = (0,)
    learn: int = 0
    cuts: tuple[int, ...] = ()
    test: int = 14 * 24
    stride: int = 3


@dataclass(frozen=True)
class Case:
    """What is known, and what is scored."""

    target: Plant
    days: int
    cut: int
    rows: int
    part: pd.DataFrame = field(repr=False)
    origins: Ints = field(repr=False)
    leads: tuple[int, ...] = (1, 6, 24)

    @classmethod
    def of(cls, target: Plant, days: int, cut: int, thin: int = 1) -> Case:
        rows = days * target.per_day
        end = cut + CONTEXT + target.test + HORIZON
        part = target.history.iloc[cut - rows : end]
        begin = rows + CONTEXT
        last = min(begin + target.test, len(part) - HORIZON + 1)
        return cls(target, days, cut, rows, part, np.arange(begin, last, target.stride * thin))

    @property
    def outputs(self) -> list[str]:
        return list(self.target.tags.outputs)

    @property
    def scale(self) -> Floats:
        """(O,) of the test rows: weighs outputs, the same for every model."""
        return np.nanstd(self.part[self.outputs].to_numpy(dtype=float)[self.rows :], axis=0)

    @property
    def truth(self) -> Floats:
        y = self.part[self.outputs].to_numpy(dtype=float)
        return np.stack([y[self.origins + h - 1] for h in self.leads], axis=1)

    def losses(self, median: Floats) -> Floats:
        """(n, leads, O) absolute errors in standard deviations of the test."""
        return np.abs(self.truth - median) / self.scale

    def live(self) -> tuple[pd.DataFrame, TagMap]:
        """Without the inputs that stand still in the days given: nothing can be learnt of those."""
        known = self.part.iloc[: self.rows]
        kept = [t for t in self.target.tags if t.name in self.outputs or known[t.name].nunique() > 1]
        tags = TagMap(
            tuple(kept), plant=self.target.tags.plant, source=self.target.tags.source,
            period=self.target.tags.period,
        )  # fmt: skip
        return self.part[tags.names], tags

    def replayed(
        self,
        corrector: Corrector,
        history: pd.DataFrame,
        leads: Sequence[int],
        begin: int,
        end: int,
        stride: int,
    ) -> Floats:
        forecast = corrector.replay(history, begin, end, leads=tuple(leads), stride=stride, quantiles=(0.5,))
        return np.asarray(forecast[..., 0])

    def span(self) -> tuple[int, int, int]:
        stride = int(self.origins[1] - self.origins[0]) if len(self.origins) > 1 else 1
        return int(self.origins[0]), int(self.origins[-1]) + 1, stride


# ---- models ---------------------------------------------------------------------------------------------


def boosting(case: Case, iterations: int) -> Floats:
    """The suite's booster on our lags and the plan, a model per row ahead and output; of what stands still in
    the days given it knows nothing, and with too few rows it says the last value."""
    history, tags = case.live()
    table = to_table(to_history(history, tags, live=True, where="boosting"))
    out = []
    for h in case.leads:
        origins = np.arange(1, case.rows - h + 1)
        at, _ = table.last_known(case.origins, table.outputs, CONTEXT)
        point = at.copy()
        if len(origins) >= 2:
            x = lag_features(table, origins, h, context=CONTEXT, known=True)
            test = lag_features(table, case.origins, h, context=CONTEXT, known=True)
            last, _ = table.last_known(origins, table.outputs, CONTEXT)
            change = table.target(origins, h) - last
            for o in range(point.shape[1]):
                known = np.isfinite(change[:, o])
                moves = [len(np.unique(c[np.isfinite(c)])) > 1 for c in x[known].T]
                if known.sum() < 2 or not any(moves):
                    continue
                model = HistGradientBoostingRegressor(
                    loss="absolute_error", max_iter=iterations, learning_rate=0.06, max_leaf_nodes=31,
                    min_samples_leaf=min(40, max(5, int(known.sum()) // 20)), l2_regularization=1.0,
                    early_stopping=False, random_state=0,
                )  # fmt: skip
                with threadpool_limits(1, user_api="openmp"):
                    model.fit(x[known][:, moves], change[known, o])
                    point[:, o] += model.predict(test[:, moves])
        out.append(point)
    return np.stack(out, axis=1)


def from_scratch(case: Case, steps: int, seed: int, threads: int) -> dict[str, Floats]:
    """The members of a transfer without a source: the corrector, the network where the days hold windows
    enough, and both and the last value together. Settings, steps and shares as in a transfer: the last fifth
    of the days chooses, then all are fitted."""
    history, tags = case.live()
    begin, end, stride = case.span()
    leads = [h - 1 for h in case.leads]
    levels = LEVELS

    def last_value(rows: int, first: int, last: int, stride: int) -> Floats:
        model = LastValue.fit(history.iloc[:rows], tags, HORIZON, levels)
        return model.after(history, np.arange(first, last, stride), levels)[..., 1]

    test = {"corrector": scratch_corrector(case), "last": last_value(case.rows, begin, end, stride)}
    out = {"corrector": test["corrector"][:, leads]}
    _, believed = believed_shares(HORIZON, 0.0)
    prior = {"last": np.repeat(believed[:, None], len(case.outputs), axis=1)}
    prior["corrector"] = 1 - prior["last"]
    shares: Mapping[str, Floats] = prior
    validation = case.rows // 5
    learn = case.rows - validation
    if validation >= HORIZON:
        first, last = learn, case.rows - HORIZON + 1
        spacing = max(1, (last - first) // 400)
        tried = {
            "corrector": _corrector(case, learn, case.rows, first, last, spacing),
            "last": last_value(learn, first, last, spacing),
        }
        if learn >= CONTEXT + HORIZON + 64:
            settings = SIZES | TRAINING | {"season": case.target.season, "seed": seed, "threads": threads}

            def network(train: int, valid: int, steps: int) -> Forecaster:
                own = settings | {"steps": steps, "min_horizon": 1, "validate_every": 25}
                f = Forecaster(**own)  # type: ignore[arg-type]
                return f.fit(history, tags=tags, train_rows=train, validation_rows=valid, progress=False)

            def run(f: Forecaster, first: int, last: int, stride: int) -> Floats:
                options = {"stride": stride, "learn": False, "guard": 0, "threads": threads}
                run = run_online(f, history, first, last, **options)  # type: ignore[arg-type]
                return np.asarray(run.quantiles[..., 1])

            trial = network(learn, validation, steps)
            tried["network"] = run(trial, first, last, spacing)
            best = max(50, int(trial.training_["best_step"]))
            test["network"] = run(network(case.rows, 0, best), begin, end, stride)
            out["network"] = test["network"][:, leads]
        y = history[case.outputs].to_numpy(dtype=float)
        at = np.arange(first, last, spacing)
        truth = np.stack([y[at + h] for h in range(HORIZON)], axis=1)
        scale = np.nanstd(y[: case.rows], axis=0)
        scale[~(scale > 0)] = 1
        shares = drawn_weights(truth, tried, scale, prior, validation / HORIZON, 4.0)
    together = np.asarray(sum(shares[n] * test[n] for n in shares))
    return out | {"together": together[:, leads]}


def scratch_corrector(case: Case) -> Floats:
    """(n, H, O) medians of the corrector of the target's days alone; the same for every source and seed."""
    values = pd.util.hash_pandas_object(case.part).to_numpy().tobytes()
    key = (case.target.name, case.days, len(case.origins), hashlib.sha256(values).hexdigest())
    if key not in _CORRECTOR:
        begin, end, stride = case.span()
        _CORRECTOR[key] = _corrector(case, case.rows, len(case.part), begin, end, stride)
    return _CORRECTOR[key]


_CORRECTOR: dict[tuple[str, int, int, str], Floats] = {}


def _corrector(case: Case, train: int, rows: int, begin: int, end: int, stride: int) -> Floats:
    """An output that stands still in the rows to learn from goes on as it was last."""
    history, tags = case.live()
    known = history.iloc[:train]
    moves = [t for t in tags if known[t.name].nunique() > 1]
    tags = TagMap(tuple(moves), plant=tags.plant, source=tags.source, period=tags.period)
    newest = history[case.outputs].ffill().to_numpy(dtype=float)
    out = np.repeat(newest[np.arange(begin, end, stride) - 1][:, None], HORIZON, axis=1)
    places = [o for o, name in enumerate(case.outputs) if name in tags.outputs]
    if places:
        model = Corrector(lags=case.target.lags).fit(history[tags.names], tags=tags, train_rows=train)
        part = history[tags.names].iloc[:rows]
        out[:, :, places] = case.replayed(model, part, range(1, HORIZON + 1), begin, end, stride)
    return out


@cache
def source_of(name: str, season: int, steps: int, seed: int, threads: int) -> tuple[Forecaster, ...]:
    """A source's networks, trained once; its last tenth chooses the step."""
    plant = SOURCES[name]()
    settings = TRAINING | {"season": season, "seed": seed, "threads": threads}
    validation = plant.learn // 10
    return tuple(
        Forecaster(**sizes, **settings, steps=steps).fit(  # type: ignore[arg-type]
            plant.history, tags=plant.tags, train_rows=plant.learn - validation,
            validation_rows=validation, progress=False,
        )
        for sizes in NETWORKS
    )  # fmt: skip


def transferred(
    case: Case, source: Plant, forecasters: Sequence[Forecaster], seed: int, threads: int, **settings: Any
) -> Floats:
    """(n, leads, O) medians of the blend. Its corrector from scratch is the rival's, so it runs once for
    both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = transfer(
            forecasters, case.part, tags=case.target.tags, source_history=source.history.iloc[: source.learn],
            train_rows=case.rows, lags=case.target.lags, seed=seed, threads=threads, progress=False,
            **settings,
        )  # fmt: skip
    begin, end, stride = case.span()
    total = np.zeros((len(case.origins), HORIZON, len(case.outputs)))
    for m in moved.members:
        if m.name == SCRATCH_CORRECTOR:
            said = scratch_corrector(case)
        else:
            said = m.replay(case.part, begin, end, stride, (0.5,))[..., 0]
        total += m.shares * said
    return total[:, [h - 1 for h in case.leads]]


# ---- plants ---------------------------------------------------------------------------------------------


@cache
def station(name: str) -> Plant:
    """Learns on the rows before March 2016; as a target, four cuts in the year after, fourteen days each."""
    source = data.beijing(name)
    local = source.history.index.tz_convert("Etc/GMT-8")
    year = int(np.argmax(local >= "2016-03-01"))
    cuts = tuple(year + 24 * d for d in (40, 130, 215, 300))
    return Plant(name, source.history, source.tags, 24, season=24, learn=year, cuts=cuts)


@cache
def turbine() -> Plant:
    source = data.gas_turbine()
    return Plant("turbine", source.history, source.tags, 24, learn=source.starts[-1])


@cache
def sulphur() -> Plant:
    """A day is 1,440 of its minutes; the test is the last 30 %, so that one and three days are there."""
    source = data.sru()
    rows = len(source.history)
    cut = int(0.7 * rows)
    return Plant("sru", source.history, source.tags, 1440, lags=SRU_LAGS, cuts=(cut,),
                 test=rows - cut - CONTEXT - HORIZON, stride=8)  # fmt: skip


@cache
def boiler() -> Plant:
    """The reference plant, 60 days of two crews."""
    history, tags = plants.Boiler(seed=11).simulate_history(days=60)
    return Plant("boiler", history, tags, 288, learn=len(history))


@cache
def other_boiler() -> Plant:
    """Another furnace and catalyst, coal B alone, everything half as slow again; 105 days."""
    plant = plants.Boiler(seed=23, plant_seed=5, lag=1.5, fuel="B")
    history, tags = plant.simulate_history(days=105)
    cuts = (90 * 288, 98 * 288)
    return Plant("other-boiler", history, tags, 288, cuts=cuts, test=5 * 288, stride=12)


SOURCES: Mapping[str, Callable[[], Plant]] = {
    **{name: (lambda n: lambda: station(n))(name) for name in data.STATIONS},
    "turbine": turbine,
    "boiler": boiler,
}
TARGETS: Mapping[str, Callable[[], Plant]] = {
    **{name: (lambda n: lambda: station(n))(name) for name in data.STATIONS},
    "sru": sulphur,
    "other-boiler": other_boiler,
}
# Fixed beforehand.
PAIRS = (
    *((a, b) for a in data.STATIONS for b in data.STATIONS if a != b),
    ("turbine", "sru"),
    ("boiler", "other-boiler"),
)


# ---- rows -----------------------------------------------------------------------------------------------


def rows(
    quick: bool,
    seeds: int = SEEDS,
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    days: Sequence[int] = DAYS,
    cuts: int = 0,
    threads: int = 0,
) -> list[Row]:
    """RESULT rows; pairs None: all of them, or when quick one of each kind with one cut.

    cuts : of each target, at most, spread over its test; 0: all
    """
    if pairs is None:
        pairs = (PAIRS[2], *PAIRS[-2:]) if quick else PAIRS
    if quick:
        days, cuts, seeds = [d for d in days if d in (1, 7)], 1, 1
    return [row for pair in pairs for row in pair_rows(pair, quick, seeds, days, cuts, threads)]


def pair_rows(
    pair: tuple[str, str], quick: bool, seeds: int, days: Sequence[int], cuts: int, threads: int
) -> Iterator[Row]:
    source, target = SOURCES[pair[0]](), TARGETS[pair[1]]()
    steps = 120 if quick else 800
    for count in days:
        chosen = [c for c in target.cuts if c >= count * target.per_day]
        if not chosen:
            continue  # the target has not so many days
        chosen = chosen[:: -(-len(chosen) // cuts) if cuts else 1]
        ours, peers, losses = [], [], []
        for cut in chosen:
            case = Case.of(target, count, cut, 8 if quick else 1)
            best = peers_of(pair[1], count, cut, quick, seeds, threads)
            for seed in range(seeds):
                networks = source_of(pair[0], target.season, steps, seed, threads)
                # Beside networks copied whole one from scratch is left out: its rival has it.
                settings: dict[str, Any] = {"scratch_steps": 0} if quick or target.season else {}
                if quick:
                    settings["steps"] = 20
                forecast = transferred(case, source, networks, seed, threads, **settings)
                ours.append((seed, case.losses(forecast)))
            peers.append(best)
            losses.append(case)
        yield _row(pair, count, ours, peers, seeds)


@cache
def peers_of(
    target: str, days: int, cut: int, quick: bool, seeds: int, threads: int
) -> dict[str, list[Floats]]:
    """Losses (n, leads, O) of each rival per seed; they do not depend on the source."""
    case = Case.of(TARGETS[target](), days, cut, 8 if quick else 1)
    out: dict[str, list[Floats]] = {
        "last value": [case.losses(_last(case))],
        "boosting": [case.losses(boosting(case, 20 if quick else 200))],
    }
    for seed in range(seeds):
        for name, forecast in from_scratch(case, 60 if quick else 300, seed, threads).items():
            out.setdefault(f"scratch: {name}", []).append(case.losses(forecast))
    return out


def _last(case: Case) -> Floats:
    y = case.part[case.outputs].ffill().to_numpy(dtype=float)
    return np.repeat(y[case.origins - 1][:, None], len(case.leads), axis=1)


def _mean(losses: Floats) -> float:
    return float(np.mean(scores.nanmean(losses, axis=0)))


def _row(
    pair: tuple[str, str],
    days: int,
    ours: Sequence[tuple[int, Floats]],
    peers: Sequence[Mapping[str, Sequence[Floats]]],
    seeds: int,
) -> Row:
    """Mean over cuts and seeds, over the best rival's mean; a rival that some cut lacks is not counted."""
    names = [n for n in peers[0] if all(n in p for p in peers)]
    table = {n: float(np.mean([np.mean([_mean(x) for x in p[n]]) for p in peers])) for n in names}
    best = min(table, key=table.__getitem__)
    per_seed = [float(np.mean([_mean(x) for s, x in ours if s == seed])) for seed in range(seeds)]
    error = float(np.mean(per_seed))
    first = np.concatenate([scores.nanmean(x, axis=(1, 2)) for s, x in ours if s == 0])
    other = np.concatenate([scores.nanmean(p[best][0], axis=(1, 2)) for p in peers])
    test = scores.diebold_mariano(first, other, lag=HORIZON - 1)
    spread = f"±{np.std(per_seed, ddof=1) / table[best]:.2g} over {seeds} seeds; " if seeds > 1 else ""
    rest = ", ".join(f"{n} {v / table[best]:.3f}" for n, v in sorted(table.items(), key=lambda x: x[1]))
    note = (
        f"{spread}{len(peers)} test periods; MAE {error:.4f} to {table[best]:.4f} sd; "
        f"DM {test.statistic:.2f}, p {test.p:.2g}; {rest}"
    )
    return Row(
        f"transfer-{pair[0]}-{pair[1]}-{days}", "mae_over_best", error / table[best], 1.0,
        best.replace(" ", "_"), note=note,
    )  # fmt: skip
