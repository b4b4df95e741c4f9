"""A permit judged on tables: at once or as rows come, with tables of what was decided and by what."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.errors import ConfigError, DataError, did_you_mean
from emisopt.permit.arrays import PLANT, STATUS, Codes, Floats, codes, numbers, require_words, seconds
from emisopt.permit.coming import Coming, begin_of, checked_ranks
from emisopt.permit.document import Permit
from emisopt.permit.results import Evaluation, RuleResult
from emisopt.permit.signals import require_tag_units, signals_of
from emisopt.permit.zones import zone_table
from emisopt.tags import TagMap, load_tagmap

__all__ = ["Evaluation", "PermitStream", "RuleResult"]

_SAMPLE = 10_000  # rows that the period between samples is read from
_YEARS_AHEAD = 20  # that a stream may go on after its first rows


class PermitStream:
    """Judges a permit on rows as they come. Splitting the rows differently, or handing them over in another
    order within the lateness, changes no bit of the result.

    Parameters
    ----------
    permit : Permit
    signals : column -> `Signal` (or its fields, or the pollutant where `tags` has the unit). None: the
        permit's own, else the tags of role emission that are called like a pollutant
    tags : tag map, for units; a signal must be in the unit of its tag
    period : seconds between samples, for rules that count shares of samples. None: read from the first rows
    zone : IANA name of the zone of civil days instead of the permit's
    stamp : whether a stamp is the "start" or the "end" of the time that its sample stands for
    lateness : seconds that a row may be older than the newest before it; what is later is refused
    negative : "refuse" negative concentrations, or leave them out as "missing" (they are counted)
    allow_unverified : judge by limits that nobody has read in their source; every table then says UNVERIFIED
    threads : that share the columns; 0: EMISOPT_THREADS, else the machine's; the result does not depend on it

    Raises
    ------
    ConfigError, InputError : naming rule and tag: an unverified limit, a rule that no signal serves, a signal
        in another unit (than the rule, or than its tag in `tags`) or on another basis.

    Examples
    --------
    >>> permit = Permit.from_dict({"name": "p", "rules": [{
    ...     "name": "NOx 1 h", "pollutant": "NOx", "unit": "ppm", "limit": 50,
    ...     "source": "permit 4.2", "verified": True,
    ...     "base": {"length": "1 h", "validity": {"need": "quadrants"}}}]})
    >>> minutes = pd.date_range("2024-05-05", periods=120, freq="1min")
    >>> frame = pd.DataFrame({"stack": np.repeat([40.0, 60.0], 60)}, index=minutes)
    >>> stream = PermitStream(permit, {"stack": {"pollutant": "NOx", "unit": "ppm"}})
    >>> judged = stream.push(frame[:70]).push(frame[70:]).finish()
    >>> judged.verdict, judged["NOx 1 h"].above
    ('broken', 1)
    """

    def __init__(
        self,
        permit: Permit,
        signals: Mapping[str, object] | None = None,
        *,
        tags: TagMap | str | Path | None = None,
        period: float | None = None,
        zone: str | None = None,
        stamp: str = "start",
        lateness: float = 0.0,
        negative: str = "refuse",
        allow_unverified: bool = False,
        threads: int = 0,
    ) -> None:
        _one_of("stamp", stamp, ("start", "end"))
        _one_of("negative", negative, ("refuse", "missing"))
        self.permit = permit
        tags = None if tags is None else load_tagmap(tags)
        self._signals = list(permit.core.signals) if signals is None else []
        if not self._signals:
            self._signals = signals_of(signals, tags)
        if not self._signals:
            raise ConfigError(
                f"permit {permit.name!r}: what do the columns measure? name the signals in the permit, by "
                "signals={column: Signal(...)}, or by --signal on the command line"
            )
        if tags is not None:
            self.require_units(tags, "the tag map")
        self._columns = list(
            dict.fromkeys(
                name for signal in self._signals for name in (signal.tag, signal.oxygen_tag) if name
            )
        )
        self._period = float(period) if period is not None else tags.period if tags and tags.period else None
        self._zone = zone or permit.zone
        self.stamp = stamp
        self._options: dict[str, Any] = {
            "allow_unverified": allow_unverified,
            "lateness_s": float(lateness),
            "stamp_is_end": stamp == "end",
            "negative_is_missing": negative == "missing",
            "threads": threads or _core.default_threads(),
        }
        self._core: _core.Evaluator | None = None
        self._sample_s = 0.0

    def push(
        self, frame: pd.DataFrame, *, plant: object = None, status: Mapping[str, object] | None = None
    ) -> PermitStream:
        """More rows.

        Parameters
        ----------
        frame : (N, columns) with a DatetimeIndex; columns that no signal names are passed over
        plant : state of the plant in each row: a column's name or (N,) values: "off", "on", "startup",
            "shutdown", "malfunction", their numbers, or booleans. None: always on
        status : column -> a column's name or (N,) values: "valid", "calibration", "maintenance", "invalid",
            their numbers, or booleans (valid). Columns left out are valid where they have a value

        Raises
        ------
        DataError : the table's index or columns. InputError : naming tag, row and time.
        """
        if (rows := self._arrays(frame, plant, status)) is not None:
            self._hand_over("push", *rows)
        return self

    def judge(
        self, frame: pd.DataFrame, *, plant: object = None, status: Mapping[str, object] | None = None
    ) -> Evaluation:
        """`push` of all the rows and `finish` at once: the same result, sooner.

        Parameters
        ----------
        frame, plant, status : as of `push`

        Raises
        ------
        DataError, InputError : as of `push` and `finish`.
        """
        if self._core is not None or (rows := self._arrays(frame, plant, status)) is None:
            return self.push(frame, plant=plant, status=status).finish()
        return Evaluation(self.permit, self._hand_over("run", *rows))

    def _arrays(
        self, frame: pd.DataFrame, plant: object, status: Mapping[str, object] | None
    ) -> tuple[Floats | _core.SteadyTime, list[Floats], list[Codes | None], Codes | None] | None:
        """The rows as the core takes them; None: there are none."""
        time = seconds(frame)
        if not len(frame):
            return None
        columns = numbers(frame, self._columns)
        states = None if plant is None else codes(frame, plant, PLANT, "plant")
        flags: list[Codes | None] = []
        for name in status or {}:
            if name not in self._columns:
                raise DataError(
                    f"status: no signal has the column {name!r}{did_you_mean(name, self._columns)}"
                )
        for name in self._columns:
            what = (status or {}).get(name)
            flags.append(None if what is None else codes(frame, what, STATUS, f"status of {name!r}"))
        return time, columns, flags, states

    def _hand_over(
        self,
        how: str,
        time: Floats | _core.SteadyTime,
        columns: list[Floats],
        flags: list[Codes | None],
        states: Codes | None,
    ) -> Any:
        first = self._core is None
        if self._core is None:
            self._core = self._begin(time)
        try:
            return getattr(self._core, how)(time, columns, flags, states)
        except _core.InputError:
            try:
                self._require_words(states, flags)
            except DataError:
                self._core = None if first else self._core  # nothing of these rows has been taken
                raise
            raise

    def _require_words(self, states: Codes | None, flags: Sequence[Codes | None]) -> None:
        """Of codes that are none, the core says as much; here it is said as of words, with its argument."""
        if states is not None:
            require_words(states, states, PLANT, "plant")
        for name, found in zip(self._columns, flags, strict=True):
            if found is not None:
                require_words(found, found, STATUS, f"status of {name!r}")

    def _begin(self, time: Floats | _core.SteadyTime) -> _core.Evaluator:
        if isinstance(time, _core.SteadyTime):
            self._sample_s = self._period or float(time.step_s)
            first, last = (clock.gmtime(t).tm_year for t in (time.first_s, time.last_s))
        else:
            steps = np.diff(time[:_SAMPLE])
            steps = steps[steps > 0]
            self._sample_s = self._period or (float(np.median(steps)) if steps.size else 0.0)
            first, last = (pd.Timestamp(t, unit="s").year for t in (time.min(), time.max()))
        period = self._period
        if period is None and self.permit.core.needs_period:
            period = self._sample_s
        table = zone_table(self._zone, first - 1, last + _YEARS_AHEAD)
        return _core.Evaluator(
            self.permit.core, self._signals, self._columns, table, period_s=period or 0.0, **self._options
        )

    def require_units(self, tags: TagMap, where: str) -> None:
        """`signals.require_tag_units` of this stream's signals: ConfigError where the units are others."""
        require_tag_units(self._signals, tags, where)

    @property
    def columns(self) -> list[str]:
        """Columns that the signals measure."""
        return [signal.tag for signal in self._signals]

    @property
    def newest(self) -> pd.Timestamp | None:
        """Stamp of the newest row; None before the first."""
        return None if self._core is None else pd.Timestamp(self._core.newest, unit="s", tz="UTC")

    def basis_map(self, names: _core.ForecastNames) -> _core.BasisMap:
        """The map from forecast outputs to what the rows of `coming` are on."""
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: no rows yet")
        return self._core.basis_map(names)

    def coming(
        self,
        first: object,
        *,
        seconds: int,
        steps: int,
        outputs: Sequence[str],
        setpoints: Sequence[str] = (),
        disturbances: Sequence[str] = (),
        rank: Mapping[str, int] | None = None,
        spared_rank: int = 3,
        quantile: float = 0.95,
        to_date: bool = True,
        skip: bool = False,
    ) -> Coming:
        """The limits as linear rows over the coming steps: what is known of each window, what leaves it, what
        each step adds. The operation to come counts as normal, each sample to come as valid.

        Parameters
        ----------
        first : time at which the first step begins (without a zone: UTC), after the last row pushed
        seconds, steps : length of a step (as many samples as fit into it at the stream's pace), how many
        outputs, setpoints, disturbances : names that the forecast knows; a rule's column must be an output,
            the oxygen that it is corrected by any of them
        rank : rule -> rank, 1 (the default) is most important
        spared_rank : of averages that may be above, as long as the rule's share or count is not used up
        quantile : of the forecast, that must hold
        to_date : windows that close after the last step hold their mean to date, too
        skip : leave out rules that are no linear rows (`Coming.left_out` says why) rather than refuse them

        Returns
        -------
        Coming

        Raises
        ------
        InputError : naming the rule: one of several that may hold, no limit, a correction by mean oxygen, a
            column that is not forecast; steps before the end of the data; a quantile outside (0, 1), a rank
            below 1. ConfigError : a rank for a rule that there is none of. DataError : no rows yet, no time

        Examples
        --------
        >>> permit = Permit.from_dict({"name": "p", "rules": [{
        ...     "name": "NOx 3 h", "pollutant": "NOx", "unit": "ppm", "limit": 50, "source": "4.2",
        ...     "verified": True, "base": {"length": "1 h", "validity": {"need": "quadrants"}},
        ...     "average": {"over": "rolling", "length": "3 h", "min_share": 0.6}}]})
        >>> minutes = pd.date_range("2024-05-05", periods=150, freq="1min", tz="UTC")
        >>> frame = pd.DataFrame({"nox": np.repeat([40.0, 70.0, 40.0], [60, 60, 30])}, index=minutes)
        >>> stream = PermitStream(permit, {"nox": {"pollutant": "NOx", "unit": "ppm"}}).push(frame)
        >>> ahead = stream.coming("2024-05-05 02:30", seconds=1800, steps=1, outputs=["nox"]).table()
        >>> ahead[["weight", "room"]].round(2).to_numpy().tolist()  # (40 + 70 + (40 + y) / 2) / 3 <= 50
        [[0.17, 6.67]]
        """
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: no rows yet")
        names = [rule.name for rule in self.permit.rules]
        core = self._core.coming(
            begin_of(first),
            int(seconds),
            int(steps),
            _core.ForecastNames(list(outputs), list(setpoints), list(disturbances)),
            sample_s=self._sample_s,
            rank=checked_ranks(rank, names),
            spared_rank=int(spared_rank),
            quantile=float(quantile),
            to_date=bool(to_date),
            skip=bool(skip),
        )
        return Coming(core, names, int(steps), self._zone)

    def result(self) -> Evaluation:
        """What is decided so far."""
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: no rows yet")
        return Evaluation(self.permit, self._core.result())

    def finish(self) -> Evaluation:
        """Closes the last windows; no more rows may come.

        Raises
        ------
        InputError : there was no row.
        """
        if self._core is None:
            raise DataError(f"permit {self.permit.name!r}: the data have no rows: nothing to judge")
        self._core.finish()
        return self.result()


def _one_of(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise ConfigError(f"{name}: expected {' or '.join(words)}, got {value!r}")
