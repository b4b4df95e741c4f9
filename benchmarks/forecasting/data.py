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

# File -> SHA-256. A file that differs is another data set: its figures would not be comparable.
CHECKSUMS = {
    "gas_turbine/gt_2011.csv": "d87ceef9aa59533cc7d924d10de241b1b06ecd11f9b26bab59191ea0f8a76b9a",
    "gas_turbine/gt_2012.csv": "be54b9d0e1a7de40c55d32fa489e75de892b000c066b5a09f09a19124ee29100",
    "gas_turbine/gt_2013.csv": "13c437bb440ec2045bd12057e6654c41dd4107a661eac16ba2e878e897a08f9e",
    "gas_turbine/gt_2014.csv": "c2a03c92c9c3207aad0c6be7de8d9b5b4bfa4720ad0efb2c1f21b6cec4d3f3fa",
    "air_quality/AirQualityUCI_head5997.csv": "da787fe845638a22a5b1bb44f4caf060d746ae9752f6dfbf74a2afe297253110",
    "beijing_air/PRSA_Data_Aotizhongxin_20130301-20170228.csv": "a94fbcfc71708b6ffdc033360163d91efb7f675e496f6b5860929aa96b96351b",
    "beijing_air/PRSA_Data_Changping_20130301-20170228.csv": "a2e21402a6d95fb7043f87959e6e3dcbecb957aac356a6f8028a85b047c772e7",
    "beijing_air/PRSA_Data_Dingling_20130301-20170228.csv": "3d8dff81f18a80d9f455876a785642bffe1e9b9924ec1e6b7ce8cca790432eeb",
    "beijing_air/PRSA_Data_Dongsi_20130301-20170228.csv": "9c0020214425e5ee2a64d42f97a1f632e1d8f6b53ad50edd85a686cc7999f27e",
    "ett/ETTh1.csv": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "ett/ETTm1.csv": "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    "sru/SRU_data_head.txt": "c4c4e100e40836cfdc615b96bae4713ba89348242120dde4669ee79fcfd16dfb",
    "steel/Steel_industry_data.csv": "d878899862a6c2f6e4ade0149ce8acabaf313c2242824a8bd5b4f89ab10e66f1",
    "tep/d00.dat": "4c3c0b11eefacf93e5d2529e2866d7a625e37aa9153d0f95fae17a6c9e560deb",
    "tep/d00_te.dat": "57d56da4199e3d73582855d810be1d13d931386fd728bf1694798c7b0a03678c",
    "tep/d01.dat": "b0da22ac7561d82b0ba0b48bf87d2b3a8655cb23a3dc37330dd03cdd126c387c",
    "tep/d01_te.dat": "e7e6992fb39664e739fccbc001a1c5d5f7cb21829544f734ca3f282c26f680e5",
    "tep/d02.dat": "af1a46ba3a5482be3e7b143606f22ae509138544af2a2d0eb7389459257f8179",
    "tep/d02_te.dat": "a34bd9c3693fa96bd3ee533fb7fbe29a9d226a4e3250b585ef1308e1136dbfb0",
    "tep/d03.dat": "df39c57bdac7ea476ee236c289e0f59b0cbf868adfbbbaf213f692d8cd96e52a",
    "tep/d03_te.dat": "b7bf6f2ed7cff0a5577898b009edd252b9bdf6ee9ff7dbeacf9af9aa4c6abace",
    "tep/d04.dat": "346702fce33d9707f0b4ec5b8f533ccb08be60313607d5156d7e237b80a87b3f",
    "tep/d04_te.dat": "1ccb488dd5feac11aad54623451168abef066229e685872597897800363916f9",
    "tep/d05.dat": "3a47bfce4010ce0c634ae828409cce657ecd03bf0c4d59f8dd4a3d4f792f493f",
    "tep/d05_te.dat": "1def7258a2865aeead699d52c8cf926fbf34c1467aaf298121987ab858fd0888",
    "tep/d06.dat": "ff0882a44bb74f5d2d1a864425ac7e5ae82420391c7060232cefc08ad5bf7331",
    "tep/d06_te.dat": "8a3adc7121eaa9b9300c27f9c57a8ab356315401cb964310a4a8244dd34bf79d",
    "tep/d07.dat": "e3fd272ed53f899ab0c8278c7eede55418b01a2339b5fcff14a87fefaa3d181d",
    "tep/d07_te.dat": "e01b7c81daf9fccc4495cbde5658296918276b3c078044893f6e945dd91d3446",
    "tep/d08.dat": "4817735e339449bec909d1cbe77e421acc79c7357b8c6b5bb82c6e5788b72449",
    "tep/d08_te.dat": "c0637f02f23b79890b43cfee9604818ad6d7f81532223d76acf1da0d6e2a2cc1",
    "tep/d09.dat": "cb9146da760cdd52cad575d745413a5cfb4b447af2db9fb6a424cf6881ff0fcd",
    "tep/d09_te.dat": "513df6c3a4fd48e0eaddb0002cd8cdab3a78a5c83c47883bb52d2dc6c2472428",
    "tep/d10.dat": "e08697b5d074aea2345434bc4d26296f5dbdbb7efbf37a1bbee292b2ce765e8f",
    "tep/d10_te.dat": "3a278be79d8d111fc60be3cfb4f961c28e2dc632f17eb519886aa0f95864ffc6",
}
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
    """Sulphur recovery unit: five flows in, H2S and SO2 of the tail gas out; a row a minute, scaled 0 to 1."""
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
    """Tennessee Eastman: the training runs d00 to d10, then their test runs; the product's analysis is forecast.

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
