"""The learner's face: tables in, tables out, refusals in one line. What it learns is tested in C++."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from emisopt import FileError, Forecaster, InputError, OnlineLearner, plants, run_online

PAST = 900


@pytest.fixture(scope="module")
def boiler() -> tuple[pd.DataFrame, Forecaster]:
    history, tags = plants.Boiler(seed=5).simulate_history(days=4)
    forecaster = Forecaster(context=24, horizon=6, width=16, heads=2, steps=60, seed=1)
    return history, forecaster.fit(history, tags=tags, train_rows=PAST, progress=False)


def learner(boiler: tuple[pd.DataFrame, Forecaster], **settings: object) -> OnlineLearner:
    history, forecaster = boiler
    options = {"every": 12, "memory": 128, "recent_rows": 200, "threads": 1, **settings}
    return OnlineLearner(forecaster, history[:PAST], **options)


def test_reports_have_every_term(boiler):
    online = learner(boiler, distill=0.5, ewc=1e-4, pace=1.0)
    reports = online.observe(boiler[0][PAST : PAST + 60])
    assert len(reports) == 5 and len(online.reports) == 5
    for term in ("recent_loss", "replay_loss", "l2sp", "ewc", "distill", "gradient_norm", "guard_after"):
        assert np.isfinite(reports[term]).all() and (reports[term] > 0).all(), term
    assert online.version == 1 + reports["accepted"].sum()
    assert "updates" in repr(online) and "<table" in online._repr_html_()


def test_predicts_by_the_weights_that_serve(boiler):
    history, forecaster = boiler
    online = learner(boiler)
    before = online.predict()
    pd.testing.assert_frame_equal(before, forecaster.predict(history[:PAST]), check_freq=False)
    online.observe(history[PAST : PAST + 48])
    after = online.predict()
    frozen = forecaster.predict(history[: PAST + 48])
    assert after.index.equals(frozen.index)
    assert not np.allclose(after.to_numpy(), frozen.to_numpy(), rtol=1e-6)


def test_late_labels_in_pieces_give_the_bits_of_the_prequential_run(boiler):
    history, forecaster = boiler
    delay = 7
    settings = {"delay": delay, "every": 12, "memory": 128, "recent_rows": 200, "threads": 1}
    run = run_online(forecaster, history, PAST, PAST + 50, operation_known=False, **settings)
    outputs = list(forecaster.outputs_)
    past = history[:PAST].copy()
    past.iloc[-delay:, [past.columns.get_loc(n) for n in outputs]] = np.nan
    online = OnlineLearner(forecaster, past, **settings)
    for k in range(PAST, PAST + 50):
        online.observe(history[k : k + 1].drop(columns=outputs))
        online.label(history[outputs][k - delay : k - delay + 1], k - delay)
    pd.testing.assert_frame_equal(
        online.reports.drop(columns="seconds"), run.reports.drop(columns="seconds"), check_exact=True
    )


def test_forecasts_know_nothing_of_what_comes(boiler):
    history, forecaster = boiler
    rng = np.random.default_rng(0)
    numeric = history.select_dtypes("number").columns
    for delay in (0, 5):
        settings = {"delay": delay, "every": 8, "memory": 64, "recent_rows": 100, "threads": 1}
        run = run_online(forecaster, history, PAST, PAST + 80, operation_known=False, **settings)
        for cut in (PAST + 1, PAST + 33, PAST + 62):
            noise = history.copy()
            factor = rng.uniform(0.8, 1.2, size=(len(history) - cut, len(numeric)))
            noise.iloc[cut:, [history.columns.get_loc(n) for n in numeric]] *= factor
            other = run_online(forecaster, noise, PAST, PAST + 80, operation_known=False, **settings)
            upto = cut - PAST + 1  # the forecast from row `cut` has seen the rows before it
            np.testing.assert_array_equal(run.quantiles[:upto], other.quantiles[:upto])
            assert (run.quantiles[upto:] != other.quantiles[upto:]).any()


def test_early_labels_are_refused(boiler):
    history, _ = boiler
    online = learner(boiler, delay=4)
    with pytest.raises(InputError, match="label comes 4 rows later"):
        online.observe(history[PAST : PAST + 1])
    online.observe(history[PAST : PAST + 1].drop(columns=list(boiler[1].outputs_)))
    with pytest.raises(InputError, match=f"may come from row {PAST + 4} on"):
        online.label(history[PAST : PAST + 1], PAST)
    with pytest.raises(InputError, match="columns"):
        online.label(history[["nox"]][:1], PAST - 4)


def test_time_that_goes_back_is_refused_and_nothing_is_taken(boiler):
    online = learner(boiler)
    rows = online.rows
    with pytest.raises(InputError, match="time does not rise"):
        online.observe(boiler[0][PAST - 5 : PAST - 4])
    assert online.rows == rows


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"l2sp": -1.0}, "OnlineConfig.l2sp"),
        ({"update": "some"}, "expected one of full, lora, head"),
        ({"update": "lora", "ewc": 1.0}, "OnlineConfig.ewc"),
        ({"replay": 2.0}, "OnlineConfig.replay"),
        ({"every": 0}, "OnlineConfig.every"),
    ],
)
def test_settings_out_of_range_are_named(boiler, settings, text):
    with pytest.raises(InputError, match=text):
        learner(boiler, **settings)


def test_rollback_serves_an_old_version(boiler):
    history, _ = boiler
    online = learner(boiler)
    online.observe(history[PAST : PAST + 24])
    version, weights = online.version, online.forecaster.core_.theta.copy()
    online.observe(history[PAST + 24 : PAST + 48])
    assert (online.forecaster.core_.theta != weights).any()
    assert online.rollback(version) == online.version
    np.testing.assert_array_equal(online.forecaster.core_.theta, weights)
    with pytest.raises(InputError, match="versions kept"):
        online.rollback(99)


def test_a_file_goes_on_to_the_same_bits(boiler, tmp_path):
    history, _ = boiler
    one = learner(boiler, update="lora", rank=2)
    one.observe(history[PAST : PAST + 40])
    one.save(tmp_path / "learner.safetensors")
    two = OnlineLearner.load(tmp_path / "learner.safetensors")
    a = one.observe(history[PAST + 40 : PAST + 80]).drop(columns="seconds")
    b = two.observe(history[PAST + 40 : PAST + 80]).drop(columns="seconds")
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    with pytest.raises(FileError):
        OnlineLearner.load(tmp_path / "none.safetensors")


def test_frozen_remembers_but_does_not_learn(boiler):
    online = learner(boiler, learn=False)
    assert len(online.observe(boiler[0][PAST : PAST + 60])) == 0
    assert online.version == 1 and online.rows == PAST + 60
