"""Closed-loop studies: many runs by scenario, seed and settings, side by side, with progress, resumable.

A study is a function and a list of cases. Each case is one call; what comes back is one row of a table. The
calls run one after the other, in processes (joblib) or on a Dask cluster, to the same bits.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.forecaster import Forecaster
from emisopt.loop import Scenario
from emisopt.progress import StudyBar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["StudyResult", "boiler_48h", "cases", "run_study"]

Task = Callable[..., Mapping[str, Any]]
Case = dict[str, Any]
Outcome = dict[str, Any]  # status, result, error, traceback, seconds

BACKENDS = ("serial", "joblib", "dask")
FORMAT = 1
_ORDER = "generator_unordered"  # of joblib: outcomes as they come


def cases(**axes: Sequence[Any]) -> list[Case]:
    """Every combination of the values given: the cases of a study, the last name counting fastest.

    Examples
    --------
    >>> cases(policy=["operator", "mpc"], seed=range(2))[1]
    {'policy': 'operator', 'seed': 1}
    """
    for name, values in axes.items():
        if isinstance(values, str) or not len(values):
            raise _core.InputError(f"cases({name}): expected a sequence of values, got {values!r}")
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


@dataclass(frozen=True)
class StudyResult:
    """What the runs came to.

    Attributes
    ----------
    table : one row per case, in their order: what it was given, `status` ("ok" or "failed"), `seconds`,
        `error` (one line, "" when ok), and what the function returned; NaN where a run failed
    tracebacks : row -> the whole traceback of a run that failed
    """

    table: pd.DataFrame
    tracebacks: dict[int, str]
    given: tuple[str, ...]

    @property
    def failed(self) -> pd.DataFrame:
        """The runs that failed: what they were given, and why."""
        rows = self.table[self.table["status"] == "failed"]
        return rows[[*self.given, "error"]]

    @property
    def ok(self) -> pd.DataFrame:
        """The runs that ended well, without the columns that tell of failures."""
        return self.table[self.table["status"] == "ok"].drop(columns=["status", "error"])

    def plot(self, value: str, by: str, *, within: str | None = None) -> Figure:
        """Every run as a point, and the medians: `value` over `by`, one colour a value of `within`.

        Raises
        ------
        InputError : no such column, or no run that ended well
        """
        from emisopt import plots

        good = self.ok
        for name in (value, by, *([within] if within else [])):
            if name not in good.columns:
                raise _core.InputError(
                    f"StudyResult.plot: no column {name!r}; expected one of {', '.join(good.columns)}"
                )
        if good.empty:
            raise _core.InputError("StudyResult.plot: expected runs that ended well, got none")
        return plots.study(good, value, by, within)

    def __str__(self) -> str:
        count = int((self.table["status"] == "ok").sum())
        lines = [f"{len(self.table)} runs, {count} ok, {len(self.table) - count} failed"]
        for _, row in self.failed.iterrows():
            lines.append("  failed: " + ", ".join(f"{n}={row[n]}" for n in self.given) + f": {row['error']}")
        return "\n".join(lines)


def run_study(
    task: Task,
    cases: Sequence[Mapping[str, Any]],
    *,
    folder: str | os.PathLike[str] | None = None,
    backend: str = "joblib",
    workers: int | None = None,
    threads: int = 1,
    client: Any = None,
    version: str = "",
    progress: bool = True,
) -> StudyResult:
    """Calls `task(**case)` for every case and gathers what comes back.

    Parameters
    ----------
    task : returns a mapping name -> number, text, bool or None; what it returns must depend on its arguments
        alone. Runs in other processes unless `backend` is "serial"
    cases : mappings name -> number, text, bool, None or lists of these; see :func:`cases`
    folder : where each run's outcome is kept, a JSON file each. Runs that ended well are not run again, those
        that failed are. None: nothing is kept
    backend : "serial"; "joblib", processes of this machine; "dask", those of a Dask cluster (extra `dask`)
    workers : processes; None: as many as the cores shared out at `threads` each
    threads : of emisopt in each run (EMISOPT_THREADS); the bits do not depend on it
    client : a `distributed.Client` for "dask"; None: a cluster on this machine for the time of the study
    version : part of the files' names: another one makes all runs afresh, e.g. after a change of `task`
    progress : a bar with failures and time left; in a log ten lines

    Returns
    -------
    StudyResult. A run that raises, or whose process dies, is a row with status "failed" and its reason; the
    others go on.

    Raises
    ------
    InputError : no cases, cases alike, with other names than the first, or of values that JSON lacks; an
        unknown backend; a number of workers or threads below 1
    ImportError : "dask" without the package `distributed`

    Examples
    --------
    >>> def task(seed, gain):
    ...     return {"cost": 10.0 * gain + seed}
    >>> study = run_study(task, cases(gain=[1, 2], seed=range(3)), backend="serial", progress=False)
    >>> study.ok.groupby("gain")["cost"].mean().tolist()
    [11.0, 21.0]
    """
    named = _named(task)
    plain = _checked(cases)
    if backend not in BACKENDS:
        raise _core.InputError(f"run_study(backend): expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if threads < 1:
        raise _core.InputError(f"run_study(threads): expected at least 1, got {threads}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, cores // threads) if workers is None else workers
    if workers < 1:
        raise _core.InputError(f"run_study(workers): expected at least 1, got {workers}")
    keys = [_key(named, version, case) for case in plain]
    place = None if folder is None else Path(folder)
    found = {} if place is None else _read(place, keys)
    pending = {key: case for key, case in zip(keys, plain, strict=True) if key not in found}
    with StudyBar("study", len(plain), len(found), show=progress) as bar:
        for key, outcome in _run(task, pending, backend, workers, threads, client):
            found[key] = outcome
            if place is not None:
                _write(place, key, named, pending[key], outcome)
            bar.update(failed=outcome["status"] == "failed")
    return _gathered(plain, [found[key] for key in keys])


def boiler_48h(
    seed: int,
    policy: str,
    *,
    forecaster: str | None = None,
    plant_seed: int | None = None,
    rows: int | None = None,
    nox_fee: float = 0.0,
    **settings: Any,
) -> dict[str, float]:
    """One run of :class:`emisopt.loop.Scenario` as the task of a study.

    Parameters
    ----------
    seed, plant_seed, rows, nox_fee : of the scenario
    policy : "operator", "oracle" or "mpc"
    forecaster : file of a fitted :class:`Forecaster`, for "mpc"
    settings : of :meth:`emisopt.loop.Scenario.mpc`

    Returns
    -------
    cost_eur, hours_above (rank 1), hours_above per limit, illegal_moves, worst decision time in ms
    """
    scenario = Scenario(seed=seed, plant_seed=plant_seed, rows=rows, nox_fee=nox_fee)
    if policy == "mpc":
        if forecaster is None:
            raise _core.InputError("boiler_48h(forecaster): expected a file for policy 'mpc', got None")
        chosen = scenario.mpc(Forecaster.load(forecaster), **settings)
    elif policy in ("operator", "oracle"):
        if settings:
            raise _core.InputError(f"boiler_48h: expected no settings for {policy!r}, got {list(settings)}")
        chosen = scenario.operator() if policy == "operator" else scenario.oracle()
    else:
        raise _core.InputError(f"boiler_48h(policy): expected operator, oracle or mpc, got {policy!r}")
    summary = scenario.run(chosen).summary
    row = {"cost_eur": summary.total_eur, "hours_above": summary.hours_above_permit}
    row |= {f"hours_above {limit.name}": limit.hours_above for limit in summary.limits}
    return row | {"illegal_moves": summary.illegal_moves}


def _named(task: Task) -> str:
    if not callable(task):
        raise _core.InputError(f"run_study(task): expected a function, got {type(task).__name__}")
    inner = getattr(task, "func", task)  # of a functools.partial
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__name__)}"


def _plain(value: Any, where: str, *, nan: bool = False) -> Any:
    """The value as JSON holds it; NaN, where allowed, as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        if nan and math.isnan(value):
            return None
        raise _core.InputError(f"{where}: expected a finite number, got {value}")
    if isinstance(value, Mapping):
        return {str(name): _plain(v, f"{where}.{name}", nan=nan) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, where, nan=nan) for v in value]
    raise _core.InputError(
        f"{where}: expected number, text, bool, None or a list, got {type(value).__name__}"
    )


def _checked(given: Sequence[Mapping[str, Any]]) -> list[Case]:
    plain = [_plain(case, f"run_study(cases[{i}])") for i, case in enumerate(given)]
    if not plain:
        raise _core.InputError("run_study(cases): expected at least one, got none")
    seen: dict[str, int] = {}
    for i, case in enumerate(plain):
        if not isinstance(case, dict):
            raise _core.InputError(f"run_study(cases[{i}]): expected a mapping, got {case!r:.40}")
        if set(case) != set(plain[0]):
            raise _core.InputError(
                f"run_study(cases[{i}]): expected the names of the first, {sorted(plain[0])}, "
                f"got {sorted(case)}"
            )
        first = seen.setdefault(json.dumps(case, sort_keys=True), i)
        if first != i:
            raise _core.InputError(f"run_study(cases[{i}]): the same as cases[{first}]")
    return plain


def _key(named: str, version: str, case: Case) -> str:
    text = json.dumps([FORMAT, named, version, case], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@contextmanager
def _thread_count(threads: int) -> Iterator[None]:
    before = os.environ.get("EMISOPT_THREADS")
    os.environ["EMISOPT_THREADS"] = str(threads)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("EMISOPT_THREADS", None)
        else:
            os.environ["EMISOPT_THREADS"] = before


def _guarded(task: Task, key: str, case: Case, threads: int) -> tuple[str, Outcome]:
    """One run, wherever it runs; what it raises is its outcome."""
    begin = time.perf_counter()
    try:
        with _thread_count(threads):
            result = task(**case)
        if not isinstance(result, Mapping):
            raise _core.InputError(f"the task: expected a mapping to come back, got {type(result).__name__}")
        plain = _plain(result, "the task's result", nan=True)
        taken = sorted({"status", "seconds", "error", *case} & set(plain))
        if taken:
            raise _core.InputError(f"the task's result: a name is taken: {', '.join(taken)}")
        outcome = {"status": "ok", "result": plain, "error": "", "traceback": ""}
    except Exception as error:
        line = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        outcome = _failure(line, traceback.format_exc())
    return key, outcome | {"seconds": time.perf_counter() - begin}


def _failure(line: str, trace: str = "") -> Outcome:
    return {"status": "failed", "result": {}, "error": line, "traceback": trace, "seconds": math.nan}


def _run(
    task: Task, pending: dict[str, Case], backend: str, workers: int, threads: int, client: Any
) -> Iterator[tuple[str, Outcome]]:
    if backend == "serial":
        yield from (_guarded(task, key, case, threads) for key, case in pending.items())
    elif pending and backend == "dask":
        yield from _by_dask(task, pending, workers, threads, client)
    elif pending:
        yield from _by_joblib(task, pending, workers, threads)


def _by_joblib(
    task: Task, pending: dict[str, Case], workers: int, threads: int
) -> Iterator[tuple[str, Outcome]]:
    """In processes, as they come. A process that dies takes the pool with it: the runs that have no outcome
    yet are then made one at a time, each in a process that only it can bring down."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def pool(some: dict[str, Case]) -> Iterator[tuple[str, Outcome]]:
        # Two at least: with one joblib runs the task in this process.
        every = joblib.Parallel(n_jobs=max(2, min(workers, len(some))), backend="loky", return_as=_ORDER)
        yield from every(joblib.delayed(_guarded)(task, key, case, threads) for key, case in some.items())

    left = dict(pending)
    try:
        if workers == 1:
            for key, case in pending.items():
                yield from pool({key: case})
                del left[key]
        else:
            for key, outcome in pool(pending):
                del left[key]
                yield key, outcome
    except BrokenProcessPool:
        for key, case in left.items():
            try:
                yield from pool({key: case})
            except BrokenProcessPool:
                yield key, _failure("the process died: killed, out of memory, or a crash in compiled code")


def _by_dask(
    task: Task, pending: dict[str, Case], workers: int, threads: int, client: Any
) -> Iterator[tuple[str, Outcome]]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise ImportError(
            "run_study(backend='dask') needs the package distributed; `pip install emisopt[dask]` brings it"
        ) from error
    own = client is None
    if own:
        client = distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        futures = {
            client.submit(_guarded, task, key, case, threads, pure=False): key
            for key, case in pending.items()
        }
        for future in distributed.as_completed(list(futures)):
            try:
                yield future.result()
            except Exception as error:  # the worker died, or the cluster lost the run
                yield futures[future], _failure(f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        if own:
            client.close()


def _read(folder: Path, keys: Sequence[str]) -> dict[str, Outcome]:
    """Outcomes of earlier runs that ended well; a file that cannot be read counts as none."""
    found = {}
    for key in keys:
        try:
            kept = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
            if kept["format"] == FORMAT and kept["outcome"]["status"] == "ok":
                found[key] = kept["outcome"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _write(folder: Path, key: str, named: str, case: Case, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seconds = None if math.isnan(outcome["seconds"]) else outcome["seconds"]
    kept = {"format": FORMAT, "task": named, "case": case, "outcome": outcome | {"seconds": seconds}}
    new = folder / f"{key}.json.new.{os.getpid()}"
    try:
        new.write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(new, folder / f"{key}.json")
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _gathered(given: list[Case], outcomes: list[Outcome]) -> StudyResult:
    rows, traces = [], {}
    for i, (case, outcome) in enumerate(zip(given, outcomes, strict=True)):
        told = {k: outcome[k] for k in ("status", "seconds", "error")}
        rows.append(case | told | {k: math.nan if v is None else v for k, v in outcome["result"].items()})
        if outcome["status"] == "failed":
            traces[i] = outcome["traceback"]
    table = pd.DataFrame(rows)
    table["seconds"] = table["seconds"].astype(float)
    return StudyResult(table, traces, tuple(given[0]))
