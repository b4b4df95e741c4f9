"""Distances between two stretches: the published figures of frouros' own test data, tables, refusals.

Golden numbers: shared domain study, section E (frouros, `tests/conftest.py`, `test_data_drift.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt import _core
from emisopt.errors import ConfigError, DataError
from emisopt.monitor import distances


def frouros_samples() -> tuple[np.ndarray, np.ndarray]:
    """X_ref_univariate and X_test_univariate of its conftest."""
    out = []
    for mean, deviation in ((1, 1), (5, 2)):
        np.random.seed(31)  # noqa: NPY002
        out.append(np.random.normal(mean, deviation, 100))  # noqa: NPY002
    return out[0], out[1]


def bins_of(x: np.ndarray, y: np.ndarray, count: int = 10) -> tuple[list[float], list[float]]:
    edges = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), count + 1)
    return tuple((np.histogram(v, edges)[0] / len(v)).tolist() for v in (x, y))  # type: ignore[return-value]


def test_distances_are_frouros() -> None:
    x, y = frouros_samples()
    p, q = bins_of(x, y)
    assert _core.population_stability(p, q) == pytest.approx(461.20379435, rel=1e-8)
    assert _core.hellinger_distance(p, q) == pytest.approx(0.74509099, abs=1e-8)
    assert _core.earth_mover_distance(x.tolist(), y.tolist()) == pytest.approx(3.85346006, abs=1e-8)
    row = distances(pd.DataFrame({"x": x}), pd.DataFrame({"x": y})).loc["x"]
    assert row[["psi", "hellinger", "earth_mover"]].tolist() == pytest.approx(
        [461.20379435, 0.74509099, 3.85346006], rel=1e-8
    )
    assert row["earth_mover_sd"] == pytest.approx(3.85346006 / x.std(), rel=1e-8)
    chi2, p_value, _ = _core.categories_differ([4, 2, 0], [1, 1, 4])
    assert (chi2, p_value) == pytest.approx((6.13333333, 0.04657615), abs=1e-8)


def test_jensen_shannon_is_frouros_on_its_shares() -> None:
    """frouros takes shares between ten points, each sample's histogram read as a density."""
    x, y = frouros_samples()
    points = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), 10)

    def shares(values: np.ndarray) -> list[float]:
        counts, edges = np.histogram(values, bins="auto")
        cdf = np.interp(points, edges, np.concatenate([[0], np.cumsum(counts) / len(values)]))
        return (np.diff(cdf) / np.diff(cdf).sum()).tolist()

    got = _core.jensen_shannon_distance(shares(x), shares(y))
    assert got == pytest.approx(0.67010107, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-1e3, 1e3), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_a_shift_is_its_size_and_units_do_not_matter(shift: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    y = x.assign(a=x["a"] + shift).sample(frac=1, random_state=seed)
    table = distances(x, y)
    assert table.loc["a", "earth_mover"] == pytest.approx(abs(shift), rel=1e-6, abs=1e-9)
    assert table.loc["b"].tolist() == pytest.approx([0] * 5, abs=1e-12)
    assert distances(x * scale, y * scale).loc["a", "earth_mover_sd"] == pytest.approx(
        table.loc["a", "earth_mover_sd"], rel=1e-6, abs=1e-9
    )


def test_missing_values_are_left_out_and_empty_or_constant_tags_have_an_answer() -> None:
    x = pd.DataFrame({"a": [1.0, np.nan, 2.0], "none": np.nan, "still": 5.0})
    y = pd.DataFrame({"still": [7.0, 7.0], "none": [1.0, 2.0], "a": [1.0, 2.0]})  # in any order of columns
    table = distances(x, y)
    assert table.index[0] == "still"
    assert table.loc["still", "earth_mover"] == 2
    assert table.loc["still", "earth_mover_sd"] == np.inf
    assert table.loc["still", "hellinger"] == 1
    assert table.loc["a"].abs().max() == 0
    assert table.loc["none"].isna().all()
    assert distances(x[["still"]], x[["still"]]).loc["still"].tolist() == [0] * 5


def test_refusals_name_what_is_wrong() -> None:
    x = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="bins: expected 2 or more, got 1"):
        distances(x, x, bins=1)
    with pytest.raises(DataError, match="current: column 'a' is missing"):
        distances(x, x.rename(columns={"a": "b"}))
    with pytest.raises(DataError, match="current, column 'a', row 1: expected a finite number, got inf"):
        distances(x, x.replace(2.0, np.inf))
