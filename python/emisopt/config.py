"""What this installation is: versions, instruction set, threads, device, and why not more."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from emisopt import _core, _nvidia

__all__ = ["Config", "show_config"]

_LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "matplotlib", "typer", "rich", "PyYAML")


class Config(dict[str, str]):
    """Names and texts, printed as aligned lines; a table in a notebook."""

    def __str__(self) -> str:
        wide = max(map(len, self), default=0)
        return "\n".join(f"{name:<{wide}}  {text}" for name, text in self.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{n}</th><td>{t}</td></tr>" for n, t in self.items())
        return f"<table>{rows}</table>"


def _isa() -> str:
    level, available = _core.isa_level(), _core.isa_available()
    names = ", ".join(i.name for i in available)
    if level != available[-1]:
        return f"{level.name}, lowered by EMISOPT_ISA={os.environ.get('EMISOPT_ISA')} (could be: {names})"
    return f"{level.name} (available: {names})"


def _threads() -> str:
    asked = os.environ.get("EMISOPT_THREADS")
    source = f"EMISOPT_THREADS={asked}" if asked else "all that the machine has; EMISOPT_THREADS sets it"
    return f"{_core.default_threads()} ({source})"


def _device() -> str:
    why = _core.cuda_refusal()
    if why:
        return f"cpu; cuda cannot be used: {why}"
    return f'cpu; fit(device="cuda") can be used: {_nvidia.versions(_core.__file__)}'


def show_config() -> Config:
    """Versions, instruction-set level, threads and device in use, with the reason where it could be more.

    Returns
    -------
    Config : a dict of texts; `print(emisopt.show_config())` shows it line by line.

    Examples
    --------
    >>> import emisopt
    >>> "threads" in emisopt.show_config()
    True
    """
    config = Config()
    config["emisopt"] = f"{_core.__version__} ({os.path.dirname(_core.__file__)})"
    config["python"] = f"{platform.python_version()} ({sys.executable})"
    config["platform"] = f"{platform.system()} {platform.machine()}"
    config["isa"] = _isa()
    config["threads"] = _threads()
    config["device"] = _device()
    for library in _nvidia.LIBRARIES:
        config[library] = _nvidia.describe(library)
    for library in _LIBRARIES:
        try:
            config[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            config[library] = "not installed"
    return config
