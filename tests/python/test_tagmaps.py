"""The shipped tag maps on the files that they are for, and one written for hours with American units."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emisopt.errors import DataError
from emisopt.io import gap_flags, read_history
from emisopt.tags import TagMap, load_tagmap

DATA = Path(os.environ.get("EMISOPT_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def real(*names: str) -> list[Path]:
    """Files of the shared data, or a skip with the reason; with CI=true it fails (no_skips.py)."""
    files = [DATA / name for name in names]
    absent = [str(f) for f in files if not f.is_file()]
    if absent:
        reason = f"no {absent[0]}; set EMISOPT_DATA to the folder of the data"
        pytest.skip(reason)
    return files


def test_gas_turbine() -> None:
    files = real(*(f"gas_turbine/gt_{year}.csv" for year in (2011, 2012, 2013, 2014)))
    tags = load_tagmap("gas_turbine")
    frame = read_history(files, tags)
    assert frame.shape == (29349, 11) and not frame.isna().any().any()
    assert np.flatnonzero(gap_flags(frame.index, tags)).tolist() == [7411, 15039, 22191]
    assert frame.iloc[0].tolist()[-2:] == [0.32663, 81.952]
    assert frame["NOX"].max() == 119.91 and frame["CO"].max() == 44.103
    assert not any(frame.attrs["put_aside"].values())


def test_gas_turbine_with_exchanged_headings_is_noticed(tmp_path: Path) -> None:
    text = real("gas_turbine/gt_2014.csv")[0].read_text()
    copy = tmp_path / "gt_2014.csv"
    copy.write_text(text.replace("TEY,CDP", "CDP,TEY", 1))
    with pytest.raises(DataError, match=r"column 'TEY' looks like another signal.*it would fit 'CDP'"):
        read_history(copy, "gas_turbine")


def test_air_quality() -> None:
    tags = load_tagmap("air_quality")
    frame = read_history(real("air_quality/AirQualityUCI_head5997.csv"), tags)
    assert frame.shape == (5997, 13) and not gap_flags(frame.index, tags).any()
    assert frame.index[0] == pd.Timestamp("2004-03-10 18:00", tz="Etc/GMT-1")
    assert frame["CO(GT)"].iloc[0] == 2.6 and frame["AH"].iloc[0] == 0.7578
    assert frame["CO(GT)"].isna().sum() == 1472 and frame["NMHC(GT)"].isna().mean() > 0.8
    assert not any(frame.attrs["put_aside"].values())  # nothing but the code was missing


def test_beijing_air() -> None:
    tags = load_tagmap("beijing_air")
    frame = read_history(real("beijing_air/PRSA_Data_Dongsi_20130301-20170228.csv"), tags)
    assert frame.shape == (35064, 12) and not gap_flags(frame.index, tags).any()
    assert frame.index[0] == pd.Timestamp("2013-03-01 00:00", tz="Etc/GMT-8")
    assert frame["NO2"].iloc[0] == 17 and frame["wd"].iloc[0] == tags["wd"].categories.index("NNW")
    assert frame["CO"].isna().sum() == 3197 and tags.outputs == ["NO2", "SO2", "PM2.5", "CO"]
    assert not any(frame.attrs["put_aside"].values())


def test_campd_hours_with_american_units() -> None:
    tags = TagMap.from_yaml(
        """
        period: 1 h
        file:
          time: {columns: [Date, Hour], format: "%m-%d-%Y %H", timezone: UTC-06:00}
          columns:
            Heat Input (mmBtu): {tag: heat, unit: mmBtu}
            Gross Load (MW): load
            NOx Mass (lbs): {tag: nox, unit: lbs}
            CO2 Mass (short tons): {tag: co2, unit: short tons}
        tags:
          - {name: load, unit: MW, role: disturbance}
          - {name: heat, unit: GJ, role: disturbance}
          - {name: nox, unit: kg, role: emission}
          - {name: co2, unit: t, role: emission}
        """
    )
    frame = read_history(real("campd_sample/bowen_20170101_24h.csv"), tags)
    assert frame.shape == (24, 4)
    assert frame["nox"].iloc[0] == pytest.approx(858.7 * 0.45359237)
    assert frame["co2"].iloc[0] == pytest.approx(946.1 * 0.90718474)
    assert frame["heat"].iloc[0] == pytest.approx(9220.9 * 1.05505585262)
    assert frame.index[0] == pd.Timestamp("2017-01-01 06:00", tz="UTC")
