"""emisopt.show_config and the engine's switches."""

import subprocess
import sys

import pytest

import emisopt
from emisopt import _core


def config_with(**environment: str) -> str:
    """What a fresh interpreter prints under these variables."""
    code = "import emisopt; print(emisopt.show_config())"
    import os

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_it_names_versions_and_what_runs():
    config = emisopt.show_config()
    assert config["emisopt"].startswith(emisopt.__version__)
    assert _core.isa_level().name in config["isa"]
    assert "numpy" in config
    assert config._repr_html_().count("<tr>") == len(config)


def test_a_lowered_level_says_why():
    text = config_with(EMISOPT_ISA="ref")
    assert "ref, lowered by EMISOPT_ISA=ref" in text or len(_core.isa_available()) == 1


def test_threads_follow_the_environment():
    assert "1 (EMISOPT_THREADS=1)" in config_with(EMISOPT_THREADS="1")


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (emisopt.InputError, ValueError),
        (emisopt.ShapeError, emisopt.InputError),
        (emisopt.StateError, RuntimeError),
        (emisopt.FileError, OSError),
    ],
)
def test_errors_are_what_callers_already_catch(error, parent):
    assert issubclass(error, parent)
    assert issubclass(error, emisopt.Error)
