"""Back-off of averaging windows that learns what the rest of a window came to, against what was planned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.backoff import RowsFollowed

__all__ = ["WindowBackoff", "WindowFollower"]


class WindowBackoff:
    """What is kept free of each averaging limit, learnt from the errors of means over the rest of a window.

    Parameters
    ----------
    quantile : of these errors, in (0, 1): what is kept free is exceeded in 1 - quantile of the cases
    prior : back-off before anything was learnt, as a share of the limit
    prior_count : so many errors weigh as much as the prior
    most : upper bound of the back-off, as a share of the limit
    memory : errors that are kept for each remaining length, the newest
    lateness : rows after its own that a reading may still come

    Notes
    -----
    `csrc/emisopt/control/window_backoff.hpp` has the equation. Errors are kept by limit, rows up to the
    window's end and rows of it to come. An error is one after recourse: later moves are decided anew. It
    begins empty, or in the state of an earlier run (:meth:`load`, or `controller.windows.copy()`).

    Examples
    --------
    >>> WindowBackoff(0.95)
    WindowBackoff(q95; nothing learnt)
    """

    def __init__(
        self,
        quantile: float = 0.97,
        *,
        prior: float = 0.0,
        prior_count: float = 10.0,
        most: float = 0.2,
        memory: int = 500,
        lateness: int = 12,
    ) -> None:
        self._config = {
            "quantile": float(quantile),
            "prior": float(prior),
            "prior_count": float(prior_count),
            "most": float(most),
            "memory": int(memory),
            "lateness": int(lateness),
        }
        _core.WindowBackoff([], 1, 1, **self._config)  # refuses what is out of range
        self.core: _core.WindowBackoff | None = None

    def bound(self, limits: Sequence[_core.Limit], horizon: int, outputs: int) -> _core.WindowBackoff:
        """A copy for a controller of these limits, in this one's state. InputError when it is of others."""
        if self.core is None:
            return _core.WindowBackoff(list(limits), horizon, outputs, **self._config)
        mine, asked = _shape(self.core), _shape(_core.WindowBackoff(list(limits), horizon, outputs))
        if mine != asked:
            raise _core.InputError(f"Controller(windows): expected the state of {asked}, got one of {mine}")
        return self.core.copy()

    @property
    def hash(self) -> str:
        """SHA-256 of the state; "" when it is bound to no limits yet."""
        return "" if self.core is None else str(self.core.hash)

    def table(self) -> pd.DataFrame:
        """What was learnt: limit, closes_in (rows up to the windows' end), coming (rows of these to come),
        errors (how many), back_off (of the mean over these rows, in the output's unit)."""
        return _table(self.core)

    def save(self, path: str | Path) -> None:
        """All of its state, atomic. Raises StateError when there is none yet, FileError."""
        if self.core is None:
            raise _core.StateError(
                "WindowBackoff.save: expected one that a controller ran with, got a fresh one"
            )
        self.core.save(str(path))

    @classmethod
    def load(cls, path: str | Path) -> WindowBackoff:
        """From a file of :meth:`save`. Raises FileError."""
        return cls._of(_core.WindowBackoff.load(str(path)))

    @classmethod
    def _of(cls, core: _core.WindowBackoff) -> WindowBackoff:
        made = cls.__new__(cls)
        made._config, made.core = {}, core
        return made

    def __repr__(self) -> str:
        level = self._config["quantile"] if self.core is None else self.core.quantile
        learnt = "nothing learnt" if self.core is None else self.hash[:12]
        return f"WindowBackoff(q{100 * level:g}; {learnt})"


class WindowFollower(RowsFollowed):
    """A WindowBackoff inside a controller: `core` goes into each of its steps."""

    core: _core.WindowBackoff

    def begin(self, state: bytes) -> None:
        """In another state than it was made with. FileError when it is none; StateError after a forecast."""
        self._fresh("windows")
        other = _core.WindowBackoff.from_bytes(state)
        if _shape(other) != _shape(self.core):
            raise _core.InputError(
                f"Controller(windows): expected the state of {_shape(self.core)}, got one of {_shape(other)}"
            )
        self.core = other
        self._begin()

    def held(self, label: object) -> dict[str, Any]:
        """Arguments of a core step whose first coming row has this label."""
        return {"windows": self.core, "row": self.row(label)}

    def table(self) -> pd.DataFrame:
        """As :meth:`WindowBackoff.table`."""
        return _table(self.core)

    def copy(self) -> WindowBackoff:
        """Its state as it is now, for another controller of the same limits, or to be saved."""
        return WindowBackoff._of(self.core.copy())


def _shape(core: _core.WindowBackoff) -> str:
    limits = ", ".join(
        f"{x.name} (column {x.output}, q{100 * x.quantile:g}, {x.limit:g})" for x in core.limits
    )
    return f"{limits or 'no limits'}; {core.horizon} steps, {core.outputs} outputs"


def _table(core: _core.WindowBackoff | None) -> pd.DataFrame:
    columns = ["limit", "closes_in", "coming", "errors", "back_off"]
    rows = [] if core is None else [
        (limit.name, end + 1, coming, core.learnt(i, end, coming), core.back_off(i, end, coming))
        for i, limit in enumerate(core.limits)
        for end in range(core.horizon)
        for coming in range(1, end + 2)
        if core.learnt(i, end, coming)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"back_off": np.float64})
