"""Public plant data for examples and benchmarks: read from a folder of yours, or fetched when you say so.

Nothing is fetched unasked. A download is kept only if every file in it has the SHA-256 that stands here. For
`gas_turbine` 2011-2014 the checksums were computed from copies that this project read; for 2015 and for
`air_quality` they are the ones that public projects record for the repository's own archive.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emisopt.errors import ConfigError, DownloadError, MissingFileError, did_you_mean
from emisopt.io import read_history
from emisopt.tags import TagMap, load_tagmap

__all__ = ["Dataset", "Remote", "load", "names"]

_LARGEST = 64 * 2**20  # bytes of an archive or a file in it; these sets are below 3 MB


@dataclass(frozen=True)
class Remote:
    """Where a data set lives.

    Parameters
    ----------
    url : of a zip archive
    sha256 : file in the archive -> its SHA-256
    also : glob pattern of other names under which users keep such files
    """

    url: str
    sha256: Mapping[str, str]
    also: str


_REMOTES: dict[str, Remote] = {
    "gas_turbine": Remote(
        url="https://archive.ics.uci.edu/static/public/551/gas+turbine+co+and+nox+emission+data+set.zip",
        sha256={
            "gt_2011.csv": "d87ceef9aa59533cc7d924d10de241b1b06ecd11f9b26bab59191ea0f8a76b9a",
            "gt_2012.csv": "be54b9d0e1a7de40c55d32fa489e75de892b000c066b5a09f09a19124ee29100",
            "gt_2013.csv": "13c437bb440ec2045bd12057e6654c41dd4107a661eac16ba2e878e897a08f9e",
            "gt_2014.csv": "c2a03c92c9c3207aad0c6be7de8d9b5b4bfa4720ad0efb2c1f21b6cec4d3f3fa",
            "gt_2015.csv": "9b08f35fde0d4b138232a605db4093c2b8bf9d6757e6f1fbd9534ad616c13591",
        },
        also="gt_20[0-9][0-9].csv",
    ),
    "air_quality": Remote(
        url="https://archive.ics.uci.edu/static/public/360/air+quality.zip",
        sha256={"AirQualityUCI.csv": "13277ae5d8581e80b7be09d47c7d3d06fe9b8e957078f2cf6e859f955e62f996"},
        also="AirQualityUCI*.csv",
    ),
}


@dataclass(frozen=True)
class Dataset:
    """A data set as read.

    Parameters
    ----------
    history : DataFrame of shape (N, tags), see `emisopt.io.read_history`
    tags : its tag map
    files : the files that were read
    """

    history: pd.DataFrame
    tags: TagMap
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        return f"Dataset({len(self.history)} rows, {len(self.files)} file(s)) of {self.tags!r}"


def names() -> list[str]:
    """Names that `load` takes.

    Examples
    --------
    >>> names()
    ['air_quality', 'gas_turbine']
    """
    return sorted(_REMOTES)


def load(
    name: str,
    path: str | Path | None = None,
    *,
    files: Sequence[str] | None = None,
    download: bool = False,
) -> Dataset:
    """Reads a data set from the first place that has it.

    Parameters
    ----------
    name : "gas_turbine" (UCI 551) or "air_quality" (UCI 360)
    path : folder with the files, or with a folder of that name. Default: the environment's EMISOPT_DATA, then
        the cache (XDG_CACHE_HOME or ~/.cache, below it emisopt)
    files : names of files to read, in this order; default: all that are there
    download : fetch what no place has, from the UCI repository into the cache, checked by SHA-256

    Returns
    -------
    Dataset: history, tags, files.

    Raises
    ------
    ConfigError : unknown name.   MissingFileError : no place has the files.   DownloadError : the network, or
    a checksum; nothing is kept.   DataError : as `read_history`.

    Examples
    --------
    >>> load("gas_turbine", path="/nowhere")
    Traceback (most recent call last):
    emisopt.errors.MissingFileError: gas_turbine: no folder /nowhere; give path= with the files
    """
    if name not in _REMOTES:
        raise ConfigError(f"datasets: no data set {name!r}{did_you_mean(name, names())}")
    remote = _REMOTES[name]
    if path is not None and not Path(path).is_dir():
        raise MissingFileError(f"{name}: no folder {path}; give path= with the files")
    places = [Path(path)] if path is not None else _places()
    found = next((f for place in places if (f := _find(place, name, remote, files))), [])
    if not found and download:
        found = _download(name, remote, files)
    if not found:
        looked = ", ".join(str(place) for place in places)
        wanted = ", ".join(files or remote.sha256)
        raise MissingFileError(
            f"{name}: expected {wanted} in one of: {looked}; give path=, set EMISOPT_DATA, or pass "
            f"download=True to fetch {remote.url}"
        )
    tags = load_tagmap(name)
    return Dataset(read_history(found, tags), tags, tuple(found))


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/emisopt, else ~/.cache/emisopt."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "emisopt"


def _places() -> list[Path]:
    folder = os.environ.get("EMISOPT_DATA")
    return ([Path(folder)] if folder else []) + [cache_folder()]


def _find(place: Path, name: str, remote: Remote, files: Sequence[str] | None) -> list[Path]:
    """The files asked for if all are there, else none."""
    for folder in (place / name, place):
        if files is not None:
            found = [folder / file for file in files]
            if found and all(file.is_file() for file in found):
                return found
        elif found := sorted(folder.glob(remote.also)):
            return found
    return []


def _download(name: str, remote: Remote, files: Sequence[str] | None) -> list[Path]:
    """Fetches the archive and keeps all of its files that are listed, or none."""
    for file in files or ():
        if file not in remote.sha256:
            raise MissingFileError(f"{name}: no file {file!r} to download{did_you_mean(file, remote.sha256)}")
    contents = _unpack(remote, _fetch(remote.url))
    for file, content in contents.items():
        got = hashlib.sha256(content).hexdigest()
        if got != remote.sha256[file]:
            raise DownloadError(
                f"{remote.url}: {file}: expected SHA-256 {remote.sha256[file][:12]}..., got {got[:12]}...; "
                "nothing was kept: the archive has changed, get the files by hand and give path="
            )
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            _write_atomic(folder / file, content)
    except OSError as error:
        raise DownloadError(f"{folder}: cannot keep the download: {error.strerror or error}") from None
    return [folder / file for file in files or remote.sha256]


def _fetch(url: str) -> bytes:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise DownloadError(f"{url}: expected https")
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            data: bytes = response.read(_LARGEST + 1)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"{url}: cannot be fetched: {reason}; get the files by hand and give path="
        ) from None
    if len(data) > _LARGEST:
        raise DownloadError(f"{url}: expected at most {_LARGEST >> 20} MiB, got more; nothing was kept")
    return data


def _unpack(remote: Remote, data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = {Path(info.filename).name: info for info in archive.infolist()}
            contents = {}
            for file in remote.sha256:
                if file not in inside:
                    raise DownloadError(
                        f"{remote.url}: expected {file} in the archive, it holds {sorted(inside)}"
                    )
                if inside[file].file_size > _LARGEST:
                    raise DownloadError(f"{remote.url}: {file} is larger than {_LARGEST >> 20} MiB")
                contents[file] = archive.read(inside[file])
            return contents
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DownloadError(f"{remote.url}: expected a zip archive: {error}; nothing was kept") from None


def _write_atomic(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
