"""The report is one safe file; the pictures show what they are given."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt import plots
from emisopt.errors import DataError
from emisopt.report import Report, Section

INDEX = pd.date_range("2024-01-01", periods=48, freq="5min", tz="UTC")


def rolling(level: float) -> pd.DataFrame:
    return pd.DataFrame({"NOx 1 h": np.full(48, level), "CO 1 h": np.linspace(50, 90, 48)}, index=INDEX)


def figures():
    runs = {"operator": rolling(60.0), "MPC": rolling(70.0)}
    fan = pd.DataFrame({0.1: 1.0, 0.5: 2.0, 0.9: 3.0}, index=INDEX[24:])
    past = pd.Series(np.arange(24.0), index=INDEX[:24])
    cost = {
        name: pd.Series(np.full(48, value), index=INDEX)
        for name, value in {"operator": 2.0, "MPC": 1.0}.items()
    }
    return [
        ("limits", plots.rolling_limits(runs, {"NOx 1 h": 75.0, "CO 1 h": 125.0})),
        (
            "moves",
            plots.moves({k: v.rename(columns={"NOx 1 h": "o2_sp"}) for k, v in runs.items()}, {"o2_sp": "%"}),
        ),
        ("fan", plots.forecast_fan(past, fan, label="NOx, mg/Nm3", limit=75.0)),
        ("money", plots.cumulative_difference(cost, "operator")),
    ]


def page() -> Report:
    table = pd.DataFrame({"operator": [1.23456, np.nan], "MPC": [12345.6, 3.0]}, index=["cost, EUR", "hours"])
    section = Section("Result", ["Two days."], {"Money": table}, figures())
    return Report("Closed loop", [section], {"seed": "1"}, synthetic=True)


def test_page_needs_nothing_from_outside(tmp_path: Path):
    text = page().write(tmp_path / "report.html").read_text(encoding="utf-8")
    for outside in ("<script", "<link", "@import", 'src="http', "url(http"):
        assert outside not in text
    assert text.count("<svg") == 4
    assert "SYNTHETIC PLANT" in text
    assert len(text) < 3_000_000


def test_ids_are_unique_and_every_link_inside_the_page_has_its_end():
    html = page().html()
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids)) > 100
    ends = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', html)
    assert ends and {a or b for a, b in ends} <= set(ids)


def test_a_page_with_two_days_of_four_policies_stays_small(tmp_path: Path):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=576, freq="5min", tz="UTC")
    runs = {
        f"policy {i}": pd.DataFrame(rng.normal(size=(576, 4)), index=index, columns=list("abcd"))
        for i in range(4)
    }
    drawn = [
        ("m", plots.moves(runs, dict.fromkeys("abcd", "%"))),
        ("l", plots.rolling_limits(runs, {"a": 1.0, "b": 1.0})),
    ]
    path = Report("Long", [Section("Moves", figures=drawn)]).write(tmp_path / "report.html")
    assert path.stat().st_size < 3_000_000


def test_a_page_replaces_the_one_before_and_a_failure_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "report.html"
    Report("First", []).write(path)
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(DataError, match="No space left on device"):
        Report("Second", []).write(path)
    assert "First" in path.read_text(encoding="utf-8") and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    Report("Second", []).write(path)
    assert "Second" in path.read_text(encoding="utf-8") and list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_page_when_the_umask_lets_them(tmp_path: Path):
    before = os.umask(0o022)
    try:
        path = Report("Open", []).write(tmp_path / "report.html")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_where_the_numbers_come_from_is_in_the_contents():
    html = Report("Run", [Section("Result")], {"seed": 7}).html()
    assert '<a href="#s1">How this was made</a>' in html and '<h2 id="s1">' in html and "<dd>7</dd>" in html


def test_banner_only_for_synthetic_plants():
    assert "SYNTHETIC PLANT" not in Report("Real", [Section("a")]).html()


def test_numbers_are_shown_with_four_digits_and_missing_as_dash():
    html = page().html()
    assert "<td>1.235</td>" in html and "<td>12,346</td>" in html and "<td>–</td>" in html


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x>', "a & b </table>"])
def test_hostile_text_is_escaped_everywhere(hostile: str):
    table = pd.DataFrame({hostile: [hostile]}, index=[hostile])
    html = Report(hostile, [Section(hostile, [hostile], {hostile: table})], {hostile: hostile}).html()
    assert hostile not in html


def test_same_input_gives_the_same_page():
    assert page().html() == page().html()


def test_missing_folder_is_one_clear_line_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot write .*nowhere.*: No such file or directory"):
        page().write(tmp_path / "nowhere" / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_only_counts_is_not_shown_and_a_name_stands_above_its_column():
    counted = pd.DataFrame({"rule": ["NOx", "CO"], "above": [3, 4]})
    named = pd.DataFrame({"good": [7, 8]}, index=pd.Index([0, 1], name="period"))
    html = Report("Rules", [Section("a", tables={"counted": counted, "named": named})]).html()
    first, second = html.split("<table")[1:]
    assert "<th>0</th>" not in first and first.count("<th>") == 2 and "<td>NOx</td>" in first
    assert "<th>period</th>" in second and "<th>0</th>" in second
