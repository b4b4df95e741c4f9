"""The report of a transfer: a table per step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

import pandas as pd

from emisopt._format import html_table, short

__all__ = ["TransferReport"]

TITLES = {
    "domains": "Domains: which tag stands for which",
    "data": "Data of the target",
    "features": "Features that the two have in common",
    "source": "The source on the target, validation rows: mean absolute error in standard deviations",
    "copy": "Weights copied",
    "fine-tuning": "Fine-tuning",
    "test": "Test on the validation rows",
}


@dataclass(frozen=True)
class TransferReport:
    """What each of the seven steps found.

    Attributes
    ----------
    source, target : the plants' names
    steps : name of the step -> DataFrame, in order
    notes : remarks on steps, and the seconds of all
    """

    source: str
    target: str
    steps: Mapping[str, pd.DataFrame]
    notes: Mapping[str, str]

    def frame(self, step: str) -> pd.DataFrame:
        """The table of one step.

        Raises
        ------
        KeyError
        """
        if step not in self.steps:
            raise KeyError(
                f"TransferReport.frame(step): expected one of {', '.join(self.steps)}, got {step!r}"
            )
        return self.steps[step].copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __str__(self) -> str:
        lines = [f"Transfer from {self.source} to {self.target}"]
        for number, (name, table) in enumerate(self.steps.items(), 1):
            lines += ["", f"{number}. {TITLES[name]}"]
            if name in self.notes:
                lines.append(self.notes[name])
            if len(table):
                lines.append(table.to_string(float_format=short))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<h4>Transfer from {escape(self.source)} to {escape(self.target)}</h4>"]
        for number, (name, table) in enumerate(self.steps.items(), 1):
            note = f"<p>{escape(self.notes[name])}</p>" if name in self.notes else ""
            parts.append(f"<p><b>{number}. {escape(TITLES[name])}</b></p>{note}")
            if len(table):
                parts.append(html_table(table))
        return "".join(parts)
