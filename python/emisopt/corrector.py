"""The closed-form corrector: a forecast in closed form that follows the plant label by label."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from emisopt import _core
from emisopt.forecaster import Sensitivity
from emisopt.history import future_index, known_array, plan_array, to_history
from emisopt.tags import TagMap, load_tagmap

__all__ = ["Corrector", "blend_weights"]

Floats = NDArray[np.float64]
_DEFAULT = _core.CorrectorConfig()
KERNEL: tuple[tuple[float, float, float], ...] = tuple((v, t, x) for v, t, x in _DEFAULT.kernel)
DAILY: tuple[float, float, float, float] = tuple(_DEFAULT.daily)  # type: ignore[assignment]


class Corrector(BaseEstimator):  # type: ignore[misc]
    """What operation implies, corrected by the newest labels; no training, a few milliseconds a label.

    z = g(x) + w(x, t): g is a ridge regression on operation x (a line and random Fourier waves), fitted once
    on training rows; w is a Gaussian process over operation and time on the newest residuals of g, or a
    recursive least-squares fit with forgetting. Outputs are those of the forecaster's scales, in log space
    where emissions are skewed. Use it beside a network (:func:`blend_weights`) or under it (:meth:`under`).
    On top of a network that sees the labels itself it made forecasts worse.

    Parameters
    ----------
    method : "gp": Gaussian process. "rls": recursive least squares, linear in operation, far cheaper
    delay : rows by which labels come late; one that is handed in earlier is refused
    horizon : rows that :meth:`predict` says ahead when no plan tells
    quantiles : levels of :meth:`predict`
    window : labels that the process conditions on; the work per label grows with its square
    kernel : terms (variance, time, length): variance exp(-dt / time) m(d / length) with the Matérn 3/2 kernel
        m and d the root mean square difference of the inputs in standard deviations; length 0: m = 1
    daily : (variance, days, length, ripple) of one more term where rows have stamps: variance exp(-dt / days)
        m(d / length) exp(-2 (sin(pi dt / 1 day) / ripple)^2); variance 0: none
    patterns : (variance, days, length, ripple, weekend), more terms of that kind, multiplied by `weekend`
        (0..1) between a working day and a Saturday or Sunday
    noise : variance of a measurement around all that; unit, as the kernel's: the output's training variance
    spike : standard deviations beyond which a label that surprises counts no more
    forgetting, prior : of "rls": weight of a label per later label; precision of the weights around 0, in
    labels ridge, waves, wave_length, wave_ridge, seed : of g: penalty of the line, number of waves, the
        length over which they bend (as `kernel`'s), their penalty, their random numbers
    lags : rows back at which operation is looked at; 0 is the row itself
    calendar : hour and weekday beside operation, where rows have stamps
    calendar_distance : whether they count in the distance of two rows; they count in g in any case
    utc_offset : hours by which the plant's clock is ahead of the stamps, for hours and weekends

    Attributes
    ----------
    tags_ : the tag map; `outputs_`, `setpoints_`, `disturbances_` : names in order
    columns_ : names of what counts as operation

    References
    ----------
    Rasmussen, Williams 2006, alg. 2.1 and eq. 4.17; Rahimi, Recht 2007 (waves); Sayed 2008, ch. 35
    (square-root recursive least squares). docs/learning.md has the equations and how the defaults were
    chosen.

    Examples
    --------
    >>> from emisopt import Corrector, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    >>> c = Corrector(horizon=6, window=200).fit(history, tags=tags, train_rows=600)
    >>> c.update(history)  # the labels that came since
    264
    >>> c.predict(history)["nox", 0.5].shape
    (6,)
    """

    def __init__(
        self,
        *,
        method: str = "gp",
        delay: int = 0,
        horizon: int = 24,
        quantiles: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        window: int = 1000,
        kernel: Sequence[tuple[float, float, float]] = KERNEL,
        daily: tuple[float, float, float, float] = DAILY,
        patterns: Sequence[tuple[float, float, float, float, float]] = (),
        noise: float = _DEFAULT.noise,
        spike: float = _DEFAULT.spike,
        forgetting: float = _DEFAULT.forgetting,
        prior: float = _DEFAULT.prior,
        ridge: float = 10.0,
        waves: int = 200,
        wave_length: float = 3.0,
        wave_ridge: float = 1.0,
        lags: Sequence[int] = (0,),
        calendar: bool = True,
        calendar_distance: bool = True,
        utc_offset: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.delay = delay
        self.horizon = horizon
        self.quantiles = quantiles
        self.window = window
        self.kernel = kernel
        self.daily = daily
        self.patterns = patterns
        self.noise = noise
        self.spike = spike
        self.forgetting = forgetting
        self.prior = prior
        self.ridge = ridge
        self.waves = waves
        self.wave_length = wave_length
        self.wave_ridge = wave_ridge
        self.lags = lags
        self.calendar = calendar
        self.calendar_distance = calendar_distance
        self.utc_offset = utc_offset
        self.seed = seed

    @classmethod
    def seasonal(cls, period: float, **parameters: Any) -> Corrector:
        """A corrector for what people's days make, such as traffic's share in street air or a works' demand:
        a level that drifts, the time of day, working days apart from weekends, weather; no map fitted to
        operation, which goes wrong in a season that it has not seen.

        Parameters
        ----------
        period : seconds between rows, > 0
        parameters : as of the class; they replace those of this kind

        Examples
        --------
        >>> Corrector.seasonal(3600.0, utc_offset=8.0, horizon=72).patterns
        ((0.4, 125.0, 0.0, 0.7, 0.5), (0.2, 125.0, 2.0, 0.7, 1.0))
        """
        if not (np.isfinite(period) and period > 0):
            raise _core.InputError(f"Corrector.seasonal(period): expected seconds > 0, got {period:g}")
        hour = 3600.0 / period  # rows
        kind: dict[str, Any] = {
            "kernel": (
                (1.0, 1e6, 0.0), (0.2, 100 * hour, 0.0), (0.02, 1500 * hour, 2.0), (0.1, 3 * hour, 0.0),
            ),
            "daily": (0.0, 60.0, 1.5, 0.5),
            "patterns": ((0.4, 125.0, 0.0, 0.7, 0.5), (0.2, 125.0, 2.0, 0.7, 1.0)),
            "noise": 0.1, "calendar_distance": False, "ridge": 1e6, "waves": 1, "wave_ridge": 1e6,
        }  # fmt: skip
        return cls(**{**kind, **parameters})

    def fit(
        self,
        history: pd.DataFrame,
        y: None = None,
        *,
        tags: TagMap | str | Path,
        train_rows: int | None = None,
    ) -> Corrector:
        """Fixes scales and g on the first rows of a history, and takes their newest labels in.

        Parameters
        ----------
        history : DataFrame with a column per tag, N rows, physical units
        y : left out; outputs are columns of the history
        tags : what the columns are, as for :meth:`Forecaster.fit`
        train_rows : rows to learn from, None: all. The outputs of the newest `delay` of them are not read

        Raises
        ------
        InputError : a parameter or a column is unusable, or the rows are too few.
        """
        if self.horizon < 1:
            raise _core.InputError(f"Corrector(horizon): expected rows >= 1, got {self.horizon}")
        _levels(self.quantiles, "Corrector(quantiles)")
        core_history = to_history(history, load_tagmap(tags), where="Corrector.fit(history)")
        rows = core_history.rows if train_rows is None else train_rows
        self._adopt(_core.Corrector.fit(core_history, rows, self._config()))
        return self

    def _config(self) -> _core.CorrectorConfig:
        return _core.CorrectorConfig(
            method=self.method,
            delay=self.delay,
            window=self.window,
            kernel=[(float(v), float(t), float(n)) for v, t, n in self.kernel],
            daily=[float(v) for v in self.daily],
            noise=self.noise,
            spike=self.spike,
            refactor=max(1, self.window),
            forgetting=self.forgetting,
            prior=self.prior,
            ridge=self.ridge,
            waves=self.waves,
            wave_length=self.wave_length,
            wave_ridge=self.wave_ridge,
            lags=list(self.lags),
            calendar=self.calendar,
            patterns=[tuple(float(v) for v in pattern) for pattern in self.patterns],
            calendar_distance=self.calendar_distance,
            utc_offset=self.utc_offset,
            seed=self.seed,
        )

    def _adopt(self, core: _core.Corrector) -> None:
        self.core_ = core
        self.tags_ = TagMap.from_json(core.tags.to_json())
        self.outputs_ = tuple(self.tags_.outputs)
        self.setpoints_ = tuple(self.tags_.setpoints)
        self.disturbances_ = tuple(self.tags_.disturbances)
        self.columns_ = tuple(core.column_names)
        self.feature_names_in_ = np.array(self.tags_.names, dtype=object)
        self.n_features_in_ = len(self.tags_)

    # ---- labels -----------------------------------------------------------------------------------------

    def update(self, history: pd.DataFrame) -> int:
        """Takes in all labels that are new in a history that ends now; returns how many rows had one.

        The last `delay` rows are not read: their labels have not arrived. Rows are told apart by their
        stamps, or without stamps by their place in the history, so hand in the history from its beginning.
        """
        core_history = self._history(history, "Corrector.update(history)")
        return int(self.core_.catch_up(core_history, core_history.rows))

    def observe(self, history: pd.DataFrame, row: int) -> bool:
        """Takes in the label of one row, whatever came before: a late laboratory value, or a correction.

        Parameters
        ----------
        history : rows that are over; `row` : place of the label's row among them

        Returns
        -------
        bool : False when the row holds no output, or is older than all of a full window.

        Raises
        ------
        InputError : the label comes earlier than `delay` rows after its own.
        """
        core_history = self._history(history, "Corrector.observe(history)")
        return bool(self.core_.observe(core_history, row, core_history.rows))

    # ---- forecasts --------------------------------------------------------------------------------------

    def predict(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None = None,
        known: pd.DataFrame | ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Quantiles of each output for the rows after a history, by the labels taken in so far.

        Parameters
        ----------
        history : the past, for what is held and for lags; its labels are not taken in here (:meth:`update`)
        plan : setpoints of the coming rows, (H, U) or a DataFrame; None or NaN: held at their newest value
        known : coming disturbances, (H, D) or a DataFrame with some of them; None or NaN: held

        Returns
        -------
        DataFrame of H rows with columns (output, quantile), as :meth:`Forecaster.predict`.
        """
        core_history, plan_rows, known_rows = self._ask(history, plan, known)
        mean, variance = self.core_.forecast(core_history, plan_rows, known_rows)
        levels = _levels(self.quantiles, "Corrector(quantiles)")
        quantiles = self.core_.quantiles(mean, variance, levels)
        columns = pd.MultiIndex.from_product([self.outputs_, levels], names=["output", "quantile"])
        index = future_index(history, self.tags_.period, len(mean))
        return pd.DataFrame(quantiles.reshape(len(mean), -1), index=index, columns=columns)

    def jacobian(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike,
        known: pd.DataFrame | ArrayLike | None = None,
    ) -> Sensitivity:
        """Exact derivative of the median by the plan: (H, O, H, U), 0 for setpoints after the output."""
        core_history, plan_rows, known_rows = self._ask(history, plan, known)
        values = self.core_.jacobian(core_history, plan_rows, known_rows)
        units = {n: self.tags_[n].unit for n in self.outputs_ + self.setpoints_}
        index = future_index(history, self.tags_.period, len(plan_rows))
        return Sensitivity(values, self.outputs_, self.setpoints_, units, index, 0.5)

    def replay(
        self,
        history: pd.DataFrame,
        begin: int,
        end: int | None = None,
        *,
        leads: Sequence[int] = (1,),
        stride: int = 1,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        restart: bool = False,
    ) -> Floats:
        """What would have been forecast in the past: before each origin, all labels that were in by then.

        Parameters
        ----------
        history : N rows
        begin, end : origins begin, begin + stride, ... < end (None: N). Rows before an origin are over
        leads : rows ahead; lead 1 is the origin's own row. Setpoints and known-ahead disturbances of the row
            forecast are given, other disturbances held
        quantiles : Q levels
        restart : forget the labels taken in by `fit` first, to live through training rows

        Returns
        -------
        ndarray (origins, leads, O, Q), physical; NaN beyond the history. This corrector stays as it was.
        """
        core_history = self._history(history, "Corrector.replay(history)")
        core = copy.copy(self.core_)
        if restart:
            core.restart()
        levels = _levels(quantiles, "Corrector.replay(quantiles)")
        stop = core_history.rows if end is None else end
        only_median = levels == [0.5]
        mean, variance = core.replay(core_history, begin, stop, stride, list(leads), not only_median)
        return np.asarray(
            self.core_.quantiles(mean, np.zeros_like(mean) if only_median else variance, levels)
        )

    def under(self, history: pd.DataFrame, lead: int = 1) -> pd.DataFrame:
        """A column per output for a network's inputs: the median for each row, issued `lead` rows before its
        end.

        A row's value rests on the labels of rows < row + 1 - lead - delay and on the operation of the row.
        Name: "OUTPUT corrector". The first rows, before 20 labels are in, are NaN. g was fitted on the
        training rows, so there the values are a little better than they will be; the process over time is
        not.
        """
        core_history = self._history(history, "Corrector.under(history)")
        if lead < 1 or lead > core_history.rows:
            raise _core.InputError(f"Corrector.under(lead): expected 1..{core_history.rows}, got {lead}")
        medians = self.replay(history, 0, leads=(lead,), quantiles=(0.5,), restart=True)[:, 0, :, 0]
        values = np.full((core_history.rows, len(self.outputs_)), np.nan)
        start = 20 + self.delay
        values[start + lead - 1 :] = medians[start : core_history.rows - lead + 1]
        return pd.DataFrame(values, index=history.index, columns=[f"{n} corrector" for n in self.outputs_])

    def _history(self, history: pd.DataFrame, where: str) -> _core.History:
        check_is_fitted(self, "core_")
        return to_history(history, self.tags_, live=True, where=where)

    def _ask(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None,
        known: pd.DataFrame | ArrayLike | None,
    ) -> tuple[_core.History, Floats, Floats]:
        core_history = self._history(history, "Corrector(history)")
        given = plan if plan is not None else known
        horizon = self.horizon if given is None else len(given)  # type: ignore[arg-type]
        if plan is None:
            plan = np.full((horizon, len(self.setpoints_)), np.nan)
        return core_history, plan_array(plan, self.tags_, horizon), known_array(known, self.tags_, horizon)

    _stored = (
        "method", "delay", "window", "kernel", "daily", "noise", "spike", "forgetting", "prior", "ridge",
        "waves", "wave_length", "wave_ridge", "lags", "calendar", "calendar_distance", "utc_offset",
        "patterns",
        "seed",
    )  # fmt: skip

    # ---- files ------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the whole state to one safetensors file, atomically; a loaded one goes on with the same
        bits."""
        check_is_fitted(self, "core_")
        self.core_.save(os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], **parameters: Any) -> Corrector:
        """A fitted corrector from a file; `parameters`: horizon and quantiles, which are not part of its
        state.

        Raises
        ------
        FileError : missing, truncated, changed, foreign, or written by a newer version.
        """
        core = _core.Corrector.load(os.fspath(path))
        stored = {n: getattr(core.config, n) for n in cls._stored}
        self = cls(**{**stored, **parameters})
        self._adopt(core)
        return self

    def to_bytes(self) -> bytes:
        """What :meth:`save` writes."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "corrector.safetensors")
            return (Path(folder) / "corrector.safetensors").read_bytes()

    @classmethod
    def from_bytes(cls, content: bytes, **parameters: Any) -> Corrector:
        """A fitted corrector from what :meth:`to_bytes` gave; `parameters` as of :meth:`load`."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "corrector.safetensors").write_bytes(content)
            return cls.load(Path(folder) / "corrector.safetensors", **parameters)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if state.pop("core_", None) is not None:
            state["_file"] = self.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("_file", None)
        super().__setstate__(state)
        if content is not None:
            self.core_ = Corrector.from_bytes(content).core_


def _levels(quantiles: Sequence[float], where: str) -> list[float]:
    levels = [float(q) for q in quantiles]
    if not levels or any(not 0 < q < 1 for q in levels) or sorted(set(levels)) != levels:
        raise _core.InputError(f"{where}: expected rising levels between 0 and 1, got {tuple(quantiles)}")
    return levels


def blend_weights(truth: ArrayLike, forecasts: Sequence[ArrayLike], *, steps: int = 400) -> Floats:
    """Weights of several forecasts, each >= 0, together 1, that give the blend the least mean absolute error.

    Exponentiated gradient (Kivinen, Warmuth 1997) on the convex loss, from equal weights. Find them on
    validation rows and hold them: weights that followed the stream were no better.

    Parameters
    ----------
    truth : (n,) ; forecasts : K arrays (n,). Rows where any is NaN are left out
    steps : of the descent

    Returns
    -------
    ndarray (K,)

    Raises
    ------
    InputError : shapes differ, or no row is left.

    Examples
    --------
    >>> blend_weights([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]]).round(2).tolist()
    [1.0, 0.0]
    """
    y = np.asarray(truth, dtype=np.float64)
    f = np.array([np.asarray(forecast, dtype=np.float64) for forecast in forecasts])
    if y.ndim != 1 or f.ndim != 2 or f.shape[1:] != y.shape or not len(f):
        raise _core.InputError(
            f"blend_weights: expected (n,) and K forecasts (n,), got {y.shape} and {f.shape}"
        )
    known = np.isfinite(y) & np.isfinite(f).all(axis=0)
    if not known.any():
        raise _core.InputError("blend_weights: expected rows where truth and forecasts are known, got none")
    y, f = y[known], f[:, known]
    scale = np.abs(f - y).mean() or 1.0
    log = np.zeros(len(f))
    best, least = np.full(len(f), 1.0 / len(f)), np.inf
    for step in range(steps):
        w = np.exp(log - log.max())
        w /= w.sum()
        error = w @ f - y
        if (loss := float(np.abs(error).mean())) < least:
            best, least = w, loss
        slope = (np.sign(error) * f).mean(axis=1)
        log -= 2.0 / (1.0 + 0.1 * step) ** 0.5 * (slope - w @ slope) / scale
    corners = np.eye(len(f))
    at_corners = np.abs(f - y).mean(axis=1)
    return corners[at_corners.argmin()] if at_corners.min() <= least else best
