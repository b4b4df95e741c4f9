"""emisopt.study: the same table serial and parallel, failures that cost one row, resuming, a plot."""

import json
import os
import signal

import numpy as np
import pytest
from rich.console import Console

from emisopt.progress import StudyBar
from emisopt.study import boiler_48h, cases, run_study


def noisy(seed, gain):
    rng = np.random.default_rng(seed)
    return {"cost": float(gain * rng.normal(size=100).sum()), "gap": float("nan"), "name": f"g{gain}"}


def failing(seed):
    if seed == 2:
        raise RuntimeError("no catalyst\nsecond line")
    return {"cost": 1.0 / (seed + 1)}


def dying(seed):
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"cost": float(seed)}


def threads_seen(seed):
    return {"threads": os.environ["EMISOPT_THREADS"]}


def counted(seed, folder):
    with open(f"{folder}/calls", "a") as file:
        file.write(f"{seed}\n")
    if seed == 1 and not os.path.exists(f"{folder}/mended"):
        raise ValueError("not yet")
    return {"cost": seed * 0.1}


RUNS = cases(gain=[1.0, 0.1], seed=range(4))


def same(a, b):
    left, right = (s.table.drop(columns="seconds") for s in (a, b))
    assert left.to_json(double_precision=15) == right.to_json(double_precision=15)
    for x, y in zip(left["cost"], right["cost"], strict=True):
        assert x == y or (np.isnan(x) and np.isnan(y))


def same_columns(a, b, name):
    assert a.table[name].tolist() == b.table[name].tolist()


def test_serial_and_parallel_runs_give_the_same_bits_in_the_order_of_the_cases():
    serial = run_study(noisy, RUNS, backend="serial", progress=False)
    same(serial, run_study(noisy, RUNS, backend="joblib", workers=2, progress=False))
    assert serial.table["gain"].tolist() == [r["gain"] for r in RUNS]
    assert serial.table["gap"].isna().all()


def test_dask_gives_the_same_bits():
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'emisopt[dask]'")
    serial = run_study(noisy, RUNS, backend="serial", progress=False)
    same(serial, run_study(noisy, RUNS, backend="dask", workers=1, progress=False))


@pytest.mark.parametrize("backend", ["serial", "joblib"])
def test_a_run_that_raises_is_one_row_with_its_seed_and_reason(backend):
    study = run_study(failing, cases(seed=range(4)), backend=backend, workers=2, progress=False)
    assert study.failed.to_dict("records") == [{"seed": 2, "error": "RuntimeError: no catalyst"}]
    assert study.ok["cost"].tolist() == [1.0, 0.5, 0.25]
    assert "second line" in study.tracebacks[2]
    assert "failed: seed=2: RuntimeError: no catalyst" in str(study)


def test_a_process_that_is_killed_costs_its_own_run_only():
    study = run_study(dying, cases(seed=range(3)), workers=2, progress=False)
    assert study.failed["seed"].tolist() == [1]
    assert "process died" in study.failed["error"].iloc[0]
    assert study.ok["cost"].tolist() == [0.0, 2.0]


def test_a_study_goes_on_where_it_was_left_and_repeats_what_failed(tmp_path):
    runs = cases(seed=range(3), folder=[str(tmp_path)])
    kept = tmp_path / "kept"
    first = run_study(counted, runs, folder=kept, backend="serial", progress=False)
    assert first.failed["seed"].tolist() == [1]
    (tmp_path / "mended").touch()
    second = run_study(counted, runs, folder=kept, backend="serial", progress=False)
    assert second.failed.empty
    assert (tmp_path / "calls").read_text().split() == ["0", "1", "2", "1"]
    assert second.table["cost"].tolist() == [0.0, 0.1, 0.2]
    run_study(counted, runs, folder=kept, backend="serial", progress=False, version="2")
    assert (tmp_path / "calls").read_text().split()[4:] == ["0", "1", "2"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 99}', '{"format": 1, "outcome": 3}'])
def test_a_file_that_cannot_be_read_is_a_run_to_make(tmp_path, damage):
    runs = cases(seed=[0])
    run_study(failing, runs, folder=tmp_path, backend="serial", progress=False)
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    assert json.loads(whole)["case"] == {"seed": 0}
    file.write_text(damage)
    study = run_study(failing, runs, folder=tmp_path, backend="serial", progress=False)
    assert study.ok["cost"].tolist() == [1.0]
    assert json.loads(file.read_text())["outcome"]["result"] == {"cost": 1.0}


def test_what_was_kept_equals_what_was_run(tmp_path):
    first = run_study(noisy, RUNS, folder=tmp_path, backend="serial", progress=False)
    same(first, run_study(noisy, RUNS, folder=tmp_path, backend="serial", progress=False))


def test_each_run_has_its_threads_and_leaves_the_setting_as_it_was(monkeypatch):
    monkeypatch.setenv("EMISOPT_THREADS", "7")
    study = run_study(threads_seen, cases(seed=[0]), backend="serial", threads=3, progress=False)
    assert study.ok["threads"].tolist() == ["3"]
    assert os.environ["EMISOPT_THREADS"] == "7"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (3, "expected a mapping"),
        ({"a": float("inf")}, "finite"),
        ({"a": {1, 2}}, "got set"),
        ({"seed": 1}, "a name is taken: seed"),
    ],
)
def test_what_a_task_may_not_return_is_a_failed_run(result, says):
    study = run_study(lambda seed: result, cases(seed=[0]), backend="serial", progress=False)
    assert says in study.failed["error"].iloc[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cases": []}, "at least one"),
        ({"cases": [{"a": 1}, {"b": 1}]}, r"cases\[1\]\): expected the names"),
        ({"cases": [{"a": 1}, {"a": 1}]}, r"the same as cases\[0\]"),
        ({"cases": [{"a": float("nan")}]}, "finite number, got nan"),
        ({"cases": [3]}, "expected a mapping"),
        ({"backend": "threads"}, "serial, joblib, dask"),
        ({"workers": 0}, "workers"),
        ({"threads": 0}, "threads"),
        ({"task": 3}, "expected a function"),
    ],
)
def test_bad_arguments_are_named(change, says):
    given = {"task": failing, "cases": [{"seed": 0}], "progress": False} | change
    with pytest.raises(ValueError, match=says):
        run_study(given.pop("task"), given.pop("cases"), **given)


def test_axes_are_sequences():
    with pytest.raises(ValueError, match="expected a sequence"):
        cases(policy="mpc")
    with pytest.raises(ValueError, match="expected a sequence"):
        cases(seed=[])


def test_a_log_gets_ten_lines_with_failures_and_time_left(capsys):
    console = Console(width=100, force_terminal=False)
    with StudyBar("study", 40, console=console) as bar:
        for i in range(40):
            bar.update(failed=i == 3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("study: 4/40 runs, 1 failed, 0 s left")
    assert lines[-1] == "study: 40/40 runs, 1 failed, done"


def test_time_left_counts_only_what_was_run_now():
    bar = StudyBar("study", 10, done=6, show=False)
    assert np.isnan(bar.seconds_left(5.0))
    bar.update()
    assert bar.seconds_left(5.0) == 15.0


def test_a_plot_shows_every_run_and_refuses_other_columns():
    study = run_study(noisy, RUNS, backend="serial", progress=False)
    (axis,) = study.plot("cost", "gain", within="name").axes
    points = [line for line in axis.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in points) == len(RUNS)
    with pytest.raises(ValueError, match="no column 'price'"):
        study.plot("price", "gain")


def test_closed_loops_side_by_side_give_the_bits_of_serial_ones():
    runs = cases(policy=["operator"], seed=[5, 6], rows=[6])
    serial = run_study(boiler_48h, runs, backend="serial", progress=False)
    same_columns(serial, run_study(boiler_48h, runs, workers=2, progress=False), "cost_eur")


def test_the_boilers_operator_is_a_task():
    study = run_study(
        boiler_48h, cases(policy=["operator"], seed=[5], rows=[6]), backend="serial", progress=False
    )
    assert study.failed.empty
    assert study.ok["cost_eur"].iloc[0] > 0
    with pytest.raises(ValueError, match="forecaster"):
        boiler_48h(1, "mpc")
    with pytest.raises(ValueError, match="operator, oracle or mpc"):
        boiler_48h(1, "best", rows=6)
