"""What a permit still asks of the coming steps: its limits as rows that are linear in a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt._format import html_table
from emisopt.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from emisopt.forecaster import Forecaster
    from emisopt.permit.evaluation import PermitStream

__all__ = ["Coming", "basis_of", "begin_of", "checked_ranks", "coming_for", "on_output"]


def begin_of(first: object) -> int:
    """UTC seconds of a time at which steps begin; without a zone it is UTC."""
    start = pd.Timestamp(first)
    if pd.isna(start):
        raise DataError("coming(first): expected a time, got NaT")
    seconds: float = (start.tz_localize("UTC") if start.tz is None else start).timestamp()
    return round(seconds)


def checked_ranks(rank: Mapping[str, int] | None, rules: Sequence[str]) -> dict[str, int]:
    """The ranks by rule, all of them of rules that there are."""
    for name in rank or {}:
        if name not in rules:
            raise ConfigError(f"coming: rank: no rule {name!r}{did_you_mean(name, rules)}")
    return dict(rank or {})


class Coming:
    """Rows sum(coefficient * y) <= room over H steps, made by `PermitStream.coming`.

    Attributes
    ----------
    core : for the controller and for probabilities
    left_out : rule -> why it is no row
    """

    def __init__(self, core: _core.PermitRows, rules: Sequence[str], steps: int, zone: str) -> None:
        self.core = core
        self._rules, self._steps, self._zone = list(rules), steps, zone
        self.left_out = dict(core.left_out)

    def __len__(self) -> int:
        return len(self.core)

    def table(self) -> pd.DataFrame:
        """One line a row: limit (name), rule, tag, rank, the window in the permit's zone, whether it closes
        within the steps (else its mean to date is held), spare (averages of the civil period that may still
        be above), first and last step (1-based), weight (sum of coefficients), room (right-hand side: what
        the weighted sum of the coming values may be, in the rule's unit)."""
        rows = self.core.table(self._steps)
        limits = self.core.limits
        window = {
            name: pd.to_datetime(rows[name], unit="s", utc=True).tz_convert(self._zone)
            for name in ("begin", "end")
        }
        return pd.DataFrame(
            {
                "limit": [limits[i].name for i in rows["limit"]],
                "rule": [self._rules[i] for i in rows["rule"]],
                "tag": rows["tag"],
                "rank": [limits[i].rank for i in rows["limit"]],
                **window,
                "closes": rows["closes"],
                "spare": rows["spare"],
                "first_step": rows["first_step"] + 1,
                "last_step": rows["end_step"] + 1,
                "weight": rows["coefficient"].sum(axis=1),
                "room": rows["rhs"],
            }
        )

    def coefficients(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(rows, H): of each coming step in each row."""
        return np.asarray(self.core.table(self._steps)["coefficient"])

    def __repr__(self) -> str:
        left = f", {len(self.left_out)} rules left out" if self.left_out else ""
        return f"Coming({len(self)} rows over {self._steps} steps{left})"

    def _repr_html_(self) -> str:
        return html_table(self.table())


def basis_of(stream: PermitStream, forecaster: Forecaster) -> _core.BasisMap:
    """The map from a forecaster's outputs to what the stream's rows are on.

    Raises
    ------
    ConfigError : an output in another unit than the stream's signal of its column
    """
    stream.require_units(forecaster.tags_, "the forecaster's tags")
    names = forecaster.outputs_, forecaster.setpoints_, forecaster.disturbances_
    return stream.basis_map(_core.ForecastNames(*(list(each) for each in names)))


def coming_for(
    stream: PermitStream, forecaster: Forecaster, last: object, options: Mapping[str, Any] | None = None
) -> Coming:
    """The rows over a forecaster's steps after a history that ends at the stamp `last`.

    Parameters
    ----------
    stream : that the rows up to `last` were pushed to
    options : of `PermitStream.coming`

    Raises
    ------
    DataError : no stamps, or a stream that ends before `last`
    """
    period = forecaster.tags_.period
    if not isinstance(last, pd.Timestamp) or period < 1 or period != round(period):
        raise DataError(
            "permit: expected a history with time stamps and whole seconds between its rows, got "
            f"{last!r} and {period:g} s"
        )
    stamp = last.tz_localize("UTC") if last.tz is None else last
    first = stamp + pd.Timedelta(seconds=0 if stream.stamp == "end" else period)
    if stream.newest is None or stream.newest < first - pd.Timedelta(seconds=period):
        raise DataError(
            f"permit: expected rows pushed up to {stamp}, the stream ends at {stream.newest or 'no row'}"
        )
    return stream.coming(
        first,
        seconds=int(period),
        steps=int(forecaster.core_.config.horizon),
        outputs=forecaster.outputs_,
        setpoints=forecaster.setpoints_,
        disturbances=forecaster.disturbances_,
        **(options or {}),
    )


def on_output(limit: _core.Limit, basis: _core.BasisMap | None, outputs: int) -> _core.Limit:
    """The same limit on the output that its quantity is made of: only its quantile is looked at."""
    if basis is None or limit.output < outputs:
        return limit
    return _core.Limit(
        name=limit.name,
        output=basis.columns[limit.output - outputs],
        limit=limit.limit,
        quantile=limit.quantile,
    )
