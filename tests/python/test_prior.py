"""emisopt.TablePrior: what it says, what it does to a forecaster, how it travels, one test per bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import emisopt
from emisopt import Forecaster, FunctionPrior, TablePrior

SMALL = {"context": 24, "horizon": 12, "width": 16, "heads": 2, "layers": 1, "warmup": 5}


def rough_nox(o2_sp, load):
    return 40 + 30 * o2_sp + 0.2 * load


@pytest.fixture(scope="module")
def prior():
    return TablePrior.from_functions({"nox": rough_nox}, o2_sp=[2, 3, 4, 6], load=[100, 300, 600])


@pytest.fixture(scope="module")
def fitted(boiler_history, prior):
    history, tags = boiler_history
    return Forecaster(**SMALL, steps=30, prior=prior).fit(history, tags=tags, train_rows=900, progress=False)


def test_a_table_says_what_its_function_says_between_and_beyond_the_points(prior, boiler_history):
    history, tags = boiler_history
    said = prior.values(history.head(300), tags)
    expected = rough_nox(history["o2_sp"], history["load"]).head(300)
    np.testing.assert_allclose(said["nox"], expected, rtol=1e-9)
    assert said["co"].isna().all()
    assert prior.values(history.head(2).drop(columns="load"), tags)["nox"].isna().all()


def test_the_first_forecast_moves_with_the_prior(prior, boiler_history, now):
    history, tags = boiler_history
    still = {**SMALL, "steps": 1, "rate": 1e-12}
    plain = Forecaster(**still).fit(history, tags=tags, train_rows=900, progress=False)
    known = Forecaster(**still, prior=prior).fit(history, tags=tags, train_rows=900, progress=False)
    past, plan, ahead = now
    more = plan.copy()
    more["o2_sp"] = plan["o2_sp"] + 0.5
    lifts = [
        f.predict(past, more, ahead)["nox", 0.5] - f.predict(past, plan, ahead)["nox", 0.5]
        for f in (plain, known)
    ]
    np.testing.assert_allclose(lifts[0], 0, atol=1e-5)
    lift = lifts[1]
    slope = known.jacobian(past, plan, ahead).step_response()["nox", "o2_sp"]
    assert (lift > 1).all()
    np.testing.assert_allclose(lift, 0.5 * slope, rtol=0.2)  # the output is in log scale: nearly linear


def test_it_travels_with_the_checkpoint_the_clone_and_the_pickle(fitted, prior, now, tmp_path):
    fitted.save(tmp_path / "m.safetensors")
    loaded = Forecaster.load(tmp_path / "m.safetensors")
    expected = fitted.predict(*now)
    pd.testing.assert_frame_equal(loaded.predict(*now), expected, check_exact=True)
    copied = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(copied.predict(*now), expected, check_exact=True)
    axes, values = loaded.prior.tables["nox"]
    np.testing.assert_array_equal(values, prior.tables["nox"][1])
    assert list(axes) == ["o2_sp", "load"]
    assert clone(fitted).prior is not None
    assert Forecaster().prior is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TablePrior({}), "got nothing"),
        (lambda: TablePrior({"nox": [1, 2]}), r"expected \(\{tag: points\}, values\)"),
        (lambda: TablePrior({"nox": ({"o2_sp": [1, 2]}, [1, 2, 3])}), r"values of shape \(2,\)"),
        (lambda: TablePrior({"nox": ({"o2_sp": ["a", "b"]}, [1, 2])}), "of numbers"),
        (lambda: TablePrior.from_functions({"nox": rough_nox}, o2_sp=[1, 2]), "got none of load"),
        (lambda: TablePrior.from_functions({"nox": lambda: 1}), "got none of any"),
    ],
)
def test_tables_that_are_none_are_refused(make, message):
    with pytest.raises(emisopt.InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (TablePrior({"nxo": ({"o2_sp": [1, 2]}, [1, 2])}), "expected the name of an output, got 'nxo'"),
        (TablePrior({"nox": ({"o3": [1, 2]}, [1, 2])}), "as axis, got 'o3'"),
        (TablePrior({"nox": ({"o2_sp": [2, 1]}, [1, 2])}), "expected rising numbers"),
        (TablePrior({"nox": ({"o2_sp": [1, 2]}, [1, np.nan])}), "expected finite values"),
        (FunctionPrior("nowhere"), "expected the name of a registered prior, got 'nowhere'"),
    ],
)
def test_priors_that_do_not_fit_the_plant_are_refused(boiler_history, prior, message):
    history, tags = boiler_history
    with pytest.raises(emisopt.InputError, match=message):
        Forecaster(**SMALL, steps=1, prior=prior).fit(history, tags=tags, train_rows=900, progress=False)
