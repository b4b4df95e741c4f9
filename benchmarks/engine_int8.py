"""Suite engine, what int8 costs in accuracy: one set of weights, gas turbine 2014, in float32 and in int8.

Trained on 2011-2013, operation known; every row of 2014 is an origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from benchmarks.harness import Row
from emisopt import Forecaster, _core, datasets
from emisopt.history import to_history

CASE = "int8-gt-2014"
HORIZONS = (1, 6, 24)


def rows(quick: bool, cases: Sequence[str] = ()) -> list[Row]:
    """Mean absolute error of the median; ratio below 1: int8 is worse. Goal: at least 0.99."""
    if cases and not any(fnmatchcase(CASE, pattern) for pattern in cases):
        return []
    data = datasets.load("gas_turbine", files=[f"gt_{year}.csv" for year in range(2011, 2015)])
    tags = data.tags.with_known_ahead()
    begin = len(data.history) - len(datasets.load("gas_turbine", files=["gt_2014.csv"]).history)
    forecaster = Forecaster(steps=100 if quick else 1000, input_shift=0.6, unknown_plan=0.3)
    forecaster.fit(data.history, tags=tags, train_rows=begin, progress=False)
    history = to_history(data.history, tags)
    origins = np.arange(begin, history.rows, 10 if quick else 1)
    truth = history.values[:, [tags.names.index(n) for n in forecaster.outputs_]]
    middle = list(forecaster.core_.config.quantiles).index(0.5)
    errors = {}
    for name in ("float32", "int8"):
        fans = _core.forecast_origins(
            forecaster.core_,
            history,
            origins.tolist(),
            True,
            0,
            0,
            _core.Precision.__members__[name],
        )
        for h in HORIZONS:
            rows_ahead = origins + h - 1
            here = rows_ahead < history.rows
            miss = np.abs(fans[here, h - 1, :, middle] - truth[rows_ahead[here]])
            errors[name, h] = np.nanmean(miss, axis=0)
    return [
        Row(
            f"{CASE}-{output.lower()}-h{h}",
            "mae",
            float(errors["int8", h][o]),
            float(errors["float32", h][o]),
            "ours_float32",
            unit=tags[output].unit,
            note=f"one fit, {len(origins)} origins; goal: int8 at most 1 % worse",
        )
        for o, output in enumerate(forecaster.outputs_)
        for h in HORIZONS
    ]
