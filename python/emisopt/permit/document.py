"""Permits as documents: YAML or mappings to the core's canonical form, and the shipped ones."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from emisopt import _core, _yaml
from emisopt._format import html_table
from emisopt._yaml import Reader
from emisopt.errors import ConfigError, MissingFileError, did_you_mean
from emisopt.permit.signals import canonical_unit
from emisopt.tags import TagMap

if TYPE_CHECKING:
    from emisopt.permit.evaluation import Evaluation

__all__ = ["Permit", "load_permit", "shipped_permits"]

_PERMIT_FIELDS = ["name", "source", "zone", "signals", "defaults", "rules"]


class Permit:
    """Rules as data: what is averaged, when an average counts, what it may not exceed, where that is written.

    Made by `from_yaml`, `from_dict`, `from_json` or `load_permit`. The core checks everything; what is wrong
    is refused with the rule and the field.

    Parameters
    ----------
    core : the core's permit

    Examples
    --------
    >>> permit = Permit.from_dict({"name": "Boiler 2", "rules": [{
    ...     "name": "NOx 1 h", "pollutant": "NOx", "unit": "mg/Nm3", "limit": 200,
    ...     "base": {"length": "1 h", "validity": {"need": "quadrants"}},
    ...     "source": "permit of 2019-05-03, 4.2", "verified": True}]})
    >>> permit
    Permit('Boiler 2', 1 rule, 0 unverified)
    >>> permit["NOx 1 h"].limit_text
    '200 mg/Nm3'
    """

    def __init__(self, core: _core.Permit) -> None:
        self.core = core

    @classmethod
    def from_yaml(cls, text: str, where: str = "permit") -> Permit:
        """Reads the YAML form (docs/permit.md).

        Raises
        ------
        ConfigError : not YAML, or what `from_dict` refuses; begins with `where`.
        """
        return cls.from_dict(_yaml.load(text, where), where)

    @classmethod
    def from_dict(cls, data: object, where: str = "permit") -> Permit:
        """Reads the YAML form as mappings and lists. Lengths may be text ("30 min"); `defaults` are fields
        that every rule has unless it says otherwise, and so is the permit's `source`.

        Raises
        ------
        ConfigError : an unknown, missing or unusable field, an unknown pollutant or unit, rules that overlap;
            one line that names the rule.
        """
        top = Reader(data, where)
        top.check_keys(_PERMIT_FIELDS)
        defaults = top.get("defaults")
        defaults = {} if defaults is None else dict(Reader(defaults, f"{where}: defaults").data)
        plain: dict[str, Any] = {"name": top.text("name", required=True)}
        for key in ("source", "zone"):
            if text := top.text(key):
                plain[key] = text
        defaults = {"source": plain.get("source"), **defaults}
        plain["rules"] = [
            _plain_rule(Reader(item, f"{where}: rules[{i}]"), defaults)
            for i, item in enumerate(top.sequence("rules", required=True))
        ]
        if top.get("signals") is not None:
            plain["signals"] = [
                _plain_signal(Reader(item, f"{where}: signals[{i}]"))
                for i, item in enumerate(top.sequence("signals"))
            ]
        try:
            return cls(_core.Permit.from_json(json.dumps(plain)))
        except _core.InputError as error:
            raise ConfigError(f"{where}: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> Permit:
        """Reads what `to_json` writes."""
        return cls(_core.Permit.from_json(text))

    def to_json(self) -> str:
        """The canonical form: sorted keys, exact numbers, nothing that is at its default."""
        return str(self.core.to_json())

    @property
    def hash(self) -> str:
        """SHA-256 of `to_json`: the permit's identity in checkpoints and audit records."""
        return str(self.core.hash)

    @property
    def name(self) -> str:
        return str(self.core.name)

    @property
    def zone(self) -> str:
        """IANA name of the zone of civil days, months and years."""
        return str(self.core.zone)

    @property
    def rules(self) -> list[_core.PermitRule]:
        return list(self.core.rules)

    @property
    def unverified(self) -> list[str]:
        """Names of rules whose limit nobody has read in its source."""
        return list(self.core.unverified)

    def __getitem__(self, name: str) -> _core.PermitRule:
        for rule in self.rules:
            if rule.name == name:
                return rule
        names = [rule.name for rule in self.rules]
        raise ConfigError(f"permit {self.name!r}: no rule {name!r}{did_you_mean(name, names)}")

    def __len__(self) -> int:
        return len(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Permit) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.hash)

    def only(self, names: str | Iterable[str]) -> Permit:
        """The same permit with these rules alone.

        Raises
        ------
        InputError : a name that no rule has.
        """
        return Permit(self.core.with_rules([names] if isinstance(names, str) else list(names)))

    def evaluate(
        self,
        frame: pd.DataFrame,
        signals: Mapping[str, object] | None = None,
        *,
        tags: TagMap | str | Path | None = None,
        plant: object = None,
        status: Mapping[str, object] | None = None,
        period: float | None = None,
        zone: str | None = None,
        stamp: str = "start",
        lateness: float = 0.0,
        negative: str = "refuse",
        allow_unverified: bool = False,
        threads: int = 0,
    ) -> Evaluation:
        """Judges a table; `PermitStream` says what each argument means, and judges rows as they come.

        Parameters
        ----------
        frame : DataFrame (N, columns) with a DatetimeIndex (without a zone it is taken as UTC); NaN: missing

        Raises
        ------
        ConfigError, DataError, InputError : one line that names rule, tag, row and time.
        """
        from emisopt.permit.evaluation import PermitStream

        stream = PermitStream(
            self,
            signals,
            tags=tags,
            period=period,
            zone=zone,
            stamp=stamp,
            lateness=lateness,
            negative=negative,
            allow_unverified=allow_unverified,
            threads=threads,
        )
        return stream.judge(frame, plant=plant, status=status)

    def table(self) -> pd.DataFrame:
        """One row a rule: limit (UNVERIFIED beside it where it is), averaging, source."""
        rows = [(r.limit_text, r.pollutant, r.over, r.source, r.article) for r in self.rules]
        index = pd.Index([r.name for r in self.rules], name="rule")
        return pd.DataFrame(rows, index, ["limit", "pollutant", "over", "source", "article"])

    def explain(self) -> str:
        """All rules in words."""
        return "\n".join(f"{rule.name}\n    {rule.words}" for rule in self.rules)

    def __repr__(self) -> str:
        count = len(self)
        unverified = len(self.unverified)
        mark = f"{unverified} UNVERIFIED" if unverified else "0 unverified"
        return f"Permit({self.name!r}, {count} rule{'s' * (count != 1)}, {mark})"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.name)}</b>, {html.escape(self.hash[:12])}{html_table(self.table())}"


def shipped_permits() -> list[str]:
    """Names of the permits that come with the package.

    Examples
    --------
    >>> "swiss_lrv" in shipped_permits()
    True
    """
    folder = resources.files("emisopt.permit") / "ready"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_permit(source: str | Path | Permit) -> Permit:
    """A permit from a YAML or JSON file, a shipped one by name, or the permit itself.

    Raises
    ------
    ConfigError : what the file says is refused, or no shipped permit has this name.
    MissingFileError : no such file.

    Examples
    --------
    >>> load_permit("swiss_lrv").zone
    'Europe/Zurich'
    """
    if isinstance(source, Permit):
        return source
    path = Path(source)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeError:
            raise ConfigError(f"{path}: expected text in UTF-8") from None
        return _from_json(text, str(path)) if path.suffix == ".json" else Permit.from_yaml(text, str(path))
    names = shipped_permits()
    if str(source) not in names:
        raise ConfigError(
            f"permit: no file and no shipped permit {str(source)!r}{did_you_mean(str(source), names)}"
        )
    text = (resources.files("emisopt.permit") / "ready" / f"{source}.yaml").read_text(encoding="utf-8")
    return Permit.from_yaml(text, str(source))


def _from_json(text: str, where: str) -> Permit:
    try:
        return Permit.from_json(text)
    except _core.InputError as error:
        raise ConfigError(f"{where}: {error}") from None


def _plain_rule(rule: Reader, defaults: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**defaults, **rule.data}
    out = {str(key): value for key, value in fields.items() if value is not None or key == "limit"}
    where = f"{rule.where} ({out.get('name', '?')})"
    if isinstance(out.get("unit"), str):
        out["unit"] = canonical_unit(out["unit"])
    for key in ("base", "average"):
        if isinstance(out.get(key), Mapping) and isinstance(out[key].get("length"), str):
            part = Reader(out[key], f"{where}: {key}")
            out[key] = {**out[key], "length": part.seconds("length")}
    for key in ("from", "until"):
        if isinstance(out.get(key), date):
            out[key] = out[key].isoformat()  # YAML reads 2024-01-01 as a date
    _check_plain(out, where)
    return out


def _check_plain(value: object, where: str) -> None:
    """Refuses what JSON cannot write: infinite numbers, and objects that a mapping in Python may hold."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{where}: {key}")
    elif isinstance(value, list | tuple):
        for item in value:
            _check_plain(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, got {value}")
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise ConfigError(f"{where}: expected text, a number or true or false, got {type(value).__name__}")


def _plain_signal(signal: Reader) -> dict[str, Any]:
    out = {str(key): value for key, value in signal.data.items() if value is not None}
    if isinstance(out.get("unit"), str):
        out["unit"] = canonical_unit(out["unit"])
    _check_plain(out, signal.where)
    return out
