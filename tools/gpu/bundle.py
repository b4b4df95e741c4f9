"""What a bare CUDA machine without network needs, in one archive: the tracked files, and the third-party
sources that the build would else look for on the system (headers of Eigen and pybind11, GoogleTest).

There must be g++, nvcc, cmake, Python with its headers, NumPy and PyTorch. What was packed is unpacked and
configured once, before it is called done."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.gpu.build import ROOT, THIRD_PARTY, Tree, options

DEFAULT = ROOT / "build/emisopt-gpu.tar.gz"
TOP = "emisopt-gpu"
LARGEST = 64 << 20
GOOGLETEST = (Path("/usr/src/googletest"), Path("/usr/src/gtest"))
LEFT_OUT = ("googletest/test", "googletest/samples", "googletest/docs", "googlemock")
# What a build without network must not reach for.
OFFLINE = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}


class BundleFailed(Exception):
    """The text says what is missing or too large."""


def make(output: Path) -> str:
    """Writes the archive and proves that it configures by itself; one line of what it is."""
    if not (ROOT / ".git").exists():
        raise BundleFailed("this is no checkout; a bundle is made where git is")
    output.parent.mkdir(parents=True, exist_ok=True)
    new = output.with_name(output.name + ".new")
    write(new)
    size = new.stat().st_size
    if size > LARGEST:
        raise BundleFailed(f"{size / 2**20:.1f} MiB, at most {LARGEST >> 20} MiB may be carried: {new}")
    prove(new)
    new.replace(output)
    changed = _git("status", "--porcelain", "--untracked-files=no").strip()
    left = (
        f"; {len(changed.splitlines())} files with changes that are not committed are packed as in HEAD"
        if changed
        else ""
    )
    return f"{output}, {size / 2**20:.1f} MiB, of {_git('rev-parse', '--short', 'HEAD').strip()}{left}"


def write(path: Path) -> None:
    """The archive itself."""
    tracked = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(path, "w:gz") as out:
        with tarfile.open(fileobj=io.BytesIO(tracked)) as source:
            for member in source:
                content = source.extractfile(member) if member.isfile() else None
                member.name = f"{TOP}/{member.name}"
                out.addfile(member, content)
        for source_path, name in third_party():
            out.add(source_path, f"{TOP}/{THIRD_PARTY}/{name}", recursive=False)


def third_party() -> Iterator[tuple[Path, str]]:
    """(file here, name below third_party), as this machine's build finds them."""
    yield from _files(eigen() / "include/eigen3", "eigen/include/eigen3")
    yield from _files(eigen() / "share/eigen3/cmake", "eigen/share/eigen3/cmake")
    pybind11 = pybind11_folder()
    yield from _files(pybind11 / "include", "pybind11/include")
    yield from _files(pybind11 / "share/cmake/pybind11", "pybind11/share/cmake/pybind11")
    for licence in pybind11.parent.glob("pybind11-*.dist-info/licenses/LICENSE"):
        yield licence, "pybind11/LICENSE"
    googletest = next((folder for folder in GOOGLETEST if (folder / "CMakeLists.txt").is_file()), None)
    if googletest is None:
        raise BundleFailed(
            f"no sources of GoogleTest in {GOOGLETEST[0]} (Debian: apt-get install googletest)"
        )
    for path, name in _files(googletest, "googletest"):
        if not name.removeprefix("googletest/").startswith(LEFT_OUT):
            yield path, name


def eigen() -> Path:
    """The prefix with include/eigen3 and share/eigen3/cmake."""
    places = [Path(sysconfig.get_path("purelib")) / "cmeel.prefix", Path("/usr/local"), Path("/usr")]
    for place in places:
        if (place / "share/eigen3/cmake/Eigen3Config.cmake").is_file():
            return place
    raise BundleFailed("no Eigen 3.4 (pip install cmeel-eigen, or Debian: apt-get install libeigen3-dev)")


def pybind11_folder() -> Path:
    try:
        import pybind11
    except ImportError as error:
        raise BundleFailed("no pybind11 (pip install pybind11)") from error
    return Path(pybind11.__file__).parent


def _files(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path, f"{name}/{path.relative_to(folder).as_posix()}"


def prove(archive: Path) -> None:
    """Unpacks it into an empty folder and configures there without network, with nothing but what it holds.
    With a CUDA toolkit as for a GPU, else as for a rehearsal."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        tree = Tree(Path(folder) / TOP, rehearse=shutil.which("nvcc") is None)
        done = subprocess.run(
            ["cmake", "-S", tree.root, "-B", tree.folder, *options(tree)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **OFFLINE, "PYTHONPATH": "", "CMAKE_PREFIX_PATH": ""},
        )
        if done.returncode != 0:
            raise BundleFailed(
                f"what was packed does not configure:\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
            )
        cache = (tree.folder / "CMakeCache.txt").read_text(encoding="utf-8")
        for name in ("Eigen3_DIR", "pybind11_DIR"):
            line = next((line for line in cache.splitlines() if line.startswith(f"{name}:")), "")
            if str(tree.root) not in line:
                raise BundleFailed(f"what was packed takes another {name}: {line or 'none'}")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
