"""emisopt.monitor: conformal correction as a stream and at once, no leak, coverage tables, bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import clone

from emisopt import InputError, ShapeError, metrics
from emisopt.backtest import CORRECTED, _corrected_quantiles, backtest
from emisopt.errors import DataError
from emisopt.history import to_history
from emisopt.monitor import ConformalCorrector, CoverageMonitor

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
H = 4


def fans(count: int, outputs: int = 1, spread: float = 1.0, horizon: int = H) -> np.ndarray:
    fan = np.asarray(norm.ppf(LEVELS)) * spread
    return np.broadcast_to(fan, (count, horizon, outputs, len(LEVELS))).copy()


def frame(fan: np.ndarray, outputs=("nox",), index=None) -> pd.DataFrame:
    columns = pd.MultiIndex.from_product([outputs, LEVELS], names=["output", "quantile"])
    return pd.DataFrame(fan.reshape(len(fan), -1), index, columns)


def replay(truth: np.ndarray, horizon: int = H, **settings: object) -> tuple[ConformalCorrector, np.ndarray]:
    corrector = ConformalCorrector(**settings)
    forecasts = fans(len(truth), truth.shape[1], horizon=horizon)
    names = ["nox", "co"][: truth.shape[1]]
    return corrector, corrector.replay(forecasts, truth, outputs=names, levels=LEVELS)


@pytest.mark.parametrize("delay", [0, 24])
def test_a_variance_that_doubles_and_a_bias_that_jumps_are_covered_locally(delay: int) -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((6000, 1))
    shifts = {
        "variance": np.where(np.arange(6000) < 3000, 1.0, np.sqrt(2.0))[:, None] * noise,
        "bias": noise + np.where(np.arange(6000) < 3000, 0.0, 1.2)[:, None],
    }
    for truth in shifts.values():
        corrector, _ = replay(truth, delay=delay)
        table = corrector.coverage()
        assert (table["raw", "least"] < 0.72).all()
        assert table["corrected", "cover"].between(0.78, 0.82).all()
        assert table["corrected", "least"].min() > 0.74
        assert table["corrected", "greatest"].max() < 0.86


def test_exchangeable_errors_keep_the_nominal_cover_within_binomial_bounds() -> None:
    covers = []
    for seed in range(8):
        corrector, _ = replay(np.random.default_rng(seed).standard_normal((4000, 1)), horizon=1)
        covers.append(corrector.coverage().loc[("nox", 1), ("corrected", "cover")])
    sd = np.sqrt(0.8 * 0.2 / 4000)
    assert max(abs(c - 0.8) for c in covers) < 3 * sd
    assert abs(np.mean(covers) - 0.8) < 3 * sd / np.sqrt(8)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_stream_of_frames_with_a_restart_equals_the_batch_to_the_bit(data: st.DataObject) -> None:
    count, delay = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 5))
    seed, restart = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 39))
    truth = np.random.default_rng(seed).standard_normal((count, 2)) * 2
    truth[data.draw(st.integers(0, count - 1)), 0] = np.nan
    _, batch = replay(truth, delay=delay)
    corrector = ConformalCorrector(delay=delay)
    for row in range(count):
        if row == restart:
            corrector = pickle.loads(pickle.dumps(corrector))
        if row - 1 - delay >= 0:
            label = {"nox": truth[row - 1 - delay, 0], "co": truth[row - 1 - delay, 1]}
            corrector.observe(label, row=row - 1 - delay, now=row - 1)
        got = corrector.issue(frame(fans(1, 2)[0], ("nox", "co")), row=row)
        np.testing.assert_array_equal(got.to_numpy().reshape(H, 2, -1), batch[row])


@pytest.mark.parametrize("delay", [0, 24, 168])
def test_labels_after_a_cut_change_no_bit_before_they_are_in(delay: int) -> None:
    rng = np.random.default_rng(3)
    truth = rng.standard_normal((600, 1)) * 1.5
    noise = truth.copy()
    noise[300:] = 40 * rng.standard_normal((300, 1))
    first = 300 + delay + 1
    (_, a), (_, b) = replay(truth, delay=delay), replay(noise, delay=delay)
    np.testing.assert_array_equal(a[:first], b[:first])
    assert (a[first] != b[first]).any()


def test_a_backtest_with_noise_after_a_cut_is_the_same_before_it(small_forecaster, boiler_history) -> None:
    history = boiler_history[0].copy()
    noisy = history.copy()
    cut = 2450
    outputs = list(small_forecaster.outputs_)
    low, high = noisy[outputs].min(), noisy[outputs].max()
    span = (high - low).to_numpy() * np.random.default_rng(0).uniform(size=(len(noisy) - cut, len(outputs)))
    noisy.iloc[cut:, [noisy.columns.get_loc(n) for n in outputs]] = low.to_numpy() + span
    tags = small_forecaster.tags_
    origins = np.arange(2300, 2700)
    for delay in (0, 12):
        mine, other = (
            _corrected_quantiles(
                ConformalCorrector(delay=delay), small_forecaster, to_history(table, tags), origins,
                np.arange(2000, 2300), (1, 6), known=True, delay=delay,
            )
            for table in (history, noisy)
        )  # fmt: skip
        before = origins <= cut + delay  # label `cut` is in before origin cut + delay + 1
        np.testing.assert_array_equal(mine[before], other[before])
        assert (mine[~before][0] != other[~before][0]).any()


def test_the_backtest_prints_cover_and_width_of_both(small_forecaster, boiler_history) -> None:
    result = backtest(
        small_forecaster, boiler_history[0], train_rows=2000, validation_rows=300, horizons=(6,),
        operations=("known",), boosting={"interval": "residual", "iterations": 3}, fit_stride=3,
        corrector=True,
    )  # fmt: skip
    truth, fan = result.truth, result.forecasts["known", CORRECTED]
    row = result.scores.loc[("nox", 6, "known", CORRECTED)]
    o = result.outputs.index("nox")
    assert row["coverage"] == metrics.coverage(truth[:, 0, o], fan[:, 0, o, 0], fan[:, 0, o, 2])
    local = metrics.local_coverage(truth[:, 0, o], fan[:, 0, o, 0], fan[:, 0, o, 2])
    assert (row["least_coverage"], row["greatest_coverage"]) == local
    raw = result.scores.loc[("nox", 6, "known", "emisopt")]
    assert row["mae"] == raw["mae"]
    assert abs(row["coverage"] - 0.8) < abs(raw["coverage"] - 0.8)
    text = result.text()
    assert f"{row['coverage']:.3f} ({local[0]:.2f}-{local[1]:.2f})" in text
    assert CORRECTED not in text and CORRECTED in result.text("width")
    assert not result.best_baseline()["model"].eq(CORRECTED).any()


def test_local_coverage_is_its_definition() -> None:
    rng = np.random.default_rng(2)
    y = rng.standard_normal(300)
    y[17] = np.nan
    inside = np.abs(y[np.isfinite(y)]) <= 1
    shares = [inside[i : i + 50].mean() for i in range(len(inside) - 49)]
    assert metrics.local_coverage(y, -np.ones(300), np.ones(300), 50) == (min(shares), max(shares))
    assert np.isnan(metrics.local_coverage(y[:40], -np.ones(40), np.ones(40), 50)).all()
    with pytest.raises(ValueError, match="expected 1 or more rows, got 0"):
        metrics.local_coverage(y, y, y, 0)


def test_stamps_find_their_rows_and_gaps_are_gaps() -> None:
    stamps = pd.date_range("2024-01-01", periods=60, freq="5min", tz="UTC")
    by_stamp, by_row = ConformalCorrector(), ConformalCorrector()
    for k in [0, 1, 2, 7, 8, 30]:
        ahead = stamps[k : k + H]
        a = by_stamp.issue(frame(fans(1)[0], index=ahead))
        b = by_row.issue(frame(fans(1)[0]), row=k)
        np.testing.assert_array_equal(a.to_numpy(), b.to_numpy())
        assert a.index.equals(ahead)
        label = pd.DataFrame({"nox": [3.0], "load": [1.0]}, index=stamps[[k]])
        assert by_stamp.observe(label) == by_row.observe({"nox": 3.0}, row=k)
    with pytest.raises(DataError, match="expected stamps every 0 days 00:05:00 from 2024-01-01"):
        by_stamp.observe(pd.DataFrame({"nox": [1.0]}, index=[stamps[30] + pd.Timedelta("1min")]))


def test_fit_learns_from_the_past_and_goes_on_by_stamps(small_forecaster, boiler_history) -> None:
    history, _ = boiler_history
    corrector = ConformalCorrector(delay=3).fit(small_forecaster, history.iloc[2000:2600])
    table = corrector.coverage()
    assert (table["", "rows"] > 500).all()
    raw, corrected = table["raw", "cover"], table["corrected", "cover"]
    assert (corrected - 0.8).abs().mean() < 0.3 * (raw - 0.8).abs().mean()
    issued = corrector.issue(small_forecaster.predict(history.iloc[:2600]))
    np.testing.assert_array_equal(
        issued.xs(0.5, axis=1, level="quantile"),
        small_forecaster.predict(history.iloc[:2600]).xs(0.5, axis=1, level="quantile"),
    )
    learnt = corrector.observe(history.iloc[2597:2600], now=history.index[2602])  # the three not yet in
    assert learnt == 3 * 12 * len(small_forecaster.outputs_)


def test_state_travels_by_file_and_pickle(tmp_path) -> None:
    truth = np.random.default_rng(4).standard_normal((50, 1)) * 3
    corrector, _ = replay(truth, delay=2, follow=0.5)
    path = tmp_path / "state.safetensors"
    corrector.save(path)
    again = ConformalCorrector().restore(path, ["nox"])
    assert again.get_params()["delay"] == 2 and again.get_params()["follow"] == 0.5
    forecast = frame(fans(1)[0])
    for other in (again, pickle.loads(pickle.dumps(corrector))):
        np.testing.assert_array_equal(other.correct(forecast), corrector.correct(forecast))
    fresh = clone(corrector)
    assert fresh.get_params() == corrector.get_params() and not hasattr(fresh, "core_")
    with pytest.raises(InputError, match="expected 1 names, got 2"):
        ConformalCorrector().restore(path, ["nox", "co"])


def test_a_record_of_any_interval() -> None:
    rng = np.random.default_rng(5)
    watch = CoverageMonitor(window=20)
    came = rng.standard_normal((100, H))
    came[3, 1] = np.nan
    for row in came:
        watch.update(frame(fans(1)[0]), pd.DataFrame({"nox": row}))
    table = watch.table()
    for h in range(H):
        y = came[:, h][np.isfinite(came[:, h])]
        edge = np.full(y.shape, norm.ppf(0.9))
        row = table.loc[("nox", h + 1)]
        assert row["rows"] == y.size and row["cover"] == metrics.coverage(y, -edge, edge)
        assert (row["least"], row["greatest"]) == metrics.local_coverage(y, -edge, edge, 20)
    with pytest.raises(DataError, match="no column 'nox'"):
        watch.update(frame(fans(1)[0]), pd.DataFrame({"co": np.zeros(H)}))
    with pytest.raises(DataError, match=r"no quantile 0\.2"):
        CoverageMonitor(low=0.2).update(frame(fans(1)[0]), pd.DataFrame({"nox": np.zeros(H)}))
    with pytest.raises(DataError, match="expected 4 rows"):
        watch.update(frame(fans(1)[0]), pd.DataFrame({"nox": [0.0]}))


@pytest.fixture
def running() -> ConformalCorrector:
    corrector = ConformalCorrector(delay=2, lateness=5)
    for row in range(20):
        corrector.issue(frame(fans(1)[0]), row=row)
    return corrector


@pytest.mark.parametrize(
    ("labels", "options", "told"),
    [
        (
            {"nox": 1.0},
            {"row": 18},
            r"row 18: expected its label from row 20 on \(delay 2\), got it at row 19",
        ),
        ({"nox": 1.0}, {"row": 11}, r"row 11: expected its label by row 18 \(delay 2, lateness 5\)"),
        ({"nox": 1.0}, {"row": 30, "now": 40}, "row 30: no forecast was issued for it"),
        ({"nox": np.inf}, {"row": 15}, "row 15, output 0: expected a finite label or NaN, got inf"),
        ({"nox": 1.0}, {}, "expected the row of the labels, got none"),
        ({"NOx": 1.0}, {"row": 15}, "expected outputs among nox, got NOx"),
        (pd.DataFrame({"load": [1.0]}, index=[15]), {}, "expected a column of nox, got load"),
        (pd.DataFrame({"nox": [1.0]}, index=["x"]), {}, "expected a row's number or"),
    ],
)
def test_labels_that_cannot_be_are_refused(running, labels, options, told: str) -> None:
    with pytest.raises((InputError, DataError), match=told):
        running.observe(labels, **options)
    assert (running.coverage()["", "rows"] == 0).all()


def test_another_label_of_a_row_is_refused_and_the_same_is_passed_over(running) -> None:
    assert running.observe({"nox": 1.0}, row=15) == H
    assert running.observe({"nox": 1.0}, row=15) == 0
    with pytest.raises(InputError, match="expected the label it had, 1, got 2"):
        running.observe({"nox": 2.0}, row=15)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memory": 0}, r"CoverageConfig\(memory\): expected rows above 0, got 0"),
        ({"follow": -1}, r"CoverageConfig\(follow\)"),
        ({"delay": -1}, r"CoverageConfig\(delay\)"),
        ({"temper": "much"}, r"ConformalCorrector\(temper\): expected a number, got 'much'"),
        ({"low": 0.2}, r"CoverageMonitor\(low\): no quantile has the level 0.2"),
        ({"window": 0}, r"CoverTally\(window\): expected 1 or more rows"),
    ],
)
def test_settings_that_cannot_be_are_named(options, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ConformalCorrector(**options).issue(frame(fans(1)[0]), row=0)


def test_forecasts_that_do_not_fit_are_refused(running, small_forecaster, boiler_history) -> None:
    with pytest.raises(InputError, match="expected a row after 19, got 19"):
        running.issue(frame(fans(1)[0]), row=19)
    with pytest.raises(DataError, match="expected 4 steps of nox at levels"):
        running.issue(frame(fans(1, horizon=3)[0]), row=20)
    with pytest.raises(DataError, match="columns"):
        running.issue(pd.DataFrame({"nox": [1.0]}), row=20)
    crossing = frame(fans(1)[0])
    crossing.iloc[1, 2] = 5.0
    with pytest.raises(InputError, match="step 2, output 0: expected finite quantiles that rise"):
        running.issue(crossing, row=20)
    with pytest.raises(ShapeError, match="expected"):
        ConformalCorrector().replay(np.zeros((3, 4)), np.zeros((3, 1)), outputs=["nox"], levels=LEVELS)
    with pytest.raises(DataError, match="no forecast could be issued"):
        ConformalCorrector().fit(small_forecaster, boiler_history[0].iloc[:10])
    with pytest.raises(InputError, match="expected operation or nothing"):
        ConformalCorrector().fit(small_forecaster, boiler_history[0], known="all")


def test_a_notebook_shows_the_record(running) -> None:
    assert "no forecast yet" in ConformalCorrector()._repr_html_()
    assert "least" in running._repr_html_() and "cover" in CoverageMonitor()._repr_html_() + "cover"
