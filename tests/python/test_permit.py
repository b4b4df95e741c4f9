"""Permits as documents: YAML and mappings, canonical JSON and hash, the shipped ones, refusals by name."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle

import pytest

from emisopt import _core
from emisopt.errors import ConfigError, MissingFileError
from emisopt.permit import Permit, Signal, load_permit, shipped_permits

RULE = {
    "name": "NOx 1 h",
    "pollutant": "NOx",
    "unit": "mg/Nm3",
    "limit": 200,
    "base": {"length": "1 h", "validity": {"need": "quadrants"}},
    "source": "permit of 2019-05-03, 4.2",
    "verified": True,
}
YAML = """
name: Boiler 2
zone: Europe/Berlin
source: permit of 2019-05-03
defaults:
  unit: mg/Nm³
  base: {length: 30 min, validity: {need: share, share: 0.6666666666666666, of: operation}}
  verified: true
signals:
  - {tag: nox, pollutant: NOx, unit: mg/Nm3, moisture: dry, oxygen: o2}
rules:
  - {name: day, pollutant: NOx, limit: 200, average: {over: day, max_invalid: 5}, from: 2024-01-01}
  - {name: half-hours, pollutant: NOx, limit: 400, allow: {share: 0.97, per: year}, article: "4.3"}
"""


def permit(**changes: object) -> Permit:
    return Permit.from_dict({"name": "p", "rules": [RULE | changes]})


def test_yaml_defaults_lengths_and_spellings_become_plain_data() -> None:
    document = Permit.from_yaml(YAML)
    data = json.loads(document.to_json())
    assert [rule["base"]["length"] for rule in data["rules"]] == [1800, 1800]
    assert data["rules"][0]["unit"] == "mg/Nm3"
    assert data["rules"][0]["from"] == "2024-01-01"
    assert data["rules"][0]["source"] == "permit of 2019-05-03"  # of the whole document
    assert data["signals"][0]["oxygen"] == "o2"
    assert "defaults" not in data


def test_json_is_canonical_and_its_sha256_is_the_hash() -> None:
    document = Permit.from_yaml(YAML)
    text = document.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert document.hash == hashlib.sha256(text.encode()).hexdigest()
    assert Permit.from_json(text) == document
    assert Permit.from_json(json.dumps(json.loads(text), indent=3)).hash == document.hash
    assert pickle.loads(pickle.dumps(document.core)).hash == document.hash


def test_hash_changes_with_every_field_and_not_with_their_order() -> None:
    plain = permit()
    assert Permit.from_dict({"rules": [dict(reversed(RULE.items()))], "name": "p"}) == plain
    changes = [
        {"limit": 200.00000000000003},
        {"unit": "mg/m3"},
        {"exclude": ["startup"]},
        {"verified": False},
        {"article": "5"},
        {"allow": {"share": 0.97, "per": "year"}},
        {"basis": {"moisture": "dry", "oxygen": 3, "constant": 21}},
        {"basis": {"moisture": "dry", "oxygen": 3, "constant": 20.9}},
    ]
    assert len({permit(**change).hash for change in changes} | {plain.hash}) == len(changes) + 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pollutant": "NOX"}, "pollutant: expected a pollutant, got 'NOX'; did you mean 'NOx'"),
        ({"unit": "furlong"}, "unit: expected a unit, got 'furlong'"),
        ({"limits": 3}, "unknown field 'limits'; did you mean 'limit'"),
        ({"base": {"length": "45 min", "validity": {"need": "any"}}}, "seconds that divide an hour"),
        ({"base": {"length": "1 hour", "validity": {"need": "any"}}}, "expected seconds or e.g. '5 min'"),
        (
            {"average": {"over": "rolling", "length": 0, "min_share": 0.5}},
            "expected a window of more than 0 s",
        ),
        ({"average": {"over": "day"}}, "to say when an average over day counts"),
        ({"basis": {"oxygen": 21, "constant": 20.9}}, "oxygen: expected 0 to below the constant 20.9"),
        ({"limit": float("nan")}, "limit"),
        ({"limit": "200"}, "expected a number"),
        ({"source": "", "verified": True}, "source: expected where a verified limit was read"),
    ],
)
def test_each_wrong_field_is_one_line_that_names_rule_and_field(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        permit(**changes)
    text = str(refused.value)
    assert told in text
    assert "\n" not in text


def test_rules_that_overlap_and_doubles_are_refused() -> None:
    other = RULE | {"name": "stricter", "limit": 100}
    with pytest.raises(ConfigError, match=r"rule 'stricter': overlaps rule 'NOx 1 h'"):
        Permit.from_dict({"name": "p", "rules": [RULE, other]})
    with pytest.raises(ConfigError, match="stands twice"):
        Permit.from_dict({"name": "p", "rules": [RULE, RULE]})
    old = RULE | {"until": "2024-06-30"}
    new = other | {"from": "2024-07-01"}
    assert len(Permit.from_dict({"name": "p", "rules": [old, new]})) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: []", "'name' is missing"),
        ("name: p\nrules: []", "at least one"),
        ("name: p\nrule: []", "unknown field 'rule'; did you mean 'rules'"),
        ("name: p\nrules: [3]", r"rules\[0\]: expected fields"),
        ("name: [", "line 1"),
        ("name: p\nname: q\nrules: []", "'name' stands twice"),
        ("name: p\nsource: 2024-13-01", "line 2, column 9: '2024-13-01': month must be in 1..12"),
        ("name: p\nsource: !!int seven", "line 2, column 9: 'seven': invalid literal"),
        ("name: p\nzone: " + "9" * 5000, "line 2, column 7: '9999"),
        ("? [a, b]\n: 1", "line 1, column 3: found unhashable key"),
        ("name: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{x}: &{x} [{', '.join(['*' + y] * 10)}]\n" for y, x in itertools.pairwise("abcdefgh")
            ),
            "more than 1,000,000 values",
        ),
    ],
)
def test_documents_that_are_none_are_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        Permit.from_yaml(text, "plant.yaml")
    assert str(refused.value).startswith("plant.yaml: ")
    assert len(str(refused.value)) < 250 and "\n" not in str(refused.value)


def test_files_and_names_are_found_or_refused(tmp_path) -> None:
    path = tmp_path / "plant.yaml"
    path.write_text(YAML, encoding="utf-8")
    document = load_permit(path)
    (tmp_path / "plant.json").write_text(document.to_json(), encoding="utf-8")
    assert load_permit(tmp_path / "plant.json") == document
    assert load_permit(document) is document
    with pytest.raises(MissingFileError, match="no such file"):
        load_permit(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"did you mean 'swiss_lrv'"):
        load_permit("swis_lrv")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_permit(path)
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.json"):
        load_permit(tmp_path / "bad.json")


def test_rules_are_taken_by_name() -> None:
    document = Permit.from_yaml(YAML)
    assert document["day"].limit == 200
    assert [rule.name for rule in document.only("day").rules] == ["day"]
    with pytest.raises(ConfigError, match="did you mean 'day'"):
        document["days"]
    with pytest.raises(_core.InputError, match="no rule 'week'"):
        document.only(["week"])


# ---- shipped permits ------------------------------------------------------------------------------------


def test_the_laws_that_are_promised_are_shipped() -> None:
    assert shipped_permits() == [
        "epa_da", "epa_kkkk", "epa_part75", "gb13223_ultra_low", "ied_annex_v", "ied_annex_vi", "swiss_lrv",
    ]  # fmt: skip


@pytest.mark.parametrize("name", shipped_permits())
def test_every_shipped_rule_has_a_source_and_says_what_was_read(name: str) -> None:
    document = load_permit(name)
    assert Permit.from_json(document.to_json()) == document
    for rule in document.rules:
        assert rule.source
        assert "read" in rule.article or "recalled" in rule.article or "second hand" in rule.article
        assert rule.verified == ("UNVERIFIED" not in rule.limit_text)
        assert rule.verified == ("UNVERIFIED" not in rule.words)


@pytest.mark.parametrize("name", shipped_permits())
def test_unverified_is_printed_beside_each_such_limit_everywhere(name: str) -> None:
    document = load_permit(name)
    assert document.unverified  # each has some: see the comments of the files
    assert "UNVERIFIED" in repr(document)
    marked = document.table()["limit"].str.contains("UNVERIFIED")
    assert list(marked[marked].index) == document.unverified
    assert document._repr_html_().count("UNVERIFIED") == len(document.unverified)
    assert document.explain().count(" UNVERIFIED;") == len(document.unverified)


def test_annex_vi_asks_for_what_its_part_8_says() -> None:
    """Part 8 nos. 1.1 and 1.2, as read: half-hours all below A or 97 % below B, at most 5 half-hours
    dropped a day and 10 days a year; CO 97 % of days, 95 % of 10-minute means or all half-hours."""
    rules = {rule["name"]: rule for rule in json.loads(load_permit("ied_annex_vi").to_json())["rules"]}
    assert rules["NOx half-hours, 97 % (B)"]["allow"] == {"per": "year", "share": 0.97}
    assert rules["NOx half-hours, all (A)"]["either"] == rules["NOx half-hours, 97 % (B)"]["either"]
    assert "allow" not in rules["NOx half-hours, all (A)"]
    assert rules["NOx day"]["average"]["max_invalid"] == 5
    assert rules["NOx day"]["availability"] == {"count": 10, "per": "year"}
    assert rules["CO day, 97 %"]["allow"] == {"per": "year", "share": 0.97}
    assert rules["CO 10-minute means, 95 % of each day"]["allow"] == {"per": "day", "share": 0.95}
    assert rules["CO half-hours, all"]["either"] == rules["CO 10-minute means, 95 % of each day"]["either"]


def test_confidence_intervals_are_those_of_2000_76_annex_iii() -> None:
    """CO 10, SO2 20, NOx 20, dust 30, TOC 30, HCl 40, HF 40 % of the daily limit value."""
    expected = {"CO": 10, "SO2": 20, "NOx": 20, "dust": 30, "TOC": 30, "HCl": 40, "HF": 40}
    rules = json.loads(load_permit("ied_annex_vi").to_json())["rules"]
    daily = {r["pollutant"]: r["limit"] for r in rules if r.get("average", {}).get("over") == "day"}
    for rule in rules:
        assert rule["confidence"] == {"percent": expected[rule["pollutant"]], "of": daily[rule["pollutant"]]}


def test_lrv_asks_for_what_its_article_15_says() -> None:
    """Art. 15(4), as read: daily means below E, 97 % of hours below 1.2 E, none above 2 E, in a year."""
    day, most, every = json.loads(load_permit("swiss_lrv").to_json())["rules"]
    assert most["limit"] == pytest.approx(1.2 * day["limit"], abs=0)
    assert every["limit"] == 2 * day["limit"]
    assert most["allow"] == {"per": "year", "share": 0.97}


def test_signals_are_checked_where_they_are_made() -> None:
    with pytest.raises(_core.InputError, match="expected a pollutant, got 'Nox'"):
        Signal("Nox", "ppm").to_core("x")
    with pytest.raises(_core.InputError, match="unit"):
        Signal("NOx", "bar").to_core("x")
    with pytest.raises(_core.InputError, match="dry or wet"):
        Signal("NOx", "ppm", "damp").to_core("x")
    with pytest.raises(_core.InputError, match="oxygen"):
        Signal("NOx", "ppm", oxygen=21.5).to_core("x")
