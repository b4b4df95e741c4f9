"""The ensemble for users: row by row and over a past the same bits, nothing read early, one file."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emisopt import (
    DataError,
    EnsembleForecaster,
    FileError,
    InputError,
    ShapeError,
    Tag,
    TagMap,
    _core,
)

TAGS = TagMap(
    (Tag("load", "MW", "setpoint", low=0), Tag("ambient", "degC", "disturbance", known_ahead=True),
     Tag("inlet", "mg/m3", "disturbance"), Tag("nox", "mg/m3", "emission", low=0),
     Tag("co", "mg/m3", "emission", low=0)),
    plant="Hourly plant", period=3600.0,
)  # fmt: skip
PAST = TagMap(TAGS.tags[3:], plant="Outputs alone", period=3600.0)
STAMPLESS = TagMap(TAGS.tags, plant="Numbered plant")
OUTPUTS, COMING = ["nox", "co"], ["load", "ambient"]
TRAIN, VALID = 700, 240
FIT = TRAIN + VALID
NETWORK = {"width": 16, "heads": 2, "steps": 60}
UPDATES = {"every": 12, "memory": 64, "recent_rows": 150}
CORRECTOR = {"window": 60, "waves": 10}


def plant(rows: int = 1300, seed: int = 0, stamps: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    load = 100 + 20 * np.sin(2 * np.pi * t / 24) + rng.normal(0, 5, rows)
    ambient = 10 + 5 * np.sin(2 * np.pi * t / 24 + 1) + rng.normal(0, 1, rows)
    inlet = 300 + np.cumsum(rng.normal(0, 1, rows))
    nox = 50 + 0.3 * (load - 100) + 0.1 * (inlet - 300) - ambient + rng.normal(0, 1, rows)
    co = np.exp(1 + 0.02 * (load - 100) + 0.2 * rng.normal(0, 1, rows))
    co[rng.random(rows) < 0.05] = np.nan
    frame = pd.DataFrame({"load": load, "ambient": ambient, "inlet": inlet, "nox": nox, "co": co})
    if stamps:
        frame.index = pd.date_range("2022-01-03", periods=rows, freq="h", tz="UTC", name="time")
    return frame


def ensemble(**settings: Any) -> EnsembleForecaster:
    context = {"context": 24 + settings.get("delay", 0), "patch": 1}
    small = {"horizon": (1, 2, 6), "network": NETWORK | context, "updates": UPDATES, "corrector": CORRECTOR}
    return EnsembleForecaster(**{**small, "threads": 1, "seed": 1, **settings})


def fitted(history: pd.DataFrame, tags: TagMap = TAGS, **settings: Any) -> EnsembleForecaster:
    """With all members at work, whatever the validation rows thought of them."""
    f = ensemble(**settings).fit(history, tags=tags, train_rows=TRAIN, validation_rows=VALID, progress=False)
    if len(f.choice_.members) == 1:
        return f
    even = np.full_like(f.choice_.weights, 1 / len(f.choice_.weights))
    choice = type(f.choice_)(f.choice_.members, even, f.choice_.steps, f.choice_.issued, f.choice_.came)
    return ensemble(**settings).fit(
        history, tags=tags, train_rows=TRAIN, validation_rows=VALID, choice=choice, progress=False
    )


def feed(f: EnsembleForecaster, history: pd.DataFrame, first: int, last: int) -> None:
    delay, outputs = f.delay, list(f.outputs_)
    for k in range(first, last):
        row = history[k : k + 1]
        f.observe(row.drop(columns=outputs) if delay else row)
        if delay:
            f.label(history[outputs][k - delay : k - delay + 1], k - delay)


def ask(f: EnsembleForecaster, history: pd.DataFrame, k: int) -> np.ndarray:
    coming = history[k : k + f._asked_of.furthest]
    if not f.setpoints_:
        return f.predict().to_numpy()
    return f.predict(coming[["load"]], coming[["ambient"]]).to_numpy()


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return plant()


@pytest.fixture(scope="module")
def hourly(history: pd.DataFrame) -> EnsembleForecaster:
    return fitted(history)


# ---- the same in both ways ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "delay"), [("stamps", 0), ("stamps", 24), ("numbers", 0), ("numbers", 5), ("past alone", 3)]
)
def test_the_stream_says_what_the_run_over_a_past_says(kind: str, delay: int) -> None:
    history = plant(1100, stamps=kind != "numbers")
    tags = {"stamps": TAGS, "numbers": STAMPLESS, "past alone": PAST}[kind]
    history = history[tags.names].drop(history.index[[980, 981, 982]])  # a gap
    f = fitted(history, tags, delay=delay)
    expected = {"stamps": 5, "numbers": 3, "past alone": 1}[kind]
    assert len(f.members_) == expected
    end = FIT + 90
    run = f.backtest(history, end=end)
    assert not np.array_equal(run.raw, run.quantiles, equal_nan=True) or kind == "past alone"
    raw, said = run.raw.reshape(len(run.raw), 3, -1), run.quantiles.reshape(len(run.raw), 3, -1)
    for k in range(FIT, end):
        mine, i = ask(f, history, k), k - FIT
        own = f._asked.reshape(3, -1)
        near = [h for h in range(3) if k + (1, 2, 6)[h] - 1 < 980 or k > 980]  # nobody knows of a gap to come
        np.testing.assert_array_equal(own[near], raw[i, near], str(k))
        if k <= 980:
            np.testing.assert_array_equal(mine[near], said[i, near], str(k))
        else:  # the usual width knows of forecasts for rows that never came
            np.testing.assert_allclose(mine, said[i], rtol=2e-3, atol=1e-3, err_msg=str(k))
        feed(f, history, k, k + 1)
    again = f.backtest(history, end=end)  # the stream leaves the past as it was
    np.testing.assert_array_equal(again.quantiles, run.quantiles)


@pytest.mark.parametrize("delay", [0, 24, 168])
def test_nothing_is_read_before_it_is_known(delay: int) -> None:
    history = plant(1250)
    cut = 980
    noise = history.copy()
    rng = np.random.default_rng(1)
    noise.loc[noise.index[cut:], OUTPUTS] = rng.uniform(20, 80, (len(noise) - cut, 2))
    both = [fitted(h, delay=delay).backtest(h, end=cut + delay + 20) for h in (history, noise)]
    issued = cut + delay - FIT + 1
    for part in ("quantiles", "raw"):
        one, two = (getattr(run, part) for run in both)
        np.testing.assert_array_equal(one[:issued], two[:issued])
        assert not np.array_equal(one[issued], two[issued])
    inlet = history.copy()
    inlet.loc[inlet.index[cut:], "inlet"] = 0.0  # not known ahead
    other = fitted(inlet, delay=delay).backtest(inlet, end=cut + 5)
    np.testing.assert_array_equal(other.quantiles[: cut - FIT + 1], both[0].quantiles[: cut - FIT + 1])


def test_rows_behind_those_of_the_fit_change_nothing(history: pd.DataFrame) -> None:
    noise = history.copy()
    noise.iloc[FIT:] *= 1.5
    one, two = (
        ensemble().fit(h, tags=TAGS, train_rows=TRAIN, validation_rows=VALID, progress=False)
        for h in (history, noise)
    )
    pd.testing.assert_frame_equal(one.weights_, two.weights_, check_exact=True)
    pd.testing.assert_frame_equal(one.predict(), two.predict(), check_exact=True)


def test_labels_of_the_newest_rows_of_the_fit_have_not_come(history: pd.DataFrame) -> None:
    early = history.copy()
    early.loc[early.index[FIT - 24 : FIT], OUTPUTS] = 77.0
    one, two = (fitted(h, delay=24) for h in (history, early))
    pd.testing.assert_frame_equal(one.weights_, two.weights_, check_exact=True)
    pd.testing.assert_frame_equal(one.predict(), two.predict(), check_exact=True)


# ---- weights --------------------------------------------------------------------------------------------


def test_weights_sum_to_one_and_are_found_before_the_stream(history: pd.DataFrame) -> None:
    f = ensemble().fit(history[:FIT], tags=TAGS, progress=False)
    assert f.weights_.index.names == ["step", "output"] and f.weights_.shape == (6, len(f.members_))
    assert (f.weights_ >= 0).all(axis=None)
    np.testing.assert_allclose(f.weights_.sum(axis=1), 1, rtol=1e-12)
    assert set(f.weights_.columns) == set(f.members_) <= set(f.choice_.members)
    before = f.weights_
    feed(f, history, FIT, FIT + 30)
    pd.testing.assert_frame_equal(f.weights_, before)
    assert "Hourly plant" in repr(f) and "970 rows seen" in repr(f) and "corrector" in f._repr_html_()


def test_after_a_gap_the_others_answer_for_the_network(history: pd.DataFrame) -> None:
    f = fitted(history, members=("network", "corrector"), intervals=False)
    alone = fitted(history, members=("corrector",), intervals=False)
    for each in (f, alone):
        each.observe(history[FIT + 5 : FIT + 15])  # five rows are lost: the context is broken
    pd.testing.assert_frame_equal(f.predict(), alone.predict(), rtol=1e-12)
    for each in (f, alone):
        each.observe(history[FIT + 15 : FIT + 40])
    assert not np.allclose(f.predict(), alone.predict())


def test_what_one_seed_chose_serves_another(history: pd.DataFrame, hourly: EnsembleForecaster) -> None:
    other = ensemble(seed=2).fit(
        history, tags=TAGS, train_rows=TRAIN, validation_rows=VALID, choice=hourly.choice_, progress=False
    )
    pd.testing.assert_frame_equal(other.weights_, hourly.weights_)
    mine = hourly.backtest(history, end=FIT + 20)
    closed = {n: mine.members[n] for n in ("corrector", "seasonal corrector", "climatology")}
    run, reused = (other.backtest(history, end=FIT + 20, reuse=r) for r in (None, closed))
    np.testing.assert_array_equal(run.quantiles, reused.quantiles)
    assert not np.array_equal(run.members["network"], mine.members["network"])


def test_intervals_are_kept_at_their_cover_and_the_median_is_left_alone(hourly, history) -> None:
    wild = history.copy()
    wild["nox"] += np.where(np.arange(len(wild)) >= FIT, np.random.default_rng(3).normal(0, 8, len(wild)), 0)
    run = hourly.backtest(wild, end=1290)
    truth = wild["nox"].to_numpy()[FIT:1290]
    inside = [
        ((q[:, 0, 0, 1] <= truth) & (truth <= q[:, 0, 0, 5]))[100:].mean() for q in (run.raw, run.quantiles)
    ]
    assert inside[0] < 0.6 and 0.7 < inside[1] < 0.9
    np.testing.assert_array_equal(run.quantiles[..., 3], run.raw[..., 3])
    assert (np.diff(run.quantiles, axis=-1) >= 0).all()


def test_a_forecast_a_day_and_far_rows(history: pd.DataFrame) -> None:
    f = ensemble(horizon=tuple(range(1, 25)), stride=24)
    f.fit(history, tags=TAGS, train_rows=TRAIN, validation_rows=VALID, progress=False)
    run = f.backtest(history)
    assert len(run.origins) == (len(history) - FIT + 23) // 24 and f.choice_.issued is None
    np.testing.assert_array_equal(run.raw, run.quantiles)
    far = ensemble(horizon=(48,))  # too far for a network of single rows
    far.fit(history, tags=TAGS, train_rows=TRAIN, validation_rows=VALID, progress=False)
    assert far.network_ is None and np.isfinite(far.predict()).all(axis=None)
    assert far.predict().index[0] == history.index[FIT] + pd.Timedelta(hours=47)


def test_asking_twice_changes_nothing_and_the_last_plan_counts(hourly, history, tmp_path) -> None:
    hourly.save(tmp_path / "e")
    one, two = (EnsembleForecaster.load(tmp_path / "e") for _ in "ab")
    first = ask(one, history, FIT)
    one.predict(np.full((6, 1), 60.0))
    np.testing.assert_array_equal(ask(one, history, FIT), first)
    ask(two, history, FIT)
    for f in (one, two):
        feed(f, history, FIT, FIT + 12)
    np.testing.assert_array_equal(ask(one, history, FIT + 12), ask(two, history, FIT + 12))


def test_without_a_plan_operation_is_held(hourly: EnsembleForecaster, history: pd.DataFrame) -> None:
    now = history[FIT - 1 : FIT]
    held = hourly.predict(
        np.repeat(now[["load"]], 6, axis=0), np.repeat(now[["ambient", "inlet"]], 6, axis=0)
    )
    pd.testing.assert_frame_equal(hourly.predict(), held)


def test_a_label_as_old_as_the_rows_held_is_taken_by_all(history: pd.DataFrame) -> None:
    f = fitted(history, delay=3, members=("network", "online network", "corrector"), intervals=False)
    f._rows.keep = 200
    f.observe(history[FIT : FIT + 300].drop(columns=OUTPUTS))
    oldest = f._rows.first
    assert oldest > 0
    before = f.predict()
    f.label(history[OUTPUTS][oldest : FIT + 297], oldest)
    assert not np.allclose(f.predict(), before)
    with pytest.raises(InputError, match=f"expected row {oldest} or later, older ones are forgotten"):
        f.label(history[OUTPUTS][oldest - 1 : oldest], oldest - 1)


# ---- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "delay"), [("stamps", 0), ("numbers", 7), ("past alone", 0)])
def test_its_file_goes_on_to_the_same_bits(kind: str, delay: int, tmp_path) -> None:
    history = plant(1100, stamps=kind != "numbers")
    tags = {"stamps": TAGS, "numbers": STAMPLESS, "past alone": PAST}[kind]
    one = fitted(history, tags, delay=delay)
    for k in range(FIT, FIT + 40):
        ask(one, history, k)
        feed(one, history, k, k + 1)
    ask(one, history, FIT + 40)
    one.save(tmp_path / "one")
    two = EnsembleForecaster.load(tmp_path / "one")
    three = pickle.loads(pickle.dumps(one))
    assert two.get_params() == {**one.get_params(), "horizon": [1, 2, 6], "quantiles": list(one.quantiles),
                                "lags": [0]}  # fmt: skip
    for k in range(FIT + 40, FIT + 60):
        said = [ask(f, history, k) for f in (one, two, three)]
        np.testing.assert_array_equal(said[0], said[1])
        np.testing.assert_array_equal(said[0], said[2])
        for f in (one, two, three):
            feed(f, history, k, k + 1)
    assert repr(one) == repr(two)
    runs = [f.backtest(history, end=FIT + 30).quantiles for f in (one, two)]
    np.testing.assert_array_equal(runs[0], runs[1])
    two.save(tmp_path / "two")
    assert EnsembleForecaster.load(tmp_path / "two").predict().equals(two.predict())


def test_a_file_that_is_no_ensemble_is_refused(hourly, tmp_path) -> None:
    hourly.save(tmp_path / "good")
    whole = (tmp_path / "good").read_bytes()
    for name, content in (("torn", whole[:-100]), ("flipped", whole[:-9] + b"\x55" + whole[-8:])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=name):
            EnsembleForecaster.load(tmp_path / name)
    hourly.network_.save(tmp_path / "network")
    with pytest.raises(FileError, match=r"expected a file of format 'emisopt\.ensemble'"):
        EnsembleForecaster.load(tmp_path / "network")
    with pytest.raises(FileError, match="missing"):
        EnsembleForecaster.load(tmp_path / "missing")
    text, parts = _core.read_archive(str(tmp_path / "good"), "emisopt.ensemble")
    broken = [
        (text.replace('"version": 1', '"version": 2'), parts),
        (text.replace('"horizon": [1, 2, 6]', '"horizon": [1, 2, 7]'), parts),
        (text, {n: p for n, p in parts.items() if n != "member/corrector"}),
        (text, {n: p for n, p in parts.items() if n != "network"}),
        (text, {**parts, "rows/values": parts["rows/values"][:-8]}),
        (text, {**parts, "live/0": parts["live/1"]}),
        ("no json", parts),
    ]
    for i, (words, some) in enumerate(broken):
        _core.write_archive(str(tmp_path / f"broken{i}"), "emisopt.ensemble", words, some)
        with pytest.raises(FileError, match=rf"broken{i}: no ensemble of this version"):
            EnsembleForecaster.load(tmp_path / f"broken{i}")


def test_parameters_set_after_the_fit_do_not_change_what_was_fitted(history, tmp_path) -> None:
    f = fitted(history, members=("corrector",), horizon=np.array([1, 2, 6]), seed=np.int64(3))
    f.set_params(horizon=3, delay=9)
    f.save(tmp_path / "f")
    again = EnsembleForecaster.load(tmp_path / "f")
    assert again.seed == 3 and again.delay == 0
    pd.testing.assert_frame_equal(again.predict(), f.predict(), check_exact=True)


def test_a_setting_that_no_file_holds_is_told(history, tmp_path) -> None:
    f = fitted(history, members=("corrector",), network={"prior": object()})
    with pytest.raises(InputError, match="plain numbers: got a object"):
        f.save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


# ---- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"members": ("network", "oracle")}, "expected some of network, .*, got 'oracle'"),
        ({"members": ()}, "expected at least one, got none"),
        ({"horizon": 0}, r"horizon\): expected rows ahead >= 1"),
        ({"horizon": (6, 1)}, r"horizon\): expected rows ahead >= 1"),
        ({"quantiles": (0.1, 0.9)}, r"quantiles\): expected rising levels with 0\.5"),
        ({"quantiles": (0.5, 1.0)}, r"quantiles\): expected levels within 0\.\.1"),
        ({"delay": -1}, r"delay\): expected 0 or more rows, got -1"),
        ({"stride": 0}, r"stride\): expected 1 or more rows, got 0"),
        ({"network": {"widht": 3}, "members": ("network",)}, "widht"),
    ],
)
def test_settings_of_no_use_are_refused(history, settings, text):
    with pytest.raises((InputError, TypeError), match=text):
        ensemble(**settings).fit(history[:FIT], tags=TAGS, progress=False)


def test_a_member_that_the_rows_do_not_allow_is_told_why() -> None:
    rows = plant(stamps=False)
    for name, why in (("climatology", "stamps whose period divides a day"),):
        with pytest.raises(InputError, match=why):
            ensemble(members=(name,)).fit(rows, tags=STAMPLESS, progress=False)
    with pytest.raises(InputError, match="outputs that share a network are frozen"):
        ensemble(members=("online network",)).fit(plant()[PAST.names], tags=PAST, progress=False)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h: h.assign(nox=5.0), "nox"),
        (lambda h: h.assign(co=np.nan), "co"),
        (lambda h: h[:29], r"train_rows\): expected at least 30 rows"),
        (lambda h: h.drop(columns="load"), "column 'load' is missing"),
        (lambda h: h.reset_index(drop=True), "DatetimeIndex"),
    ],
)
def test_rows_of_no_use_are_refused(history, change, text):
    with pytest.raises((InputError, DataError), match=text):
        ensemble().fit(change(history), tags=TAGS, progress=False)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"validation_rows": 0}, "both above 0"),
        ({"train_rows": 1000, "validation_rows": 400}, "within the history's 1300 rows"),
        ({"train_rows": 900, "validation_rows": 3}, r"at least the horizon, 6 rows, got 3"),
    ],
)
def test_parts_that_are_not_there_are_refused(history, parts, text):
    with pytest.raises(InputError, match=text):
        ensemble().fit(history, tags=TAGS, progress=False, **parts)


def test_a_choice_of_other_members_is_refused(history, hourly) -> None:
    with pytest.raises(InputError, match=r"fit\(choice\): expected one of network, corrector"):
        ensemble(members=("network", "corrector")).fit(
            history, tags=TAGS, choice=hourly.choice_, progress=False
        )


def test_labels_that_come_early_are_refused_and_nothing_is_taken(history) -> None:
    f = fitted(history, delay=12, members=("network", "online network", "corrector"))
    before = f.predict()
    with pytest.raises(InputError, match=r"'nox' missing or left out, its labels come 12 rows late"):
        f.observe(history[FIT : FIT + 3])
    with pytest.raises(DataError, match="column 'load' is missing"):
        f.observe(history[FIT : FIT + 3][["ambient"]])
    with pytest.raises(InputError, match=r"row 928 may come from row 940 on \(delay 12\), now is row 939"):
        f.label(history[OUTPUTS][FIT - 12 : FIT - 11], FIT - 12)
    with pytest.raises(InputError, match=r"expected the columns \['co'\]"):
        f.label(history[["nox"]][FIT - 13 : FIT - 12], FIT - 13)
    with pytest.raises(InputError, match="infinite"):
        f.label(history[OUTPUTS][FIT - 13 : FIT - 12] * np.inf, FIT - 13)
    assert f.rows == FIT
    pd.testing.assert_frame_equal(f.predict(), before)


def test_time_that_does_not_rise_and_plans_that_do_not_fit_are_refused(hourly, history) -> None:
    with pytest.raises(DataError, match="expected rows after"):
        hourly.observe(history[FIT - 1 : FIT + 3])
    with pytest.raises(DataError, match="pandas DataFrame"):
        hourly.observe(history.to_numpy())
    with pytest.raises(ShapeError, match=r"plan: expected \(H=6, U=1\)"):
        hourly.predict(np.zeros((3, 1)))
    with pytest.raises(InputError, match="setpoint 'load', step 2"):
        hourly.predict(np.array([[1.0], [-5.0], [1], [1], [1], [1]]))
    assert hourly.rows == FIT


def test_a_past_among_the_rows_of_the_fit_is_refused(hourly, history) -> None:
    for begin, end, stride in ((FIT - 1, None, 1), (FIT, FIT, 1), (FIT, 5000, 1), (FIT, None, 0)):
        with pytest.raises(InputError, match=r"backtest: expected rows 940 \(the fit's end\) <= begin"):
            hourly.backtest(history, begin, end, stride=stride)


def test_it_is_an_estimator_that_says_when_it_is_not_fitted() -> None:
    f = clone(ensemble(seed=7))
    assert f.seed == 7 and "EnsembleForecaster(" in repr(f) and "not fitted" in f._repr_html_()
    for call in (f.predict, lambda: f.weights_, lambda: f.save("x"), lambda: f.observe(None)):
        with pytest.raises(NotFittedError):
            call()
    assert pickle.loads(pickle.dumps(f)).seed == 7


def test_the_learner_that_follows_the_stream_is_at_hand(history, hourly) -> None:
    assert hourly.learner_ is not None and hourly.learner_.rows == FIT
    assert fitted(history, members=("corrector",)).learner_ is None
