"""How far two stretches of data lie apart, tag by tag: numbers to sort by; a detector says yes or no."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from emisopt import _core
from emisopt.errors import ConfigError, DataError
from emisopt.monitor._tables import Floats, numbers

__all__ = ["distances"]


def distances(
    reference: pd.DataFrame | ArrayLike, current: pd.DataFrame | ArrayLike, *, bins: int = 10
) -> pd.DataFrame:
    """Distances between each tag's values then and now, the furthest first.

    Parameters
    ----------
    reference, current : DataFrames with the same columns, or arrays (N, tags); NaN: missing, left out. The
        order of rows plays no part
    bins : of equal width, from the least of both to the greatest, for the first three

    Returns
    -------
    DataFrame by tag: `psi`, population stability index (0.1 and 0.25 are the customary marks); `hellinger`
    and `jensen_shannon`, 0 for the same shares to 1 for none in common; `earth_mover`, in the tag's unit, and
    `earth_mover_sd`, in standard deviations of the reference. NaN where one of the two has no value.

    Raises
    ------
    DataError : a column that is missing or holds no numbers, an infinite value. ConfigError : bins below 2.

    Notes
    -----
    An empty bin counts as the smallest normal number in the population stability index, which is then large:
    as frouros does it.

    Examples
    --------
    >>> then = pd.DataFrame({"load": np.arange(100.0), "o2": np.tile([3.0, 4.0], 50)})
    >>> distances(then, then.assign(load=then["load"] + 50))["earth_mover"].tolist()
    [50.0, 0.0]
    """
    if bins < 2:
        raise ConfigError(f"distances: bins: expected 2 or more, got {bins}")
    before, tags = numbers(reference, "distances: reference")
    now, _ = numbers(current, "distances: current", tags)
    rows = [
        _of(_known(before[:, i], tag, "reference"), _known(now[:, i], tag, "current"), bins)
        for i, tag in enumerate(tags)
    ]
    names = ["psi", "hellinger", "jensen_shannon", "earth_mover", "earth_mover_sd"]
    table = pd.DataFrame(rows, pd.Index(tags, name="tag"), names)
    return table.sort_values("hellinger", ascending=False, kind="stable")


def _known(values: Floats, tag: str, where: str) -> Floats:
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(
            f"distances: {where}, column {tag!r}, row {row}: expected a finite number, got {values[row]}"
        )
    return values[~np.isnan(values)]


def _of(x: Floats, y: Floats, bins: int) -> tuple[float, ...]:
    if not x.size or not y.size:
        return (np.nan,) * 5
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    edges = np.linspace(low, high, bins + 1) if high > low else np.array([low - 0.5, low + 0.5])
    p, q = ((np.histogram(v, edges)[0] / v.size).tolist() for v in (x, y))
    moved = _core.earth_mover_distance(x.tolist(), y.tolist())
    spread = x.std()
    return (
        _core.population_stability(p, q),
        _core.hellinger_distance(p, q),
        _core.jensen_shannon_distance(p, q),
        moved,
        moved / spread if spread > 0 else (0.0 if moved == 0 else np.inf),
    )
