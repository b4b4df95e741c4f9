"""emisopt.backtest: scores that can be recomputed, the same origins for all, no leak, bad arguments."""

import numpy as np
import pytest

from emisopt import metrics
from emisopt.backtest import backtest

FAST = {"interval": "residual", "iterations": 8}
SIZES = {
    "train_rows": 2000,
    "validation_rows": 300,
    "horizons": (1, 6),
    "stride": 7,
    "fit_stride": 3,
    "boosting": FAST,
}


@pytest.fixture(scope="module")
def result(small_forecaster, boiler_history):
    return backtest(small_forecaster, boiler_history[0], **SIZES)


def test_every_model_is_scored_on_the_same_origins_in_both_settings(result, boiler_history):
    tags = boiler_history[1]
    models = {"emisopt", "last value", "seasonal naive", "ridge", "boosting", "boosting + tracking"}
    assert set(result.scores.index.get_level_values("model")) == models
    assert len(result.scores) == len(tags.outputs) * 2 * 2 * len(models)
    assert result.origins.min() >= 2300
    for output in tags.outputs:
        rows = result.scores.xs((output, 1), level=("output", "horizon"))["rows"]
        assert rows.nunique() == 1


def test_scores_follow_from_the_forecasts(result):
    forecast = result.forecasts["known", "emisopt"]
    for o, output in enumerate(result.outputs):
        row = result.scores.loc[(output, 6, "known", "emisopt")]
        assert row["mae"] == metrics.mae(result.truth[:, 1, o], forecast[:, 1, o, 1])
        low, high = forecast[:, 1, o, 0], forecast[:, 1, o, 2]
        assert row["coverage"] == metrics.coverage(result.truth[:, 1, o], low, high)


def test_the_truth_is_the_measured_row(result, boiler_history):
    history, tags = boiler_history
    column = history["co2"].to_numpy()
    np.testing.assert_array_equal(result.truth[:, 1, tags.outputs.index("co2")], column[result.origins + 5])


def test_backtest_forecasts_are_those_of_predict(result, small_forecaster, boiler_history):
    history, tags = boiler_history
    k = int(result.origins[3])
    ahead = history.iloc[k : k + 12]
    known = ahead[[n for n in tags.disturbances if tags[n].known_ahead]]
    forecast = small_forecaster.predict(history.iloc[:k], ahead[tags.setpoints], known)
    ours = result.forecasts["known", "emisopt"][3, 1]  # horizon 6, (O, 3)
    np.testing.assert_array_equal(ours[:, 1], forecast.xs(0.5, axis=1, level="quantile").iloc[5])
    unknown = small_forecaster.predict(history.iloc[:k])
    np.testing.assert_array_equal(
        result.forecasts["unknown", "emisopt"][3, 1][:, 1], unknown.xs(0.5, axis=1, level="quantile").iloc[5]
    )


@pytest.mark.parametrize("cut", [2450, 2700])
def test_no_forecast_sees_rows_after_its_origin(result, small_forecaster, boiler_history, cut):
    history, tags = boiler_history
    noisy = history.copy()
    columns = [*tags.outputs, "o2", "t_fe", "nox_in"]  # future operation is an input in the setting "known"
    scale = np.random.default_rng(cut).uniform(0.9, 1.1, (len(history) - cut, len(columns)))
    noisy.loc[noisy.index[cut:], columns] = history[columns].iloc[cut:].to_numpy() * scale
    again = backtest(small_forecaster, noisy, **SIZES)
    early = np.isin(result.origins, again.origins) & (result.origins <= cut)
    kept = np.isin(again.origins, result.origins[early])
    for key, forecast in result.forecasts.items():
        np.testing.assert_array_equal(again.forecasts[key][kept], forecast[early], err_msg=str(key))


def test_tables_have_a_row_per_output_and_horizon(result):
    table = result.table("rmse", "unknown")
    assert next(iter(table.columns)) == "emisopt"
    assert table.shape == (12, 6)
    best = result.best_baseline()
    assert (best["model"] != "emisopt").all()
    others = result.table("mae", "known").drop(columns="emisopt").min(axis=1)
    np.testing.assert_allclose(best.xs("known", level="operation")["mae"].reindex(others.index), others)


def test_late_labels_are_hidden_from_the_forecaster(small_forecaster, boiler_history):
    history = boiler_history[0]
    few = {**SIZES, "stride": 60, "operations": ("known",), "horizons": (1,)}
    late = backtest(small_forecaster, history, delay=6, **few)
    noisy = history.copy()
    k = int(late.origins[2])
    noisy.iloc[k - 6 : k, noisy.columns.get_loc("nox")] = 150.0
    again = backtest(small_forecaster, noisy, delay=6, **few)
    ours = late.forecasts["known", "emisopt"][2], again.forecasts["known", "emisopt"][2]
    np.testing.assert_array_equal(*ours)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"horizons": (13,)}, "expected 1 to 12 rows, the forecaster's horizon, got 13"),
        ({"operations": ("maybe",)}, "expected known or unknown, got 'maybe'"),
        ({"train_rows": 2880, "validation_rows": 0}, "rows to be left"),
        ({"train_rows": 2850, "validation_rows": 10, "test_rows": 5}, "no window of 24 . 12 unbroken rows"),
    ],
)
def test_bad_arguments_are_named(small_forecaster, boiler_history, change, text):
    with pytest.raises(ValueError, match=text):
        backtest(small_forecaster, boiler_history[0], **{**SIZES, **change})


def test_text_stars_the_best_of_each_row_and_counts_ours(result):
    text = result.text("mae")
    known = result.table("mae", "known")
    line = next(x for x in text.splitlines() if x.startswith("nox, mg/Nm3"))
    assert float(line.split("*")[0].split()[-1]) == pytest.approx(known.loc[("nox", 1)].min(), rel=1e-3)
    wins = (known.idxmin(axis=1) == "emisopt").sum()
    assert f"emisopt is the best in {wins} of 12 lines" in text
    assert "*" not in result.text("coverage")
    r2 = next(x for x in result.text("r2").splitlines() if x.startswith("nox, mg/Nm3"))
    assert float(r2.split("*")[0].split()[-1]) == pytest.approx(
        result.table("r2").loc[("nox", 1)].max(), rel=1e-3
    )


def test_long_stages_say_how_far_they_are(small_forecaster, boiler_history):
    said: list[str] = []
    few = {**SIZES, "stride": 60, "operations": ("known",), "horizons": (1,)}
    backtest(small_forecaster, boiler_history[0], progress=said.append, **few)
    boosting = [text for text in said if text.startswith("boosting")]
    assert boosting[0] == "boosting, operation known"
    assert boosting[1:] == [f"boosting, operation known: {i} of 6" for i in range(1, 7)]


@pytest.mark.parametrize(("metric", "operation"), [("mape", "known"), ("mae", "planned")])
def test_unknown_table_is_refused(result, metric, operation):
    with pytest.raises(ValueError, match="expected"):
        result.table(metric, operation)
