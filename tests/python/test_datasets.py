"""Public data: found where it lies, fetched only when asked, kept only when the checksum fits."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from emisopt import datasets
from emisopt.errors import ConfigError, DataError, DownloadError, MissingFileError

ROWS = "".join(f"10,1010,80,4,25,1080,550,134,{12 + i / 100},2.5,{60 + i}\n" for i in range(30))
CSV = ("AT,AP,AH,AFDP,GTEP,TIT,TAT,TEY,CDP,CO,NOX\n" + ROWS.replace(",2.5,", ",2.6,", 1)).encode()


def archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("_csv", ".csv"), content)
    return out.getvalue()


class Server:
    """Serves one body on loopback and counts the requests."""

    def __init__(self) -> None:
        self.body, self.status, self.requests = b"", 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    out = Server()
    yield out
    out.http.shutdown()
    out.http.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """An empty cache, and a table that points to the server; two files are expected of the archive."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EMISOPT_DATA", raising=False)
    digest = hashlib.sha256(CSV).hexdigest()
    remote = datasets.Remote(
        server.url, {"gt_2011.csv": digest, "gt_2012.csv": digest}, "gt_20[0-9][0-9].csv"
    )
    monkeypatch.setitem(datasets._REMOTES, "gas_turbine", remote)
    return tmp_path / "cache" / "emisopt"


def kept(cache: Path) -> list[str]:
    return sorted(str(f.relative_to(cache)) for f in cache.rglob("*") if f.is_file())


def test_nothing_is_fetched_unasked(cache: Path, server: Server) -> None:
    with pytest.raises(MissingFileError) as caught:
        datasets.load("gas_turbine")
    assert str(caught.value) == (
        f"gas_turbine: expected gt_2011.csv, gt_2012.csv in one of: {cache}; give path=, set EMISOPT_DATA, "
        f"or pass download=True to fetch {server.url}"
    )
    assert server.requests == 0


def test_a_download_is_checked_kept_and_not_repeated(cache: Path, server: Server) -> None:
    server.body = archive(gt_2011_csv=CSV, gt_2012_csv=CSV, readme_txt=b"not wanted")
    data = datasets.load("gas_turbine", download=True)
    assert data.history.shape == (60, 11) and data.tags.outputs == ["CO", "NOX"]
    assert [f.name for f in data.files] == ["gt_2011.csv", "gt_2012.csv"]
    assert kept(cache) == ["gas_turbine/gt_2011.csv", "gas_turbine/gt_2012.csv"]
    again = datasets.load("gas_turbine", files=["gt_2012.csv"], download=True)
    assert len(again.history) == 30 and server.requests == 1
    assert "60 rows, 2 file(s)" in repr(data)


def test_other_bytes_are_refused_and_nothing_is_kept(cache: Path, server: Server) -> None:
    server.body = archive(gt_2011_csv=CSV, gt_2012_csv=CSV + b"1")
    with pytest.raises(
        DownloadError, match=r"gt_2012.csv: expected SHA-256 \w{12}\.\.\., got \w{12}\.\.\.; nothing"
    ):
        datasets.load("gas_turbine", download=True)
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>not found</html>", "expected a zip archive"),
        (archive(gt_2011_csv=CSV), r"expected gt_2012.csv in the archive, it holds \['gt_2011.csv'\]"),
        (archive(gt_2011_csv=CSV, gt_2012_csv=CSV)[:-30], "expected a zip archive"),
    ],
)
def test_what_is_no_archive_is_refused(cache: Path, server: Server, body: bytes, message: str) -> None:
    server.body = body
    with pytest.raises(DownloadError, match=message):
        datasets.load("gas_turbine", download=True)
    assert kept(cache) == []


def test_a_damaged_archive_is_refused(cache: Path, server: Server) -> None:
    whole = archive(gt_2011_csv=CSV, gt_2012_csv=CSV)
    for at in range(45, len(whole), 97):
        server.body = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            datasets.load("gas_turbine", download=True)
        except DownloadError:
            assert kept(cache) == []
        else:  # the flipped byte says nothing about the content, e.g. a file's date
            for file in (cache / "gas_turbine").iterdir():
                assert file.read_bytes() == CSV
                file.unlink()


def test_a_server_that_fails_is_named(cache: Path, server: Server) -> None:
    server.status = 404
    with pytest.raises(
        DownloadError, match=r"cannot be fetched: Not Found; get the files by hand and give path="
    ):
        datasets.load("gas_turbine", download=True)
    with pytest.raises(DownloadError, match="expected https"):
        datasets._fetch("file:///etc/hostname")


def test_an_archive_that_is_too_large_is_refused(
    cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_LARGEST", 2**10)
    server.body = archive(gt_2011_csv=CSV, gt_2012_csv=CSV) + bytes(2000)
    with pytest.raises(DownloadError, match=r"got more; nothing was kept"):
        datasets.load("gas_turbine", download=True)
    server.body = archive(gt_2011_csv=bytes(5000), gt_2012_csv=b"")  # small packed, large unpacked
    with pytest.raises(DownloadError, match=r"gt_2011.csv is larger than"):
        datasets.load("gas_turbine", download=True)
    assert kept(cache) == []


def test_places_are_tried_in_order(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(folder: Path, rows: int) -> Path:
        folder.mkdir(parents=True)
        (folder / "gt_2011.csv").write_bytes(b"\n".join(CSV.split(b"\n")[: rows + 1]) + b"\n")
        return folder

    put(cache / "gas_turbine", 10)
    assert len(datasets.load("gas_turbine").history) == 10
    put(tmp_path / "shared" / "gas_turbine", 11)
    monkeypatch.setenv("EMISOPT_DATA", str(tmp_path / "shared"))
    assert len(datasets.load("gas_turbine").history) == 11
    own = put(tmp_path / "own", 12)
    assert len(datasets.load("gas_turbine", path=own).history) == 12
    assert len(datasets.load("gas_turbine", path=tmp_path / "shared").history) == 11


def test_refusals(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set 'gasturbine'; did you mean 'gas_turbine'"):
        datasets.load("gasturbine")
    with pytest.raises(MissingFileError, match=r"gas_turbine: no folder .*/none; give path= with the files"):
        datasets.load("gas_turbine", path=tmp_path / "none")
    with pytest.raises(
        MissingFileError, match=r"no file 'gt_2010.csv' to download; did you mean 'gt_2012.csv'"
    ):
        datasets.load("gas_turbine", files=["gt_2010.csv"], download=True)
    (tmp_path / "gt_2011.csv").write_text("AT\n1\n")
    with pytest.raises(DataError, match="column 'AP' is missing"):
        datasets.load("gas_turbine", path=tmp_path)


def test_the_table_names_every_checksum() -> None:
    assert datasets.names() == ["air_quality", "gas_turbine"]
    for remote in datasets._REMOTES.values():
        assert remote.url.startswith("https://archive.ics.uci.edu/")
        assert all(len(digest) == 64 for digest in remote.sha256.values())
