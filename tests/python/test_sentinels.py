"""Codes for "no value" that a tag map does not list: found in columns of every kind, in none without one."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import emisopt
from emisopt import Forecaster, OnlineLearner, Tag, TagMap, datasets
from emisopt._sentinels import sentinel_in
from emisopt.history import to_history

RNG = np.random.default_rng(0)
LOAD = 200 + 50 * np.sin(np.arange(1000) / 30) + RNG.normal(0, 2, 1000)
NOX = np.abs(RNG.normal(150, 60, 1000))
LEVELS = np.where(np.arange(1000) % 100 < 80, 3.0, 4.0)


def with_code(column: NDArray[np.float64], code: float, count: int) -> NDArray[np.float64]:
    out = column.copy()
    out[RNG.choice(np.arange(5, 1000), count - 1, replace=False)] = code
    out[4] = code
    return out


@pytest.mark.parametrize(
    "code", [-9999.0, -999.0, -999.9, -999.99, 9999.0, 99999.0, 1e20, -1e30, -32768.0, 65535.0]
)
@pytest.mark.parametrize("count", [2, 30, 400])
@pytest.mark.parametrize("column", [LOAD, NOX, LEVELS], ids=["load", "nox", "levels"])
def test_usual_codes_are_found(column: NDArray[np.float64], code: float, count: int) -> None:
    found = sentinel_in(with_code(column, code, count))
    assert found is not None
    assert (found.value, found.row) == (code, 4)
    assert found.count >= count - 1


def test_another_negative_number_is_found_where_it_is_absurd() -> None:
    concentration = np.abs(RNG.normal(2, 1, 1000))
    assert sentinel_in(with_code(concentration, -200.0, 100)) is not None
    assert sentinel_in(with_code(LOAD - 200, -200.0, 100)) is None  # a signed column may go there


FULL_SCALE = np.minimum(
    np.where(RNG.random(1000) < 0.03, RNG.exponential(400, 1000), 2 + RNG.random(1000)), 500
)
COLUMNS = {
    "one spike": with_code(LOAD, 5000.0, 2)[:996],
    "lone code": np.r_[LOAD, -9999.0],
    "an analyser at its full scale": FULL_SCALE,
    "only spikes to the full scale": np.where(RNG.random(1000) < 0.02, 500.0, 2 + RNG.random(1000)),
    "zeros of a stopped plant": np.where(np.arange(1000) < 300, 0.0, LOAD),
    "a plant that is mostly stopped": np.where(np.arange(1000) < 900, 0.0, LOAD),
    "a setpoint at two levels": LEVELS,
    "a setpoint at two levels of either sign": np.where(LEVELS > 3, -20.0, 20.0),
    "a setpoint, mostly at one level": np.where(np.arange(1000) < 990, 0.0, 999.0),
    "a valve that is open or shut": np.where(LEVELS > 3, 0.0, 99.9),
    "a counter": np.arange(1000.0),
    "pressure about 999": np.round(999 + RNG.normal(0, 5, 1000)),
    "constant": np.full(1000, 7.0),
    "nothing known": np.full(1000, np.nan),
    "few rows": np.r_[LOAD[:10], -9999.0, -9999.0],
    "heavy tails": RNG.standard_cauchy(1000).round(1),
    "a lagging sensor's floor": np.maximum(RNG.normal(0, 1, 1000), -0.5),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_what_plants_do_is_no_code(name: str) -> None:
    assert sentinel_in(COLUMNS[name]) is None


def test_the_simulated_plants_have_none() -> None:
    for history, tags in (
        emisopt.plants.Boiler(seed=3).simulate_history(days=20),
        emisopt.plants.Cstr(seed=3).simulate_history(3000),
        emisopt.plants.QuadrupleTank(seed=3).simulate_history(3000),
    ):
        assert codes_of(history, tags) == {}


@pytest.mark.parametrize("name", datasets.names())
def test_the_real_plants_have_none_as_they_are_read(name: str) -> None:
    data = datasets.load(name)
    assert codes_of(data.history, data.tags) == {}


def codes_of(history: pd.DataFrame, tags: TagMap) -> dict[str, object]:
    values = np.asarray(to_history(history, tags, live=True).values)
    found = {tag.name: sentinel_in(values[:, c]) for c, tag in enumerate(tags) if tag.kind != "categorical"}
    return {name: code for name, code in found.items() if code is not None}


# ---- who says so ------------------------------------------------------------------------------------------

TAGS = TagMap((Tag("load", "MW"), Tag("nox", "ppm", "emission")), period=300)
SMALL = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "steps": 5, "threads": 1}


def frame() -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=1000, freq="300s", tz="UTC")
    return pd.DataFrame({"load": LOAD, "nox": with_code(NOX, -9999.0, 20)}, index=index)


def said(function) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    assert all(w.filename == __file__ for w in caught if "no value" in str(w.message))
    return [str(w.message) for w in caught if "no value" in str(w.message)]


def test_a_fit_names_tag_number_rows_and_cure() -> None:
    lines = said(lambda: Forecaster(**SMALL).fit(frame(), tags=TAGS, progress=False))
    count = int((frame()["nox"] == -9999).sum())
    assert len(lines) == 1
    assert lines[0].startswith("Forecaster.fit(history): tag 'nox' holds -9999 in ")
    assert "rows, first at 2024-01-01 00:20:00+00:00, far from all other values" in lines[0]
    assert lines[0].endswith("file: missing: [-9999], or make it NaN; else it is learnt as a value")
    assert count > 2


def test_what_the_tag_map_knows_and_later_rows_are_not_named() -> None:
    listed = TagMap((TAGS["load"], Tag("nox", "ppm", "emission", missing=-9999)), period=300)
    ranged = TagMap((TAGS["load"], Tag("nox", "ppm", "emission", low=0)), period=300)
    for tags in (listed, ranged):
        assert said(lambda tags=tags: Forecaster(**SMALL).fit(frame(), tags=tags, progress=False)) == []
    late = frame().assign(nox=NOX)
    late.iloc[800:810, 1] = -9999.0
    assert said(lambda: Forecaster(**SMALL).fit(late, tags=TAGS, train_rows=700, progress=False)) == []


def test_five_tags_are_named_and_the_others_counted() -> None:
    tags = TagMap((*(Tag(f"t{i}", "degC") for i in range(7)), Tag("nox", "ppm", "emission")), period=300)
    many = frame().assign(nox=NOX, **{f"t{i}": with_code(LOAD, -999.0, 9) for i in range(7)})
    lines = said(lambda: Forecaster(**SMALL).fit(many, tags=tags, progress=False))
    assert [line.split("'")[1] for line in lines] == ["t0", "t1", "t2", "t3", "t4"]
    assert lines[-1].endswith("(and 2 more tags with such a value)")


def test_an_ensemble_says_it_once_and_a_learner_says_it_too() -> None:
    own = emisopt.EnsembleForecaster(horizon=6)
    lines = said(lambda: own.fit(frame().iloc[:600], tags=TAGS, progress=False))
    assert [line.partition(":")[0] for line in lines] == ["EnsembleForecaster.fit(history)"]
    fitted = Forecaster(**SMALL).fit(frame().assign(nox=NOX), tags=TAGS, progress=False)
    lines = said(lambda: OnlineLearner(fitted, frame(), memory=100))
    assert [line.partition(":")[0] for line in lines] == ["OnlineLearner(past)"]
