"""Intervals of an ensemble kept at their cover by the labels that have come, each row ahead by itself."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from emisopt import _core
from emisopt._ensemble_rules import Question

Floats = NDArray[np.float64]


class Cover:
    """Adaptive conformal correction (:class:`emisopt.monitor.ConformalCorrector`) per row ahead.

    Forecasts are numbered: those of the validation rows from 0 on, the stream's from then on, one per row. A
    label h rows ahead is used from the row on at which it is known, h + delay rows after its forecast.

    Parameters
    ----------
    question : what is forecast
    issued, came : (n, H, O, Q) and (n, H, O), blends of the validation rows and their labels
    """

    def __init__(self, question: Question, issued: Floats, came: Floats) -> None:
        self.question = question
        self.validated = len(issued)
        self.cores = [_core.ConformalCorrector(self._config(h)) for h in question.leads]
        self.pending: list[Floats] = []  # (n, O) per row ahead: labels of validation rows not yet used
        for i, core in enumerate(self.cores):
            used = max(0, self.validated - core.config.delay)
            fans = np.ascontiguousarray(issued[:, i : i + 1])
            core.replay(list(range(self.validated)), fans, np.ascontiguousarray(came[:used, i]))
            self.pending.append(np.array(came[used:, i]))

    def _config(self, lead: int) -> _core.CoverageConfig:
        config = _core.CoverageConfig()
        config.outputs, config.horizon = len(self.question.tags.outputs), 1
        config.levels, config.delay = list(self.question.levels), lead - 1 + self.question.delay
        return config

    def copy(self) -> Cover:
        other = Cover.__new__(Cover)
        other.question, other.validated, other.pending = self.question, self.validated, list(self.pending)
        other.cores = [_core_from(core.to_bytes()) for core in self.cores]
        return other

    def replay(self, first: int, forecasts: Floats, truth: Floats) -> Floats:
        """Forecasts (n, H, O, Q) numbered from `first` on, a row apart, corrected as their labels (n, H, O)
        come. This one stays as it was."""
        out = np.empty_like(forecasts)
        copy = self.copy()
        for i, core in enumerate(copy.cores):
            labels = np.full((first + len(truth), truth.shape[2]), np.nan)
            begin = self.validated - len(self.pending[i])
            labels[begin : self.validated] = self.pending[i]
            labels[first:] = truth[:, i]
            numbers = list(range(first, first + len(forecasts)))
            fans = np.ascontiguousarray(forecasts[:, i : i + 1])
            out[:, i] = np.asarray(core.replay(numbers, fans, labels))[:, 0]
        return out

    # ---- the stream -------------------------------------------------------------------------------------

    def correct(self, forecast: Floats) -> Floats:
        """(H, O, Q) corrected, not remembered."""
        out = np.empty_like(forecast)
        for i, core in enumerate(self.cores):
            fan = np.ascontiguousarray(forecast[i].reshape(1, -1))
            out[i] = core.correct(fan).reshape(out[i].shape)
        return out

    def issue(self, number: int, forecast: Floats) -> None:
        """Remembers a forecast (H, O, Q) until its labels come."""
        for i, core in enumerate(self.cores):
            core.issue(number, np.ascontiguousarray(forecast[i].reshape(1, -1)))

    def arrive(self, number: int) -> None:
        """Before the forecast of this number: labels of validation rows whose time has come."""
        for i, (core, lead) in enumerate(zip(self.cores, self.question.leads, strict=True)):
            due = number - lead - self.question.delay
            begin = self.validated - len(self.pending[i])
            if begin <= due < self.validated:
                self._learn(core, due, self.pending[i][due - begin], number)

    def label(self, target: int, outputs: Floats, number: int, first: int) -> None:
        """The outputs (O) of a row that came.

        Parameters
        ----------
        target, number : of the forecasts that have this row, and the one that comes next, one row ahead
        first : oldest forecast in the same unbroken run as the row
        """
        for core, lead in zip(self.cores, self.question.leads, strict=True):
            if target - lead + 1 >= max(first, self.validated):
                self._learn(core, target - lead + 1, outputs, number)

    def _learn(self, core: _core.ConformalCorrector, number: int, outputs: Floats, now: int) -> None:
        c = core.config
        if core.covers(number) and number + c.delay < now and number + c.delay + c.lateness >= core.row:
            core.observe(number, np.ascontiguousarray(outputs), now)

    # ---- files ------------------------------------------------------------------------------------------

    def to_parts(self, prefix: str) -> dict[str, bytes]:
        about = {"validated": self.validated, "pending": [p.tolist() for p in self.pending]}
        parts = {f"{prefix}/about": json.dumps(about).encode()}
        return parts | {f"{prefix}/{i}": core.to_bytes() for i, core in enumerate(self.cores)}

    @classmethod
    def from_parts(cls, question: Question, parts: dict[str, bytes], prefix: str) -> Cover:
        """Raises emisopt.Error, ValueError, KeyError, TypeError: parts that do not fit."""
        self = cls.__new__(cls)
        about = json.loads(parts[f"{prefix}/about"])
        self.question, self.validated = question, int(about["validated"])
        outputs = len(question.tags.outputs)
        self.pending = [np.array(p, dtype=np.float64).reshape(-1, outputs) for p in about["pending"]]
        self.cores = [_core_from(parts[f"{prefix}/{i}"]) for i in range(len(question.leads))]
        for core, lead in zip(self.cores, question.leads, strict=True):
            c, wanted = core.config, self._config(lead)
            if (c.outputs, c.horizon, list(c.levels), c.delay) != (
                outputs,
                1,
                list(wanted.levels),
                wanted.delay,
            ):
                raise ValueError("its intervals are those of another forecast")
        if len(self.pending) != len(self.cores):
            raise ValueError("labels are missing")
        return self


def _core_from(content: bytes) -> _core.ConformalCorrector:
    return _core.ConformalCorrector.from_bytes(content)  # type: ignore[arg-type]  # the stub says str
