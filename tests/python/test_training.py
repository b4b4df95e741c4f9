"""Fits that are killed, spoilt or given settings that do not fit (emisopt._training, Forecaster.fit)."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt import Forecaster
from emisopt.history import to_history

SMALL = {"context": 24, "horizon": 12, "width": 16, "heads": 2, "layers": 1, "steps": 60, "warmup": 5}

CHILD = """
import sys
import pandas as pd, emisopt
from emisopt import Forecaster
data, tags, state, out = sys.argv[1:]
history = pd.read_parquet(data)
f = Forecaster(context=24, horizon=12, width=16, heads=2, layers=1, steps=250, warmup=5)
f.fit(history, tags=emisopt.TagMap.from_json(open(tags).read()), train_rows=1500, validation_rows=300,
      progress=False, resume=state, save_every=0.02)
f.save(out)
"""


def weights(forecaster):
    return np.asarray(forecaster.core_.theta).tobytes()


@pytest.mark.slow  # four interpreters; tests/cpp/train/state_test.cpp kills many more processes in a second
def test_a_killed_fit_goes_on_to_the_same_bits(boiler_history, tmp_path):
    history, tags = boiler_history
    data, tag_file, state = tmp_path / "h.parquet", tmp_path / "tags.json", tmp_path / "state.safetensors"
    history.iloc[:1800].to_parquet(data)
    tag_file.write_text(tags.to_json())
    outs = [tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"]
    whole = [sys.executable, "-c", CHILD, data, tag_file, tmp_path / "other.safetensors", outs[0]]
    subprocess.run([str(a) for a in whole], check=True)
    pieces = [str(a) for a in [sys.executable, "-c", CHILD, data, tag_file, state, outs[1]]]
    kills = 0
    for seconds in [0.02, 0.1]:  # after the first state is there: in the midst of steps and writes
        before = state.stat().st_mtime_ns if state.exists() else 0
        child = subprocess.Popen(pieces)
        while child.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert kills == 2
    subprocess.run(pieces, check=True)
    assert weights(Forecaster.load(outs[0])) == weights(Forecaster.load(outs[1]))


def test_a_fit_that_ended_is_read_back_and_its_file_refuses_others(boiler_history, tmp_path):
    history, tags = boiler_history
    state = tmp_path / "state.safetensors"
    first = Forecaster(**SMALL).fit(history, tags=tags, train_rows=900, progress=False, resume=state)
    again = Forecaster(**SMALL).fit(history, tags=tags, train_rows=900, progress=False, resume=state)
    assert weights(first) == weights(again)
    assert again.training_["steps"] == 60
    with pytest.raises(emisopt.FileError, match=r"this run, got one with seed 0, not 1.*remove the file"):
        Forecaster(**SMALL, seed=1).fit(history, tags=tags, train_rows=900, progress=False, resume=state)
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(emisopt.FileError, match="or remove it to start the training anew"):
        Forecaster(**SMALL).fit(history, tags=tags, train_rows=900, progress=False, resume=state)


def test_new_settings_at_rest_leave_the_bits(boiler_history):
    history, tags = boiler_history
    at_rest = {"max_delay": 0, "min_horizon": 12, "tail": "all", "multiscale": 0.0, "exceed_weight": 1.0}
    heavy = {"exceed_weight": 4}
    fits = [
        Forecaster(**SMALL, **extra).fit(history, tags=tags, train_rows=900, progress=False)
        for extra in ({}, at_rest, {"max_delay": 6}, {"tail": "upper"}, {"multiscale": 0.5}, heavy)
    ]
    assert weights(fits[0]) == weights(fits[1])
    assert len({weights(f) for f in fits}) == 5


def test_a_loss_that_is_not_finite_names_the_windows_and_keeps_the_best(boiler_history):
    history, tags = boiler_history
    settings = {**SMALL, "steps": 200, "batch": 4, "warmup": 0}
    with pytest.warns(UserWarning, match="stopped at step .*: the (loss|gradient) is .*weights of step"):
        f = Forecaster(**settings, rate=1e25, clip=0.0, average=0.0)
        f.fit(history, tags=tags, train_rows=900, progress=False)
    assert np.isfinite(np.asarray(f.core_.theta)).all()


def test_labels_that_come_late_are_served_by_one_model(boiler_history):
    history, tags = boiler_history
    f = Forecaster(**SMALL, max_delay=6).fit(history, tags=tags, train_rows=900, progress=False)
    late = history.iloc[:1200].copy()
    late.iloc[-6:, late.columns.get_indexer(tags.outputs)] = np.nan
    noisy = history.iloc[:1200].copy()  # what is hidden cannot matter
    noisy.iloc[-6:, noisy.columns.get_indexer(tags.outputs)] *= 1.5
    session = emisopt._core.ForecastSession(f.core_)
    plan = np.ascontiguousarray(history.iloc[1200:1212][tags.setpoints].to_numpy(dtype=float))
    known = np.full((12, len(tags.disturbances)), np.nan)
    answers = []
    for table, hidden in ((history.iloc[:1200], 6), (late, 0), (noisy, 6)):
        session.set_history(to_history(table, tags, live=True), 1200, hidden)
        answers.append(session.predict(plan, known))
    assert np.array_equal(answers[0], answers[2])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_delay": 24}, r"max_delay: expected at most 23 rows \(one less than the context\), got 24"),
        ({"min_horizon": 13}, r"min_horizon: expected at most 12 rows \(the horizon\), got 13"),
        ({"tail": "top"}, "expected all, upper, lower or both, got 'top'"),
        ({"multiscale": -1.0}, "multiscale: expected 0 or a positive coefficient, got -1"),
        ({"exceed_weight": 0.0}, "exceed_weight: expected a positive number, got 0"),
        ({"exceed_quantile": 1.0}, r"exceed_quantile: expected a share in \[0, 1\), got 1"),
        ({"exceed_limits": {"nxo": 90.0}}, "expected the name of an output, got 'nxo'; did you mean 'nox'"),
        ({"exceed_limits": 90.0}, "expected a mapping of output to limit, got float"),
    ],
)
def test_each_setting_is_refused_by_name(boiler_history, settings, message):
    history, tags = boiler_history
    with pytest.raises(emisopt.InputError, match=message):
        Forecaster(**SMALL, **settings).fit(history, tags=tags, train_rows=900, progress=False)


def test_targets_that_cannot_be_learnt_are_refused(boiler_history):
    history, tags = boiler_history
    for value, message in ((np.nan, "nox"), (80.0, "nox")):
        spoilt = history.iloc[:900].copy()
        spoilt["nox"] = value
        with pytest.raises(emisopt.InputError, match=message):
            Forecaster(**SMALL).fit(spoilt, tags=tags, progress=False)
    with pytest.raises(emisopt.InputError, match="at least one window of 890 \\+ 12 unbroken rows"):
        Forecaster(**{**SMALL, "context": 890}).fit(history.iloc[:900], tags=tags, progress=False)


def test_a_state_in_no_folder_is_refused(boiler_history, tmp_path):
    history, tags = boiler_history
    with pytest.raises(emisopt.FileError):
        Forecaster(**SMALL).fit(
            history, tags=tags, train_rows=900, progress=False, resume=tmp_path / "no" / "s", save_every=0
        )
    assert isinstance(history, pd.DataFrame) and not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"context": "24"}, "Forecaster(context): expected a whole number, got '24'"),
        ({"horizon": 6.5}, "Forecaster(horizon): expected a whole number, got 6.5"),
        ({"heads": True}, "Forecaster(heads): expected a whole number, got True"),
        ({"rate": "fast"}, "Forecaster(rate): expected a number, got 'fast'"),
        ({"steps": None}, "Forecaster(steps): expected a whole number, got None"),
    ],
)
def test_a_parameter_of_another_type_is_named(boiler_history, settings, told):
    history, tags = boiler_history
    with pytest.raises(emisopt.InputError) as error:
        Forecaster(**{**SMALL, **settings}).fit(history, tags=tags, progress=False)
    assert str(error.value) == told


def test_numbers_of_numpy_are_numbers(boiler_history):
    history, tags = boiler_history
    own = {**SMALL, "context": np.int64(24), "steps": np.int32(2), "rate": np.float32(1e-3), "decay": 0}
    assert Forecaster(**own).fit(history, tags=tags, progress=False).training_["steps"] == 2
