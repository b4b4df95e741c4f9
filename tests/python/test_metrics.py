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


# ---- exceedances -----------------------------------------------------------------------------------------


def test_exceedance_of_a_normal_forecast_is_exact_inside_and_beyond_its_levels():
    from statistics import NormalDist

    truth = NormalDist(50, 8)
    levels = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    q = np.array([[truth.inv_cdf(t) for t in levels]] * 3)
    for limit in (20.0, 35.0, 50.0, 57.3, 80.0):
        expected = 1 - truth.cdf(limit)
        np.testing.assert_allclose(metrics.exceedance_probability(q, levels, limit), expected, atol=1e-12)


def test_exceedance_falls_with_the_limit_and_handles_coinciding_and_missing_quantiles():
    q = RNG.normal(size=(40, 5)).cumsum(axis=1)
    q.sort(axis=1)
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    p = np.array([metrics.exceedance_probability(q, levels, x) for x in np.linspace(-6, 9, 60)])
    assert (np.diff(p, axis=0) <= 1e-12).all() and (p >= 0).all() and (p <= 1).all()
    same = metrics.exceedance_probability([[3.0, 3.0, 3.0]], [0.1, 0.5, 0.9], 4.0)
    assert same == [0.0]
    assert metrics.exceedance_probability([[3.0, 3.0, 3.0]], [0.1, 0.5, 0.9], 2.0) == [1.0]
    assert np.isnan(metrics.exceedance_probability([[np.nan, 3.0, 4.0]], [0.1, 0.5, 0.9], 2.0)).all()


def test_brier_agrees_with_scikit_learn_and_leaves_out_the_unknown():
    from sklearn.metrics import brier_score_loss

    e, p = (RNG.random(200) < 0.2).astype(float), RNG.random(200)
    assert metrics.brier(e, p) == pytest.approx(brier_score_loss(e, p))
    e[::3] = np.nan
    assert metrics.brier(e, p) == pytest.approx(brier_score_loss(e[np.isfinite(e)], p[np.isfinite(e)]))
    assert np.isnan(metrics.brier([np.nan], [0.5]))


def test_hit_rate_is_the_roc_curve_at_the_false_alarms_asked_for():
    from sklearn.metrics import roc_curve

    e = RNG.random(500) < 0.15
    s = np.round(e * 0.6 + RNG.normal(size=500), 1)  # with ties
    alarms, hits, _ = roc_curve(e, s)
    for share in (0.01, 0.05, 0.3, 0.9):
        assert metrics.hit_rate(e, s, share) == pytest.approx(np.interp(share, alarms, hits))
    assert metrics.hit_rate(e, np.zeros(500), 0.2) == pytest.approx(0.2)  # a constant warns of nothing
    assert metrics.hit_rate(e, e.astype(float), 0.01) == 1.0
    assert np.isnan(metrics.hit_rate(np.zeros(5), np.arange(5.0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.exceedance_probability([[1, 2]], [0.9, 0.1], 1), "rising levels"),
        (lambda: metrics.exceedance_probability([[1, 2]], [0.5], 1), "two or more"),
        (lambda: metrics.exceedance_probability([[1, 2, 3]], [0.1, 0.9], 1), "expected 2 quantiles"),
        (lambda: metrics.exceedance_probability([[1, 2]], [0.1, 0.9], float("nan")), "finite number"),
        (lambda: metrics.brier([2], [0.5]), "expected 0, 1 or NaN"),
        (lambda: metrics.brier([1], [1.5]), r"numbers in \[0, 1\]"),
        (lambda: metrics.hit_rate([1, 0], [1, 0], 0.0), "between 0 and 1"),
        (lambda: metrics.hit_rate([1, 0], [1, 0, 3]), "arrays of one shape"),
    ],
)
def test_exceedance_scores_refuse_what_they_cannot_score(call, message):
    with pytest.raises(ValueError, match=message):
        call()
