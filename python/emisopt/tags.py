"""Tags and tag maps: what a plant's signals are called, what they are for, and how its files write them.

A tag map is written in YAML (`docs/data.md`); `TagMap.to_json` is the form that the C++ core reads and that
checkpoints carry (`csrc/emisopt/data/tag.hpp`). Both sides refuse the same maps.
"""

from __future__ import annotations

import dataclasses
import html
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emisopt import _yaml
from emisopt._fileformat import FileFormat
from emisopt._yaml import Reader
from emisopt.errors import ConfigError, MissingFileError, did_you_mean
from emisopt.units import conversion

__all__ = ["KINDS", "ROLES", "SCALES", "FileFormat", "Tag", "TagMap", "load_tagmap", "shipped_tagmaps"]

ROLES = ("setpoint", "disturbance", "emission", "quality", "cost")
KINDS = ("continuous", "categorical", "laboratory")
SCALES = ("automatic", "linear", "log")


@dataclass(frozen=True, repr=False)
class Tag:
    """One signal of a plant.

    Parameters
    ----------
    name : how it is called everywhere
    unit : of its numbers; "" for none
    role : "setpoint" (chosen by the operator), "disturbance" (measured, not chosen), "emission" or "quality"
        (forecast), "cost" (carried along, neither input nor output)
    kind : "continuous", "categorical" (one of `categories`) or "laboratory" (comes seldom and late)
    scale : "automatic", "linear" or "log": how an output is made even before learning
    low, high : physical range in `unit`, None for open; values outside count as missing
    missing : number that stands for no value, e.g. -200
    categories : names in the files, for kind "categorical"; tables hold their index
    known_ahead : a disturbance whose coming values are known (schedule, dispatch, weather forecast)
    rate : largest move of a setpoint per row, in `unit`; None for free
    frozen_after : the sensor hangs when so many rows in a row show one value: all but the first then count
        as missing; 0: never checked. The value at either end of the range is never taken for a freeze

    Raises
    ------
    ConfigError : naming tag and field, for what the core would refuse too.

    Examples
    --------
    >>> Tag("NOX", "mg/m3", "emission", low=0, high=300)
    Tag('NOX' [mg/m3], emission, 0 to 300)
    """

    name: str
    unit: str
    role: str = "disturbance"
    kind: str = "continuous"
    scale: str = "automatic"
    low: float | None = None
    high: float | None = None
    missing: float | None = None
    categories: tuple[str, ...] = ()
    known_ahead: bool = False
    rate: float | None = None
    frozen_after: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        for key in ("low", "high", "missing", "rate"):
            value = getattr(self, key)
            if value is not None and not math.isfinite(value):
                self._fail(f"{key}: expected a finite number, got {value}")
        if not self.name or not self.name.isprintable():
            self._fail(f"name: expected printable text, got {self.name!r}")
        if not self.unit.isprintable():
            self._fail(f"unit: expected printable text, got {self.unit!r}")
        for key, words in (("role", ROLES), ("kind", KINDS), ("scale", SCALES)):
            word = getattr(self, key)
            if word not in words:
                self._fail(f"{key}: expected one of {', '.join(words)}, got {word!r}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            self._fail(f"low, high: expected low < high, got {self.low:g} and {self.high:g}")
        if self.kind == "categorical":
            self._check_categorical()
        elif self.categories:
            self._fail(f"categories: expected none for kind {self.kind}, got {len(self.categories)}")
        if self.role == "setpoint" and self.kind != "continuous":
            self._fail(f"kind: a setpoint is continuous, got {self.kind}")
        if self.known_ahead and self.role != "disturbance":
            self._fail(f"known_ahead: only a disturbance is known ahead, this is {self.role}")
        if self.rate is not None and (self.role != "setpoint" or self.rate <= 0):
            self._fail(f"rate: a number above 0, for a setpoint only; got {self.rate:g} for role {self.role}")
        self._check_frozen_after()
        if self.scale == "log" and self.low is not None and self.low < 0:
            self._fail(f"scale: log needs a range that begins at 0 or above, low is {self.low:g}")

    def _check_frozen_after(self) -> None:
        rows = self.frozen_after
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0 or rows == 1:
            self._fail(f"frozen_after: expected 2 rows or more, or 0 for never, got {rows!r}")
        if rows and (self.role == "setpoint" or self.kind != "continuous"):
            self._fail(
                "frozen_after: only a continuous measurement can freeze; a setpoint, a category and a "
                "laboratory value stand still in health"
            )

    def _check_categorical(self) -> None:
        if not self.categories:
            self._fail("categories: expected at least one for kind categorical, got none")
        for category in self.categories:
            if not category or not category.isprintable():
                self._fail(f"categories: expected printable text, got {category!r}")
            if self.categories.count(category) > 1:
                self._fail(f"categories: {category!r} stands twice")
        if self.role not in ("disturbance", "cost"):
            self._fail(f"role: a categorical tag is a disturbance or a cost, got {self.role}")
        if self.low is not None or self.high is not None:
            self._fail("low, high: a categorical tag has no range; its categories say what is allowed")
        if self.scale != "automatic":
            self._fail(f"scale: a categorical tag has none, got {self.scale}")

    def _fail(self, what: str) -> None:
        raise ConfigError(f"tag {self.name!r}: {what}")

    @property
    def range_text(self) -> str:
        """'0 to 300', 'from 0', 'up to 300', 'A, B', or '' for an open range."""
        if self.categories:
            return ", ".join(self.categories)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"from {self.low:g}"
        return "" if self.high is None else f"up to {self.high:g}"

    def outside(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which of the values lie outside the physical range; NaN does not."""
        numbers = np.asarray(values, dtype=np.float64)
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return np.asarray((numbers < low) | (numbers > high))

    def __repr__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        words = [self.role, self.kind if self.kind != "continuous" else "", self.range_text]
        words += ["known ahead" if self.known_ahead else ""]
        return f"Tag({self.name!r}{unit}, {', '.join(w for w in words if w)})"


@dataclass(frozen=True, repr=False)
class TagMap:
    """The signals of a plant in column order, the time between rows, and how its files are written.

    Parameters
    ----------
    tags : in the order of a table's columns
    plant : title for people
    source : where the data comes from, licence
    synthetic : the plant is simulated
    period : seconds between rows; 0 for rows without time stamps
    file : how the historian writes (not part of `to_json`: the core never sees files)

    Raises
    ------
    ConfigError : naming tag and field.

    Examples
    --------
    >>> tags = load_tagmap("gas_turbine").with_setpoints(["TIT", "TEY"])
    >>> tags.setpoints, tags.outputs
    (['TIT', 'TEY'], ['CO', 'NOX'])
    >>> tags["NOX"].unit
    'mg/m3'
    """

    tags: tuple[Tag, ...]
    plant: str = ""
    source: str = ""
    synthetic: bool = False
    period: float = 0.0
    file: FileFormat = field(default_factory=FileFormat)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "period", float(self.period))
        if not (math.isfinite(self.period) and self.period >= 0):
            raise ConfigError(f"period: expected seconds, 0 or more, got {self.period:g}")
        if not self.tags:
            raise ConfigError("tags: expected at least one, got none")
        for name in self.names:
            if self.names.count(name) > 1:
                raise ConfigError(f"tag {name!r}: name: stands twice; names must differ")
        if self.file.time and self.period == 0:
            raise ConfigError("period: expected the seconds between rows, as there are time columns; got 0")
        self.file.check_against({tag.name: tag.unit for tag in self.tags})
        for tag in self.tags:
            unit = self.file.source(tag.name).unit
            if tag.missing is not None and unit is not None and conversion(unit, tag.unit, "") != (1, 0):
                raise ConfigError(
                    f"tag {tag.name!r}: missing: is it {tag.missing:g} {unit} or {tag.missing:g} {tag.unit}? "
                    "Its column is converted: put the file's code into file: missing"
                )

    @classmethod
    def from_yaml(cls, text: str, where: str = "tag map") -> TagMap:
        """Reads the YAML form (`docs/data.md`).

        Parameters
        ----------
        text : str
        where : beginning of error messages, usually the file's name

        Raises
        ------
        ConfigError : not YAML, or an unknown, missing, repeated or unusable field; names it.

        Examples
        --------
        >>> TagMap.from_yaml("tags: [{name: NOX, unit: mg/m3, role: emission}]").names
        ['NOX']
        """
        return cls._read(_yaml.load(text, where), where, with_file=True)

    @classmethod
    def from_json(cls, text: str) -> TagMap:
        """Reads what `to_json` and the core's `TagMap.to_json` write.

        Examples
        --------
        >>> tags = load_tagmap("gas_turbine")
        >>> TagMap.from_json(tags.to_json()).names == tags.names
        True
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"tag map: not JSON: {error}") from None
        return cls._read(data, "tag map", with_file=False)

    @classmethod
    def _read(cls, data: object, where: str, *, with_file: bool) -> TagMap:
        top = Reader(data, where)
        top.check_keys(["plant", "source", "synthetic", "period", "tags"] + ["file"] * with_file)
        items = top.sequence("tags", required=True)
        try:
            tags = []
            for i, item in enumerate(items):
                entry = Reader(item, f"{where}: tags[{i}]")
                entry.where = f"{where}: tag {entry.text('name', required=True)!r}"
                tags.append(_read_tag(entry))
            return cls(
                tags=tuple(tags),
                plant=top.text("plant", ""),
                source=top.text("source", ""),
                synthetic=top.flag("synthetic"),
                period=top.seconds("period"),
                file=FileFormat.read(top.section("file")) if with_file else FileFormat(),
            )
        except ConfigError as error:  # from the checks of Tag and TagMap, which do not know the file
            text = str(error)
            raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None

    def to_json(self) -> str:
        """JSON for `emisopt._core.TagMap.from_json`: fields at their default and `file` are left out.

        Examples
        --------
        >>> TagMap((Tag("NOX", "ppm", "emission", low=0),)).to_json()
        '{"period":0,"plant":"","source":"","synthetic":false,"tags":[{"low":0,"name":"NOX","role":"emission","unit":"ppm"}]}'
        """
        tags = []
        for tag in self.tags:
            entry: dict[str, Any] = {"name": tag.name, "unit": tag.unit, "role": tag.role}
            for item in dataclasses.fields(Tag)[3:]:
                value = getattr(tag, item.name)
                if value != item.default:
                    entry[item.name] = list(value) if isinstance(value, tuple) else _number(value)
            tags.append(entry)
        whole = {"plant": self.plant, "source": self.source, "synthetic": self.synthetic}
        whole |= {"period": _number(self.period), "tags": tags}
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def with_setpoints(self, names: Iterable[str], rate: float | None = None) -> TagMap:
        """The same map with these disturbances declared setpoints, e.g. for a what-if study.

        Parameters
        ----------
        names : tags of role disturbance (or setpoint already)
        rate : largest move per row, in each tag's own unit; None for free

        Raises
        ------
        ConfigError : an unknown name, or a tag that is no disturbance.

        Examples
        --------
        >>> load_tagmap("gas_turbine").with_setpoints(["TIT"], rate=5)["TIT"]
        Tag('TIT' [degC], setpoint, 900 to 1200)
        """
        changed = {}
        for name in [names] if isinstance(names, str) else names:
            tag = self[name]
            if tag.role not in ("disturbance", "setpoint"):
                raise ConfigError(f"with_setpoints: expected a disturbance, tag {name!r} is {tag.role}")
            new = dataclasses.replace(tag, role="setpoint", known_ahead=False)
            changed[name] = new if rate is None else dataclasses.replace(new, rate=rate)
        return self._replace(changed)

    def with_known_ahead(self, names: Iterable[str] | None = None) -> TagMap:
        """The same map with exactly these disturbances known ahead; None: all, the setting "operation known".

        Raises
        ------
        ConfigError : an unknown name, or a tag that is no disturbance.

        Examples
        --------
        >>> [t.name for t in load_tagmap("gas_turbine").with_known_ahead(["AT"]).tags if t.known_ahead]
        ['AT']
        """
        chosen = self.disturbances if names is None else [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if self[name].role != "disturbance":
                raise ConfigError(f"with_known_ahead: tag {name!r} is {self[name].role}, not disturbance")
        return self._replace(
            {name: dataclasses.replace(self[name], known_ahead=name in chosen) for name in self.disturbances}
        )

    def _replace(self, changed: dict[str, Tag]) -> TagMap:
        return dataclasses.replace(self, tags=tuple(changed.get(tag.name, tag) for tag in self.tags))

    @property
    def names(self) -> list[str]:
        """Names of all tags, in order."""
        return [tag.name for tag in self.tags]

    @property
    def setpoints(self) -> list[str]:
        """Names of the setpoints, in order."""
        return self.with_role("setpoint")

    @property
    def disturbances(self) -> list[str]:
        """Names of the disturbances, in order."""
        return self.with_role("disturbance")

    @property
    def outputs(self) -> list[str]:
        """Names of emissions and qualities, in order: what a forecaster forecasts."""
        return self.with_role("emission", "quality")

    def with_role(self, *roles: str) -> list[str]:
        """Names of the tags with one of these roles, in order."""
        return [tag.name for tag in self.tags if tag.role in roles]

    def __getitem__(self, name: str) -> Tag:
        for tag in self.tags:
            if tag.name == name:
                return tag
        raise ConfigError(f"no tag {name!r}{did_you_mean(name, self.names)}")

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[Tag]:
        return iter(self.tags)

    def __len__(self) -> int:
        return len(self.tags)

    def _title(self) -> str:
        rhythm = f"a row every {self.period:g} s" if self.period else "rows without time stamps"
        kind = ", synthetic" if self.synthetic else ""
        return f"TagMap {self.plant!r}: {len(self)} tags, {rhythm}{kind}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for tag in self.tags:
            notes = [tag.kind] if tag.kind != "continuous" else []
            notes += ["known ahead"] if tag.known_ahead else []
            notes += [f"at most {tag.rate:g} per row"] if tag.rate is not None else []
            rows.append((tag.role, tag.name, tag.unit, tag.range_text, ", ".join(notes)))
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        wide = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ("  ".join(f"{cell:<{w}}" for cell, w in zip(row, [*wide, 0], strict=True)) for row in rows)
        return "\n".join([self._title(), *(f"  {line}".rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in ("role", "tag", "unit", "range", ""))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in self._rows()
        )
        return f"<table><caption>{html.escape(self._title())}</caption><tr>{head}</tr>{body}</table>"


def _number(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
    return int(value) if whole else value


def _read_tag(entry: Reader) -> Tag:
    entry.check_keys([f.name for f in dataclasses.fields(Tag)])
    return Tag(
        name=entry.text("name", required=True),
        unit=entry.text("unit", required=True),
        role=entry.text("role", required=True),
        kind=entry.text("kind", "continuous"),
        scale=entry.text("scale", "automatic"),
        low=entry.number("low"),
        high=entry.number("high"),
        missing=entry.number("missing"),
        categories=tuple(entry.texts("categories")),
        known_ahead=entry.flag("known_ahead"),
        rate=entry.number("rate"),
        frozen_after=entry.count("frozen_after"),
    )


def shipped_tagmaps() -> list[str]:
    """Names of the tag maps that come with the package.

    Examples
    --------
    >>> shipped_tagmaps()
    ['air_quality', 'beijing_air', 'gas_turbine']
    """
    folder = resources.files("emisopt").joinpath("tagmaps")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_tagmap(name_or_path: str | Path | TagMap) -> TagMap:
    """Loads a tag map that ships with the package, or one from a YAML file.

    Parameters
    ----------
    name_or_path : a name out of `shipped_tagmaps()`, or a path; a TagMap is handed back as it is

    Raises
    ------
    MissingFileError : neither a shipped name nor a file.   ConfigError : the file's content; names the field.

    Examples
    --------
    >>> load_tagmap("air_quality").period
    3600.0
    """
    if isinstance(name_or_path, TagMap):
        return name_or_path
    shipped = shipped_tagmaps()
    if isinstance(name_or_path, str) and name_or_path in shipped:
        file = resources.files("emisopt").joinpath("tagmaps").joinpath(f"{name_or_path}.yaml")
        return TagMap.from_yaml(file.read_text(encoding="utf-8"), f"{name_or_path}.yaml")
    if not isinstance(name_or_path, str | Path):
        raise ConfigError(
            "tags: expected a TagMap, a YAML file or the name of a shipped map, got "
            f"{type(name_or_path).__name__}"
        )
    path = Path(name_or_path)
    if not path.is_file():
        near = [str(path) + end for end in (".yaml", ".yml") if Path(str(path) + end).is_file()]
        raise MissingFileError(
            f"{path}: expected a tag map file or the name of a shipped one, there is no such file"
            + (f"; did you mean {near[0]!r}?" if near else did_you_mean(str(name_or_path), shipped))
        )
    try:
        return TagMap.from_yaml(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ConfigError(f"{path}: expected YAML in UTF-8, got byte 0x{byte:02X}") from None
