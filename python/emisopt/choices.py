"""What was chosen by measurement, kept as data: algorithms of products on a GPU, and whether CPU or GPU.

A measurement differs from run to run, and with it the last bits of what is computed. So a choice is made
once, written to a file, and taken from there by every later process: `deterministic=True` then measures
nothing. Each choice names all that it depends on (GPU, driver, cuBLASLt, shapes); one of another machine is
not looked at.
"""

from __future__ import annotations

import json
import os
from typing import Any

from emisopt import _core

__all__ = ["clear", "load", "read", "save"]


def save(path: str | os.PathLike[str]) -> None:
    """Writes all choices of this process to a file, whole or not at all.

    Raises
    ------
    FileError : the file cannot be written.
    """
    _core.save_choices(os.fspath(path))


def load(path: str | os.PathLike[str]) -> None:
    """Takes the choices of a file, over this process's own of the same case.

    Raises
    ------
    FileError : the file is missing, torn, or no file of choices; those of this process stay as they were.
    """
    _core.load_choices(os.fspath(path))


def clear() -> None:
    """Forgets all choices: the next program measures anew, where measuring is asked for."""
    _core.clear_choices()


def read() -> list[dict[str, Any]]:
    """The choices of this process: {"of": what was to be chosen, "is": the choice, with its seconds}.

    Examples
    --------
    >>> from emisopt import choices
    >>> choices.clear()
    >>> choices.read()
    []
    """
    found: list[dict[str, Any]] = json.loads(_core.choices_json())["choices"]
    return found
