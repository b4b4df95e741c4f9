"""emisopt.baselines and emisopt.lags: hand-worked forecasts, gaps, missing values, leaks, wrong arguments."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emisopt.baselines import Boosting, ErrorTracking, LastValue, LinearRidge, SeasonalNaive
from emisopt.lags import OUTPUT_LAGS, Table, anchors, lag_features

HORIZONS = (1, 6, 24)


def make_table(rows=900, seed=0, gaps=(400,), missing=0.05) -> Table:
    """One output driven by a setpoint three rows earlier and a known disturbance, plus a slow drift."""
    rng = np.random.default_rng(seed)
    setpoint = np.repeat(rng.normal(0, 1, rows // 10 + 1), 10)[:rows]
    load = np.sin(np.arange(rows) * 2 * np.pi / 96) + 0.1 * rng.normal(size=rows)
    drift = np.cumsum(rng.normal(0, 0.02, rows))
    y = 50 + 4 * np.roll(setpoint, 3) + 3 * load + drift + 0.2 * rng.normal(size=rows)
    second = 10 + load + 0.1 * rng.normal(size=rows)
    values = np.column_stack([setpoint, load, y, second])
    values[rng.random(values.shape) < missing] = np.nan
    gap = np.zeros(rows, dtype=bool)
    gap[[0, *gaps]] = True
    return Table(
        values,
        gap,
        outputs=(2, 3),
        setpoints=(0,),
        disturbances=(1,),
        known=(1,),
        time=np.arange(rows) * 900.0,
        period=900.0,
        names=("sp", "load", "nox", "co"),
    )


TABLE = make_table()
TRAIN = np.arange(30, 600)
CALIBRATION = np.arange(625, 700)
TEST = np.arange(730, 870)
MAKERS = [
    lambda: LastValue(horizons=HORIZONS),
    lambda: SeasonalNaive(horizons=HORIZONS),
    lambda: LinearRidge(horizons=HORIZONS),
    lambda: LinearRidge(horizons=HORIZONS, known=False),
    lambda: Boosting(horizons=HORIZONS, iterations=15, interval="residual"),
    lambda: Boosting(horizons=HORIZONS, iterations=15, known=False),
]


@pytest.mark.parametrize("model", [LinearRidge(horizons=(1,)), Boosting(horizons=(1,), iterations=15)])
def test_a_tag_that_says_nothing_while_it_learns_is_no_reason_to_stop(model):
    table = make_table()
    table.values[:700, 1] = np.nan  # a meter that was put in later
    forecast = model.fit(table, TRAIN, CALIBRATION).predict(table, TEST)
    assert np.isfinite(forecast).all()


def test_last_value_is_the_newest_known_row_before_the_origin():
    table = make_table(missing=0.0)
    table.values[99, 2] = np.nan
    forecast = LastValue(horizons=HORIZONS).fit(table, TRAIN, CALIBRATION).predict(table, np.array([100]))
    assert np.all(forecast[0, :, 0, 1] == table.values[98, 2])
    assert np.all(forecast[0, :, 1, 1] == table.values[99, 3])


def test_last_value_never_crosses_a_gap():
    table = make_table(missing=0.0)
    table.values[400, 2] = np.nan  # the first row after the gap is missing: nothing is known at origin 401
    forecast = LastValue(horizons=(1,)).fit(table, TRAIN, CALIBRATION).predict(table, np.array([401]))
    assert np.isnan(forecast[0, 0, 0, 1])
    assert forecast[0, 0, 1, 1] == table.values[400, 3]


def test_seasonal_naive_is_the_row_one_day_before_the_target():
    table = make_table(missing=0.0, gaps=())
    assert table.season == 96
    forecast = SeasonalNaive(horizons=(1, 24)).fit(table, TRAIN, CALIBRATION).predict(table, np.array([300]))
    assert forecast[0, 0, 0, 1] == table.values[300 - 96, 2]
    assert forecast[0, 1, 0, 1] == table.values[323 - 96, 2]


def test_seasonal_naive_goes_back_whole_days_when_the_horizon_is_longer_than_the_season():
    table = make_table(missing=0.0, gaps=())
    model = SeasonalNaive(horizons=(10,), season=4).fit(table, TRAIN, CALIBRATION)
    assert model.predict(table, np.array([300]))[0, 0, 0, 1] == table.values[309 - 12, 2]


def test_known_operation_lowers_the_error_of_ridge_and_boosting():
    table = make_table(missing=0.0)
    truth = table.target(TEST, 6)[:, 0]

    def error(model):
        forecast = model.fit(table, TRAIN, CALIBRATION).predict(table, TEST)
        return np.nanmean(np.abs(forecast[:, 0, 0, 1] - truth))

    for maker in (LinearRidge, lambda **kw: Boosting(iterations=60, interval="residual", **kw)):
        with_plan = error(maker(horizons=(6,), known=True))
        without = error(maker(horizons=(6,), known=False))
        assert with_plan < 0.7 * without


@pytest.mark.parametrize("make", MAKERS)
def test_intervals_are_ordered_and_cover_about_four_fifths(make):
    forecast = make().fit(TABLE, TRAIN, CALIBRATION).predict(TABLE, TEST)
    assert forecast.shape == (TEST.size, 3, 2, 3)
    known = np.isfinite(forecast).all(axis=-1)
    assert np.all(np.diff(forecast[known], axis=-1) >= 0)
    truth = np.stack([TABLE.target(TEST, h) for h in HORIZONS], axis=1)
    inside = (truth >= forecast[..., 0]) & (truth <= forecast[..., 2])
    # 140 test rows that hang together: a broad band around 0.8 that a point forecast cannot enter
    assert 0.45 < inside[np.isfinite(truth)].mean() < 0.99


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("cut", [735, 801])
def test_no_forecast_sees_rows_after_its_origin(make, cut):
    model = make().fit(TABLE, TRAIN, CALIBRATION)
    before = model.predict(TABLE, TEST)
    values = TABLE.values.copy()
    noise = np.random.default_rng(cut).normal(0, 1000, values[cut:].shape)
    plan = getattr(model, "known", False)
    values[cut:, [2, 3]] = noise[:, [2, 3]]
    if not plan:  # future operation is an input only where the model is told so
        values[cut:, [0, 1]] = noise[:, [0, 1]]
    spoiled = Table(**{**TABLE.__dict__, "values": values})
    after = model.predict(spoiled, TEST)
    early = cut >= TEST
    np.testing.assert_array_equal(after[early], before[early])
    assert not np.array_equal(after[~early], before[~early], equal_nan=True)


@pytest.mark.parametrize("make", MAKERS)
def test_fit_does_not_see_rows_after_the_calibration_targets(make):
    last = CALIBRATION.max() + max(HORIZONS) - 1
    values = TABLE.values.copy()
    values[last + 1 :] = np.random.default_rng(1).normal(0, 1000, values[last + 1 :].shape)
    spoiled = Table(**{**TABLE.__dict__, "values": values})
    origins = np.arange(100, 600, 7)
    a = make().fit(TABLE, TRAIN, CALIBRATION).predict(TABLE, origins)
    b = make().fit(spoiled, TRAIN, CALIBRATION).predict(TABLE, origins)
    np.testing.assert_array_equal(a, b)


def test_boosting_leaves_warnings_as_they_were():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        model = Boosting(horizons=(1,), iterations=600).fit(TABLE, TRAIN, CALIBRATION)  # enough for processes
        model.predict(TABLE, TEST)
        assert list(warnings.filters) == filters
    assert [str(w.message) for w in seen] == []


def test_boosters_in_processes_are_those_of_one_thread(monkeypatch):
    big = Boosting(horizons=(1,), iterations=600)
    many = big.fit(TABLE, TRAIN, CALIBRATION).predict(TABLE, TEST)
    monkeypatch.setenv("EMISOPT_THREADS", "1")
    np.testing.assert_array_equal(clone(big).fit(TABLE, TRAIN, CALIBRATION).predict(TABLE, TEST), many)


def test_both_forecasts_of_tracking_are_those_asked_one_by_one():
    base = Boosting(horizons=HORIZONS, iterations=5).fit(TABLE, TRAIN, CALIBRATION)
    plain, tracked = ErrorTracking(base).predict_both(TABLE, TEST[::3])
    np.testing.assert_array_equal(plain, base.predict(TABLE, TEST[::3]))
    np.testing.assert_array_equal(tracked, ErrorTracking(base).predict(TABLE, TEST[::3]))


def test_error_tracking_removes_a_constant_offset_once_the_labels_are_in():
    base = LinearRidge(horizons=(1, 6)).fit(TABLE, TRAIN, CALIBRATION)
    values = TABLE.values.copy()
    values[710:, 2] += 25.0  # an offset that the frozen lagged model follows only in part
    shifted = Table(**{**TABLE.__dict__, "values": values})
    truth = shifted.target(TEST, 6)[:, 0]
    frozen = np.nanmean(np.abs(base.predict(shifted, TEST)[:, 1, 0, 1] - truth))
    tracked = np.nanmean(np.abs(ErrorTracking(base).predict(shifted, TEST)[:, 1, 0, 1] - truth))
    assert tracked < frozen


@pytest.mark.parametrize(("horizon", "delay"), [(1, 0), (6, 0), (6, 5)])
def test_error_tracking_uses_a_label_only_when_it_has_arrived(horizon, delay):
    base = LastValue(horizons=(horizon,)).fit(TABLE, TRAIN, CALIBRATION)
    model = ErrorTracking(base, halflife=3.0, delay=delay)
    row = 780
    values = TABLE.values.copy()
    values[row, 2] = 4000.0
    a = model.predict(TABLE, TEST)[:, 0, 0, 1] - base.predict(TABLE, TEST)[:, 0, 0, 1]
    spoiled = Table(**{**TABLE.__dict__, "values": values})
    b = model.predict(spoiled, TEST)[:, 0, 0, 1] - base.predict(spoiled, TEST)[:, 0, 0, 1]
    changed = TEST[~np.isclose(a, b, equal_nan=True)]
    assert changed.min() == row + 1 + delay


def test_error_tracking_is_the_textbook_recursion():
    base = LastValue(horizons=(1,)).fit(TABLE, TRAIN, CALIBRATION)
    origins = np.arange(base.last_trained_row_ + 1, TEST.max() + 1)
    forecast = base.predict(TABLE, origins)[:, 0, 0, 1]
    level, expected = 0.0, []
    for j in range(origins.size):
        if j >= 1:
            error = TABLE.values[origins[j - 1], 2] - forecast[j - 1]
            if np.isfinite(error):
                level += (1 - 0.5 ** (1 / 24)) * (error - level)
        expected.append(forecast[j] + level)
    np.testing.assert_allclose(ErrorTracking(base).predict(TABLE, origins)[:, 0, 0, 1], expected)


def test_anchor_is_the_weighted_mean_of_known_rows_of_the_run():
    table = make_table(missing=0.0)
    level = anchors(table, (2,), tau=6.0)
    rows = np.arange(400, 405)
    weight = np.exp(-(404 - rows) / 6.0)
    assert level[404, 0] == pytest.approx(np.average(table.values[rows, 2], weights=weight))


def test_lagged_features_are_missing_where_the_run_is_too_short():
    table = make_table(missing=0.0)
    x = lag_features(table, np.array([405]), 1, context=96, known=False)
    y = lag_features(table, np.array([300]), 1, context=96, known=False)
    assert np.isnan(x).sum() > np.isnan(y).sum() == 0
    assert x.shape == y.shape
    assert x.shape[1] == 4 * 3 + 2 * len(OUTPUT_LAGS) + 2 * 7 + 4


def test_all_nan_output_is_named():
    values = TABLE.values.copy()
    values[:, 3] = np.nan
    with pytest.raises(ValueError, match="expected known values of 'co'"):
        LinearRidge(horizons=(1,)).fit(Table(**{**TABLE.__dict__, "values": values}), TRAIN, CALIBRATION)


def test_without_calibration_rows_the_last_part_of_training_is_held_out():
    forecast = LinearRidge(horizons=(1,)).fit(TABLE, TRAIN).predict(TABLE, TEST)
    assert np.nanmean(forecast[..., 2] - forecast[..., 0]) > 0


@pytest.mark.parametrize("make", MAKERS)
def test_estimators_clone_and_refuse_to_predict_unfitted(make):
    model = clone(make())
    assert model.get_params() == make().get_params()
    with pytest.raises(NotFittedError):
        model.predict(TABLE, TEST)


@pytest.mark.parametrize(
    ("origins", "text"),
    [
        (np.array([0]), "expected row numbers 1..900, got 0..0"),
        (np.array([901]), "expected row numbers 1..900, got 901..901"),
        (np.array([1.5]), "1-d integer array, got float64"),
        (np.empty(0, dtype=int), "expected at least one row number"),
        (np.zeros((2, 2), dtype=int), r"shape \(2, 2\)"),
    ],
)
def test_bad_origins_are_refused(origins, text):
    with pytest.raises(ValueError, match=text):
        LastValue(horizons=(1,)).fit(TABLE, origins, CALIBRATION)


def test_horizon_zero_is_refused():
    with pytest.raises(ValueError, match="expected rows ahead >= 1"):
        LastValue(horizons=(0,)).fit(TABLE, TRAIN, CALIBRATION)


def test_unknown_interval_is_refused():
    with pytest.raises(ValueError, match="expected 'quantile' or 'residual', got 'normal'"):
        Boosting(interval="normal").fit(TABLE, TRAIN, CALIBRATION)


def test_error_tracking_before_the_end_of_training_is_refused():
    base = LastValue(horizons=(1,)).fit(TABLE, TRAIN, CALIBRATION)
    with pytest.raises(ValueError, match="after the base's training rows"):
        ErrorTracking(base).predict(TABLE, TRAIN)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": np.zeros(3)}, r"Table\(values\): expected \(N, C\), got \(3,\)"),
        ({"gap": np.zeros(3, bool)}, r"Table\(gap\): expected \(N=900,\), got \(3,\)"),
        ({"outputs": ()}, "expected at least one column"),
        ({"setpoints": (9,)}, r"Table\(setpoints\): expected columns 0..3, got 9"),
    ],
)
def test_bad_tables_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        Table(**{**TABLE.__dict__, **change})
