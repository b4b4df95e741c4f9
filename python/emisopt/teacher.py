"""A teacher's forecasts, kept in arrays or files, for students to learn from."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core

__all__ = ["TeacherForecasts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TeacherForecasts:
    """What a teacher forecast, for many moments of a history, in physical units.

    Parameters
    ----------
    values : (n, S, O, Q), or (n, S, O) where only the median is known; finite. Quantiles that cross are
        sorted (Chernozhukov et al. 2010)
    outputs : names (O)
    levels : quantile levels (Q), rising
    at : where each forecast begins, i.e. the row of its first step: stamps, or row numbers (integers)
    steps : rows ahead (S), from 1; None: 1..S
    partial : he speaks of some rows of the horizon only, the others are left to the labels; False: a student
        of another horizon is refused

    Raises
    ------
    InputError, ShapeError : arrays that do not fit each other, numbers that are not finite

    Examples
    --------
    >>> t = TeacherForecasts([[[5.0], [6.0]]], ["nox"], at=[100])
    >>> t.values.shape, t.steps
    ((1, 2, 1, 1), (1, 2))
    """

    values: Floats
    outputs: tuple[str, ...]
    levels: tuple[float, ...] = (0.5,)
    at: Ints | pd.DatetimeIndex = ()
    steps: tuple[int, ...] | None = None
    partial: bool = False

    def __post_init__(self) -> None:
        where = "TeacherForecasts"
        try:
            values = np.asarray(self.values, dtype=np.float64)
            levels = tuple(float(level) for level in self.levels)
            steps = None if self.steps is None else tuple(int(step) for step in self.steps)
        except (TypeError, ValueError):
            raise _core.InputError(f"{where}(values, levels, steps): expected numbers, got others") from None
        if values.ndim == 3:
            values = values[..., None]
        outputs = tuple(map(str, self.outputs))
        if steps is None and values.ndim == 4:
            steps = tuple(range(1, values.shape[1] + 1))
        expected = (len(self.at), len(steps or ()), len(outputs), len(levels))
        if values.shape != expected:
            raise _core.ShapeError(
                f"{where}(values): expected (forecasts={expected[0]}, steps={expected[1]}, "
                f"outputs={expected[2]}, levels={expected[3]}), got {values.shape}"
            )
        if not np.isfinite(values).all():
            n, s, o, _ = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
            raise _core.InputError(
                f"{where}(values): expected finite numbers, got {values[n, s, o].tolist()} for output "
                f"{outputs[o]!r}, step {(steps or ())[s]} of the forecast from {self.at[n]}"
            )
        object.__setattr__(self, "values", np.sort(values, axis=-1))
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "steps", steps or ())

    # ---- files --------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `.npz` (arrays by the parameters' names, no pickle) or `.parquet` (a row per number)."""
        path = Path(path)
        if path.suffix == ".npz":
            temporary = path.with_name(path.name + ".tmp.npz")
            at = np.asarray(self.at)
            if isinstance(self.at, pd.DatetimeIndex):
                at = _utc(self.at).tz_localize(None).to_numpy("datetime64[ns]")
            np.savez_compressed(
                temporary,
                values=self.values,
                outputs=np.array(self.outputs),
                levels=np.array(self.levels),
                at=at,
                steps=np.array(self.steps),
                partial=np.array(self.partial),
            )
            os.replace(temporary, path)
        elif path.suffix == ".parquet":
            temporary = path.with_name(path.name + ".tmp")
            self.frame().to_parquet(temporary)
            os.replace(temporary, path)
        else:
            raise _ending(path)

    def frame(self) -> pd.DataFrame:
        """A row per number: at, step, output, level, value."""
        index = pd.MultiIndex.from_product(
            [self.at, self.steps or (), self.outputs, self.levels], names=["at", "step", "output", "level"]
        )
        return pd.DataFrame({"value": self.values.ravel()}, index=index).reset_index()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TeacherForecasts:
        """Reads what :meth:`save` writes, or what another program wrote in that form.

        A Parquet file holds the columns at (stamps, UTC where they name no zone, or row numbers), step (from
        1), output, level (left out: the median) and value.

        Raises
        ------
        FileError, InputError : no such file, another form, forecasts with holes
        """
        path = Path(path)
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as file:
                    missing = {"values", "outputs", "at"} - set(file.files)
                    if missing:
                        raise _core.InputError(f"{path}: expected an array {sorted(missing)[0]!r}, got none")
                    at = file["at"]
                    return cls(
                        file["values"],
                        tuple(map(str, file["outputs"])),
                        tuple(file["levels"]) if "levels" in file.files else (0.5,),
                        _moments(at, path),
                        tuple(file["steps"]) if "steps" in file.files else None,
                        bool(file["partial"]) if "partial" in file.files else False,
                    )
            if path.suffix == ".parquet":
                return cls._from_frame(pd.read_parquet(path), path)
        except _core.Error:
            raise
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise _core.FileError(f"{path}: not a readable file of forecasts: {reason}") from None
        raise _ending(path)

    @classmethod
    def _from_frame(cls, frame: pd.DataFrame, path: Path) -> TeacherForecasts:
        if "level" not in frame.columns:
            frame = frame.assign(level=0.5)
        names = ["at", "step", "output", "level"]
        missing = [n for n in (*names, "value") if n not in frame.columns]
        if missing:
            raise _core.InputError(
                f"{path}: expected a column {missing[0]!r}, got {', '.join(map(str, frame.columns))}"
            )
        if frame.duplicated(names).any():
            raise _core.InputError(f"{path}: expected one value per at, step, output and level, got several")
        outputs = list(dict.fromkeys(frame["output"].astype(str)))
        table = frame.set_index(names)["value"].astype(float)
        axes = [table.index.unique(n).sort_values() for n in names]
        axes[2] = pd.Index(outputs, name="output")
        full = table.reindex(pd.MultiIndex.from_product(axes, names=names))
        if full.isna().any():
            hole = dict(zip(names, full.index[int(np.flatnonzero(full.isna())[0])], strict=True))
            raise _core.InputError(
                f"{path}: expected a value for every at, step, output and level, got none for {hole}"
            )
        values = full.to_numpy().reshape([len(a) for a in axes])
        at = _moments(axes[0].to_numpy() if axes[0].dtype.kind != "M" else axes[0], path)
        steps = tuple(int(s) for s in axes[1])
        partial = steps != tuple(range(1, len(steps) + 1))
        return cls(values, tuple(outputs), tuple(axes[3]), at, steps, partial)

    # ---- for the core -------------------------------------------------------------------------------------

    def core(self, history: pd.DataFrame, outputs: Sequence[str], horizon: int) -> _core.TeacherForecasts:
        """The compiled form: moments as rows of the history; those outside it are left out."""
        steps = self.steps or ()
        if steps != tuple(range(1, horizon + 1)) and not self.partial:
            raise _core.InputError(
                f"TeacherForecasts: expected the student's horizon of {horizon} rows, got {len(steps)}; set "
                "partial for a teacher of some rows only"
            )
        absent = [n for n in outputs if n not in self.outputs]
        if absent or set(self.outputs) != set(outputs):
            raise _core.InputError(
                f"TeacherForecasts: expected the student's outputs ({', '.join(outputs)}), got "
                f"({', '.join(self.outputs)})"
            )
        rows = _rows(self.at, history)
        order = np.argsort(rows, kind="stable")
        order = order[rows[order] >= 0]
        if not order.size:
            raise _core.InputError(
                "TeacherForecasts: expected moments of the history, got none that lie in it"
            )
        place = [self.outputs.index(n) for n in outputs]
        values = np.ascontiguousarray(self.values[order][:, :, place], dtype=np.float32)
        return _core.TeacherForecasts(
            list(outputs), list(self.levels), list(steps), rows[order].tolist(), values
        )


def _ending(path: Path) -> _core.InputError:
    return _core.InputError(f"{path}: expected a name that ends in .npz or .parquet, got {path.name!r}")


def _moments(at: Any, path: Path) -> Ints | pd.DatetimeIndex:
    """Row numbers as they are, stamps in UTC."""
    if isinstance(at, pd.DatetimeIndex) or np.asarray(at).dtype.kind in "MUO":
        return pd.DatetimeIndex(pd.to_datetime(at, utc=True))
    array = np.asarray(at)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise _core.InputError(f"{path}: expected stamps or whole row numbers as 'at', got {array.dtype}")
    return array.astype(np.int64)


def _utc(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")


def _rows(at: Ints | pd.DatetimeIndex, history: pd.DataFrame) -> Ints:
    """Rows of the history at these moments, -1 where there is none."""
    if not isinstance(at, pd.DatetimeIndex):
        rows = np.asarray(at, dtype=np.int64)
        return np.where((rows >= 0) & (rows < len(history)), rows, -1)
    if not isinstance(history.index, pd.DatetimeIndex):
        raise _core.InputError(
            "TeacherForecasts: expected row numbers for a history without stamps, got stamps"
        )
    index, stamps = _utc(history.index), _utc(at)
    return np.asarray(index.as_unit("ns").get_indexer(stamps.as_unit("ns")), dtype=np.int64)
