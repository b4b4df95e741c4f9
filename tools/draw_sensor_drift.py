"""Draws docs/pictures/sensor_drift.png: an analyser that drifts, found by `SensorMonitor`. Synthetic boiler.

python tools/draw_sensor_drift.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from emisopt.monitor import SensorMonitor
from emisopt.plants import Boiler
from emisopt.plots import expected_band

DAY = 288
DRIFT = 0.06  # of the reading, per day


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    history, tags = Boiler(seed=4007).simulate_history(days=72)
    monitor = SensorMonitor().fit(history.iloc[: 60 * DAY], tags)
    rows = history.iloc[60 * DAY :].copy()
    begin = 5 * DAY
    reading = rows["nox_in"].to_numpy(copy=True)
    reading[begin:] *= 1 + DRIFT * np.arange(1, len(reading) - begin + 1) / DAY
    rows["nox_in"] = reading

    found = monitor.check(rows)
    drift = found[(found["tag"] == "nox_in") & found["kind"].isin(["drift", "disagrees"])].iloc[0]
    print(drift["words"])
    print(f"began in row {begin}, found in {drift['alarm_row']}, first row {drift['first_row']}")
    expected, sd = monitor.reconstruct(rows, findings=found)
    shown = slice(2 * DAY, None)
    figure = expected_band(
        rows["nox_in"].iloc[shown],
        expected["nox_in"].iloc[shown],
        sd["nox_in"].iloc[shown],
        label="nox_in, mg/Nm3",
        first=drift["first_time"],
        last=drift["last_time"],
        alarm=rows.index[drift["alarm_row"]],
        began=rows.index[begin],
        title=f"Synthetic boiler: an inlet-NOx analyser drifts by {100 * DRIFT:g} % of its reading a day",
    )
    figure.savefig(folder / "sensor_drift.png", dpi=110)


if __name__ == "__main__":
    main()
