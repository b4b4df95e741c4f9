"""TagScaler: the core's formulas, missing values, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emisopt.scaler import TagScaler

RNG = np.random.default_rng(3)


def table(rows: int = 2000) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "load": 200 + 30 * RNG.standard_normal(rows),  # MW
            "co": np.exp(3 + RNG.standard_normal(rows)),  # mg/Nm3, skewed
            "draft": -2 + 0.1 * RNG.standard_normal(rows),  # mbar
        }
    )


def test_only_positive_skewed_columns_take_the_logarithm() -> None:
    frame = table()
    frame["excess"] = -frame["co"]  # skewed to the other side, and negative
    frame["shifted"] = frame["co"] - 1.0 - frame["co"].min()  # skewed as co, one value below zero
    scaler = TagScaler().fit(frame)
    assert scaler.log_.tolist() == [False, True, False, False, False]
    positive = frame["co"].to_numpy()
    assert scaler.offset_[1] == pytest.approx(0.1 * np.median(positive))
    assert scaler.mean_[1] == pytest.approx(np.log(positive + scaler.offset_[1]).mean())
    assert scaler.scale_[1] == pytest.approx(np.log(positive + scaler.offset_[1]).std())


def test_scores_have_mean_zero_and_spread_one() -> None:
    z = TagScaler().fit_transform(table())
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 1e6), min_size=3, max_size=30),
    st.sampled_from(["auto", "never"]),
)
@example([0.0, 0.0, 5e-324], "auto")  # a tenth of it is 0
def test_inverse_brings_back_what_was_not_negative(values: list[float], log: str) -> None:
    x = np.array(values)[:, None]
    scaler = TagScaler(log=log).fit(x)
    back = scaler.inverse_transform(scaler.transform(x))
    # The logarithm loses what is small beside the offset; relative to the column's size nothing is lost.
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9 * max(1e-300, x.max()))


def test_missing_values_pass_and_weigh_nothing() -> None:
    x = table(300).to_numpy()
    holed = np.vstack([x, np.full((50, 3), np.nan)])
    scaler, plain = TagScaler().fit(holed), TagScaler().fit(x)
    for name in ("mean_", "scale_", "offset_", "low_", "high_"):
        np.testing.assert_allclose(getattr(scaler, name), getattr(plain, name), rtol=1e-13)
    assert np.isnan(scaler.transform(holed)[300:]).all()
    assert np.isfinite(scaler.transform(holed)[:300]).all()


def test_a_small_spread_on_a_large_value_survives() -> None:
    pressure = 1013e3 + np.array([[0.1], [0.2], [0.3]])  # Pa
    assert TagScaler().fit(pressure).scale_[0] == pytest.approx(np.std([0.1, 0.2, 0.3]), rel=1e-6)


def test_a_constant_column_becomes_zero() -> None:
    x = np.full((7, 1), 0.1)  # the mean of these rounds, so the spread as computed is not 0
    assert x.std() > 0
    scaler = TagScaler().fit(x)
    assert scaler.scale_[0] == 1.0
    np.testing.assert_allclose(scaler.transform(x), 0, atol=1e-15)


def test_a_reading_below_zero_counts_as_zero_under_the_logarithm() -> None:
    scaler = TagScaler(log=["co"]).fit(table()[["co"]])
    low, zero = scaler.transform(pd.DataFrame({"co": [-0.5, 0.0]})).ravel()
    assert low == zero
    assert scaler.inverse_transform([[zero]])[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_only_the_fitted_rows_decide() -> None:
    frame = table()
    scaler = TagScaler().fit(frame[:1000])
    before = scaler.transform(frame[:1000])
    scaler.transform(frame[1000:] * 100)
    assert before.tobytes() == scaler.transform(frame[:1000]).tobytes()


def test_columns_can_be_named_or_numbered() -> None:
    frame = table()
    by_name = TagScaler(log=["load"]).fit(frame)
    by_place = TagScaler(log=[0]).fit(frame.to_numpy())
    assert by_name.log_.tolist() == by_place.log_.tolist() == [True, False, False]
    assert by_name.get_feature_names_out().tolist() == ["load", "co", "draft"]
    out = by_name.set_output(transform="pandas").transform(frame)
    assert list(out.columns) == ["load", "co", "draft"] and out.index.equals(frame.index)


def test_box_is_the_bulk_of_the_rows() -> None:
    x = np.linspace(0, 1000, 1001)[:, None]
    scaler = TagScaler().fit(x)
    assert (scaler.low_[0], scaler.high_[0]) == (5.0, 995.0)


@pytest.mark.parametrize(
    ("log", "frame", "message"),
    [
        ("sometimes", table(), "expected 'auto', 'never' or a sequence of columns, got 'sometimes'"),
        (["steam"], table(), "expected columns among load, co, draft, got 'steam'"),
        ([7], table(), "got 7"),
        (["draft"], table(), r"column 2 \('draft'\): expected positive values for a logarithm"),
        ("auto", table().assign(co=np.nan), r"column 1 \('co'\): expected measured values, all 2000"),
    ],
)
def test_fit_says_what_is_wrong(log: object, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TagScaler(log=log).fit(frame)  # type: ignore[arg-type]


def test_transform_refuses_other_columns_and_infinity() -> None:
    scaler = TagScaler().fit(table())
    with pytest.raises(ValueError, match="feature names"):
        scaler.transform(table().rename(columns={"co": "so2"}))
    with pytest.raises(ValueError, match="infinity"):
        scaler.transform(table().replace(table().iloc[0, 0], 1.0).assign(co=np.inf))
    with pytest.raises(ValueError, match=r"expected \(N, C=3\), got \(2, 2\)"):
        scaler.inverse_transform(np.zeros((2, 2)))
