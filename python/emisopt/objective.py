"""What the controller is told: limits that must hold, and what a plan costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emisopt import _core
from emisopt.errors import did_you_mean
from emisopt.tags import TagMap

__all__ = ["Limit", "Objective", "Setpoint", "economic"]


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
    """

    low: float | None = None
    high: float | None = None
    rate: float | None = None
    price: float = 0.0
    move_weight: float = 0.0
    safe: float | None = None

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
            price=self.price,
            move_weight=self.move_weight,
            safe=nan if self.safe is None else self.safe,
        )


@dataclass(frozen=True)
class Fuel:
    """A fired unit's bill; see :func:`economic`."""

    efficiency: str
    load: str | None
    load_mw: float
    reagent_flow: str | None
    fee_output: str | None
    fuel_price_gj: float
    reagent_price_kg: float
    fee_per_kg: float
    period_s: float | None


@dataclass(frozen=True)
class Objective:
    """Cost per row: a price on outputs, or a fired unit's bill from :func:`economic`.

    Parameters
    ----------
    prices : output -> cost per unit and row; negative rewards
    currency : for people

    Examples
    --------
    >>> Objective({"CO": 0.4, "TEY": -1.0}).currency
    'EUR'
    """

    prices: Mapping[str, float] = field(default_factory=dict)
    currency: str = "EUR"
    fuel: Fuel | None = None

    def price_vector(self, outputs: Sequence[str]) -> list[float]:
        """Prices in the order of the outputs; with `fuel`, of the bill's entries fuel, reagent and fee."""
        if self.fuel is not None:
            return [1.0, 1.0, 1.0]
        price = [0.0] * len(outputs)
        for name, value in self.prices.items():
            price[place(name, outputs, "Objective(prices)")] = float(value)
        return price

    def fuel_core(self, tags: TagMap) -> _core.FuelCost | None:
        """The bill with its tags as column numbers, or None."""
        bill = self.fuel
        if bill is None:
            return None
        where = "economic"

        def output(name: str | None) -> int:
            return -1 if name is None else place(name, tags.outputs, where)

        return _core.FuelCost(
            period_s=bill.period_s if bill.period_s is not None else tags.period,
            efficiency=output(bill.efficiency),
            reagent_flow=output(bill.reagent_flow),
            fee_output=output(bill.fee_output),
            load=-1 if bill.load is None else place(bill.load, tags.disturbances, where),
            load_mw=bill.load_mw,
            fuel_price_gj=bill.fuel_price_gj,
            reagent_price_kg=bill.reagent_price_kg,
            fee_per_kg=bill.fee_per_kg,
        )


def economic(
    *,
    efficiency: str = "efficiency",
    load: str | None = "load",
    load_mw: float = 0.0,
    reagent_flow: str | None = "nh3_flow",
    fee_output: str | None = None,
    fuel_price_gj: float = 3.2,
    reagent_price_kg: float = 0.65,
    fee_per_kg: float = 0.0,
    period_s: float | None = None,
    currency: str = "EUR",
) -> Objective:
    """The bill of a fired unit per row: fuel by load and efficiency, reagent by its flow, a fee by emission.

    Parameters
    ----------
    efficiency : output, net efficiency in %
    load : disturbance, MW; `load_mw` where it is None or unknown at a step
    reagent_flow : output, kg/h; None: no reagent
    fee_output : output in mg/Nm3 at 6 % O2 that a fee is paid on, per kg; None: no fee
    fuel_price_gj : per GJ of fuel, on the heating value that `efficiency` refers to
    reagent_price_kg, fee_per_kg : per kg
    period_s : seconds per row; None: the tag map's period

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
    return Objective(currency=currency, fuel=bill)


def place(name: str, names: Sequence[str], where: str) -> int:
    """Position of a name; InputError with near names otherwise."""
    if name not in names:
        raise _core.InputError(f"{where}: no such tag here: {name!r}{did_you_mean(name, names)}")
    return list(names).index(name)
