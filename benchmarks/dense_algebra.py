"""fp64 dense algebra of the controller beside Eigen and OpenBLAS, one thread.

The timing is done in C++ (dense_algebra.cpp): ours, Eigen (compiled in with -O3 -march=native -DNDEBUG) and
OpenBLAS (opened at run time, one thread) take turns, so that no side pays for Python's calls. Of several ways
in which a peer can do the same (upper or lower, rows or columns) its fastest counts.
"""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.harness import Row

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "dev"
ORDERS = (16, 24, 32, 48, 64, 96, 128, 144, 192, 256, 384, 512)
QUICK_ORDERS = (16, 64, 144)
PEERS = ("eigen", "openblas")


def openblas() -> str:
    """The library inside the installed scipy wheel, or "-" when there is none."""
    try:
        files = metadata.files("scipy") or []
    except metadata.PackageNotFoundError:
        return "-"
    found = [str(file.locate()) for file in files if "openblas" in file.name]
    return found[0] if found else "-"


def parse(text: str) -> list[Row]:
    """The rows of the program's output. Without a figure of the peer the row is left without one; where BLAS
    has no such function there is no row."""
    peak, about, rows = 0.0, "", []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "about":
            about = rest
        elif kind == "peak":
            peak = max(peak, float(rest))
    without_blas = "no OpenBLAS" in about
    for line in text.splitlines():
        if not line.startswith("row "):
            continue
        name, order, *figures = line.split()[1:]
        flop, ours, *peers = (float(figure) for figure in figures)
        for peer, ns in zip(PEERS, peers, strict=True):
            missing = ns != ns
            if missing and peer == "openblas" and not without_blas:
                continue
            rows.append(
                Row(
                    f"dense-{name.replace('_', '-')}-{order}",
                    "time",
                    ours,
                    None if missing else ns,
                    peer,
                    unit="ns",
                    note=f"{flop / ours:.1f} GFLOP/s, {flop / ours / peak:.0%} of the FMA peak "
                    f"{peak:.1f}; p50, one thread; {about}",
                )
            )
    return rows


def rows(quick: bool) -> list[Row]:
    """Time per call at n = 16..512, each beside both peers. Builds the program in build/dev when needed.

    Raises RuntimeError when there is no build tree or the program fails.
    """
    if not (BUILD / "CMakeCache.txt").is_file():
        raise RuntimeError(
            f"dense_algebra: expected a build tree in {BUILD}, found none; run `make build` first"
        )
    built = subprocess.run(
        ["cmake", "--build", str(BUILD), "--target", "dense_algebra"], capture_output=True, text=True
    )
    if built.returncode != 0:
        raise RuntimeError(f"dense_algebra: the build failed:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")
    orders = QUICK_ORDERS if quick else ORDERS
    done = subprocess.run(
        [str(BUILD / "kernels" / "dense_algebra"), "20" if quick else "100", openblas(), *map(str, orders)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"dense_algebra: exit status {done.returncode}: {done.stderr.strip()[-500:]}")
    return parse(done.stdout)
