"""scikit-learn's own checks on the three 2-D estimators: all of them, without an expected failure."""

from __future__ import annotations

import doctest
import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from emisopt import scaler, soft_sensor, windows
from emisopt.scaler import TagScaler
from emisopt.soft_sensor import SoftSensor
from emisopt.windows import WindowMaker

ESTIMATORS = [
    TagScaler(),
    TagScaler(log="never"),
    WindowMaker(),
    WindowMaker(time=1, lags=(0, 1, 5), tolerance=0.4),
    SoftSensor(),
    SoftSensor(log_target=False, layers=2, width=8, holdout=0.0),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.filterwarnings("ignore:WindowMaker. only:UserWarning")
def test_passes_every_check_of_scikit_learn(estimator: Any) -> None:
    results = check_estimator(estimator, on_skip=None, on_fail="raise")
    assert not [r for r in results if r["expected_to_fail"] or r["status"] == "xfail"]
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    # Skipped by scikit-learn itself, for estimators that do not claim the array API.
    assert skipped <= {"check_array_api_input"}
    assert len(results) >= 40  # a tag that switched checks off would show here


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_no_tag_weakens_the_checks(estimator: Any) -> None:
    tags = estimator.__sklearn_tags__()
    assert not tags.no_validation and not tags.non_deterministic and not tags._skip_test
    assert tags.requires_fit and not tags.input_tags.positive_only


@pytest.mark.parametrize("kind", [TagScaler, WindowMaker, SoftSensor])
def test_init_takes_keywords_only_and_just_stores(kind: type) -> None:
    with pytest.raises(TypeError):
        kind("auto")
    odd = {name: object() for name in kind().get_params()}
    estimator = kind(**odd)  # checked in fit, so that clone and set_params never fail
    assert all(getattr(estimator, name) is value for name, value in odd.items())
    assert vars(estimator).keys() == odd.keys()


@pytest.mark.parametrize("module", [scaler, windows, soft_sensor], ids=lambda m: m.__name__)
def test_docstring_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(importlib.import_module(module.__name__))
    assert result.attempted >= 3 and result.failed == 0


def plant(rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Stamps in s and one input (rows, 2); an output that lags the input by two rows."""
    rng = np.random.default_rng(5)
    load = 200 + np.cumsum(rng.normal(0, 3, rows))
    nox = np.r_[load[:2], load[:-2]] * 1.5 + rng.normal(0, 1, rows)
    return np.column_stack([300.0 * np.arange(rows), load]), nox


def test_a_pipeline_of_the_three_learns_a_lag_that_a_row_alone_cannot_show() -> None:
    x, y = plant()
    chain = make_pipeline(WindowMaker(lags=4), TagScaler(), SoftSensor())
    folds = TimeSeriesSplit(3, test_size=80)
    with_past = cross_val_score(chain, x, y, cv=folds, scoring="neg_mean_absolute_error")
    alone = cross_val_score(SoftSensor(), x[:, 1:], y, cv=folds, scoring="neg_mean_absolute_error")
    assert -with_past.mean() < 0.5 * -alone.mean()
    assert -with_past.mean() < 2.0  # the noise itself costs 0.8


def test_windows_feed_other_estimators_and_grid_search() -> None:
    x, y = plant()
    chain = make_pipeline(WindowMaker(), SimpleImputer(), Ridge())
    search = GridSearchCV(chain, {"windowmaker__lags": [1, 4]}, cv=TimeSeriesSplit(3), n_jobs=1).fit(x, y)
    assert search.best_params_ == {"windowmaker__lags": 4}
    assert clone(search.best_estimator_).get_params()["windowmaker__lags"] == 4


def test_engine_threads_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = plant(100)
    single = SoftSensor(threads=1, steps=50).fit(x, y)
    monkeypatch.setitem(os.environ, "EMISOPT_THREADS", "2")
    assert SoftSensor(threads=0, steps=50).fit(x, y).theta_.tobytes() == single.theta_.tobytes()
