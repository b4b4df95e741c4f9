"""Historians' files: what is read, and one clear line for each thing that can be wrong with them."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emisopt.errors import ConfigError, DataError, MissingFileError
from emisopt.io import gap_flags, read_history, to_arrays
from emisopt.tags import Tag, TagMap, load_tagmap

TAGS = """
tags:
  - {name: load, unit: MW, role: disturbance, low: 0, high: 500}
  - {name: nox, unit: mg/Nm3, role: emission, low: 0, high: 900}
"""
STAMPED = TAGS + "period: 1 h\nfile: {time: {columns: time}}\n"


class Folder:
    """Writes files and reads them back, in a folder of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, content: str | bytes, name: str = "plant.csv") -> Path:
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, content: str | bytes, yaml: str = TAGS, **options: Any) -> pd.DataFrame:
        return read_history(self.file(content), TagMap.from_yaml(yaml), **options)

    def refusal(self, content: str | bytes, yaml: str = TAGS) -> str:
        """The one line, without the folder's name."""
        with pytest.raises(DataError) as caught:
            self.read(content, yaml)
        return one_line(caught.value, self.path)


def one_line(error: Exception, folder: Path) -> str:
    text = str(error)
    assert "\n" not in text
    return text.replace(f"{folder}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("name", ["errors", "units", "tags", "io", "datasets"])
def test_docstring_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"emisopt.{name}"))
    assert result.attempted > 0 and result.failed == 0


def stamps(*hours: str) -> str:
    return "time,load,nox\n" + "".join(f"2014-01-01 {h},{100 + i},{50 + i}\n" for i, h in enumerate(hours))


def test_columns_come_in_the_tags_order_and_others_are_passed_over(folder: Folder) -> None:
    frame = folder.read("note,nox,note,load\nx,50,,100\ny, 51.5 ,z,1e2\n")
    assert list(frame.columns) == ["load", "nox"] and (frame.dtypes == np.float64).all()
    assert frame.to_numpy().tolist() == [[100, 50], [100, 51.5]]
    assert isinstance(frame.index, pd.RangeIndex) and frame.index.name == "row"


def test_missing_is_empty_nan_code_or_outside_the_range(folder: Folder) -> None:
    yaml = TAGS.replace("high: 900", "high: 900, missing: -999") + "file: {missing: [-200, Bad Input]}\n"
    frame = folder.read("load,nox\n100,50\n,NaN\n-200,-999\nBad Input,51\n501,901\n102,-1\n", yaml)
    nan = np.nan
    expected = [[100, 50], [nan, nan], [nan, nan], [nan, 51], [nan, nan], [102, nan]]
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    assert frame.attrs["put_aside"] == {"load": 1, "nox": 2}


def test_codes_are_compared_before_units_change(folder: Folder) -> None:
    yaml = (
        TAGS + "file: {missing: [-200], columns: {load: {tag: load, unit: kW}, NOx: {tag: nox, unit: g/Nm3}}}"
    )
    frame = folder.read("load,NOx\n100000,0.05\n-200,0.051\n", yaml)
    np.testing.assert_allclose(frame.to_numpy(), [[100, 50], [np.nan, 51]], rtol=1e-15)


def test_rows_without_any_value_leave_a_gap(folder: Folder) -> None:
    frame = folder.read("load,nox,,\n100,50,,\n101,51,,\n,,,\n102,52,,\n,,,\n,,,\n")
    assert frame.index.tolist() == [0, 1, 3]
    assert gap_flags(frame.index, load_tagmap("gas_turbine")).tolist() == [False, False, True]


def test_rows_without_stamps_break_between_files(folder: Folder) -> None:
    a, b = folder.file("load,nox\n1,5\n2,6\n", "a.csv"), folder.file("nox,load\n7,3\n8,4\n", "b.csv")
    frame = read_history([a, b], TagMap.from_yaml(TAGS))
    assert frame["load"].tolist() == [1, 2, 3, 4] and frame.index.tolist() == [0, 1, 3, 4]
    assert to_arrays(frame, TagMap.from_yaml(TAGS)).gap.tolist() == [False, False, True, False]
    half = frame.iloc[1:]
    assert to_arrays(half, TagMap.from_yaml(TAGS)).gap.tolist() == [False, True, False]


def test_stamped_files_are_put_in_order_and_gaps_are_steps_of_another_length(folder: Folder) -> None:
    first, second = (
        folder.file(stamps("00:00", "01:00"), "z.csv"),
        folder.file(stamps("02:00", "04:00"), "a.csv"),
    )
    tags = TagMap.from_yaml(STAMPED)
    frame = read_history([second, first], tags)
    assert [t.hour for t in frame.index] == [0, 1, 2, 4] and str(frame.index.tz) == "UTC"
    arrays = to_arrays(frame, tags)
    assert arrays.gap.tolist() == [False, False, False, True]
    assert arrays.time[0] == 1388534400.0 and np.diff(arrays.time).tolist() == [3600, 3600, 7200]
    assert arrays.values.flags.c_contiguous and arrays.values.dtype == np.float64


def test_time_zones(folder: Folder) -> None:
    def hours(zone: str, *texts: str) -> list[str]:
        yaml = TAGS + f"period: 1 h\nfile: {{time: {{columns: time, timezone: '{zone}'}}}}\n"
        frame = folder.read("time,load,nox\n" + "".join(f"{t},1,{i}\n" for i, t in enumerate(texts)), yaml)
        return [f"{t:%d %H:%M}" for t in frame.index]

    assert hours("UTC+05:30", "2014-01-01 06:00", "2014-01-01 07:00") == ["01 00:30", "01 01:30"]
    # The hour that comes twice when summer ends is told apart by its order.
    autumn = [f"2014-10-26 0{h}:00" for h in (1, 2, 2, 3)]
    assert hours("Europe/Rome", *autumn) == ["25 23:00", "26 00:00", "26 01:00", "26 02:00"]
    # An offset in the text wins.
    assert hours("Europe/Rome", "2014-01-01T06:00+05:00", "2014-01-01T07:00+05:00") == [
        "01 01:00",
        "01 02:00",
    ]
    spring = (
        "line 3, column 'time': 2014-03-30 02:30:00 does not exist in Europe/Rome, where clocks go forward"
    )
    with pytest.raises(DataError, match=spring):
        hours("Europe/Rome", "2014-03-30 01:30", "2014-03-30 02:30")
    with pytest.raises(DataError, match="line 2, column 'time': 2014-10-26 02:00:00 is twice in Europe/Rome"):
        hours("Europe/Rome", "2014-10-26 02:00", "2014-10-26 03:00")
    # Local stamps that a map reads as UTC.
    for second in ("02:00", "02:30"):
        with pytest.raises(DataError, match=r"line 3, .*; if these are local stamps and clocks go back here"):
            hours("UTC", f"2014-10-26 {second}", "2014-10-26 02:00")


def test_categories_come_as_their_index(folder: Folder) -> None:
    yaml = (
        TAGS + "  - {name: grade, unit: '', role: disturbance, kind: categorical, categories: [A, B, '7']}\n"
    )
    frame = folder.read("load,nox,grade\n1,1,B\n2,2,\n3,3,7\n4,4, A\n", yaml)
    np.testing.assert_array_equal(frame["grade"], [1, np.nan, 2, 0])
    said = folder.refusal("load,nox,grade\n1,1,B\n2,2,b\n", yaml)
    assert (
        said
        == "plant.csv: line 3, column 'grade': expected one of its categories, got 'b'; did you mean 'B'?"
    )


def test_encodings(folder: Folder) -> None:
    yaml = TAGS + "file: {encoding: %s, columns: {'NOx µg/m³': nox}}\n"
    text = "load,NOx µg/m³\n100,50\n101,51\n"
    for encoding in ("utf-8", "cp1252", "utf-16"):
        assert len(folder.read(text.encode(encoding), yaml % encoding)) == 2
    assert len(folder.read("\ufeff" + text, yaml % "utf-8")) == 2  # as Excel writes it
    assert len(folder.read(text.replace("\n", "\r\n"), yaml % "utf-8")) == 2


def test_parquet(folder: Folder) -> None:
    time = pd.date_range("2014-01-01", periods=3, freq="h", tz="Europe/Rome")
    grade = pd.Categorical(["A", "B", None])
    table = pd.DataFrame({"load": [100, 101, 102], "nox": [50.0, np.nan, -200], "grade": grade}, index=time)
    path = folder.path / "plant.parquet"
    table.rename_axis("time").to_parquet(path)
    yaml = STAMPED.replace("{time:", "{missing: -200, time:")
    yaml = yaml.replace("period", "  - {name: grade, unit: '', role: disturbance, kind: categorical, "
                                  "categories: [B, A]}\nperiod")  # fmt: skip
    frame = read_history(path, TagMap.from_yaml(yaml))
    np.testing.assert_array_equal(frame.to_numpy(), [[100, 50, 1], [101, np.nan, 0], [102, np.nan, np.nan]])
    assert frame.index[0] == pd.Timestamp("2013-12-31 23:00", tz="UTC")

    broken = path.read_bytes()[:-20]
    with pytest.raises(DataError, match=r"broken.parquet: expected a Parquet file: "):
        read_history(folder.file(broken, "broken.parquet"), TagMap.from_yaml(yaml))
    with pytest.raises(DataError, match=r"empty.parquet: the file is empty"):
        read_history(folder.file("", "empty.parquet"), TagMap.from_yaml(yaml))
    with pytest.raises(DataError, match=r"column 'nox' is missing; did you mean 'NOx'\?"):
        table.rename(columns={"nox": "NOx"}).rename_axis("time").to_parquet(path)
        read_history(path, TagMap.from_yaml(yaml))
    table["nox"] = ["1", "x", "3"]
    table.rename_axis("time").to_parquet(path)
    with pytest.raises(DataError, match=r"plant.parquet: row 1, column 'nox': expected a number, got 'x'"):
        read_history(path, TagMap.from_yaml(yaml))
    table["nox"] = time
    table.rename_axis("time").to_parquet(path)
    with pytest.raises(DataError, match="column 'nox': expected numbers, got timestamp"):
        read_history(path, TagMap.from_yaml(yaml))


# One line for each thing that can be wrong.


def test_missing_file(folder: Folder) -> None:
    folder.file("", "gt_2011.csv")
    with pytest.raises(MissingFileError) as caught:
        read_history(folder.path / "gt_2010.csv", TagMap.from_yaml(TAGS))
    assert one_line(caught.value, folder.path) == "gt_2010.csv: no such file; did you mean 'gt_2011.csv'?"
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(DataError, match="expected a file, got a folder; name the files in it"):
        read_history(folder.path, TagMap.from_yaml(TAGS))
    with pytest.raises(DataError, match="expected at least one file, got none"):
        read_history([], TagMap.from_yaml(TAGS))


def test_empty_file(folder: Folder) -> None:
    assert folder.refusal("") == "plant.csv: the file is empty; expected a heading line and rows"
    assert folder.refusal(" \n\n") == "plant.csv: the file is empty; expected a heading line and rows"


def test_no_rows_left(folder: Folder) -> None:
    assert folder.refusal("load,nox\n") == "plant.csv: expected rows below the heading, got none"
    assert folder.refusal("load,nox\n,\n ,\n") == (
        "plant.csv: expected rows below the heading, got none that hold anything"
    )


def test_wrong_delimiter(folder: Folder) -> None:
    said = folder.refusal("load;nox\n100;50\n")
    assert said == (
        "plant.csv: expected columns separated by ',', got the heading in 1 part(s); ';' seems "
        "right (2 columns): "
        "set it as file: delimiter in the tag map"
    )
    assert "a tab seems right (2 columns)" in folder.refusal("load\tnox\n100\t50\n")


def test_wrong_encoding(folder: Folder) -> None:
    said = folder.refusal("load,nox,µ\n100,50,1\n".encode("cp1252"))
    assert said == (
        "plant.csv: line 1: expected text in utf-8, got byte 0xB5; cp1252 seems right: set it "
        "as file: encoding in "
        "the tag map"
    )
    assert "utf-16 seems right" in folder.refusal("load,nox\n100,50\n".encode("utf-16"))
    assert "utf-16 seems right" in folder.refusal("load,nox\n100,50\n".encode("utf-16-le"))
    assert "utf-8 seems right" in folder.refusal("load,nox\n1,5\n2,6", TAGS + "file: {encoding: utf-16}")
    assert "got a gzip file" in folder.refusal(b"\x1f\x8b\x08\x00")
    assert "got a zip or Excel file" in folder.refusal(b"PK\x03\x04....")
    assert "got a Parquet file" in folder.refusal(b"PAR1....")


def test_missing_column(folder: Folder) -> None:
    assert folder.refusal("load,NOx\n1,1\n") == "plant.csv: column 'nox' is missing; did you mean 'NOx'?"
    assert folder.refusal("load,co,,\n1,1,,\n") == "plant.csv: column 'nox' is missing; known: 'load', 'co'"
    assert folder.refusal(stamps("00:00").replace("time", "t"), STAMPED).startswith(
        "plant.csv: column 'time' is missing"
    )


def test_duplicate_column(folder: Folder) -> None:
    said = folder.refusal("load,nox,nox\n1,1,1\n")
    assert said == "plant.csv: column 'nox' stands 2 times; rename or drop one"


def test_text_in_a_number_column(folder: Folder) -> None:
    said = folder.refusal("\n\nload,nox\n1,1\n\n2,1e\n")
    assert said == "plant.csv: line 6, column 'nox': expected a number, got '1e'"
    assert folder.refusal("load,nox\n1,No Data\n") == (
        "plant.csv: line 2, column 'nox': expected a number, got 'No Data'; if it stands for no "
        "value, add it to "
        "file: missing"
    )
    assert folder.refusal("load,nox\n1,inf\n").startswith(
        "plant.csv: line 2, column 'nox': expected a finite number"
    )
    assert "got '0x10'" in folder.refusal("load,nox\n1,0x10\n")


def test_decimal_comma(folder: Folder) -> None:
    assert folder.refusal('load,nox\n1,"51,5"\n') == (
        "plant.csv: line 2, column 'nox': expected a number, got '51,5'; it looks like a "
        "decimal comma: set file: "
        "decimal"
    )
    yaml = TAGS + "file: {delimiter: ';', decimal: ','}"
    assert folder.read("load;nox\n1;51,5\n2;52\n", yaml)["nox"].tolist() == [51.5, 52]
    assert "got '1.234,5'" in folder.refusal("load;nox\n1;1.234,5\n", yaml)
    assert "it looks like a decimal point" in folder.refusal("load;nox\n1;1.5\n", yaml)


def test_a_row_with_too_many_cells(folder: Folder) -> None:
    assert folder.refusal("load,nox\n1,1\n2,51,5\n") == (
        "plant.csv: line 3: expected 2 cells as in the heading, got 3; a decimal comma needs "
        "another delimiter than "
        "','"
    )
    assert (
        folder.refusal("load,nox\n1,1\n2\n") == "plant.csv: line 3: expected 2 cells as in the heading, got 1"
    )


def test_all_nan_tag(folder: Folder) -> None:
    text = "load,nox\n,50\n,51\n"
    assert folder.refusal(text) == (
        "plant.csv: tag 'load' has no value in any of 2 rows; check its column, missing code, "
        "unit and range, or "
        "give it the role cost"
    )
    assert len(folder.read(text, use="live")) == 2
    assert len(folder.read(text, TAGS.replace("disturbance", "cost"))) == 2


def test_constant_output(folder: Folder) -> None:
    text = "load,nox\n1,50\n1,\n1,50\n"
    assert folder.refusal(text) == (
        "plant.csv: output 'nox' is constant (50) over 2 values; a frozen signal cannot be learnt from"
    )
    assert len(folder.read(text, use="live")) == 3
    assert len(folder.read("load,nox\n1,50\n1,51\n")) == 2  # an input may be constant


def test_time_going_backwards(folder: Folder) -> None:
    assert folder.refusal(stamps("00:00", "02:00", "01:00"), STAMPED) == (
        "plant.csv: line 4, column 'time': time goes backwards, from 2014-01-01 02:00:00+00:00 to 2014-01-01 "
        "01:00:00+00:00; sort the rows by time"
    )


def test_duplicate_stamps(folder: Folder) -> None:
    assert folder.refusal(stamps("00:00", "01:00", "01:00"), STAMPED) == (
        "plant.csv: line 4, column 'time': duplicate time stamp 2014-01-01 01:00:00+00:00; keep "
        "one of the two rows"
    )


def test_files_that_overlap_in_time(folder: Folder) -> None:
    files = [folder.file(stamps("00:00", "02:00"), "a.csv"), folder.file(stamps("01:00", "03:00"), "b.csv")]
    with pytest.raises(DataError) as caught:
        read_history(files, TagMap.from_yaml(STAMPED))
    assert one_line(caught.value, folder.path).startswith(
        "b.csv: begins at 2014-01-01 01:00:00+00:00, before a.csv ends at 2014-01-01 02:00:00+00:00"
    )


def test_unparsable_time(folder: Folder) -> None:
    assert folder.refusal(stamps("00:00", "25:00"), STAMPED) == (
        "plant.csv: line 3, column 'time': expected an ISO 8601 time stamp, got '2014-01-01 25:00'"
    )
    yaml = STAMPED.replace("columns: time", "columns: [time, load], format: '%d.%m.%Y %H'")
    assert folder.refusal("time,load,nox\n1.2.2014,7,1\n,8,2\n", yaml) == (
        "plant.csv: line 3, column 'time' + 'load': expected a time stamp as '%d.%m.%Y %H', got ' 8'"
    )


def test_another_period_than_the_map_says(folder: Folder) -> None:
    with pytest.raises(DataError) as caught:
        folder.read(stamps("00:00", "00:15", "00:30", "00:45", "02:00"), STAMPED)
    assert str(caught.value) == "time: rows are usually 900 s apart, the tag map says 3600 s; set period: 900"


def test_a_unit_that_does_not_convert() -> None:
    with pytest.raises(ConfigError) as caught:
        TagMap.from_yaml(TAGS + "file: {columns: {load: {tag: load, unit: MWh}}}", "t.yaml")
    assert str(caught.value) == (
        "t.yaml: file: columns: 'load', tag 'load': unit 'MWh' (energy) does not convert to "
        "'MW' (power); correct "
        "one of the two in the tag map, or convert the column before"
    )


def test_a_column_that_looks_like_another_signal(folder: Folder) -> None:
    yaml = """
tags:
  - {name: TEY, unit: MWh, role: disturbance, low: 80, high: 200}
  - {name: CDP, unit: bar, role: disturbance, low: 5, high: 25}
  - {name: NOX, unit: mg/m3, role: emission}
"""
    rows = "".join(f"{11 + i / 50},{130 + i},{60 + i}\n" for i in range(30))
    assert folder.refusal("TEY,CDP,NOX\n" + rows, yaml) == (
        "plant.csv: column 'TEY' looks like another signal or unit: 30 of 30 values lie outside "
        "80 to 200 MWh of tag "
        "'TEY' (they run from 11 to 11.58); it would fit 'CDP': are headings exchanged?"
    )
    assert len(folder.read("CDP,TEY,NOX\n" + rows, yaml)) == 30


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.text("0123456789.,;\"'-+eE \n\r\t\0µ", max_size=60), st.sampled_from(["load,nox\n", "load;nox\n", ""])
)
def test_any_text_is_read_or_refused_in_one_line(folder: Folder, text: str, heading: str) -> None:
    try:
        assert list(folder.read(heading + text, use="live").columns) == ["load", "nox"]
    except DataError as error:
        assert one_line(error, folder.path).startswith("plant.csv: ")


# Tables made by hand.


def test_tables_made_by_hand() -> None:
    tags = TagMap((Tag("a", ""), Tag("g", "", kind="categorical", categories=("x", "y"))), period=60)
    frame = pd.DataFrame({"g": ["y", None], "a": [1, 2], "other": [0, 0]})
    arrays = to_arrays(frame, tags)
    np.testing.assert_array_equal(arrays.values, [[1, 1], [2, np.nan]])
    assert arrays.time.shape == (0,) and not arrays.gap.any()
    naive = frame.set_axis(pd.to_datetime(["1970-01-01 00:01", "1970-01-01 00:02"]), axis=0)
    assert to_arrays(naive, tags).time.tolist() == [60, 120]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([[1.0]], "history: expected a pandas DataFrame, got list"),
        (pd.DataFrame({"b": [1.0]}), "history: column 'a' is missing; known: 'b'"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), "history: column 'a' stands 2 times; drop one"),
        (pd.DataFrame({"a": ["1"]}), "history: column 'a': expected numbers, got "),
        (
            pd.DataFrame({"a": [1.0]}, index=["x"]),
            "history: expected an index of time stamps or whole numbers",
        ),
        (
            pd.DataFrame({"a": [1.0, 2.0]}, index=pd.to_datetime(["2014-01-02", "2014-01-01"])),
            "history: row 1: time goes backwards, from 2014-01-02 00:00:00 to 2014-01-01 00:00:00",
        ),
        (
            pd.DataFrame({"a": [1.0, 2.0]}, index=pd.to_datetime(["2014-01-01", "2014-01-01"])),
            "history: row 1: duplicate time stamp 2014-01-01 00:00:00",
        ),
        (
            pd.DataFrame({"a": [1.0, 2.0]}, index=pd.to_datetime([None, "2014-01-01"])),
            "history: row 0: expected a time stamp, got NaT",
        ),
    ],
)
def test_tables_that_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        to_arrays(frame, TagMap((Tag("a", ""),), period=60))
    assert str(caught.value).startswith(message)


def test_stamps_need_a_period() -> None:
    with pytest.raises(DataError, match="rows have time stamps, the tag map's period is 0; set it"):
        gap_flags(pd.to_datetime(["2014-01-01"]), load_tagmap("gas_turbine"))
    frame = pd.DataFrame({"g": ["z"]})
    with pytest.raises(DataError, match="row 0: expected one of its categories, got 'z'"):
        to_arrays(frame, TagMap((Tag("g", "", kind="categorical", categories=("x",)),)))
