"""What an engineer knows of an output before any data: a table or a function of the operation."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.history import core_tags
from emisopt.tags import TagMap

__all__ = ["FunctionPrior", "TablePrior", "prior_from_json"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TablePrior:
    """Outputs as tables over one to four setpoints or disturbances, in physical units.

    A forecaster with a prior starts from it: what the table says of a change of operation is added to the
    anchor, and training corrects it. Between the points the table is piecewise cubic with continuous slope
    (quadratics are met exactly), beyond them it goes straight on; its derivative enters the forecaster's
    Jacobian exactly. Only differences along time count: a table that is off by a constant (for outputs in log
    scale: by a factor) does no harm.

    Parameters
    ----------
    tables : {output: ({tag: points}, values)}, values of shape (points of the first tag, of the second, ...)

    Raises
    ------
    InputError : a grid that does not rise, values that do not fit it; tags are checked when fitted.

    Examples
    --------
    >>> prior = TablePrior({"nox": ({"o2_sp": [2, 4, 6]}, [150.0, 220.0, 270.0])})
    >>> prior.tables["nox"][1]
    array([150., 220., 270.])
    """

    tables: Mapping[str, tuple[Mapping[str, Floats], Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.tables, Mapping) or not self.tables:
            raise _core.InputError(
                "TablePrior(tables): expected {output: ({tag: points}, values)}, got nothing"
            )
        checked = {}
        for output, table in self.tables.items():
            try:
                axes, values = table
                grid = {str(tag): np.asarray(points, dtype=np.float64) for tag, points in axes.items()}
                array = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError, AttributeError):
                raise _core.InputError(
                    f"TablePrior({output!r}): expected ({{tag: points}}, values) of numbers, "
                    f"got {table!r:.60}"
                ) from None
            shape = tuple(len(points) for points in grid.values() if points.ndim == 1)
            if array.shape != shape:
                raise _core.ShapeError(
                    f"TablePrior({output!r}): expected values of shape {shape}, one per point of "
                    f"{', '.join(grid)}, got {array.shape}"
                )
            checked[str(output)] = (grid, array)
        object.__setattr__(self, "tables", checked)

    @classmethod
    def from_functions(
        cls, functions: Mapping[str, Callable[..., ArrayLike]], **axes: Sequence[float] | Floats
    ) -> TablePrior:
        """Tabulates functions whose arguments are named for tags.

        Parameters
        ----------
        functions : {output: f}; f takes arrays of one shape, by the names of tags
        **axes : points of each tag

        Examples
        --------
        >>> def nox(o2_sp, load):
        ...     return 60 * o2_sp * (load / 500) ** 1.2
        >>> prior = TablePrior.from_functions({"nox": nox}, o2_sp=[2, 3, 4, 6], load=[200, 350, 500])
        >>> prior.tables["nox"][1].shape
        (4, 3)
        """
        tables = {}
        for output, function in functions.items():
            names = list(inspect.signature(function).parameters)
            missing = [name for name in names if name not in axes]
            if missing or not names:
                raise _core.InputError(
                    f"TablePrior.from_functions({output!r}): expected points of each argument, got none of "
                    f"{missing[0] if missing else 'any'}"
                )
            grid = {name: np.asarray(axes[name], dtype=np.float64) for name in names}
            mesh = np.meshgrid(*grid.values(), indexing="ij")
            values = np.broadcast_to(np.asarray(function(*mesh), dtype=np.float64), mesh[0].shape)
            tables[output] = (grid, np.array(values))
        return cls(tables)

    def core(self, tags: TagMap) -> _core.Prior:
        """The compiled form; refuses tags that the plant has not."""
        return _core.Prior.table(
            core_tags(tags),
            [
                (output, [(tag, points.tolist()) for tag, points in axes.items()], values.ravel().tolist())
                for output, (axes, values) in self.tables.items()
            ],
        )

    def values(self, rows: pd.DataFrame, tags: TagMap) -> pd.DataFrame:
        """What the prior says of each row of a table: (N, outputs), NaN where it says nothing.

        Examples
        --------
        >>> from emisopt import plants
        >>> history, tags = plants.Boiler(seed=1).simulate_history(days=1)
        >>> prior = TablePrior({"nox": ({"o2_sp": [2, 6]}, [150.0, 270.0])})
        >>> prior.values(history.head(2), tags)["nox"].round(1).tolist()
        [202.5, 202.5]
        """
        return _values(self.core(tags), rows, tags)


@dataclass(frozen=True)
class FunctionPrior:
    """A C++ function that the process has registered under a name (`emisopt::register_prior`).

    Parameters
    ----------
    name : under which it was registered; a checkpoint keeps name and version, and is refused by name where
        the function is not there
    """

    name: str

    def core(self, tags: TagMap) -> _core.Prior:
        """The compiled form; InputError when no such function is registered."""
        return _core.Prior.function(core_tags(tags), self.name)

    def values(self, rows: pd.DataFrame, tags: TagMap) -> pd.DataFrame:
        """As :meth:`TablePrior.values`."""
        return _values(self.core(tags), rows, tags)


def prior_from_json(text: str) -> TablePrior | FunctionPrior | None:
    """The prior of a checkpoint, from what the core keeps of it; None for an empty text."""
    if not text:
        return None
    kept = json.loads(text)
    if kept["kind"] == "function":
        return FunctionPrior(kept["name"])
    tables = {}
    for table in kept["tables"]:
        axes = {axis["tag"]: np.array(axis["points"]) for axis in table["axes"]}
        tables[table["output"]] = (axes, np.reshape(table["values"], [len(p) for p in axes.values()]))
    return TablePrior(tables)


def _values(core: _core.Prior, rows: pd.DataFrame, tags: TagMap) -> pd.DataFrame:
    def columns(names: list[str]) -> Floats:
        numbers = [
            pd.to_numeric(rows[n], errors="coerce") if n in rows.columns else pd.Series(np.nan, rows.index)
            for n in names
        ]
        stacked = np.column_stack(numbers) if numbers else np.empty((len(rows), 0))
        return np.ascontiguousarray(stacked, dtype=np.float64)

    value, _ = core.evaluate(columns(tags.setpoints), columns(tags.disturbances))
    return pd.DataFrame(value, index=rows.index, columns=tags.outputs)
