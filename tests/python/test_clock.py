"""Local stamps to UTC across both changes of clocks, and one test per way in which they do not fit."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from emisopt._clock import clock_hint, to_utc

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def convert(stamps: pd.DatetimeIndex | list[str], zone: str = BERLIN) -> pd.DatetimeIndex:
    def fail(row: int, what: str) -> Exception:
        return ValueError(f"row {row}: {what}")

    return to_utc(pd.DatetimeIndex(stamps), ZoneInfo(zone), zone, fail)


def refused(stamps: pd.DatetimeIndex | list[str], zone: str = BERLIN) -> str:
    with pytest.raises(ValueError) as error:
        convert(stamps, zone)
    assert str(error.value).startswith("row ")
    return str(error.value)


def wall(
    first: str, last: str, minutes: int, zone: str = BERLIN
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """UTC rows, and what the zone's clock shows of them."""
    true = pd.date_range(first, last, freq=f"{minutes}min", tz="UTC")
    return true, true.tz_convert(zone).tz_localize(None)


@pytest.mark.parametrize("minutes", [1, 15, 30])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/St_Johns", "UTC"])
def test_three_years_of_a_clock_come_back_as_they_were(minutes: int, zone: str) -> None:
    true, shown = wall("2023-01-01", "2025-12-31", minutes, zone)
    assert convert(shown, zone).equals(true)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_of_a_row_an_hour_the_same_stamp_comes_twice(zone: str) -> None:
    true, shown = wall("2023-01-01", "2025-12-31", 60, zone)
    assert convert(shown, zone).equals(true)


def test_gaps_beside_the_doubled_hour_do_no_harm() -> None:
    true, shown = wall("2024-10-26", "2024-10-28", 15)
    keep = np.random.default_rng(0).random(len(true)) < 0.9
    keep[true == "2024-10-27 01:00Z"] = True  # the step back stays in the rows
    assert convert(shown[keep]).equals(true[keep])


def test_the_hour_skipped_in_spring_is_named_with_its_offset() -> None:
    text = refused(pd.date_range("2024-03-31 01:00", periods=9, freq="15min"))
    assert text == (
        "row 4: 2024-03-31 02:00:00 does not exist in Europe/Berlin, where clocks go forward over it; if the "
        "historian keeps one offset all year, set timezone: UTC+01:00"
    )
    assert refused(["2024-03-10 02:30"], NEW_YORK).endswith("set timezone: UTC-05:00")


def test_the_doubled_hour_written_once_proposes_an_offset_only_without_a_gap_in_spring() -> None:
    autumn = pd.date_range("2024-10-27 00:00", periods=24, freq="15min")
    text = refused(autumn)
    assert (
        "row 8: 2024-10-27 02:00:00 is twice in Europe/Berlin, where clocks go back, and the file has it once"
        in text
    )
    assert text.endswith("; or, if the historian keeps one offset all year, set timezone: UTC+01:00")
    _, shown = wall("2024-03-01", "2024-10-26 23:45", 15)
    text = refused(shown.append(pd.date_range("2024-10-27 02:00", periods=8, freq="15min")))
    assert text.endswith("or write each stamp with its offset")  # every row of summer would be an hour off


@pytest.mark.parametrize("again", ["2024-10-27 00:15Z", "2024-10-27 01:15Z"])
def test_a_duplicate_in_the_doubled_hour_is_named_by_its_row(again: str) -> None:
    true, _ = wall("2024-10-26 22:00", "2024-10-27 04:00", 15)
    row = int(np.argmax(true == again)) + 1
    shown = true.insert(row, pd.Timestamp(again)).tz_convert(BERLIN).tz_localize(None)
    assert refused(shown) == f"row {row}: duplicate time stamp 2024-10-27 02:15:00; keep one of the two rows"


def test_a_doubled_hour_that_steps_back_twice_is_out_of_order() -> None:
    times = ["02:00", "02:30", "02:00", "02:30", "02:00"]
    text = refused([f"2024-10-27 {t}" for t in times])
    assert "row 4: time goes backwards" in text
    assert text.endswith("sort the rows by time")


@pytest.mark.parametrize(
    ("before", "after", "zone", "hinted"),
    [
        ("2024-10-27 02:45", "2024-10-27 02:00", "UTC", True),
        ("2024-11-03 01:00", "2024-11-03 01:00", "UTC", True),
        ("2024-10-27 02:45", "2024-10-27 01:00", "UTC", False),  # more than an hour
        ("2024-10-26 02:45", "2024-10-26 02:00", "UTC", False),  # no Sunday
        ("2024-06-30 02:45", "2024-06-30 02:00", "UTC", False),
        ("2024-10-27 12:45", "2024-10-27 12:00", "UTC", False),
        ("2024-10-27 02:45", "2024-10-27 02:00", BERLIN, False),
    ],
)
def test_a_step_back_of_an_hour_in_autumn_asks_for_the_zone(
    before: str, after: str, zone: str, hinted: bool
) -> None:
    stamps = [pd.Timestamp(t, tz="UTC") for t in (before, after)]
    assert bool(clock_hint(*stamps, ZoneInfo(zone))) is hinted
