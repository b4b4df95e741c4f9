"""Plants to learn on, all synthetic: no data of a real unit.

Equations and sources: docs/boiler.md for the boiler, docs/plants.md for the literature's plants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emisopt import _core
from emisopt._ode_plants import Cstr, QuadrupleTank
from emisopt.history import history_frame
from emisopt.tags import TagMap

__all__ = ["Boiler", "Cstr", "QuadrupleTank"]

Floats = NDArray[np.float64]
GRADES = ("A", "B", "C")


class Boiler:
    """A synthetic 300 MW tangentially fired coal boiler with SCR; one row is 300 s.

    Setpoints: excess O2, over-fire air share, NH3/NOx ratio, burner tilt. Outputs: NOx, CO, CO2, NH3 slip,
    efficiency, NH3 flow. Too little air makes CO, too much makes NOx and takes efficiency.

    Parameters
    ----------
    seed : of fuel, load, weather, instruments; same seed, same rows
    plant_seed : draws another plant of the family (catalyst, slagging, mixing); None: the reference plant
    slagging : whether deposits grow on the walls
    lag : factor on the time constants of actuators, walls and analysers, 0.2..10
    fuel : "A", "B" or "C": the one grade that is burnt; None: deliveries of all three
    scr : False: a unit without catalyst and ammonia; the NH3 setpoint does nothing
    fan_limit : hot flue gas volume that the fans can move, share of design; None: 1.06

    Attributes
    ----------
    tags : the tag map, `synthetic` is true
    time : stamp of the end of the newest row

    Examples
    --------
    >>> boiler = Boiler(seed=1)
    >>> setpoints = {"o2_sp": 3.5, "ofa_sp": 20.0, "nh3_ratio_sp": 0.8, "tilt_sp": 0.0}
    >>> boiler.advance(setpoints).truth().index.tolist()
    ['nox', 'co', 'co2', 'nh3_slip', 'efficiency', 'nh3_flow']
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        plant_seed: int | None = None,
        slagging: bool = True,
        lag: float = 1.0,
        fuel: str | None = None,
        scr: bool = True,
        fan_limit: float | None = None,
    ) -> None:
        self.seed = seed
        self.plant_seed = plant_seed
        self.slagging = slagging
        self.lag = lag
        self.fuel = fuel
        self.scr = scr
        self.fan_limit = fan_limit
        self._grade = -1
        if fuel is not None:
            if fuel not in GRADES:
                raise _core.InputError(f"Boiler(fuel): expected one of {', '.join(GRADES)}, got {fuel!r}")
            self._grade = GRADES.index(fuel)
        self.core = _core.Boiler(
            seed=seed,
            plant_seed=plant_seed,
            slagging=slagging,
            lag=lag,
            fuel=self._grade,
            scr=scr,
            fan_limit=fan_limit,
        )

    @property
    def tags(self) -> TagMap:
        return TagMap.from_json(self.core.tags.to_json())

    @property
    def time(self) -> pd.Timestamp:
        return pd.Timestamp(_core.epoch + self.core.time, unit="s", tz="UTC")

    def advance(self, setpoints: Mapping[str, float] | ArrayLike) -> Boiler:
        """Holds setpoints for one row and moves on; by name, or (U,) in tag order. Returns self."""
        self.core.advance(self._vector(setpoints))
        return self

    def settle(self, setpoints: Mapping[str, float] | ArrayLike) -> Boiler:
        """Brings all states to rest at these setpoints under the present surroundings. Returns self."""
        self.core.settle(self._vector(setpoints))
        return self

    def measure(self) -> pd.Series:
        """The row that a historian would hold for the period just ended; NaN where nothing was reported."""
        return pd.Series(self.core.measure(), index=self.tags.names, name=self.time)

    def truth(self) -> pd.Series:
        """Noise-free outputs of the period just ended: to judge a controller, never to inform it."""
        return pd.Series(self.core.truth(), index=self.tags.outputs, name=self.time)

    def schedule(self, rows: int) -> pd.DataFrame:
        """What is known of the next rows: load, ambient, fuel grade (as its index); one column each."""
        known = pd.DataFrame(self.core.schedule(rows), columns=self.tags.disturbances)
        known.index = pd.DatetimeIndex([self.time + pd.Timedelta(seconds=300 * (i + 1)) for i in range(rows)])
        return known[[n for n in self.tags.disturbances if self.tags[n].known_ahead]]

    def clone(self) -> Boiler:
        """A copy with the full state, noise included: both go on alike under the same setpoints."""
        twin = Boiler.__new__(Boiler)
        twin.seed, twin.plant_seed, twin.slagging = self.seed, self.plant_seed, self.slagging
        twin.lag, twin.fuel, twin._grade = self.lag, self.fuel, self._grade
        twin.scr, twin.fan_limit = self.scr, self.fan_limit
        twin.core = self.core.clone()
        return twin

    def simulate_history(
        self,
        days: int = 90,
        *,
        dither: float = 0.0,
        instrument_faults: bool = True,
        progress: Callable[[float], bool | None] | None = None,
    ) -> tuple[pd.DataFrame, TagMap]:
        """Months of operation by two crews, one tight and one loose, from the start of this plant's seed.

        Parameters
        ----------
        days : length
        dither : 1 adds a small test signal on all setpoints, for as long as the history is: random steps of
            O2 by 0.3 %, OFA by 3 %, NH3 by 0.04 and tilt by 2 deg either way, held 20 to 60 min; 2: twice as
            large; 0: none
        instrument_faults : False leaves out calibrations, blowback, freezes, dropouts and spikes; noise and
            drift stay
        progress : called with the share done about once a simulated day; False stops

        Returns
        -------
        history : DataFrame (days * 288, tags) with stamps; fuel grades as text
        tags : its tag map
        """
        history, _, _ = _core.simulate_history(
            seed=self.seed,
            plant_seed=self.plant_seed,
            days=days,
            dither=dither,
            instrument_faults=instrument_faults,
            lag=self.lag,
            fuel=self._grade,
            scr=self.scr,
            fan_limit=self.fan_limit,
            progress=progress,
        )
        return history_frame(history), self.tags

    def _vector(self, setpoints: Mapping[str, float] | ArrayLike) -> Floats:
        names = self.tags.setpoints
        if isinstance(setpoints, (Mapping, pd.Series)):
            missing = [n for n in names if n not in setpoints]
            if missing:
                raise _core.InputError(
                    f"Boiler: setpoint {missing[0]!r} is missing; expected {', '.join(names)}"
                )
            return np.array([float(setpoints[n]) for n in names])
        return np.ascontiguousarray(setpoints, dtype=np.float64)

    def __repr__(self) -> str:
        return f"Boiler(seed={self.seed}, plant_seed={self.plant_seed})  # synthetic, {self.time}"
