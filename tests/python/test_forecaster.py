"""emisopt.Forecaster: scikit-learn's contract, forecasts, checkpoints, one test per bad input."""

import io
import os
import pickle
import signal
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import emisopt
import emisopt.engine
from emisopt import Forecaster
from emisopt.permit import load_permit

SMALL = {"context": 24, "horizon": 12, "width": 16, "heads": 2, "layers": 1, "steps": 30, "warmup": 5}


# ---- the estimator contract ------------------------------------------------------------------------------


def test_parameters_are_stored_as_given_and_cloned():
    forecaster = Forecaster(context=48, quantiles=[0.1, 0.5, 0.9])
    assert forecaster.get_params()["context"] == 48
    assert forecaster.get_params()["quantiles"] == [0.1, 0.5, 0.9]
    twin = clone(forecaster.set_params(seed=7))
    assert twin is not forecaster
    assert twin.get_params() == forecaster.get_params()


def test_defaults_shown_in_the_signature_are_those_of_the_core():
    core = emisopt._core.ForecasterConfig()
    for name, value in Forecaster().get_params().items():
        if hasattr(core, name):
            ours = list(value) if isinstance(value, tuple) else value
            assert getattr(core, name) == ours, name


@pytest.mark.parametrize("call", ["predict", "jacobian", "save", "summary"])
def test_unfitted_says_so(call, now, tmp_path):
    history, plan, _ = now
    arguments = {"predict": (history,), "jacobian": (history, plan), "save": (tmp_path / "x",), "summary": ()}
    with pytest.raises(NotFittedError, match="not fitted"):
        getattr(Forecaster(), call)(*arguments[call])


def test_a_cloned_fitted_forecaster_is_unfitted(small_forecaster, now):
    with pytest.raises(NotFittedError):
        clone(small_forecaster).predict(now[0])


def test_learned_state_is_named_as_in_scikit_learn(small_forecaster, boiler_history):
    history, tags = boiler_history
    assert small_forecaster.n_features_in_ == len(tags)
    assert list(small_forecaster.feature_names_in_) == list(history.columns)
    assert small_forecaster.outputs_ == tuple(tags.outputs)
    assert small_forecaster.training_["steps"] == 300
    assert not small_forecaster.interrupted_


def test_pickle_keeps_the_forecasts(small_forecaster, now):
    twin = pickle.loads(pickle.dumps(small_forecaster))
    pd.testing.assert_frame_equal(twin.predict(*now), small_forecaster.predict(*now), check_exact=True)


# ---- forecasting -----------------------------------------------------------------------------------------


def test_forecast_is_labelled_ordered_and_physical(small_forecaster, now, boiler_history):
    history, plan, known = now
    forecast = small_forecaster.predict(history, plan, known)
    tags = boiler_history[1]
    assert list(forecast.columns.get_level_values("output").unique()) == tags.outputs
    assert forecast.index.equals(boiler_history[0].index[2500:2512])
    for output in tags.outputs:
        assert np.all(np.diff(forecast[output].to_numpy(), axis=1) >= 0)
    assert (forecast["nox"] > 0).all().all()


def test_training_beats_the_last_value(small_forecaster, boiler_history):
    history, tags = boiler_history
    ours, naive, truth = [], [], []
    for end in range(2300, 2800, 12):
        ahead = history.iloc[end : end + 12]
        forecast = small_forecaster.predict(
            history.iloc[:end], ahead[tags.setpoints], ahead[["load", "ambient", "fuel_grade"]]
        )
        ours.append(forecast["co2", 0.5].to_numpy())
        naive.append(np.full(12, history["co2"].iloc[:end].dropna().iloc[-1]))
        truth.append(ahead["co2"].to_numpy())
    ours, naive, truth = map(np.concatenate, (ours, naive, truth))
    assert emisopt.metrics.mae(truth, ours) < 0.8 * emisopt.metrics.mae(truth, naive)


def test_plan_by_name_and_by_position_agree(small_forecaster, now):
    history, plan, known = now
    shuffled = plan[plan.columns[::-1]]
    by_name = small_forecaster.predict(history, shuffled, known)
    by_position = small_forecaster.predict(history, plan.to_numpy(), known)
    pd.testing.assert_frame_equal(by_name, by_position, check_exact=True)


def test_forecast_does_not_depend_on_setpoints_that_come_later(small_forecaster, now):
    history, plan, known = now
    late = plan.copy()
    late.iloc[5:, 0] += 0.5
    a, b = small_forecaster.predict(history, plan, known), small_forecaster.predict(history, late, known)
    pd.testing.assert_frame_equal(a.iloc[:5], b.iloc[:5], check_exact=True)
    assert not a.iloc[5:].equals(b.iloc[5:])


def test_unknown_operation_is_a_different_forecast(small_forecaster, now):
    history, plan, known = now
    unknown = small_forecaster.predict(history)
    assert np.isfinite(unknown.to_numpy()).all()
    assert not unknown.equals(small_forecaster.predict(history, plan, known))


def test_known_disturbances_count_without_a_plan(small_forecaster, now):
    history, plan, known = now
    half = small_forecaster.predict(history, None, known)
    assert not half.equals(small_forecaster.predict(history))
    blank = np.full(plan.shape, np.nan)
    pd.testing.assert_frame_equal(half, small_forecaster.predict(history, blank, known), check_exact=True)


def test_rows_after_the_context_do_not_matter(small_forecaster, now):
    history, plan, known = now
    full = small_forecaster.predict(history, plan, known)
    tail = small_forecaster.predict(history.tail(24), plan, known)
    pd.testing.assert_frame_equal(full, tail, check_exact=True)


def test_same_seed_same_bits_for_one_and_two_threads(boiler_history, now):
    history, tags = boiler_history
    forecasts = [
        Forecaster(**SMALL, threads=threads).fit(history, tags=tags, progress=False).predict(*now)
        for threads in (1, 2)
    ]
    pd.testing.assert_frame_equal(*forecasts, check_exact=True)


@pytest.mark.parametrize("cut", np.random.default_rng(17).integers(300, 2800, 10).tolist())
def test_rows_after_the_training_rows_change_nothing(boiler_history, cut):
    history, tags = boiler_history
    noisy = history.copy()
    columns = [name for name in history.columns if name != "fuel_grade"]
    noise = np.random.default_rng(cut).uniform(0.8, 1.2, (len(history) - cut, len(columns)))
    noisy.loc[noisy.index[cut:], columns] = history[columns].iloc[cut:].to_numpy() * noise
    few = {**SMALL, "steps": 4}
    a = Forecaster(**few).fit(history, tags=tags, train_rows=cut, progress=False)
    b = Forecaster(**few).fit(noisy, tags=tags, train_rows=cut, progress=False)
    np.testing.assert_array_equal(a.core_.theta, b.core_.theta)
    np.testing.assert_array_equal(a.core_.hull, b.core_.hull)
    past = history.iloc[:cut]
    pd.testing.assert_frame_equal(a.predict(past), b.predict(past), check_exact=True)


# ---- sensitivity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_jacobian_agrees_with_finite_differences(small_forecaster, now, quantile):
    history, plan, known = now
    exact = small_forecaster.jacobian(history, plan, known, quantile=quantile)
    values = np.asarray(exact)
    assert values.shape == (12, 6, 12, 4)
    for step, setpoint, size in [(0, "o2_sp", 0.05), (4, "nh3_ratio_sp", 0.004), (7, "tilt_sp", 0.5)]:
        sides = []
        for sign in (1, -1):
            moved = plan.copy()
            moved.loc[moved.index[step], setpoint] += sign * size
            sides.append(
                small_forecaster.predict(history, moved, known).xs(quantile, axis=1, level="quantile")
            )
        slope = (sides[0] - sides[1]).to_numpy() / (2 * size)
        ours = values[:, :, step, list(plan.columns).index(setpoint)]
        # float32 forecasts: rounding over the step, and curvature
        scale = np.abs(ours).max(axis=0)
        assert np.all(
            np.abs(slope - ours) <= 0.03 * scale + 1e-3 * np.abs(sides[0]).max().to_numpy() / 50 / size
        )


def test_jacobian_is_exactly_zero_for_later_setpoints(small_forecaster, now):
    values = small_forecaster.jacobian(*now).values
    for t in range(12):
        assert not values[t, :, t + 1 :, :].any()
        assert values[t, :, : t + 1, :].any()


def test_sensitivity_frames_are_labelled(small_forecaster, now):
    sensitivity = small_forecaster.jacobian(*now)
    block = sensitivity.frame("nox", "o2_sp")
    response = sensitivity.step_response()["nox", "o2_sp"]
    np.testing.assert_allclose(block.sum(axis=1), response)
    assert "Step response" in sensitivity._repr_html_()
    with pytest.raises(ValueError, match=r"expected one of nox, .*, got 'so2'"):
        sensitivity.frame("so2", "o2_sp")


def test_quantile_that_was_not_trained_is_refused(small_forecaster, now):
    with pytest.raises(ValueError, match=r"expected one of 0.05, .*, got 0.99"):
        small_forecaster.jacobian(*now, quantile=0.99)


# ---- arguments -------------------------------------------------------------------------------------------


def test_plan_outside_its_range_is_refused(small_forecaster, now):
    history, plan, known = now
    plan = plan.copy()
    plan.iloc[3, 0] = 40.0
    with pytest.raises(ValueError, match=r"plan: setpoint 'o2_sp', step 4: expected .* %, got 40"):
        small_forecaster.predict(history, plan, known)


def test_plan_of_wrong_shape_is_refused(small_forecaster, now):
    history, plan, known = now
    with pytest.raises(ValueError, match=r"plan: expected \(H=12, U=4\), got \(11, 4\)"):
        small_forecaster.predict(history, plan.iloc[:11], known)


def test_plan_of_wrong_dtype_is_refused(small_forecaster, now):
    history, plan, known = now
    with pytest.raises(ValueError, match="plan: expected numbers"):
        small_forecaster.predict(history, plan.to_numpy().astype(str), known)


def test_plan_without_a_setpoint_is_refused(small_forecaster, now):
    history, plan, known = now
    with pytest.raises(ValueError, match="plan: column 'tilt_sp' is missing"):
        small_forecaster.predict(history, plan.drop(columns="tilt_sp"), known)


def test_known_of_wrong_length_is_refused(small_forecaster, now):
    history, plan, known = now
    with pytest.raises(ValueError, match="known: expected H=12 rows, got 5"):
        small_forecaster.predict(history, plan, known.iloc[:5])


def test_known_with_an_output_is_refused(small_forecaster, now, boiler_history):
    history, plan, _ = now
    with pytest.raises(ValueError, match="known: column 'nox' is not a disturbance"):
        small_forecaster.predict(history, plan, boiler_history[0][["nox"]].iloc[2500:2512])


def test_history_without_a_column_is_refused(small_forecaster, now):
    with pytest.raises(ValueError, match="history: column 'nox' is missing"):
        small_forecaster.predict(now[0].drop(columns="nox"))


def test_history_that_is_too_short_is_refused(small_forecaster, now):
    with pytest.raises(ValueError, match="24 rows"):
        small_forecaster.predict(now[0].head(20))


def test_history_with_a_gap_in_the_context_is_refused(small_forecaster, now):
    broken = now[0].drop(now[0].index[-5])
    with pytest.raises(ValueError, match="unbroken run"):
        small_forecaster.predict(broken)


def test_history_without_stamps_is_refused_where_the_tag_map_has_a_period(small_forecaster, now):
    with pytest.raises(ValueError, match="each row needs a stamp"):
        small_forecaster.predict(now[0].reset_index(drop=True))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"horizon": 0}, "ForecasterConfig.horizon"),
        ({"heads": 3}, "ForecasterConfig.width"),
        ({"quantiles": (0.1, 0.9)}, "ForecasterConfig.quantiles"),
        ({"steps": 0}, "TrainConfig.steps"),
        ({"rate": -1.0}, "TrainConfig.rate"),
        ({"loss": "absolute"}, r"Forecaster\(loss\): expected one of pinball"),
    ],
)
def test_bad_parameters_are_named(boiler_history, change, text):
    history, tags = boiler_history
    with pytest.raises(ValueError, match=text):
        Forecaster(**{**SMALL, **change}).fit(history, tags=tags, progress=False)


def test_rows_beyond_the_history_are_refused(boiler_history):
    history, tags = boiler_history
    with pytest.raises(ValueError, match=r"expected rows within the history's 2880, got 5000 and 0"):
        Forecaster(**SMALL).fit(history, tags=tags, train_rows=5000, progress=False)


# ---- Ctrl-C and progress ---------------------------------------------------------------------------------


def test_ctrl_c_ends_the_fit_with_the_best_model_so_far(boiler_history, now):
    history, tags = boiler_history
    forecaster = Forecaster(**{**SMALL, "steps": 1_000_000})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    timer = threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forecaster.fit(history, tags=tags, progress=False)
    timer.join()
    signal.signal(signal.SIGINT, before)
    assert forecaster.interrupted_
    assert 0 < forecaster.training_["steps"] < 1_000_000
    assert any("interrupted at step" in str(w.message) for w in caught)
    assert np.isfinite(forecaster.predict(*now).to_numpy()).all()


def test_progress_goes_to_stderr_as_plain_lines_without_a_terminal(boiler_history, capfd):
    history, tags = boiler_history
    Forecaster(**SMALL).fit(history, tags=tags)
    out, err = capfd.readouterr()
    assert out == ""
    assert "step 30/30" in err
    assert "win/s" in err


# ---- checkpoints -----------------------------------------------------------------------------------------


def test_a_checkpoint_gives_the_same_forecasts(small_forecaster, now, tmp_path):
    file = tmp_path / "model.safetensors"
    small_forecaster.save(file)
    loaded = Forecaster.load(file)
    pd.testing.assert_frame_equal(loaded.predict(*now), small_forecaster.predict(*now), check_exact=True)
    assert loaded.tags_ == small_forecaster.tags_
    assert loaded.get_params()["context"] == 24


@pytest.fixture
def checkpoint(small_forecaster, tmp_path):
    file = tmp_path / "model.safetensors"
    small_forecaster.save(file)
    return file


def test_missing_checkpoint_is_an_oserror(tmp_path):
    with pytest.raises(OSError, match=r"nothing\.safetensors"):
        Forecaster.load(tmp_path / "nothing.safetensors")


def test_truncated_checkpoint_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(emisopt.FileError, match="truncated"):
        Forecaster.load(checkpoint)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_bit_flipped_checkpoint_is_refused(checkpoint, place):
    data = bytearray(checkpoint.read_bytes())
    data[int(len(data) * place)] ^= 4
    checkpoint.write_bytes(data)
    with pytest.raises(emisopt.FileError, match=r"model\.safetensors"):
        Forecaster.load(checkpoint)


def test_foreign_safetensors_file_is_refused(tmp_path):
    header = b'{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    file = tmp_path / "foreign.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(emisopt.FileError, match="emisopt"):
        Forecaster.load(file)


def test_foreign_file_is_refused(tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    with pytest.raises(emisopt.FileError):
        Forecaster.load(file)


def test_newer_checkpoint_is_refused_with_what_to_do(checkpoint):
    data = checkpoint.read_bytes()
    key = b"format_version"
    assert key in data
    place = data.index(key) + len(key)
    while not data[place : place + 1].isdigit():
        place += 1
    checkpoint.write_bytes(data[:place] + b"9" + data[place + 1 :])
    with pytest.raises(emisopt.FileError, match="newer"):
        Forecaster.load(checkpoint)


def test_a_checkpoint_says_which_permit_it_serves(small_forecaster, tmp_path):
    permit, other = load_permit("swiss_lrv"), load_permit("epa_da")
    path = tmp_path / "model.safetensors"
    forecaster = pickle.loads(pickle.dumps(small_forecaster))
    assert forecaster.permit_hash_ is None
    for one in (other, permit, permit):
        forecaster.save(path, permit=one)
        loaded = Forecaster.load(path)
        assert loaded.permit_hash_ == one.hash and loaded.summary()["permit"] == one.name
    forecaster.save(path)
    assert Forecaster.load(path).permit_hash_ == permit.hash


def test_a_failed_save_leaves_the_old_checkpoint(small_forecaster, checkpoint, now):
    with pytest.raises(OSError, match="no_such_folder"):
        small_forecaster.save(checkpoint.parent / "no_such_folder" / "model.safetensors")
    Forecaster.load(checkpoint).predict(*now)
    assert [p.name for p in checkpoint.parent.iterdir()] == ["model.safetensors"]


# ---- notebooks -------------------------------------------------------------------------------------------


def test_reprs_help_in_a_notebook(small_forecaster):
    text = small_forecaster._repr_html_()
    assert "nox [mg/Nm3]" in text
    assert "synthetic" in text
    assert "(not fitted)" in Forecaster(context=48)._repr_html_()
    assert "context=48" in repr(Forecaster(context=48))


def test_summary_is_a_series(small_forecaster):
    buffer = io.StringIO()
    print(small_forecaster.summary(), file=buffer)
    assert "24 back, 12 ahead" in small_forecaster.summary()["rows"]


# ---- the session of the core: what other programs need to run the same network ---------------------------


@pytest.fixture(scope="module")
def session_of_boiler():
    history, tags = emisopt.plants.Boiler(seed=3).simulate_history(days=2)
    f = Forecaster(**SMALL, quantiles=(0.05, 0.5, 0.95)).fit(history, tags=tags, progress=False)
    session = emisopt._core.ForecastSession(f.core_, 1)
    rows = emisopt.history.to_history(history, tags)
    session.set_history(rows, rows.rows)
    plan = np.tile([3.5, 20.0, 0.8, 1.0], (12, 1))
    known = emisopt.history.known_array(None, tags, 12)
    return f, session, plan, known


def test_tokens_and_scales_are_all_that_the_network_is_given(session_of_boiler):
    f, session, plan, known = session_of_boiler
    history, future = session.tokens(plan, known)
    program = emisopt.engine.Program(f)
    program.load()
    program.history[0] = history
    program.run_context()
    program.future[0] = future
    program.run()
    tags = f.tags_
    log, offset, mean, sd = f.core_.scales[[tags.names.index(n) for n in tags.outputs]].T
    anchor = (np.where(log > 0, np.log(session.anchors + offset), session.anchors) - mean) / sd
    change = np.array(program.quantiles).reshape(12, len(anchor), 3)
    z = (anchor[:, None] + change) * sd[:, None] + mean[:, None]
    with np.errstate(over="ignore"):
        physical = np.where(log[:, None] > 0, np.exp(z) - offset[:, None], z)
    np.testing.assert_allclose(physical, session.predict(plan, known), rtol=2e-5, atol=1e-5)
    assert log.any() and not log.all(), "both kinds of scale are looked at"


def test_tokens_are_affine_in_the_plan(session_of_boiler):
    f, session, plan, known = session_of_boiler
    _, future = session.tokens(plan, known)
    moved = plan.copy()
    moved[5, 1] += 2.0
    _, other = session.tokens(moved, known)
    names = list(f.core_.future_names)
    expected = np.zeros_like(future)
    sd = f.core_.scales[f.tags_.names.index("ofa_sp"), 3]
    expected[5, [names.index("ofa_sp z"), names.index("ofa_sp z - anchor")]] = 2.0 / sd
    np.testing.assert_allclose(other - future, expected, atol=1e-5)


def test_sensitivities_are_sums_of_the_jacobian(session_of_boiler):
    _, session, plan, known = session_of_boiler
    moves = [(0, 0, 11), (2, 3, 7), (3, 11, 11)]
    levels = [1, 2]
    jacobian = session.jacobian(plan, known, levels)
    expected = np.stack([jacobian[..., a : b + 1, u].sum(-1) for u, a, b in moves], axis=-1)
    found = session.sensitivities(plan, known, moves, levels)
    assert found.shape == (2, 12, 6, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_session_refuses_what_does_not_fit(session_of_boiler):
    _, session, plan, known = session_of_boiler
    with pytest.raises(emisopt._core.ShapeError, match=r"tokens\(plan\): expected \(H=12, U=4\)"):
        session.tokens(plan[:3].copy(), known)
    with pytest.raises(emisopt._core.ShapeError, match=r"sensitivities\(known\)"):
        session.sensitivities(plan, known[:, :1].copy(), [(0, 0, 0)], [1])
    with pytest.raises(emisopt._core.InputError, match=r"sensitivities\(levels\): expected 0..2, got 3"):
        session.sensitivities(plan, known, [(0, 0, 0)], [3])
    with pytest.raises(emisopt._core.InputError, match=r"moves\[1\].*got setpoint 4"):
        session.sensitivities(plan, known, [(0, 0, 0), (4, 0, 1)], [1])
    fresh = emisopt._core.ForecastSession(session_of_boiler[0].core_)
    with pytest.raises(emisopt._core.StateError, match="expected a history"):
        fresh.tokens(plan, known)
