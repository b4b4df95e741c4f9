"""Is this input inside what the model was trained on? The vendors' "model envelope", calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt._format import short
from emisopt.monitor._tables import numbers

__all__ = ["Envelope"]


class Envelope:
    """A calibrated distance of rows from training rows, with the reason by tag.

    A row's p-value is the share of fresh rows like the training ones that lie at least as far: of such rows a
    share `level` is called outside. It is ranked among training rows that were held out as whole stretches of
    time; single held-out rows would find their own neighbours in time and look too near.

    Parameters
    ----------
    distance : "neighbours", root mean square distance to the nearest training rows, for several modes and
        bent regions; or "mahalanobis", distance from the centre. Both in the metric of the shrunk covariance,
        so a pair of tags that contradict each other is far although each is in its own range
    neighbours : training rows that count as nearest
    level : p-values up to it are outside
    blocks : stretches of the training rows, each held out once
    most_rows : training rows kept to measure from, and as many to calibrate with (every n-th)

    Attributes
    ----------
    tags_ : names of the columns;   core_ : the fitted core;   limit_ : distance beyond which a row is outside

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> load = rng.uniform(100, 200, 2000)
    >>> training = pd.DataFrame({"load": load, "o2": 6 - 0.015 * load + 0.1 * rng.normal(size=2000)})
    >>> envelope = Envelope().fit(training)
    >>> rows = pd.DataFrame({"load": [150.0, 150.0], "o2": [3.75, 4.6]})
    >>> envelope.score(rows)["inside"].tolist()
    [True, False]
    """

    def __init__(
        self,
        *,
        distance: str = "neighbours",
        neighbours: int = 5,
        level: float = 0.01,
        blocks: int = 10,
        most_rows: int = 4000,
    ) -> None:
        self.distance = distance
        self.neighbours = neighbours
        self.level = level
        self.blocks = blocks
        self.most_rows = most_rows

    def fit(self, rows: pd.DataFrame | Any) -> Envelope:
        """Learns from training rows in time order.

        Parameters
        ----------
        rows : DataFrame or array (N, tags) of numbers, NaN = missing; rows mostly missing are left out

        Raises
        ------
        DataError : a column that holds no numbers.   InputError : options out of range, a tag without values
        """
        if not 0 < self.level < 1:
            raise _core.InputError(f"Envelope(level): expected a share between 0 and 1, got {self.level}")
        values, self.tags_ = numbers(rows, "Envelope.fit")
        self.core_ = _core.InputEnvelope.fit(
            values,
            self.tags_,
            distance=self.distance,
            neighbours=int(self.neighbours),
            blocks=int(self.blocks),
            most_rows=int(self.most_rows),
        )
        calibration = self.core_.calibration
        if self.level < 1 / (len(calibration) + 1):
            raise _core.InputError(
                f"Envelope(level): {self.level} needs {int(np.ceil(1 / self.level)) - 1} held-out rows, got "
                f"{len(calibration)}; a finer level cannot be told"
            )
        # p = (1 + number at least as far) / (n + 1) <= level.
        allowed = int(np.floor(self.level * (len(calibration) + 1))) - 1
        self.limit_ = float(calibration[len(calibration) - 1 - allowed])
        return self

    def score(self, rows: pd.DataFrame | Any) -> pd.DataFrame:
        """Places rows.

        Parameters
        ----------
        rows : DataFrame with the columns of `fit` (by name), or array (n, tags); NaN and infinite: missing

        Returns
        -------
        DataFrame (n): `distance` in standard deviations, root mean square over the tags; `p`; `inside`
        (object: True, False, or None where more than half of a row is missing and nothing is known).

        Raises
        ------
        StateError : before `fit`.   DataError : a column is missing.
        """
        distance, p, _ = self._place(rows, False)
        inside = np.array([None if np.isnan(v) else bool(v > self.level) for v in p], dtype=object)
        return pd.DataFrame({"distance": distance, "p": p, "inside": inside}, index=_index(rows))

    def contributions(self, rows: pd.DataFrame | Any) -> pd.DataFrame:
        """(n, tags): by how much a row's squared distance, summed over tags, falls when a tag is left out.

        Large for the tags that make a row far; a reading that another contradicts
        shows in both. NaN: the tag is missing, or did not vary in training; inf: it left its only value.
        """
        _, _, parts = self._place(rows, True)
        return pd.DataFrame(parts, index=_index(rows), columns=self.tags_)

    def why(self, row: pd.Series | pd.DataFrame, most: int = 3) -> str:
        """One row's place in words, with the tags that weigh most.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> envelope = Envelope().fit(pd.DataFrame(rng.normal(size=(500, 2)), columns=["load", "o2"]))
        >>> envelope.why(pd.Series({"load": 0.1, "o2": 9.0}))
        'outside: 0.2 % of rows like the training ones are as far or farther; because of o2'
        """
        frame = row.to_frame().T.astype(float) if isinstance(row, pd.Series) else row
        if len(frame) != 1:
            raise _core.InputError(f"Envelope.why(row): expected one row, got {len(frame)}")
        place = self.score(frame).iloc[0]
        if place["inside"] is None:
            return "unknown: more than half of the row is missing"
        share = f"{100 * place['p']:.2g} % of rows like the training ones are as far or farther"
        text = f"{'inside' if place['inside'] else 'outside'}: {share}"
        if place["inside"]:
            return text
        parts = self.contributions(frame).iloc[0].dropna().sort_values(ascending=False)
        weighty = parts[parts >= 0.2 * parts.iloc[0]].index[:most] if len(parts) else []
        return f"{text}; because of {', '.join(weighty)}"

    def _place(self, rows: pd.DataFrame | Any, contributions: bool) -> Any:
        if not hasattr(self, "core_"):
            raise _core.StateError("Envelope: not fitted yet; call fit(rows) first")
        values, _ = numbers(rows, "Envelope.score", self.tags_)
        return self.core_.place(values, contributions)

    def __repr__(self) -> str:
        if not hasattr(self, "core_"):
            return f"Envelope({self.distance}, not fitted)"
        return f"Envelope({self.distance}, {len(self.tags_)} tags, outside beyond {short(self.limit_)})"


def _index(rows: pd.DataFrame | Any) -> pd.Index[Any]:
    return rows.index if isinstance(rows, pd.DataFrame) else pd.RangeIndex(len(rows))
