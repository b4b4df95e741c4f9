"""The learner's face: tables in, tables out, refusals in one line. What it learns is tested in C++."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from emisopt import (
    Blend,
    Corrector,
    DataError,
    FileError,
    Forecaster,
    InputError,
    OnlineLearner,
    plants,
    run_online,
)

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


@pytest.fixture(scope="module")
def long_context(boiler) -> Forecaster:
    """A context longer than the longest delay: else every label in it would still be hidden."""
    history, forecaster = boiler
    f = Forecaster(context=192, patch=8, horizon=6, width=16, heads=2, steps=20, batch=16, max_delay=168)
    return f.fit(history, tags=forecaster.tags_, train_rows=PAST - 200, progress=False)


@pytest.mark.parametrize("beside", [False, True], ids=["network", "with corrector"])
@pytest.mark.parametrize("delay", [0, 24, 168])
def test_a_label_reaches_forecasts_exactly_when_its_delay_has_passed(boiler, long_context, delay, beside):
    history, first, last = boiler[0], PAST - 100, PAST + 110
    outputs = [history.columns.get_loc(n) for n in long_context.outputs_]
    settings = {"delay": delay, "every": 8, "memory": 64, "recent_rows": 60, "batch": 8, "threads": 1}
    if beside:
        settings |= {"corrector": Corrector(window=40, waves=10), "blend": Blend(np.full((6, 6), 0.5))}
    run = run_online(long_context, history, first, last, **settings)
    assert np.isfinite(run.quantiles).all() and run.reports["accepted"].any()
    for cut in (first + 1, first + 30):
        rng, noise = np.random.default_rng(cut), history.copy()
        noise.iloc[cut:, outputs] *= rng.uniform(0.8, 1.2, size=(len(history) - cut, len(outputs)))
        noise.iloc[cut + 1 :: 7, outputs] = np.nan
        other = run_online(long_context, noise, first, last, **settings)
        same = (run.quantiles == other.quantiles).all(axis=(1, 2, 3))
        assert (
            run.origins[np.argmin(same)] == cut + 1 + delay
        )  # the first that may have read the label of `cut`


def test_without_the_operation_no_coming_row_reaches_a_forecast(boiler):
    history, forecaster = boiler
    rng = np.random.default_rng(0)
    numeric = [history.columns.get_loc(n) for n in history.select_dtypes("number").columns]
    settings = {"every": 8, "memory": 64, "recent_rows": 100, "threads": 1, "operation_known": False}
    run = run_online(forecaster, history, PAST, PAST + 80, **settings)
    for cut in (PAST + 1, PAST + 33, PAST + 62):
        noise = history.copy()
        noise.iloc[cut:, numeric] *= rng.uniform(0.8, 1.2, size=(len(history) - cut, len(numeric)))
        other = run_online(forecaster, noise, PAST, PAST + 80, **settings)
        same = (run.quantiles == other.quantiles).all(axis=(1, 2, 3))
        assert run.origins[np.argmin(same)] == cut + 1  # the forecast from row `cut` has seen the rows before


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
        ({"l2sp": -1.0}, "OnlineConfig.l2sp: expected 0 or a positive number, got -1"),
        ({"ewc": -1.0}, "OnlineConfig.ewc"),
        ({"distill": np.nan}, "OnlineConfig.distill"),
        ({"update": "some"}, "expected one of full, lora, head"),
        ({"update": "lora", "ewc": 1.0}, "OnlineConfig.ewc"),
        ({"replay": 2.0}, "OnlineConfig.replay"),
        ({"every": 0}, "OnlineConfig.every"),
    ],
)
def test_settings_out_of_range_are_named(boiler, settings, text):
    with pytest.raises(InputError, match=text):
        learner(boiler, **settings)


def test_a_past_of_other_tags_or_without_a_window_is_refused(boiler):
    history, forecaster = boiler
    with pytest.raises(DataError, match=r"OnlineLearner\(past\).*nox"):
        OnlineLearner(forecaster, history[:PAST].drop(columns="nox"))
    with pytest.raises(InputError, match="at least one window of 24 \\+ 6 unbroken rows with known labels"):
        OnlineLearner(forecaster, history[:20])
    empty = history[:PAST].copy()
    empty[list(forecaster.outputs_)] = np.nan
    with pytest.raises(InputError, match="with known labels, got none in 900 rows"):
        OnlineLearner(forecaster, empty)


def test_a_loss_that_is_no_number_is_reported_and_the_weights_are_kept(boiler):
    online = learner(boiler, rate=1e30, clip=0.0, steps=4, guard=0)
    weights = online.forecaster.core_.theta.copy()
    reports = online.observe(boiler[0][PAST : PAST + 24])
    assert not reports["accepted"].any()
    assert reports["reason"].str.contains("not finite at step 2 in a batch of 32 windows with targets").all()
    assert online.version == 1
    np.testing.assert_array_equal(online.forecaster.core_.theta, weights)


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
