"""Intervals that keep what they promise: adaptive conformal correction, and the record of their coverage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt._format import html_table
from emisopt.errors import DataError
from emisopt.forecaster import Forecaster
from emisopt.history import to_history

__all__ = ["ConformalCorrector", "CoverageMonitor"]

Floats = NDArray[np.float64]
_SETTINGS = (
    "delay", "lateness", "scale_gain", "side_gain", "memory", "follow", "temper", "width_gain",
    "move_median", "median_gain",
)  # fmt: skip


class ConformalCorrector(BaseEstimator):  # type: ignore[misc]
    """Widens or narrows quantile forecasts by what came, per output, step, side and level.

    A forecast goes in before its labels are known, a label when it is in and never before; so what is
    corrected is what would have been corrected that day. The median stays unless `move_median`, no two
    quantiles cross.

    Parameters
    ----------
    delay : rows after its own row at which a label comes at the earliest; an earlier one is refused
    lateness : further rows that a label may take; a later one is refused
    scale_gain : of the common scale of both sides, per label; 0: off
    side_gain : of each side's sum of misses, per label; this term alone bounds the long-run cover; 0: off
    memory : half-life in rows of the size of recent errors
    follow : share of that size that widths follow; 0: off
    temper : 1: the forecast's widths keep their own spread; 0: all become the usual width
    width_gain : of the usual width, per forecast
    move_median : shift the whole fan, median included, by a tracked median error
    median_gain : of that shift, in half widths per label
    low, high : levels of the interval whose cover is recorded
    window : rows over which local cover is recorded

    Attributes
    ----------
    outputs_, levels_, horizon_ : of the forecasts, fixed by the first

    Notes
    -----
    `csrc/emisopt/monitor/coverage.hpp`; choices, comparisons and limits: docs/monitor_coverage.md. The same
    forecasts and labels give the same bits, as a stream (`issue`, `observe`) or at once (`replay`).

    References
    ----------
    Gibbs, Candes 2021 (adaptive conformal inference); Angelopoulos, Candes, Tibshirani 2023 (quantile
    tracking, error integration).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> columns = pd.MultiIndex.from_product([["nox"], [0.1, 0.5, 0.9]])
    >>> fan = pd.DataFrame([[8.0, 10.0, 12.0]] * 2, columns=columns)
    >>> corrector = ConformalCorrector()
    >>> for row, y in enumerate([15.0, 6.0, 14.5, 5.0]):
    ...     corrected = corrector.issue(fan, row=row)
    ...     learnt = corrector.observe({"nox": y}, row=row)
    >>> corrected["nox"].round(2).to_numpy()[0].tolist()  # three misses of three: wider, the median unmoved
    [7.21, 10.0, 12.82]
    """

    def __init__(
        self,
        *,
        delay: int = 0,
        lateness: int = 168,
        scale_gain: float = 0.02,
        side_gain: float = 0.01,
        memory: float = 12.0,
        follow: float = 0.8,
        temper: float = 0.5,
        width_gain: float = 0.01,
        move_median: bool = False,
        median_gain: float = 0.02,
        low: float = 0.1,
        high: float = 0.9,
        window: int = 500,
    ) -> None:
        self.delay = delay
        self.lateness = lateness
        self.scale_gain = scale_gain
        self.side_gain = side_gain
        self.memory = memory
        self.follow = follow
        self.temper = temper
        self.width_gain = width_gain
        self.move_median = move_median
        self.median_gain = median_gain
        self.low = low
        self.high = high
        self.window = window

    def fit(
        self, forecaster: Forecaster, history: pd.DataFrame, *, known: str = "operation", threads: int = 0
    ) -> ConformalCorrector:
        """Learns from forecasts as they would have been issued over a history, and is ready for what follows.

        Parameters
        ----------
        forecaster : fitted
        history : rows that it was not trained on, in order; its row 0 is row 0 here, and the next forecast is
            for row len(history) or its stamp
        known : whether the operation to come was known in these forecasts ("operation") or not ("nothing")

        Returns
        -------
        self. What was learnt before is forgotten.

        Raises
        ------
        NotFittedError, InputError, DataError (no forecast could be issued)
        """
        check_is_fitted(forecaster, "core_")
        if known not in ("operation", "nothing"):
            raise _core.InputError(
                f"ConformalCorrector.fit(known): expected operation or nothing, got {known!r}"
            )
        core = forecaster.core_
        rows = to_history(history, forecaster.tags_, where="ConformalCorrector.fit(history)", live=True)
        origins = np.arange(int(core.config.context), rows.rows)
        fans = _core.forecast_origins(
            core, rows, origins.tolist(), known == "operation", threads, int(self.delay)
        )
        if not np.isfinite(fans).any():
            raise DataError(
                f"ConformalCorrector.fit(history): no forecast could be issued over its {rows.rows} rows"
            )
        truth = np.array(rows.values[:, [forecaster.tags_.names.index(n) for n in forecaster.outputs_]])
        truth[rows.rows - min(int(self.delay), rows.rows) :] = np.nan  # not in yet at the end
        number, grid = np.arange(rows.rows), None
        if isinstance(history.index, pd.DatetimeIndex) and forecaster.tags_.period:
            grid = (history.index[0], pd.Timedelta(seconds=forecaster.tags_.period))
            number = np.asarray(np.rint((history.index - grid[0]) / grid[1]), dtype=np.int64)
        by_row = np.full((int(number[-1]) + 1, truth.shape[1]), np.nan)
        by_row[number] = truth
        self._forget()
        levels = [float(q) for q in core.config.quantiles]
        first = number[origins - 1] + 1
        self.replay(fans, by_row, outputs=forecaster.outputs_, levels=levels, origins=first)
        self._grid = grid
        return self

    def issue(self, forecast: pd.DataFrame, row: int | None = None) -> pd.DataFrame:
        """Corrects a forecast and remembers it until its labels come.

        Parameters
        ----------
        forecast : (H, (output, quantile)) as `Forecaster.predict` gives it; NaN where there is none
        row : number of the first row that it forecasts, rising from call to call. None: by its time stamps,
            which must lie on one grid; without stamps the row after the last one issued

        Returns
        -------
        DataFrame as `forecast`.

        Raises
        ------
        InputError : a row that does not rise, quantiles that cross. DataError : other columns than before,
            stamps off the grid.
        """
        fan = self._adopt(forecast)
        if row is None:
            row = self._row_of(forecast.index[0]) if self._grid is not None else self.core_.row + 1
        return self._frame(self.core_.issue(int(row), fan), forecast)

    def correct(self, forecast: pd.DataFrame) -> pd.DataFrame:
        """The same correction without remembering the forecast: for plans that are only considered."""
        return self._frame(self.core_.correct(self._adopt(forecast)), forecast)

    def observe(
        self,
        labels: pd.DataFrame | pd.Series | dict[str, float],
        row: int | None = None,
        *,
        now: object = None,
    ) -> int:
        """Takes labels that have come in, in any order; missing ones may come later.

        Parameters
        ----------
        labels : one row (a mapping or Series by output) with `row`, or a DataFrame whose index has time
            stamps on the forecasts' grid, or row numbers; its other columns are passed over
        row : number of the row, where `labels` does not say
        now : newest row (or stamp) that has happened; None: the row of the last forecast issued

        Returns
        -------
        How many (step, output) pairs have learnt. Labels that are known already are passed over.

        Raises
        ------
        InputError : a label before its delay or after its lateness, one for which no forecast was issued, an
            infinite one, or another one than before; it names the row, and nothing is learnt from it.
        """
        check_is_fitted(self, "core_")
        if isinstance(labels, pd.DataFrame):
            table, rows = labels, [self._row_of(key) for key in labels.index]
            if not any(name in table.columns for name in self.outputs_):
                raise DataError(
                    "ConformalCorrector.observe(labels): expected a column of "
                    f"{', '.join(self.outputs_)}, got {', '.join(map(str, table.columns[:6]))}"
                )
        else:
            name = labels.name if isinstance(labels, pd.Series) else None
            if row is None and name is None:
                raise _core.InputError(
                    "ConformalCorrector.observe(row): expected the row of the labels, got none"
                )
            table, rows = pd.DataFrame([dict(labels)]), [self._row_of(name) if row is None else int(row)]
            unknown = [str(c) for c in table.columns if c not in self.outputs_]
            if unknown:
                raise DataError(
                    f"ConformalCorrector.observe(labels): expected outputs among {', '.join(self.outputs_)}, "
                    f"got {', '.join(unknown)}"
                )
        values = np.ascontiguousarray(table.reindex(columns=list(self.outputs_)).to_numpy(dtype=float))
        newest = self.core_.row if now is None else self._row_of(now)
        return sum(self.core_.observe(r, y, newest, self._watch) for r, y in zip(rows, values, strict=True))

    def replay(
        self,
        forecasts: ArrayLike,
        truth: ArrayLike,
        *,
        outputs: Sequence[str],
        levels: Sequence[float],
        origins: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> Floats:
        """The past as it would have been: before each forecast the labels that are in by then.

        Parameters
        ----------
        forecasts : (n, H, O, Q), NaN where there was none
        truth : (N, O) by row number, NaN: missing
        outputs, levels : names (O) and levels (Q) of the axes
        origins : (n,) row numbers of the first row of each forecast, rising; None: 0, 1, 2, ...

        Returns
        -------
        (n, H, O, Q) corrected. Label t is in before origin k when t + delay < k; `coverage` has the record.
        """
        fans = np.ascontiguousarray(forecasts, dtype=np.float64)
        if fans.ndim != 4:
            raise _core.ShapeError(
                f"ConformalCorrector.replay(forecasts): expected (n, H, O, Q), got {fans.shape}"
            )
        labels = np.ascontiguousarray(truth, dtype=np.float64)
        self._begin(tuple(map(str, outputs)), tuple(map(float, levels)), fans.shape[1], None)
        rows = range(len(fans)) if origins is None else [int(k) for k in origins]
        return np.asarray(self.core_.replay(list(rows), fans, labels, self._watch))

    def coverage(self) -> pd.DataFrame:
        """The record so far, for labels that have come.

        Returns
        -------
        DataFrame by (output, step): rows; and of the raw and the corrected interval `cover` (over all rows),
        `recent`, `least`, `greatest` (over the newest, worst and best `window` rows in a row), mean `width`,
        `least_width` (where the cover was least), `widest` (over any window). NaN before a window is full.
        """
        check_is_fitted(self, "core_")
        rows, index = [], []
        for o, name in enumerate(self.outputs_):
            for h in range(self.horizon_):
                raw, corrected = self._watch.raw(h, o), self._watch.corrected(h, o)
                index.append((name, h + 1))
                rows.append({("", "rows"): raw.pop("rows")})
                corrected.pop("rows")
                rows[-1].update({("raw", k): v for k, v in raw.items()})
                rows[-1].update({("corrected", k): v for k, v in corrected.items()})
        table = pd.DataFrame(rows, pd.MultiIndex.from_tuples(index, names=["output", "step"]))
        table.columns = pd.MultiIndex.from_tuples(table.columns)
        return table

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state to one safetensors file, atomically; who loads it goes on to the same bits.

        The record of `coverage` begins anew. Raises FileError.
        """
        check_is_fitted(self, "core_")
        self.core_.save(os.fspath(path))

    def restore(self, path: str | os.PathLike[str], outputs: Sequence[str]) -> ConformalCorrector:
        """Goes on from a saved state; its settings replace the own ones.

        Parameters
        ----------
        path : as given to `save`
        outputs : names (O), which the state does not hold

        Raises
        ------
        FileError : missing, changed, foreign. InputError : another number of outputs
        """
        core = _core.ConformalCorrector.load(os.fspath(path))
        if len(outputs) != core.config.outputs:
            raise _core.InputError(
                f"ConformalCorrector.restore(outputs): expected {core.config.outputs} names, "
                f"got {len(outputs)}"
            )
        self.set_params(**{name: getattr(core.config, name) for name in _SETTINGS})
        self._settle(core, tuple(map(str, outputs)))
        return self

    # ---- inside -----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        for name in ("core_", "_watch", "_grid", "outputs_", "levels_", "horizon_"):
            self.__dict__.pop(name, None)

    def _begin(
        self, outputs: tuple[str, ...], levels: tuple[float, ...], horizon: int, grid: tuple[Any, Any] | None
    ) -> None:
        if hasattr(self, "core_"):
            if (outputs, levels, horizon) != (self.outputs_, self.levels_, self.horizon_):
                raise DataError(
                    f"ConformalCorrector: expected {self.horizon_} steps of {', '.join(self.outputs_)} at "
                    f"levels {_words(self.levels_)}, got {horizon} of {', '.join(outputs)} at "
                    f"levels {_words(levels)}"
                )
            return
        config = _core.CoverageConfig()
        config.outputs, config.horizon, config.levels = len(outputs), horizon, list(levels)
        for name in _SETTINGS:
            try:
                setattr(config, name, getattr(self, name))
            except TypeError:
                raise _core.InputError(
                    f"ConformalCorrector({name}): expected a number, got {getattr(self, name)!r}"
                ) from None
        self._settle(_core.ConformalCorrector(config), outputs)
        self._grid = grid

    def _settle(self, core: _core.ConformalCorrector, outputs: tuple[str, ...]) -> None:
        c = core.config
        watch = _core.CoverageMonitor(c.horizon, c.outputs, c.levels, self.low, self.high, self.window)
        self.core_, self._watch, self._grid = core, watch, None
        self.outputs_, self.levels_ = outputs, tuple(c.levels)
        self.horizon_ = int(c.horizon)

    def _adopt(self, forecast: pd.DataFrame) -> Floats:
        """The fan as an array (H, O*Q), after what names and stamps say has been checked or taken over."""
        if not isinstance(forecast, pd.DataFrame) or forecast.columns.nlevels != 2 or not len(forecast):
            raise DataError(
                "ConformalCorrector: expected a forecast as a DataFrame with columns (output, quantile), got "
                f"{type(forecast).__name__}"
            )
        outputs = tuple(dict.fromkeys(str(name) for name, _ in forecast.columns))
        levels = tuple(float(q) for name, q in forecast.columns if str(name) == outputs[0])
        if [(o, q) for o in outputs for q in levels] != [(str(o), float(q)) for o, q in forecast.columns]:
            raise DataError(
                "ConformalCorrector: expected the same rising levels for each output, got other columns"
            )
        grid = None
        if isinstance(forecast.index, pd.DatetimeIndex) and len(forecast) > 1:
            grid = (forecast.index[0], forecast.index[1] - forecast.index[0])
        self._begin(outputs, levels, len(forecast), grid)
        if self._grid is None and grid is not None and self.core_.row < 0:
            self._grid = grid
        return np.ascontiguousarray(forecast.to_numpy(dtype=np.float64))

    def _row_of(self, key: object) -> int:
        if isinstance(key, int | np.integer):
            return int(key)
        if self._grid is None or not isinstance(key, pd.Timestamp):
            raise DataError(
                "ConformalCorrector: expected a row's number or, with stamped forecasts, a stamp, "
                f"got {key!r}"
            )
        first, step = self._grid
        try:
            rows = float((key - first) / step)
        except TypeError:
            raise DataError(
                f"ConformalCorrector: expected stamps as in the first forecast ({first}), got {key}"
            ) from None
        if rows != round(rows):
            raise DataError(f"ConformalCorrector: expected stamps every {step} from {first} on, got {key}")
        return round(rows)

    def _frame(self, fan: Floats, forecast: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(fan, index=forecast.index, columns=forecast.columns)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_watch", None)
        core = state.pop("core_", None)
        if core is not None:
            state["_state"] = core.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_state", None)
        super().__setstate__(state)
        if saved is not None:
            grid = self._grid
            self._settle(_core.ConformalCorrector.from_bytes(saved), self.outputs_)
            self._grid = grid

    def _repr_html_(self) -> str:
        if not hasattr(self, "core_"):
            return f"<pre>{escape(repr(self))} (no forecast yet)</pre>"
        return html_table(self.coverage())


def _words(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)


class CoverageMonitor:
    """The record of an interval forecast: cover overall and over any `window` rows, and widths.

    Parameters
    ----------
    low, high : levels of the interval
    window : rows

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> columns = pd.MultiIndex.from_product([["nox"], [0.1, 0.5, 0.9]])
    >>> watch = CoverageMonitor(window=2)
    >>> for y in (9.0, 13.0, 14.0):
    ...     fan = pd.DataFrame([[8.0, 10.0, 12.0]], columns=columns)
    ...     watch.update(fan, pd.DataFrame({"nox": [y]}))
    >>> watch.table()[["rows", "cover", "least", "greatest", "width"]].round(3).to_numpy().tolist()
    [[3.0, 0.333, 0.0, 0.5, 4.0]]
    """

    def __init__(self, *, low: float = 0.1, high: float = 0.9, window: int = 500) -> None:
        self.low, self.high, self.window = low, high, window
        self._tallies: dict[tuple[str, int], _core.CoverTally] = {}

    def update(self, forecast: pd.DataFrame, truth: pd.DataFrame) -> None:
        """Counts a forecast whose truth is known.

        Parameters
        ----------
        forecast : (H, (output, quantile))
        truth : (H, outputs), what came in these rows, in the same order; NaN is passed over

        Raises
        ------
        DataError : a level or an output that is not there, other lengths
        """
        if len(forecast) != len(truth):
            raise DataError(
                f"CoverageMonitor.update(truth): expected {len(forecast)} rows, one per step, "
                f"got {len(truth)}"
            )
        for output in dict.fromkeys(name for name, _ in forecast.columns):
            for level in (self.low, self.high):
                if (output, level) not in forecast.columns:
                    raise DataError(f"CoverageMonitor.update(forecast): {output!r} has no quantile {level:g}")
            if output not in truth.columns:
                raise DataError(f"CoverageMonitor.update(truth): no column {output!r}")
            low, high = (forecast[output, q].to_numpy(dtype=float) for q in (self.low, self.high))
            came = truth[output].to_numpy(dtype=float)
            self._count(str(output), low, high, came)

    def _count(self, output: str, low: Floats, high: Floats, came: Floats) -> None:
        for h in np.flatnonzero(np.isfinite(low) & np.isfinite(high) & np.isfinite(came)):
            tally = self._tallies.setdefault((output, int(h) + 1), _core.CoverTally(self.window))
            inside = float(low[h] <= came[h] <= high[h])
            tally.add(np.array([inside]), np.array([high[h] - low[h]]))

    def table(self) -> pd.DataFrame:
        """By (output, step): rows, cover, recent, least, greatest, width, least_width, widest; as in
        :meth:`ConformalCorrector.coverage`."""
        index = pd.MultiIndex.from_tuples(self._tallies, names=["output", "step"]) if self._tallies else None
        return pd.DataFrame([t.record() for t in self._tallies.values()], index)

    def _repr_html_(self) -> str:
        return html_table(self.table())
