"""Detectors of drift over tables: named reference alarms, splits, errors, run lengths, false discoveries."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt import InputError, ShapeError, StateError, _core
from emisopt.errors import ConfigError, DataError
from emisopt.monitor import (
    DETECTORS,
    DriftBank,
    calibrate,
    chart_limit,
    chart_run_length,
    detect_drift,
    false_discoveries,
)

# ---- the sequences of reference domain.md, section E ------------------------------------------------------


def capymoa_documentation() -> np.ndarray:
    np.random.seed(0)  # noqa: NPY002  the documentation's own generator
    values = np.random.randint(2, size=2000)  # noqa: NPY002
    for i in range(999, 2000):
        values[i] = np.random.randint(4, high=8)  # noqa: NPY002
    return values.astype(float)


def river_documentation() -> np.ndarray:
    rng = random.Random(12345)
    return np.array(rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000), dtype=float)


def three_levels() -> np.ndarray:
    rng = np.random.RandomState(42)
    parts = (rng.normal(0.8, 0.05, 1000), rng.normal(0.4, 0.02, 1000), rng.normal(0.6, 0.1, 1000))
    return np.concatenate(parts)


def step(before: int, level: float, after: int = 200) -> np.ndarray:
    return np.concatenate([np.zeros(before), np.full(after, level)])


MOA_ADWIN = {"delta": 0.001, "variant": "moa"}
MOA_PH = {"mode": "up", "variant": "moa"}


@pytest.mark.parametrize(
    ("sequence", "kind", "options", "rows"),
    [
        # CapyMOA's documentation prints MOA's rows; river 0.26.1's were computed
        (capymoa_documentation, "adwin", MOA_ADWIN, [1023, 1055]),
        (capymoa_documentation, "page_hinkley", MOA_PH, [1014, 1685]),
        (capymoa_documentation, "adwin", {}, [1023]),
        (capymoa_documentation, "page_hinkley", {}, [1009, 1505]),
        (capymoa_documentation, "kswin", {"seed": 0}, [1012]),
        # river's documentation
        (river_documentation, "adwin", {}, [1023]),
        (river_documentation, "page_hinkley", {}, [1006]),
        (river_documentation, "kswin", {"alpha": 1e-4, "seed": 42}, [1016]),
        # river 0.26.1, computed
        (three_levels, "adwin", {}, [1023, 2047]),
        (three_levels, "page_hinkley", {}, [1136, 2309]),
        (three_levels, "kswin", {"seed": 42}, [1012, 1791, 2011, 2797]),
        (lambda: step(200, 5), "page_hinkley", {}, [210]),
        (lambda: step(1000, 1, 24), "adwin", {}, [1023]),
    ],
)
def test_alarms_are_those_of_the_named_implementation(sequence, kind, options, rows) -> None:
    assert detect_drift(pd.Series(sequence()), kind, **options)["row"].tolist() == rows


def test_adwins_window_after_the_step_is_the_references() -> None:
    alarm = detect_drift(pd.Series(step(1000, 1, 24)), "adwin").iloc[0]
    assert alarm["delay"] == 56
    assert alarm["direction"] == "up"
    assert alarm["size"] == pytest.approx(0.428571, abs=1e-6)  # dropped: zeros


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1, 2**32, 2**63 + 5])
@pytest.mark.parametrize(("n", "k"), [(70, 30), (35, 25), (660, 40), (9, 9), (5000, 3), (100000, 250)])
def test_draws_are_pythons(seed: int, n: int, k: int) -> None:
    rng = random.Random(seed)
    assert _core.python_random_samples(seed, n, k, 20) == [rng.sample(range(n), k) for _ in range(20)]


# ---- tables -----------------------------------------------------------------------------------------------


def plant(rows: int = 900, tags: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(rows, tags))
    values[rows // 2 :, ::3] += 3
    values[rng.random(values.shape) < 0.02] = np.nan
    stamps = pd.date_range("2024-03-30 22:00", periods=rows, freq="1min", tz="Europe/Berlin")
    return pd.DataFrame(values, index=stamps, columns=[f"t{i}" for i in range(tags)])


@pytest.mark.parametrize("kind", DETECTORS)
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=6), threads=st.integers(1, 3))
def test_any_split_gives_the_alarms_of_the_whole(kind: str, cuts: list[int], threads: int) -> None:
    frame = plant()
    options = {"limit": 20} if kind == "page_hinkley" else {}
    whole = DriftBank(kind, frame.columns, **options).push(frame)
    bank = DriftBank(kind, frame.columns, threads=threads, **options)
    edges = [0, *sorted(cuts), 900]
    parts = [bank.push(frame.iloc[a:b]) for a, b in itertools.pairwise(edges)]
    told = [part for part in parts if len(part)]
    assert len(whole) > 0
    pd.testing.assert_frame_equal(pd.concat(told, ignore_index=True), whole)
    assert bank.missing.tolist() == frame.isna().sum().tolist()
    assert int(bank.alarms.sum()) == len(whole)


def test_memory_layout_and_order_of_columns_change_nothing() -> None:
    frame = plant()
    expected = detect_drift(frame, "cusum")
    by_columns = pd.DataFrame({name: frame[name].to_numpy() for name in frame}, index=frame.index)
    pd.testing.assert_frame_equal(detect_drift(by_columns, "cusum"), expected)
    bank = DriftBank("cusum", frame.columns)
    pd.testing.assert_frame_equal(bank.push(frame[frame.columns[::-1]].assign(other=1.0)), expected)
    array = DriftBank("cusum", frame.columns).push(np.asfortranarray(frame.to_numpy()))
    assert array["row"].tolist() == expected["row"].tolist()
    strided = np.zeros((900, 24))
    strided[:, ::2] = frame.to_numpy()
    assert DriftBank("cusum", frame.columns).push(strided[:, ::2])["row"].tolist() == expected["row"].tolist()


def test_stamps_are_the_rows_in_utc() -> None:
    frame = plant()
    alarms = detect_drift(frame, "cusum")
    assert (alarms["stamp"] == frame.index[alarms["row"]].tz_convert("UTC")).all()
    plain = detect_drift(frame.reset_index(drop=True), "cusum")
    assert plain["stamp"].isna().all()


def test_integers_and_nullable_columns_are_numbers() -> None:
    values = [0] * 200 + [5] * 20
    for column in (pd.Series(values), pd.Series(values, dtype="Int64"), pd.Series(values, dtype="float32")):
        assert detect_drift(column, "page_hinkley")["row"].tolist() == [210]
    gaps = pd.Series([None, *values], dtype="Int64")
    assert detect_drift(gaps, "page_hinkley")["row"].tolist() == [211]


@pytest.mark.parametrize("kind", DETECTORS)
def test_empty_constant_and_missing_columns_are_silent(kind: str) -> None:
    frame = pd.DataFrame({"missing": np.full(800, np.nan), "constant": 0.0})
    assert detect_drift(frame, kind).empty
    assert detect_drift(frame.iloc[:0], kind).empty


# ---- refusals ---------------------------------------------------------------------------------------------


def test_an_infinite_value_is_named_and_the_bank_is_as_before() -> None:
    frame = plant()
    bank = DriftBank("ewma", frame.columns)
    bank.push(frame.iloc[:300])
    bad = frame.iloc[300:].copy()
    bad.iloc[7, 4] = np.inf
    with pytest.raises(InputError, match=r"row 307 \(2024-03-31 02:07:00 UTC\), tag 't4': expected a finite"):
        bank.push(bad)
    assert bank.rows == 300
    whole = DriftBank("ewma", frame.columns).push(frame)
    got = bank.push(frame.iloc[300:])
    assert got["row"].tolist() == whole["row"][whole["row"] >= 300].tolist()


def unaligned() -> np.ndarray:
    packed = np.zeros(3, dtype=[("flags", "i4"), ("x", "f8"), ("more", "i4")])
    return packed["x"][:, None]


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: DriftBank("adwinn", ["x"]), ConfigError, "no detector 'adwinn'; did you mean 'adwin'"),
        (lambda: DriftBank("adwin", ["x"], limit=3), ConfigError, "adwin has no option 'limit'"),
        (lambda: DriftBank("adwin", ["x"], delta=2), InputError, r"Adwin\(delta\): expected a number in"),
        (lambda: DriftBank("adwin", ["x"], variant="weka"), InputError, "expected 'river' or 'moa'"),
        (lambda: DriftBank("adwin", ["x"], clock="often"), ConfigError, "expected numbers"),
        (
            lambda: DriftBank("page_hinkley", ["x"], variant="moa"),
            InputError,
            "MOA's test looks for increases",
        ),
        (lambda: DriftBank("page_hinkley", ["x"], mode="left"), InputError, "'up', 'down' or 'both'"),
        (lambda: DriftBank("kswin", ["x"], sample=60), InputError, "twice the sample"),
        (lambda: DriftBank("kswin", ["x"], seed=-1), ConfigError, "expected numbers"),
        (lambda: DriftBank("cusum", ["x", "y", "x"]), ConfigError, "'x' stands more than once"),
        (lambda: DriftBank("cusum", ["x"]).push(np.array([[1j]])), DataError, "expected numbers"),
        (lambda: detect_drift(pd.DataFrame({"x": [1j]})), DataError, "expected numbers, got complex"),
        (lambda: DriftBank("cusum", ["x"]).push(unaligned()), ShapeError, "expected an aligned array"),
        (lambda: chart_limit("cusum", 1e5, slack=0.0), InputError, "expected a larger slack or weight"),
        (lambda: DriftBank("cusum", []), InputError, "expected 1 to 10000000 tags, got 0"),
        (lambda: DriftBank("adwin", ["x"]).set_limits([1.0]), StateError, "set delta or alpha"),
        (lambda: DriftBank("cusum", ["x"]).set_limits([0.0]), InputError, "limit above 0"),
        (lambda: detect_drift(pd.DataFrame({"x": ["a"]})), DataError, "tag 'x': expected numbers"),
        (lambda: detect_drift(pd.DataFrame({"x": [True]})), DataError, "tag 'x': expected numbers, got bool"),
        (lambda: detect_drift([1.0]), DataError, "expected a pandas DataFrame or Series, got list"),
        (
            lambda: DriftBank("cusum", ["nox"]).push(pd.DataFrame({"nx": [1.0]})),
            DataError,
            "tag 'nox' is missing; did you mean 'nx'",
        ),
        (
            lambda: DriftBank("cusum", ["x"]).push(pd.DataFrame([[1.0, 2.0]], columns=["x", "x"])),
            DataError,
            "stands more than once",
        ),
        (lambda: DriftBank("cusum", ["x", "y"]).push(np.zeros((3, 3))), DataError, r"expected \(N, 2\)"),
        (
            lambda: DriftBank("cusum", ["x"]).push(
                pd.DataFrame({"x": [1.0]}, index=pd.DatetimeIndex(["NaT"]))
            ),
            DataError,
            "row 0: expected a time stamp, got NaT",
        ),
    ],
)
def test_each_refusal_is_one_line_that_says_where(call, error, told) -> None:
    with pytest.raises(error, match=told) as refused:
        call()
    assert "\n" not in str(refused.value)


# ---- run lengths ------------------------------------------------------------------------------------------


def test_limits_and_run_lengths_are_those_of_the_tables() -> None:
    assert chart_run_length("cusum", 4) == pytest.approx(168, rel=0.003)
    assert chart_run_length("ewma", 2.962, weight=0.2, shift=1) == pytest.approx(10.5, rel=0.005)
    assert chart_limit("cusum", 370, slack=1.0) == pytest.approx(2.52, abs=0.005)
    with pytest.raises(ConfigError, match="no equation for 'adwin'"):
        chart_limit("adwin", 100)
    with pytest.raises(ConfigError, match="cusum has no option 'weight'"):
        chart_limit("cusum", 100, weight=0.1)


@pytest.mark.parametrize(
    ("kind", "options", "arl0"),
    [("page_hinkley", {}, 3000), ("two_window_ks", {"reference": 200, "recent": 50}, 3000),
     ("adwin", {"clock": 8}, 2000), ("kswin", {"window": 60, "sample": 25}, 1000), ("cusum", {}, 1000)],
)  # fmt: skip
def test_a_calibrated_detector_has_the_run_length(kind: str, options: dict[str, object], arl0: int) -> None:
    """On noise that was not simulated: within what counts of alarms and the grid can tell."""
    found = calibrate(kind, arl0, values=150_000, seed=5, **options)
    assert (found.kind, found.arl0, found.extrapolated) == (kind, arl0, False)
    noise = np.random.default_rng(8).normal(size=(15_000, 20))
    frame = pd.DataFrame(noise)
    alarms = len(detect_drift(frame, kind, **options, **{found.option: found.value}))
    assert 0.6 < alarms / (noise.size / arl0) < 1.6


def test_a_run_length_beyond_the_simulation_is_called_extrapolated() -> None:
    found = calibrate("page_hinkley", 1e6, values=50_000)
    assert found.extrapolated
    assert found.value > calibrate("page_hinkley", 1000, values=50_000).value


def test_measured_blocks_raise_the_limit() -> None:
    rng = np.random.default_rng(2)
    series = np.zeros(5000)
    for i in range(1, 5000):
        series[i] = 0.8 * series[i - 1] + 0.6 * rng.normal()
    series[100:110] = np.nan
    remembering = calibrate("cusum", 500, source=series, values=50_000)
    assert remembering.value > 2 * calibrate("cusum", 500, values=50_000).value
    with pytest.raises(DataError, match="at least 20 values"):
        calibrate("cusum", 500, source=[1.0, np.nan])
    with pytest.raises(ConfigError, match="what is looked for"):
        calibrate("cusum", 500, limit=5)
    with pytest.raises(ConfigError, match="arl0"):
        calibrate("cusum", float("nan"))


# ---- many tests at once -----------------------------------------------------------------------------------


def test_false_discoveries_keeps_index_and_passes_over_missing() -> None:
    p = pd.Series([1e-5, np.nan, 0.9], index=["a", "b", "c"])
    assert false_discoveries(p).to_dict() == {"a": True, "b": False, "c": False}
    assert false_discoveries([1e-9, 1e-9, 0.5], method="lord").tolist() == [True, True, False]
    assert false_discoveries([100.0, 0.5], method="e_benjamini_hochberg").tolist() == [True, False]
    with pytest.raises(ConfigError, match="did you mean 'lord'"):
        false_discoveries([0.1], method="lordd")
    with pytest.raises(InputError, match="test 1: expected a p-value"):
        false_discoveries([0.1, 2.0])
