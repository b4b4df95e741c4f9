"""A small plant history and a forecaster trained on it for a second: what most tests of the face look at."""

from __future__ import annotations

import pytest

import emisopt
from no_skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401  hooks of this folder


@pytest.fixture(scope="session")
def boiler_history():
    """Ten days of the synthetic boiler (2880 rows) and its tag map."""
    return emisopt.plants.Boiler(seed=5).simulate_history(days=10)


@pytest.fixture(scope="session")
def small_forecaster(boiler_history):
    """context 24, horizon 12; trained on the first 2000 rows, 200 for validation."""
    history, tags = boiler_history
    forecaster = emisopt.Forecaster(
        context=24, horizon=12, width=16, heads=2, layers=1, steps=300, warmup=20, validate_every=100, seed=3
    )
    return forecaster.fit(history, tags=tags, train_rows=2000, validation_rows=200, progress=False)


@pytest.fixture
def now(boiler_history):
    """(history up to row 2500, plan, known) with the plan and schedule that followed it."""
    history, tags = boiler_history
    ahead = history.iloc[2500:2512]
    return history.iloc[:2500], ahead[tags.setpoints], ahead[["load", "ambient", "fuel_grade"]]
