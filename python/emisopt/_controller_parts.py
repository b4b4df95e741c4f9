"""Parts of a controller: where the training rows lay, the newest number of a column."""

from __future__ import annotations

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.history import to_history
from emisopt.tags import TagMap

__all__ = ["envelope", "newest"]

ENVELOPE_SHARE = 0.98  # of the training rows lie inside
ENVELOPE_WEIGHT = 20.0  # cost per squared excess of the squared distance and step


def newest(values: pd.Series) -> float:
    """The newest known number; NaN when there is none."""
    known = values.dropna()
    return float(known.iloc[-1]) if len(known) else np.nan


def envelope(training: pd.DataFrame, tags: TagMap) -> _core.Envelope:
    """Where the rows lay: the distance that holds 98 % of them, and what a step beyond it costs."""
    rows = to_history(training, tags, where="Controller(training)")
    return _core.training_envelope(rows, rows.rows, ENVELOPE_SHARE, ENVELOPE_WEIGHT)
