"""Permits judged on tables: the same values as by definition, whatever the split, order or zone; refusals."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emisopt
from benchmarks import permit_year
from emisopt import _core
from emisopt.errors import ConfigError, DataError
from emisopt.permit import Evaluation, Permit, PermitStream, Signal, zone_table
from emisopt.permit.arrays import seconds
from permit_rows import SIGNALS, minutes, permit, rule

MANY = permit(
    rule(),
    rule("3 h", average={"over": "rolling", "length": "3 h", "min_share": 0.6}),
    rule("day", average={"over": "day", "min_share": 0.5}, exclude=["startup"]),
    rule("month", average={"over": "month", "min_share": 0.2, "of": "operation"}),
    rule("3 days", average={"over": "operating_days", "length": 3, "min_share": 0.2}),
    rule("10 min", base={"length": "10 min", "validity": {"need": "share", "share": 0.5}}),
    zone="Europe/Berlin",
)


def same_bits(a: Evaluation, b: Evaluation) -> bool:
    return len(a) == len(b) and all(
        x.core.averages[2].tobytes() == y.core.averages[2].tobytes()
        and x.core.averages[3].tobytes() == y.core.averages[3].tobytes()
        and x.core.averages[1].tobytes() == y.core.averages[1].tobytes()
        for x, y in zip(a, b, strict=True)
    )


# ---- exact sums -----------------------------------------------------------------------------------------


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), max_size=40
    ),
    st.integers(1, 12),
)
def test_rolling_sums_are_those_of_fsum(values: list[float], window: int) -> None:
    sums = _core.rolling_sum(np.array(values, dtype=float), window)
    for i, got in enumerate(sums):
        assert got == math.fsum(values[max(0, i - window + 1) : i + 1])


def test_after_ten_million_samples_the_sum_is_that_of_fsum() -> None:
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(100, 60, 10_000_000))
    values[123] = 1e17
    sums = _core.rolling_sum(values, len(values))
    assert sums[-1] == math.fsum(values.tolist())
    window = _core.rolling_sum(values, 525_600)
    assert window[-1] == math.fsum(values[-525_600:].tolist())


# ---- streaming and batch --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_split_and_any_order_within_the_lateness_give_the_same_bits(data: st.DataObject) -> None:
    frame = minutes(data.draw(st.integers(200, 2500)), seed=data.draw(st.integers(0, 99)))
    options = {"plant": "run", "status": {"nox": "flag"}}
    whole = MANY.evaluate(frame, SIGNALS, period=60, **options)

    lateness = data.draw(st.sampled_from([0, 60, 600, 7200]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    # Rows sorted by stamp plus a delay below the lateness: none is overtaken by one much newer.
    arrival = np.arange(len(frame)) * 60.0 + rng.uniform(0, lateness + 1e-9, len(frame))
    mixed = frame.iloc[np.argsort(arrival, kind="stable")]
    doubles = mixed.iloc[-1:]  # the same row twice
    stream = PermitStream(MANY, SIGNALS, period=60, lateness=lateness)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(mixed)), max_size=6)))
    for begin, end in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
        stream.push(mixed.iloc[begin:end], **options)
    assert same_bits(stream.push(doubles, **options).finish(), whole)


def test_a_steady_pace_gives_the_bits_of_its_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = minutes(5000)
    steady = MANY.evaluate(frame, SIGNALS, plant="run", status={"nox": "flag"})
    for how in ("of", "between"):
        monkeypatch.setattr(_core.SteadyTime, how, staticmethod(lambda *ticks: None))
    assert same_bits(steady, MANY.evaluate(frame, SIGNALS, plant="run", status={"nox": "flag"}))


def test_codes_that_are_none_are_refused_and_nothing_of_their_rows_is_taken() -> None:
    frame = minutes(200)
    for what, told in (
        ({"status": {"nox": np.full(200, 9, np.uint8)}}, "status of 'nox', row 0"),
        (
            {"plant": np.full(200, 7, np.uint8)},
            "plant, row 0",
        ),
    ):
        stream = PermitStream(MANY, SIGNALS)
        with pytest.raises(DataError, match=told):
            stream.push(frame, **what)  # type: ignore[arg-type]
        assert same_bits(stream.push(frame).finish(), MANY.evaluate(frame, SIGNALS))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    year = permit_year.make_year(days=30)
    document = permit_year.make_permit()
    signals = {name: Signal("NOx", "mg/Nm3") for name in year.values}
    one = document.evaluate(year.values, signals, threads=1)
    assert same_bits(document.evaluate(year.values, signals, threads=threads), one)


@pytest.mark.parametrize("threads", [1, 2])
def test_at_once_is_as_by_pushes(threads: int) -> None:
    frame = minutes(600)
    pushed = PermitStream(MANY, SIGNALS, threads=1).push(frame[:250]).push(frame[250:]).finish()
    assert same_bits(PermitStream(MANY, SIGNALS, threads=threads).judge(frame), pushed)
    begun = PermitStream(MANY, SIGNALS, threads=threads).push(frame[:250])
    assert same_bits(begun.judge(frame[250:]), pushed)
    stream = PermitStream(MANY, SIGNALS)
    with pytest.raises(DataError, match="status of 'nox', row 0"):
        stream.judge(frame, status={"nox": np.full(600, 9, np.uint8)})
    assert same_bits(stream.judge(frame), pushed)  # nothing of the refused rows has been taken
    with pytest.raises(DataError, match="no rows"):
        PermitStream(MANY, SIGNALS).judge(frame[:0])


def test_a_pace_that_pandas_knows_is_that_of_the_stamps() -> None:
    for index in (
        pd.date_range("2024-03-30", periods=99, freq="1min", tz="Europe/Berlin"),
        pd.date_range("2024-03-30", periods=99, freq="2h", tz="Europe/Berlin"),  # over a change of the clock
        pd.date_range("2024-03-30", periods=99, freq="7s").as_unit("s"),
        pd.date_range("2024-03-30", periods=99, freq="1min")[::3],
    ):
        known, found = (seconds(pd.DataFrame(index=i)) for i in (index, pd.DatetimeIndex(index, freq=None)))
        assert index.freq is not None
        assert isinstance(known, _core.SteadyTime) and isinstance(found, _core.SteadyTime)
        assert (known.first_s, known.step_s, known.rows) == (found.first_s, found.step_s, found.rows)
    days = pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Berlin")  # one of 23 h
    assert not isinstance(seconds(pd.DataFrame(index=days)), _core.SteadyTime)
    back = pd.date_range("2024-03-30", periods=9, freq="-1min")
    assert not isinstance(seconds(pd.DataFrame(index=back)), _core.SteadyTime)


def test_a_result_can_be_looked_at_before_the_end() -> None:
    frame = minutes(600)
    stream = PermitStream(permit(rule()), SIGNALS)
    with pytest.raises(DataError, match="no rows"):
        stream.result()
    early = stream.push(frame[:400]).result()["NOx 1 h"].averages
    assert len(early) == 6
    late = stream.push(frame[400:]).finish()["NOx 1 h"].averages
    pd.testing.assert_frame_equal(late.iloc[:6], early)


# ---- beside other ways to the same numbers --------------------------------------------------------------


def test_a_month_of_ten_tags_equals_pandas_with_and_without_states() -> None:
    year = permit_year.make_year(days=60)  # two whole months
    document = permit_year.make_permit()
    signals = {name: Signal("NOx", "mg/Nm3") for name in year.values}
    status = {name: year.status[name] for name in year.values}
    with_states = document.evaluate(year.values, signals, status=status, plant=year.plant)
    permit_year.check_equal(with_states, permit_year.by_pandas(year))
    permit_year.check_equal(document.evaluate(year.values, signals), permit_year.by_pandas_plain(year.values))
    assert {r.verdict for r in with_states} == {"holds", "broken"}  # both are met


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
    ),
    st.integers(2009, 2026),
)
def test_civil_days_are_those_of_zoneinfo(zone: str, year: int) -> None:
    hours = pd.date_range(f"{year}-01-01", f"{year + 1}-01-01", freq="30min", tz="UTC", inclusive="left")
    frame = pd.DataFrame({"nox": np.arange(len(hours)) % 1000.0}, index=hours)
    document = permit(
        rule(
            base={"length": "30 min", "validity": {"need": "any"}}, average={"over": "day", "min_share": 0.01}
        ),
        zone=zone,
    )
    days = document.evaluate(frame, SIGNALS)[0].averages
    local = hours.tz_convert(zone)
    expected = frame["nox"].groupby(local.date).mean()
    np.testing.assert_allclose(days["value"].to_numpy(), expected.to_numpy(), rtol=1e-12)
    lengths = (days.index.tz_convert("UTC") - days["begin"].dt.tz_convert("UTC")).dt.total_seconds() / 3600
    counts = frame["nox"].groupby(local.date).count() / 2
    inner = slice(1, -1)  # the data begin and end within a day
    np.testing.assert_array_equal(lengths.to_numpy()[inner], counts.to_numpy()[inner])


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"])
def test_zone_tables_agree_with_zoneinfo_at_every_hour(zone: str) -> None:
    """Through the core: an hourly mean's local day is zoneinfo's."""
    hours = pd.date_range("2010-12-30", "2012-01-03", freq="1h", tz="UTC")
    frame = pd.DataFrame({"nox": np.ones(len(hours))}, index=hours)
    base = {"length": "30 min", "validity": {"need": "any"}}
    document = permit(rule(base=base, average={"over": "day", "min_share": 0.001}), zone=zone)
    ends = document.evaluate(frame, SIGNALS)[0].averages.index
    for end in ends[:-1]:
        before, after = end - pd.Timedelta(seconds=1), end
        assert before.date() != after.date()
        assert datetime.fromtimestamp(end.timestamp(), ZoneInfo(zone)).hour == after.hour


def test_shifting_the_zone_changes_nothing_for_rules_without_days() -> None:
    frame = minutes(3000)
    plain = [permit(*MANY_FREE, zone=z).evaluate(frame, SIGNALS, period=60) for z in ("UTC", "Asia/Tokyo")]
    assert same_bits(*plain)


MANY_FREE = [rule(), rule("3 h", average={"over": "rolling", "length": "3 h", "min_share": 0.6})]


def test_the_zone_can_be_asked_for() -> None:
    frame = minutes(3000)
    here = MANY.evaluate(frame, SIGNALS, period=60, zone="Asia/Tokyo")
    assert here.zone == "Asia/Tokyo"
    assert str(here["day"].averages.index.tz) == "Asia/Tokyo"
    with pytest.raises(ConfigError, match="'Europe/Berln'"):
        MANY.evaluate(frame, SIGNALS, zone="Europe/Berln")
    assert zone_table("UTC", 2024, 2024).name == "UTC"


def test_stamps_may_be_naive_or_in_any_zone_or_unit() -> None:
    frame = minutes(3000)
    expected = MANY.evaluate(frame, SIGNALS, period=60)
    for index in (
        frame.index.tz_localize(None),
        frame.index.tz_convert("America/New_York"),
        frame.index.as_unit("s"),
        frame.index.as_unit("ns"),
    ):
        assert same_bits(MANY.evaluate(frame.set_axis(index, axis=0), SIGNALS, period=60), expected)


# ---- refusals -------------------------------------------------------------------------------------------


def refused(
    frame: pd.DataFrame, document: Permit = MANY, signals: object = SIGNALS, **options: object
) -> str:
    with pytest.raises((_core.InputError, ConfigError, DataError)) as error:
        document.evaluate(frame, signals, **options)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_bad_values_are_refused_by_rule_tag_row_and_time() -> None:
    frame = minutes(600)
    frame["nox"] = frame["nox"].fillna(1.0)
    frame.iloc[7, 0] = -0.5
    assert "permit rule 'NOx 1 h', tag 'nox', row 7 (2024-03-30 20:17:00 UTC)" in refused(frame)
    assert MANY.evaluate(frame, SIGNALS, negative="missing")[0].core.negatives == 1
    frame.iloc[7, 0] = np.inf
    text = refused(frame, negative="missing")
    assert text.endswith("row 7 (2024-03-30 20:17:00 UTC): expected a finite concentration, got inf")


@pytest.mark.parametrize("cell", ["Bad", "12,5", True])
def test_a_cell_that_is_no_number_is_named_by_column_row_and_time(cell: object) -> None:
    frame = minutes(600).astype({"nox": object})
    frame.iloc[9, 0] = cell
    text = refused(frame)
    assert text == f"data: column 'nox', row 9 (2024-03-30 20:19:00 UTC): expected a number, got {cell!r}"


def test_complex_numbers_are_refused_rather_than_halved() -> None:
    frame = minutes(100)
    assert "column 'nox': expected numbers, got complex128" in refused(frame.astype({"nox": complex}))


def test_late_rows_and_clocks_put_back_are_refused_or_flagged_by_name() -> None:
    frame = minutes(600)
    jumped = frame.set_axis(frame.index.where(np.arange(600) < 300, frame.index - pd.Timedelta("2h")), axis=0)
    text = refused(jumped)
    assert "tag 'nox', row 300 (2024-03-30 23:10:00 UTC)" in text
    assert "clock put back" in text
    merged = frame.iloc[[*range(300), *range(310, 320), *range(300, 310), *range(320, 600)]]
    judged = MANY.evaluate(merged, SIGNALS, lateness=1200)
    assert judged.steps_back == 10
    assert judged.clock[0] == "row 310: from 2024-03-31 03:29:00+02:00 back to 2024-03-31 03:10:00+02:00"
    assert "carry a stamp before" in judged.report().html()
    double = pd.concat([frame, frame.iloc[-1:].assign(nox=1.0)])
    assert "of the same stamp has" in refused(double)


def test_oxygen_at_the_constant_is_refused_by_name() -> None:
    frame = minutes(600).assign(o2=8.0)
    frame.iloc[40, frame.columns.get_loc("o2")] = 20.95
    frame["nox"] = frame["nox"].fillna(100.0)
    document = permit(rule(basis={"oxygen": 6, "constant": 20.9}))
    text = refused(frame, document, {"nox": Signal("NOx", "mg/Nm3", oxygen="o2")})
    assert "rule 'NOx 1 h', tag 'o2', row 40 (2024-03-30 20:50:00 UTC)" in text
    run = np.arange(600) != 40
    assert len(document.evaluate(frame, {"nox": Signal("NOx", "mg/Nm3", oxygen="o2")}, plant=run)) == 1


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ({"nox": Signal("NOx", "ppm")}, "expected mg/Nm3, but tag 'nox' is in ppm; units are not mixed"),
        ({"nox": Signal("CO", "mg/Nm3")}, "no signal measures NOx"),
        ({"nix": Signal("NOx", "mg/Nm3")}, "column 'nix' is missing; did you mean 'nox'"),
        ({"nox": "NOx"}, "expected a Signal with its unit"),
        ({"nox": {"pollutant": "NOx"}}, "'unit' is missing"),
        ({"nox": {"pollutant": "NOx", "unit": "mg/Nm3", "oxygn": 3}}, "did you mean 'oxygen'"),
        (
            {"run": Signal("NOx", "mg/Nm3")},
            "column 'run', row 0 (2024-03-30 20:10:00 UTC): expected a number",
        ),
        ({}, "what do the columns measure"),
        (None, "what do the columns measure"),
    ],
)
def test_signals_that_do_not_fit_are_refused(signals: object, told: str) -> None:
    assert told in refused(minutes(100), signals=signals)


def test_tags_give_units_and_names() -> None:
    tags = emisopt.TagMap((emisopt.Tag("NOX", "mg/Nm3", "emission"),), period=60)
    frame = minutes(600).rename(columns={"nox": "NOX"})
    assert MANY.evaluate(frame, tags=tags)[0].tag == "NOX"
    assert MANY.evaluate(frame, {"NOX": "NOx"}, tags=tags)[0].tag == "NOX"
    assert "the tag map, 'mg/m3', got 'mg/Nm3'" in refused(
        frame, signals={"NOX": Signal("NOx", "mg/Nm3")}, tags="gas_turbine"
    )


@pytest.mark.parametrize(
    "signals",
    [SIGNALS, {"nox": {"pollutant": "NOx", "unit": "mg/Nm³"}}, None],
)
def test_a_signal_in_another_unit_than_its_tag_is_refused(signals: object) -> None:
    """The column is in the tag's unit: ppm judged as mg/Nm3 would hold at half the true load."""
    own = Permit.from_dict(
        {
            "name": "p",
            "rules": [rule()],
            "signals": [{"tag": "nox", "pollutant": "NOx", "unit": "mg/Nm3"}],
        }
    )
    tags = emisopt.TagMap((emisopt.Tag("nox", "ppm", "emission"),), period=60)
    text = refused(minutes(100), own, signals, tags=tags)
    assert text == (
        "signals: column 'nox': expected the unit of the tag map, 'ppm', got 'mg/Nm3': its numbers are not "
        "converted; convert the column, or correct one of the two units"
    )
    same = emisopt.TagMap((emisopt.Tag("nox", "mg/Nm³", "emission"),), period=60)  # another spelling of it
    assert own.evaluate(minutes(100), signals, tags=same)[0].tag == "nox"


@pytest.mark.parametrize(
    ("unit", "fits"), [("%", True), ("vol%", True), ("% O2", True), ("ppm", False), ("fraction", False)]
)
def test_oxygen_that_a_tag_map_has_in_another_unit_is_refused(unit: str, fits: bool) -> None:
    tags = emisopt.TagMap((emisopt.Tag("nox", "mg/Nm3", "emission"), emisopt.Tag("o2", unit)), period=60)
    document = permit(rule(basis={"oxygen": 6, "constant": 21}))
    signals = {"nox": Signal("NOx", "mg/Nm3", oxygen="o2")}
    frame = minutes(100).assign(o2=6.0)
    if fits:
        assert len(document.evaluate(frame, signals, tags=tags)) == 1
    else:
        text = refused(frame, document, signals, tags=tags)
        assert f"its oxygen, column 'o2', is expected in vol %, got {unit!r} in the tag map" in text


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (lambda f: f.reset_index(drop=True), {}, "DatetimeIndex"),
        (
            lambda f: f.set_axis(f.index.where(np.arange(len(f)) != 5, pd.NaT), axis=0),
            {},
            "row 5: expected a time",
        ),
        (lambda f: f[["nox", "nox"]], {}, "stands more than once"),
        (lambda f: f.iloc[:0], {}, "no rows"),
        (lambda f: f, {"plant": "runs"}, "plant: no column 'runs'; did you mean 'run'"),
        (lambda f: f, {"plant": [1, 2]}, "plant: expected 100 values"),
        (lambda f: f.assign(run="asleep"), {"plant": "run"}, "plant, row 0: expected one of off, on"),
        (lambda f: f, {"plant": np.full(100, 9)}, "plant, row 0"),
        (lambda f: f, {"status": {"nax": "flag"}}, "status: no signal has the column 'nax'"),
        (lambda f: f, {"stamp": "middle"}, "stamp: expected start or end"),
        (lambda f: f, {"negative": "clip"}, "negative: expected refuse or missing"),
        (lambda f: f, {"lateness": -1}, "lateness"),
        (lambda f: f.iloc[:1], {}, "period"),
    ],
)
def test_tables_and_options_that_do_not_fit_are_refused(change, options, told: str) -> None:
    assert told in refused(change(minutes(100)), **options)


def test_states_and_flags_may_be_words_numbers_or_booleans() -> None:
    frame = minutes(3000)
    frame["run"] = frame["run"].replace("startup", "off")
    frame["flag"] = frame["flag"].replace("calibration", "invalid")
    expected = MANY.evaluate(frame, SIGNALS, period=60, plant="run", status={"nox": "flag"})
    forms = [
        (frame["run"] == "on", frame["flag"] == "valid"),
        (
            (frame["run"] == "on").to_numpy().astype(np.uint8),
            (3 * (frame["flag"] != "valid")).astype(np.uint8),
        ),
        ((frame["run"] == "on").astype(float), (3.0 * (frame["flag"] != "valid")).to_numpy()),
        (frame["run"].astype("category"), frame["flag"].to_numpy(dtype=object)),
    ]
    for plant, status in forms:
        assert same_bits(
            MANY.evaluate(frame, SIGNALS, period=60, plant=plant, status={"nox": status}), expected
        )


def test_utc_means_utc() -> None:
    frame = minutes(100, start="2024-05-05")
    end = permit(rule()).evaluate(frame, SIGNALS)[0].averages.index[0]
    assert end.to_pydatetime() == datetime(2024, 5, 5, 1, tzinfo=timezone.utc)
