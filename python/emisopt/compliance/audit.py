"""Audit records: what was evaluated, by which rule, with which result; checked again whenever somebody asks.

A log is a file of records, one line of canonical JSON each, every one holding the hash of the one before. A
record holds hashes of the raw values themselves. See docs/compliance.md for what that proves and what it does
not.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from emisopt import _core
from emisopt.compliance._rows import Floats, vector

__all__ = ["AuditLog", "AuditRecord"]

Inputs: TypeAlias = "pd.DataFrame | Mapping[str, ArrayLike]"


class AuditRecord:
    """One record of a log, read-only.

    Attributes
    ----------
    sha256, previous : hashes of this record and of the one before ("" for the first)
    sequence : its place in the log, from 0
    subject, maker : what was judged, and what judged it
    made : datetime, UTC
    inputs : names of the columns that were hashed
    rule, result : as they were recorded
    """

    def __init__(self, core: _core.AuditRecord) -> None:
        self._core = core
        fields = cast("dict[str, Any]", json.loads(core.json))
        self.sha256, self.previous, self.sequence = core.sha256, core.previous, core.sequence
        self.subject, self.maker = str(fields["subject"]), str(fields["maker"])
        self.made = dt.datetime.fromtimestamp(fields["made_s"], dt.timezone.utc)
        self.inputs = [str(column["name"]) for column in fields["inputs"]]
        self.rule, self.result = fields["rule"], fields["result"]

    def verify(
        self,
        inputs: Inputs | None = None,
        evaluate: Callable[[Any], object] | None = None,
        *,
        tolerance: float = 0.0,
    ) -> list[str]:
        """Checks the record against itself, against data, and against an evaluation of today.

        Parameters
        ----------
        inputs : the data as in :meth:`AuditLog.append`; None: not compared
        evaluate : called with the rule on record, returns the result of today; None: not evaluated. It is not
            asked when record or data differ, because its answer would then say nothing.
        tolerance : relative difference that numbers of the result may have

        Returns
        -------
        list of str: what differs, each by its name; empty when all agrees.
        """
        found = self._core.verify()
        if inputs is not None:
            found += self._core.verify_inputs(_columns(inputs))
        if evaluate is not None and not found:
            found = self._core.verify_result(_json(evaluate(self.rule), "result"), tolerance)
        return found

    def __repr__(self) -> str:
        made = f"{self.made:%Y-%m-%d %H:%M:%S} UTC"
        return f"AuditRecord({self.sequence}, {self.subject!r}, {made}, {self.sha256[:12]})"


class AuditLog:
    """A file of chained audit records.

    Parameters
    ----------
    path : the file; it is made by the first :meth:`append`. One writer at a time.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> log = AuditLog(pathlib.Path(folder.name) / "audit.jsonl")
    >>> data = {"nox": np.array([180.0, 190.0, np.nan])}
    >>> rule = {"name": "NOx 1 h", "limit": 200}
    >>> def judge(rule):
    ...     mean = float(np.nanmean(data["nox"]))
    ...     return {"mean": mean, "met": mean <= rule["limit"]}
    >>> record = log.append("stack 1", data, rule=rule, result=judge(rule))
    >>> record.verify(data, judge), log.verify()
    ([], [])
    >>> data["nox"][1] = 189.0
    >>> record.verify(data, judge)
    ["input 'nox': other values within rows 0 to 2"]
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def append(
        self,
        subject: str,
        inputs: Inputs,
        *,
        rule: object,
        result: object,
        made: dt.datetime | None = None,
    ) -> AuditRecord:
        """Adds a record; the file is replaced as a whole, so a crash leaves the old log or the new one.

        Parameters
        ----------
        subject : what was judged, e.g. "stack 1, NOx, November 2026"
        inputs : the raw data: columns (n,) of numbers. A DataFrame's index is hashed as column "index",
            stamps as seconds (UTC where there is a time zone).
        rule : a `Permit` (the record then holds its hash), or JSON text, or objects that JSON can write
        result : an `Evaluation`, or likewise; NaN becomes null, stamps ISO 8601 text
        made : with a time zone; None: now

        Raises
        ------
        InputError : a column that is no numbers, a rule that JSON cannot write, a log whose last record does
            not verify.   FileError : the file cannot be read or written
        """
        if made is not None and made.tzinfo is None:
            raise _core.InputError("AuditLog.append(made): expected a time zone, got none")
        line = _core.append_audit_record(
            str(self.path),
            subject,
            f"emisopt {_core.__version__}",
            time.time() if made is None else made.timestamp(),
            _columns(inputs),
            _json(rule, "rule"),
            _json(result, "result"),
        )
        return AuditRecord(_core.AuditRecord(line))

    def records(self) -> list[AuditRecord]:
        """All records; none without a file.

        Raises
        ------
        InputError : a line that is no record at all.   FileError : the file cannot be read
        """
        return [AuditRecord(r) for r in _core.read_audit_log(str(self.path))] if self.path.exists() else []

    @property
    def head(self) -> str:
        """Hash of the last record, "" without one; kept elsewhere, it shows a log cut or rewritten."""
        records = self.records()
        return records[-1].sha256 if records else ""

    def verify(self, head: str = "") -> list[str]:
        """Every record against itself and the one before; `head` from an earlier look, if there was one.

        Raises
        ------
        FileError : the file cannot be read
        """
        return _core.verify_audit_file(str(self.path), head)


def _columns(inputs: Inputs) -> list[tuple[str, Floats]]:
    columns: list[tuple[str, Floats]] = []
    if isinstance(inputs, pd.DataFrame):
        columns.append(("index", _stamps(inputs.index)))
        pairs = [(str(name), inputs.iloc[:, i]) for i, name in enumerate(inputs.columns)]
    else:
        pairs = [(str(name), values) for name, values in inputs.items()]
    return columns + [(name, vector(values, f"audit input {name!r}")) for name, values in pairs]


def _stamps(index: pd.Index) -> Floats:
    if isinstance(index, pd.DatetimeIndex):
        return np.asarray(index.as_unit("us").asi8 / 1e6, dtype=np.float64)
    return vector(index.to_numpy(), "audit input 'index'")


def _json(value: object, what: str) -> str:
    """JSON text; text is taken for JSON as it stands."""
    if isinstance(value, str):
        return value
    if hasattr(value, "to_json") and not isinstance(value, pd.DataFrame | pd.Series):
        return str(value.to_json())  # a permit, an evaluation
    try:
        return json.dumps(_plain(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _core.InputError(f"AuditLog.append({what}): expected what JSON can write: {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return {str(name): _plain(value[name]) for name in value.columns}
    if isinstance(value, (list, tuple, np.ndarray, pd.Series, pd.Index)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (dt.datetime, dt.date)):
        return None if pd.isna(cast("Any", value)) else value.isoformat()
    return value
