"""emisopt.distill: every kind of teacher, their files, one test per bad input."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import emisopt
from cuda_host import PLUGIN, need
from emisopt import Forecaster, TeacherForecasts, distill
from emisopt.baselines import Boosting
from emisopt.history import to_history, to_table

SMALL = {"context": 24, "horizon": 12, "width": 16, "heads": 2, "warmup": 5, "threads": 1}
ROWS = 1500


@pytest.fixture(scope="module")
def teacher(boiler_history):
    history, tags = boiler_history
    f = Forecaster(**SMALL, layers=2, steps=400, rate=5e-3, seed=1)
    return f.fit(history, tags=tags, train_rows=ROWS, progress=False)


def student(**settings):
    return Forecaster(**{**SMALL, "layers": 1, "steps": 150, "seed": 2, **settings})


def medians(forecaster, history, tags):
    """Of every output in several later windows, in the order of the outputs."""
    out = []
    for end in range(1700, 2500, 100):
        ahead = history.iloc[end : end + 12]
        known = ahead[["load", "ambient", "fuel_grade"]]
        forecast = forecaster.predict(history.iloc[:end], ahead[tags.setpoints], known)
        out.append(forecast.xs(0.5, axis=1, level="quantile").to_numpy())
    return np.stack(out)


def distance(a, b):
    return float(np.mean(np.abs(a - b) / np.std(b, axis=(0, 1))))


def test_a_student_comes_closer_to_its_teacher_by_outputs_states_and_layers(teacher, boiler_history):
    history, tags = boiler_history
    goal = medians(teacher, history, tags)
    same = {"train_rows": ROWS, "progress": False}
    scratch = student(steps=400).fit(history, tags=tags, **same)
    outputs = distill(teacher, student(steps=400), history, multiscale=2.0, **same)
    inside = distill(teacher, student(), history, hidden=0.3, start="layers", **same)
    far = distance(medians(scratch, history, tags), goal)
    assert distance(medians(outputs, history, tags), goal) < 0.96 * far
    assert distance(medians(inside, history, tags), goal) < 0.8 * far
    assert inside.core_.parameter_count == scratch.core_.parameter_count
    assert int(inside.summary()["distilled_windows"]) > 1000


def test_tags_in_another_unit_than_the_teachers_are_refused(teacher, boiler_history):
    history, tags = boiler_history
    ppm = [dataclasses.replace(t, unit="ppm") if t.name == "nox" else t for t in tags]
    with pytest.raises(
        ValueError, match=r"distill\(tags\): tag 'nox': expected the unit of the teacher, 'mg/Nm3'"
    ):
        distill(teacher, student(), history, tags=dataclasses.replace(tags, tags=tuple(ppm)), progress=False)


def test_teachers_may_be_several_a_file_a_function_or_boosted_trees(teacher, boiler_history, tmp_path):
    history, tags = boiler_history
    core = to_history(history, tags)
    same = {"tags": tags, "train_rows": ROWS, "max_windows": 200, "progress": False}
    quick = {"steps": 20}
    both = distill([teacher, teacher], student(**quick), history, **same)
    one = distill(teacher, student(**quick), history, **same)
    assert np.array_equal(both.core_.theta, one.core_.theta)  # the mean of two alike

    asked = {}

    def as_function(table, origins):
        asked["rows"] = origins
        said = emisopt._core.ask_teachers([teacher.core_], core, origins.tolist())
        return np.array(said.quantiles, dtype=np.float64)

    called = distill(as_function, student(**quick), history, **same)
    assert np.array_equal(called.core_.theta, one.core_.theta)
    assert len(asked["rows"]) == 200 and asked["rows"].max() <= ROWS - 12

    said = as_function(history, asked["rows"])
    stamps = history.index[asked["rows"]]
    kept = TeacherForecasts(said, tuple(tags.outputs), tuple(teacher.quantiles), stamps)
    for name in ("t.npz", "t.parquet"):
        kept.save(tmp_path / name)
        read = distill(tmp_path / name, student(**quick), history, **same)
        assert np.array_equal(read.core_.theta, one.core_.theta), name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.npz", "t.parquet"]

    medians_only = distill(lambda h, o: as_function(h, o)[..., 3], student(**quick), history, **same)
    assert not np.array_equal(medians_only.core_.theta, one.core_.theta)

    table = to_table(core)
    trees = Boosting(horizons=(1, 12), context=24, iterations=5).fit(table, np.arange(100, 1000, 3))
    boosted = distill(trees, student(**quick), history, **same)
    assert not np.array_equal(boosted.core_.theta, medians_only.core_.theta)


def test_a_distillation_goes_on_where_it_was(teacher, boiler_history, tmp_path):
    history, _ = boiler_history
    same = {"train_rows": ROWS, "max_windows": 100, "progress": False, "resume": tmp_path / "s"}
    first = distill(teacher, student(steps=15), history, **same)
    again = distill(teacher, student(steps=15), history, **same)
    assert np.array_equal(first.core_.theta, again.core_.theta)
    with pytest.raises(emisopt.FileError, match="got one with distill 10, not 3"):
        distill(teacher, student(steps=15), history, weight=3.0, **same)


ON_EITHER_DEVICE = """
import json
import emisopt

rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
small = dict(context=12, horizon=4, width=16, heads=2, batch=4, warmup=3)
teacher = emisopt.Forecaster(**small, steps=12, seed=3).fit(rows, tags=tags, progress=False)
out = {}
for device, precision in (("cpu", "float32"), ("cuda", "float32"), ("cuda", "bf16")):
    student = emisopt.Forecaster(**small, steps=12, seed=4)
    emisopt.distill(teacher, student, rows, multiscale=1.0, hidden=0.5, progress=False, device=device,
                    precision=precision)
    out[precision if precision == "bf16" else device] = student.predict(rows).to_numpy().ravel().tolist()
    assert student.training_["device"] == device
print(json.dumps(out))
"""


def test_a_student_is_taught_on_the_device_as_on_the_cpu():
    need(PLUGIN)
    done = subprocess.run(
        [sys.executable, "-c", ON_EITHER_DEVICE],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    forecasts = json.loads(done.stdout)
    assert forecasts["cuda"] == pytest.approx(forecasts["cpu"], rel=1e-4)
    assert forecasts["cuda"] != forecasts["cpu"]
    exact, rounded = np.array(forecasts["cuda"]), np.array(forecasts["bf16"])
    assert 0 < np.linalg.norm(rounded - exact) < 0.01 * np.linalg.norm(exact)


def test_a_teacher_may_look_further_back_and_one_who_saw_later_rows_is_told(boiler_history):
    history, tags = boiler_history
    far = Forecaster(**{**SMALL, "context": 200}, steps=5)
    far.fit(history, tags=tags, train_rows=ROWS + 100, progress=False)
    with pytest.warns(UserWarning, match=f"trained on {ROWS + 100} rows, the student is on {ROWS}"):
        f = distill(far, student(steps=5), history, train_rows=ROWS, max_windows=50, progress=False)
    assert f.core_.config.context == 24


def test_crossing_quantiles_are_sorted():
    t = TeacherForecasts([[[[3.0, 1.0, 2.0]]]], ["nox"], (0.1, 0.5, 0.9), [7])
    assert t.values.tolist() == [[[[1.0, 2.0, 3.0]]]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TeacherForecasts([[["a"]]], ["nox"], at=[1]), "expected numbers"),
        (lambda: TeacherForecasts([[[1.0]]], ["nox"], ("low",), at=[1]), "expected numbers"),
        (lambda: TeacherForecasts([[[1.0]]], ["nox"], at=[1], steps=("x",)), "expected numbers"),
        (lambda: TeacherForecasts([[[np.nan]]], ["nox"], at=[1]), r"finite numbers, got \[nan\] for output"),
        (lambda: TeacherForecasts([[[np.inf]]], ["nox"], at=[1]), "finite numbers"),
        (lambda: TeacherForecasts([[[1.0]]], ["nox", "co"], at=[1]), r"outputs=2, levels=1\), got \(1, 1"),
        (lambda: TeacherForecasts([[[1.0]]], ["nox"], at=[1, 2]), "forecasts=2"),
        (lambda: TeacherForecasts([1.0], ["nox"], at=[1]), "expected"),
    ],
)
def test_forecasts_that_are_none_are_refused(make, message):
    with pytest.raises(emisopt.InputError, match=message):
        make()


def constant(shape):
    return lambda history, origins: np.ones((len(origins), *shape))


def test_a_teacher_that_does_not_fit_is_refused(teacher, boiler_history):
    history, tags = boiler_history
    same = {"tags": tags, "train_rows": ROWS, "progress": False}
    names = tuple(tags.outputs)

    def refused(message, who, error=emisopt.InputError, **more):
        with pytest.raises(error, match=message):
            distill(who, student(**more.pop("settings", {})), history, **{**same, **more})

    refused("expected the student's horizon of 6 rows, got steps 1..12", teacher, settings={"horizon": 6})
    refused(r"\(forecasts, horizon, outputs", constant((6, len(names))), emisopt.ShapeError)
    refused("expected finite numbers", lambda h, o: np.full((len(o), 12, len(names)), np.nan))
    few = TeacherForecasts(np.ones((1, 12, 1)), ["nox"], at=[100])
    refused("expected the student's outputs", few)
    short = TeacherForecasts(np.ones((1, 6, len(names))), names, at=[100])
    refused("expected the student's horizon of 12 rows, got 6", short)
    elsewhere = TeacherForecasts(np.ones((1, 12, len(names))), names, at=[10**6])
    refused("moments of the history, got none", elsewhere)
    past = TeacherForecasts(np.ones((1, 12, len(names))), names, at=[ROWS + 50])
    refused("from rows of the training windows", past)
    refused("weight.: expected 0 or a positive number, got -1", teacher, weight=-1.0)
    refused("hidden.: expected 0 or a positive number, got nan", teacher, hidden=np.nan)
    refused("expected one teacher of ours", constant((12, len(names))), hidden=1.0)
    refused("expected one teacher of ours for hidden states and layers, got 2", [teacher] * 2, start="layers")
    refused("start.: expected scratch or layers, got 'top'", teacher, start="top")
    refused("max_windows.: expected at least 1", teacher, max_windows=0)
    wide = {"start": "layers", "settings": {"width": 32}}
    refused("expected a student of the teacher's width 16, got 32", teacher, **wide)
    refused("expected a value inside the network", teacher, hidden=1.0, tap="nowhere")
    refused("expected forecasters in the list, got str", [teacher, "x"])
    refused("the path of a file, got int", 5)
    refused("expected a tag map", constant((12, len(names))), tags=None)
    with pytest.raises(emisopt.InputError, match="tag map"):
        distill(teacher, student(), history, tags=tags.with_known_ahead([]), train_rows=ROWS, progress=False)
    with pytest.raises(NotFittedError):
        distill(Forecaster(), student(), history, **same)


def test_files_that_hold_no_forecasts_are_refused(boiler_history, tmp_path):
    def refused(path, message, error=emisopt.InputError):
        with pytest.raises(error, match=message):
            TeacherForecasts.load(path)

    refused(tmp_path / "absent.npz", "not a readable file", emisopt.FileError)
    refused(tmp_path / "t.csv", "ends in .npz or .parquet")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no zip")
    refused(tmp_path / "broken.npz", "not a readable file", emisopt.FileError)
    np.savez(tmp_path / "few.npz", values=np.ones((1, 2, 1)))
    refused(tmp_path / "few.npz", "expected an array 'at', got none")
    pickled = np.array([object()])
    np.savez(tmp_path / "object.npz", values=np.ones((1, 2, 1)), at=pickled, outputs=np.array(["y"]))
    refused(tmp_path / "object.npz", "not a readable file", emisopt.FileError)
    good = TeacherForecasts(np.ones((2, 3, 1)), ["nox"], at=[4, 9]).frame()
    for name, frame, message in (
        ("hole", good.drop(index=2), "expected a value for every at, step, output and level"),
        ("twice", pd.concat([good, good.head(1)]), "expected one value per at"),
        ("column", good.drop(columns="step"), "expected a column 'step'"),
    ):
        frame.to_parquet(tmp_path / f"{name}.parquet")
        refused(tmp_path / f"{name}.parquet", message)
    no_level = good.drop(columns="level")
    no_level.to_parquet(tmp_path / "median.parquet")
    assert TeacherForecasts.load(tmp_path / "median.parquet").levels == (0.5,)
    with pytest.raises(emisopt.InputError, match=r"ends in \.npz or \.parquet"):
        TeacherForecasts(np.ones((1, 2, 1)), ["nox"], at=[4]).save(tmp_path / "x.csv")
