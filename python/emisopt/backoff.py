"""Back-off that learns: conformal correction of the quantiles that a controller holds its limits by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.forecaster import Forecaster
from emisopt.history import to_history
from emisopt.objective import Limit

__all__ = ["ConformalBackoff", "Follower", "RowsFollowed"]


class ConformalBackoff:
    """How far each limit's quantile is moved away from the median, learnt from what forecasts missed.

    Parameters
    ----------
    forecaster : fitted
    limits : that will be held; each output by the largest of its limits' quantiles
    scale_gain, side_gain, memory, follow : as in :class:`emisopt.monitor.ConformalCorrector`
    lateness : rows after its own that a label may still come
    least, most : bounds of what distances from the median are multiplied by

    Notes
    -----
    `csrc/emisopt/control/conformal_backoff.hpp`: one adaptive conformal corrector of `monitor` per output,
    step by step (Gibbs, Candes 2021; Angelopoulos, Candes, Tibshirani 2023). It begins at factors of 1;
    :meth:`learn` lets it begin where a stretch of history that no weight was fitted on leaves it.

    Examples
    --------
    >>> import emisopt
    >>> history, tags = emisopt.plants.Boiler(seed=1).simulate_history(days=2)
    >>> f = emisopt.Forecaster(context=24, horizon=6, width=16, heads=2, layers=1, steps=20)
    >>> f = f.fit(history, tags=tags, progress=False)
    >>> backoff = ConformalBackoff(f, [emisopt.Limit("nox", 100, window=12)])
    >>> backoff.learn(history, first=400).factors.shape
    (6, 6)
    """

    def __init__(
        self,
        forecaster: Forecaster,
        limits: Sequence[Limit | _core.Limit],
        *,
        scale_gain: float = 0.02,
        side_gain: float = 0.01,
        memory: float = 12,
        follow: float = 0.8,
        lateness: int = 12,
        least: float = 0.25,
        most: float = 4.0,
    ) -> None:
        check_is_fitted(forecaster, "core_")
        self.forecaster = forecaster
        outputs = list(forecaster.outputs_)
        held = [limit.to_core(outputs) if isinstance(limit, Limit) else limit for limit in limits]
        self._held = held
        self.core = _core.ConformalBackoff(
            _core.backoff_quantiles(held, len(outputs)),
            int(forecaster.core_.config.horizon),
            scale_gain=scale_gain,
            side_gain=side_gain,
            memory=memory,
            follow=follow,
            lateness=lateness,
            least=least,
            most=most,
        )

    @property
    def factors(self) -> pd.DataFrame:
        """(H, O): what distances from the median are multiplied by in the forecast that comes next."""
        return pd.DataFrame(self.core.factors, columns=list(self.forecaster.outputs_))

    @property
    def hash(self) -> str:
        """SHA-256 of all that the factors depend on."""
        return str(self.core.hash)

    def learn(self, history: pd.DataFrame, first: int = 0, stride: int = 1) -> ConformalBackoff:
        """Goes through a history as if its operation had been the plan, from row `first` on. Returns self.

        Rows that the forecaster's weights were fitted on would teach too little back-off. `stride`: rows
        from one forecast to the next.
        """
        tags = self.forecaster.tags_
        rows = to_history(history, tags, where="ConformalBackoff.learn(history)")
        origins = list(range(max(first, 1), rows.rows, stride))
        fans = _core.forecast_origins(self.forecaster.core_, rows, origins, True)
        levels = np.asarray(self.forecaster.core_.config.quantiles, dtype=np.float64)
        median, upper = _median_and_upper(fans, levels, np.asarray(self.core.quantiles))
        columns = [tags.names.index(name) for name in self.forecaster.outputs_]
        truth = np.ascontiguousarray(rows.values[:, columns])
        offset = int(self.core.next_row)
        done = origins[0] if origins else 0
        for k, origin in enumerate(origins):
            for row in range(done, origin):
                self.core.observe(offset + row, truth[row])
            done = origin
            factors = self.core.factors
            self.core.issue(offset + origin, median[k], median[k] + factors * (upper[k] - median[k]))
        for row in range(done, rows.rows):
            self.core.observe(offset + row, truth[row])
        return self

    def copy(self) -> ConformalBackoff:
        """Another one in the same state."""
        twin = ConformalBackoff.__new__(ConformalBackoff)
        twin.forecaster, twin._held, twin.core = self.forecaster, self._held, self.core.copy()
        return twin

    def save(self, path: str | Path) -> None:
        """All of its state, atomic. Raises FileError."""
        self.core.save(str(path))

    def load(self, path: str | Path) -> ConformalBackoff:
        """The state of a file of :meth:`save` in place of its own. Returns self.

        Raises
        ------
        FileError : the file is no such state
        InputError : it was made for other quantiles or another horizon
        """
        read = _core.ConformalBackoff.load(str(path))
        if (read.quantiles, read.horizon) != (self.core.quantiles, self.core.horizon):
            raise _core.InputError(
                f"ConformalBackoff.load({str(path)!r}): expected quantiles {self.core.quantiles} and "
                f"{self.core.horizon} steps, got {read.quantiles} and {read.horizon}"
            )
        self.core = read
        return self

    def __repr__(self) -> str:
        pairs = zip(self.forecaster.outputs_, self.core.quantiles, strict=True)
        held = ", ".join(f"{name} q{100 * q:g}" for name, q in pairs if q > 0.5)
        return f"ConformalBackoff({held or 'nothing'}; {self.hash[:12]})"


class RowsFollowed:
    """Rows by their labels, for a state inside a controller that learns from what was forecast and what came.

    began : hash of the state that it began in;   began_with : that state, bytes
    """

    core: Any  # of the compiled classes: next_row, oldest, row, observe(row, y), hash, to_bytes()

    def __init__(self, core: Any, period: float, outputs: int) -> None:
        self.core, self._period, self._outputs = core, period, outputs
        self._begin()

    def _begin(self) -> None:
        self.began, self.began_with = str(self.core.hash), bytes(self.core.to_bytes())
        self._offset = int(self.core.next_row)
        self._first: pd.Timestamp | None = None
        self._gas: dict[int, list[int]] = {}  # row -> outputs whose reading was calibration gas

    def _fresh(self, what: str) -> None:
        if self._first is not None:
            raise _core.StateError(f"Controller({what}): expected a fresh controller, got one with a past")

    @property
    def hash(self) -> str:
        """SHA-256 of all that it depends on."""
        return str(self.core.hash)

    def row(self, label: object) -> int:
        """Rows are numbered by their stamps, so that a hole in the history is one in the numbers too."""
        if isinstance(label, pd.Timestamp):
            if self._first is None:
                self._first = label
            seconds: float = (label - self._first).total_seconds()
            return self._offset + round(seconds / self._period)
        number: int = int(label)  # type: ignore[call-overload]
        return self._offset + number

    def observe(self, index: pd.Index, past: NDArray[np.float64], calibrating: Sequence[int] = ()) -> None:
        """The newest rows: labels and measured outputs (N, O or more), newest last; outputs whose newest
        reading is calibration gas."""
        if self._first is None and isinstance(index, pd.DatetimeIndex):
            return  # nothing was issued
        oldest, newest = max(int(self.core.oldest), self._offset), self.row(index[-1])
        self._gas = {row: columns for row, columns in self._gas.items() if row >= oldest}
        if calibrating:
            self._gas[newest] = list(calibrating)
        for label, measured in zip(index[-len(past) :], past[:, : self._outputs], strict=True):
            row = self.row(label)
            if row >= oldest:
                y = np.array(measured)
                y[self._gas.get(row, [])] = np.nan
                self.core.observe(row, y)


class Follower(RowsFollowed):
    """A ConformalBackoff inside a controller."""

    def __init__(self, backoff: ConformalBackoff, held: Sequence[_core.Limit], period: float) -> None:
        outputs = len(backoff.forecaster.outputs_)
        asked = list(_core.backoff_quantiles(list(held), outputs))
        if list(backoff.core.quantiles) != asked:
            raise _core.InputError(
                f"Controller(conformal): expected one made for the quantiles {asked} of its limits, got one "
                f"for {list(backoff.core.quantiles)}"
            )
        self._chain: _core.ConformalPredictor | None = None
        super().__init__(backoff.core.copy(), period, outputs)

    def begin(self, state: bytes) -> None:
        """In another state than it was made with. FileError when it is none; StateError after a forecast."""
        self._fresh("conformal")
        self.core.become(_core.ConformalBackoff.from_bytes(state))
        self._begin()

    def predictor(self, base: _core.Predictor) -> _core.ConformalPredictor:
        """The forecast with upper values by this back-off."""
        self._chain = _core.ConformalPredictor(base, self.core)
        return self._chain

    @property
    def factors(self) -> NDArray[np.float64]:
        """(H, O) of the forecast that comes next."""
        return np.asarray(self.core.factors)

    def issue(self, label: object, median: NDArray[np.float64], upper: NDArray[np.float64]) -> None:
        """The forecast of the plan that was chosen, from the row with this label on; (H, O or more)."""
        row = self.row(label)
        if row > int(self.core.row):  # a row that is decided twice keeps its first forecast
            self.core.issue(
                row,
                np.ascontiguousarray(median[:, : self._outputs]),
                np.ascontiguousarray(upper[:, : self._outputs]),
            )


def _median_and_upper(
    fans: NDArray[np.float64], levels: NDArray[np.float64], quantiles: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, H, O) each, as ForecastPredictor takes them from the levels (n, H, O, Q)."""
    median = np.ascontiguousarray(fans[..., int(np.argmin(np.abs(levels - 0.5)))])
    upper = np.empty_like(median)
    for o, q in enumerate(np.maximum(quantiles, 0.5)):
        at = min(int(np.searchsorted(levels, q)), len(levels) - 1)
        below = max(at - 1, 0) if levels[at] != q else at
        gap = levels[at] - levels[below]
        share = 1.0 if gap == 0 else min(1.0, (q - levels[below]) / gap)
        upper[..., o] = fans[..., o, below] + share * (fans[..., o, at] - fans[..., o, below])
    return median, upper
