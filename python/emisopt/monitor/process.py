"""Is the process as a whole as it was? Multivariate statistics with limits from held-out normal rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from emisopt import _core
from emisopt.monitor._tables import gaps, numbers

__all__ = ["ProcessMonitor"]


class ProcessMonitor:
    """Watches all tags together: filtered, lagged Mahalanobis distances from normal operation.

    Parameters
    ----------
    lags : rows before the newest that are looked at with it
    memory : rows that each statistic averages over (exponential weights 2 / (memory + 1)); 1: the row itself,
        for sudden faults; longer: for small lasting ones
    false_alarms : share of healthy rows in alarm, all statistics together
    blocks : stretches of the normal rows; each is held out once, and limits come from these scores alone
    confidence : that the share is not exceeded, as far as the blocks tell

    Attributes
    ----------
    tags_ : names of the columns;   core_ : the fitted core

    Notes
    -----
    MEWMA (Lowry et al. 1992) of lagged rows (Ku et al. 1995) with the shrunk covariance of the filtered rows
    (Ledoit and Wolf 2004); csrc/emisopt/monitor/process_monitor.cpp, docs/monitor_sensors.md.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> normal = pd.DataFrame(rng.normal(size=(500, 4)), columns=list("abcd"))
    >>> monitor = ProcessMonitor().fit(normal)
    >>> fault = normal.iloc[:100] + [0, 0, 3.0, 0]
    >>> bool(monitor.check(fault)["alarm"].iloc[-50:].mean() > 0.9)
    True
    >>> monitor.contributions(fault).iloc[-1].idxmax()
    'c'
    """

    def __init__(
        self,
        *,
        lags: int = 1,
        memory: Sequence[float] = (1, 9),
        false_alarms: float = 0.01,
        blocks: int = 5,
        confidence: float = 0.95,
    ) -> None:
        self.lags = lags
        self.memory = memory
        self.false_alarms = false_alarms
        self.blocks = blocks
        self.confidence = confidence

    def fit(self, rows: pd.DataFrame | Any) -> ProcessMonitor:
        """Learns from normal rows in time order.

        Parameters
        ----------
        rows : DataFrame or array (N, tags) of numbers, NaN = missing. A step of the index other than the
            usual one is a gap

        Raises
        ------
        DataError : a column without numbers, time that does not rise.   InputError : options out of range, a
            tag that does not vary, fewer than 20 rows a block.
        """
        values, self.tags_ = numbers(rows, "ProcessMonitor.fit")
        self.core_ = _core.ProcessMonitor.fit(
            values,
            gaps(rows, "ProcessMonitor.fit"),
            self.tags_,
            lags=int(self.lags),
            memory=[float(m) for m in self.memory],
            false_alarms=float(self.false_alarms),
            blocks=int(self.blocks),
            confidence=float(self.confidence),
        )
        return self

    def check(self, rows: pd.DataFrame | Any) -> pd.DataFrame:
        """Judges rows in time order, from a cold start.

        Returns
        -------
        DataFrame (n): per memory a column "memory M" with the statistic over its limit, and `alarm`, True
        where one is above 1. NaN, and no alarm, where more than half of a row is missing.
        """
        score, _ = self._push(rows, False)
        out = pd.DataFrame(
            score,
            index=rows.index if isinstance(rows, pd.DataFrame) else None,
            columns=[f"memory {m:g}" for m in self.memory],
        )
        out["alarm"] = (score > 1).any(axis=1)
        return out

    def contributions(self, rows: pd.DataFrame | Any) -> pd.DataFrame:
        """(n, tags): of the highest statistic, by how much its squared distance falls without a tag."""
        _, parts = self._push(rows, True)
        index = rows.index if isinstance(rows, pd.DataFrame) else None
        return pd.DataFrame(parts, index=index, columns=self.tags_)

    def _push(self, rows: pd.DataFrame | Any, contributions: bool) -> Any:
        if not hasattr(self, "core_"):
            raise _core.StateError("ProcessMonitor: not fitted yet; call fit(rows) first")
        values, _ = numbers(rows, "ProcessMonitor.check", self.tags_)
        return self.core_.push(self.core_.start(), values, gaps(rows, "ProcessMonitor.check"), contributions)

    def __repr__(self) -> str:
        if not hasattr(self, "core_"):
            return "ProcessMonitor(not fitted)"
        return f"ProcessMonitor({len(self.tags_)} tags, lags {self.lags}, memory {list(self.memory)})"
