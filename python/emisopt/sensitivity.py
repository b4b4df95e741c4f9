"""The exact derivative of a forecast by its plan, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt._format import html_table

__all__ = ["Sensitivity"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """d forecast / d plan with its labels; `numpy.asarray` gives the bare array.

    Attributes
    ----------
    values : ndarray of shape (H, O, H, U): unit of the output per unit of the setpoint; exactly 0 where the
        setpoint's step is later than the output's
    outputs, setpoints : names, O and U
    units : names of both to units
    index : labels of the H steps
    quantile : the level that was differentiated
    """

    values: Floats
    outputs: tuple[str, ...]
    setpoints: tuple[str, ...]
    units: dict[str, str]
    index: pd.Index
    quantile: float

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def frame(self, output: str, setpoint: str) -> pd.DataFrame:
        """(H, H): rows are the steps of `output`, columns the steps at which `setpoint` changes."""
        block = self.values[:, self._place(output, self.outputs), :, self._place(setpoint, self.setpoints)]
        return pd.DataFrame(block, index=self.index, columns=self.index)

    def step_response(self) -> pd.DataFrame:
        """(H, O x U): change of each output when one setpoint is held one unit higher from now on."""
        total = self.values.sum(axis=2)  # (H, O, U)
        columns = pd.MultiIndex.from_product([self.outputs, self.setpoints], names=["output", "setpoint"])
        return pd.DataFrame(total.reshape(len(self.index), -1), index=self.index, columns=columns)

    def _place(self, name: str, names: tuple[str, ...]) -> int:
        if name not in names:
            raise _core.InputError(f"Sensitivity: expected one of {', '.join(names)}, got {name!r}")
        return names.index(name)

    def _repr_html_(self) -> str:
        title = f"Step response of the {self.quantile:g} quantile, per unit of the setpoint"
        return f"<p>{title}</p>" + html_table(self.step_response().iloc[[0, -1]])
