"""What was decided and by what: exceedances, deciding hours, and tables that mark limits nobody has read."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from emisopt import _core
from emisopt.errors import ConfigError
from permit_rows import SIGNALS, minutes, permit, rule


def test_what_decided_is_named_down_to_the_samples() -> None:
    frame = minutes(2 * 1440, start="2024-05-05")[["nox"]].fillna(150.0) * 0 + 150.0
    frame.iloc[1500:1510, 0] = [900.0 + i for i in range(10)]  # 01:00 to 01:10 of the second day
    judged = permit(rule("day", limit=152, average={"over": "day", "min_share": 0.5})).evaluate(
        frame, SIGNALS
    )
    result = judged["day"]
    assert result.verdict == "broken"
    assert (result.above, result.hours_above) == (1, 24.0)
    assert str(result.worst[0]) == "2024-05-07 00:00:00+00:00"
    top = result.deciding(3)
    assert str(top.index[0]) == "2024-05-06 02:00:00+00:00"
    assert top["share"].iloc[0] == pytest.approx(top["value"].iloc[0] / (24 * result.worst[1]))
    assert result.deciding_samples(frame, 2).tolist() == [909.0, 908.0]
    assert judged.broken == [result]
    data = json.loads(judged.to_json())
    assert data["permit_hash"] == judged.permit.hash
    assert data["results"][0]["above"] == 1


def test_exceedances_are_all_averages_above_in_stretches() -> None:
    frame = minutes(24 * 60, start="2024-05-05")[["nox"]].fillna(0.0) * 0 + 100.0
    for hour, value in ((2, 250.0), (3, 300.0), (4, 280.0), (10, 220.0), (12, 260.0)):
        frame.iloc[60 * hour : 60 * hour + 60, 0] = value
    frame.iloc[60 * 11 : 60 * 12, 0] = np.nan  # an hour that does not count ends a stretch
    result = permit(rule(limit=200)).evaluate(frame, SIGNALS)[0]
    above = result.exceedances()
    assert above["averages"].tolist() == [3, 1, 1]
    assert above["averages"].sum() == result.above
    assert above["highest"].tolist() == [300.0, 220.0, 260.0]
    assert above["of the limit"].tolist() == [1.5, 1.1, 1.3]
    first = frame.index[0]
    hours = [(t - first) / pd.Timedelta("1h") for t in (above.index[0], above["last"].iloc[0])]
    assert hours == [3.0, 5.0]
    assert (above["highest ends"].iloc[0] - first) == pd.Timedelta("4h")
    assert (
        "averages above the limit: 5, in 3 stretches"
        in permit(rule(limit=200)).evaluate(frame, SIGNALS).report().html()
    )
    none = permit(rule(limit=400)).evaluate(frame, SIGNALS)[0].exceedances()
    assert none.empty
    assert list(none.columns) == list(above.columns)


def test_tables_show_verdicts_and_mark_unverified_limits() -> None:
    document = permit(
        rule(verified=False), rule("read", limit=100, tag="nox", allow={"count": 3, "per": "year"})
    )
    frame = minutes(600)[["nox"]]
    with pytest.raises(_core.InputError, match="nobody has read the limit of rule 'NOx 1 h'"):
        document.evaluate(frame, SIGNALS)
    judged = document.evaluate(frame, SIGNALS, allow_unverified=True)
    assert "200 mg/Nm3 UNVERIFIED" in repr(judged)
    assert "UNVERIFIED" in judged.headline
    assert "200 mg/Nm3 UNVERIFIED" in judged._repr_html_()
    assert "UNVERIFIED" in repr(judged["NOx 1 h"])
    assert "UNVERIFIED" not in repr(judged["read"])
    page = judged.report(synthetic=True, data="minutes.csv").html()
    assert "200 mg/Nm3 UNVERIFIED" in page
    assert "SYNTHETIC" in page
    assert document.hash in page
    assert "minutes.csv" in page
    assert judged["read"].periods.loc["2024", "bad"] == judged["read"].above
    for result, mark in ((judged["NOx 1 h"], True), (judged["read"], False)):
        tables = result.averages, result.periods, result.deciding(), result.exceedances()
        for table in (*tables, result.availability):
            assert ("limit is" in table and set(table["limit is"]) <= {"UNVERIFIED"}) == mark
        assert all(("UNVERIFIED" in table.to_string()) == mark for table in tables[:3])
    tables = page.split("<table")[1:]
    unmarked = [t for t in tables if "UNVERIFIED" not in t.split("</table>")[0]]
    assert len(unmarked) < len(tables)
    assert judged["NOx 1 h", "nox"] is judged[0]
    with pytest.raises(ConfigError, match="did you mean 'read'"):
        judged["reed"]


def test_long_lines_keep_their_peaks_in_the_report() -> None:
    frame = minutes(60 * 1440, start="2024-01-01")[["nox"]]
    frame.iloc[30_000:30_060] = 2500.0
    judged = permit(rule()).evaluate(frame, SIGNALS)
    from emisopt.permit.report import _thin

    line = judged[0].averages["value"]
    thin = _thin(line)
    assert len(thin) <= 750 < len(line)
    assert thin.max() == line.max()
    assert len(judged.report().html()) < 400_000


def test_rules_without_a_limit_report_what_counts() -> None:
    document = permit(rule(limit=None, availability={"share": 0.99, "per": "month"}))
    frame = minutes(3000)
    frame.iloc[100:200, 0] = np.nan
    result = document.evaluate(frame, SIGNALS)[0]
    assert result.above == 0
    assert result.verdict == "broken"  # too many invalid hours
    assert result.why_not["quadrants"] >= 1
    assert not result.availability.loc["2024-03", "holds"]
