"""The examples in the docstrings of the face run as they stand."""

import doctest
import importlib

import pytest

MODULES = (
    "backoff", "beside", "climatology", "combination", "_ensemble_rules", "ensemble", "online",
    "backtest", "config", "control", "forecaster", "loop", "metrics", "objective", "plants", "risk",
    "_ode_plants", "study",
    "compliance._rows", "compliance.audit", "compliance.conversion", "compliance.rata",
    "compliance.substitution", "permit.document", "permit.evaluation", "permit.signals", "permit.zones",
    "monitor.drift", "monitor.drift_monitor", "engine", "_adamw", "_architecture",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    result = doctest.testmod(importlib.import_module(f"emisopt.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
