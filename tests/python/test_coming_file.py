"""Files of coming rows: their stamps, their text, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt import Tag, TagMap
from emisopt._coming_file import read_coming, what_is_known
from emisopt._fileformat import FileFormat, TimeFormat
from emisopt.errors import DataError

TAGS = TagMap(
    (
        Tag("o2_sp", "%", "setpoint"),
        Tag("load", "MW", known_ahead=True),
        Tag("ambient", "degC"),
        Tag("mill", "", kind="categorical", categories=("1", "2"), known_ahead=True),
        Tag("nox", "ppm", "emission"),
    )
)
COMING = pd.date_range("2024-10-27 00:00", periods=4, freq="30min", tz="UTC", name="time")
LOCAL = FileFormat(time=TimeFormat(("Date", "Time"), "%d.%m.%Y %H:%M", "Europe/Berlin"))


def read(path: Path, text: str, file: FileFormat = FileFormat()) -> pd.DataFrame:  # noqa: B008
    path.write_text(text, encoding="utf-8")
    return read_coming(path, TAGS, file, COMING, 1800.0)


def refused(path: Path, text: str, file: FileFormat = FileFormat()) -> str:  # noqa: B008
    with pytest.raises(DataError) as error:
        read(path, text, file)
    assert str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-10-27T00:00Z", "2024-10-27T00:30Z", "2024-10-27T01:00Z", "2024-10-27T01:30Z"],
        [str(t) for t in COMING.tz_convert("Asia/Tokyo")],
        ["2024-10-27 00:00", "2024-10-27 00:30", "2024-10-27 01:00", "2024-10-27 01:30"],
    ],
)
def test_stamps_of_the_coming_rows_pass_in_any_spelling(tmp_path: Path, stamps: list[str]) -> None:
    rows = read(tmp_path / "plan.csv", "time,o2_sp\n" + "".join(f"{s},4\n" for s in stamps))
    assert rows["o2_sp"].tolist() == [4.0] * 4


def test_stamps_in_the_plants_own_columns_and_zone_pass_through_the_doubled_hour(tmp_path: Path) -> None:
    local = ["02:00", "02:30", "02:00", "02:30"]  # 0:00 UTC is 2:00 in summer, 1:00 UTC 2:00 in winter
    text = "Date,Time,o2_sp\n" + "".join(f"27.10.2024,{t},4\n" for t in local)
    assert len(read(tmp_path / "plan.csv", text, LOCAL)) == 4
    iso = "Date,Time,o2_sp\n" + "".join(f"{t:%Y-%m-%d},{t:%H:%M:%S}+00:00,4\n" for t in COMING)
    assert len(read(tmp_path / "plan.csv", iso, LOCAL)) == 4


@pytest.mark.parametrize(
    ("order", "line", "told"),
    [
        ([1, 0, 2, 3], 2, "got '2024-10-27 00:30' for 2024-10-27 00:00:00+00:00"),
        ([0, 1, 3, 2], 4, "got '2024-10-27 01:30' for 2024-10-27 01:00:00+00:00"),
        ([3, 2, 1, 0], 2, "in order, 2024-10-27 00:00:00+00:00 to 2024-10-27 01:30:00+00:00, got"),
    ],
)
def test_stamps_of_other_rows_are_refused(tmp_path: Path, order: list[int], line: int, told: str) -> None:
    text = "Time,o2_sp\n" + "".join(f"{COMING[i]:%Y-%m-%d %H:%M},4\n" for i in order)
    message = refused(tmp_path / "plan.csv", text)
    assert f"line {line}, column 'Time': expected the stamps of the 4 coming rows" in message
    assert told in message
    assert "leave the column out" in message


@pytest.mark.parametrize("stamp", ["", "tomorrow", "2024-10-28 00:00"])
def test_a_stamp_that_is_none_or_of_another_day_is_refused(tmp_path: Path, stamp: str) -> None:
    assert f"got {stamp!r}" in refused(tmp_path / "plan.csv", "time,o2_sp\n" + f"{stamp},4\n" * 4)


def test_rows_without_stamps_count_by_position(tmp_path: Path) -> None:
    assert len(read(tmp_path / "plan.csv", "o2_sp\n" + "4\n" * 4)) == 4


def test_categories_that_look_like_numbers_are_names(tmp_path: Path) -> None:
    assert read(tmp_path / "known.csv", "mill\n1\n2\n2\n1\n")["mill"].tolist() == ["1", "2", "2", "1"]


def test_another_encoding_or_delimiter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.write_bytes("o2_sp,Temperatur °C\n4,1\n".encode("cp1252"))
    with pytest.raises(DataError, match="line 1: expected text in UTF-8, got byte 0xB0; save it as UTF-8"):
        read_coming(path, TAGS, FileFormat(), COMING, 1800.0)
    text = refused(path, "time;o2_sp\n2024-10-27 00:00;4,5\n")
    assert "expected columns separated by ',' and decimal points, got the heading separated by ';'" in text
    assert "tabs" in refused(path, "o2_sp\tload\n4\t5\n")


def test_what_is_known_counts_rows() -> None:
    nothing = "known of the coming rows: nothing"
    assert what_is_known(TAGS, None, None) == nothing
    empty = pd.DataFrame({"o2_sp": [np.nan] * 4})
    assert what_is_known(TAGS, empty, None) == nothing
    plan = pd.DataFrame({"o2_sp": [1.0, 2.0, np.nan, 3.0]})
    known = pd.DataFrame({"load": [1.0] * 4, "ambient": [1.0] * 4})
    assert what_is_known(TAGS, plan, known) == (
        "known of the coming rows: o2_sp (3 of 4 rows), load; not used, as the model does not know them "
        "ahead: ambient"
    )
