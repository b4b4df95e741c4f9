"""Suite domain: single cases by pattern, the run that is told of the permit's year."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as door
from benchmarks import domain, drift_alarms, fault_study, permit_year, sensor_speed
from benchmarks.harness import Row

RESULTS = Path(domain.__file__).parent / "results" / "domain.json"


def test_a_pattern_that_no_case_has_makes_no_part_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise AssertionError("a part worked for a case that is not wanted")

    for module, name in (
        (permit_year, "make_year"),
        (fault_study, "study"),
        (sensor_speed, "_plant"),
        (drift_alarms, "false_alarms"),
        (drift_alarms, "discoveries"),
    ):
        monkeypatch.setattr(module, name, busy)
    assert domain.run(True, ["nosuch*"]) == []


def test_one_part_is_run_again_and_the_other_rows_of_the_file_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "domain.json"
    file.write_bytes(RESULTS.read_bytes())
    monkeypatch.setattr(sensor_speed, "_row", lambda tags, count, missing: Row(
        sensor_speed._name(tags, missing), "time_per_reading", 1.0, 2.0, "river_PageHinkley"))  # fmt: skip
    assert door.main(["domain", "--quick", "--case", "sensor-speed-20", "--json", str(file)]) == 0
    assert "case=sensor-speed-20 metric=time_per_reading ours=1" in capsys.readouterr().out
    before, after = (json.loads(p.read_text(encoding="utf-8"))["rows"] for p in (RESULTS, file))
    assert [row["case"] for row in after] == [row["case"] for row in before]
    changed = [b["case"] for a, b in zip(before, after, strict=True) if a != b]
    assert changed == ["sensor-speed-20"]


def test_a_choice_that_the_suite_does_not_offer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["domain", "--peer", "river"]) == 2
    assert "suite domain has no choice of peers" in capsys.readouterr().err


def test_the_run_of_the_median_ratio_is_told_with_least_and_greatest() -> None:
    runs = [
        {"ours": 0.004, "one": 0.005, "pandas": 0.080},  # 20
        {"ours": 0.006, "one": 0.005, "pandas": 0.075},  # 15: the second core was slow, one thread counts
        {"ours": 0.003, "one": 0.005, "pandas": 0.090},  # 30
    ]
    row = permit_year.row_of("permit-year", runs, 21, "about")
    assert (row.ours, row.peer) == pytest.approx((4.0, 80.0))
    assert row.ratio == pytest.approx(20.0)
    assert "3 runs of 21 turns" in row.note
    assert "ratios 15.0 to 30.0" in row.note
    assert "threads 4.00 ms, 3.00 to 6.00; one 5.00 ms, 5.00 to 5.00; pandas 80.00 ms" in row.note


def test_every_row_kept_has_a_peer_and_the_name_of_its_case_can_be_asked_for() -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [row["case"] for row in rows if row["peer"] is None] == []
    keys = [(row["case"], row["metric"], row["peer_name"]) for row in rows]
    assert len(keys) == len(set(keys))
