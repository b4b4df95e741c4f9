"""The newest rows of a stream, numbered from the first row of the history that it began with."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt.errors import DataError
from emisopt.history import core_tags
from emisopt.io import to_arrays
from emisopt.tags import TagMap

Floats = NDArray[np.float64]


class StreamRows:
    """Rows as they came, NaN where a label has not come yet; older ones than `keep` are forgotten.

    Parameters
    ----------
    tags : of the plant;   delay : rows by which labels come late;   keep : rows to hold at least
    """

    def __init__(self, tags: TagMap, delay: int, keep: int) -> None:
        self.tags, self.delay, self.keep = tags, delay, keep
        self._core_tags = core_tags(tags)
        self._outputs = [tags.names.index(n) for n in tags.outputs]
        self.first = 0  # number of the first row held
        self.values = np.empty((0, len(tags)))
        self.time = np.empty(0)
        self.gap = np.empty(0, dtype=bool)
        self.newest: int | None = None  # of rows without stamps: the index of the newest one

    @property
    def rows(self) -> int:
        """Seen so far."""
        return self.first + len(self.values)

    def begin(self, frame: pd.DataFrame) -> None:
        """The rows before the stream; the labels of the newest `delay` of them have not come."""
        self.append(frame, "EnsembleForecaster.fit(history)")
        if self.delay:
            self.values[-self.delay :, self._outputs] = np.nan
        self.forget()

    def check(self, frame: pd.DataFrame) -> None:
        """Refuses rows that cannot come next. Raises InputError, DataError."""
        where = "EnsembleForecaster.observe(rows)"
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"{where}: expected a pandas DataFrame, got {type(frame).__name__}")
        given = [n for n in self.tags.outputs if n in frame]
        if self.delay and frame[given].notna().to_numpy().any():
            name = next(n for n in given if frame[n].notna().any())
            raise _core.InputError(
                f"{where}: expected {name!r} missing or left out, its labels come {self.delay} rows late; "
                "hand them to label(labels, first_row)"
            )
        probe = copy.copy(self)
        probe.append(frame, where)

    def append(self, frame: pd.DataFrame, where: str = "EnsembleForecaster.observe(rows)") -> None:
        """The next rows, oldest first."""
        absent = [n for n in self.tags.outputs if n not in frame]
        arrays = to_arrays(frame.assign(**dict.fromkeys(absent, np.nan)), self.tags, where)
        if not len(arrays.values):
            return
        gap = arrays.gap.copy()
        if arrays.time.size:
            if self.time.size:
                step = arrays.time[0] - self.time[-1]
                if step <= 0:
                    raise DataError(
                        f"{where}: expected rows after {_stamp(self.time[-1])}, got {_stamp(arrays.time[0])}"
                    )
                gap[0] = abs(step - self.tags.period) > 0.02 * self.tags.period
        elif self.tags.period > 0:
            raise _core.InputError(f"{where}: expected a DatetimeIndex, each row needs a stamp")
        else:
            number = int(frame.index[0])
            gap[0] = self.newest is not None and number != self.newest + 1
            self.newest = int(frame.index[-1])
        self.values = np.concatenate([self.values, arrays.values])
        self.time = np.concatenate([self.time, arrays.time])
        self.gap = np.concatenate([self.gap, gap])

    def outputs(self, first_row: int, end: int) -> Floats:
        """(n, O) what is known of the outputs of these rows, cleaned; NaN where the row is forgotten."""
        out = np.full((end - first_row, len(self._outputs)), np.nan)
        held = np.asarray(self.history().values)[:, self._outputs]
        begin = max(first_row, self.first)
        out[begin - first_row :] = held[begin - self.first : end - self.first]
        return out

    def label(self, labels: pd.DataFrame, first_row: int) -> Floats:
        """Outputs of earlier rows; returns (n, O), those that were not known before, NaN elsewhere.

        Raises
        ------
        InputError : a label that may not be known yet, or whose row is forgotten; nothing is taken then.
        """
        where = "EnsembleForecaster.label"
        missing = [n for n in self.tags.outputs if n not in labels]
        if missing:
            raise _core.InputError(f"{where}(labels): expected the columns {missing} as well")
        values = labels[list(self.tags.outputs)].to_numpy(dtype=float)
        if np.isinf(values).any():
            raise _core.InputError(f"{where}(labels): expected finite numbers or NaN, got an infinite one")
        last, now = first_row + len(values) - 1, self.rows - 1
        if last + self.delay > now:
            row = max(first_row, now - self.delay + 1)
            raise _core.InputError(
                f"{where}(row): the label of row {row} may come from row {row + self.delay} on (delay "
                f"{self.delay}), now is row {now}"
            )
        if first_row < self.first:
            raise _core.InputError(
                f"{where}(first_row): expected row {self.first} or later, older ones are forgotten; got "
                f"{first_row}"
            )
        before = self.outputs(first_row, last + 1)
        for i, row in enumerate(values):
            held = self.values[first_row - self.first + i]
            held[self._outputs] = np.where(np.isfinite(row), row, held[self._outputs])
        return np.where(np.isfinite(before), np.nan, self.outputs(first_row, last + 1))

    def run_start(self, row: int) -> int:
        """First row, as far as they are held, of the unbroken run that `row` belongs to."""
        gaps = np.flatnonzero(self.gap[: row - self.first + 1])
        return self.first + (int(gaps[-1]) if len(gaps) else 0)

    def coming(self, leads: Sequence[int]) -> pd.Index:
        """Labels of rows ahead: stamps, else steps."""
        if not self.time.size:
            return pd.Index(leads, name="step")
        seconds = self.time[-1] + self.tags.period * np.asarray(leads)
        stamps = pd.to_datetime(np.rint(1e3 * seconds).astype(np.int64), unit="ms", utc=True)
        return pd.DatetimeIndex(stamps, name="time")

    def history(self) -> _core.History:
        """The rows held, cleaned as the core reads them."""
        gap = self.gap.copy()
        gap[0] = False
        return _core.make_history(self._core_tags, np.ascontiguousarray(self.values), self.time, gap, True)

    def forget(self) -> None:
        """Lets go what is older than `keep` rows."""
        surplus = len(self.values) - self.keep
        if surplus > self.keep // 2:  # seldom, because it copies
            self.first += surplus
            self.values, self.gap = self.values[surplus:].copy(), self.gap[surplus:].copy()
            self.time = self.time[surplus:].copy() if self.time.size else self.time

    # ---- files ------------------------------------------------------------------------------------------

    def to_parts(self) -> dict[str, bytes]:
        about = {
            "first": self.first, "delay": self.delay, "keep": self.keep, "rows": len(self.values),
            "newest": self.newest, "stamps": bool(self.time.size),
        }  # fmt: skip
        return {
            "rows/about": json.dumps(about).encode(),
            "rows/values": self.values.tobytes(),
            "rows/time": self.time.tobytes(),
            "rows/gap": self.gap.tobytes(),
        }

    @classmethod
    def from_parts(cls, tags: TagMap, parts: dict[str, bytes]) -> StreamRows:
        """Raises ValueError, KeyError, TypeError: parts that do not fit."""
        about: dict[str, Any] = json.loads(parts["rows/about"])
        self = cls(tags, int(about["delay"]), int(about["keep"]))
        rows = int(about["rows"])
        self.first = int(about["first"])
        self.newest = None if about["newest"] is None else int(about["newest"])
        self.values = np.frombuffer(parts["rows/values"]).reshape(rows, len(tags)).copy()
        self.time = np.frombuffer(parts["rows/time"]).reshape(rows if about["stamps"] else 0).copy()
        self.gap = np.frombuffer(parts["rows/gap"], dtype=bool).reshape(rows).copy()
        self.history()  # refuses what no history is
        return self


def _stamp(seconds: float) -> str:
    return str(pd.to_datetime(seconds, unit="s", utc=True))
