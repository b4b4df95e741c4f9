"""The command line: the whole way on a small plant; one clear line and exit code 2 for each bad input."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt import __version__
from emisopt.cli import main

TAGS = """
plant: A small synthetic plant
synthetic: true
period: 300
tags:
  - {name: o2_sp, unit: "%", role: setpoint, low: 1, high: 9, rate: 0.5}
  - {name: load, unit: MW, role: disturbance, low: 0, high: 400, known_ahead: true}
  - {name: nox, unit: mg/m3, role: emission, low: 0, high: 500}
  - {name: co, unit: mg/m3, role: emission, low: 0, high: 900}
file:
  time: {columns: [time], format: "%Y-%m-%d %H:%M:%S"}
"""


def plant_frame(rows: int = 700) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    o2 = 4 + np.repeat(rng.normal(0, 0.5, rows // 10 + 1), 10)[:rows].clip(-2, 2)
    load = 200 + 50 * np.sin(np.arange(rows) / 30)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=rows, freq="300s").strftime("%Y-%m-%d %H:%M:%S"),
            "o2_sp": o2.round(3),
            "load": load.round(2),
            "nox": (40 + 12 * o2 + 0.1 * load + rng.normal(0, 1, rows)).round(2),
            "co": (250 * np.exp(-0.5 * o2) + rng.normal(0, 1, rows)).clip(0).round(2),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """plant.csv, tags.yaml and a fitted model.safetensors."""
    folder = tmp_path_factory.mktemp("cli")
    plant_frame().to_csv(folder / "plant.csv", index=False)
    (folder / "tags.yaml").write_text(TAGS)
    arguments = ("--tags", folder / "tags.yaml", "-o", folder / "model.safetensors", "--validation-rows", 200)
    assert run("fit", folder / "plant.csv", *arguments, *SMALL) == 0
    return folder


SMALL = (
    "--context",
    24,
    "--horizon",
    6,
    "--width",
    16,
    "--heads",
    2,
    "--layers",
    1,
    "--steps",
    60,
    "--quiet",
)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def refused(capsys, *arguments: object) -> str:
    """Runs a command that must be refused; returns its one line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert err.startswith("emisopt: ")
    return err


# ---- the whole way ---------------------------------------------------------------------------------------


def test_fit_says_what_it_did_and_writes_one_file(folder, capsys, tmp_path):
    out = tmp_path / "m.safetensors"
    assert run("fit", folder / "plant.csv", "--tags", folder / "tags.yaml", "-o", out, *SMALL) == 0
    printed = capsys.readouterr().out
    assert "700 training rows, 0 validation rows" in printed
    assert f"written: {out}" in printed
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_fit_goes_on_from_its_state_and_refuses_that_of_other_settings(folder, capsys, tmp_path):
    state, out = tmp_path / "state.safetensors", tmp_path / "m.safetensors"
    same = ("fit", folder / "plant.csv", "--tags", folder / "tags.yaml", "-o", out, *SMALL, "--resume", state)
    assert run(*same) == 0
    first = out.read_bytes()
    assert run(*same) == 0
    assert out.read_bytes() == first
    capsys.readouterr()
    assert run(*same, "--seed", 3) == 2
    assert "got one with seed 0, not 3" in capsys.readouterr().err
    assert out.read_bytes() == first


def test_fit_refuses_a_precision_that_the_device_does_not_have(folder, capsys, tmp_path):
    out = tmp_path / "m.safetensors"
    fit = ("fit", folder / "plant.csv", "--tags", folder / "tags.yaml", "-o", out, *SMALL)
    assert run(*fit, "--precision", "bf16") == 2
    assert "got bf16, which needs device cuda" in capsys.readouterr().err
    assert not out.exists()


def test_fit_leaves_out_the_rows_to_be_scored(folder, capsys, tmp_path):
    rows = ("--validation-rows", 100, "--test-rows", 150)
    same = (folder / "plant.csv", "--tags", folder / "tags.yaml", *rows)
    model = tmp_path / "m.safetensors"
    assert run("fit", *same, "-o", model, *SMALL) == 0
    assert "450 training rows, 100 validation rows" in capsys.readouterr().out
    few = ("--horizons", "1", "--stride", 20, "--operation", "known", "--quiet")
    assert run("backtest", *same, "--model", model, *few) == 0
    assert capsys.readouterr().err == ""


def test_forecast_prints_and_writes_a_row_per_step(folder, capsys, tmp_path):
    plan = tmp_path / "plan.csv"
    pd.DataFrame({"o2_sp": [4.0] * 6}).to_csv(plan, index=False)
    out = tmp_path / "forecast.csv"
    arguments = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--plan", plan)
    capsys.readouterr()
    assert run("forecast", folder / "plant.csv", *arguments, "-o", out) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "known of the coming rows: o2_sp"
    assert printed[2].split() == "rows ahead time, UTC nox 0.1 0.5 0.9 co 0.1 0.5 0.9".split()
    assert [line.split()[0] for line in printed[3:9]] == list("123456")
    assert printed[9].endswith("nox in mg/m3, co in mg/m3")
    written = pd.read_csv(out)
    assert len(written) == 6
    assert (written["nox q0.1"] <= written["nox q0.9"]).all()


@pytest.fixture
def past(folder):
    """plant.csv without its last six rows, and these rows."""
    plant_frame().head(694).to_csv(folder / "past.csv", index=False)
    return folder / "past.csv", plant_frame().tail(6)


def test_forecast_takes_rows_cut_from_a_file_as_known(folder, past, capsys, tmp_path):
    file, rows = past
    coming = tmp_path / "coming.csv"
    rows.to_csv(coming, index=False)  # with time, setpoint and outputs in it
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--horizons", "2,6")
    capsys.readouterr()
    assert run("forecast", file, *common, "--known", coming, "--plan", coming) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "known of the coming rows: o2_sp, load"
    assert [line.split()[0] for line in printed[3:5]] == ["2", "6"]
    assert "expected 1 to 6 rows" in refused(capsys, "forecast", file, *common[:4], "--horizons", "0")
    # The same rows after the whole file are those of half an hour ago.
    line = refused(capsys, "forecast", folder / "plant.csv", *common, "--plan", coming)
    assert (
        "expected the stamps of the 6 coming rows in order, 2024-01-03 10:20:00+00:00 to 2024-01-03" in line
    )


def test_forecast_says_how_many_rows_are_known(folder, past, capsys, tmp_path):
    file, rows = past
    coming = tmp_path / "coming.csv"
    rows.assign(o2_sp=rows["o2_sp"].where(np.arange(6) < 2), load=np.nan).to_csv(coming, index=False)
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors")
    capsys.readouterr()
    assert run("forecast", file, *common, "--known", coming, "--plan", coming) == 0
    assert capsys.readouterr().out.splitlines()[1] == "known of the coming rows: o2_sp (2 of 6 rows)"


def test_known_outside_the_range_is_refused_as_in_a_plan(folder, past, capsys, tmp_path):
    file, rows = past
    coming = tmp_path / "coming.csv"
    rows.assign(load=4000.0).to_csv(coming, index=False)
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors")
    line = refused(capsys, "forecast", file, *common, "--known", coming)
    assert line == "emisopt: known: disturbance 'load', step 1: expected 0 to 400 MW, got 4000\n"


def test_backtest_warns_when_its_rows_are_not_those_of_fit(folder, capsys):
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--horizons", "1")
    few = ("--test-rows", 100, "--stride", 20, "--operation", "known")
    capsys.readouterr()
    assert run("backtest", folder / "plant.csv", *common, *few) == 0
    assert "trained on 500 rows, here the first 600" in capsys.readouterr().err


def test_warnings_of_libraries_stay_away_and_our_own_are_one_line(capsys, monkeypatch):
    def noisy() -> None:
        warnings.warn("of a library", FutureWarning, stacklevel=1)
        warnings.warn_explicit(
            "the fit\nwas interrupted", UserWarning, str(Path(main.__code__.co_filename)), 1
        )

    monkeypatch.setattr("emisopt.config.show_config", noisy)
    capsys.readouterr()
    assert run("show-config") == 0
    assert capsys.readouterr().err == "emisopt: warning: the fit was interrupted\n"


def test_backtest_corrects_intervals_when_asked(folder, capsys):
    arguments = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--horizons", "1")
    rows = ("--validation-rows", 100, "--test-rows", 150, "--stride", 5, "--operation", "known", "--delay", 2)
    assert run("backtest", folder / "plant.csv", *arguments, *rows, "--correct") == 0
    printed = capsys.readouterr().out
    head = next(line for line in printed.splitlines() if "rows ahead" in line)
    assert head.split()[-1] == "corrected"
    assert "corrected: the same after conformal correction (over any 500 rows), and its width" in printed


def test_backtest_prints_both_settings_and_every_model(folder, capsys, tmp_path):
    out = tmp_path / "scores.parquet"
    arguments = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--horizons", "1,6")
    rows = ("--validation-rows", 100, "--test-rows", 150)
    assert run("backtest", folder / "plant.csv", *arguments, *rows, "--stride", 5, "-o", out) == 0
    printed = capsys.readouterr().out
    for text in ("mean absolute error, ", "future operation known", "future operation unknown", "nox, mg/m3"):
        assert text in printed
    head = [line for line in printed.splitlines() if "rows ahead" in line]
    models = "emisopt  last value  seasonal naive ridge boosting  boosting + tracking  80 % covers"
    assert [h.split() for h in head] == [["rows", "ahead", *models.split()]] * 2
    assert printed.count("*") == 8 + 1  # a star a line, and what it means
    scores = pd.read_parquet(out)
    assert len(scores) == 2 * 2 * 2 * 6
    assert scores["mae"].gt(0).all()


def test_optimise_stays_inside_the_hull_and_shows_the_nearest_rows(folder, capsys, tmp_path):
    out = tmp_path / "plan.csv"
    arguments = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "-o", out)
    assert run("optimise", folder / "plant.csv", *arguments, "--price", "co=1", "--limit", "nox<=120") == 0
    printed = capsys.readouterr().out
    assert "nearest rows" in printed and "o2_sp, %" in printed and "nox, mg/m3" in printed
    plan = pd.read_csv(out)["o2_sp"]
    low, high = np.quantile(plant_frame()["o2_sp"], [0.004, 0.996])
    assert plan.between(low - 1e-6, high + 1e-6).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--metric", "mse"), "--metric: expected one of mae, rmse, r2, bias, coverage"),
        (("--operation", "guessed"), "--operation: expected known, unknown or both, got 'guessed'"),
        (("--test-rows", 0), "expected rows to score, got none: give --test FILE, or --test-rows"),
    ],
)
def test_backtest_refuses_before_it_fits(folder, capsys, monkeypatch, arguments, text):
    def late(*_, **__):
        raise AssertionError("models were fitted first")

    monkeypatch.setattr("emisopt.backtest.backtest", late)
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--test-rows", 100)
    assert text in refused(capsys, "backtest", folder / "plant.csv", *common, *arguments)


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"emisopt {__version__}\n"


def test_show_config_names_isa_and_threads(capsys):
    assert run("show-config") == 0
    printed = capsys.readouterr().out
    assert "isa" in printed
    assert "threads" in printed


def test_without_arguments_the_help_is_shown(capsys):
    assert run() == 0
    printed = capsys.readouterr().out
    for command in ("fit", "forecast", "backtest", "optimise", "demo", "show-config"):
        assert command in printed


# ---- bad input: one line, exit code 2 ---------------------------------------------------------------------


def test_unknown_command(capsys):
    assert "nosuch" in refused(capsys, "nosuch")


def test_missing_argument(capsys):
    assert "data" in refused(capsys, "fit").lower()


BAD_FILES = {
    "missing column": (lambda f: f.drop(columns="load").to_csv(index=False), "load"),
    "duplicate column": (lambda f: f.to_csv(index=False).replace("co\n", "nox\n", 1), "nox"),
    "text in numbers": (
        lambda f: f.to_csv(index=False).replace("\n", "\nx", 3).replace(",4.", ",four.", 1),
        "",
    ),
    "wrong delimiter": (lambda f: f.to_csv(index=False, sep="\t"), "delimiter"),
    "empty file": (lambda f: "", "empty"),
    "time going backwards": (lambda f: f.iloc[::-1].to_csv(index=False), "backwards"),
    "duplicate stamps": (lambda f: pd.concat([f.head(5), f.iloc[4:]]).to_csv(index=False), "duplicate"),
    "all-NaN output": (lambda f: f.assign(nox=np.nan).to_csv(index=False), "nox"),
    "constant output": (lambda f: f.assign(co=7.0).to_csv(index=False), "constant"),
    "too few rows": (lambda f: f.head(20).to_csv(index=False), "row"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_bad_history(folder, capsys, tmp_path, what):
    make, text = BAD_FILES[what]
    file, out = tmp_path / "bad.csv", tmp_path / "m.safetensors"
    file.write_text(make(plant_frame()))
    line = refused(capsys, "fit", file, "--tags", folder / "tags.yaml", "-o", out, *SMALL)
    assert text in line
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_wrong_encoding(folder, capsys, tmp_path):
    file = tmp_path / "bad.csv"
    file.write_bytes(plant_frame().to_csv(index=False).encode("utf-16"))
    arguments = ("--tags", folder / "tags.yaml", "-o", tmp_path / "m.safetensors")
    assert "bad.csv" in refused(capsys, "fit", file, *arguments, *SMALL)


def test_missing_file(folder, capsys, tmp_path):
    line = refused(
        capsys, "fit", tmp_path / "none.csv", "--tags", folder / "tags.yaml", "-o", tmp_path / "m.safetensors"
    )
    assert "none.csv" in line


def test_unit_that_does_not_convert(folder, capsys, tmp_path):
    tags = tmp_path / "tags.yaml"
    tags.write_text(TAGS + "  columns:\n    nox: {tag: nox, unit: degC}\n")
    out = tmp_path / "m.safetensors"
    line = refused(capsys, "fit", folder / "plant.csv", "--tags", tags, "-o", out, *SMALL)
    assert "nox" in line
    assert not out.exists()


def test_unknown_tag_map(folder, capsys, tmp_path):
    line = refused(capsys, "fit", folder / "plant.csv", "--tags", "nomap", "-o", tmp_path / "m.safetensors")
    assert "gas_turbine" in line


def test_a_tag_map_without_its_ending_is_proposed(folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    line = refused(capsys, "fit", "plant.csv", "--tags", "tags", "-o", tmp_path / "m.safetensors")
    assert line.endswith("there is no such file; did you mean 'tags.yaml'?\n")


def test_output_in_a_folder_that_does_not_exist_is_refused_before_the_work(folder, capsys, tmp_path):
    out = tmp_path / "no" / "m.safetensors"
    line = refused(capsys, "fit", folder / "plant.csv", "--tags", folder / "tags.yaml", "-o", out)
    assert "folder" in line


def test_bad_parameter(folder, capsys, tmp_path):
    out = tmp_path / "m.safetensors"
    arguments = ("--tags", folder / "tags.yaml", "-o", out, "--context", 0)
    assert "context" in refused(capsys, "fit", folder / "plant.csv", *arguments)
    assert not out.exists()


def damaged(folder: Path, tmp_path: Path, how: str) -> Path:
    data = bytearray((folder / "model.safetensors").read_bytes())
    if how == "truncated":
        data = data[:-64]
    elif how == "bit-flipped":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"PK\x03\x04 something else entirely" + bytes(100))
    path = tmp_path / f"{how}.safetensors"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", ["truncated", "bit-flipped", "foreign"])
@pytest.mark.parametrize("command", ["forecast", "backtest", "optimise"])
def test_damaged_checkpoint(folder, capsys, tmp_path, how, command):
    model = damaged(folder, tmp_path, how)
    line = refused(capsys, command, folder / "plant.csv", "--tags", folder / "tags.yaml", "--model", model)
    assert model.name in line


def test_missing_checkpoint(folder, capsys, tmp_path):
    model = tmp_path / "none.safetensors"
    line = refused(capsys, "forecast", folder / "plant.csv", "--tags", folder / "tags.yaml", "--model", model)
    assert "none.safetensors" in line


@pytest.mark.parametrize("command", ["forecast", "backtest", "optimise"])
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("nox, unit: mg/m3", "nox, unit: ppm", "tag 'nox': expected the unit of the model model.safetensors"),
        (
            "load, unit: MW, role: disturbance",
            "load, unit: MW, role: emission",
            "'disturbance', got 'emission'",
        ),
    ],
)
def test_a_tag_map_that_is_not_the_models_is_refused(folder, capsys, tmp_path, command, old, new, text):
    other = tmp_path / "other.yaml"
    other.write_text(TAGS.replace(old, new).replace("400, known_ahead: true", "400"))
    arguments = ("--tags", other, "--model", folder / "model.safetensors")
    more = ("--price", "co=1") if command == "optimise" else ()
    assert text in refused(capsys, command, folder / "plant.csv", *arguments, *more)


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ("o2_sp\n" + "40\n" * 6, "expected 1 to 9 %, got 40"),
        ("o2_sp\n" + "4\n" * 5, r"(H=6, U=1), got (5, 1)"),
        ("o2\n" + "4\n" * 6, "o2_sp"),
        ("o2_sp\n" + "four\n" * 6, "expected numbers"),
        ("", "plan.csv"),
    ],
)
def test_bad_plan(folder, capsys, tmp_path, plan, text):
    file = tmp_path / "plan.csv"
    file.write_text(plan)
    arguments = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors", "--plan", file)
    assert text in refused(capsys, "forecast", folder / "plant.csv", *arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "at least one --price or --limit"),
        (("--price", "so2=1"), "so2"),
        (("--price", "co=cheap"), "expected a number, got 'cheap'"),
        (("--price", "co"), "expected NAME=VALUE, got 'co'"),
        (("--limit", "nox<100"), "expected NAME<=VALUE"),
        (("--limit", "so2<=100"), "so2"),
        (("--limit", "nox<=100,depth=3"), "got 'depth'"),
        (("--limit", "nox<=0,3"), "expected a decimal point, got 'nox<=0,3'; write nox<=0.3"),
        (("--limit", "nox<=0,3,window=12"), "write nox<=0.3,window=12"),
        (("--price", "co=0,3"), "expected a number, got '0,3'; with a decimal point: 0.3"),
        (("--bound", "o2_sp=8.5:9", "--price", "co=1"), "outside the training rows"),
        (("--bound", "o2_sp=6:3", "--price", "co=1"), "expected LOW:HIGH, low below high, got '6:3'"),
        (("--output", "plan.docx"), "plan.docx"),
    ],
)
def test_bad_question(folder, capsys, arguments, text):
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors")
    assert text in refused(capsys, "optimise", folder / "plant.csv", *common, *arguments)


def test_optimise_without_setpoints_says_how_to_declare_them(folder, capsys, tmp_path):
    tags, model = tmp_path / "tags.yaml", tmp_path / "m.safetensors"
    tags.write_text(TAGS.replace("role: setpoint, low: 1, high: 9, rate: 0.5", "role: disturbance"))
    assert run("fit", folder / "plant.csv", "--tags", tags, "-o", model, *SMALL) == 0
    line = refused(
        capsys, "optimise", folder / "plant.csv", "--tags", tags, "--model", model, "--price", "co=1"
    )
    assert "fit with --setpoint NAME, e.g. one of o2_sp, load" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--horizons", "1,x"), "expected whole numbers with commas"),
        (("--horizons", "7"), "expected 1 to 6 rows"),
        (("--operation", "maybe"), "--operation: expected known, unknown or both, got 'maybe'"),
        (("--test-rows", "700"), "expected rows to be left for training"),
    ],
)
def test_bad_backtest(folder, capsys, arguments, text):
    common = ("--tags", folder / "tags.yaml", "--model", folder / "model.safetensors")
    rows = () if "--test-rows" in arguments else ("--test-rows", "150")
    capsys.readouterr()
    assert run("backtest", folder / "plant.csv", *common, *rows, *arguments) == 2
    err = capsys.readouterr().err.splitlines()
    assert text in err[-1]
