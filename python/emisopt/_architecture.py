"""Sizes of a network without data, what buffers must look like. Public in `emisopt.engine`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emisopt import _core

Floats32 = NDArray[np.float32]


class Parameter(NamedTuple):
    """One weight in the canonical buffer: `theta[offset : offset + prod(shape)]`, row-major."""

    shape: tuple[int, ...]
    offset: int
    decay: bool  # whether weight decay applies


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network without data: what a :class:`Program` needs when there is no fitted forecaster.

    Parameters
    ----------
    context, horizon, patch : rows of history, rows ahead, rows per history token
    width, heads, kv_heads, layers, feedforward : as of :class:`emisopt.Forecaster`
    history_width, future_width : numbers per history row and per future row
    outputs, quantiles : forecast outputs; levels, rising, with 0.5
    seed : of :meth:`weights`

    Raises
    ------
    InputError : a size is out of range, or sizes do not go together.

    Examples
    --------
    >>> from emisopt.engine import Architecture
    >>> Architecture.S.parameter_count
    154124
    """

    S: ClassVar[Architecture]
    M: ClassVar[Architecture]
    L: ClassVar[Architecture]

    context: int = 96
    horizon: int = 24
    patch: int = 1
    width: int = 64
    heads: int = 4
    kv_heads: int = 0
    layers: int = 3
    feedforward: int = 0
    history_width: int = 16
    future_width: int = 16
    outputs: int = 4
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("history_width", "future_width", "outputs"):
            value = getattr(self, name)
            if not 1 <= value <= 65536:
                raise _core.InputError(f"Architecture.{name}: expected 1..65536, got {value}")
        object.__setattr__(self, "quantiles", tuple(float(q) for q in self.quantiles))
        self._config()  # refuses the rest

    def with_(self, **sizes: object) -> Architecture:
        """A copy with other sizes."""
        return replace(self, **sizes)  # type: ignore[arg-type]

    @property
    def parameter_count(self) -> int:
        """Weights in the canonical buffer."""
        return self.network().parameter_count

    def network(self) -> _core.OpList:
        """The network as data."""
        per_token = self.history_width * self.patch
        return _core.make_network(self._config(), per_token, self.future_width, self.outputs)

    def weights(self) -> Floats32:
        """Random weights (parameter_count), a function of `seed` alone, none of them zero.

        Unlike a forecaster's first weights, whose median is the anchor whatever the plan, these let every
        input reach every quantile: for tests and timing.
        """
        network, rng = self.network(), np.random.default_rng(self.seed)
        theta = np.empty(network.parameter_count, dtype=np.float32)
        for name, shape, offset, _ in network.parameters:
            draw = rng.standard_normal(shape)
            if name.endswith("norm.weight"):
                draw = 1.0 + 0.1 * draw
            elif name.endswith(".bias"):
                draw *= 0.1
            else:
                draw /= np.sqrt(shape[0])
            theta[offset : offset + draw.size] = draw.ravel()
        return theta

    def _config(self) -> _core.ForecasterConfig:
        return _core.ForecasterConfig(
            context=self.context,
            horizon=self.horizon,
            patch=self.patch,
            width=self.width,
            heads=self.heads,
            kv_heads=self.kv_heads,
            layers=self.layers,
            feedforward=self.feedforward,
            quantiles=list(self.quantiles),
            seed=self.seed,
        )


Architecture.S = Architecture()
Architecture.M = Architecture(width=128, heads=8, layers=4)
Architecture.L = Architecture(width=256, heads=8, layers=6)


def check_array(where: str, array: object, count: int, *, writable: bool = False) -> None:
    """Refuses what the core could only take by copying it, or could not write to."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise _core.ShapeError(f"{where}: expected a float32 array, got {got}")
    if array.shape != (count,):
        raise _core.ShapeError(f"{where}: expected shape ({count},), got {array.shape}")
    if not array.flags.c_contiguous:
        raise _core.ShapeError(f"{where}: expected a contiguous array, got strides {array.strides}")
    if not array.flags.aligned:
        raise _core.ShapeError(f"{where}: expected an aligned array, got an address that is not")
    if writable and not array.flags.writeable:
        raise _core.ShapeError(f"{where}: expected a writable array, got a read-only one")
