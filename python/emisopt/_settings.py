"""Settings of a forecaster in YAML: what `emisopt tune` writes and `emisopt fit --settings` reads."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emisopt import _yaml
from emisopt.errors import ConfigError, did_you_mean
from emisopt.forecaster import Forecaster

__all__ = ["check_setting", "read_settings", "setting_names", "write_settings"]

NOT_IN_FILES = ("prior", "threads")  # an object; of the machine, not of the model


def setting_names() -> list[str]:
    """Parameters of the forecaster that a file may hold."""
    return [name for name in Forecaster().get_params() if name not in NOT_IN_FILES]


def check_setting(name: str, value: object, where: str) -> Any:
    """The value in the type of the parameter's default; ConfigError "where: NAME: expected ..., got ..."."""
    if name not in setting_names():
        raise ConfigError(f"{where}: unknown setting {name!r}{did_you_mean(name, setting_names())}")
    default = Forecaster().get_params()[name]
    wrong = f"{where}: {name}: expected "
    if name == "exceed_limits":
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(f"{wrong}fields with limits, got {value!r}")
        return value
    if name == "quantiles":
        if not isinstance(value, (list, tuple)) or not all(_is_number(v) for v in value):
            raise ConfigError(f"{wrong}a list of numbers, got {value!r}")
        return tuple(float(v) for v in value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ConfigError(f"{wrong}a word, got {value!r}")
        return value
    if not _is_number(value):
        raise ConfigError(f"{wrong}a number, got {value!r}")
    if isinstance(default, int):
        if value != int(value):  # type: ignore[call-overload]
            raise ConfigError(f"{wrong}a whole number, got {value!r}")
        return int(value)  # type: ignore[call-overload]
    return float(value)  # type: ignore[arg-type]


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Settings by name from a YAML file.

    Raises
    ------
    ConfigError : no such file, not YAML, an unknown name, a value of another type
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: not a readable file of settings: {error}") from None
    data = _yaml.load(text, str(path))
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: expected settings, a name and a value each, got {data!r:.40}")
    return {str(name): check_setting(str(name), value, str(path)) for name, value in data.items()}


def write_settings(path: str | os.PathLike[str], settings: Mapping[str, Any], heading: str) -> None:
    """Writes settings with a comment above them, in one go."""
    path = Path(path)
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
    lines = "".join(f"# {line}\n" for line in heading.splitlines())
    temporary = path.with_name(path.name + f".tmp.{os.getpid()}")
    try:
        temporary.write_text(lines + yaml.safe_dump(plain, sort_keys=True), encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
