"""`emisopt monitor check`: a table of findings, an exit code, a page, one line for bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt.cli import main

TAGS = """
plant: A small synthetic plant
synthetic: true
period: 300
tags:
  - {name: nox, unit: mg/Nm3, role: emission, low: 0, high: 500}
  - {name: co2, unit: t/h, role: disturbance}
  - {name: load, unit: MW, role: disturbance, low: 0, high: 400}
  - {name: flag, unit: "", kind: categorical, role: cost, categories: [valid, calibration]}
file: {time: {columns: [time]}}
"""
ARGUMENTS = ("--tags", "tags.yaml", "--reference-rows", "3000", "--memory", "12,60")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "tags.yaml").write_text(TAGS, encoding="utf-8")
    frame().to_csv(tmp_path / "calm.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    index = pd.date_range("2024-05-05", periods=4000, freq="5min", name="time")
    load = np.zeros(4000)
    for i in range(1, 4000):
        load[i] = 0.95 * load[i - 1] + 0.3 * rng.normal()
    columns = {
        "nox": 200 + 30 * load + 5 * rng.normal(size=4000),
        "co2": 150 + 25 * load + 2 * rng.normal(size=4000),
        "load": 250 + 40 * load + 2 * rng.normal(size=4000),
    }
    return pd.DataFrame(columns, index=index).round(2).assign(flag="valid")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["monitor", "check", *(str(a) for a in arguments)])
    return int(stop.value.code or 0)


def test_exit_code_says_whether_anything_was_found(folder: Path, capsys) -> None:
    assert run("calm.csv", *ARGUMENTS) == 0
    assert "0 findings in 1000 rows" in capsys.readouterr().out
    bad = frame()
    bad.iloc[3500:3600, 1] += 40.0
    bad.iloc[3700, 0] = 900.0  # out of range: it must not have been taken out on reading
    bad.to_csv("bad.csv")
    assert run("bad.csv", *ARGUMENTS, "--report", "page.html") == 1
    out = capsys.readouterr().out
    assert "2 findings" in out
    line = next(text for text in out.splitlines() if text.startswith("co2"))
    assert "disagrees" in line and "2024-05-17 03:40" in line and "±" in line and line.endswith("t/h")
    assert "range" in out and "900" in out
    page = (folder / "page.html").read_text(encoding="utf-8")
    for told in (
        "<svg",
        "SYNTHETIC",
        "bad.csv",
        "<dt>tag map</dt>",
        "the other tags say",
        "outside its range",
    ):
        assert told in page
    assert 'href="http' not in page


def test_a_status_tag_keeps_calibrations_out(folder: Path, capsys) -> None:
    bad = frame()
    bad.iloc[3500:3520, 0] = 0.0
    bad.iloc[3500:3520, 3] = "calibration"
    bad.to_csv("bad.csv")
    assert run("bad.csv", *ARGUMENTS) == 1
    capsys.readouterr()
    assert run("bad.csv", *ARGUMENTS, "--status", "nox=flag") == 0
    assert "0 findings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("none.csv", *ARGUMENTS), "no such file"),
        (("calm.csv", "--tags", "nonesuch", "--reference-rows", "3000"), "nonesuch"),
        (("calm.csv", "--tags", "tags.yaml", "--reference-rows", "4000"), "expected 1 to 3999"),
        (("calm.csv", "--tags", "tags.yaml", "--reference-rows", "0"), "expected 1 to 3999"),
        (("calm.csv", "--tags", "tags.yaml", "--reference-rows", "300"), "needs 2880 reference rows"),
        (("calm.csv", *ARGUMENTS[:-1], "twelve"), "--memory: expected numbers"),
        (("calm.csv", *ARGUMENTS, "--status", "nox"), "--status: expected TAG=STATUS_TAG"),
        (("calm.csv", *ARGUMENTS, "--status", "nix=flag"), "no tag 'nix'"),
        (("calm.csv", *ARGUMENTS, "--false-alarms", "0"), "false_alarms"),
        (("calm.csv", *ARGUMENTS, "--report", "none/page.html"), "page.html"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, capsys, arguments, told: str) -> None:
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
