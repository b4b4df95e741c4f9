"""SoftSensor: better than ridge where there is more to find, ridge where there is not, and repeatable."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_friedman1, make_regression
from sklearn.linear_model import Ridge

from emisopt.soft_sensor import SoftSensor

Data = tuple[np.ndarray, np.ndarray]


def curved(rows: int, seed: int = 0) -> Data:
    x, y = make_friedman1(rows, n_features=7, noise=1.0, random_state=seed)
    return x, y


def split(data: Data, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x, y = data
    return x[:rows], y[:rows], x[rows:], y[rows:]


def test_finds_the_curvature_that_ridge_misses() -> None:
    x, y, x_new, y_new = split(curved(3000), 1000)
    error = np.abs(SoftSensor().fit(x, y).predict(x_new) - y_new).mean()
    linear = np.abs(Ridge().fit(x, y).predict(x_new) - y_new).mean()
    assert error < 0.6 * linear
    assert error < 1.1  # the noise alone costs 0.8


@pytest.mark.parametrize("rows", [30, 100, 300])
def test_costs_little_where_the_truth_is_linear(rows: int) -> None:
    error, linear = 0.0, 0.0
    for seed in range(5):
        data = make_regression(rows + 2000, 8, noise=30.0, bias=3.0, random_state=seed)
        x, y, x_new, y_new = split(data, rows)
        error += np.abs(SoftSensor().fit(x, y).predict(x_new) - y_new).mean()
        linear += np.abs(Ridge().fit(x, y).predict(x_new) - y_new).mean()
    assert error < 1.04 * linear  # held-out rows cost a little, curvature read into noise would cost 10 %


def test_without_held_out_rows_it_is_the_ridge_solution() -> None:
    x, y = curved(200)
    sensor = SoftSensor(holdout=0.0, alpha=1e-2).fit(x, y)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    ridge = Ridge(alpha=1e-2 * len(z)).fit(z, y)  # scikit-learn's penalty is not per row
    np.testing.assert_allclose(sensor.predict(x), ridge.predict(z), atol=1e-4 * y.std())
    assert sensor.best_step_ == 0 and np.isnan(sensor.loss_)


def test_quantiles_rise_and_cover_what_they_say() -> None:
    x, y, x_new, y_new = split(curved(6000), 3000)
    sensor = SoftSensor(quantiles=(0.05, 0.1, 0.5, 0.9, 0.95)).fit(x, y)
    q = sensor.predict_quantiles(x_new)
    assert q.shape == (3000, 5) and (np.diff(q, axis=1) >= 0).all()
    np.testing.assert_array_equal(q[:, 2], sensor.predict(x_new))
    assert 0.83 < np.mean((y_new >= q[:, 0]) & (y_new <= q[:, 4])) < 0.96
    assert 0.72 < np.mean((y_new >= q[:, 1]) & (y_new <= q[:, 3])) < 0.88


def test_several_outputs_keep_their_own_scale() -> None:
    x, y, x_new, y_new = split(curved(1500), 1000)
    both = SoftSensor().fit(x, np.column_stack([y, 1e4 - 100 * y]))
    answer = both.predict(x_new)
    assert answer.shape == (500, 2) and both.n_outputs_ == 2
    assert np.abs(answer[:, 0] - y_new).mean() < 1.3
    assert np.abs(answer[:, 1] - (1e4 - 100 * y_new)).mean() < 130
    assert both.predict_quantiles(x_new).shape == (500, 2, 5)


def test_same_seed_same_bits_whatever_the_threads() -> None:
    x, y = curved(400)
    first = SoftSensor(random_state=3).fit(x, y)
    again = SoftSensor(random_state=3, threads=2).fit(x, y)
    other = SoftSensor(random_state=4).fit(x, y)
    assert first.theta_.tobytes() == again.theta_.tobytes()
    assert first.predict(x).tobytes() == again.predict(x).tobytes()
    assert first.theta_.tobytes() != other.theta_.tobytes()


def test_the_order_of_the_rows_changes_no_bit() -> None:
    x, y = curved(300)
    order = np.random.default_rng(0).permutation(300)
    assert SoftSensor().fit(x, y).theta_.tobytes() == SoftSensor().fit(x[order], y[order]).theta_.tobytes()


def test_a_weight_is_a_number_of_rows() -> None:
    x, y = curved(120)
    weight = np.random.default_rng(0).integers(0, 4, 120)
    weighted = SoftSensor().fit(x, y, sample_weight=weight)
    repeated = SoftSensor().fit(np.repeat(x, weight, axis=0), np.repeat(y, weight))
    assert weighted.theta_.tobytes() == repeated.theta_.tobytes()


def test_a_row_s_answer_does_not_depend_on_its_company() -> None:
    x, y = curved(700)
    sensor = SoftSensor(steps=100).fit(x, y)
    alone = np.concatenate([sensor.predict(row[None]) for row in x[:40]])
    assert sensor.predict(x)[:40].tobytes() == alone.tobytes()


def test_missing_inputs_are_tolerated_and_their_absence_is_used() -> None:
    rng = np.random.default_rng(0)
    x, y, x_new, y_new = split(curved(4000), 2000)
    holed, holed_new = x.copy(), x_new.copy()
    holed[rng.random(x.shape) < 0.2] = np.nan
    holed_new[rng.random(x_new.shape) < 0.2] = np.nan
    answer = SoftSensor().fit(holed, y).predict(holed_new)
    assert np.isfinite(answer).all()
    assert np.abs(answer - y_new).mean() < 0.75 * np.abs(np.median(y) - y_new).mean()
    # The target is high exactly when the signal is absent: only the mark of absence can say so.
    told = rng.random(600) < 0.5
    signal = np.where(told, np.nan, rng.normal(size=600))[:, None]
    marked = SoftSensor().fit(signal, 10.0 * told + rng.normal(size=600))
    high, low = marked.predict([[np.nan], [0.0]])
    assert high == pytest.approx(10, abs=1) and low == pytest.approx(0, abs=1)


def test_a_gap_that_fit_never_saw_counts_as_the_mean() -> None:
    x, y = curved(300)
    sensor = SoftSensor(steps=50).fit(x, y)
    holed, filled = x[:5].copy(), x[:5].copy()
    holed[:, 0], filled[:, 0] = np.nan, x[:, 0].mean()
    np.testing.assert_allclose(sensor.predict(holed), sensor.predict(filled), rtol=1e-6)


def test_log_target_stays_positive_and_serves_the_small_values() -> None:
    rng = np.random.default_rng(1)
    load = rng.uniform(0, 1, (3000, 1))
    co = np.exp(6 * load[:, 0] ** 2 + 0.3 * rng.normal(size=3000))  # 1 to 400 mg/Nm3
    plain, logged = (SoftSensor(log_target=log).fit(load[:2000], co[:2000]) for log in (False, True))
    small = np.flatnonzero(co[2000:] < 5) + 2000
    assert (logged.predict_quantiles(load) > 0).all()
    error = [np.abs(s.predict(load[small]) - co[small]).mean() for s in (plain, logged)]
    assert error[1] < error[0]


def test_a_pickled_sensor_answers_alike() -> None:
    frame = pd.DataFrame(curved(200)[0], columns=list("abcdefg"))
    sensor = SoftSensor(steps=50).fit(frame, curved(200)[1])
    twin = pickle.loads(pickle.dumps(sensor))
    assert twin.predict(frame).tobytes() == sensor.predict(frame).tobytes()
    with pytest.raises(ValueError, match="feature names"):
        twin.predict(frame.rename(columns={"a": "z"}))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 11])
def test_few_rows_are_no_obstacle(rows: int) -> None:
    x, y = curved(rows)
    assert np.isfinite(SoftSensor(steps=30).fit(x, y).predict_quantiles(x)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantiles": (0.1, 0.9)}, "rising levels between 0 and 1 with 0.5"),
        ({"quantiles": (0.5, 0.1)}, "rising levels"),
        ({"quantiles": (0.5, 1.0)}, "rising levels"),
        ({"width": 0}, r"SoftSensor\(width\): expected at least 1, got 0"),
        ({"steps": 0}, r"SoftSensor\(steps\): expected at least 1"),
        ({"batch": 0}, r"SoftSensor\(batch\): expected at least 1"),
        ({"rate": 0.0}, r"SoftSensor\(rate\)"),
        ({"rate": float("nan")}, r"SoftSensor\(rate\).*got nan"),
        ({"decay": -1.0}, r"SoftSensor\(decay\)"),
        ({"holdout": 0.95}, r"SoftSensor\(holdout\): expected a number in 0..0.9, got 0.95"),
        ({"alpha": 0.0}, r"SoftSensor\(alpha\)"),
    ],
)
def test_unusable_parameters_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftSensor(**settings).fit(*curved(50))  # type: ignore[arg-type]


def test_unusable_data_is_named() -> None:
    x, y = curved(50)
    with pytest.raises(ValueError, match="expected positive values with log_target, got"):
        SoftSensor(log_target=True).fit(x, y - y.mean())
    with pytest.raises(ValueError, match="column 2: expected measured values, all are missing"):
        SoftSensor().fit(np.where(np.arange(7) == 2, np.nan, x), y)
    with pytest.raises(
        ValueError, match=r"(?i)weight.* must contain at least one non-zero|expected a weight above 0"
    ):
        SoftSensor().fit(x, y, sample_weight=np.zeros(50))
    with pytest.raises(ValueError, match="NaN"):
        SoftSensor().fit(x, np.where(np.arange(50) == 3, np.nan, y))
