"""How an ensemble comes about: members on the training rows, weights on the validation rows, members anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core
from emisopt._ensemble_members import Member, closed_form, fit_network, networks
from emisopt._ensemble_rules import NETWORK, ONLINE, Question, lengths, validation_origins
from emisopt.combination import combine, validated_weights
from emisopt.forecaster import Forecaster
from emisopt.history import to_history, to_table

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EnsembleChoice:
    """What the validation rows chose: it serves other seeds on the same rows, too.

    Attributes
    ----------
    members : names;   weights : (M, H, O), >= 0, sum 1 over the members;   steps : of the network's training
    issued, came : blend (n, H, O, Q) and labels (n, H, O) of the validation rows, where intervals are kept at
        their cover; else, and from a file, None
    """

    members: tuple[str, ...]
    weights: Floats = field(repr=False)
    steps: int
    issued: Floats | None = field(default=None, repr=False)
    came: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Recipe:
    """What members are made with, beside the rules.

    Attributes
    ----------
    network, updates, corrector : parameters that replace the rules'
    seed, threads : of networks
    """

    network: Mapping[str, Any]
    updates: Mapping[str, Any]
    corrector: Mapping[str, Any]
    seed: int
    threads: int

    def members(
        self,
        question: Question,
        names: tuple[str, ...],
        frame: pd.DataFrame,
        train: int,
        validation: int,
        steps: int,
        progress: bool,
    ) -> tuple[dict[str, Member], Forecaster | None, int]:
        """Members fitted on the first `train` rows, their network, and its number of steps: with validation
        rows the best one."""
        made: dict[str, Member] = {}
        forecaster = None
        if NETWORK in names or ONLINE in names:
            forecaster, steps = fit_network(
                question, frame, train, validation, steps=steps, seed=self.seed, threads=self.threads,
                settings=self.network, progress=progress,
            )  # fmt: skip
            made = networks(names, question, forecaster, self.updates, self.seed)
        for name in names:
            if name not in made:
                made[name] = closed_form(name, question, frame, train, self.corrector)
        return made, forecaster, steps

    def choose(
        self,
        question: Question,
        names: tuple[str, ...],
        frame: pd.DataFrame,
        train: int,
        validation: int,
        progress: bool,
    ) -> EnsembleChoice:
        """Steps and weights that served the validation rows best."""
        made, _, steps = self.members(question, names, frame, train, validation, 0, progress)
        origins = validation_origins(question, train, train + validation)
        every = question.stride == 1 and len(origins) > 1 and not question.pooled and len(question.levels) > 2
        if len(names) == 1 and not every:
            return EnsembleChoice(names, np.ones((1, *question.shape()[:2])), steps)
        spacing = int(origins[1] - origins[0]) if len(origins) > 1 else 1
        said = [m.replay(frame, int(origins[0]), int(origins[-1]) + 1, spacing) for m in made.values()]
        truth = truth_of(question, frame, origins)
        weights = validated_weights(
            truth, [f[..., question.median] for f in said], question.leads,
            span=int(origins[-1] - origins[0]) + 1,
        )  # fmt: skip
        return EnsembleChoice(
            names, weights, steps, combine(said, weights) if every else None, truth if every else None
        )

    def check(self, question: Question, names: tuple[str, ...], train: int, validation: int) -> None:
        """Refuses rows that are too few. Raises InputError."""
        least = question.furthest + question.delay
        if NETWORK in names or ONLINE in names:
            context = int(self.network.get("context", lengths(question.reach + question.delay)[0]))
            least = max(least, context + question.reach)
        if train < least:
            raise _core.InputError(
                f"EnsembleForecaster.fit(train_rows): expected at least {least} rows, a window of past and "
                f"horizon, got {train}"
            )
        if not len(validation_origins(question, train, train + validation)):
            raise _core.InputError(
                "EnsembleForecaster.fit(validation_rows): expected at least the horizon, "
                f"{question.furthest} rows, got {validation}"
            )


def parts_of(rows: int, train: int | None, validation: int | None) -> tuple[int, int]:
    """Training and validation rows. Raises InputError."""
    if validation is None:
        validation = rows // 5 if train is None else rows - train
    if train is None:
        train = rows - validation
    if not (train > 0 and validation > 0 and train + validation <= rows):
        raise _core.InputError(
            "EnsembleForecaster.fit(train_rows, validation_rows): expected both above 0 and within the "
            f"history's {rows} rows, got {train} and {validation}"
        )
    return train, validation


def truth_of(question: Question, history: pd.DataFrame, origins: NDArray[np.int64]) -> Floats:
    """(n, H, O); NaN where missing, beyond the history, or across a gap."""
    table = to_table(to_history(history, question.tags, live=True))
    return np.stack([table.target(origins, h) for h in question.leads], axis=1)
