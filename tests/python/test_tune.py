"""emisopt.tune: order of time, failing trials, resumption after a stop or kill; one test per bad input."""

import sqlite3
import sys

import pytest
import yaml

import emisopt
from emisopt import Forecaster
from emisopt.cli import main
from emisopt.errors import ConfigError
from test_cli import TAGS, plant_frame

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'emisopt[tune]'")
from emisopt import tune as module
from emisopt.tune import tune

FIXED = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "layers": 1, "steps": 10, "warmup": 2}
ROWS = {"train_rows": 500, "validation_rows": 60, "score_rows": 100}


def quick(boiler_history, **more):
    history, tags = boiler_history
    base = {"tags": tags, "settings": FIXED, "space": {"rate": {"low": 1e-3, "high": 1e-2, "log": True}}}
    return tune(history, **{**base, **ROWS, "trials": 3, **more})


def test_every_trial_is_logged_with_its_cost_and_the_best_can_be_fitted(boiler_history, tmp_path):
    lines = []
    found = quick(boiler_history, progress=lines.append)
    assert len(found.trials) == 3 and len(lines) == 3
    done = found.trials
    assert (done["state"] == "done").all() and (done["seconds"] > 0).all() and (done["cpu_seconds"] > 0).all()
    assert (done["joules"] > 0).all() and (done["weights"] > 1000).all()
    assert found.score == done["score"].min()
    assert found.settings["rate"] == done.loc[done["score"].idxmin(), "rate"]
    assert found.settings["steps"] == 10
    assert found.kilowatt_hours == pytest.approx(done["joules"].sum() / 3.6e6)
    found.save(tmp_path / "best.yaml")
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["rate"] == found.settings["rate"]
    assert "3 trials" in found.text() and "kWh" in found.text()
    history, tags = boiler_history
    again = Forecaster(**found.settings).fit(
        history.iloc[:560], tags=tags, train_rows=500, validation_rows=60, progress=False
    )
    scorer = module._Scorer(
        emisopt.history.to_history(history.iloc[:660], tags), FIXED, {}, 500, 560, "known"
    )
    assert scorer(again) == pytest.approx(found.score, rel=1e-12)


def test_no_row_after_the_scored_ones_matters_and_training_sees_none_of_them(boiler_history):
    history, tags = boiler_history
    found = quick(boiler_history, trials=1)
    noisy = history.copy()
    outputs = noisy.columns.get_indexer(tags.outputs)
    noisy.iloc[660:, outputs] = noisy.iloc[660:, outputs] * 1.02
    assert quick((noisy, tags), trials=1).score == found.score
    noisy.iloc[560:660, outputs] = noisy.iloc[560:660, outputs] * 1.02  # scored
    assert quick((noisy, tags), trials=1).score != found.score


def test_a_trial_that_fails_is_logged_and_the_others_go_on(boiler_history):
    rest = {name: value for name, value in FIXED.items() if name != "heads"}
    found = quick(boiler_history, trials=6, settings=rest, space={"heads": [2, 3], "rate": [1e-3, 3e-3]})
    failed = found.trials[found.trials["state"] == "failed"]
    assert 0 < len(failed) < 6
    assert failed["error"].str.contains("a multiple of 2 \\* heads").all()
    assert (failed["seconds"] > 0).all() and failed["joules"].notna().all()
    assert "failed: ForecasterConfig.width" in found.text()
    with pytest.raises(emisopt.InputError, match=r"a trial that succeeds, got none; the last: .*heads"):
        quick(boiler_history, trials=2, settings=rest, space={"heads": [3]})


def test_a_diverging_trial_counts_as_failed(boiler_history):
    wild = {**FIXED, "clip": 0.0, "average": 0.0, "warmup": 0}
    found = quick(boiler_history, trials=4, settings=wild, space={"rate": [1e-3, 1e25]})
    assert set(found.trials["state"]) == {"done", "failed"}
    assert found.settings["rate"] == 1e-3


def test_a_tuning_goes_on_from_its_file_to_the_same_trials(boiler_history, tmp_path):
    whole = quick(boiler_history, trials=4)
    file = tmp_path / "trials.db"
    assert len(quick(boiler_history, trials=2, storage=file).trials) == 2
    resumed = quick(boiler_history, trials=4, storage=file)
    assert resumed.trials["rate"].tolist() == whole.trials["rate"].tolist()
    assert resumed.trials["score"].tolist() == whole.trials["score"].tolist()
    assert len(quick(boiler_history, trials=3, storage=file).trials) == 4  # nothing is left to do
    with sqlite3.connect(file) as base:  # as a process leaves it that is killed in its trial
        base.execute("update trials set state = 'RUNNING', datetime_complete = null where number = 3")
    again = quick(boiler_history, trials=5, storage=file)
    assert again.trials.loc[3, "state"] == "failed" and len(again.trials) == 5
    with pytest.raises(emisopt.FileError, match="got those of another space"):
        quick(boiler_history, storage=file, space={"rate": [1e-3]})
    with pytest.raises(emisopt.FileError, match="got those of another rows"):
        quick(boiler_history, storage=file, score_rows=90)
    history, tags = boiler_history
    other = history.copy()
    other.iloc[7, 0] += 0.1
    with pytest.raises(emisopt.FileError, match="got those of another history"):
        quick((other, tags), storage=file)


def test_ctrl_c_keeps_the_trials_so_far(boiler_history, monkeypatch):
    calls = []

    def interrupted(self, forecaster):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr(module._Scorer, "__call__", interrupted)
    with pytest.warns(UserWarning, match="tune was interrupted in trial 1"):
        found = quick(boiler_history, trials=5)
    assert found.trials["error"].tolist() == ["", "interrupted"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"space": {"widht": [1]}}, "unknown setting 'widht'; did you mean 'width'"),
        ({"space": {}}, "expected settings and what to try"),
        ({"space": {"horizon": [6, 12]}}, "horizon: expected settings that leave the question as it is"),
        ({"space": {"rate": {"low": 1e-3}}}, "rate: expected low, high and perhaps log"),
        ({"space": {"rate": {"low": 1e-3, "high": 1e-2, "step": 1}}}, "got 'step'"),
        ({"space": {"rate": {"low": 1e-2, "high": 1e-3}}}, "rate: expected low < high"),
        ({"space": {"decay": {"low": 0.0, "high": 0.1, "log": True}}}, "low > 0 for log"),
        ({"space": {"width": [16, "wide"]}}, "width: expected a number, got 'wide'"),
        ({"space": {"rate": []}}, "at least one choice"),
        ({"space": {"steps": [10]}}, "expected 'steps' in space or in settings"),
        ({"settings": {"width": "wide"}}, "width: expected a number"),
        ({"operation": "both"}, "expected known or unknown, got 'both'"),
        ({"trials": 0}, "expected 1 or more"),
        ({"timeout": -1.0}, "expected 1 or more and > 0"),
        ({"score_rows": 0}, "expected rows for training, validation and score"),
        ({"score_rows": 5}, "window of 24 \\+ 6 unbroken rows whose targets lie in the last 5 rows"),
        ({"train_rows": 5000}, "expected at most the history's 2880 rows in all"),
        ({"watts_per_core": 0.0}, "positive number of watts"),
    ],
)
def test_each_bad_argument_is_refused_before_any_trial(boiler_history, more, message):
    with pytest.raises((emisopt.InputError, ConfigError), match=message):
        quick(boiler_history, **more)


def test_storages_that_are_none_are_refused(boiler_history, tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to look like one " * 30)
    with pytest.raises(emisopt.FileError, match="not a storage of trials"):
        quick(boiler_history, storage=tmp_path / "text.db")
    with pytest.raises(emisopt.FileError, match="a folder that exists"):
        quick(boiler_history, storage=tmp_path / "no" / "t.db")


def test_without_optuna_the_way_to_it_is_named(boiler_history, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'emisopt\[tune\]'"):
        quick(boiler_history)


def test_the_command_tunes_and_fit_takes_its_settings(tmp_path, capsys):
    plant_frame(660).to_csv(tmp_path / "h.csv", index=False)
    (tmp_path / "tags.yaml").write_text(TAGS)
    (tmp_path / "space.yaml").write_text("rate: [1.0e-3, 3.0e-3]\n")
    (tmp_path / "fixed.yaml").write_text(yaml.safe_dump(FIXED))

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main([str(w) for w in words])
        return end.value.code

    same = (tmp_path / "h.csv", "--tags", tmp_path / "tags.yaml")
    parts = ("--score-rows", 100, "--validation-rows", 60, "--trials", 2, "--storage", tmp_path / "t.db")
    best = tmp_path / "b.yaml"
    files = ("--space", tmp_path / "space.yaml", "--settings", tmp_path / "fixed.yaml", "-o", best)
    code = run("tune", *same, *parts, *files)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "2 trials" in printed.out and f"written: {best}" in printed.out
    assert "trial 2 of 2: score" in printed.err
    model = tmp_path / "m.safetensors"
    assert run("fit", *same, "-o", model, "--settings", best, "--steps", 5) == 0
    core = Forecaster.load(model).core_
    assert core.config.context == 24 and core.config.width == 16
    assert dict(core.notes)["train_steps"] == "5"  # the option goes before the file
    capsys.readouterr()
    best.write_text("widht: 3")
    assert run("fit", *same, "-o", model, "--settings", best) == 2
    assert "did you mean 'width'" in capsys.readouterr().err
    assert run("tune", *same, *parts, "-o", tmp_path / "no" / "b.yaml") == 2
