"""Errors of the Python half: one line each that says where, what was expected, what came and what to do.

The C++ half has its own (`emisopt._core.Error` and below); both kinds are `ValueError`, `RuntimeError` or
`OSError` too, by who can mend them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "DataError", "DownloadError", "EmisoptError", "MissingFileError", "did_you_mean"]


class EmisoptError(Exception):
    """Base of the errors that the Python half raises itself."""


class ConfigError(EmisoptError, ValueError):
    """A tag map or an option is unusable: an unknown field, a wrong word, a unit that does not convert."""


class DataError(EmisoptError, ValueError):
    """A data file or table is unusable: columns, numbers, stamps, or a signal that says nothing."""


class MissingFileError(DataError, FileNotFoundError):
    """A file or folder is not where it was looked for."""

    # OSError.__str__ would show the arguments as errno and text; the line is the whole story here.
    def __str__(self) -> str:
        return str(self.args[0])


class DownloadError(EmisoptError, OSError):
    """A download failed or brought other bytes than the checksum says; nothing of it is kept."""

    def __str__(self) -> str:
        return str(self.args[0])


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a message about an unknown name: near candidates, else the list of them.

    Parameters
    ----------
    name : what came
    candidates : what would have been known

    Returns
    -------
    str: "; did you mean 'nox'?", "; known: 'a', 'b'" (at most 12), or "" without candidates.

    Examples
    --------
    >>> did_you_mean("NOXX", ["nox", "co"])
    "; did you mean 'nox'?"
    >>> did_you_mean("temperature", ["nox", "co"])
    "; known: 'nox', 'co'"
    """
    known = list(dict.fromkeys(candidates))
    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(candidate.lower(), candidate)
    wanted = name.lower()
    near = [c for low, c in by_lower.items() if min(len(low), len(wanted)) >= 2 and low.startswith(wanted)]
    near += [by_lower[low] for low in difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.65)]
    near = list(dict.fromkeys(near))[:3]
    if near:
        return "; did you mean " + " or ".join(repr(c) for c in near) + "?"
    if not known:
        return ""
    listed = ", ".join(repr(c) for c in known[:12])
    return f"; known: {listed}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")
