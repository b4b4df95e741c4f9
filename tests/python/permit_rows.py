"""A permit of few words and minutes to judge by it, for tests of more than one file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from emisopt.permit import Permit, Signal

SIGNALS = {"nox": Signal("NOx", "mg/Nm3")}
HOUR = {"length": "1 h", "validity": {"need": "quadrants"}}


def rule(name: str = "NOx 1 h", limit: float | None = 200, **fields: object) -> dict[str, object]:
    plain = {"name": name, "pollutant": "NOx", "unit": "mg/Nm3", "limit": limit, "base": HOUR}
    return plain | {"source": "a test", "verified": True} | fields


def permit(*rules: dict[str, object], zone: str = "UTC") -> Permit:
    return Permit.from_dict({"name": "test", "zone": zone, "rules": list(rules)})


def minutes(rows: int, start: str = "2024-03-30 20:10", freq: str = "1min", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"nox": np.abs(rng.normal(190, 40, rows))},
        index=pd.date_range(start, periods=rows, freq=freq, tz="UTC"),
    )
    frame.loc[rng.random(rows) < 0.05, "nox"] = np.nan
    frame["run"] = np.repeat(rng.choice(["on", "on", "on", "startup", "off"], rows // 97 + 1), 97)[:rows]
    frame["flag"] = np.where(rng.random(rows) < 0.02, "calibration", "valid")
    return frame
