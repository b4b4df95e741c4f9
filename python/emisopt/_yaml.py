"""YAML without its surprises: no repeated keys, no words turned into truth values, errors naming fields."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import yaml

from emisopt.errors import ConfigError, did_you_mean

__all__ = ["Reader", "load"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(s|min|h|d)\s*")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MOST_VALUES = 1_000_000  # with what aliases (*name) stand for: a few lines may stand for any number


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice; YAML's own rule would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="found unhashable key", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As SafeLoader; a scalar that looks like a date or a number and is none is refused with its line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            text = f"{str(node.value)[:30]!r}: {str(error)[:100]}"
            raise yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark) from None


def load(text: str, where: str) -> object:
    """The document as Python values.

    Raises
    ------
    ConfigError : "where: line 3, column 5: ..." for text that is not YAML or repeats a key, a date or number
        that is none; lists within lists beyond measure, aliases that stand for more than a million values.
    """
    try:
        document = yaml.load(text, _Loader)  # a SafeLoader: plain values only
        _count(document, {})
        return document
    except RecursionError:
        raise ConfigError(f"{where}: lists or fields are nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{where}: {at}{problem}") from None


def _count(value: object, known: dict[int, int]) -> int:
    """How many values a document stands for; what several aliases name is looked at once."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1  # a list that holds itself never ends
        known[id(value)] = 1 + sum(
            _count(v, known) for v in (value.values() if isinstance(value, dict) else value)
        )
    if known[id(value)] > _MOST_VALUES:
        raise yaml.YAMLError(f"stands for more than {_MOST_VALUES:,} values (aliases of aliases)")
    return known[id(value)]


class Reader:
    """A mapping whose fields are taken out by type; what is wrong is refused as "where: field: ...".

    Parameters
    ----------
    data : what was read
    where : beginning of messages
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: expected fields with values, got {_describe(data)}")
        self.data, self.where = data, where

    def check_keys(self, allowed: Iterable[str]) -> None:
        """Refuses fields outside `allowed`, naming near ones."""
        allowed = list(allowed)
        for key in self.data:
            if key not in allowed:
                raise ConfigError(f"{self.where}: unknown field {key!r}{did_you_mean(str(key), allowed)}")

    def get(self, key: str, required: bool = False) -> object:
        """The value as read; None when absent."""
        if required and self.data.get(key) is None:
            raise ConfigError(f"{self.where}: field {key!r} is missing")
        return self.data.get(key)

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """A text; unquoted yes, no, on, off and numbers are refused rather than turned back into words."""
        value = self.get(key, required)
        return default if value is None else as_text(value, f"{self.where}: {key}")

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text alone is a list of one."""
        return [as_text(item, f"{self.where}: {key}") for item in self.sequence(key, scalars=True)]

    def sequence(self, key: str, *, required: bool = False, scalars: bool = False) -> list[object]:
        """A list of anything; with `scalars`, one text or number alone is a list of one."""
        value = self.get(key, required)
        if value is None:
            return []
        if scalars and isinstance(value, str | int | float):
            return [value]
        if not isinstance(value, list):
            raise ConfigError(f"{self.where}: {key}: expected a list, got {_describe(value)}")
        return value

    def number(self, key: str) -> float | None:
        """A finite number or None."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            hint = "; write it as 1.0e-3, with a point" if isinstance(value, str) and is_float(value) else ""
            raise ConfigError(f"{self.where}: {key}: expected a number, got {_describe(value)}{hint}")
        return float(value)

    def count(self, key: str) -> int:
        number = self.number(key)
        if number is None:
            return 0
        if number < 0 or number != int(number):
            raise ConfigError(f"{self.where}: {key}: expected a whole number, 0 or more, got {number:g}")
        return int(number)

    def flag(self, key: str) -> bool:
        """true or false; false when absent."""
        value = self.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise ConfigError(f"{self.where}: {key}: expected true or false, got {_describe(value)}")

    def seconds(self, key: str) -> float:
        """A time in seconds, or as text: 15 s, 5 min, 1 h, 1 d; 0 when absent."""
        value = self.get(key)
        if isinstance(value, str):
            match = _DURATION.fullmatch(value)
            if not match:
                raise ConfigError(f"{self.where}: {key}: expected seconds or e.g. '5 min', got {value!r}")
            return float(match[1]) * _SECONDS[match[2]]
        return self.number(key) or 0.0

    def section(self, key: str) -> Reader:
        """Fields below a field; empty when absent."""
        value = self.get(key)
        return Reader({} if value is None else value, f"{self.where}: {key}")


def as_text(value: object, where: str) -> str:
    """The value if it is a text, else ConfigError with what to do."""
    if isinstance(value, str):
        return value
    hint = ""
    if isinstance(value, bool):
        hint = "; YAML reads an unquoted yes, no, on or off (NO too) as true or false: put it in quotes"
    elif isinstance(value, int | float):
        hint = "; put it in quotes"
    raise ConfigError(f"{where}: expected a text, got {_describe(value)}{hint}")


def _describe(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"number {value:g}"
    if isinstance(value, str):
        return f"text {value!r}"
    return "a list" if isinstance(value, list) else "fields" if isinstance(value, Mapping) else f"{value!r}"


def is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
