"""Tag maps: what is read, what is refused and in which words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt import _core
from emisopt._fileformat import Source
from emisopt.errors import ConfigError, MissingFileError
from emisopt.tags import FileFormat, Tag, TagMap, load_tagmap, shipped_tagmaps

NOX = "tags: [{name: NOX, unit: mg/m3, role: emission}]"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        TagMap.from_yaml(text, "t.yaml")
    return str(caught.value)


def test_yaml_fills_every_field() -> None:
    tags = TagMap.from_yaml(
        """
        plant: Boiler 2
        source: the plant's historian
        synthetic: true
        period: 5 min
        file:
          format: csv
          delimiter: ";"
          decimal: ","
          encoding: cp1252
          missing: [-200, Bad Input]
          time: {columns: [Date, Time], format: "%d.%m.%Y %H:%M", timezone: UTC-05:30}
          columns:
            "10AA.NOX": nox
            "10AA.TE": {tag: t_fe, unit: degF}
        tags:
          - {name: o2_sp, unit: "%", role: setpoint, low: 1.5, high: 6, rate: 0.2}
          - {name: t_fe, unit: degC, role: disturbance}
          - {name: grade, unit: "", role: disturbance, kind: categorical, categories: [A, "NO"],
             known_ahead: true}
          - {name: nox, unit: mg/Nm3, role: emission, low: 0, scale: log}
          - {name: lhv, unit: MJ/kg, role: quality, kind: laboratory, missing: 9999}
        """
    )
    assert tags.names == ["o2_sp", "t_fe", "grade", "nox", "lhv"]
    assert (tags.setpoints, tags.disturbances, tags.outputs) == (["o2_sp"], ["t_fe", "grade"], ["nox", "lhv"])
    assert (tags.plant, tags.synthetic, tags.period) == ("Boiler 2", True, 300.0)
    assert tags["o2_sp"] == Tag("o2_sp", "%", "setpoint", low=1.5, high=6, rate=0.2)
    assert tags["grade"].categories == ("A", "NO") and tags["grade"].known_ahead
    assert tags["lhv"].missing == 9999
    assert tags["nox"].scale == "log" and tags["nox"].high is None
    assert (tags.file.delimiter, tags.file.decimal, tags.file.encoding) == (";", ",", "cp1252")
    assert tags.file.missing_number == (-200.0,) and "Bad Input" in tags.file.missing_text
    assert tags.file.source("nox").heading == "10AA.NOX" and tags.file.source("lhv").heading == "lhv"
    assert tags.file.source("t_fe").unit == "degF"
    assert tags.file.time is not None and tags.file.time.tz().utcoffset(None).total_seconds() == -5.5 * 3600


def test_json_carries_what_the_core_reads_and_comes_back() -> None:
    tags = load_tagmap("gas_turbine").with_setpoints(["TIT"], rate=2.5)
    data = json.loads(tags.to_json())
    assert set(data) == {"plant", "source", "synthetic", "period", "tags"}
    tit = next(t for t in data["tags"] if t["name"] == "TIT")
    expected = {"name": "TIT", "unit": "degC", "role": "setpoint", "low": 900, "high": 1200, "rate": 2.5}
    assert tit == expected
    assert TagMap.from_json(tags.to_json()).tags == tags.tags
    with pytest.raises(ConfigError, match="not JSON"):
        TagMap.from_json("{")


def test_the_core_reads_it() -> None:
    for name in shipped_tagmaps():
        tags = load_tagmap(name)
        read = _core.TagMap.from_json(tags.to_json())
        assert (read.names, read.outputs, read.period) == (tags.names, tags.outputs, tags.period)
        assert TagMap.from_json(read.to_json()).tags == tags.tags


def test_shipped_maps_are_there() -> None:
    assert shipped_tagmaps() == ["air_quality", "beijing_air", "gas_turbine"]
    gas = load_tagmap("gas_turbine")
    assert gas.outputs == ["CO", "NOX"] and len(gas.disturbances) == 9 and gas.period == 0
    air = load_tagmap("air_quality")
    assert air.outputs == ["CO(GT)", "C6H6(GT)", "NOx(GT)", "NO2(GT)"] and air.period == 3600
    assert [t.name for t in air if t.known_ahead] == ["T", "RH", "AH"]
    assert load_tagmap(gas) is gas


def test_with_setpoints_and_known_ahead_change_only_what_is_named() -> None:
    gas = load_tagmap("gas_turbine")
    what_if = gas.with_setpoints(["TIT", "TEY"])
    assert what_if.setpoints == ["TIT", "TEY"] and what_if.names == gas.names and gas.setpoints == []
    known = what_if.with_known_ahead()
    assert all(known[name].known_ahead for name in known.disturbances) and known.setpoints == ["TIT", "TEY"]
    assert [t.name for t in known.with_known_ahead(["AT"]) if t.known_ahead] == ["AT"]
    for call in (gas.with_setpoints, gas.with_known_ahead):
        with pytest.raises(ConfigError, match="'NOX' is emission"):
            call(["NOX"])
        with pytest.raises(ConfigError, match="no tag 'TITT'; did you mean 'TIT'"):
            call(["TITT"])


def test_repr_lists_the_tags() -> None:
    text = repr(load_tagmap("gas_turbine"))
    assert "11 tags, rows without time stamps" in text and "NOX" in text and "0 to 300" in text
    assert "<td>NOX</td>" in load_tagmap("gas_turbine")._repr_html_()
    assert "&lt;b&gt;" in TagMap((Tag("<b>", ""),))._repr_html_()
    assert (
        repr(Tag("g", "", kind="categorical", categories=("A", "B")))
        == "Tag('g', disturbance, categorical, A, B)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tags: [", "t.yaml: line 1, column 8: "),
        ("plant: a\nplant: b\n" + NOX, "t.yaml: line 2, column 1: 'plant' stands twice"),
        ("- a", "t.yaml: expected fields with values, got a list"),
        ("", "t.yaml: expected fields with values, got nothing"),
        ("tagz: []", "t.yaml: unknown field 'tagz'; did you mean 'tags'?"),
        ("plant: x", "t.yaml: field 'tags' is missing"),
        ("tags: {}", "t.yaml: tags: expected a list, got fields"),
        ("tags: []", "t.yaml: tags: expected at least one, got none"),
        ("tags: [NOX]", "t.yaml: tags[0]: expected fields with values, got text 'NOX'"),
        ("tags: [{unit: ppm}]", "t.yaml: tags[0]: field 'name' is missing"),
        (
            "tags: [{name: NO, unit: ppm, role: emission}]",
            "t.yaml: tags[0]: name: expected a text, got false; YAML",
        ),
        (
            "tags: [{name: a, unit: 1, role: emission}]",
            "t.yaml: tag 'a': unit: expected a text, got number 1; put it",
        ),
        ("tags: [{name: a, unit: ''}]", "t.yaml: tag 'a': field 'role' is missing"),
        (
            "tags: [{name: a, unit: '', role: cost, lo: 1}]",
            "t.yaml: tag 'a': unknown field 'lo'; did you mean 'low'?",
        ),
        (NOX + "\nperiod: fast", "t.yaml: period: expected seconds or e.g. '5 min', got 'fast'"),
        (NOX + "\nperiod: -1", "t.yaml: period: expected seconds, 0 or more, got -1"),
        (NOX + "\nsynthetic: 1", "t.yaml: synthetic: expected true or false, got number 1"),
        (
            NOX + "\nfile: {delimeter: ';'}",
            "t.yaml: file: unknown field 'delimeter'; did you mean 'delimiter'?",
        ),
        (NOX + "\nfile: {format: xlsx}", "t.yaml: file: format: expected csv or parquet, got 'xlsx'"),
        (NOX + "\nfile: {delimiter: '::'}", "t.yaml: file: delimiter: expected one character, got '::'"),
        (NOX + "\nfile: {decimal: ';'}", "t.yaml: file: decimal: expected '.' or ',', got ';'"),
        (
            NOX + "\nfile: {decimal: ','}",
            "t.yaml: file: decimal and delimiter are both ','; they must differ",
        ),
        (NOX + "\nfile: {encoding: utf8x}", "t.yaml: file: encoding: 'utf8x' is not known; e.g. utf-8"),
        (NOX + "\nfile: {missing: [true]}", "t.yaml: file: missing: expected numbers or texts, got True"),
        (NOX + "\nfile: {time: {columns: t}}", "t.yaml: period: expected the seconds between rows"),
        (NOX + "\nfile: {time: {format: '%Y'}}", "t.yaml: file: time: columns: expected the headings"),
        (
            NOX + "\nfile: {time: {columns: t, timezone: Europe/Rom}}",
            "t.yaml: file: time: timezone: expected UTC, UTC+01:00 or a name such as Europe/Rome, got "
            "'Europe/Rom'",
        ),
        (
            NOX + "\nfile: {columns: {x: NOx2}}",
            "t.yaml: file: columns: 'x': no tag 'NOx2'; did you mean 'NOX'?",
        ),
        (
            NOX + "\nfile: {columns: {x: NOX, y: NOX}}",
            "t.yaml: file: columns: 'y': tag 'NOX' is read from 'x' already",
        ),
        (
            NOX + "\nfile: {columns: {x: {tag: NOX, unit: ppm}}}",
            "t.yaml: file: columns: 'x', tag 'NOX': unit 'ppm' (share) does not convert to 'mg/m3' "
            "(concentration); correct one of the two",
        ),
        (
            NOX + "\nfile: {columns: {x: {tag: NOX, unit: mgm3}}}",
            "t.yaml: file: columns: 'x', tag 'NOX': cannot convert 'mgm3' to 'mg/m3': unit 'mgm3' is not "
            "known; did you mean 'mg/m3'",
        ),
        (
            "tags: [{name: a, unit: '', role: cost}, {name: b, unit: '', role: cost}]\n"
            "file: {columns: {a: b}}",
            "t.yaml: file: columns: 'a' is read for two tags, 'a' and 'b'",
        ),
    ],
)
def test_yaml_refusals(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "tag '': name: expected printable text"),
        ({"unit": "m\n"}, "tag 'a': unit: expected printable text"),
        (
            {"role": "emision"},
            "tag 'a': role: expected one of setpoint, disturbance, emission, quality, cost",
        ),
        ({"kind": "lab"}, "tag 'a': kind: expected one of continuous, categorical, laboratory, got 'lab'"),
        ({"scale": "exp"}, "tag 'a': scale: expected one of automatic, linear, log, got 'exp'"),
        ({"low": 2, "high": 1}, "tag 'a': low, high: expected low < high, got 2 and 1"),
        ({"high": float("inf")}, "tag 'a': high: expected a finite number, got inf"),
        ({"missing": float("nan")}, "tag 'a': missing: expected a finite number, got nan"),
        ({"categories": ("x",)}, "tag 'a': categories: expected none for kind continuous, got 1"),
        ({"kind": "categorical"}, "tag 'a': categories: expected at least one"),
        ({"kind": "categorical", "categories": ("x", "x")}, "tag 'a': categories: 'x' stands twice"),
        (
            {"kind": "categorical", "categories": ("",)},
            "tag 'a': categories: expected printable text, got ''",
        ),
        (
            {"kind": "categorical", "categories": ("x",), "role": "emission"},
            "tag 'a': role: a categorical tag is a disturbance or a cost, got emission",
        ),
        (
            {"kind": "categorical", "categories": ("x",), "low": 0},
            "tag 'a': low, high: a categorical tag has no range",
        ),
        (
            {"kind": "categorical", "categories": ("x",), "scale": "log"},
            "tag 'a': scale: a categorical tag has none, got log",
        ),
        (
            {"role": "setpoint", "kind": "laboratory"},
            "tag 'a': kind: a setpoint is continuous, got laboratory",
        ),
        (
            {"role": "emission", "known_ahead": True},
            "tag 'a': known_ahead: only a disturbance is known ahead",
        ),
        ({"frozen_after": 1}, "tag 'a': frozen_after: expected 2 rows or more, or 0 for never, got 1"),
        ({"frozen_after": 2.5}, "tag 'a': frozen_after: expected 2 rows or more"),
        (
            {"kind": "laboratory", "frozen_after": 3},
            "tag 'a': frozen_after: only a continuous measurement can freeze",
        ),
        ({"rate": 1.0}, "tag 'a': rate: a number above 0, for a setpoint only; got 1 for role disturbance"),
        ({"role": "setpoint", "rate": 0.0}, "tag 'a': rate: a number above 0"),
        (
            {"scale": "log", "low": -1},
            "tag 'a': scale: log needs a range that begins at 0 or above, low is -1",
        ),
    ],
)
def test_tag_refusals(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tag(**{"name": "a", "unit": "", **fields})  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_names_must_differ() -> None:
    with pytest.raises(ConfigError, match="tag 'a': name: stands twice"):
        TagMap((Tag("a", ""), Tag("a", "")))


def test_a_missing_code_has_one_unit() -> None:
    source = {"t": Source("t", "degF")}
    with pytest.raises(
        ConfigError, match=r"tag 't': missing: is it -99 degF or -99 degC\? Its column is converted"
    ):
        TagMap((Tag("t", "degC", missing=-99),), file=FileFormat(sources=source))
    assert TagMap((Tag("t", "degF", missing=-99),), file=FileFormat(sources=source))["t"].missing == -99


def test_load_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no such file; did you mean 'gas_turbine'"):
        load_tagmap("gas_turbin")
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"plant: \xb0C")
    with pytest.raises(ConfigError, match=r"mine\.yaml: expected YAML in UTF-8, got byte 0xB0"):
        load_tagmap(file)
    file.write_text("\ufeff" + NOX, encoding="utf-8")
    assert load_tagmap(file).names == ["NOX"] and load_tagmap(file).file == FileFormat()


def test_frozen_after_travels_to_the_core_and_back() -> None:
    from emisopt import _core

    tags = TagMap.from_yaml("tags: [{name: nox, unit: mg/m3, role: emission, frozen_after: 3}]")
    assert tags["nox"].frozen_after == 3
    assert TagMap.from_json(_core.TagMap.from_json(tags.to_json()).to_json()) == tags
    with pytest.raises(ConfigError, match=r"frozen_after: expected a whole number, 0 or more, got 2\.5"):
        TagMap.from_yaml("tags: [{name: nox, unit: mg/m3, role: emission, frozen_after: 2.5}]")


def test_a_file_without_its_ending_is_proposed_and_another_kind_is_refused(tmp_path):
    (tmp_path / "oven.yml").write_text("tags: [{name: NOX, unit: mg/m3, role: emission}]")
    with pytest.raises(MissingFileError, match=r"no such file; did you mean '.*oven\.yml'\?"):
        load_tagmap(tmp_path / "oven")
    with pytest.raises(
        ConfigError, match="expected a TagMap, a YAML file or the name of a shipped map, got dict"
    ):
        load_tagmap({"tags": []})


def test_whatever_is_fitted_takes_a_map_by_its_file_or_name(tmp_path):
    file = tmp_path / "oven.yaml"
    file.write_text("tags: [{name: u, unit: '%', role: setpoint}, {name: NOX, unit: ppm, role: emission}]")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"u": rng.normal(size=300), "NOX": rng.normal(size=300)})
    small = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "steps": 2}
    for tags in (file, str(file)):
        assert emisopt.Forecaster(**small).fit(rows, tags=tags, progress=False).outputs_ == ("NOX",)
        assert emisopt.Corrector(horizon=6).fit(rows, tags=tags).outputs_ == ("NOX",)
    with pytest.raises(MissingFileError, match="expected a tag map file or the name of a shipped one"):
        emisopt.Forecaster(**small).fit(rows, tags="gas_turbin", progress=False)
