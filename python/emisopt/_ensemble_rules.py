"""What an ensemble is asked for, and the rules that take the place of settings per plant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emisopt import _core
from emisopt.climatology import rows_in_a_day
from emisopt.tags import TagMap

NETWORK, ONLINE = "network", "online network"
SEASONAL, CLIMATOLOGY, CORRECTOR = "seasonal corrector", "climatology", "corrector"
MEMBERS = (NETWORK, ONLINE, SEASONAL, CLIMATOLOGY, CORRECTOR)

MOST_STEPS = 168  # of a network's horizon; beyond it the other members answer alone
MOST_LATE = 24  # the same where single rows are asked for: labels so many rows late
MOST_CONTEXT = 512
TOKENS = 96  # of a context, about
MOST_WINDOWS = 90  # that weights are found on, where windows do not overlap
MOST_TRAINING = 1500  # steps of a network

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """What is forecast, of which plant.

    Attributes
    ----------
    tags : of the plant;   leads : rows ahead, rising;   levels : of the quantiles
    delay : rows by which labels come late;   stride : rows between two forecasts
    lags : rows back at which operation matters;   utc_offset : of the plant's clock, hours
    """

    tags: TagMap
    leads: tuple[int, ...]
    levels: tuple[float, ...]
    delay: int = 0
    stride: int = 1
    lags: tuple[int, ...] = (0,)
    utc_offset: float = 0.0

    def __post_init__(self) -> None:
        where = "EnsembleForecaster"
        if not self.tags.outputs:
            raise _core.InputError(
                f"{where}.fit(tags): expected a tag with role emission or quality, {self.tags.plant!r} has "
                "none"
            )
        if not self.leads or list(self.leads) != sorted(set(self.leads)) or self.leads[0] < 1:
            raise _core.InputError(
                f"{where}(horizon): expected rows ahead >= 1, a number or rising ones, got {self.leads}"
            )
        if list(self.levels) != sorted(set(self.levels)) or 0.5 not in self.levels:
            raise _core.InputError(f"{where}(quantiles): expected rising levels with 0.5, got {self.levels}")
        if not (0 < self.levels[0] and self.levels[-1] < 1):
            raise _core.InputError(f"{where}(quantiles): expected levels within 0..1, got {self.levels}")
        for name, value, least in (("delay", self.delay, 0), ("stride", self.stride, 1)):
            if value < least:
                raise _core.InputError(f"{where}({name}): expected {least} or more rows, got {value}")

    @property
    def median(self) -> int:
        return self.levels.index(0.5)

    @property
    def furthest(self) -> int:
        return self.leads[-1]

    @property
    def season(self) -> int:
        """Rows in a day; 0 without stamps."""
        return rows_in_a_day(self.tags)

    @property
    def pooled(self) -> bool:
        """Where nothing but the outputs' own past is given, all outputs teach one network, each from its past
        alone ("channel independence", Nie et al. 2023)."""
        return len(self.tags.outputs) > 1 and len(self.tags.outputs) == len(self.tags.names)

    @property
    def reach(self) -> int:
        """The network's horizon: all rows of a window; of single rows, those that are not far. 0: none."""
        if self.delay > MOST_CONTEXT // 2:
            return 0  # its context would hold nothing of the outputs
        most = MOST_STEPS if len(self.leads) >= self.furthest // 12 else MOST_LATE
        return max((h for h in self.leads if h <= most), default=0)

    def shape(self) -> tuple[int, int, int]:
        return len(self.leads), len(self.tags.outputs), len(self.levels)


def members_of(question: Question, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Names in the order in which they stand beside each other."""
    q = question
    possible = [NETWORK] if q.reach else []
    if q.pooled:
        if q.reach == q.furthest and wanted is None:
            return tuple(possible)
    elif q.reach:
        possible.append(ONLINE)
    if q.season:
        possible += [SEASONAL, CLIMATOLOGY]
    possible.append(CORRECTOR)
    if wanted is None:
        return tuple(possible)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in possible:
            why = {
                SEASONAL: "; it needs stamps whose period divides a day",
                CLIMATOLOGY: "; it needs stamps whose period divides a day",
                ONLINE: "; outputs that share a network are frozen"
                if q.pooled
                else "; no row is near enough",
                NETWORK: "; no row is near enough",
            }.get(name, "")
            raise _core.InputError(
                f"EnsembleForecaster(members): expected some of {', '.join(possible)}, got {name!r}{why}"
            )
    if not names:
        raise _core.InputError("EnsembleForecaster(members): expected at least one, got none")
    return tuple(n for n in MEMBERS if n in names)


def lengths(horizon: int) -> tuple[int, int]:
    """Context and patch for rows ahead of the newest label: some times as many back, in about TOKENS tokens.

    Examples
    --------
    >>> lengths(24), lengths(72), lengths(168)
    ((96, 1), (432, 4), (510, 5))
    """
    context = min(4 * horizon, MOST_CONTEXT) if horizon <= MOST_LATE else min(6 * horizon, MOST_CONTEXT)
    patch = max(1, round(context / TOKENS))
    return max(TOKENS, context // patch * patch), patch


def network_settings(
    question: Question, train_rows: int, steps: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters of the Forecaster for so many training rows.

    Parameters
    ----------
    steps : to take; 0: as many as serve the validation rows best, at most MOST_TRAINING
    settings : that replace what the rules say
    """
    q = question
    context, patch = lengths(q.reach + q.delay)
    rows = train_rows * (len(q.tags.outputs) if q.pooled else 1)
    options: dict[str, Any] = {
        "context": context, "horizon": q.reach, "patch": patch, "quantiles": q.levels,
        "season": q.season if 2 * q.season <= context else 0,
        "steps": steps or MOST_TRAINING, "patience": 0 if steps else 6, "validate_every": 50,
        "rate": 2e-3 * min(1.0, math.sqrt(rows / 10_000)), "level_shift": 0.0 if q.pooled else 1.0,
        "input_shift": 0.8, "slope_shift": 0.3, "unknown_plan": 0.0, "max_delay": q.delay,
        **settings,
    }  # fmt: skip
    if len(q.levels) == 1:
        options["loss"] = "squared"
    return options


def validation_origins(question: Question, train_rows: int, fit_rows: int) -> Ints:
    """The validation rows that are forecast from; nothing behind `fit_rows` is asked for but far rows."""
    spacing = question.stride
    last = fit_rows - min(question.furthest, MOST_STEPS)
    if spacing > 1:
        spacing *= max(1, (last - train_rows) // spacing // MOST_WINDOWS)
    return np.arange(train_rows, last + 1, spacing)
