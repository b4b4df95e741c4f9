"""Forecasts of baselines on disk, because they cost minutes: build/accuracy/NAME-KEY.npz.

The key hashes the data's bytes, the task's origins, steps and levels, the model's name and settings, and the
source text of everything that a baseline is made of: change any, and it is computed anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import sklearn

from benchmarks.forecasting.task import Floats, Model, Task, checked

ROOT = Path(__file__).parents[2]
SOURCES = (
    *sorted((ROOT / "benchmarks" / "forecasting").glob("baseline_*.py")),
    ROOT / "benchmarks" / "forecasting" / "data.py",
    ROOT / "benchmarks" / "forecasting" / "task.py",
    ROOT / "python" / "emisopt" / "lags.py",
)


def folder() -> Path:
    return Path(os.environ.get("EMISOPT_BENCH_CACHE", ROOT / "build" / "accuracy"))


@cache
def code_version() -> str:
    digest = hashlib.sha256(f"numpy {np.__version__} scikit-learn {sklearn.__version__}".encode())
    for path in SOURCES:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def forecast(name: str, model: Model, task: Task) -> tuple[Floats, float]:
    """The model's checked forecast and the seconds that it took when it was computed."""
    digest = hashlib.sha256(
        "|".join(
            map(
                str,
                (
                    code_version(),
                    task.key,
                    task.name,
                    task.train_rows,
                    task.validation_rows,
                    task.steps,
                    task.levels,
                    task.season,
                    task.lags,
                    task.tags.to_json(),
                    name,
                    repr(model),
                ),
            )
        ).encode()
    )
    digest.update(task.origins.tobytes())
    path = (
        folder() / f"{task.name}-{name.replace(' ', '_').replace('+', 'and')}-{digest.hexdigest()[:16]}.npz"
    )
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return np.asarray(kept["forecast"]), float(kept["seconds"])
    begin = time.perf_counter()
    result = checked(model(task), task, name)
    seconds = time.perf_counter() - begin
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    with os.fdopen(handle, "wb") as out:
        np.savez_compressed(out, forecast=result, seconds=seconds)
    os.replace(temporary, path)
    return result, seconds
