"""Audit logs: what a later reader can find out, and what an editor cannot hide. Bits: tests/cpp."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt.compliance import AuditLog
from emisopt.permit import Permit, Signal

RULE = {"name": "NOx 1 h", "limit": 200.0, "unit": "mg/Nm3"}


@pytest.fixture
def minutes() -> pd.DataFrame:
    index = pd.date_range("2024-10-27", periods=180, freq="min", tz="Europe/Berlin")
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"nox": rng.uniform(150, 220, 180), "o2": rng.uniform(3, 6, 180)}, index=index)
    frame.iloc[40:44, 0] = np.nan
    return frame


def hourly(minutes: pd.DataFrame):
    def evaluate(rule):
        means = minutes["nox"].to_numpy().reshape(-1, 60)
        means = np.nanmean(means, axis=1)
        return {"mean": means, "met": means <= rule["limit"], "first": minutes.index[0]}

    return evaluate


def test_a_record_is_found_whole_and_agrees_with_a_re_evaluation(tmp_path, minutes):
    log = AuditLog(tmp_path / "audit.jsonl")
    assert log.records() == [] and log.head == ""
    evaluate = hourly(minutes)
    made = dt.datetime(2024, 10, 28, 6, tzinfo=dt.timezone.utc)
    record = log.append("stack 1, NOx", minutes, rule=RULE, result=evaluate(RULE), made=made)
    assert record.verify(minutes, evaluate) == []
    (read,) = log.records()
    assert read.sha256 == record.sha256 == log.head
    assert (read.subject, read.made, read.inputs) == ("stack 1, NOx", made, ["index", "nox", "o2"])
    assert (
        read.rule == RULE and len(read.result["mean"]) == 3 and read.result["first"].startswith("2024-10-27T")
    )
    assert read.maker == f"emisopt {emisopt.__version__}"
    assert read.verify(minutes, hourly(minutes)) == [] and log.verify(log.head) == []
    assert "2024-10-28 06:00:00 UTC" in repr(read)


def test_hashes_are_those_that_the_documentation_says(tmp_path, minutes):
    """Anyone with hashlib can check a record, without this package."""
    log = AuditLog(tmp_path / "audit.jsonl")
    record = log.append("x", minutes, rule=RULE, result={"ok": True})
    line = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").rstrip("\n")
    fields = json.loads(line)
    nox = next(c for c in fields["inputs"] if c["name"] == "nox")
    assert nox["blocks"] == [hashlib.sha256(minutes["nox"].to_numpy().astype("<f8").tobytes()).hexdigest()]
    own = fields.pop("sha256")
    text = line.replace(f',"sha256":"{own}"', "")
    assert json.loads(text) == fields
    assert hashlib.sha256(text.encode()).hexdigest() == own == record.sha256


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda d: d.assign(nox=d["nox"].shift(1)), "input 'nox': other values within rows 0 to 179"),
        (
            lambda d: d.assign(o2=d["o2"].where(d.index != d.index[7], d["o2"] + 1e-12)),
            "input 'o2': other values",
        ),
        (lambda d: d.shift(freq="1min"), "input 'index': other values"),
        (lambda d: d.drop(columns="o2"), "input 'o2': recorded, now absent"),
        (lambda d: d.assign(co=1.0), "input 'co': not recorded, now there"),
        (lambda d: d.fillna(0.0), "input 'nox': other values"),
    ],
)
def test_a_change_of_the_data_is_named(tmp_path, minutes, change, finding):
    record = AuditLog(tmp_path / "audit.jsonl").append("x", minutes, rule=RULE, result=hourly(minutes)(RULE))
    found = record.verify(change(minutes), hourly(minutes))
    assert len(found) == 1 and found[0].startswith(finding)


def test_equal_counts_and_means_do_not_share_a_hash(tmp_path):
    """The trap that a hash over counts falls into."""
    log = AuditLog(tmp_path / "audit.jsonl")
    first = log.append("x", {"nox": [100.0, 140.0]}, rule=RULE, result={"n": 2, "mean": 120.0})
    assert first.verify({"nox": [110.0, 130.0]}) == ["input 'nox': other values within rows 0 to 1"]


def test_another_result_of_today_is_named_by_its_path(tmp_path, minutes):
    record = AuditLog(tmp_path / "audit.jsonl").append("x", minutes, rule=RULE, result=hourly(minutes)(RULE))

    def changed_code(rule):
        result = hourly(minutes)(rule)
        result["mean"][1] += 1
        return result

    (found,) = record.verify(minutes, changed_code)
    assert found.startswith("result.mean[1]: recorded ")
    assert record.verify(minutes, changed_code, tolerance=0.1) == []


def test_an_edited_log_is_found_and_not_added_to(tmp_path, minutes):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for day in range(3):
        log.append(f"day {day}", minutes, rule=RULE, result={"met": False})
    head = log.head
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"met":false', b'"met":true ', 1))
    assert any("record 0" in finding for finding in log.verify())
    path.write_bytes(whole.replace(b'{"met":false}', b'{"met":true}'))
    assert len(log.verify()) >= 3
    with pytest.raises(emisopt.InputError, match=r"record 2: .*verify the log before adding"):
        log.append("day 3", minutes, rule=RULE, result={})
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert log.verify() == [] and len(log.verify(head)) == 1, "a cut end shows by the head alone"
    path.write_bytes(b"\xff\xfe")
    assert len(log.verify()) == 2
    with pytest.raises(emisopt.InputError, match="record 0"):
        log.records()


def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(tmp_path, minutes):
    log = AuditLog(tmp_path / "audit.jsonl")
    with pytest.raises(emisopt.InputError, match="audit input 'fuel': expected numbers"):
        log.append("x", {"fuel": ["wood"]}, rule=RULE, result={})
    with pytest.raises(emisopt.InputError, match=r"append\(result\): expected what JSON can write"):
        log.append("x", minutes, rule=RULE, result={"figure": object()})
    with pytest.raises(emisopt.InputError, match="rule: line 1"):
        log.append("x", minutes, rule="{not json", result={})
    with pytest.raises(emisopt.InputError, match="expected a time zone"):
        log.append("x", minutes, rule=RULE, result={}, made=dt.datetime(2024, 1, 1))
    with pytest.raises(emisopt.InputError, match="input 'nox' stands twice"):
        log.append("x", pd.concat([minutes["nox"], minutes["nox"]], axis=1), rule=RULE, result={})
    with pytest.raises(emisopt.FileError):
        AuditLog(tmp_path / "absent" / "audit.jsonl").append("x", minutes, rule=RULE, result={})
    assert list(tmp_path.iterdir()) == []


def test_results_of_numpy_and_pandas_are_written(tmp_path):
    result = {
        "count": np.int64(3), "mean": np.float32(0.5), "none": np.nan, "flags": np.array([True, False]),
        "series": pd.Series([1.0, np.nan]), "frame": pd.DataFrame({"a": [1]}), "day": dt.date(2024, 1, 2),
        "stamp": pd.Timestamp("2024-01-02", tz="UTC"), "missing": pd.NaT,
    }  # fmt: skip
    record = AuditLog(tmp_path / "a").append("x", {"nox": [1.0]}, rule="null", result=result)
    assert record.result == {
        "count": 3, "mean": 0.5, "none": None, "flags": [True, False], "series": [1, None],
        "frame": {"a": [1]}, "day": "2024-01-02", "stamp": "2024-01-02T00:00:00+00:00", "missing": None,
    }  # fmt: skip
    assert record.rule is None and record.verify({"nox": [1.0]}, lambda rule: result) == []


def test_a_permits_evaluation_is_recorded_by_its_hash_and_re_evaluated_by_the_rule_on_record(
    tmp_path,
) -> None:
    permit = Permit.from_dict({"name": "p", "zone": "Europe/Berlin", "source": "a test", "rules": [{
        "name": "NOx day", "pollutant": "NOx", "unit": "mg/Nm3", "limit": 200, "verified": True,
        "base": {"length": "1 h", "validity": {"need": "quadrants"}},
        "average": {"over": "day", "max_invalid": 3},
    }]})  # fmt: skip
    index = pd.date_range("2024-03-30", periods=3000, freq="1min", tz="UTC")
    frame = pd.DataFrame({"nox": 190 + 30 * np.sin(np.arange(3000.0) / 200)}, index=index)
    signals = {"nox": Signal("NOx", "mg/Nm3")}
    log = AuditLog(tmp_path / "audit.jsonl")
    record = log.append("stack 1", frame, rule=permit, result=permit.evaluate(frame, signals))

    def again(rule):
        return Permit.from_json(json.dumps(rule)).evaluate(frame, signals)

    assert record.verify(frame, again) == [] and log.verify() == []
    assert json.loads(record._core.json)["rule_sha256"] == permit.hash == record.result["permit_hash"]
    frame.iloc[1500, 0] += 5
    assert record.verify(frame, again) == ["input 'nox': other values within rows 0 to 2999"]
    stricter = {**record.rule, "rules": [{**record.rule["rules"][0], "limit": 180}]}
    found = record.verify(evaluate=lambda rule: again(stricter))
    assert any("result.results[0].limit" in line for line in found)
