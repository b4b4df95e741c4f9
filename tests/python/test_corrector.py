"""The corrector's face: labels when they are due, forecasts as tables, a replay that never peeks, files."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emisopt import Corrector, FileError, InputError, ShapeError, blend_weights, plants
from emisopt.history import to_history
from emisopt.tags import Tag, TagMap


@cache
def boiler() -> tuple[pd.DataFrame, TagMap]:
    return plants.Boiler(seed=3).simulate_history(days=4)


def small(**settings: object) -> Corrector:
    return Corrector(**{"window": 80, "waves": 20, "horizon": 6, **settings})  # type: ignore[arg-type]


def fitted(rows: int = 700, **settings: object) -> Corrector:
    history, tags = boiler()
    return small(**settings).fit(history, tags=tags, train_rows=rows)


# ---- labels ---------------------------------------------------------------------------------------------


def test_update_takes_what_is_due_and_nothing_twice() -> None:
    history, _ = boiler()
    c = fitted(delay=24)
    assert c.update(history.iloc[:710]) == 10  # rows 676..685
    assert c.update(history.iloc[:710]) == 0
    assert c.update(history.iloc[:711]) == 1


def test_a_label_that_comes_too_early_is_refused() -> None:
    history, _ = boiler()
    c = fitted(delay=24)
    with pytest.raises(InputError, match=r"comes too early: expected row .* \(labels are 24 rows late\)"):
        c.observe(history.iloc[:710], 686)
    assert c.observe(history.iloc[:710], 685)
    with pytest.raises(InputError, match="expected a row of the history"):
        c.observe(history.iloc[:710], 710)


def test_a_late_laboratory_value_counts_when_it_comes() -> None:
    history, tags = boiler()
    gappy = history.copy()
    outputs = list(tags.outputs)
    gappy.iloc[690:695, [gappy.columns.get_loc(n) for n in outputs]] = np.nan
    c, prompt = fitted(690), fitted(690)
    c.update(gappy.iloc[:700])
    prompt.update(history.iloc[:700])
    before = c.predict(gappy.iloc[:700])
    for row in range(690, 695):
        assert not c.observe(gappy.iloc[:700], row)
        assert c.observe(history.iloc[:700], row)
    after, right = c.predict(history.iloc[:700]), prompt.predict(history.iloc[:700])
    assert not np.allclose(before, after)
    # The order of arrival changes rounding, and how wide intervals and bounds have become by then.
    assert np.allclose(after.xs(0.5, axis=1, level=1), right.xs(0.5, axis=1, level=1), rtol=0.02)


@pytest.mark.parametrize("delay", [0, 24, 168])
@pytest.mark.parametrize("method", ["gp", "rls"])
def test_noise_after_a_cut_changes_nothing_issued_before(method: str, delay: int) -> None:
    history, tags = boiler()
    c = fitted(method=method, delay=delay)
    clean = c.replay(history, 700, leads=(1, 4))
    rng = np.random.default_rng(delay)
    for cut in sorted(rng.integers(705, len(history) - 10, 10)):
        noisy = history.copy()
        first = max(0, cut - delay)  # these labels are measured, but have not arrived
        for name in tags.outputs:
            noisy.iloc[first:, noisy.columns.get_loc(name)] = 1 + 300 * rng.random(len(history) - first)
        for name in tags.disturbances:
            if not tags[name].known_ahead and tags[name].kind != "categorical":
                noisy.iloc[cut:, noisy.columns.get_loc(name)] *= 1 + rng.random(len(history) - cut)
        again = fitted_on(noisy, method=method, delay=delay).replay(noisy, 700, leads=(1, 4))
        assert np.array_equal(clean[: cut - 700 + 1], again[: cut - 700 + 1], equal_nan=True)
        assert not np.array_equal(clean, again, equal_nan=True)


def fitted_on(history: pd.DataFrame, **settings: object) -> Corrector:
    return small(**settings).fit(history, tags=boiler()[1], train_rows=700)


# ---- forecasts ------------------------------------------------------------------------------------------


def test_predict_is_a_table_of_rising_quantiles_in_units() -> None:
    history, tags = boiler()
    c = fitted()
    c.update(history)
    forecast = c.predict(history)
    assert forecast.shape == (6, len(tags.outputs) * 7)
    assert forecast.index[0] == history.index[-1] + pd.Timedelta(seconds=tags.period)
    for output in tags.outputs:
        values = forecast[output].to_numpy()
        assert (np.diff(values, axis=1) > 0).all()
        low, high = history[output].quantile([0.0, 1.0])
        assert (values[:, 3] > low - (high - low)).all() and (values[:, 3] < high + (high - low)).all()


def test_without_a_plan_setpoints_are_held() -> None:
    history, tags = boiler()
    c = fitted()
    held = pd.DataFrame([history[list(tags.setpoints)].iloc[-1]] * 6)
    assert np.array_equal(c.predict(history), c.predict(history, plan=held))


def test_the_jacobian_is_that_of_finite_differences() -> None:
    history, tags = boiler()
    c = fitted(lags=(0, 1))
    plan = np.tile(history[list(tags.setpoints)].iloc[-1].to_numpy(dtype=float), (4, 1))
    slopes = c.jacobian(history, plan)
    assert slopes.values.shape == (4, len(tags.outputs), 4, len(tags.setpoints))

    def median(p: np.ndarray) -> np.ndarray:
        return c.predict(history, plan=p).xs(0.5, axis=1, level="quantile").to_numpy()

    for s, u in ((0, 0), (2, 1)):
        tag = tags[tags.setpoints[u]]
        step = 1e-4 * float(np.ptp(history[tag.name]))
        up, down = plan.copy(), plan.copy()
        up[s, u] += step
        down[s, u] -= step
        numeric = (median(up) - median(down)) / (2 * step)
        scale = np.abs(slopes.values[:, :, s, u]).max() + 1e-12
        assert np.abs(slopes.values[:, :, s, u] - numeric).max() < 1e-4 * scale
        assert (slopes.values[:s, :, s, u] == 0).all()


def test_replay_leaves_the_corrector_as_it_was() -> None:
    history, _ = boiler()
    c = fitted()
    first = c.replay(history, 700, 760, leads=(1, 6), stride=3, quantiles=(0.1, 0.5, 0.9))
    assert first.shape == (20, 2, len(c.outputs_), 3)
    assert np.array_equal(first, c.replay(history, 700, 760, leads=(1, 6), stride=3))
    tail = c.replay(history, len(history) - 2, leads=(1, 6))
    assert np.isnan(tail[:, 1]).all() and np.isfinite(tail[:, 0]).all()


def test_it_beats_the_last_value_on_a_plant_whose_operation_moves() -> None:
    history, tags = boiler()
    c = Corrector(waves=50).fit(history, tags=tags, train_rows=700)
    came = history[list(tags.outputs)].to_numpy()[700 + 11 :]
    medians = c.replay(history, 700, leads=(12,), quantiles=(0.5,))[: len(came), 0, :, 0]
    last = history[list(tags.outputs)].ffill().to_numpy()[699 : 699 + len(came)]
    assert np.nanmean(np.abs(medians - came)[:, 0]) < np.nanmean(np.abs(last - came)[:, 0])


def test_the_column_for_a_network_rests_on_labels_that_were_in() -> None:
    history, tags = boiler()
    c = fitted(delay=3)
    column = c.under(history, lead=2)
    assert list(column.columns) == [f"{n} corrector" for n in tags.outputs]
    assert column.iloc[: 20 + 3 + 1].isna().all().all() and column.iloc[30:].notna().all().all()
    noisy = history.copy()
    noisy.iloc[500:, [noisy.columns.get_loc(n) for n in tags.outputs]] = 77.0
    changed = c.under(noisy, lead=2)  # label of row 500 counts for rows >= 500 + 1 + 3 + 1
    same = (column.to_numpy() == changed.to_numpy()).all(axis=1)
    assert same[30:505].all() and not same[505]


# ---- files, copies, parameters --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gp", "rls"])
def test_a_loaded_and_a_pickled_one_go_on_with_the_same_bits(tmp_path: Path, method: str) -> None:
    history, _ = boiler()
    c = fitted(method=method, ridge=3.0)
    c.update(history.iloc[:800])
    c.save(tmp_path / "c.safetensors")
    loaded = Corrector.load(tmp_path / "c.safetensors", horizon=6)
    copied = pickle.loads(pickle.dumps(c))
    expected = c.replay(history, 800, 850)
    assert np.array_equal(expected, loaded.replay(history, 800, 850))
    assert np.array_equal(expected, copied.replay(history, 800, 850))
    ours, theirs = c.get_params(), loaded.get_params()
    assert {n: tuple(v) if isinstance(v, list) else v for n, v in theirs.items() if n != "kernel"} == {
        n: v for n, v in ours.items() if n != "kernel"
    }
    assert clone(loaded).get_params()["ridge"] == 3.0


def weeks_of_traffic(days: int = 60) -> tuple[pd.DataFrame, TagMap]:
    """Hourly; people drive at eight and eighteen local time, two hours ahead of stamps, on working days."""
    rng = np.random.default_rng(5)
    time = pd.date_range("2024-01-01", periods=24 * days, freq="h", tz="UTC", name="time")
    local = time + pd.Timedelta(hours=2)
    rush = np.exp(-((local.hour - 8) ** 2) / 4) + np.exp(-((local.hour - 18) ** 2) / 4)
    no2 = np.exp(3 + np.where(local.day_of_week < 5, 1.2, 0.2) * rush + 0.1 * rng.standard_normal(len(time)))
    tags = TagMap((Tag("no2", "ug/m3", "emission"),), period=3600.0)
    return pd.DataFrame({"no2": no2}, index=time), tags


def test_the_seasonal_corrector_knows_working_days_from_weekends(tmp_path: Path) -> None:
    history, tags = weeks_of_traffic()
    rows = 24 * 53  # the week after it is forecast, from Friday on
    truth = history["no2"].to_numpy()[rows : rows + 168]

    def error(c: Corrector) -> float:
        c.fit(history, tags=tags, train_rows=rows)
        c.update(history.iloc[:rows])
        kept[0] = c.predict(history.iloc[:rows], known=np.zeros((168, 0)))["no2", 0.5].to_numpy()
        return float(np.abs(kept[0] - truth).mean())

    kept = [np.empty(0)]
    alike = {"patterns": ((0.6, 125.0, 0.0, 0.7, 1.0),)}
    seasonal = Corrector.seasonal(tags.period, utc_offset=2.0)
    right = error(seasonal)
    forecast = kept[0]
    assert right < 0.6 * error(Corrector.seasonal(tags.period, utc_offset=2.0, **alike))
    assert right < 0.8 * error(Corrector.seasonal(tags.period, utc_offset=-10.0))
    assert right < 0.1 * np.median(truth) * 1.5
    seasonal.save(tmp_path / "seasonal")
    loaded = Corrector.load(tmp_path / "seasonal", horizon=168)
    assert np.array_equal(loaded.patterns, seasonal.patterns) and loaded.utc_offset == 2.0
    again = loaded.predict(history.iloc[:rows], known=np.zeros((168, 0)))["no2", 0.5].to_numpy()
    assert np.array_equal(again, forecast)


def test_bad_files_and_states_are_named(tmp_path: Path) -> None:
    history, _ = boiler()
    with pytest.raises(FileError):
        Corrector.load(tmp_path / "none.safetensors")
    with pytest.raises(NotFittedError):
        Corrector().predict(history)
    with pytest.raises(NotFittedError):
        Corrector().save(tmp_path / "c")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "magic"}, "expected 'gp' or 'rls', got 'magic'"),
        ({"delay": -1}, "CorrectorConfig.delay: expected 0 rows or more, got -1"),
        ({"window": 1}, "window: expected 2..5000 labels"),
        ({"kernel": ()}, "at least one term"),
        ({"kernel": ((0.1, -5.0, 0.0),)}, "term 0: time: expected rows > 0, got -5"),
        ({"daily": (0.1, 20.0, 0.0, 0.0)}, "ripple"),
        ({"patterns": ((0.1, 20.0, 0.0, 0.5, 2.0),)}, "term 0: weekend: expected 0..1, got 2"),
        ({"utc_offset": 15.0}, "utc_offset: expected hours, -14..14, got 15"),
        ({"noise": 0.0}, "noise: expected a variance > 0"),
        ({"spike": 0.0}, "spike"),
        ({"forgetting": 1.5}, "forgetting"),
        ({"prior": 0.0}, "prior"),
        ({"ridge": 0.0}, "ridge"),
        ({"waves": -1}, "waves"),
        ({"wave_length": 0.0}, "wave_length"),
        ({"lags": ()}, r"Corrector\(lags\)"),
        ({"horizon": 0}, r"Corrector\(horizon\): expected rows >= 1, got 0"),
        ({"quantiles": (0.9, 0.1)}, "rising levels between 0 and 1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(wrong: dict[str, object], message: str) -> None:
    history, tags = boiler()
    with pytest.raises(InputError, match=message) as caught:
        small(**wrong).fit(history, tags=tags)
    assert "\n" not in str(caught.value)


def test_bad_plans_rows_and_leads_are_refused() -> None:
    history, tags = boiler()
    c = fitted()
    with pytest.raises(ShapeError, match="plan: expected"):
        c.predict(history, plan=np.zeros((6, 99)))
    with pytest.raises(InputError, match="leads"):
        c.replay(history, 700, leads=(0,))
    with pytest.raises(InputError, match="begin <= end"):
        c.replay(history, 900, 800)
    with pytest.raises(InputError, match="lead"):
        c.under(history, lead=0)
    with pytest.raises(InputError, match="training rows"):
        small().fit(history, tags=tags, train_rows=len(history) + 1)


# ---- blend ----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(0, 2**31))
def test_a_blend_is_no_worse_than_its_parts(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=200)
    parts = [truth + rng.normal(rng.normal(), 0.1 + rng.random(), 200) for _ in range(k)]
    w = blend_weights(truth, parts)
    assert w.shape == (k,) and (w >= 0).all() and w.sum() == pytest.approx(1)
    blend = np.abs(w @ np.array(parts) - truth).mean()
    assert blend <= min(np.abs(p - truth).mean() for p in parts) + 1e-12


def test_two_opposite_errors_cancel() -> None:
    truth = np.linspace(0, 1, 100)
    noise = np.random.default_rng(0).normal(size=100)
    w = blend_weights(truth, [truth + noise, truth - noise])
    assert w == pytest.approx([0.5, 0.5], abs=0.02)
    with pytest.raises(InputError, match="rows where truth"):
        blend_weights([np.nan], [[1.0]])
    with pytest.raises(InputError, match="K forecasts"):
        blend_weights([1.0, 2.0], [[1.0]])


def test_targets_that_cannot_be_learnt_are_refused() -> None:
    history, tags = boiler()
    for value, message in ((np.nan, "'nox' has no value in any of 700 rows"), (80.0, "'nox' is constant")):
        spoilt = history.iloc[:700].copy()
        spoilt["nox"] = value
        with pytest.raises(InputError, match=message):
            small().fit(spoilt, tags=tags)
    other = TagMap(tuple(t for t in tags if t.name != "co"), plant=tags.plant, period=tags.period)
    with pytest.raises(InputError, match="tags of fit"):
        fitted().core_.catch_up(to_history(history, other), 700)
