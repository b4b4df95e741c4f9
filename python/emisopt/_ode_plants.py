"""Two plants of the control literature, by their published equations: a reactor and four tanks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt.tags import TagMap

__all__ = ["Cstr", "QuadrupleTank"]

Floats = NDArray[np.float64]
PHASES = ("minimum", "nonminimum")
P = TypeVar("P", bound="_OdePlant")


class _OdePlant:
    """What both have in common; rows by name, clones, an experiment to learn from."""

    core: _core.Cstr | _core.QuadrupleTank
    seed: int
    _where = "plant"

    @property
    def tags(self) -> TagMap:
        return TagMap.from_json(self.core.tags.to_json())

    @property
    def time(self) -> pd.Timestamp:
        return pd.Timestamp(_core.epoch + self.core.time, unit="s", tz="UTC")

    @property
    def state(self) -> Floats:
        """(X,) in the units of the equations (docs/plants.md). Setting it refuses what they do not bear."""
        state: Floats = self.core.state
        return state

    @state.setter
    def state(self, value: ArrayLike) -> None:
        self.core.state = [float(v) for v in np.ravel(np.asarray(value, dtype=np.float64))]

    def advance(self: P, setpoints: Mapping[str, float] | ArrayLike) -> P:
        """Holds setpoints for one row and moves on; by name, or (U,) in tag order. Returns self.

        Raises
        ------
        InputError : a setpoint is missing, not finite or outside its tag's bounds
        ShapeError : not (U,)
        """
        self.core.advance(self._vector(setpoints))
        return self

    def settle(self: P, setpoints: Mapping[str, float] | ArrayLike) -> P:
        """Brings all states to rest at these setpoints under the present disturbances. Returns self."""
        self.core.settle(self._vector(setpoints))
        return self

    def measure(self) -> pd.Series:
        """The row that a historian would hold for the period just ended, noise included."""
        return pd.Series(self.core.measure(), index=self.tags.names, name=self.time)

    def truth(self) -> pd.Series:
        """Noise-free outputs, mean over the period just ended: to judge a controller, never to inform it."""
        return pd.Series(self.core.truth(), index=self.tags.outputs, name=self.time)

    def rates(self, setpoints: Mapping[str, float] | ArrayLike) -> tuple[Floats, Floats]:
        """dx/dt per second (X,) and outputs (O,) at this state and moment."""
        slopes, outputs = self.core.rates(self._vector(setpoints))
        return slopes, outputs

    def clone(self: P) -> P:
        """A copy with the full state, noise included: both go on alike under the same setpoints."""
        twin = copy.copy(self)
        twin.core = self.core.clone()
        return twin

    def simulate_history(
        self,
        rows: int,
        *,
        box: Mapping[str, tuple[float, float]] | None = None,
        hold: tuple[int, int] = (3, 20),
        seed: int | None = None,
        progress: Callable[[float], bool | None] | None = None,
    ) -> tuple[pd.DataFrame, TagMap]:
        """An experiment on the plant: each setpoint on its own walks between random levels.

        A level is drawn evenly from the setpoint's box, approached at its tag's rate and held; from one
        draw to the next so many rows pass, also drawn evenly. The plant moves on by `rows`.

        Parameters
        ----------
        rows : length
        box : setpoint -> (low, high) of the levels; what is left out: its tag's bounds
        hold : fewest and most rows between two draws
        seed : of the levels; None: the plant's
        progress : called with the share done a hundred times; False stops

        Returns
        -------
        history : DataFrame (rows, tags) with stamps
        tags : its tag map

        Raises
        ------
        InputError : rows below 1, a box that is empty or outside its tag's bounds, hold below 1 row
        """
        tags, where = self.tags, f"{self._where}.simulate_history"
        if rows < 1:
            raise _core.InputError(f"{where}(rows): expected at least 1, got {rows}")
        if not 1 <= hold[0] <= hold[1]:
            raise _core.InputError(f"{where}(hold): expected 1 <= fewest <= most, got {hold}")
        chosen = dict(box or {})
        for name in chosen:
            if name not in tags.setpoints:
                raise _core.InputError(
                    f"{where}(box): expected one of {', '.join(tags.setpoints)}, got {name!r}"
                )
        bounds: list[tuple[float, float]] = []
        rate: list[float] = []
        for name in tags.setpoints:
            tag: Any = tags[name]
            low, high = chosen.get(name, (tag.low, tag.high))
            if not tag.low <= low < high <= tag.high:
                raise _core.InputError(
                    f"{where}(box): expected {name!r} in {tag.low:g}..{tag.high:g}, got {low} to {high}"
                )
            bounds.append((low, high))
            rate.append(tag.rate)
        rng = np.random.default_rng([self.seed if seed is None else seed, 2])
        now = np.array([rng.uniform(*b) for b in bounds])
        level, left = now.copy(), np.zeros(len(now), dtype=int)
        values, stamps = [], []
        for row in range(rows):
            for u, b in enumerate(bounds):
                if left[u] == 0:
                    level[u], left[u] = rng.uniform(*b), rng.integers(hold[0], hold[1] + 1)
            left -= 1
            now = now + np.clip(level - now, -np.array(rate), rate)
            self.core.advance(now)
            values.append(self.core.measure())
            stamps.append(_core.epoch + self.core.time)
            due = rows >= 100 and (row + 1) % (rows // 100) == 0
            if progress is not None and due and progress((row + 1) / rows) is False:
                break
        index = pd.DatetimeIndex(pd.to_datetime(stamps, unit="s", utc=True), name="time")
        return pd.DataFrame(np.array(values), index=index, columns=tags.names), tags

    def _vector(self, setpoints: Mapping[str, float] | ArrayLike) -> Floats:
        tags = self.tags
        if isinstance(setpoints, (Mapping, pd.Series)):
            missing = [n for n in tags.setpoints if n not in setpoints]
            if missing:
                raise _core.InputError(
                    f"{self._where}: setpoint {missing[0]!r} is missing; expected {', '.join(tags.setpoints)}"
                )
            setpoints = [float(setpoints[n]) for n in tags.setpoints]
        values: Floats = np.ascontiguousarray(setpoints, dtype=np.float64)
        if values.shape == (len(tags.setpoints),):  # else the core says what shape it wants
            for name, value in zip(tags.setpoints, values, strict=True):
                tag: Any = tags[name]
                if not tag.low <= value <= tag.high:
                    raise _core.InputError(
                        f"{self._where}: expected {name!r} in {tag.low:g}..{tag.high:g} {tag.unit}, "
                        f"got {value:g}"
                    )
        return values


class Cstr(_OdePlant):
    """The reactor of Klatt and Engell: A becomes B, and B becomes C, and two A become D; one row is 60 s.

    Setpoints: feed (volume flow over reactor volume) and heat (drawn from the cooling jacket, negative).
    Outputs: product (B that leaves, mol/h), by_c (C made, mol/h), by_d (D made, kg/h) and the reactor's
    temperature.
    Disturbances, measured: concentration and temperature of the feed, c_a, jacket temperature. Unmeasured:
    fouling of the jacket. States: c_A, c_B (mol/l), reactor and jacket temperature (degC).

    Parameters
    ----------
    seed : of feed, fouling and noise; same seed, same rows
    wander : factor on how far feed and fouling move, 0..3; 0: the published plant
    noise : factor on the readings' noise
    steps : of the integration per row; 60 is exact to 1e-9

    Attributes
    ----------
    tags : the tag map, `synthetic` is true
    time : stamp of the end of the newest row

    Raises
    ------
    InputError : a factor or a number of steps out of range

    References
    ----------
    Klatt, Engell 1998: Gain-scheduling trajectory control of a continuous stirred tank reactor. Chen,
    Kremling, Allgoewer 1995: Nonlinear predictive control of a benchmark CSTR. Equations: docs/plants.md.

    Examples
    --------
    >>> Cstr(wander=0).state.round(4).tolist()  # the published operating point
    [2.1402, 1.0903, 114.1911, 112.9066]
    >>> Cstr(seed=1).advance({"feed": 14.0, "heat": -1100.0}).truth().index.tolist()
    ['product', 'by_c', 'by_d', 't_reactor']
    """

    _where = "Cstr"

    def __init__(self, *, seed: int = 0, wander: float = 1.0, noise: float = 1.0, steps: int = 60) -> None:
        self.seed = seed
        self.core = _core.Cstr(seed=seed, wander=wander, noise=noise, steps=steps)

    def __repr__(self) -> str:
        return f"Cstr(seed={self.seed})  # synthetic, {self.time}"


class QuadrupleTank(_OdePlant):
    """The quadruple tank of Johansson: two pumps, two tanks above two; one row is 15 s.

    Setpoints: the pumps' voltages. Outputs: what leaves the lower tanks (supply from tank 1, cm3/s,
    discharge from tank 2, g/s), the pumps' power (sum of squared voltages) and levels 1 and 2. Disturbances,
    measured: an inflow to tank 2 (not in the paper) and levels 3 and 4. Unmeasured: wear of the pumps.
    States: levels, cm.

    Parameters
    ----------
    phase : "minimum" or "nonminimum": Johansson's two settings of the valves. In the second the zero in the
        right half-plane makes a level go the wrong way first
    seed : of inflow, wear and noise; same seed, same rows
    wander : factor on how far inflow and wear move, 0..3; 0: the published plant, without the inflow
    noise : factor on the readings' noise
    steps : of the integration per row; 30 is exact to 1e-9

    Raises
    ------
    InputError : an unknown phase, a factor or a number of steps out of range

    References
    ----------
    Johansson 2000: The quadruple-tank process: a multivariable laboratory process with an adjustable zero.
    IEEE Transactions on Control Systems Technology 8(3), 456-465. Equations: docs/plants.md.

    Examples
    --------
    >>> QuadrupleTank(wander=0).state.round(1).tolist()  # published: 12.4, 12.7, 1.8, 1.4
    [12.3, 12.8, 1.6, 1.4]
    """

    _where = "QuadrupleTank"

    def __init__(
        self,
        phase: str = "minimum",
        *,
        seed: int = 0,
        wander: float = 1.0,
        noise: float = 1.0,
        steps: int = 30,
    ) -> None:
        if phase not in PHASES:
            raise _core.InputError(
                f"QuadrupleTank(phase): expected one of {', '.join(PHASES)}, got {phase!r}"
            )
        self.seed, self.phase = seed, phase
        self.core = _core.QuadrupleTank(
            minimum_phase=phase == "minimum", seed=seed, wander=wander, noise=noise, steps=steps
        )

    def __repr__(self) -> str:
        return f"QuadrupleTank({self.phase!r}, seed={self.seed})  # synthetic, {self.time}"
