"""Distillation: a forecaster learns from a better model: ours, boosted trees, or forecasts in a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _core, _training
from emisopt._agreement import require_agreement
from emisopt.baselines import LEVELS, Baseline
from emisopt.forecaster import Forecaster
from emisopt.history import to_history, to_table
from emisopt.parallel import Processes
from emisopt.tags import TagMap, load_tagmap
from emisopt.teacher import TeacherForecasts

__all__ = ["distill"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def distill(
    teacher: Any,
    student: Forecaster,
    history: pd.DataFrame,
    *,
    tags: TagMap | str | Path | None = None,
    train_rows: int | None = None,
    validation_rows: int = 0,
    weight: float = 10.0,
    multiscale: float = 0.0,
    hidden: float = 0.0,
    tap: str = "norm",
    teacher_tap: str = "norm",
    start: str = "scratch",
    levels: Sequence[float] | None = None,
    max_windows: int = 20_000,
    progress: bool = True,
    resume: str | os.PathLike[str] | None = None,
    save_every: float = 60.0,
    processes: Processes | None = None,
    device: str = "cpu",
    precision: str = "float32",
    deterministic: bool = False,
) -> Forecaster:
    """Trains a student on the labels and on what a teacher says of the same windows.

    The teacher is asked once, with the operation of the coming rows known; what he says is stored. Windows
    that hide the plan or the newest labels from the student are taught by labels alone: he saw them.

    Parameters
    ----------
    teacher : one of

        - a fitted :class:`Forecaster`, or several: the mean of their quantiles
        - a fitted baseline (`emisopt.baselines.Boosting`): its 0.1, 0.5 and 0.9 at its horizons
        - a callable ``f(history, origins)``: origins (n,) are the rows of the first step; returns (n, H, O),
          the medians, or (n, H, O, Q) for `levels`
        - :class:`TeacherForecasts`, or a file of them (`.npz`, `.parquet`): say, of a foundation model
    student : a forecaster with the settings wanted; it is fitted
    history, tags, train_rows, validation_rows, progress, resume, save_every, processes, device, precision,
        deterministic : as in :meth:`Forecaster.fit`; tags None: those of a teacher of ours. The teacher is
        asked on the CPU
    weight : coefficient of the squared distance of all quantiles (in standard deviations)
    multiscale : of the same, averaged over 2, 4 and 8 rows
    hidden : of the distance of a projected hidden state `tap` of the student to `teacher_tap` of one teacher
        of ours ("norm": what its head sees; "layers.0.sum", ...)
    start : "scratch", or "layers": from every k-th layer of one teacher of ours of the same width
    levels : of a callable that returns quantiles; None: the student's
    max_windows : the teacher is asked of so many windows, evenly spread

    Returns
    -------
    the student, fitted

    Raises
    ------
    InputError : a teacher with another horizon, other outputs, forecasts that are not finite; weights < 0

    References
    ----------
    Hinton et al. 2015; Romero et al. 2015 (hidden states); Jiao et al. 2020 (layers); Ni et al. 2025
    (scales).

    Examples
    --------
    >>> from emisopt import Forecaster, distill, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=2)
    >>> small = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "steps": 20}
    >>> teacher = Forecaster(**small, layers=2).fit(history, tags=tags, progress=False)
    >>> student = distill(teacher, Forecaster(**small), history, start="layers", progress=False)
    >>> student.predict(history).shape
    (6, 42)
    """
    ours = _ours(teacher)
    if tags is None:
        if not ours:
            raise _core.InputError("distill(tags): expected a tag map, since the teacher is none of ours")
        tags = ours[0].tags_
    tags = load_tagmap(tags)
    for each in ours:
        require_agreement(tags, each.tags_, "distill(tags)", "the teacher")
    if start not in ("scratch", "layers"):
        raise _core.InputError(f"distill(start): expected scratch or layers, got {start!r}")
    if max_windows < 1:
        raise _core.InputError(f"distill(max_windows): expected at least 1, got {max_windows}")
    for name, value in (("weight", weight), ("multiscale", multiscale), ("hidden", hidden)):
        if not (np.isfinite(value) and value >= 0):
            raise _core.InputError(f"distill({name}): expected 0 or a positive number, got {value}")
    if len(ours) != 1 and (hidden > 0 or start == "layers"):
        raise _core.InputError(
            "distill(hidden, start): expected one teacher of ours for hidden states and layers, got "
            + (f"{len(ours)} of them" if ours else "another kind")
        )
    core_history = to_history(history, tags, where="distill(history)")
    train_rows = _training.rows_of(core_history.rows, train_rows, validation_rows)
    core = _training.fresh_core(student, core_history, tags, train_rows)
    settings = _training.train_config(
        student,
        train_rows,
        validation_rows,
        device=device,
        precision=precision,
        deterministic=deterministic,
    )
    origins = _origins([core, *(f.core_ for f in ours)], core_history, train_rows, max_windows)
    for f in ours:
        seen = int(dict(f.core_.notes).get("train_rows", "0"))
        if seen > train_rows:
            warnings.warn(
                f"distill: the teacher was trained on {seen} rows, the student is on {train_rows}; what he "
                "knows of later rows reaches the student",
                stacklevel=2,
            )
    if ours:
        said = _core.ask_teachers(
            [f.core_ for f in ours], core_history, origins.tolist(), teacher_tap if hidden > 0 else ""
        )
    else:
        forecasts = _forecasts(teacher, history, core_history, origins, student, tags, levels)
        said = forecasts.core(history, tags.outputs, student.horizon)
    said.validate(core)
    if start == "layers":
        _core.copy_layers(ours[0].core_, core)
    core.add_note("distilled_windows", str(len(said.origins)))
    _training.run(
        student,
        core,
        core_history,
        settings,
        progress,
        resume,
        save_every,
        processes,
        teacher=said,
        distill=weight,
        distill_multiscale=multiscale,
        hidden=hidden,
        tap=tap,
    )
    return student


def _ours(teacher: Any) -> list[Forecaster]:
    """The teacher as a list of fitted forecasters; empty: he is something else."""
    if isinstance(teacher, Forecaster):
        teacher = [teacher]
    if not isinstance(teacher, (list, tuple)) or not teacher:
        return []
    for forecaster in teacher:
        if not isinstance(forecaster, Forecaster):
            raise _core.InputError(
                f"distill(teacher): expected forecasters in the list, got {type(forecaster).__name__}"
            )
        check_is_fitted(forecaster, "core_")
    return list(teacher)


def _origins(cores: list[_core.Forecaster], history: _core.History, train_rows: int, most: int) -> Ints:
    """Origins of windows of all cores with every output known before them, at most so many, evenly spread."""
    outputs = [history.tags.names.index(n) for n in history.tags.outputs]
    known = np.isfinite(np.asarray(history.values)[:, outputs]).cumsum(axis=0)
    before = np.vstack([np.zeros((1, len(outputs)), dtype=known.dtype), known])
    found = np.arange(history.rows)
    for core in cores:
        own = np.asarray(core.training_origins(history, 0, train_rows), dtype=np.int64)
        own = own[(before[own] > before[own - core.config.context]).all(axis=1)]
        found = np.intersect1d(found, own)
    core, context = cores[0], max(c.config.context for c in cores)
    if not found.size:
        raise _core.InputError(
            f"distill(history): expected a window of {context} + {core.config.horizon} unbroken rows with "
            f"every output known among the first {train_rows} rows, got none"
        )
    keep = np.unique(np.linspace(0, found.size - 1, min(most, found.size)).round().astype(np.int64))
    return found[keep]


def _forecasts(
    teacher: Any,
    history: pd.DataFrame,
    core_history: _core.History,
    origins: Ints,
    student: Forecaster,
    tags: TagMap,
    levels: Sequence[float] | None,
) -> TeacherForecasts:
    if isinstance(teacher, TeacherForecasts):
        return teacher
    if isinstance(teacher, (str, os.PathLike)):
        return TeacherForecasts.load(teacher)
    if isinstance(teacher, Baseline):
        table = to_table(core_history)
        names = [table.names[i] for i in table.outputs]
        said = np.asarray(teacher.predict(table, origins))
        steps = tuple(int(h) for h in teacher.horizons)
        good = np.isfinite(said).all(axis=(1, 2, 3))  # else no lagged value in reach: labels alone teach
        return TeacherForecasts(said[good], tuple(names), LEVELS, origins[good], steps, partial=True)
    if not callable(teacher):
        raise _core.InputError(
            "distill(teacher): expected forecasters, a fitted baseline, a callable, TeacherForecasts or the "
            f"path of a file, got {type(teacher).__name__}"
        )
    said = np.asarray(teacher(history, origins.copy()), dtype=np.float64)
    if said.ndim == 3:
        levels = (0.5,)
    elif levels is None:
        levels = tuple(float(q) for q in student.quantiles)
    expected = (len(origins), student.horizon, len(tags.outputs)) + ((len(levels),) if said.ndim != 3 else ())
    if said.shape != expected:
        raise _core.ShapeError(
            f"distill(teacher): expected (forecasts, horizon, outputs[, levels]) = {expected}, "
            f"got {said.shape}"
        )
    return TeacherForecasts(said, tuple(tags.outputs), tuple(levels), origins)
