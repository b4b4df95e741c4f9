"""Drift of many tags at once: detectors with known run lengths, one per tag, and what they find.

    bank = DriftBank("adwin", frame.columns)         # or detect_drift(frame, "adwin") in one call
    alarms = bank.push(frame)                        # row, tag, stamp, direction, size, delay

    monitor = DriftMonitor(tags, tag_months_per_alarm=12).fit(residuals=past_errors, inputs=past_inputs)
    alarms = monitor.push(residuals=errors, inputs=inputs)

Formulas, sources, the implementations that are matched, and what is promised: docs/monitor_drift.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.errors import ConfigError, DataError, did_you_mean

__all__ = [
    "DETECTORS",
    "Calibration",
    "DriftBank",
    "calibrate",
    "chart_limit",
    "chart_run_length",
    "detect_drift",
    "false_discoveries",
]

Floats = NDArray[np.float64]

_OPTIONS: dict[str, Any] = {
    "cusum": _core.CusumOptions,
    "ewma": _core.EwmaOptions,
    "page_hinkley": _core.PageHinkleyOptions,
    "adwin": _core.AdwinOptions,
    "kswin": _core.KswinOptions,
    "two_window_ks": _core.TwoWindowKsOptions,
}
DETECTORS = tuple(_OPTIONS)
_FIELDS = {
    "cusum": ("slack", "limit"),
    "ewma": ("weight", "limit"),
    "page_hinkley": ("min_instances", "delta", "limit", "alpha", "mode", "variant"),
    "adwin": ("delta", "clock", "max_buckets", "min_window", "grace", "variant"),
    "kswin": ("alpha", "window", "sample", "seed"),
    "two_window_ks": ("reference", "recent", "limit"),
}
DIRECTIONS = {1: "up", -1: "down", 0: "either"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def detector_options(kind: str, options: dict[str, Any]) -> Any:
    """The core's options of a kind; ConfigError for a kind or a field that there is not."""
    if kind not in _OPTIONS:
        raise ConfigError(f"drift: no detector {kind!r}{did_you_mean(kind, DETECTORS)}")
    for name in options:
        if name not in _FIELDS[kind]:
            raise ConfigError(f"drift: {kind} has no option {name!r}{did_you_mean(name, _FIELDS[kind])}")
    try:
        return _OPTIONS[kind](**options)
    except TypeError:
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ConfigError(f"drift: {kind}: expected numbers, whole where they count, got {shown}") from None


def table_of(data: Any, names: Sequence[str], where: str) -> tuple[Floats, Floats | None]:
    """Values (N, tags) in the order of `names`, without a copy where pandas holds them so, and stamps in UTC
    seconds (N,), None for rows without."""
    if isinstance(data, pd.Series):
        data = data.to_frame(names[0] if data.name is None else str(data.name))
    if isinstance(data, pd.DataFrame):
        columns = [str(name) for name in data.columns]
        if columns != list(names):
            data = _in_order(data, columns, names, where)
        kinds = set(data.dtypes)
        for kind in kinds:
            is_real = pd.api.types.is_float_dtype(kind) or pd.api.types.is_integer_dtype(kind)
            if not is_real:
                name = names[list(data.dtypes).index(kind)]
                raise DataError(f"{where}: tag {name!r}: expected numbers, got {kind}")
        plain = kinds <= {np.dtype(np.float64)}  # then pandas hands out its own memory
        values = data.to_numpy() if plain else data.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(values, dtype=np.float64), _seconds(data.index, where)
    values = np.asarray(data)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{where}: expected numbers, got {values.dtype}")
    values = values.astype(np.float64, copy=False)
    if values.ndim == 1 and len(names) == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != len(names):
        raise DataError(f"{where}: expected (N, {len(names)}) values, got {values.shape}")
    return values, None


def _in_order(data: pd.DataFrame, columns: list[str], names: Sequence[str], where: str) -> pd.DataFrame:
    place = {name: i for i, name in enumerate(columns)}
    if len(place) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{where}: tag {twice!r} stands more than once")
    for name in names:
        if name not in place:
            raise DataError(f"{where}: tag {name!r} is missing{did_you_mean(name, columns)}")
    return data.iloc[:, [place[name] for name in names]]


def _seconds(index: pd.Index[Any], where: str) -> Floats | None:
    if not isinstance(index, pd.DatetimeIndex):
        return None
    if index.hasnans:
        row = int(np.argmax(np.asarray(index.isna())))
        raise DataError(f"{where}: row {row}: expected a time stamp, got NaT")
    utc = index.tz_localize("UTC") if index.tz is None else index
    return np.asarray(utc.asi8 / _PER_SECOND[utc.unit], dtype=np.float64)


class DriftBank:
    """One detector of one kind per tag; rows come all at once or bit by bit, with the same alarms.

    Parameters
    ----------
    kind : "cusum" and "ewma" (standardised values), "page_hinkley", "adwin", "kswin", "two_window_ks" (values
        as they are)
    tags : names, in the order of the columns
    threads : that share the tags; 0: EMISOPT_THREADS, else the machine's; the alarms do not depend on it
    options : of the kind. cusum: slack 0.5, limit 5. ewma: weight 0.1, limit 2.8. page_hinkley:
        min_instances 30, delta 0.005, limit 50, alpha 0.9999, mode "both", variant "river". adwin: delta
        0.002, clock 32, max_buckets 5, min_window 5, grace 10, variant "river". kswin: alpha 0.005, window
        100, sample 30, seed 0. two_window_ks: reference 500, recent 100, limit 0.25. variant: the
        implementation whose alarms are matched, "river" (0.26.1) or "moa" (as CapyMOA calls it; page_hinkley
        then has mode "up" only)

    Raises
    ------
    ConfigError, InputError : naming the kind and the option.

    Notes
    -----
    csrc/emisopt/monitor/. NaN is passed over and counted in `missing`; an infinite value is refused and the
    bank stays as it was. `size` is the estimated change in the values' unit, `delay` the estimated number of
    valid values since it began.

    Examples
    --------
    The sequence of river's documentation, with the alarm printed there:

    >>> import random
    >>> rng = random.Random(12345)
    >>> values = rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)
    >>> DriftBank("adwin", ["x"]).push(pd.DataFrame({"x": values}))[["row", "tag", "direction"]]
        row tag direction
    0  1023   x        up
    """

    def __init__(self, kind: str, tags: Iterable[object], *, threads: int = 0, **options: Any) -> None:
        self.kind = kind
        self.tags = [str(name) for name in tags]
        self.options = dict(options)
        if len(set(self.tags)) != len(self.tags):
            twice = next(name for name in self.tags if self.tags.count(name) > 1)
            raise ConfigError(f"DriftBank(tags): {twice!r} stands more than once")
        self.core = _core.DriftBank(detector_options(kind, options), self.tags)
        self._threads = threads or _core.default_threads()
        self._stamped = False

    def push(self, data: pd.DataFrame | pd.Series | ArrayLike) -> pd.DataFrame:
        """More rows.

        Parameters
        ----------
        data : (N, tags) DataFrame (columns by name, in any order; others are passed over) or array; NaN =
            missing

        Returns
        -------
        DataFrame, one row per alarm by row and tag: row (counted from the bank's first), tag, stamp (NaT for
        rows without), direction "up", "down" or "either", statistic, size, delay.

        Raises
        ------
        DataError, ShapeError, InputError : naming row, tag and time; the bank is as before.
        """
        values, seconds = table_of(data, self.tags, "DriftBank.push")
        before = self.rows
        found = self.core.push(values, seconds, self._threads)
        self._stamped |= seconds is not None
        return alarm_table(found, self.tags, before, seconds)

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return int(self.core.rows)

    @property
    def missing(self) -> pd.Series:
        """Values passed over, by tag."""
        return pd.Series(self.core.missing, index=self.tags, name="missing")

    @property
    def alarms(self) -> pd.Series:
        """Alarms so far, by tag."""
        return pd.Series(self.core.alarms, index=self.tags, name="alarms")

    def set_limits(self, limits: ArrayLike) -> DriftBank:
        """A limit per tag, (tags,); NaN: the tag is not judged. Returns self. StateError: adwin, kswin."""
        self.core.set_limits(np.asarray(limits, dtype=np.float64).ravel().tolist())
        return self

    def __repr__(self) -> str:
        return f"DriftBank({self.kind!r}, {len(self.tags)} tags, {self.rows} rows)"


def alarm_table(
    found: dict[str, Any], tags: Sequence[str], first_row: int, seconds: Floats | None
) -> pd.DataFrame:
    """The core's arrays as a table; `seconds` are the stamps of the rows from first_row on."""
    names = np.asarray(tags, dtype=object)
    table = pd.DataFrame({"row": found["row"], "tag": names[found["tag"]]})
    if seconds is None:
        table["stamp"] = pd.DatetimeIndex(np.full(len(table), "NaT", "datetime64[ns]"), tz="UTC")
    else:
        table["stamp"] = pd.to_datetime(seconds[found["row"] - first_row], unit="s", utc=True)
    table["direction"] = [DIRECTIONS[int(d)] for d in found["direction"]]
    for name in ("statistic", "size", "delay"):
        table[name] = found[name]
    return table


def detect_drift(
    data: pd.DataFrame | pd.Series, kind: str = "adwin", *, threads: int = 0, **options: Any
) -> pd.DataFrame:
    """Alarms of one kind of detector on every column of a table, in one call.

    Parameters
    ----------
    data : (N, tags); a Series is one tag
    kind, threads, options : as for :class:`DriftBank`

    Returns
    -------
    DataFrame as of :meth:`DriftBank.push`.

    Examples
    --------
    >>> detect_drift(pd.Series([0.0] * 200 + [5.0] * 20, name="nox"), "page_hinkley")["row"].tolist()
    [210]
    """
    if isinstance(data, pd.Series):
        data = data.to_frame("value" if data.name is None else data.name)
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"detect_drift: expected a pandas DataFrame or Series, got {type(data).__name__}")
    return DriftBank(kind, data.columns, threads=threads, **options).push(data)


def chart_run_length(kind: str, limit: float, *, shift: float = 0.0, **options: float) -> float:
    """Mean number of values until a chart alarms, on independent normal values of standard deviation 1.

    Parameters
    ----------
    kind : "cusum" (option slack, 0.5) or "ewma" (option weight, 0.1)
    limit : h of the CUSUM, L of the EWMA
    shift : mean of the values: 0 gives the run length in control, else the mean delay of detection from a
        start at zero

    Notes
    -----
    Integral equations (Page 1954; Crowder 1987), csrc/emisopt/monitor/run_length.hpp.

    Examples
    --------
    Montgomery's tables give 465 and 10.4:

    >>> round(chart_run_length("cusum", 5)), round(chart_run_length("cusum", 5, shift=1), 1)
    (465, 10.4)
    """
    name, value = _chart(kind, options)
    if name == "slack":
        return float(_core.cusum_run_length(value, limit, shift))
    return float(_core.ewma_run_length(value, limit, shift))


def chart_limit(kind: str, arl0: float, **options: float) -> float:
    """The limit of a chart whose mean run length in control is `arl0` values; see :func:`chart_run_length`.

    Examples
    --------
    >>> round(chart_limit("cusum", 370), 2), round(chart_limit("ewma", 500, weight=0.1), 3)
    (4.77, 2.814)
    """
    name, value = _chart(kind, options)
    return float(_core.cusum_limit(arl0, value) if name == "slack" else _core.ewma_limit(arl0, value))


def _chart(kind: str, options: dict[str, float]) -> tuple[str, float]:
    known = {"cusum": ("slack", 0.5), "ewma": ("weight", 0.1)}
    if kind not in known:
        raise ConfigError(f"drift: no equation for {kind!r}; known: 'cusum', 'ewma'; calibrate() simulates")
    name, default = known[kind]
    for other in options:
        if other != name:
            raise ConfigError(f"drift: {kind} has no option {other!r}{did_you_mean(other, [name])}")
    return name, float(options.get(name, default))


@dataclass(frozen=True)
class Calibration:
    """An option set for a run length.

    Attributes
    ----------
    kind, option, value : set DriftBank(kind, ..., **{option: value})
    arl0 : values per alarm that were asked for
    alarms : simulated alarms that it rests on: the run length's relative error is about 1 / sqrt(alarms)
    extrapolated : the simulation was too short to show this run length; the trend was followed beyond it
    """

    kind: str
    option: str
    value: float
    arl0: float
    alarms: int
    extrapolated: bool


# Per kind: its option, values to try from often to seldom, a scale on which log(run length) is near linear.
_TENTHS = tuple(10.0 ** (-k / 2) for k in range(1, 21))
_GRIDS: dict[str, tuple[str, Sequence[float], Any, Any]] = {
    "cusum": ("limit", (2, 3, 4, 5, 6, 8, 10, 13, 16, 20), lambda v: v, lambda t: t),
    "ewma": ("limit", (1.5, 2, 2.4, 2.8, 3.2, 3.6, 4, 4.5, 5, 6), lambda v: v * v, math.sqrt),
    "page_hinkley": ("limit", tuple(2.0 ** (k / 4) for k in range(0, 49)), math.log, math.exp),
    "adwin": ("delta", (0.9, 0.7, 0.5, *_TENTHS), lambda v: -math.log(v), lambda t: math.exp(-t)),
    "kswin": ("alpha", _TENTHS[1:], lambda v: -math.log(v), lambda t: math.exp(-t)),
    "two_window_ks": ("limit", tuple(0.02 * k for k in range(1, 46)), lambda v: v * v, math.sqrt),
}  # fmt: skip


def calibrate(
    kind: str,
    arl0: float,
    *,
    source: str | ArrayLike = "normal",
    phi: float = 0.0,
    block: int = 0,
    values: int = 200_000,
    seed: int = 0,
    **options: Any,
) -> Calibration:
    """The limit (adwin: delta, kswin: alpha) at which a detector alarms falsely once in `arl0` values.

    Parameters
    ----------
    kind, options : as for :class:`DriftBank`; the option that is looked for is left out
    arl0 : values from one alarm to the next
    source : "normal", "uniform", "ar1" (with `phi`), all of variance one or range one, or measured values
        (n,) of a period in control, of which blocks are resampled (moving-block bootstrap); NaN is left out
    block : rows per block; 0: 4 n^(1/3)
    values : simulated for each of the grid's settings
    seed : same seed, same answer

    Returns
    -------
    Calibration. Where `values` is too short to show the run length it is extrapolated, and says so.

    Raises
    ------
    ConfigError, InputError, DataError

    Examples
    --------
    >>> found = calibrate("page_hinkley", 2000, values=100_000)
    >>> found.option, 10 < found.value < 100
    ('limit', True)
    """
    if kind not in _GRIDS:
        detector_options(kind, {})
    option, grid, forward, backward = _GRIDS[kind]
    if option in options:
        raise ConfigError(f"calibrate: {option} of {kind} is what is looked for; leave it out")
    if not (math.isfinite(arl0) and arl0 >= 2):
        raise ConfigError(f"calibrate(arl0): expected 2 values or more, got {arl0}")
    series = None
    if not isinstance(source, str):
        series = np.ascontiguousarray(source, dtype=np.float64).ravel()
        series = series[~np.isnan(series)]
        if series.size < 20:
            raise DataError(f"calibrate(source): expected at least 20 values, got {series.size}")
        block = block or max(1, min(int(4 * series.size ** (1 / 3)), series.size))
        source = "blocks"
    settings = [detector_options(kind, {**options, option: value}) for value in grid]
    got = _core.simulated_run_lengths(
        settings, source=source, phi=phi, series=series, block=max(block, 1), values=values, seed=seed
    )
    return _interpolate(kind, option, grid, forward, backward, arl0, got)


def _interpolate(
    kind: str, option: str, grid: Sequence[float], forward: Any, backward: Any, arl0: float, got: Any
) -> Calibration:
    shown = [
        (forward(value), math.log(mean), n) for value, (mean, n) in zip(grid, got, strict=True) if n >= 20
    ]
    if len(shown) < 2:
        raise DataError(f"calibrate: {kind} alarmed too seldom to be calibrated; give more values")
    wanted = math.log(arl0)
    for (t0, y0, _), (t1, y1, n1) in itertools.pairwise(shown):
        if y0 <= wanted <= y1:
            share = 0.0 if y1 == y0 else (wanted - y0) / (y1 - y0)
            return Calibration(kind, option, backward(t0 + share * (t1 - t0)), arl0, n1, False)
    if wanted < shown[0][1]:
        return Calibration(kind, option, backward(shown[0][0]), arl0, shown[0][2], False)
    t, y = (np.array([s[i] for s in shown[-4:]]) for i in (0, 1))
    slope = float(np.sum((t - t.mean()) * (y - y.mean())) / np.sum((t - t.mean()) ** 2))
    if not slope > 0:
        raise DataError(f"calibrate: the run lengths of {kind} do not grow with {option}; give more values")
    return Calibration(kind, option, backward(t[-1] + (wanted - y[-1]) / slope), arl0, shown[-1][2], True)


def false_discoveries(
    p_values: ArrayLike | pd.Series, level: float = 0.05, *, method: str = "benjamini_hochberg"
) -> Any:
    """Which of many tests are discoveries, with at most a share `level` of them false on average.

    Parameters
    ----------
    p_values : (n,), NaN = no test. For "e_benjamini_hochberg" e-values: 0 or more, expectation at most 1
    level : false discovery rate
    method : "benjamini_hochberg" (1995; independent or positively dependent tests), "e_benjamini_hochberg"
        (Wang and Ramdas 2022; any dependence) or "lord" (LORD++, Ramdas et al. 2017; in the order given, each
        decided without those that follow; independent tests)

    Returns
    -------
    (n,) bool; a Series where one was given.

    Examples
    --------
    >>> false_discoveries([0.001, 0.2, 0.012, 0.9]).tolist()
    [True, False, True, False]
    """
    values = np.asarray(p_values, dtype=np.float64).ravel().tolist()
    if method == "benjamini_hochberg":
        found = _core.benjamini_hochberg(values, level)
    elif method == "e_benjamini_hochberg":
        found = _core.e_benjamini_hochberg(values, level)
    elif method == "lord":
        lord = _core.LordPlusPlus(level)
        found = np.array([lord.test(p) for p in values], dtype=bool)
    else:
        known = ("benjamini_hochberg", "e_benjamini_hochberg", "lord")
        raise ConfigError(f"false_discoveries: no method {method!r}{did_you_mean(method, known)}")
    return pd.Series(found, index=p_values.index) if isinstance(p_values, pd.Series) else found
