"""`emisopt demo`: the main job end to end on the synthetic boiler, from history to a safe setpoint move.

Simulate, fit, score the forecasts beside simple models, close the loop for 48 h with four policies from
the same start under the same noise, and write report.html and run.parquet. Needs no network, no data file
and no GPU.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from emisopt import _core, plots
from emisopt._format import number, short
from emisopt.backtest import Backtest, backtest
from emisopt.errors import DataError
from emisopt.forecaster import Forecaster
from emisopt.loop import Run, Scenario, summary_table
from emisopt.plants import Boiler
from emisopt.report import Report, Section
from emisopt.tags import TagMap

__all__ = ["DemoResult", "forecaster_for_boiler", "run"]

DAY = 288  # rows of 300 s
MODELS = ("emisopt", "last value", "seasonal naive", "ridge", "boosting")


@dataclass(frozen=True)
class Size:
    """How much the demo does. days: of history; held: days kept for validation and again for the test."""

    days: int
    held: int
    steps: int
    rows: int
    boosting: dict[str, object]


FULL = Size(240, 10, 1200, 576, {"iterations": 80, "interval": "residual"})
QUICK = Size(20, 3, 120, 24, {"iterations": 20, "interval": "residual"})
# One colour per policy in every picture: the plots take theirs in this order.
POLICIES = ("operator rules", "MPC, frozen", "MPC, bias corrected", "oracle (true equations)")
COLOUR = dict(zip(POLICIES, plots.COLOURS, strict=False))
NAMES = {
    "o2_sp": "excess O2",
    "ofa_sp": "overfire air",
    "nh3_ratio_sp": "NH3 per NOx",
    "tilt_sp": "burner tilt",
    "load": "load",
    "ambient": "outside air",
    "nox": "NOx",
    "co": "CO",
    "nh3_slip": "NH3 slip",
}
SCORES = {"mae": "MAE", "rmse": "RMSE", "coverage": "coverage of the 80 % interval"}
STATUS_NOTE = (
    "Status of a decision: OPTIMAL, no cheaper plan nearby; FEASIBLE_DEADLINE, the forecast keeps each limit "
    "and the search ended by its budget, here one step a decision; LIMIT_SLACKED, some limit cannot hold in "
    "the forecast, and the excess is as small as it can be. Whatever the status, the move is inside bounds "
    "and rates."
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo came to: the fitted forecaster, the scores, the runs by policy, and the files written."""

    forecaster: Forecaster
    scores: Backtest
    runs: dict[str, Run]
    report: Path
    parquet: Path


def forecaster_for_boiler(*, steps: int = FULL.steps, seed: int = 0) -> Forecaster:
    """The settings of the demo and of the suite `loop`: four hours of context in tokens of 20 minutes."""
    return Forecaster(
        context=48,
        horizon=24,
        patch=4,
        width=64,
        layers=2,
        steps=steps,
        decay=0.05,
        level_shift=0.3,
        input_shift=0.1,
        unknown_plan=0.0,
        seed=seed,
    )


def run(
    out: Path | str = "demo", *, seed: int = 1, quick: bool = False, console: Console | None = None
) -> DemoResult:
    """Runs the demo and writes `report.html`, `run.parquet` and `model.safetensors` into the folder `out`.

    Parameters
    ----------
    out : folder, made when missing
    seed : of the history; the closed loop uses seed + 1000
    quick : a few days and a few rows, to see that everything runs; its figures mean nothing
    console : where to print; None: standard output

    Returns
    -------
    DemoResult

    Raises
    ------
    DataError : the folder cannot be made or written to

    Examples
    --------
    >>> from emisopt import demo
    >>> result = demo.run("demo", quick=True)  # doctest: +SKIP
    """
    # A file or pipe has no width of its own; 80 would fold the tables.
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    size = QUICK if quick else FULL
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"demo(out): cannot make the folder {str(folder)!r}: {error.strerror}") from error
    begin = time.perf_counter()

    history, tags = _simulate(console, size, seed)
    forecaster, scores = _fit(console, size, history, tags, seed)
    forecaster.save(folder / "model.safetensors")
    scenario = Scenario(seed=seed + 1000, rows=None if not quick else size.rows)
    runs = _close_loops(console, scenario, forecaster)
    table = summary_table(list(runs.values()))
    hours = _hours(runs)
    _print_frame(console, f"{hours:g} h closed loop, SYNTHETIC boiler\n{scenario.name}", table)
    for line in _verdict(runs):
        console.print(line, soft_wrap=True)

    report, parquet = folder / "report.html", folder / "run.parquet"
    _report(scenario, scores, runs, table, tags, seed, size).write(report)
    _parquet(runs, parquet)
    console.print(
        f"\n{time.perf_counter() - begin:.0f} s in all. Open [bold]{report}[/] in a browser; "
        f"the run row by row is in {parquet}.",
        soft_wrap=True,
    )
    return DemoResult(forecaster, scores, runs, report, parquet)


def _simulate(console: Console, size: Size, seed: int) -> tuple[pd.DataFrame, TagMap]:
    with _bar(console, f"simulating {size.days} days of the boiler", 100) as advance:
        history, tags = Boiler(seed=seed).simulate_history(
            days=size.days, progress=lambda done: advance(100 * done)
        )
    missing = history[tags.outputs].isna().mean().mean()
    console.print(
        f"History: {len(history):,} rows of 5 min, two crews, {len(tags.setpoints)} setpoints, "
        f"{len(tags.outputs)} outputs, {missing:.1%} of the readings missing. Plant: SYNTHETIC."
    )
    return history, tags


def _fit(
    console: Console, size: Size, history: pd.DataFrame, tags: TagMap, seed: int
) -> tuple[Forecaster, Backtest]:
    held = size.held * DAY
    train_rows = len(history) - 2 * held
    forecaster = forecaster_for_boiler(steps=size.steps, seed=seed)
    forecaster.fit(history, tags=tags, train_rows=train_rows, validation_rows=held)
    training = forecaster.training_
    console.print(
        f"Forecaster: {forecaster.core_.parameter_count:,} weights, {training['steps']} steps in "
        f"{training['seconds']:.0f} s, best validation loss {training['validation']:.4f} at step "
        f"{training['best_step']}."
    )
    with console.status("scoring the last days beside simple models") as status:
        scores = backtest(
            forecaster,
            history,
            train_rows=train_rows,
            validation_rows=held,
            operations=("known",),
            stride=2,
            fit_stride=8,
            boosting=size.boosting,
            progress=lambda text: status.update(f"scoring: {text}"),
        )
    for metric, name in SCORES.items():
        frame = scores.shown(metric, models=MODELS).set_index("")
        best = "" if metric == "coverage" else "; * is the best of its line"
        title = f"Forecasts of the {size.held} test days, operation known: {name}{best}"
        _print_frame(console, title, frame)
    return forecaster, scores


def _hours(runs: dict[str, Run]) -> float:
    return float(next(iter(runs.values())).summary.hours)


def _close_loops(console: Console, scenario: Scenario, forecaster: Forecaster) -> dict[str, Run]:
    operator, frozen, corrected, oracle = POLICIES
    policies = {
        operator: scenario.operator(),
        frozen: scenario.mpc(forecaster, frozen),
        corrected: scenario.mpc(forecaster, corrected, bias="additive"),
        oracle: scenario.oracle(),
    }
    runs = {}
    for name, policy in policies.items():
        with _bar(console, name, 1) as advance:
            runs[name] = scenario.run(policy, partial(_share, advance))
    return runs


def _share(show: Callable[[float], bool], done: int, rows: int) -> bool:
    return show(done / rows)


def _verdict(runs: dict[str, Run]) -> Iterator[str]:
    """The room between operator and oracle, and how much of it each controller used."""
    operator, oracle = runs["operator rules"].summary, runs["oracle (true equations)"].summary
    room = operator.total_eur - oracle.total_eur
    yield (
        f"Room between the tuned operator and the oracle: {room:,.0f} EUR in {operator.hours:g} h "
        f"({100 * room / operator.total_eur:.2f} % of cost)."
    )
    for name in ("MPC, frozen", "MPC, bias corrected"):
        s = runs[name].summary
        share = 100 * (operator.total_eur - s.total_eur) / room if room > 0 else float("nan")
        outside = f"{s.illegal_moves} moves" if s.illegal_moves else "no move"
        above, theirs = (short(round(x.hours_above_permit, 2)) for x in (s, operator))
        yield (
            f"{name}: {share:.0f} % of that room; {above} h above the NOx and CO permits "
            f"(operator {theirs} h); {outside} outside bounds or rates."
        )


def _report(
    scenario: Scenario,
    scores: Backtest,
    runs: dict[str, Run],
    table: pd.DataFrame,
    tags: TagMap,
    seed: int,
    size: Size,
) -> Report:
    hours, events = _hours(runs), _fuel_changes(runs)
    limits = {limit.name: float(limit.limit) for limit in scenario.limits}
    units = {limit.name: tags[tags.outputs[limit.output]].unit for limit in scenario.limits}
    steps = {name: tags[name] for name in tags.setpoints}
    sections = [
        Section(
            "Result",
            [
                f"Scenario {scenario.name}.",
                "Four policies run the same plant from the same start under the same load, fuel and noise. "
                "The operator follows rules that were tuned for the same cost. MPC sees what instruments "
                "report and the schedule of load, fuel and weather. The oracle sees the true equations and "
                "the true future; no real plant could run it: it shows how much there is to gain.",
                *_verdict(runs),
            ],
            {f"{hours:g} h by the plant's truth, not by its instruments": table},
            notes=[STATUS_NOTE],
        ),
        Section(
            "What came",
            figures=[
                (
                    "Load, outside air and fuel, the same for every policy.",
                    plots.moves(
                        {"all policies": next(iter(runs.values())).frame["disturbance"]},
                        {n: tags[n].unit for n in ("load", "ambient")},
                        names=NAMES,
                        events=events,
                    ),
                )
            ],
        ),
        Section(
            "Limits",
            ["Rolling means of the noise-free outputs: what the permit would judge."],
            figures=[
                (
                    "1-h means and their limits; times in UTC.",
                    plots.rolling_limits({k: r.rolling for k, r in runs.items()}, limits, units, events),
                )
            ],
        ),
        Section(
            "Forecasts",
            [
                "What MPC (frozen forecaster) foresaw one hour before each output came nearest to its limit "
                "or went furthest above it. The lines are 5-min values with the analysers' noise, the limit "
                "counts for the 1-h mean; what came also had the moves that were decided later."
            ],
            figures=list(_fans(scenario, runs["MPC, frozen"], tags)),
        ),
        Section(
            "Moves",
            figures=[
                (
                    "Setpoints applied; hard bounds in brackets.",
                    plots.moves(
                        {k: r.frame["setpoint"] for k, r in runs.items()},
                        {n: f"{t.unit} ({t.low:g} to {t.high:g})" for n, t in steps.items()},
                        names=NAMES,
                        events=events,
                    ),
                )
            ],
        ),
        Section(
            "Cost",
            figures=[
                (
                    "Fuel and NH3 money saved against the operator's rules since the start; times in UTC.",
                    plots.cumulative_difference(
                        {k: r.cost for k, r in runs.items()}, "operator rules", events=events
                    ),
                )
            ],
        ),
        Section(
            "Accuracy",
            [
                f"Forecasts scored on {size.held} days after training and validation; every model knows the "
                "plan and the schedule. A row is 5 min. The best of each line has a star."
            ],
            {name: scores.shown(metric, models=MODELS).set_index("") for metric, name in SCORES.items()},
        ),
    ]
    provenance = {
        "written": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "emisopt": str(_core.__version__),
        "instruction set, threads": f"{_core.isa_level().name}, {_core.default_threads()}",
        "Python": platform.python_version(),
        "seeds": f"history {seed}, closed loop {scenario.seed}",
        "history": f"{size.days} days, {size.held} for validation, {size.held} for the test",
    }
    return Report(f"emisopt: {hours:g} hours on a synthetic boiler", sections, provenance, synthetic=True)


def _fuel_changes(runs: dict[str, Run]) -> dict[pd.Timestamp, str]:
    """Stamp -> e.g. "fuel A to C"."""
    run = next(iter(runs.values()))
    grades = run.tags["fuel_grade"].categories
    codes = run.frame["disturbance", "fuel_grade"].astype(int)
    changed = codes.ne(codes.shift()) & codes.shift().notna()
    return {
        stamp: f"fuel {grades[before]} to {grades[after]}"
        for stamp, before, after in zip(
            codes.index[changed],
            codes.shift()[changed].astype(int),
            codes[changed],
            strict=True,
        )
    }


def _fans(scenario: Scenario, run: Run, tags: TagMap) -> Iterator[tuple[str, Figure]]:
    """Per limit the forecast made an hour before its rolling mean was worst."""
    for limit in scenario.limits:
        name = tags.outputs[limit.output]
        worst = int(run.rolling[limit.name].to_numpy().argmax())
        row = min(max(worst - limit.window, limit.window), len(run.frame) - 1)  # some past, some future
        measured = run.frame["measured", name]
        past, came = measured.iloc[max(0, row - 48) : row], measured.iloc[row : row + 24]
        fan = run.fan(row, name)
        if len(past) and len(fan):
            label = f"{NAMES.get(name, name)}, {tags[name].unit}"
            yield (
                f"{label}: the decision of {run.frame.index[row]:%d %B, %H:%M}.",
                plots.forecast_fan(
                    past,
                    fan,
                    label=label,
                    limit=float(limit.limit),
                    actual=came,
                    band=f"up to the {100 * limit.quantile:g} % quantile, which the limit is held with",
                ),
            )


def _parquet(runs: dict[str, Run], path: Path) -> None:
    """All runs in one file, column `policy` first; written whole or not at all."""
    frames = []
    for name, r in runs.items():
        flat = r.frame.copy()
        flat.columns = pd.Index([f"{kind}.{column}" for kind, column in flat.columns])
        flat.insert(0, "policy", name)
        frames.append(flat)
    part = path.with_suffix(".parquet.part")
    try:
        pd.concat(frames).to_parquet(part)
        part.replace(path)
    except OSError as error:
        raise DataError(f"demo: cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _bar(console: Console, title: str, total: float) -> Iterator[Callable[[float], bool]]:
    """A progress bar on stderr while a terminal looks on; yields a function of the amount done."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeRemainingColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(title, total=total)

        def show(done: float) -> bool:
            progress.update(task, completed=done)
            return True

        yield show


def _print_frame(console: Console, title: str, frame: pd.DataFrame) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in frame.index.names:
        table.add_column("" if name is None else str(name))
    for column in frame.columns:
        table.add_column(str(column), justify="right")
    for key, values in zip(frame.index, frame.to_numpy(), strict=True):
        labels = key if isinstance(key, tuple) else (key,)
        cells = [v if isinstance(v, str) else "-" if pd.isna(v) else number(v) for v in values]
        table.add_row(*[str(part) for part in labels], *cells)
    console.print(table)
