"""80 % intervals of the gas turbine 1, 6 and 24 rows ahead: cover overall and over any 500 rows, and width.

Cases gt-network-cover-h1, -h6, -h24 of the suite `accuracy`: trained to 2013, learning online through 2014,
labels with their row or 24 rows late (-late24) for learner and corrector alike. The corrector's settings were
chosen on 2012 and 2013, with a forecaster that stays as it was trained ("frozen") or is trained anew every
480 rows ("refitted").

    python -m benchmarks.gt_cover 2014 online    # year, kind: a table with others' correctors
    python -m benchmarks.gt_cover chance         # what exact probabilities would show over any 500 rows
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.conformal_peers import PEERS
from benchmarks.harness import Row
from emisopt import Forecaster, _core, datasets, metrics
from emisopt.history import to_history
from emisopt.monitor import ConformalCorrector
from emisopt.online import run_online

Floats = NDArray[np.float64]
HORIZONS = (1, 6, 24)
REFIT = 480
WINDOW = 500


@dataclass(frozen=True)
class Forecasts:
    """Of one year: fans (n, H, O, Q), what came (n, O); row 0 is the year's first."""

    fans: Floats
    truth: Floats
    outputs: tuple[str, ...]
    levels: tuple[float, ...]


def forecasts(year: int, kind: str, delay: int = 0, steps: int = 1000) -> Forecasts:
    """Trained on 2011 to year - 1, operation known; kind: frozen, refitted or online."""
    years = range(2011, year + 1)
    data = datasets.load("gas_turbine", files=[f"gt_{y}.csv" for y in years])
    tags = data.tags.with_known_ahead()
    begin = len(data.history) - len(datasets.load("gas_turbine", files=[f"gt_{year}.csv"]).history)
    history = to_history(data.history, tags)
    parts = []
    for first in range(begin, history.rows, REFIT if kind == "refitted" else history.rows):
        forecaster = Forecaster(steps=steps, input_shift=0.6, unknown_plan=0.3)
        forecaster.fit(data.history, tags=tags, train_rows=first, progress=False)
        if kind == "online":
            parts.append(run_online(forecaster, data.history, begin, delay=delay).quantiles)
            continue
        origins = np.arange(first, min(history.rows, first + REFIT) if kind == "refitted" else history.rows)
        parts.append(_core.forecast_origins(forecaster.core_, history, origins.tolist(), True, 0, 0))
    place = [tags.names.index(n) for n in forecaster.outputs_]
    levels = tuple(float(q) for q in forecaster.core_.config.quantiles)
    return Forecasts(np.concatenate(parts), history.values[begin:, place], forecaster.outputs_, levels)


def corrected(given: Forecasts, delay: int, **settings: float) -> Floats:
    corrector = ConformalCorrector(delay=delay, **settings)
    return corrector.replay(given.fans, given.truth, outputs=given.outputs, levels=given.levels)


def score(given: Forecasts, fans: Floats, output: int, step: int) -> dict[str, float]:
    """Of the 80 % interval between two columns of levels at one step: cover, least and greatest, width, and
    the interval score (Winkler 1972), which punishes width and misses together."""
    low, high = given.levels.index(0.1), given.levels.index(0.9)
    count = len(given.truth) - step + 1
    truth = given.truth[step - 1 :, output]
    a, b = fans[:count, step - 1, output, low], fans[:count, step - 1, output, high]
    return interval_score(truth, a, b)


def interval_score(truth: Floats, low: Floats, high: Floats) -> dict[str, float]:
    least, greatest = metrics.local_coverage(truth, low, high, WINDOW)
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return {
        "cover": metrics.coverage(truth, low, high),
        "least": least,
        "greatest": greatest,
        "width": metrics.width(low, high),
        "score": float(np.nanmean(high - low + 2 / 0.2 * beyond)),
    }


def peer_score(given: Forecasts, name: str, output: int, step: int, delay: int) -> dict[str, float]:
    places = [given.levels.index(q) for q in (0.1, 0.5, 0.9)]
    count = len(given.truth) - step + 1
    truth = given.truth[step - 1 :, output]
    fan = given.fans[:count, step - 1, output][:, places]
    # The label of origin j is in before origin j + step + delay.
    interval = PEERS[name](fan, truth, step + delay)
    return interval_score(truth, interval[:, 0], interval[:, 1])


def table(given: Forecasts, delay: int) -> pd.DataFrame:
    """(output, step, method) -> cover, least, greatest, width and interval score over the raw fan's."""
    ours = corrected(given, delay)
    rows = {}
    for o, output in enumerate(given.outputs):
        for step in HORIZONS:
            raw = score(given, given.fans, o, step)
            found = {"raw": raw, "emisopt": score(given, ours, o, step)}
            found |= {name: peer_score(given, name, o, step, delay) for name in PEERS}
            for name, values in found.items():
                values = dict(values)
                values["width"] /= raw["width"]
                values["score"] /= raw["score"]
                rows[output, step, name] = values
    return pd.DataFrame(rows).T.rename_axis(["output", "step", "method"])


def rows(quick: bool) -> list[Row]:
    """2014: mean over both outputs in the cases gt-network-cover-h..., each output in its own."""
    out = []
    for delay in (24,) if quick else (0, 24):
        given = forecasts(2014, "online", delay, steps=100 if quick else 1000)
        ours = corrected(given, delay)
        for step in HORIZONS:
            late = f"-late{delay}" if delay else ""
            cells = [
                (score(given, ours, o, step), score(given, given.fans, o, step),
                 peer_score(given, "half-width factors", o, step, delay))
                for o in range(len(given.outputs))
            ]  # fmt: skip
            note = f"trained to 2013, online; labels {delay} rows late"
            means = [np.mean([list(c[i].values()) for c in cells], axis=0) for i in range(3)]
            out += _rows(f"gt-network-cover-h{step}{late}", means, note)
            for output, cell in zip(given.outputs, cells, strict=True):
                values = [np.array(list(c.values())) for c in cell]
                out += _rows(f"gt-network-cover-{output.lower()}-h{step}{late}", values, note)
    return out


def _rows(case: str, found: list[Floats], note: str) -> list[Row]:
    ours, raw, peer = found
    local = f"over any {WINDOW} rows {ours[1]:.3f} to {ours[2]:.3f} (raw {raw[1]:.3f} to {raw[2]:.3f})"
    return [
        Row(case, "cover", ours[0], note=f"goal 0.78 to 0.82; raw {raw[0]:.3f}; {note}"),
        Row(case, "least_cover", ours[1], peer[1], "half-width_factors", better="higher", note=local),
        Row(case, "greatest_cover", ours[2], peer[2], "half-width_factors", note=local),
        Row(case, "width_over_raw", ours[3] / raw[3], peer[3] / raw[3], "half-width_factors", note=note),
        Row(case, "interval_score_over_raw", ours[4] / raw[4], peer[4] / raw[4], "half-width_factors"),
    ]


def by_chance(lead: int, rows: int = 7158, outputs: int = 2, trials: int = 200, seed: int = 0) -> Floats:
    """(trials, 2) least and greatest cover over any 500 rows, the worse of the outputs, of 80 % intervals
    whose probability is exactly right at every row.

    Errors `lead` rows ahead are sums of `lead` independent steps, as those of the best forecast of a random
    walk are; lead 1: misses that have nothing to do with each other.
    """
    rng = np.random.default_rng(seed)
    bound = NormalDist().inv_cdf(0.9)
    out = np.empty((trials, 2))
    for trial in out:
        steps = rng.standard_normal((outputs, rows + lead - 1)).cumsum(axis=1)
        steps = np.concatenate([np.zeros((outputs, 1)), steps], axis=1)
        inside = np.abs(steps[:, lead:] - steps[:, :-lead]) <= bound * np.sqrt(lead)
        each = [metrics.local_coverage(x, np.ones(rows), np.ones(rows), WINDOW) for x in inside]
        trial[:] = min(low for low, _ in each), max(high for _, high in each)
    return out


def chance_table() -> pd.DataFrame:
    """lead -> median of least and of greatest cover, and the share of trials within 0.75 to 0.85."""
    rows = {}
    for lead in HORIZONS:
        low, high = by_chance(lead).T
        rows[lead] = {
            "least": float(np.median(low)),
            "greatest": float(np.median(high)),
            "within": float(((low >= 0.75) & (high <= 0.85)).mean()),
        }
    return pd.DataFrame(rows).T.rename_axis("lead")


if __name__ == "__main__":
    if sys.argv[1:] == ["chance"]:
        print(chance_table().round(3).to_string())
        sys.exit()
    year, *kinds = sys.argv[1:] or ["2014"]
    for kind in kinds or ["frozen", "online"]:
        for delay in (0, 24):
            given = forecasts(int(year), kind, delay)
            print(f"\n{year}, {kind}, labels {delay} rows late")
            print(table(given, delay).round(3).to_string())
