"""Will the running average break its limit? Brier score of our probability against simpler answers.

Case permit-break of the suite `domain`: rows of the boiler (1-h means of 5-min rows) and of the gas turbine
(12-h means of hourly rows) that nothing was fitted on. The limit is the 85 % quantile of the running mean
over the training rows, so that breaks are neither rare nor usual.

    python -m benchmarks.permit_break [--json FILE] [--bins FILE]      prints the reliability diagrams, too
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import harness, machine
from benchmarks.harness import Row, matches
from emisopt import BreakRisk, Forecaster, InputError, Limit, datasets
from emisopt.demo import DAY, forecaster_for_boiler
from emisopt.plants import Boiler

Floats = NDArray[np.float64]
BINS = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
ANSWERS = ("ours", "independence", "persistence")


@dataclass(frozen=True)
class Outcome:
    """Answers and what came, one per window: ours, independence, persistence (probabilities), broke (0/1)."""

    ours: Floats
    independence: Floats
    persistence: Floats
    broke: Floats


def brier(probability: Floats, broke: Floats) -> float:
    return float(np.mean((probability - broke) ** 2))


def reliability(probability: Floats, broke: Floats) -> pd.DataFrame:
    """Per bin of probability: windows, mean probability, share that broke."""
    place = np.clip(np.digitize(probability, BINS) - 1, 0, len(BINS) - 2)
    table = pd.DataFrame({"bin": place, "probability": probability, "broke": broke}).groupby("bin")
    return table.agg(windows=("broke", "size"), probability=("probability", "mean"), broke=("broke", "mean"))


def gap(probability: Floats, broke: Floats) -> float:
    """How far, on the mean over the windows, a bin's probability is from the share that broke."""
    table = reliability(probability, broke)
    return float(np.average(np.abs(table["probability"] - table["broke"]), weights=table["windows"]))


def study(
    forecaster: Forecaster,
    history: pd.DataFrame,
    output: str,
    window: int,
    *,
    train: int,
    calibrate: int,
    known: str,
    stride: int,
) -> Outcome:
    """Windows closing in each coming row, from origins every `stride` rows after train + calibrate rows."""
    y = history[output].reset_index(drop=True)
    mean = y.rolling(window, min_periods=(window + 1) // 2).mean()
    limit = float(mean.iloc[:train].quantile(0.85))
    limits = [Limit(output, limit, window=window)]
    config = forecaster.core_.config
    horizon, context = int(config.horizon), int(config.context)
    held = history.iloc[train - context : train + calibrate]
    models = {
        name: BreakRisk(forecaster, limits, known=known, dependence=name).fit(held)
        for name in ("fitted", "independent")
    }
    tags = forecaster.tags_
    parts: dict[str, list[Floats]] = {"fitted": [], "independent": [], "persistence": [], "broke": []}
    for k in range(train + calibrate, len(history) - horizon, stride):
        past, ahead = history.iloc[k - max(context, window) : k], history.iloc[k : k + horizon]
        came = mean.iloc[k : k + horizon].to_numpy()
        plan = ahead[tags.setpoints] if tags.setpoints and known == "operation" else None
        ahead_known = [n for n in tags.disturbances if tags[n].known_ahead] if known == "operation" else []
        try:
            forecast = forecaster.predict(past, plan, ahead[ahead_known].reset_index(drop=True))
        except InputError:  # a gap, or an output never known in the context: no forecast is issued there
            continue
        got = {
            name: model.assess(past, forecast)["probability"].reindex(forecast.index).to_numpy()
            for name, model in models.items()
        }
        valid = np.isfinite(came) & np.isfinite(got["fitted"])
        for name, probability in got.items():
            parts[name].append(probability[valid])
        level = past[output].dropna().iloc[-1]
        future = pd.concat([past[output].iloc[-window:], pd.Series([level] * horizon)])
        held_mean = future.rolling(window, min_periods=(window + 1) // 2).mean().to_numpy()[-horizon:]
        parts["persistence"].append((held_mean > limit).astype(float)[valid])
        parts["broke"].append((came > limit).astype(float)[valid])
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return Outcome(joined["fitted"], joined["independent"], joined["persistence"], joined["broke"])


def rows_of(case: str, outcome: Outcome, note: str) -> list[Row]:
    ours = brier(outcome.ours, outcome.broke)
    share = outcome.broke.mean()
    note = f"{note}; {len(outcome.broke)} windows, {share:.0%} broke"
    peers = {
        "independence": brier(outcome.independence, outcome.broke),
        "persistence": brier(outcome.persistence, outcome.broke),
        "base_rate": float(share * (1 - share)),
    }
    scores = [Row(case, "brier", ours, score, name, note=note) for name, score in peers.items()]
    gaps = {name: gap(getattr(outcome, name), outcome.broke) for name in ("independence", "persistence")}
    about = "mean |probability - share that broke| over 7 bins"
    own = gap(outcome.ours, outcome.broke)
    return scores + [
        Row(case, "reliability_gap", own, value, name, note=about) for name, value in gaps.items()
    ]


def boiler(quick: bool) -> dict[str, Outcome]:
    days, steps = (60, 400) if quick else (150, 1200)
    history, tags = Boiler(seed=21).simulate_history(days=days)
    held = 10 * DAY
    train = len(history) - 3 * held
    forecaster = forecaster_for_boiler(steps=steps)
    forecaster.fit(history, tags=tags, train_rows=train, validation_rows=held, progress=False)
    return {
        f"boiler-{output}": study(
            forecaster, history, output, 12, train=train, calibrate=held, known="operation",
            stride=24 if quick else 8,
        )
        for output in ("nox", "co")
    }  # fmt: skip


def gas_turbine(quick: bool) -> dict[str, Outcome]:
    """2011-12 for training, 2013 for the errors' dependence, 2014 scored; operation unknown."""
    years = (2011, 2012, 2013, 2014)
    data = datasets.load("gas_turbine", files=[f"gt_{year}.csv" for year in years])
    rows = [len(datasets.load("gas_turbine", files=[f"gt_{year}.csv"]).history) for year in years]
    forecaster = Forecaster(steps=100 if quick else 1000, input_shift=0.6, unknown_plan=0.3)
    forecaster.fit(
        data.history, tags=data.tags.with_known_ahead(), train_rows=rows[0] + rows[1],
        validation_rows=rows[2], progress=False,
    )  # fmt: skip
    return {
        f"gt-{output.lower()}": study(
            forecaster, data.history, output, 12, train=rows[0] + rows[1], calibrate=rows[2], known="nothing",
            stride=60 if quick else 6,
        )
        for output in ("NOX", "CO")
    }  # fmt: skip


PLANTS: dict[str, tuple[tuple[str, ...], Callable[[bool], dict[str, Outcome]]]] = {
    "boiler": (("boiler-nox", "boiler-co"), boiler),
    "gt": (("gt-nox", "gt-co"), gas_turbine),
}
NOTES = {"boiler": "1-h mean of 5-min rows, operation known", "gt": "12-h mean, operation unknown"}
POOLED = "permit-break"


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """A plant is studied if a case of it is wanted, or the one that pools all."""
    pooled = matches(POOLED, cases)
    outcomes: dict[str, Outcome] = {}
    for names, study_plant in PLANTS.values():
        if pooled or any(matches(f"{POOLED}-{name}", cases) for name in names):
            outcomes |= study_plant(quick)
    found = (rows_of_pooled(outcomes) if pooled else []) + rows_of_each(outcomes)
    return [row for row in found if matches(row.case, cases)]


def rows_of_each(outcomes: Mapping[str, Outcome]) -> list[Row]:
    return [
        row
        for name, outcome in outcomes.items()
        for row in rows_of(f"{POOLED}-{name}", outcome, NOTES[name.split("-")[0]])
    ]


def rows_of_pooled(outcomes: Mapping[str, Outcome]) -> list[Row]:
    return rows_of(POOLED, pool(outcomes), "all of them")


def pool(outcomes: Mapping[str, Outcome]) -> Outcome:
    keys = (*ANSWERS, "broke")
    return Outcome(*(np.concatenate([getattr(o, key) for o in outcomes.values()]) for key in keys))


def bins(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """The reliability diagrams, long: by case, answer and bin the windows, mean probability, share that
    broke. A bin without windows has no line."""
    parts = []
    for name, outcome in outcomes.items():
        for answer in ANSWERS:
            table = reliability(getattr(outcome, answer), outcome.broke).reset_index()
            place = table.pop("bin").to_numpy()
            table.insert(0, "above", BINS[place])
            table.insert(1, "to", BINS[place + 1])
            parts.append(table.assign(case=name, answer=answer))
    return pd.concat(parts, ignore_index=True)[
        ["case", "answer", "above", "to", "windows", "probability", "broke"]
    ]


def main() -> None:
    """Prints the diagrams, too, which a row of the suite has no room for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.permit_break")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="put the rows in place in FILE")
    parser.add_argument("--bins", type=Path, metavar="FILE", help="write the diagrams to FILE as CSV")
    options = parser.parse_args()
    outcomes = boiler(options.quick) | gas_turbine(options.quick)
    found = rows_of_pooled(outcomes) + rows_of_each(outcomes)
    diagrams = bins({"all": pool(outcomes), **outcomes})
    print(diagrams.to_string(index=False, float_format="{:.3f}".format))
    for row in found:
        print(harness.result_line("domain", row))
    if options.bins:
        diagrams.round(6).to_csv(options.bins, index=False)
    if options.json:
        write = harness.merge_json if options.json.is_file() else harness.write_json
        write(options.json, machine.describe(), {"domain": found})


if __name__ == "__main__":
    main()
