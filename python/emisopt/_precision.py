"""Precision by name, as estimators and programs take it."""

from emisopt import _core


def precision_of(where: str, name: str) -> _core.Precision:
    """Of "float32", "int8" or "bf16"; InputError beginning with `where` for another."""
    known = _core.Precision.__members__
    if name not in known:
        raise _core.InputError(f"{where}: expected one of {', '.join(known)}, got {name!r}")
    return known[name]
