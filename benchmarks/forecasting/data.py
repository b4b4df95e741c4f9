"""The data sets of the suite, each read from its file with a checksum, as a table and a tag map.

Where a user would want the tag map it is one of the package; the others are made here, because their files
need more than a tag map can say (blank lines, matrices without headings, a stamp that closes the day).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from emisopt.errors import MissingFileError
from emisopt.io import read_history
from emisopt.tags import Tag, TagMap, load_tagmap

# File -> SHA-256, as `sha256sum --check SHA256SUMS` in the folder of the data reads them. A file that
# differs is another data set: its figures would not be comparable.
_LINES = Path(__file__).with_name("SHA256SUMS").read_text(encoding="utf-8").splitlines()
CHECKSUMS = {name: digest for digest, name in (line.split() for line in _LINES)}
STATIONS = ("Aotizhongxin", "Changping", "Dingling", "Dongsi")
YEARS = (2011, 2012, 2013, 2014)
TEP_INPUTS = tuple(f"XMEAS{i}" for i in range(1, 23)) + tuple(f"XMV{i}" for i in range(1, 12))
TEP_QUALITY = tuple(f"XMEAS{i}" for i in range(37, 42))  # analysis of the product stream
TEP_TRAIN = ("d00.dat", *(f"d{i:02d}.dat" for i in range(1, 11)))
TEP_TEST = tuple(f"d{i:02d}_te.dat" for i in range(0, 11))


@dataclass(frozen=True)
class Data:
    """A data set as read: history (N, tags), its tag map, a key that changes with any byte of its files, and
    the first row of each file."""

    history: pd.DataFrame
    tags: TagMap
    key: str
    starts: tuple[int, ...] = (0,)


def folder() -> Path:
    """Where the data lies: EMISOPT_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("EMISOPT_DATA", Path(__file__).parents[3] / "shared" / "data"))


@cache
def file(name: str) -> Path:
    """The file of a data set.

    Raises
    ------
    MissingFileError : it is not there.   ValueError : its bytes are not those that the suite was written for.
    """
    path = folder() / name
    if not path.is_file():
        raise MissingFileError(f"no {path}; set EMISOPT_DATA to the folder of the data")
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != CHECKSUMS[name]:
        raise ValueError(f"{path}: expected SHA-256 {CHECKSUMS[name][:12]}..., got {got[:12]}...")
    return path


def _key(*names: str) -> str:
    return hashlib.sha256("".join(CHECKSUMS[n] for n in names).encode()).hexdigest()[:16]


@cache
def gas_turbine() -> Data:
    """Four years one after the other: as in the published studies, the turn of a year counts as a step."""
    names = [f"gas_turbine/gt_{year}.csv" for year in YEARS]
    tags = load_tagmap("gas_turbine").with_known_ahead()
    years = [read_history(file(name), tags) for name in names]
    starts = np.cumsum([0] + [len(year) for year in years[:-1]])
    return Data(pd.concat(years, ignore_index=True), tags, _key(*names), tuple(map(int, starts)))


@cache
def air_quality() -> Data:
    """The first 5,997 hours; the metal-oxide sensors, which fev-bench does not give, are left out."""
    name = "air_quality/AirQualityUCI_head5997.csv"
    tags = load_tagmap("air_quality")
    history = read_history(file(name), tags)
    kept = TagMap(tuple(t for t in tags if not t.name.startswith("PT08") and t.role != "cost"),
                  plant=tags.plant, source=tags.source, period=tags.period)  # fmt: skip
    return Data(history[kept.names], kept, _key(name))


@cache
def beijing(station: str) -> Data:
    """One station of UCI 501: NO2, SO2, PM2.5 and CO are forecast, weather is known."""
    name = f"beijing_air/PRSA_Data_{station}_20130301-20170228.csv"
    tags = load_tagmap("beijing_air")
    return Data(read_history(file(name), tags), tags, _key(name))


@cache
def ett(name: str) -> Data:
    """ETTh1 or ETTm1: seven channels, all forecast, nothing known."""
    path = f"ett/{name}.csv"
    raw = pd.read_csv(file(path), parse_dates=["date"], index_col="date").tz_localize("UTC")
    raw.index.name = "time"
    period = 900.0 if name.startswith("ETTm") else 3600.0
    tags = TagMap(tuple(Tag(c, "", "quality") for c in raw.columns), plant=f"Transformer, {name}",
                  source="zhouhaoyi/ETDataset, CC BY-ND 4.0", period=period)  # fmt: skip
    return Data(raw.astype(np.float64), tags, _key(path))


@cache
def sru() -> Data:
    """Sulphur recovery unit: five flows in, H2S and SO2 of the tail gas out; a row a minute, scaled 0 to
    1."""
    name = "sru/SRU_data_head.txt"
    lines = [line.split() for line in file(name).read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    columns = ["u1", "u2", "u3", "u4", "u5", "H2S", "SO2"]
    tags = TagMap(
        tuple(Tag(c, "", "disturbance", known_ahead=True) for c in columns[:5])
        + tuple(Tag(c, "", "emission") for c in columns[5:]),
        plant="Sulphur recovery unit",
        source="Fortuna et al. 2007, Soft Sensors for Monitoring and Control of Industrial Processes",
    )
    return Data(pd.DataFrame(np.array(lines, dtype=np.float64), columns=columns), tags, _key(name))


@cache
def tep() -> Data:
    """Tennessee Eastman: the training runs d00 to d10, then their test runs; the product's analysis is
    forecast.

    Runs do not follow each other: between two, one row number is left out.
    """
    names = [f"tep/{name}" for name in TEP_TRAIN + TEP_TEST]
    columns = [f"XMEAS{i}" for i in range(1, 42)] + [f"XMV{i}" for i in range(1, 12)]
    runs, starts, first, rows = [], [], 0, 0
    for name in names:
        values = np.loadtxt(file(name))
        values = values.T if values.shape[0] == 52 else values  # d00.dat lies on its side
        run = pd.DataFrame(values, columns=columns)
        run.index = pd.RangeIndex(first, first + len(run))
        first += len(run) + 1
        starts.append(rows)
        rows += len(run)
        runs.append(run)
    tags = TagMap(
        tuple(Tag(c, "", "disturbance", known_ahead=True) for c in TEP_INPUTS)
        + tuple(Tag(c, "mol%", "quality") for c in TEP_QUALITY),
        plant="Tennessee Eastman process",
        source="Russell, Chiang, Braatz 2000; University of Illinois licence",
        synthetic=True,
    )
    return Data(pd.concat(runs)[tags.names], tags, _key(*names), tuple(starts))


@cache
def steel() -> Data:
    """Steel plant, 2018, electricity per quarter of an hour. The row stamped 00:00 is the last of its day."""
    name = "steel/Steel_industry_data.csv"
    raw = pd.read_csv(file(name), encoding="utf-8-sig")
    stamp = pd.to_datetime(raw["date"], format="%d/%m/%Y %H:%M")
    closes = (raw["NSM"] == 0) & (stamp.dt.hour == 0) & (stamp.dt.minute == 0)
    stamp = stamp.where(~closes, stamp + pd.Timedelta(days=1))
    history = pd.DataFrame({"Usage_kWh": raw["Usage_kWh"].to_numpy(dtype=np.float64)})
    history["weekend"] = (raw["WeekStatus"] == "Weekend").to_numpy(dtype=np.float64)
    history.index = pd.DatetimeIndex(stamp, name="time").tz_localize("UTC")
    tags = TagMap(
        (Tag("weekend", "", "disturbance", known_ahead=True), Tag("Usage_kWh", "kWh", "quality", low=0)),
        plant="Steel plant, South Korea",
        source="UCI Machine Learning Repository 851, CC BY 4.0",
        period=900.0,
    )
    return Data(history[tags.names], tags, _key(name))
