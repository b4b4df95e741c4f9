"""`emisopt permit check` and `explain`: verdicts as exit codes, one line for what cannot be judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt.cli import main

PERMIT = """
name: Boiler 2
zone: Europe/Berlin
source: permit of 2019-05-03
signals: [{tag: nox, pollutant: NOx, unit: mg/Nm3, moisture: dry, oxygen: o2}]
defaults:
  pollutant: NOx
  unit: mg/Nm3
  basis: {moisture: dry, oxygen: 6, constant: 21}
  base: {length: 1 h, validity: {need: quadrants}}
  verified: true
rules:
  - {name: NOx 1 h, limit: 300}
  - {name: NOx day, limit: 210, average: {over: day, min_share: 0.75}}
"""
TAGS = """
plant: A small synthetic plant
synthetic: true
period: 60
tags:
  - {name: nox, unit: mg/Nm3, role: emission, low: 0, high: 2000}
  - {name: o2, unit: "%", role: disturbance, low: 0, high: 21}
file: {time: {columns: [time], timezone: Europe/Berlin}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """permit.yaml, tags.yaml, and calm.csv with three days of minutes."""
    (tmp_path / "permit.yaml").write_text(PERMIT, encoding="utf-8")
    (tmp_path / "tags.yaml").write_text(TAGS, encoding="utf-8")
    write(tmp_path / "calm.csv", table())
    return tmp_path


def table() -> pd.DataFrame:
    index = pd.date_range("2024-05-04 22:00", periods=3 * 1440, freq="1min", name="time")
    rng = np.random.default_rng(0)
    nox = (200 + 20 * rng.normal(size=len(index))).round(1)
    return pd.DataFrame({"nox": nox, "o2": 6.0, "run": "on", "flag": "valid"}, index=index)


def write(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def test_exit_code_says_whether_all_limits_hold(folder: Path, capsys) -> None:
    assert run("permit", "check", folder / "calm.csv", "--permit", folder / "permit.yaml") == 0
    assert "Boiler 2: holds" in capsys.readouterr().out
    bad = table()
    bad.iloc[600:660, 0] = 400.0
    write(folder / "bad.csv", bad)
    assert run("permit", "check", folder / "bad.csv", "-p", folder / "permit.yaml") == 1
    out = capsys.readouterr().out
    assert "Boiler 2: broken" in out
    assert "2024-05-05 11:00" in out  # the hour's end in the permit's zone
    assert run("permit", "check", folder / "bad.csv", "-p", folder / "permit.yaml", "--rule", "NOx day") == 0


def test_data_that_cannot_be_judged_are_bad_input(folder: Path, capsys) -> None:
    write(folder / "gaps.csv", table().iloc[::40])
    assert run("permit", "check", folder / "gaps.csv", "-p", folder / "permit.yaml") == 2
    out, err = capsys.readouterr()
    assert "not judged" in out
    assert err == "emisopt: no average counts for rule NOx 1 h, NOx day: nothing was judged there\n"


def test_the_report_names_its_tag_map_and_numbers_no_rows(folder: Path) -> None:
    files = (folder / "calm.csv", "-p", folder / "permit.yaml", "--tags", folder / "tags.yaml")
    assert run("permit", "check", *files, "--report", folder / "page.html") == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "<dt>tag map</dt><dd>tags.yaml</dd>" in page
    assert "<th>0</th>" not in page and "<th>period</th>" in page


def test_the_report_is_one_offline_page(folder: Path, capsys) -> None:
    arguments = ("permit", "check", folder / "calm.csv", "-p", folder / "permit.yaml")
    assert run(*arguments, "--report", folder / "page.html") == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert 'href="http' not in page
    assert "src=" not in page
    for told in (
        "Boiler 2: holds",
        "NOx day",
        "permit of 2019-05-03",
        "calm.csv",
        "what decided the worst average",
    ):
        assert told in page
    assert "SYNTHETIC" not in page
    assert run(*arguments, "--report", folder / "none" / "page.html") == 2


def test_a_tag_map_reads_the_files_and_gives_the_units(folder: Path, capsys) -> None:
    arguments = (
        "--tags",
        folder / "tags.yaml",
        "-p",
        folder / "permit.yaml",
        "--report",
        folder / "page.html",
    )
    assert run("permit", "check", folder / "calm.csv", *arguments) in (0, 1)
    assert "SYNTHETIC" in (folder / "page.html").read_text(encoding="utf-8")
    write(folder / "odd.csv", table().assign(nox=lambda f: f["nox"].where(np.arange(len(f)) != 5, -3.0)))
    run("permit", "check", folder / "odd.csv", *arguments)
    assert "taken as missing: nox: 1" in capsys.readouterr().out


def test_shipped_permits_ask_for_signals_and_for_leave(folder: Path, capsys) -> None:
    signal = ("--signal", "nox=NOx,unit=mg/Nm3,moisture=dry")
    assert run("permit", "check", folder / "calm.csv", "-p", "swiss_lrv", *signal) == 2
    assert "nobody has read the limit" in capsys.readouterr().err
    assert run("permit", "check", folder / "calm.csv", "-p", "swiss_lrv", *signal, "--allow-unverified") == 0
    out = capsys.readouterr().out
    assert out.count("UNVERIFIED") == 4  # the headline and three limits
    assert run("permit", "check", folder / "calm.csv", "-p", "swiss_lrv") == 2
    assert "--signal" in capsys.readouterr().err


def test_states_statuses_and_zones_are_taken(folder: Path, capsys) -> None:
    frame = table()
    frame.iloc[600:660, 0] = 400.0
    frame.iloc[600:660, 2] = "off"
    frame.iloc[900:960, 0] = -5.0
    frame.iloc[900:960, 3] = "calibration"
    write(folder / "stops.csv", frame)
    arguments = ("permit", "check", folder / "stops.csv", "-p", folder / "permit.yaml")
    assert run(*arguments, "--plant", "run", "--status", "nox=flag", "--zone", "Asia/Tokyo") == 0
    assert "2024-05-0" in capsys.readouterr().out
    assert run(*arguments, "--plant", "run") == 2
    assert "tag 'nox', row 900" in capsys.readouterr().err
    assert run(*arguments, "--negative", "missing") == 1
    assert "negative, taken as missing: nox: 60" in capsys.readouterr().out


def test_late_rows_are_taken_within_the_stated_lateness(folder: Path, capsys) -> None:
    frame = table()
    order = np.arange(len(frame))
    order[100], order[104] = 104, 100
    write(folder / "late.csv", frame.iloc[order])
    arguments = ("permit", "check", folder / "late.csv", "-p", folder / "permit.yaml")
    assert run(*arguments) == 2
    assert "raise lateness or leave the row out" in capsys.readouterr().err
    assert run(*arguments, "--lateness", 300) == 0
    assert "time steps back at " in capsys.readouterr().out


def test_explain_says_rules_sources_and_what_decided(folder: Path, capsys) -> None:
    assert run("permit", "explain", folder / "permit.yaml") == 0
    out = capsys.readouterr().out
    assert "Source: permit of 2019-05-03." in out
    assert "(21 - 6) / (21 - O2)" in out
    assert run("permit", "explain", folder / "permit.yaml", folder / "calm.csv") == 0
    out = capsys.readouterr().out
    assert "of its base means weigh most" in out
    assert "highest samples" in out
    assert "averages above" not in out
    loud = table()
    loud.iloc[600:720, 0] = 400.0
    write(folder / "loud.csv", loud)
    assert run("permit", "explain", folder / "permit.yaml", folder / "loud.csv") == 0
    out = capsys.readouterr().out
    assert "averages above the limit: " in out
    assert "highest ends" in out
    assert run("permit", "explain", "ied_annex_vi") == 0
    assert "97 % of each civil year" in capsys.readouterr().out


def clocks(folder: Path, zone: str, first: str = "2024-10-26 22:00") -> Path:
    """Two days of minutes as a zone's clock shows them, without offsets."""
    frame = table().iloc[:2880]
    shown = pd.date_range(first, periods=2880, freq="1min", tz="UTC").tz_convert(zone).tz_localize(None)
    write(folder / "local.csv", frame.set_axis(shown.rename("time"), axis=0))
    return folder / "local.csv"


def test_stamps_without_an_offset_are_remarked_where_the_permit_has_a_zone(folder: Path, capsys) -> None:
    arguments = ("permit", "check", folder / "calm.csv", "-p", folder / "permit.yaml")
    assert run(*arguments) == 0
    remark = "stamps carry no offset, taken as UTC; if they are local, give --timezone Europe/Berlin\n"
    assert remark in capsys.readouterr().out
    for more in (("--timezone", "UTC"), ("--zone", "UTC"), ("--tags", folder / "tags.yaml")):
        run(*arguments, *more)
        assert "no offset" not in capsys.readouterr().out
    write(folder / "said.csv", table().tz_localize("UTC"))
    assert run("permit", "check", folder / "said.csv", "-p", folder / "permit.yaml") == 0
    assert "no offset" not in capsys.readouterr().out


def test_local_stamps_are_judged_in_the_zone_given(folder: Path, capsys) -> None:
    arguments = ("permit", "check", "-p", folder / "permit.yaml")
    local = clocks(folder, "Europe/Berlin")
    assert run(*arguments, local) == 2  # in autumn the clock steps back
    line = capsys.readouterr().err
    assert "clock put back" in line and line.endswith("if they are local, give --timezone Europe/Berlin\n")
    assert run(*arguments, local, "--timezone", "Europe/Berlin") == 0
    told = capsys.readouterr().out
    true = pd.date_range("2024-10-26 22:00", periods=2880, freq="1min", tz="UTC", name="time")
    write(folder / "true.csv", table().iloc[:2880].set_axis(true, axis=0))
    assert run(*arguments, folder / "true.csv") == 0
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(
    ("stamps", "zone", "told"),
    [
        (
            ["2024-03-31 01:59", "2024-03-31 02:00"],
            "Europe/Berlin",
            "row 1: 2024-03-31 02:00:00 does not exist",
        ),
        (["2024-03-31 01:59", "2024-03-31 02:00"], "Europe/Berlin", "give --timezone UTC+01:00"),
        (["2024-10-27 02:00", "2024-10-27 02:01"], "Europe/Berlin", "row 0: 2024-10-27 02:00:00 is twice"),
        (
            ["2024-05-05 02:00", "2024-05-05T02:01Z"],
            "Europe/Berlin",
            "row 1: expected a time stamp without an",
        ),
        (["2024-05-05 02:00"], "Mars", "--timezone: expected UTC, UTC+01:00 or a name"),
    ],
)
def test_local_stamps_that_do_not_fit_their_zone(folder: Path, capsys, stamps, zone: str, told: str) -> None:
    (folder / "x.csv").write_text("time,nox,o2\n" + "".join(f"{s},100,6\n" for s in stamps), encoding="utf-8")
    assert run("permit", "check", folder / "x.csv", "-p", folder / "permit.yaml", "--timezone", zone) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


def test_explain_shows_times_of_one_zone(folder: Path, capsys) -> None:
    assert run("permit", "explain", folder / "permit.yaml", folder / "calm.csv") == 0
    out = capsys.readouterr().out
    assert "times are of Europe/Berlin" in out
    assert "+02:00" in out
    assert "+00:00" not in out


def test_parquet_and_several_files_are_one_stream(folder: Path, capsys) -> None:
    frame = table()
    frame.iloc[:2000].to_parquet(folder / "a.parquet")
    write(folder / "b.csv", frame.iloc[2000:])
    run("permit", "check", folder / "calm.csv", "-p", folder / "permit.yaml")
    whole = capsys.readouterr().out
    run("permit", "check", folder / "a.parquet", folder / "b.csv", "-p", folder / "permit.yaml")
    assert capsys.readouterr().out == whole


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("none.csv", "-p", "permit.yaml"), "no such file"),
        (("calm.csv", "-p", "none.yaml"), "no such file"),
        (("calm.csv", "-p", "nonesuch"), "no shipped permit"),
        (("permit.yaml", "-p", "permit.yaml"), "first column is the time"),
        (("calm.csv", "-p", "permit.yaml", "--signal", "nox"), "--signal: expected COLUMN="),
        (
            ("calm.csv", "-p", "permit.yaml", "--signal", "nox=NOx,colour=red"),
            "expected unit, moisture or oxygen",
        ),
        (("calm.csv", "-p", "permit.yaml", "--status", "nox"), "--status: expected COLUMN="),
        (("calm.csv", "-p", "permit.yaml", "--rule", "NOx week"), "no rule 'NOx week'; known: 'NOx 1 h'"),
        (("calm.csv", "-p", "permit.yaml", "--zone", "Mars"), "expected an IANA name"),
        (("calm.csv", "-p", "permit.yaml", "--stamp", "middle"), "stamp"),
        (
            ("calm.csv", "-p", "permit.yaml", "--tags", "tags.yaml", "--timezone", "UTC"),
            "--timezone: a tag map has its own",
        ),
        (("calm.csv", "-p", "permit.yaml", "--plant", "runs"), "did you mean 'run'"),
        (
            ("calm.csv", "-p", "permit.yaml", "--tags", "ppm.yaml"),
            "column 'nox': expected the unit of the tag map, 'ppm', got 'mg/Nm3'",
        ),
        (
            ("calm.csv", "-p", "permit.yaml", "--tags", "ppm.yaml", "--signal", "nox=NOx,unit=mg/Nm3"),
            "convert the column, or correct one of the two units",
        ),
        (
            ("words.csv", "-p", "permit.yaml"),
            "column 'nox', row 2 (2024-05-04 22:02:00 UTC): expected a number, got 'Bad'",
        ),
        (
            ("numbered.csv", "-p", "permit.yaml"),
            "the time (ISO 8601): Time data 0 is not ISO8601 format; for other files",
        ),
        (
            ("calm.csv", "-p", "dated.yaml"),
            "dated.yaml: line 13, column 40: '2024-13-01': month must be in 1..12",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, capsys, monkeypatch, arguments, told: str
) -> None:
    monkeypatch.chdir(folder)
    words = table().astype({"nox": object})
    words.iloc[2, 0] = "Bad"
    write(folder / "words.csv", words)
    write(folder / "numbered.csv", table().reset_index(drop=True))
    dated = PERMIT.replace("limit: 300}", "limit: 300, until: 2024-13-01}")
    (folder / "dated.yaml").write_text(dated, encoding="utf-8")
    (folder / "ppm.yaml").write_text(TAGS.replace("unit: mg/Nm3", "unit: ppm"), encoding="utf-8")
    assert run("permit", "check", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1
