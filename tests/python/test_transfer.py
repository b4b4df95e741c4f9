"""emisopt.transfer: the seven steps, what is chosen, that nothing later is read, one test per bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from emisopt import Corrector, Forecaster, Tag, TagMap, plants, transfer
from emisopt._transfer_members import LastValue, believed_shares, padded

SMALL = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "warmup": 5, "threads": 1}
STEPS = ["domains", "data", "features", "source", "copy", "fine-tuning", "test"]


@pytest.fixture(scope="module")
def source(boiler_history):
    history, tags = boiler_history
    return Forecaster(**SMALL, steps=300, seed=1).fit(history, tags=tags, train_rows=2000, progress=False)


@pytest.fixture(scope="module")
def young():
    return plants.Boiler(seed=9, plant_seed=5, lag=1.5, fuel="B").simulate_history(days=3)


@pytest.fixture(scope="module")
def moved(source, young, boiler_history):
    history, tags = young
    return transfer(
        source, history, tags=tags, source_history=boiler_history[0][:700], train_rows=400, steps=20,
        scratch_steps=0, progress=False,
    )  # fmt: skip


def medians_error(forecast, history, origins, outputs):
    y = history[outputs].to_numpy(dtype=float)
    truth = np.stack([y[origins + h] for h in range(forecast.shape[1])], axis=1)
    return np.nanmean(np.abs(truth - forecast[..., forecast.shape[-1] // 2]) / np.nanstd(y, axis=0))


def test_each_of_the_seven_steps_is_reported(moved):
    assert list(moved.report) == STEPS
    assert moved.report.frame("domains").loc["nox", "source tag"] == "nox"
    assert (moved.report.frame("copy")["share"] == 1).all()
    assert moved.report.frame("data").loc["rows", "value"] == 400
    assert {"last value", "source as it is"} == set(moved.report.frame("source").columns)
    assert "blend" in moved.report.frame("test").index
    text, page = str(moved.report), moved._repr_html_()
    for number in range(1, 8):
        assert f"\n{number}. " in text and f"{number}. " in page
    with pytest.raises(KeyError, match="expected one of domains"):
        moved.report.frame("nothing")


def test_shares_sum_to_one_and_quantiles_do_not_cross(moved, young):
    history, _ = young
    assert np.allclose(moved.shares.sum(axis=1), 1)
    assert (moved.shares >= -1e-12).all(axis=None)
    forecast = moved.replay(history, 500, 560, stride=20)
    assert forecast.shape == (3, 6, 6, 7)
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast, axis=-1) >= -1e-9 * np.abs(forecast[..., 1:])).all()


def test_a_prediction_is_the_replay_of_its_row(moved, young):
    history, tags = young
    ahead = history.iloc[520:526]
    known = ahead[[n for n in tags.disturbances if tags[n].known_ahead]]
    said = moved.predict(history.iloc[:520], ahead[tags.setpoints], known)
    replayed = moved.replay(history, 520, 521)[0]
    assert said.to_numpy().reshape(6, 6, 7) == pytest.approx(replayed, rel=1e-4)


def test_a_young_plant_is_forecast_better_than_from_scratch(moved, young):
    history, tags = young
    origins = np.arange(430, 840, 10)
    ours = moved.replay(history, 430, 840, stride=10)
    names = [t.name for t in tags if t.name != "fuel_grade"]
    small = TagMap(tuple(tags[n] for n in names), period=tags.period)
    alone = Forecaster(**SMALL, steps=150).fit(history[names], tags=small, train_rows=400, progress=False)
    from emisopt import run_online

    scratch = run_online(alone, history[names], 430, 840, stride=10, learn=False, guard=0).quantiles
    outputs = list(tags.outputs)
    assert medians_error(ours, history, origins, outputs) < 0.9 * medians_error(
        scratch, history, origins, outputs
    )


def test_rows_after_the_training_rows_are_not_read(moved, source, young, boiler_history):
    history, tags = young
    noisy = history.copy()
    for name in tags.outputs:
        noisy.loc[noisy.index[400:], name] = 1.0
    again = transfer(
        source, noisy, tags=tags, source_history=boiler_history[0][:700], train_rows=400, steps=20,
        scratch_steps=0, progress=False,
    )  # fmt: skip
    assert np.array_equal(again.forecaster.core_.theta, moved.forecaster.core_.theta)
    assert np.array_equal(again.shares, moved.shares)


def test_one_horizon_of_rows_is_enough_and_the_source_stays(source, young):
    history, tags = young
    moved = transfer(source, history, tags=tags, train_rows=6, progress=False)
    assert np.array_equal(moved.forecaster.core_.theta, source.core_.theta)
    assert "too few rows" in moved.report.notes["fine-tuning"]
    assert np.isfinite(moved.replay(history, 30, 33)).all()


def test_a_plant_without_stamps_and_with_other_tags(source):
    rng = np.random.default_rng(1)
    load = np.cumsum(rng.normal(size=300)) * 0.1
    frame = pd.DataFrame({"feed": load, "so2": 5 + load + 0.1 * rng.normal(size=300)})
    tags = TagMap((Tag("feed", "t/h", "disturbance", known_ahead=True), Tag("so2", "g/kg", "emission")))
    moved = transfer(source, frame, tags=tags, train_rows=250, steps=30, scratch_steps=0, progress=False)
    domains = moved.report.frame("domains")
    assert domains.loc["so2", "matched by"] == "role"
    assert domains.loc["feed", "source tag"] == ""
    assert 0 < moved.report.frame("copy").loc["embed_future.weight", "share"] < 1
    assert moved.report.frame("copy").loc["layers.0.qkv.weight", "share"] == 1
    assert np.isfinite(moved.replay(frame, 250, 290, stride=10)).all()


def test_what_is_matched_by_hand(source, young):
    history, tags = young
    renamed = history.rename(columns={"nox": "stack NO and NO2"})
    other = TagMap(
        tuple(Tag(**{**vars_of(t), "name": "stack NO and NO2"}) if t.name == "nox" else t for t in tags),
        period=tags.period,
    )
    by_hand = transfer(
        source, renamed, tags=other, match={"stack NO and NO2": "nox", "ambient": None}, train_rows=6,
        progress=False,
    )  # fmt: skip
    domains = by_hand.report.frame("domains")
    assert domains.loc["stack NO and NO2", "matched by"] == "given"
    assert domains.loc["ambient", "source tag"] == ""


def vars_of(tag):
    return {n: getattr(tag, n) for n in ("unit", "role", "kind", "scale", "low", "high", "missing")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"train_rows": 5}, "expected at least the horizon of 6 rows, got 5"),
        ({"train_rows": 10_000}, r"transfer\(train_rows\): expected 1..864"),
        ({"horizon": 12}, "expected the source's 6, got 12"),
        ({"width": 32}, "expected the source's 16, got 32"),
        ({"validation_rows": 3}, "expected 0, or 6"),
        ({"match": {"noxx": "nox"}}, "did you mean 'nox'"),
        ({"match": {"nox": "load"}}, "expected tags of one role"),
        ({"l2sp": -1.0}, r"transfer\(l2sp\): expected 0 or a positive number"),
        ({"steps": -1}, r"transfer\(steps\)"),
        ({"rate": float("nan")}, r"transfer\(rate\)"),
        ({"doubt": -1.0}, r"transfer\(doubt\)"),
        ({"nothing": 1}, "expected a parameter of Forecaster"),
        ({"trainable": ("heads",)}, "expected the beginning of a parameter's name"),
    ],
)
def test_bad_arguments_are_named(source, young, arguments, says):
    history, tags = young
    with pytest.raises(ValueError, match=says):
        transfer(
            source, history, tags=tags, progress=False, **{"train_rows": 200, "scratch_steps": 0, **arguments}
        )


def test_bad_sources_and_targets_are_named(source, young):
    history, tags = young
    with pytest.raises(NotFittedError):
        transfer(Forecaster(**SMALL), history, tags=tags, progress=False)
    with pytest.raises(ValueError, match="expected a Forecaster, got Corrector"):
        transfer(Corrector(), history, tags=tags, progress=False)
    inputs = TagMap(tuple(t for t in tags if t.name in tags.setpoints), period=tags.period)
    with pytest.raises(ValueError, match="expected a tag with role emission or quality"):
        transfer(source, history, tags=inputs, progress=False)
    with pytest.raises(ValueError, match="nox"):
        transfer(source, history.drop(columns="nox"), tags=tags, progress=False)


def test_several_networks_of_one_plant_share_alike(source, young):
    history, tags = young
    other = Forecaster(**{**SMALL, "context": 12, "width": 8}, steps=5).fit(
        history, tags=tags, train_rows=300, progress=False
    )
    moved = transfer([source, other], history, tags=tags, train_rows=100, scratch_steps=0, progress=False)
    shares = moved.shares
    assert np.allclose(shares["transferred network"], shares["transferred network 2"])
    assert moved.report.frame("fine-tuning")["steps kept"].to_dict() == {
        "transferred network": 0, "transferred network 2": 0,
    }  # fmt: skip
    assert moved.report.frame("data").loc["networks of the source", "value"] == 2
    copied = moved.report.frame("copy")
    assert (copied["share"] == 1).all()
    assert copied.loc["network 2: head.bias", "weights"] == copied.loc["network 1: head.bias", "weights"]
    assert "the first network" in moved.report.notes["features"]
    one, two = (m.replay(history, 200, 203, 1, (0.5,)) for m in moved.members[:2])
    assert not np.allclose(one, two)


def test_what_is_copied_whole_is_fine_tuned_only_where_asked_or_rows_are_many(source, young, boiler_history):
    history, tags = boiler_history
    moved = transfer(source, history, tags=tags, train_rows=60, scratch_steps=0, progress=False)
    assert np.array_equal(moved.forecaster.core_.theta, source.core_.theta)
    assert "stays as it is" in moved.report.notes["fine-tuning"]
    asked = transfer(
        source,
        history,
        tags=tags,
        train_rows=60,
        validation_rows=0,
        rate=1e-3,
        scratch_steps=0,
        progress=False,
    )
    assert not np.array_equal(asked.forecaster.core_.theta, source.core_.theta)


def test_sources_that_do_not_go_together_are_named(source, young, boiler_history):
    history, tags = young
    far = Forecaster(**{**SMALL, "horizon": 4}, steps=2).fit(
        boiler_history[0], tags=boiler_history[1], train_rows=300, progress=False
    )
    with pytest.raises(ValueError, match="with the same horizon, got 6 and 4"):
        transfer([source, far], history, tags=tags, progress=False)
    with pytest.raises(ValueError, match="at least one Forecaster"):
        transfer([], history, tags=tags, progress=False)
    with pytest.raises(ValueError, match="expected a Forecaster, got str"):
        transfer([source, "other"], history, tags=tags, progress=False)


def test_the_last_value_goes_on_with_the_spread_of_its_changes():
    tags = TagMap((Tag("so2", "ppm", "emission", low=0),))
    frame = pd.DataFrame({"so2": [1.0, 2.0, np.nan, 4.0, 5.0, np.nan]})
    model = LastValue.fit(frame, tags, 2, (0.1, 0.5, 0.9))
    said = model.after(frame, np.array([1, 6]), (0.1, 0.5, 0.9))
    assert said[:, :, 0, 1].tolist() == [[1.0, 1.0], [5.0, 5.0]]
    assert (np.diff(said, axis=-1) >= 0).all()
    assert model.after(frame, np.array([1]), (0.5,)).shape == (1, 2, 1, 1)
    falling = LastValue.fit(pd.DataFrame({"so2": [9.0, 5.0, 4.0, 0.5]}), tags, 1, (0.1, 0.5, 0.9))
    assert falling.after(pd.DataFrame({"so2": [0.1]}), np.array([1]), (0.1,))[0, 0, 0, 0] == 0.0


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
def test_believed_shares_leave_the_rest_to_correctors(alike):
    network, last = believed_shares(48, alike)
    assert (network >= 0).all() and (last > 0).all() and (network + last <= 1).all()
    assert (np.diff(last) < 0).all()
    assert (np.diff(network) >= 0).all()


def test_padding_has_no_values_and_keeps_the_clock(young):
    history, tags = young
    more = padded(history, tags, 10)
    assert more.iloc[:10].isna().all(axis=None)
    assert (more.index[1:] - more.index[:-1] == pd.Timedelta(seconds=tags.period)).all()
    assert more.iloc[10:].equals(history[tags.names])
