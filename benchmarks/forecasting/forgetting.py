"""What a year of learning online costs on the years before: UCI gas turbine, labels 24 rows late.

A forecaster is fitted on the years up to a test year and learns online through that year. Then its weights
are frozen and asked for every eighth window of 2011-12 again. The rise of their error is what was forgotten.
Plain fine-tuning (the newest windows alone: no L2-SP, no replay, no EWC, no distillation) has its own best
rate; that and our settings were chosen on 2013, by forecasters of 2011-12. Errors are mean absolute errors 24
rows ahead in standard deviations of 2011-12, the mean of NOx and CO.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.forecasting import gas_turbine, scores
from benchmarks.forecasting.network import Network
from benchmarks.forecasting.task import Floats, Ints, Task
from benchmarks.harness import Row
from emisopt import Forecaster, run_online

LATE = gas_turbine.LATE
OLD_STRIDE = 8  # of the windows of 2011-12; they overlap, more of them say little more
CHOICE_STRIDE = 4  # of the origins on 2013
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
CHECKS: dict[str, Any] = {"validate_every": 100, "patience": 0}  # of a network: all of its steps
PLAIN: dict[str, Any] = {"l2sp": 0.0, "replay": 0.0, "ewc": 0.0, "distill": 0.0}
OURS: dict[str, Any] = {
    "distill": 1.0
}  # otherwise the learner's defaults; docs/learning.md has what 2013 said
PERFORMANCE: dict[str, Any] = {"guard": 0, "threads": 1}
GOAL = 0.25


@dataclass(frozen=True)
class Result:
    """One run through a year: absolute errors of it (n, O), and errors (O) on 2011-12 after and before."""

    year: Floats
    after: Floats
    before: Floats

    def new(self, sd: Floats) -> float:
        return float((scores.nanmean(self.year, axis=0) / sd).mean())

    def rise(self, sd: Floats) -> float:
        return float(((self.after - self.before) / sd).mean())


def task(quick: bool) -> Task:
    return replace(gas_turbine.task(), steps=(LATE,)) if not quick else replace(short(), steps=(LATE,))


def short() -> Task:
    """Quick: the first 1,600 rows of 2014, as in gas_turbine.py."""
    whole = gas_turbine.task(quick=True)
    return replace(whole, history=whole.history.iloc[: int(whole.origins.max()) + LATE])


def spread(task: Task) -> Floats:
    return np.asarray(np.nanstd(task.values[: task.train_rows], axis=0))


def errors(task: Task, quantiles: Floats, origins: Ints) -> Floats:
    """(n, O) absolute errors of the median 24 rows ahead."""
    truth = task.target(origins)[:, 0]
    return np.asarray(np.abs(truth - quantiles[:, LATE - 1, :, task.median]))


def old_windows(task: Task, forecaster: Forecaster, stride: int) -> Floats:
    """(O) errors of frozen weights on 2011-12."""
    first, last = int(forecaster.context) + LATE, task.train_rows - LATE  # a window before the first
    small = {"memory": 1, "regimes": 1, "learn": False}
    run = run_online(forecaster, task.history, first, last, stride=stride, **PERFORMANCE, **small)
    return np.asarray(scores.nanmean(errors(task, run.quantiles, run.origins), axis=0))


def live(
    task: Task, forecaster: Forecaster, first: int, end: int, seed: int, stride: int, **updates: Any
) -> Result:
    """Through rows first..end, then back to 2011-12."""
    seen = task.history.iloc[:end]
    run = run_online(
        forecaster, seen, first, end - LATE + 1, stride=stride, seed=seed, **PERFORMANCE, **updates
    )
    return Result(
        errors(task, run.quantiles, run.origins),
        old_windows(task, run.forecaster, OLD_STRIDE),
        old_windows(task, forecaster, OLD_STRIDE),
    )


def choose_rate(task: Task, forecasters: list[Forecaster], rates: tuple[float, ...]) -> dict[float, float]:
    """Error of plain fine-tuning on 2013 by rate, mean of the seeds."""
    return {
        rate: float(
            np.mean(
                [
                    live(
                        task, f, task.train_rows, task.fit_rows, seed, CHOICE_STRIDE, rate=rate, **PLAIN
                    ).new(spread(task))
                    for seed, f in enumerate(forecasters)
                ]
            )
        )
        for rate in rates
    }


def rows(quick: bool, seeds: int) -> list[Row]:
    """The share of plain fine-tuning's forgetting that is ours, and what both do on 2014."""
    t = task(quick)
    network = Network(settings={**CHECKS, **({"steps": 150} if quick else {})}, threads=1)
    trials = [network.fit(t, seed, t.train_rows, t.validation_rows) for seed in range(seeds)]
    by_rate = choose_rate(t, [f for f, _ in trials], RATES[2:4] if quick else RATES)
    rate = min(by_rate, key=by_rate.__getitem__)
    arms: dict[str, dict[str, Any]] = {
        "ours": OURS,
        "plain": {**PLAIN, "rate": rate},
        "frozen": {"learn": False},
    }
    results: dict[str, list[Result]] = {name: [] for name in arms}
    for seed, (_, best) in enumerate(trials):
        forecaster, _ = network.fit(t, seed, t.fit_rows, 0, best)
        for name, updates in arms.items():
            stride = OLD_STRIDE if quick else 1
            results[name].append(live(t, forecaster, t.fit_rows, len(t.history), seed, stride, **updates))
    chosen = ", ".join(f"{r:g}: {e:.4f}" for r, e in by_rate.items())
    return report(t.outputs, spread(t), results, f"plain's rate {rate:g} by its error on 2013 ({chosen})")


def report(outputs: tuple[str, ...], sd: Floats, results: dict[str, list[Result]], chosen: str) -> list[Row]:
    """Rows of the arms' results, a Result per seed; the anchor counts only where its rise exceeds two sd."""
    rise = {name: np.array([r.rise(sd) for r in each]) for name, each in results.items()}
    new = {name: np.array([r.new(sd) for r in each]) for name, each in results.items()}
    noise = {name: float(x.std(ddof=1)) if len(x) > 1 else float("nan") for name, x in rise.items()}
    counts = rise["plain"].mean() > 2 * noise["plain"]
    if len(rise["plain"]) < 2:
        verdict = "one seed: whether plain's rise exceeds two sd is not known"
    elif counts:
        verdict = f"plain's rise is {rise['plain'].mean() / noise['plain']:.1f} sd, so it counts"
    else:
        verdict = "plain's rise does NOT exceed two sd: the share says nothing"
    share = float(rise["ours"].mean() / rise["plain"].mean())
    note = f"goal {GOAL}; {verdict}; {chosen}"
    peer = "plain_fine-tuning"
    out = [
        Row("forgetting", "share", share, 1.0, peer, note=note),
        Row("forgetting", "rise", float(rise["ours"].mean()), float(rise["plain"].mean()), peer, unit="sd",
            note=f"2011-12 after 2014; over seeds ±{noise['ours']:.2g}, plain ±{noise['plain']:.2g}"),
        Row("forgetting", "error_2014", float(new["ours"].mean()), float(new["plain"].mean()), peer,
            unit="sd", note=f"frozen {new['frozen'].mean():.4g}; {significance(results, sd)}"),
    ]  # fmt: skip
    for o, output in enumerate(outputs):
        by_arm = {name: np.mean([(r.after - r.before)[o] for r in each]) for name, each in results.items()}
        before = np.mean([r.before[o] for r in results["ours"]])
        out.append(
            Row(f"forgetting-{output.lower()}", "rise", float(by_arm["ours"]), float(by_arm["plain"]), peer,
                unit="mg/m3", note=f"from {before:.4g}")
        )  # fmt: skip
    return out


def significance(results: dict[str, list[Result]], sd: Floats) -> str:
    """Diebold-Mariano of ours against plain fine-tuning on 2014, seed 0."""
    loss = [(results[name][0].year / sd).mean(axis=1) for name in ("ours", "plain")]
    test = scores.diebold_mariano(*loss, lag=LATE - 1)
    return f"DM {test.statistic:.2f}, p {test.p:.2g} (seed 0)"
