"""What the controller is told: limits that must hold, and what a plan costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd

from emisopt import _core
from emisopt.errors import did_you_mean
from emisopt.tags import TagMap

__all__ = ["Interlock", "Limit", "Objective", "Polynomial", "Setpoint", "Table", "Target", "economic"]

Price: TypeAlias = "float | pd.Series"


@dataclass(frozen=True)
class Limit:
    """A limit on one output: on each row, or on the rolling mean of `window` rows.

    Parameters
    ----------
    output : name of the output
    limit : in its unit
    window : rows of the rolling mean, judged at every row; 1: each row
    quantile : level of the forecast that must stay below the limit; 0.5: the median, 0.95: with back-off
    rank : 1 is most important; where not all can hold, a lower rank gives way first
    name : for people, e.g. "NOx 1 h"; None: made from output and window
    min_valid : share of the window's rows that must be valid for its mean to count

    Examples
    --------
    >>> Limit("nox", 75.0, window=12, name="NOx 1 h").label
    'NOx 1 h'
    """

    output: str
    limit: float
    window: int = 1
    quantile: float = 0.95
    rank: int = 1
    name: str | None = None
    min_valid: float = 0.5

    @property
    def label(self) -> str:
        if self.name is not None:
            return self.name
        return self.output if self.window == 1 else f"{self.output}, mean of {self.window} rows"

    def to_core(self, outputs: Sequence[str]) -> _core.Limit:
        """The same limit with its output as a column number."""
        return _core.Limit(
            name=self.label,
            output=place(self.output, outputs, "Limit(output)"),
            limit=self.limit,
            window=self.window,
            rank=self.rank,
            quantile=self.quantile,
            min_valid=self.min_valid,
        )


@dataclass(frozen=True)
class Setpoint:
    """How one setpoint may be moved; what is None comes from its tag.

    Parameters
    ----------
    low, high : hard bounds, in the tag's unit
    rate : largest move per row
    price : cost per unit and row
    move_weight : cost per (move / (high - low))^2; keeps the hand calm
    safe : target when the controller has been without a forecast for long; None: the middle of the bounds
    dead_band : hard: a smaller move is not made
    hold_rows : hard: after a move it stays for so many rows
    """

    low: float | None = None
    high: float | None = None
    rate: float | None = None
    price: Price = 0.0
    move_weight: float = 0.0
    safe: float | None = None
    dead_band: float = 0.0
    hold_rows: int = 0

    def to_core(self, name: str, tags: TagMap) -> _core.Setpoint:
        """The same setpoint with its tag's bounds and rate filled in."""
        tag = tags[name]
        low = tag.low if self.low is None else self.low
        high = tag.high if self.high is None else self.high
        if low is None or high is None:
            raise _core.InputError(
                f"Setpoint {name!r}: expected bounds from its tag or from Setpoint(low=, high=), "
                f"got {low} to {high}"
            )
        rate = tag.rate if self.rate is None else self.rate
        nan = float("nan")
        return _core.Setpoint(
            name=name,
            unit=tag.unit,
            low=low,
            high=high,
            rate=nan if rate is None else rate,
            price=0.0 if isinstance(self.price, pd.Series) else self.price,
            move_weight=self.move_weight,
            safe=nan if self.safe is None else self.safe,
            dead_band=self.dead_band,
            hold_rows=self.hold_rows,
        )


@dataclass(frozen=True)
class Interlock:
    """A hard, linear relation of setpoints: low <= sum of weight * setpoint <= high, in every row.

    Parameters
    ----------
    weights : setpoint -> weight, in the setpoints' units
    low, high : of the sum; None: open
    name : for people

    Examples
    --------
    Over-fire air of at most 4 % per per cent of oxygen, ``ofa_sp - 4 o2_sp <= 0``:

    >>> Interlock({"ofa_sp": 1.0, "o2_sp": -4.0}, high=0.0, name="air split").name
    'air split'
    """

    weights: Mapping[str, float]
    low: float | None = None
    high: float | None = None
    name: str = "interlock"

    def to_core(self, setpoints: Sequence[str]) -> list[_core.Interlock]:
        """One row per side that is not open; InputError naming the interlock."""
        where = f"Interlock {self.name!r}"
        row = [0.0] * len(setpoints)
        for name, weight in self.weights.items():
            row[place(name, setpoints, f"{where}: weights")] = float(weight)
        if self.low is None and self.high is None:
            raise _core.InputError(f"{where}: expected low or high, got neither")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise _core.InputError(f"{where}: expected low <= high, got {self.low:g} and {self.high:g}")
        sides = []
        if self.high is not None:
            sides.append(_core.Interlock(name=self.name, weight=row, upper=float(self.high)))
        if self.low is not None:
            sides.append(_core.Interlock(name=self.name, weight=[-w for w in row], upper=-float(self.low)))
        return sides


@dataclass(frozen=True)
class Target:
    """A wish for one output: weight * (max(0, |median - value| - zone) / scale)^2 a row, beside the money.

    Parameters
    ----------
    output : name of the output
    value : in its unit; a Series by time is in force from each stamp to the next
    weight : cost of a deviation of `scale`, per row
    zone : half width of what is as good as the value
    scale : of a deviation, in the output's unit
    """

    output: str
    value: Price
    weight: float = 1.0
    zone: float = 0.0
    scale: float = 1.0

    def to_core(self, outputs: Sequence[str]) -> _core.Tracking:
        return _core.Tracking(
            output=place(self.output, outputs, "Target(output)"),
            target=0.0 if isinstance(self.value, pd.Series) else float(self.value),
            weight=self.weight,
            zone=self.zone,
            scale=self.scale,
        )


@dataclass(frozen=True)
class Table:
    """A cost per row that is piecewise linear in one output or setpoint.

    Parameters
    ----------
    tag : output or setpoint
    points : rising (value, cost) pairs, two or more; beyond the ends the end segments go on. A kink is
        rounded over a twentieth of its shorter segment
    name : for people; None: made from the tag

    Examples
    --------
    Ash with more than 5 % unburnt carbon cannot be sold:

    >>> Table("loi", [(0.0, 0.0), (5.0, 0.0), (8.0, 90.0)]).label
    'table of loi'
    """

    tag: str
    points: Sequence[tuple[float, float]]
    name: str | None = None

    @property
    def label(self) -> str:
        return self.name or f"table of {self.tag}"

    def to_core(self, tags: TagMap) -> _core.CostMap:
        names, setpoint = (tags.setpoints, True) if self.tag in tags.setpoints else (tags.outputs, False)
        return _core.TableCost(
            name=self.label,
            setpoint=setpoint,
            column=place(self.tag, names, "Table(tag)"),
            at=[float(p[0]) for p in self.points],
            cost=[float(p[1]) for p in self.points],
        )


@dataclass(frozen=True)
class Polynomial:
    """A cost per row of second degree: constant + sum of linear * tag + sum of product * tag * tag.

    Parameters
    ----------
    linear : output or setpoint -> coefficient
    products : (tag, tag) -> coefficient; the same tag twice: its square
    constant : cost per row
    name : for people

    Examples
    --------
    (o2_sp - 3)^2:

    >>> Polynomial({"o2_sp": -6.0}, {("o2_sp", "o2_sp"): 1.0}, 9.0).name
    'polynomial'
    """

    linear: Mapping[str, float] = field(default_factory=dict)
    products: Mapping[tuple[str, str], float] = field(default_factory=dict)
    constant: float = 0.0
    name: str = "polynomial"

    def to_core(self, tags: TagMap) -> _core.CostMap:
        names = [*tags.outputs, *tags.setpoints]
        linear = [0.0] * len(names)
        for name, value in self.linear.items():
            linear[place(name, names, "Polynomial(linear)")] += float(value)
        hessian = np.zeros((len(names), len(names)))
        for (a, b), value in self.products.items():
            i, j = (place(n, names, "Polynomial(products)") for n in (a, b))
            hessian[i, j] += float(value)
            hessian[j, i] += float(value)
        return _core.QuadraticCost(
            name=self.name,
            outputs=len(tags.outputs),
            setpoints=len(tags.setpoints),
            hessian=hessian,
            linear=linear,
            constant=self.constant,
        )


@dataclass(frozen=True)
class Fuel:
    """A fired unit's bill; see :func:`economic`."""

    efficiency: str
    load: str | None
    load_mw: float
    reagent_flow: str | None
    fee_output: str | None
    fuel_price_gj: Price
    reagent_price_kg: Price
    fee_per_kg: Price
    period_s: float | None


@dataclass(frozen=True)
class Objective:
    """Cost per row: a price on outputs, or a fired unit's bill from :func:`economic`; and costs of one's own.

    Parameters
    ----------
    prices : output -> cost per unit and row; negative rewards. A Series by time: each price is in force from
        its stamp to the next, the last one as long as the one before
    currency : for people
    costs : :class:`Table` and :class:`Polynomial`, added to the rest
    targets : :class:`Target`: wishes for outputs, weighed beside the money

    Examples
    --------
    >>> Objective({"CO": 0.4, "TEY": -1.0}).currency
    'EUR'
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    currency: str = "EUR"
    fuel: Fuel | None = None
    costs: Sequence[Table | Polynomial] = ()
    targets: Sequence[Target] = ()

    def price_list(self, outputs: Sequence[str], setpoints: Sequence[str] = ()) -> list[Price]:
        """A price per quantity: outputs, or the bill's fuel, reagent and fee; then each of `costs`."""
        price: list[Price] = [0.0] * len(outputs)
        if self.fuel is not None and self.prices:
            raise _core.InputError(
                "Objective(prices): expected none beside fuel; put a price on an output into a Polynomial"
            )
        if self.fuel is not None:
            bill = (self.fuel.fuel_price_gj, self.fuel.reagent_price_kg, self.fuel.fee_per_kg)
            price = [p if isinstance(p, pd.Series) else 1.0 for p in bill]
        for name, value in self.prices.items():
            if name in setpoints:
                raise _core.InputError(
                    f"Objective(prices): {name!r} is a setpoint, expected outputs; its price goes into "
                    f"setpoints={{{name!r}: Setpoint(price=...)}}"
                )
            price[place(name, outputs, "Objective(prices)")] = value
        return price + [1.0] * len(self.costs)

    def price_vector(self, outputs: Sequence[str]) -> list[float]:
        """The same as numbers, 0 where a price comes by time."""
        return [0.0 if isinstance(p, pd.Series) else float(p) for p in self.price_list(outputs)]

    def fuel_core(self, tags: TagMap) -> _core.FuelCost | None:
        """The bill with its tags as column numbers, or None."""
        bill = self.fuel
        if bill is None:
            return None
        where = "economic"

        def output(name: str | None) -> int:
            return -1 if name is None else place(name, tags.outputs, where)

        def price(value: Price) -> float:  # one that comes by time is in the price of its quantity
            return 1.0 if isinstance(value, pd.Series) else value

        return _core.FuelCost(
            period_s=bill.period_s if bill.period_s is not None else tags.period,
            efficiency=output(bill.efficiency),
            reagent_flow=output(bill.reagent_flow),
            fee_output=output(bill.fee_output),
            load=-1 if bill.load is None else place(bill.load, tags.disturbances, where),
            load_mw=bill.load_mw,
            fuel_price_gj=price(bill.fuel_price_gj),
            reagent_price_kg=price(bill.reagent_price_kg),
            fee_per_kg=price(bill.fee_per_kg),
        )


def economic(
    *,
    efficiency: str = "efficiency",
    load: str | None = "load",
    load_mw: float = 0.0,
    reagent_flow: str | None = "nh3_flow",
    fee_output: str | None = None,
    fuel_price_gj: Price = 3.2,
    reagent_price_kg: Price = 0.65,
    fee_per_kg: Price = 0.0,
    period_s: float | None = None,
    currency: str = "EUR",
    costs: Sequence[Table | Polynomial] = (),
    targets: Sequence[Target] = (),
) -> Objective:
    """The bill of a fired unit per row: fuel by load and efficiency, reagent by its flow, a fee by emission.

    Parameters
    ----------
    efficiency : output, net efficiency in %
    load : disturbance, MW; `load_mw` where it is None or unknown at a step
    reagent_flow : output, kg/h; None: no reagent
    fee_output : output in mg/Nm3 at 6 % O2 that a fee is paid on, per kg; None: no fee
    fuel_price_gj : per GJ of fuel, on the heating value that `efficiency` refers to
    reagent_price_kg, fee_per_kg : per kg. Each of the three prices may be a Series by time, see
        :class:`Objective`
    period_s : seconds per row; None: the tag map's period
    costs, targets : as for :class:`Objective`

    Examples
    --------
    >>> economic(fuel_price_gj=4.0).fuel.fuel_price_gj
    4.0
    """
    bill = Fuel(
        efficiency,
        load,
        load_mw,
        reagent_flow,
        fee_output,
        fuel_price_gj,
        reagent_price_kg,
        fee_per_kg,
        period_s,
    )
    return Objective(currency=currency, fuel=bill, costs=costs, targets=targets)


def place(name: str, names: Sequence[str], where: str) -> int:
    """Position of a name; InputError with near names otherwise."""
    if name not in names:
        raise _core.InputError(f"{where}: no such tag here: {name!r}{did_you_mean(name, names)}")
    return list(names).index(name)
