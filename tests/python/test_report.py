"""The report is one safe file; the pictures show what they are given."""

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
    assert "Synthetic plant" in text
    assert len(text) < 3_000_000


def test_banner_only_for_synthetic_plants():
    assert "Synthetic plant" not in Report("Real", [Section("a")]).html()


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


def test_limit_and_series_are_drawn():
    figure = plots.rolling_limits(
        {"a": rolling(60.0), "b": rolling(70.0)}, {"NOx 1 h": 75.0, "CO 1 h": 125.0}
    )
    first = figure.axes[0]
    assert [line.get_label() for line in first.lines] == ["a", "b", "limit"]
    assert first.get_ylim()[1] > 75.0


def test_savings_are_positive_when_cheaper():
    cost = {n: pd.Series(np.full(48, v), index=INDEX) for n, v in {"operator": 2.0, "MPC": 1.0}.items()}
    line = plots.cumulative_difference(cost, "operator").axes[0].lines[0]
    assert line.get_ydata()[-1] == pytest.approx(48.0)
