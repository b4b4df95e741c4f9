"""Why a decision is as it is: prices of what binds, and what else could have been done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from emisopt import _core
from emisopt._format import html_table, short
from emisopt.objective import Limit
from emisopt.tags import TagMap

if TYPE_CHECKING:
    from emisopt.decision import Decision

__all__ = ["Explanation", "explanation"]

WORDS = {
    "limit": "limit binds",
    "bound": "at its bound",
    "rate": "held back by its rate",
    "interlock": "interlock binds",
    "held": "held where it is",
}


@dataclass(frozen=True)
class Explanation:
    """What binds in a plan and what it costs, from the last quadratic program of the search.

    A price is a multiplier: what the horizon's cost would fall by if the limit were one unit wider, at the
    margin. Where a limit is given up, its price is the weight of its rank, not a market's.

    Attributes
    ----------
    reasons : DataFrame with kind (limit, bound, rate, interlock, held), name, price, unit, given_up, and the
        labels of the first and last row in which it binds
    alternatives : DataFrame, a row per plan that was not chosen: what was held (or "asked"), its first move
        by setpoint, cost over the horizon, extra (above the plan's cost, shaping included), which limits it
        breaks; forecast exactly, but found by the last linear model. Cheapest of the lawful ones first
    decision : what is explained
    """

    reasons: pd.DataFrame
    alternatives: pd.DataFrame
    decision: Decision

    def __str__(self) -> str:
        currency = self.decision.currency
        lines = [f"{self.decision.status}: why"]
        for r in self.reasons.to_dict("records"):
            price = "given up" if r["given_up"] else f"{short(r['price'])} {r['unit']}"
            lines.append(f"  {r['name']}: {WORDS[r['kind']]}, {price}, rows {r['first']} to {r['last']}")
        if not len(self.reasons):
            lines.append("  nothing binds: the plan is where the cost is least")
        for a in self.alternatives.to_dict("records"):
            what = "the move asked about" if a["held"] == "asked" else f"with {a['held']} left where it is"
            broken = f", but {a['breaks']} would not hold" if a["breaks"] else ""
            sign = "+" if a["extra"] >= 0 else ""
            lines.append(f"  {what}: {sign}{short(a['extra'])} {currency} over the horizon{broken}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return (
            f"<p><b>{escape(self.decision.status)}</b></p>"
            + html_table(self.reasons, index=False)
            + html_table(self.alternatives, index=False)
        )


def explanation(
    core: _core.Explanation, decision: Decision, tags: TagMap, limits: Sequence[Limit]
) -> Explanation:
    """The core's answer with names, units and labels."""
    index, currency = decision.plan.index, decision.currency
    units = {limit.label: tags[limit.output].unit for limit in limits}
    units.update({n: tags[n].unit for n in tags.setpoints})

    def unit(name: str) -> str:
        known = units.get(name, "")
        return f"{currency} per {known}" if known else f"{currency} per unit"

    reasons = [
        (r.kind, r.name, r.price, unit(r.name), r.given_up, index[r.first_step], index[r.last_step])
        for r in core.reasons
    ]
    alternatives = [
        {
            "held": a.held or "asked",
            **dict(zip(decision.move.index, a.move, strict=True)),
            "cost": a.cost,
            "extra": a.extra,
            "breaks": ", ".join(s.limit for s in a.slacks),
        }
        for a in core.alternatives
    ]
    return Explanation(
        reasons=pd.DataFrame(reasons, columns=["kind", "name", "price", "unit", "given_up", "first", "last"]),
        alternatives=pd.DataFrame(
            alternatives, columns=["held", *decision.move.index, "cost", "extra", "breaks"]
        ),
        decision=decision,
    )
