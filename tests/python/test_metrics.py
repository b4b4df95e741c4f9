"""emisopt.metrics: worked examples, scikit-learn as the second opinion, missing rows, wrong arguments."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error, r2_score

from emisopt import metrics

RNG = np.random.default_rng(3)
Y = RNG.normal(50, 9, 200)
P = Y + RNG.normal(1, 4, 200)


def test_point_scores_agree_with_scikit_learn():
    assert metrics.mae(Y, P) == pytest.approx(mean_absolute_error(Y, P))
    assert metrics.rmse(Y, P) == pytest.approx(mean_squared_error(Y, P) ** 0.5)
    assert metrics.r2(Y, P) == pytest.approx(r2_score(Y, P))
    for level in (0.05, 0.5, 0.9):
        assert metrics.pinball(Y, P, level) == pytest.approx(mean_pinball_loss(Y, P, alpha=level))


def test_missing_rows_are_left_out_on_either_side():
    y, p = Y.copy(), P.copy()
    y[::7] = np.nan
    p[::5] = np.nan
    valid = np.isfinite(y) & np.isfinite(p)
    assert metrics.mae(y, p) == pytest.approx(mean_absolute_error(y[valid], p[valid]))
    assert metrics.scores(y, p)["rows"] == valid.sum()


def test_bias_is_positive_when_the_forecast_is_too_high():
    assert metrics.bias([1.0, 2.0], [2.0, 4.0]) == 1.5


def test_coverage_counts_both_edges_as_inside():
    assert metrics.coverage([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.5, 0.0], [2.0, 2.0, 9.0, 3.0]) == 0.5
    assert metrics.width([0.0, 1.0], [1.0, 4.0]) == 2.0


def test_crps_of_a_sharp_correct_forecast_is_zero_and_grows_with_distance():
    levels = (0.1, 0.5, 0.9)
    assert metrics.crps_from_quantiles(Y, {q: Y for q in levels}) == 0.0
    near = metrics.crps_from_quantiles(Y, {q: Y + 1 for q in levels})
    far = metrics.crps_from_quantiles(Y, {q: Y + 3 for q in levels})
    assert far == pytest.approx(3 * near)


def test_nothing_to_score_gives_nan_rather_than_zero():
    nothing = metrics.scores([np.nan, 1.0], [1.0, np.nan])
    assert nothing["rows"] == 0
    assert all(np.isnan(nothing[k]) for k in ("mae", "rmse", "r2", "bias"))


def test_r2_of_constant_truth_is_undefined():
    assert np.isnan(metrics.r2([2.0, 2.0], [1.0, 3.0]))


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"metrics\.mae: expected arrays of one shape, got \(3,\), \(2,\)"):
        metrics.mae([1, 2, 3], [1, 2])


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_pinball_level_outside_zero_and_one_is_refused(level):
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        metrics.pinball(Y, P, level)


def test_score_table_is_indexed_by_what_the_rows_name():
    table = metrics.score_table(
        [{"output": "nox", "horizon": 1, "model": "last value", **metrics.scores(Y, P)}]
    )
    assert table.index.names == ["output", "horizon", "model"]
    assert table.loc[("nox", 1, "last value"), "mae"] == pytest.approx(metrics.mae(Y, P))
