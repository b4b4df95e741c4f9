"""A corrector beside the network: shares found on validation rows and held; one learner, one file."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt import (
    Blend,
    Corrector,
    FileError,
    Forecaster,
    InputError,
    OnlineLearner,
    ShapeError,
    blend_weights,
    choose_blend,
    plants,
    run_online,
)
from emisopt.combination import blocks
from emisopt.tags import TagMap

TRAIN, PAST = 700, 900
SETTINGS = {"every": 12, "memory": 64, "recent_rows": 150, "threads": 1}
CORRECTOR = Corrector(window=80, waves=20)


@pytest.fixture(scope="module")
def boiler() -> tuple[pd.DataFrame, Forecaster]:
    history, tags = plants.Boiler(seed=5).simulate_history(days=4)
    forecaster = Forecaster(context=24, horizon=6, width=16, heads=2, steps=60, seed=1)
    return history, forecaster.fit(history, tags=tags, train_rows=TRAIN, progress=False)


@pytest.fixture(scope="module")
def rows_without_stamps() -> tuple[pd.DataFrame, Forecaster]:
    history, tags = plants.Boiler(seed=6).simulate_history(days=4)
    history = history.reset_index(drop=True)
    sampled = tuple(t for t in tags if t.kind != "laboratory")  # else their newest sample may lie far back
    tags = TagMap(sampled, plant=tags.plant, source=tags.source, synthetic=True)
    forecaster = Forecaster(context=24, horizon=6, width=16, heads=2, steps=30, seed=1)
    return history, forecaster.fit(history, tags=tags, train_rows=TRAIN, progress=False)


def half(forecaster: Forecaster) -> Blend:
    return Blend(np.full((6, len(forecaster.outputs_)), 0.5))


# ---- the shares -----------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_a_blend_errs_no_more_than_its_parts_and_cannot_cross(outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(40, 5, outputs))
    parts = [np.sort(truth[..., None] + rng.normal(rng.normal(), 1, size=(40, 5, outputs, 3))) for _ in "ab"]
    blend = Blend.fit(truth, *(p[..., 1] for p in parts))
    said = blend(*parts)
    assert (np.diff(said, axis=-1) >= 0).all()
    for block in blocks(range(1, 6)):
        for o in range(outputs):
            error = [np.abs(f[:, block, o, 1] - truth[:, block, o]).mean() for f in (said, *parts)]
            assert error[0] <= min(error[1:]) + 1e-9


def test_shares_are_those_of_blend_weights_by_block_of_steps() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 4, 2))
    f, g = truth + rng.normal(size=truth.shape), truth + 2 * rng.normal(size=truth.shape)
    share = Blend.fit(truth, f, g, steps=(1, 3, 4, 24)).share
    assert (share[1] == share[2]).all()  # 3 and 4 rows ahead are one block
    pair = [a[:, [1, 2], 0].ravel() for a in (f, g)]
    assert share[1, 0] == pytest.approx(blend_weights(truth[:, [1, 2], 0].ravel(), pair)[0], abs=1e-9)


def test_where_one_is_missing_the_other_answers() -> None:
    blend = Blend([[0.25]])
    network, corrector = np.full((1, 1, 3), 4.0), np.full((1, 1, 3), 8.0)
    assert blend(network, corrector).ravel().tolist() == [7.0] * 3
    assert blend(network * np.nan, corrector).ravel().tolist() == [8.0] * 3
    assert blend(network, corrector * np.nan).ravel().tolist() == [4.0] * 3
    assert Blend([[0.0]])(network * np.nan, corrector).ravel().tolist() == [8.0] * 3
    assert Blend([[1.0]])(network * np.nan, corrector).ravel().tolist() == [8.0] * 3
    assert np.isnan(blend(network * np.nan, corrector * np.nan)).all()
    truth = np.zeros((3, 1, 1))
    assert Blend.fit(truth, truth * np.nan, truth).share.tolist() == [[0.0]]
    assert Blend.fit(truth * np.nan, truth, truth).share.tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("share", "error", "text"),
    [
        ([0.5], ShapeError, "rows ahead, outputs"),
        (np.zeros((0, 2)), ShapeError, "rows ahead, outputs"),
        ([[1.5]], InputError, "shares 0..1, got 1.5"),
        ([[np.nan]], InputError, "shares 0..1, got nan"),
    ],
)
def test_shares_that_are_none_are_refused(share, error, text):
    with pytest.raises(error, match=text):
        Blend(share)


def test_arrays_that_do_not_fit_are_refused():
    y = np.zeros((3, 2, 1))
    with pytest.raises(ShapeError, match="three arrays"):
        Blend.fit(y, y[:2], y)
    with pytest.raises(ShapeError, match="expected 2 rows ahead, got 1"):
        Blend.fit(y, y, y, steps=(1,))
    with pytest.raises(ShapeError, match="quantiles"):
        Blend([[0.5]])(np.zeros((2, 1, 3)), np.zeros((2, 1, 3)))
    with pytest.raises(InputError, match=r"Blend\.to_json"):
        Blend.from_json("{}")


# ---- the learner ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 7])
@pytest.mark.parametrize("plant", ["boiler", "rows_without_stamps"])
def test_row_by_row_it_says_what_the_run_over_a_past_says(plant, delay, request):
    history, forecaster = request.getfixturevalue(plant)
    options = {**SETTINGS, "delay": delay, "recent_rows": 20}
    upto = PAST + 150
    blend = half(forecaster)
    run = run_online(forecaster, history, PAST, upto + 1, corrector=CORRECTOR, blend=blend, **options)
    network = run_online(forecaster, history, PAST, upto + 1, **options)
    outputs = list(forecaster.outputs_)
    past = history[:PAST].copy()
    if delay:
        past.iloc[-delay:, [past.columns.get_loc(n) for n in outputs]] = np.nan
    learner = OnlineLearner(forecaster, past, corrector=CORRECTOR, blend=blend, **options)
    drops = plant == "rows_without_stamps"
    if drops:
        learner.core.keep_rows(0)  # the learner forgets rows that the corrector's window still holds
    for k in range(PAST, upto):
        learner.observe(history[k : k + 1].drop(columns=outputs) if delay else history[k : k + 1])
        if delay:
            learner.label(history[outputs][k - delay : k - delay + 1], k - delay)
    assert (learner.core.first_row > 0) == drops
    coming = history[upto : upto + 6]
    known = coming[[n for n in forecaster.disturbances_ if forecaster.tags_[n].known_ahead]]
    said = learner.predict(coming[list(forecaster.setpoints_)], known).to_numpy()
    expected = run.quantiles[upto - PAST].reshape(6, -1)
    np.testing.assert_allclose(said, expected, rtol=2e-6)
    assert not np.allclose(said, network.quantiles[upto - PAST].reshape(6, -1), rtol=1e-3)


def test_shares_are_found_at_the_end_of_the_past_and_held(boiler):
    history, forecaster = boiler
    learner = OnlineLearner(forecaster, history[:PAST], corrector=CORRECTOR, validation=150, **SETTINGS)
    found = choose_blend(forecaster, CORRECTOR, history[:PAST], PAST - 150, **SETTINGS)
    np.testing.assert_array_equal(learner.blend.share, found.share)
    assert ((found.share > 0) & (found.share < 1)).any()
    learner.observe(history[PAST : PAST + 48])
    np.testing.assert_array_equal(learner.blend.share, found.share)
    assert "a corrector beside" in repr(learner)


def test_no_later_row_moves_the_shares(boiler):
    history, forecaster = boiler
    noise = history.copy()
    noise.iloc[PAST:, [noise.columns.get_loc(n) for n in forecaster.outputs_]] *= 1.2
    one, two = (choose_blend(forecaster, CORRECTOR, h, 800, PAST, **SETTINGS) for h in (history, noise))
    np.testing.assert_array_equal(one.share, two.share)


def test_a_forecaster_that_knows_the_validation_rows_is_told(boiler):
    history, forecaster = boiler
    with pytest.warns(UserWarning, match="trained on 700 rows, the shares are found from row 650 on"):
        choose_blend(forecaster, CORRECTOR, history[:750], 650, **SETTINGS)


def test_after_a_gap_the_corrector_answers_alone(boiler):
    history, forecaster = boiler
    learner = OnlineLearner(
        forecaster, history[:PAST], corrector=CORRECTOR, blend=half(forecaster), **SETTINGS
    )
    learner.observe(history[PAST + 5 : PAST + 15])  # five rows are lost
    alone = Corrector(**{**CORRECTOR.get_params(), "horizon": 6}).fit(history[:PAST], tags=forecaster.tags_)
    seen = pd.concat([history[:PAST], history[PAST + 5 : PAST + 15]])
    alone.update(seen)
    pd.testing.assert_frame_equal(learner.predict(), alone.predict(seen), check_freq=False, rtol=1e-9)
    learner.observe(history[PAST + 15 : PAST + 30])
    assert not np.allclose(learner.predict(), learner.forecaster.predict(history[PAST + 6 : PAST + 30]))


@pytest.mark.parametrize("delay", [0, 7])
def test_its_file_goes_on_to_the_same_bits(rows_without_stamps, tmp_path, delay):
    history, forecaster = rows_without_stamps
    outputs = list(forecaster.outputs_)
    options = {**SETTINGS, "delay": delay, "recent_rows": 20}
    one = OnlineLearner(forecaster, history[:PAST], corrector=CORRECTOR, blend=half(forecaster), **options)
    one.core.keep_rows(0)

    def feed(learner: OnlineLearner, first: int, last: int) -> None:
        for k in range(first, last, 10):
            rows = history[k : k + 10]
            learner.observe(rows.drop(columns=outputs) if delay else rows)
            if delay:
                learner.label(history[outputs][k - delay : k + 10 - delay], k - delay)

    feed(one, PAST, PAST + 130)
    one.save(tmp_path / "learner.safetensors")
    two = OnlineLearner.load(tmp_path / "learner.safetensors")
    assert two.corrector.horizon == 6 and two.blend.share.tolist() == one.blend.share.tolist()
    for learner in (one, two):
        feed(learner, PAST + 130, PAST + 160)
    pd.testing.assert_frame_equal(one.predict(), two.predict(), check_exact=True)
    two.save(tmp_path / "again.safetensors")
    assert OnlineLearner.load(tmp_path / "again.safetensors").predict().equals(two.predict())


@pytest.mark.parametrize(
    ("name", "content"),
    [("blend", b'{"share": [[0.5]]}'), ("blend", b"\xff"), ("corrector", b"nothing"), ("newest", b"x")],
)
def test_a_file_whose_parts_do_not_fit_is_refused(boiler, tmp_path, name, content):
    history, forecaster = boiler
    learner = OnlineLearner(
        forecaster, history[:PAST], corrector=CORRECTOR, blend=half(forecaster), **SETTINGS
    )
    learner.save(tmp_path / "learner.safetensors")
    learner.core.attach(name, content)
    learner.core.save(str(tmp_path / "other.safetensors"))
    with pytest.raises(FileError, match=r"other\.safetensors: what stands beside the learner does not fit"):
        OnlineLearner.load(tmp_path / "other.safetensors")


def test_a_later_value_for_a_row_replaces_the_first(boiler):
    history, forecaster = boiler
    outputs = list(forecaster.outputs_)
    options = {**SETTINGS, "delay": 7, "learn": False}
    learners = [
        OnlineLearner(forecaster, history[:PAST], corrector=CORRECTOR, blend=half(forecaster), **options)
        for _ in "ab"
    ]
    for learner in learners:
        learner.observe(history[PAST : PAST + 20].drop(columns=outputs))
    labels = history[outputs][PAST - 7 : PAST + 13]
    learners[0].label(labels, PAST - 7)
    learners[1].label(labels * 1.3, PAST - 7)
    medians = [[learner.predict().xs(0.5, axis=1, level=1) for learner in learners]]
    learners[1].label(labels, PAST - 7)
    medians.append([learner.predict().xs(0.5, axis=1, level=1) for learner in learners])
    wrong, mended = ((b - a).abs().mean() for a, b in medians)
    assert (wrong > 0).all() and (mended < 0.3 * wrong).all()


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"blend": Blend([[0.5]])}, InputError, "expected a corrector to blend with"),
        ({"validation": 100}, InputError, "expected a corrector to blend with"),
        ({"corrector": CORRECTOR}, InputError, "validation rows to find it on, got neither"),
        (
            {"corrector": CORRECTOR, "blend": Blend([[0.5]]), "validation": 9},
            InputError,
            "validation rows to find it on, got both",
        ),
        (
            {"corrector": CORRECTOR, "blend": Blend([[0.5]])},
            ShapeError,
            r"\(rows ahead, outputs\) = \(6, 6\)",
        ),
        ({"corrector": CORRECTOR, "validation": PAST}, InputError, "expected rows 1 <= first"),
        ({"corrector": CORRECTOR, "validation": -5}, InputError, "expected rows 1 <= first"),
    ],
)
def test_what_does_not_go_together_is_refused(boiler, wrong, error, text):
    history, forecaster = boiler
    with pytest.raises(error, match=text), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the forecaster was trained on the rows in question
        OnlineLearner(forecaster, history[:PAST], **SETTINGS, **wrong)


def test_a_run_with_a_corrector_needs_its_shares_and_the_operation(boiler):
    history, forecaster = boiler
    with pytest.raises(InputError, match="both or neither"):
        run_online(forecaster, history, PAST, corrector=CORRECTOR)
    with pytest.raises(InputError, match="operation_known=True"):
        run_online(
            forecaster, history, PAST, corrector=CORRECTOR, blend=half(forecaster), operation_known=False
        )
