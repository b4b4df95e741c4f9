"""The forecasting benchmark: no baseline reads the future, scores are those of their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import gt_cover
from benchmarks.forecasting import cached, distill, forgetting, gas_turbine, ours, scores, tables, windows
from benchmarks.forecasting.baseline_boosting import Direct, Tracked, spread_levels, track
from benchmarks.forecasting.baseline_gp import LinearGP
from benchmarks.forecasting.baseline_linear import Ridge, RLinear
from benchmarks.forecasting.baseline_pooled import Pooled, PooledTracked
from benchmarks.forecasting.baseline_simple import Climatology, LastValue, SeasonalNaive, SlotQuantiles
from benchmarks.forecasting.network import Network
from benchmarks.forecasting.soft_sensors import OperationRidge, analysis_noise
from benchmarks.forecasting.task import Floats, Model, Task, checked, find_leak
from emisopt.tags import Tag, TagMap

TAGS = TagMap(
    (Tag("load", "MW", "disturbance", known_ahead=True), Tag("inlet", "mg/m3", "disturbance"),
     Tag("nox", "mg/m3", "emission", low=0), Tag("dust", "mg/m3", "emission", low=0)),
    period=3600.0,
)  # fmt: skip


def small_task(rows: int = 1400, stride: int = 1, steps: tuple[int, ...] = (1, 6), seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    load = 100 + 20 * np.sin(2 * np.pi * t / 24) + rng.normal(0, 5, rows)
    inlet = 300 + np.cumsum(rng.normal(0, 1, rows))
    nox = 50 + 0.3 * (load - 100) + 0.1 * (inlet - 300) + rng.normal(0, 1, rows)
    dust = np.exp(1 + 0.02 * (load - 100) + 0.2 * rng.normal(0, 1, rows))
    dust[rng.random(rows) < 0.05] = np.nan
    index = pd.date_range("2020-01-01", periods=rows, freq="h", tz="UTC", name="time")
    history = pd.DataFrame({"load": load, "inlet": inlet, "nox": nox, "dust": dust}, index=index)
    origins = np.arange(1100, rows - max(steps) + 1, stride)
    return Task("small", history, TAGS, "key", 800, 300, origins, steps)


SMALL = Direct("lags", 5, 4)
BASELINES: Mapping[str, Model] = {
    "last value": LastValue(),
    "seasonal naive": SeasonalNaive(),
    "climatology": Climatology(),
    "ridge": Ridge(),
    "operation ridge": OperationRidge(),
    "RLinear": RLinear(window=48),
    "boosting": SMALL,
    "tracking": Tracked(SMALL),
    "refitted soft sensor": Tracked(Direct("operation", 5, 4), refits=2),
    "pooled": Pooled(iterations=5, pairs=2000),
    "pooled tracking": PooledTracked(Pooled(iterations=5, pairs=2000)),
    "linear + GP": LinearGP(window=30),
    "corrector": ours.corrector,
    "ours": Network(settings={"steps": 30, "context": 48, "width": 16, "heads": 2}),
}


@pytest.mark.parametrize("name", list(BASELINES))
def test_no_model_reads_what_is_not_known_yet(name: str) -> None:
    task = small_task(stride=10)
    found = find_leak(BASELINES[name], task, [1187, 1301])
    frozen = name == "operation ridge"  # sees no label of the test at all
    assert found.endswith("changed nothing at all: the test proves nothing") if frozen else found == ""


@pytest.mark.parametrize("name", list(BASELINES))
def test_every_measured_value_has_a_forecast_and_quantiles_do_not_cross(name: str) -> None:
    task = small_task(stride=10)
    forecast = checked(BASELINES[name](task), task, name)
    assert np.isfinite(forecast[np.isfinite(task.truth)]).all()


def test_intervals_kept_at_their_cover_do_not_read_ahead_either() -> None:
    task = small_task(rows=1240, steps=(1, 6, 24))  # a forecast every row, so that they are
    network = Network(settings={"steps": 30, "context": 48, "width": 16, "heads": 2})
    raw = replace(network, intervals=False)(task)
    assert not np.array_equal(network(task), raw)
    assert np.array_equal(network(task)[..., 1], raw[..., 1]), "the median is left alone"
    assert find_leak(network, task, [1150, 1187]) == ""


def test_a_leak_is_found_and_a_test_that_proves_nothing_is_told() -> None:
    task = small_task(stride=5)

    def peeks(task: Task) -> Floats:
        truth = np.nan_to_num(task.truth)
        return np.repeat(truth[..., None], 3, axis=-1)

    assert "changed the forecast issued at origin 11" in find_leak(peeks, task, [1150])
    assert "proves nothing" in find_leak(lambda task: np.zeros(task.shape()), task, [1150])


def test_the_task_refuses_origins_that_were_learnt_from() -> None:
    task = small_task()
    with pytest.raises(ValueError, match="lies in the 1100 rows"):
        Task("x", task.history, TAGS, "k", 800, 300, np.array([1099]), (1,))
    with pytest.raises(ValueError, match=r"with 0\.5"):
        Task("x", task.history, TAGS, "k", 800, 300, np.array([1100]), (1,), (0.1, 0.9))
    with pytest.raises(ValueError, match="row numbers"):
        Task("x", task.history, TAGS, "k", 800, 300, np.array([5000]), (1,))
    with pytest.raises(ValueError, match="cross"):
        checked(np.flip(np.arange(3.0)) * np.ones(task.shape()), task, "x")
    with pytest.raises(ValueError, match="expected"):
        checked(np.zeros((1, 1, 1, 1)), task, "x")


def test_validation_is_the_task_one_part_earlier() -> None:
    before = small_task().on_validation()
    assert (before.train_rows, before.fit_rows, len(before.history)) == (800, 800, 1100)
    assert before.origins[0] == 800 and before.origins[-1] + max(before.steps) - 1 == 1099


# ---- scores ---------------------------------------------------------------------------------------------


def test_scaled_scores_are_those_of_fev() -> None:
    """Written out once more, loop by loop, as autogluon/fev's metrics do it for one item."""
    rng = np.random.default_rng(0)
    values = rng.normal(10, 3, (300, 2)).cumsum(axis=0)
    values[rng.random(values.shape) < 0.1] = np.nan
    origins, levels = np.array([200, 248]), (0.1, 0.5, 0.9)
    truth = np.stack([values[k : k + 48] for k in origins])
    forecast = np.sort(rng.normal(values[200, 0], 30, (2, 48, 2, 3)), axis=-1)
    sql, mase = [], []
    for i, k in enumerate(origins):
        per_target, points = [], []
        for d in range(2):
            past = values[:k, d]
            scale = np.nanmean(np.abs(past[24:] - past[:-24]))
            y, q = truth[i, :, d], forecast[i, :, d]
            loss = [2 * np.abs((y - q[:, j]) * ((y <= q[:, j]) - level)) for j, level in enumerate(levels)]
            per_target.append(np.nanmean(np.mean(loss, axis=0)[np.isfinite(y)] / scale))
            points.append(np.nanmean(np.abs(y - q[:, 1])) / scale)
        sql.append(np.mean(per_target))
        mase.append(np.mean(points))
    got = scores.scaled_scores(truth, forecast, levels, values, origins, 24)
    assert got == pytest.approx((np.mean(sql), np.mean(mase)), rel=1e-12)
    point = np.repeat(forecast[..., 1:2], 3, axis=-1)
    assert scores.scaled_scores(truth, point, levels, values, origins, 24)[0] == pytest.approx(np.mean(mase))


def test_coverage_overall_and_in_any_window() -> None:
    y = np.zeros(1000)
    high = np.where(np.arange(1000) < 200, -1.0, 1.0)
    c = scores.coverage(y, np.full(1000, -2.0), high, window=100)
    assert (c.share, c.least, c.largest) == (0.8, 0.0, 1.0)
    assert c.width == pytest.approx(0.2 * 1 + 0.8 * 3)
    assert np.isnan(scores.coverage(np.full(3, np.nan), y[:3], y[:3]).share)


def test_right_probabilities_wander_the_more_the_longer_their_errors_hang_together() -> None:
    alone, day = (gt_cover.by_chance(lead, rows=3000, trials=20) for lead in (1, 24))
    assert ((alone[:, 0] < 0.8) & (alone[:, 1] > 0.8)).all()
    assert np.median(alone, axis=0) == pytest.approx([0.76, 0.84], abs=0.015)
    assert np.median(day[:, 0]) < 0.70
    assert np.median(day[:, 1]) > 0.88
    whole = gt_cover.by_chance(24, rows=500, trials=200)  # one window: least and greatest are its cover
    assert whole[:, 0].mean() == pytest.approx(0.8, abs=0.05)


def test_exceedance_of_normal_quantiles_is_the_normal_tail() -> None:
    from scipy.stats import norm

    levels = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    quantiles = np.broadcast_to(norm.ppf(levels), (1, 7))
    for limit in (-1.0, 0.0, 0.5, 1.2):
        assert scores.exceedance(quantiles, levels, limit)[0] == pytest.approx(norm.sf(limit), abs=0.02)
    beyond = [scores.exceedance(quantiles, levels, x)[0] for x in (1.7, 2.0, 3.0)]
    assert beyond == sorted(beyond, reverse=True) and 0 < beyond[-1] < beyond[0] < 0.05
    assert scores.exceedance(quantiles, levels, -4.0)[0] > 0.99
    assert np.isnan(scores.exceedance(np.full((1, 7), np.nan), levels, 0.0)[0])


def test_brier_and_hits_at_equal_false_alarms() -> None:
    event = np.array([1.0, 1.0, 0.0, 0.0, 0.0, np.nan])
    assert scores.brier(event, np.array([1.0, 0.5, 0.0, 0.0, 0.0, 0.3])) == pytest.approx(0.05)
    assert scores.hit_rate(event, np.array([0.9, 0.8, 0.1, 0.2, 0.3, 1.0])) == 1.0
    assert scores.hit_rate(event, np.array([0.9, 0.1, 0.2, 0.3, 0.4, 1.0]), 0.05) == pytest.approx(0.5)
    same = np.full(6, 0.2)  # says nothing: as good as drawing lots
    assert scores.hit_rate(event, same, 0.05) == pytest.approx(0.05)
    assert np.isnan(scores.hit_rate(np.zeros(3), np.zeros(3)))


def test_hits_are_those_of_each_threshold_tried_by_itself() -> None:
    rng = np.random.default_rng(3)
    event = (rng.random(300) < 0.1).astype(float)
    p = np.round(0.3 * event + rng.random(300), 2)  # with ties
    thresholds = np.unique(p)[::-1]
    hits = [0.0] + [float((p[event == 1] >= x).mean()) for x in thresholds]
    alarms = [0.0] + [float((p[event == 0] >= x).mean()) for x in thresholds]
    for share in (0.0, 0.02, 0.05, 0.3):
        assert scores.hit_rate(event, p, share) == pytest.approx(np.interp(share, alarms, hits))


def test_a_difference_of_hits_is_sure_only_where_events_are_many() -> None:
    rng = np.random.default_rng(1)
    event = (rng.random(4000) < 0.1).astype(float)
    sharp, blunt = event + 0.3 * rng.normal(size=4000), event + 0.7 * rng.normal(size=4000)
    low, high = scores.hit_rate_difference(event, sharp, blunt, draws=100)
    assert 0.1 < low < scores.hit_rate(event, sharp) - scores.hit_rate(event, blunt) < high
    other = event + 0.3 * rng.normal(size=4000)
    few = np.where(np.arange(4000) < 400, event, 0.0)
    low, high = scores.hit_rate_difference(few, sharp, other, draws=100)
    assert low < 0 < high
    assert scores.hit_rate_difference(event, sharp, sharp, draws=20) == (0.0, 0.0)
    assert np.isnan(scores.hit_rate_difference(np.zeros(400), sharp[:400], blunt[:400], draws=5)).all()


def test_rows_of_exceedances_tell_how_sure_the_difference_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMISOPT_BENCH_CACHE", str(tmp_path))
    task = small_task(steps=(24,), rows=1500)
    task = replace(task, levels=(0.1, 0.5, 0.9))
    rng = np.random.default_rng(0)
    truth = np.where(np.isfinite(task.truth), task.truth, 0.0)
    near, far = (truth[..., None] + s * rng.normal(size=(*truth.shape, 1)) + [-s, 0, s] for s in (0.5, 5.0))
    table = tables.run(
        task, {"last value": LastValue()}, {"ours": lambda t, seed: near, "other": lambda t, seed: far},
        gas_turbine.score, 1,
    )  # fmt: skip
    by_lot = {"by lot": rng.random((len(truth), 2))}
    brier, hits = gas_turbine.exceedance_rows(table, by_lot, "nox", "nox")
    assert (brier.metric, hits.metric) == ("brier", "hit_rate")
    assert hits.ours > hits.peer
    event = gas_turbine.events(task)[:, 0]
    assert np.nansum(event) > 0
    assert f"{int(np.nansum(event))} events; over years of weeks drawn at random 90 %" in hits.note
    assert "other" in hits.note
    assert "hit rate" not in brier.note


def test_relative_accuracy_of_nine_rows_by_hand() -> None:
    y = np.full(18, 50.0)
    p = y + np.tile([1.0, -1.0, 2.0, 0.0, 1.0, -2.0, 3.0, 0.0, 5.0], 2)
    d = p[:9] - y[:9]
    by_hand = (abs(d.mean()) + 2.3060041350333704 * d.std(ddof=1) / 3) / 50.0
    assert scores.relative_accuracy(y, p) == pytest.approx([by_hand, by_hand])
    y[3] = np.nan
    assert np.isnan(scores.relative_accuracy(y, p)[0])


def test_the_noise_of_analyses_is_found_beneath_what_moves_evenly() -> None:
    rng = np.random.default_rng(0)
    shown = np.arange(1400) // 5  # an analysis stands for five rows
    noise = rng.normal(size=(280, 2)) * [0.5, 2.0]
    values = 30 + 0.2 * shown[:, None] + noise[shown]
    history = pd.DataFrame({"load": 1.0, "inlet": 2.0, "nox": values[:, 0], "dust": values[:, 1]})
    history.index = pd.date_range("2020-01-01", periods=1400, freq="h", tz="UTC", name="time")
    task = Task("noise", history, TAGS, "key", 200, 100, np.arange(300, 1390), (5,))
    assert analysis_noise(task) == pytest.approx([0.5, 2.0], rel=0.1)


def test_diebold_mariano_has_its_size_under_autocorrelation() -> None:
    """Equal forecasts six rows ahead: errors that overlap. About 5 % of tests may say p < 0.05."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(300):
        noise = rng.normal(size=(2, 405))
        a, b = (np.convolve(n, np.ones(6), "valid") for n in noise)
        false += scores.diebold_mariano(np.abs(a), np.abs(b), lag=5).p < 0.05
    assert false <= 27
    a, b = np.abs(rng.normal(size=400)), np.abs(rng.normal(size=400)) + 0.5
    better = scores.diebold_mariano(a, b, lag=0)
    assert better.statistic < -3 and better.p < 1e-3
    assert np.isnan(scores.diebold_mariano(a[:4], b[:4], lag=3).p)


# ---- baselines ------------------------------------------------------------------------------------------


def test_climatology_is_the_quantile_of_the_same_hour_on_the_same_kind_of_day() -> None:
    task = small_task()
    slots = SlotQuantiles(task, (0.1, 0.5, 0.9))
    origin, h = 1100, 30
    target = task.history.index[0] + pd.Timedelta(hours=origin + h - 1)
    past = task.history.iloc[:origin]
    newest = target - pd.Timedelta(days=2)
    days = [newest - pd.Timedelta(days=j) for j in range(28)]
    kind = [d for d in days if (d.weekday() >= 5) == (target.weekday() >= 5)]
    expected = np.nanquantile(past.loc[kind, ["nox", "dust"]], (0.1, 0.5, 0.9), axis=0).T
    assert slots(np.array([origin]), h)[0] == pytest.approx(expected)


def test_the_seasonal_naive_repeats_the_last_day() -> None:
    task = small_task(stride=24, steps=tuple(range(1, 49)))
    point = SeasonalNaive().point(task)(task.origins[:1])[0, :, 0]
    day = task.values[task.origins[0] - 24 : task.origins[0], 0]
    assert point == pytest.approx(np.concatenate([day, day]))


def test_tracked_errors_count_when_their_label_is_in() -> None:
    error = np.zeros((20, 1))
    error[5] = 1.0
    level = track(error, 3, 2.0)
    assert (level[:8] == 0).all() and level[8, 0] == pytest.approx(1 - 0.5**0.5)
    residual = np.random.default_rng(0).normal(size=(300, 1, 1))
    forecast = spread_levels(np.zeros((300, 1, 1)), residual, (1,), np.array([250, 251]), (0.1, 0.5, 0.9))
    assert forecast[0, 0, 0] == pytest.approx(np.quantile(residual[:250], [0.1, 0.5, 0.9]) * [1, 0, 1])


def test_the_cache_gives_what_was_computed_and_knows_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMISOPT_BENCH_CACHE", str(tmp_path))
    task, calls = small_task(stride=50), []

    class Counting(LastValue):
        def __call__(self, task: Task) -> Floats:
            calls.append(task.name)
            return super().__call__(task)

    first, _ = cached.forecast("last value", Counting(), task)
    again, _ = cached.forecast("last value", Counting(), task)
    assert len(calls) == 1 and np.array_equal(first, again)
    other = Task("small", task.history, TAGS, "other bytes", 800, 300, task.origins, task.steps)
    cached.forecast("last value", Counting(), other)
    assert len(calls) == 2


def test_a_table_holds_all_models_and_rows_say_who_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMISOPT_BENCH_CACHE", str(tmp_path))
    task = small_task(stride=50)
    baselines = {"last value": LastValue(), "climatology": Climatology()}
    table = tables.run(task, baselines, {"random": lambda t, seed: LastValue()(t) + seed}, _mae, seeds=3)
    row = table.row("small", "mae", "mae")
    assert row.peer_name in ("last_value", "climatology") and ("±" in row.note)
    assert row.ours == pytest.approx(np.mean([_mae(task, LastValue()(task) + s)["mae"] for s in range(3)]))
    assert (tmp_path / "small.txt").read_text().startswith("small\n")
    with pytest.raises(ValueError, match="without a forecast"):
        tables.run(task, {}, {"gap": lambda t, seed: np.full(t.shape(), np.nan)}, _mae, seeds=1)


def _mae(task: Task, forecast: Floats) -> Mapping[str, float]:
    return {"mae": float(scores.mae(task.truth, forecast[..., task.median]).mean())}


def test_quoted_figures_are_marked_as_such() -> None:
    assert all(name.endswith("-quoted") for peers in windows.QUOTED.values() for name in peers)


# ---- what is kept, what is taught ------------------------------------------------------------------------


def _result(rise: float, new: float) -> forgetting.Result:
    before = np.array([0.5, 2.0])
    return forgetting.Result(np.full((200, 2), new), before + rise, before)


def test_forgetting_is_a_share_of_what_plain_fine_tuning_forgets() -> None:
    sd = np.array([1.0, 1.0])
    results = {
        "ours": [_result(0.02, 1.0), _result(0.04, 1.0)],
        "plain": [_result(0.28, 1.1), _result(0.32, 1.1)],
        "frozen": [_result(0.0, 1.2)] * 2,
    }
    share, rise, error, *by_output = forgetting.report(("CO", "NOX"), sd, results, "")
    assert (share.case, share.metric) == ("forgetting", "share")
    assert share.ours == pytest.approx(0.1) and "10.6 sd, so it counts" in share.note
    assert rise.ours == pytest.approx(0.03) and rise.peer == pytest.approx(0.3)
    assert error.ours == pytest.approx(1.0) and error.peer == pytest.approx(1.1)
    assert [row.case for row in by_output] == ["forgetting-co", "forgetting-nox"]


def test_an_anchor_that_forgets_no_more_than_noise_says_so() -> None:
    sd = np.array([1.0, 1.0])
    noisy = {
        "ours": [_result(0.0, 1.0)] * 2,
        "plain": [_result(-0.1, 1.0), _result(0.3, 1.0)],
        "frozen": [_result(0.0, 1.0)] * 2,
    }
    assert "does NOT exceed two sd" in forgetting.report(("CO", "NOX"), sd, noisy, "")[0].note
    one = {name: each[:1] for name, each in noisy.items()}
    assert "one seed" in forgetting.report(("CO", "NOX"), sd, one, "")[0].note


def test_a_student_is_scored_by_the_share_of_the_gap_that_it_closes() -> None:
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.normal(size=300)

    def of(level: float) -> distill.Losses:
        return distill.Losses(level + noise + 0.001 * rng.normal(size=300), np.array([level, level]))

    share, loss = distill.report(("CO", "NOX"), of(0.8), [of(1.0), of(1.1)], [of(0.9), of(0.9)])
    assert (share.case, share.metric) == ("distill", "share")
    assert share.ours == pytest.approx((0.5 + 2 / 3) / 2, abs=0.01) and "so it counts" in share.note
    assert loss.ours == pytest.approx(0.9, abs=0.01) and loss.peer == pytest.approx(1.05, abs=0.01)
    worse = distill.report(("CO", "NOX"), of(1.2), [of(1.0)], [of(1.0)])[0]
    assert "does NOT count" in worse.note
