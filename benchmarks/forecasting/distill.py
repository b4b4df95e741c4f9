"""How much of the gap to a teacher a student closes: UCI gas turbine, frozen weights, 2014.

The teacher is an ensemble of three forecasters of all rows before the test year. The student is smaller and
has the newest 1,000 of these rows only, as where a plant has just been rebuilt: from scratch it learns from
their labels, taught also from what the teacher says of the same windows; each has its own best number of
steps. These and the weight were chosen on 2013 (docs/learning.md). The score is the mean pinball loss of all
levels and rows ahead in standard deviations of 2011-12, the mean of NOx and CO.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from benchmarks.forecasting import scores
from benchmarks.forecasting.forgetting import CHECKS, LATE, spread, task
from benchmarks.forecasting.network import Network
from benchmarks.forecasting.task import Floats, Ints, Task
from benchmarks.harness import Row
from emisopt import Forecaster, distill, run_online

ROWS = 1000  # that the student has
TEACHERS = 3
STRIDE = 6  # of the windows scored; they overlap by three quarters
WIDTH, WEIGHT = 32, 30.0
ALONE, TAUGHT = 600, 1200  # steps: from scratch more of them over-fit, beside a teacher they do not
GOAL = 0.5


@dataclass(frozen=True)
class Losses:
    """Pinball loss of each window of the test year (n,), and the MAE (O) 24 rows ahead."""

    windows: Floats
    mae: Floats

    @property
    def mean(self) -> float:
        return float(self.windows.mean())


def forecast(task: Task, forecaster: Forecaster) -> tuple[Ints, Floats]:
    """Origins of the test year, quantiles (n, H, O, Q) by frozen weights."""
    end = len(task.history) - LATE + 1
    options = {"memory": 1, "regimes": 1, "guard": 0, "threads": 1}
    run = run_online(forecaster, task.history, task.fit_rows, end, stride=STRIDE, learn=False, **options)
    return run.origins, run.quantiles


def losses(task: Task, origins: Ints, quantiles: Floats) -> Losses:
    truth = task.values[origins[:, None] + np.arange(LATE)]
    loss = scores.pinball(truth, quantiles, task.levels).mean(axis=-1) / spread(task)
    absolute = np.abs(truth[:, -1] - quantiles[:, -1, :, task.median])
    return Losses(scores.nanmean(loss, axis=(1, 2)), scores.nanmean(absolute, axis=0))


def student(task: Task, seed: int, steps: int) -> Forecaster:
    return Forecaster(
        context=96, horizon=LATE, width=WIDTH, heads=2, quantiles=task.levels, steps=steps,
        input_shift=0.8, slope_shift=0.3, unknown_plan=0.0, threads=1, seed=seed,
    )  # fmt: skip


def rows(quick: bool, seeds: int) -> list[Row]:
    """The share of the gap that is closed, and the losses behind it."""
    t = task(quick)
    alone_steps, taught_steps = (100, 200) if quick else (ALONE, TAUGHT)
    network = Network(settings={**CHECKS, **({"steps": 200} if quick else {})}, threads=1)
    teachers = []
    for k in range(1 if quick else TEACHERS):
        best = network.fit(t, 100 + k, t.train_rows, t.validation_rows)[1]
        teachers.append(network.fit(t, 100 + k, t.fit_rows, 0, best)[0])
    said = [forecast(t, f) for f in teachers]
    teacher = losses(t, said[0][0], np.mean([q for _, q in said], axis=0))
    newest = t.history.iloc[t.fit_rows - ROWS : t.fit_rows].reset_index(drop=True)
    scratch, taught = [], []
    for seed in range(seeds):
        alone = student(t, seed, alone_steps).fit(newest, tags=t.tags, progress=False)
        scratch.append(losses(t, *forecast(t, alone)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the teacher knows more rows, which is the point here
            pupil = distill(
                teachers, student(t, seed, taught_steps), newest, tags=t.tags, weight=WEIGHT, progress=False
            )
        taught.append(losses(t, *forecast(t, pupil)))
    return report(t.outputs, teacher, scratch, taught)


def report(
    outputs: tuple[str, ...], teacher: Losses, scratch: list[Losses], taught: list[Losses]
) -> list[Row]:
    """Share of the gap, mean of the seeds. It counts where the teacher is better by Diebold-Mariano."""
    tests = [scores.diebold_mariano(teacher.windows, s.windows, lag=LATE // STRIDE - 1) for s in scratch]
    p = max(test.p if test.statistic < 0 else 1.0 for test in tests)
    shares = np.array(
        [(s.mean - d.mean) / (s.mean - teacher.mean) for s, d in zip(scratch, taught, strict=True)]
    )
    sd = float(shares.std(ddof=1)) if len(shares) > 1 else float("nan")
    alone, pupil = (float(np.mean([x.mean for x in each])) for each in (scratch, taught))
    counts = "so it counts" if p < 0.05 else "so it does NOT count"
    detail = "; ".join(
        f"MAE {output} {np.mean([d.mae[o] for d in taught]):.3g}, from scratch "
        f"{np.mean([s.mae[o] for s in scratch]):.3g}, teacher {teacher.mae[o]:.3g}"
        for o, output in enumerate(outputs)
    )
    note = f"goal {GOAL}; ±{sd:.2g} over seeds; teacher {teacher.mean:.4g} better, p <= {p:.2g}, {counts}"
    return [
        Row("distill", "share", float(shares.mean()), better="higher", note=note),
        Row("distill", "pinball", pupil, alone, "from_scratch", unit="sd", note=detail),
    ]
