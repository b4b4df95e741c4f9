"""UCI gas turbine, frozen forecaster, every row of 2014: operation known, unknown; beside simple models."""

from __future__ import annotations

import pandas as pd

from benchmarks.harness import Row
from emisopt import datasets
from emisopt.backtest import backtest
from emisopt.forecaster import Forecaster

YEARS = (2011, 2012, 2013, 2014)
HORIZONS = (1, 6, 24)


def rows(quick: bool) -> list[Row]:
    data = datasets.load("gas_turbine", files=[f"gt_{year}.csv" for year in YEARS])
    tags = data.tags.with_known_ahead()
    rows = [len(datasets.load("gas_turbine", files=[f"gt_{year}.csv"]).history) for year in YEARS]
    train_rows, validation_rows = rows[0] + rows[1], rows[2]
    forecaster = Forecaster(steps=100 if quick else 1000, input_shift=0.6, unknown_plan=0.3)
    forecaster.fit(
        data.history, tags=tags, train_rows=train_rows, validation_rows=validation_rows, progress=False
    )
    scores = backtest(
        forecaster,
        data.history,
        train_rows=train_rows,
        validation_rows=validation_rows,
        horizons=HORIZONS,
        stride=8 if quick else 1,
        fit_stride=8 if quick else 1,
        # MAE is compared, so one booster a target does: its interval comes from residuals.
        boosting={"interval": "residual", **({"iterations": 30} if quick else {})},
    ).scores
    return [
        row
        for output, case in (("NOX", "gt-nox-2014"), ("CO", "gt-co-2014"))
        for h in HORIZONS
        for row in _rows_of(f"{case}-h{h}", scores.loc[output, h])
    ]


def _rows_of(case: str, scores: pd.DataFrame) -> list[Row]:
    """Both settings of one output and horizon; the peer is the best of all baselines, named."""
    rows = []
    for operation in ("known", "unknown"):
        part = scores.loc[operation]
        ours, others = part.loc["emisopt"], part.drop(index="emisopt")
        best = others["mae"].idxmin()
        note = f"RMSE {ours.rmse:.3g} to {others.rmse.min():.3g}; 80 % interval covers {ours.coverage:.3f}"
        name = str(best).replace(" ", "_")
        rows.append(
            Row(case, f"mae_{operation}", ours.mae, others.loc[best, "mae"], name, unit="mg/m3", note=note)
        )
    return rows
