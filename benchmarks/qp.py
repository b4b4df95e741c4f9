"""Quadratic programs beside DAQP, PIQP and others: MPC files, closed loops, wide problems, adversarial cases.

Every solver is asked for the same tolerance, every answer's residual is computed here (qp_peers.residual) and
the worst one is in the note. Times are each solver's own, set-up included, where it reports one (qp_peers);
ours is the wall time of the C++ call, presolve and check included. The solvers take turns. The peer of a row
is the fastest one whose residuals hold; all others are in the note.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import qp_peers
from benchmarks.harness import Row
from benchmarks.qp_peers import Answer
from benchmarks.qp_sequences import Loop, Qp, wide
from emisopt import _core, _qp_wide

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "dev"
NONE: NDArray[np.float64] = np.empty(0)
TOLERANCE = 1e-8
WIDE_SHARE = 2.5e-4  # objectives there are of size 1e3, and ours is relative to them
ORDERS, QUICK_ORDERS = (32, 64, 128, 256), (32, 64)
Times = dict[str, list[float]]


class Ours:
    """One workspace of emisopt's."""

    def __init__(self, p: Qp, tolerance: float = TOLERANCE):
        self.solver = _core._QpSolver(len(p.q), len(p.u), 60, tolerance, "automatic")

    def __call__(
        self, p: Qp, call: str = "solve", start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    ) -> Answer:
        y, z = (NONE, NONE) if start is None else start
        a = self.solver.run(call, p.P, p.q, p.lb, p.ub, p.A, p.l, p.u, NONE, NONE, y, z)
        if call != "prepare" and a.status != "optimal":
            raise RuntimeError(f"emisopt: {a.status}")
        return a.x, a.y, a.z, a.seconds


class OursWide:
    """emisopt's workspace for the wide form: H stated as banded part and outputs."""

    def __init__(self, p: Qp, lifted: Qp, tolerance: float):
        total = len(p.q)
        count = len(lifted.q) - total
        self.form = _qp_wide.Form(
            np.ascontiguousarray(lifted.P[:total, :total]), p.A,
            np.ascontiguousarray(lifted.A[:count, :total]), np.ones(count),
        )  # fmt: skip
        self.solver = self.form.solver(60, tolerance)

    def __call__(self, p: Qp) -> Answer:
        a = self.form.run(self.solver, p.q, p.lb, p.ub, p.l, p.u, NONE, NONE)
        if a.status != "optimal":
            raise RuntimeError(f"emisopt: {a.status}")
        return a.x, a.y, a.z, a.seconds


class Table:
    """Times and worst residuals of solvers that take turns."""

    def __init__(self) -> None:
        self.times: Times = {}
        self.worst: dict[str, float] = {}
        self.failed: dict[str, int] = {}

    def ask(self, name: str, p: Qp, call: Callable[[], Answer]) -> Answer | None:
        try:
            x, y, z, seconds = call()
        except (ModuleNotFoundError, RuntimeError, ValueError):
            self.failed[name] = self.failed.get(name, 0) + 1
            return None
        self.times.setdefault(name, []).append(seconds)
        self.worst[name] = max(self.worst.get(name, 0.0), qp_peers.residual(p, x, y, z))
        return x, y, z, seconds

    def rows(self, case: str, limit: float, p95: bool, suffix: str = "", note: str = "") -> list[Row]:
        """Ours beside the fastest peer that never failed and whose residuals hold."""
        if "ours" not in self.times or self.worst["ours"] > limit:
            return [
                Row(case, "time" + suffix, float("nan"), None, "daqp", unit="us", note="no answer of ours")
            ]
        peers = {k: v for k, v in self.times.items() if k != "ours"}
        fair = {k: v for k, v in peers.items() if self.worst[k] <= limit and k not in self.failed}
        about = "; ".join(
            f"{k} {1e6 * statistics.median(v):.1f} us, residual {self.worst[k]:.0e}"
            + (f", failed {self.failed[k]}" if k in self.failed else "")
            for k, v in sorted(self.times.items(), key=lambda item: statistics.median(item[1]))
        )
        rows = []
        for metric, of in (("time", statistics.median), ("time_p95", lambda v: float(np.quantile(v, 0.95)))):
            if metric == "time_p95" and not p95:
                continue
            best = min(fair, key=lambda k: of(fair[k]), default="")
            rows.append(
                Row(
                    case,
                    metric + suffix,
                    1e6 * of(self.times["ours"]),
                    1e6 * of(fair[best]) if best else None,
                    best or "daqp",
                    unit="us",
                    note=about + note,
                )
            )
        return rows


def files() -> Iterator[tuple[str, Qp]]:
    """The MPC QPs of the qpbenchmark project. EMISOPT_DATA says where the public data lies."""
    folder = Path(os.environ.get("EMISOPT_DATA", ROOT.parent / "shared" / "data")) / "mpc_qp"
    for path in sorted(folder.glob("*.npz")):
        d = np.load(path, allow_pickle=False)
        n, c = len(d["q"]), np.ascontiguousarray
        same = d["b"] if "b" in d.files else np.empty(0)
        a = np.vstack([d["G"], d["A"]]) if len(same) else d["G"]
        low = np.concatenate([np.full(len(d["h"]), -np.inf), same])
        lb = c(d["lb"]) if "lb" in d.files else np.full(n, -np.inf)
        ub = c(d["ub"]) if "ub" in d.files else np.full(n, np.inf)
        yield path.stem, Qp(c(d["P"]), c(d["q"]), c(a), low, np.concatenate([d["h"], same]), lb, ub)


def file_rows(repeats: int) -> list[Row]:
    tables: dict[str, Table] = {}
    solved = {1e-6: 0, 1e-9: 0}
    peer_solved = {1e-6: 0, 1e-9: 0}
    count = 0
    for name, p in files():
        count += 1
        family = name.rstrip("0123456789")
        table = tables.setdefault(family, Table())
        ours = Ours(p, 1e-9)
        calls: dict[str, Callable[[], Answer]] = {
            "ours": lambda p=p, ours=ours: ours(p),  # type: ignore[misc]
            "daqp": lambda p=p: qp_peers.daqp(p, 1e-9),  # type: ignore[misc]
            "piqp": lambda p=p: qp_peers.piqp(p, 1e-9),  # type: ignore[misc]
            "piqp-sparse": lambda p=p: qp_peers.piqp_sparse(p, 1e-9),  # type: ignore[misc]
            "quadprog": lambda p=p: qp_peers.quadprog(p, 1e-9),  # type: ignore[misc]
            "proxqp": lambda p=p: qp_peers.proxqp(p, 1e-9),  # type: ignore[misc]
            "clarabel": lambda p=p: qp_peers.clarabel(p, 1e-10),  # type: ignore[misc]
        }
        for k in range(repeats + 1):
            for solver, call in calls.items():
                if k > 1 and solver in ("proxqp", "clarabel"):
                    continue
                got = table.ask(solver, p, call) if k > 0 else _quiet(call)
                if k == 1 and got is not None and solver in ("ours", "piqp-sparse"):
                    residual = qp_peers.residual(p, *got[:3])
                    counts = solved if solver == "ours" else peer_solved
                    for limit in counts:
                        counts[limit] += residual <= limit
    if not count:
        return [
            Row("mpc_qp", "solved_1e-9", float("nan"), None, "piqp-sparse", note="no files: EMISOPT_DATA")
        ]
    has_peer = "piqp" in qp_peers.versions()
    rows = [
        Row(
            "mpc_qp", f"solved_{limit:.0e}".replace("e-0", "e-"), solved[limit],
            peer_solved[limit] if has_peer else None, "piqp-sparse", better="higher",
            note=f"of {count} files",
        )
        for limit in (1e-6, 1e-9)
    ]  # fmt: skip
    for family, table in tables.items():
        rows += table.rows(f"mpc_qp-{family}", 1e-9, p95=False)
    return rows


def _quiet(call: Callable[[], Answer]) -> None:
    try:
        call()
    except (ModuleNotFoundError, RuntimeError, ValueError):
        return


def loop_rows(n: int, ticks: int, seeds: int) -> list[Row]:
    """Closed loops: each solver has its own copy of the plant and rolls out its own moves."""
    cold, fresh, same, alone = Table(), Table(), Table(), Table()
    for seed in range(seeds):
        for new_jacobian in (True, False):
            cold_solvers: dict[str, Callable[[Qp], Answer]] = {
                "ours": Ours(Loop(n, new_jacobian, seed).problem()),
                "daqp": lambda p: qp_peers.daqp(p, TOLERANCE),
                "piqp": lambda p: qp_peers.piqp(p, TOLERANCE),
                "quadprog": lambda p: qp_peers.quadprog(p, TOLERANCE),
            }
            loops = {name: Loop(n, new_jacobian, seed) for name in cold_solvers}
            for tick in range(ticks):
                for name, solver in cold_solvers.items():
                    if name != "ours" and name != "daqp" and tick >= 12:
                        continue
                    p = loops[name].problem()
                    got = cold.ask(name, p, lambda p=p, solver=solver: solver(p))  # type: ignore[misc]
                    if got is not None:
                        loops[name].apply(got[0])
        _warm(fresh, n, ticks, seed)
        _known(same, alone, n, ticks, seed)
    limit = 1e-8
    return [
        *cold.rows(f"seq-n{n}-cold", limit, p95=True),
        *fresh.rows(f"seq-n{n}-newj", limit, p95=True),
        *same.rows(f"seq-n{n}-samej", limit, p95=True, note="; daqp: update + solve, wall"),
        *alone.rows(
            f"seq-n{n}-samej", limit, p95=False, suffix="_solve_only", note="; daqp: its solve time alone"
        ),
    ]


def _warm(table: Table, n: int, ticks: int, seed: int) -> None:
    """New matrices each sample; the first working set from the last one, shifted by one sample."""
    loops = {name: Loop(n, True, seed) for name in ("ours", "daqp")}
    ours = Ours(loops["ours"].problem())
    starts: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]] | None] = {"ours": None, "daqp": None}
    for tick in range(ticks + 1):
        for name, loop in loops.items():
            p, start = loop.problem(), starts[name]
            if name == "ours":
                call = "solve" if start is None else "solve_from"
                got = (table.ask if tick else _first)(name, p, lambda p=p, c=call, s=start: ours(p, c, s))  # type: ignore[misc]
            else:
                got = (table.ask if tick else _first)(
                    name, p, lambda p=p, s=start: qp_peers.daqp(p, TOLERANCE, s)  # type: ignore[misc]
                )  # fmt: skip
            if got is not None:
                starts[name] = loop.shift(got[1], got[2])
                loop.apply(got[0])


def _first(name: str, p: Qp, call: Callable[[], Answer]) -> Answer | None:
    try:
        return call()
    except (ModuleNotFoundError, RuntimeError, ValueError):
        return None


def _known(same: Table, alone: Table, n: int, ticks: int, seed: int) -> None:
    """The same H and rows at every sample: the feedback phase; both sides keep their last working set."""
    mine, theirs = Loop(n, False, seed), Loop(n, False, seed)
    ours = Ours(mine.problem())
    ours(mine.problem(), "prepare")
    try:
        model = qp_peers.DaqpModel(theirs.problem(), TOLERANCE)
    except ModuleNotFoundError:
        model = None
    for tick in range(ticks + 1):
        p = mine.problem()
        got = ours(p, "feedback")
        mine.apply(got[0])
        if tick:
            for table in (same, alone):
                table.ask("ours", p, lambda got=got: got)  # type: ignore[misc]
        if model is None:
            continue
        p = theirs.problem()
        other = model(p, TOLERANCE)
        theirs.apply(other[0])
        if tick:
            same.ask("daqp", p, lambda other=other: other)  # type: ignore[misc]
            alone.ask("daqp", p, lambda other=other: (*other[:3], model.alone))  # type: ignore[misc]


def wide_rows(n: int, smooth: bool, repeats: int, seeds: Sequence[int] = (0, 1, 2)) -> list[Row]:
    """Many variables, few outputs; the peers get the dense form and the sparse one in which y = Ju are
    variables, we the banded part and J. Ours is asked for a relative tolerance small enough for the absolute
    one that the peers are given."""
    kind = "smooth" if smooth else "random"
    rows = []
    for limit, suffix in ((1e-6, "_1e-6"), (1e-8, "_1e-8")):
        table = Table()
        for seed in seeds:
            dense, lifted = wide(n, smooth, seed)
            ours = OursWide(dense, lifted, WIDE_SHARE * limit)
            for k in range(repeats + 1):
                ask = table.ask if k else _first
                ask("ours", dense, lambda p=dense, ours=ours: ours(p))  # type: ignore[misc]
                if n <= 512:
                    ask("piqp", dense, lambda p=dense, t=limit: qp_peers.piqp(p, t))  # type: ignore[misc]
                sparse = lambda p=lifted, t=limit: qp_peers.piqp_sparse(p, t)  # type: ignore[misc]  # noqa: E731
                ask("piqp-lifted", lifted, sparse)
        rows += table.rows(f"wide-n{n}-{kind}", limit, p95=False, suffix=suffix)
    return rows


def fuzz_rows(cases: int) -> list[Row]:
    """Counts of what may never happen; there is no peer to these."""
    if not (BUILD / "CMakeCache.txt").is_file():
        raise RuntimeError(f"qp: expected a build tree in {BUILD}, found none; run `make build` first")
    built = subprocess.run(
        ["cmake", "--build", str(BUILD), "--target", "qp_fuzz"], capture_output=True, text=True
    )
    if built.returncode != 0:
        raise RuntimeError(f"qp: the build failed:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")
    total: dict[str, float] = {}
    crashes = hangs = 0
    chunk = min(cases, 50_000)
    for seed in range(cases // chunk):
        command = [str(BUILD / "qp_fuzz"), str(seed + 1), str(chunk)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            hangs += 1
            continue
        if done.returncode != 0:
            crashes += 1
            continue
        words = done.stdout.split()
        for key, value in zip(words[::2], words[1::2], strict=True):
            total[key] = (
                max(total.get(key, 0), float(value))
                if key == "longest_ms"
                else total.get(key, 0) + float(value)
            )
    about = (
        f"{total.get('cases', 0):.0f} cases: {total.get('optimal', 0):.0f} optimal, "
        f"{total.get('infeasible', 0):.0f} infeasible, {total.get('invalid', 0):.0f} invalid, "
        f"{total.get('undecided', 0):.0f} undecided; longest {total.get('longest_ms', 0):.0f} ms"
    )
    return [
        Row("fuzz", "false_optimal", total.get("false_optimal", float("nan")), note=about),
        Row("fuzz", "false_infeasible", total.get("false_infeasible", float("nan")), note=about),
        Row("fuzz", "crashes", crashes, note=about),
        Row("fuzz", "hangs", hangs + total.get("slow", 0), note=about),
    ]


def run(quick: bool) -> list[Row]:
    """All rows; quick: fewer samples, n up to 64, fifty thousand fuzz cases."""
    rows: list[Row] = []
    with threadpool_limits(1):
        rows += file_rows(2 if quick else 10)
        for n in QUICK_ORDERS if quick else ORDERS:
            rows += loop_rows(n, 12 if quick else 60 if n < 128 else 30, 1 if quick else 2)
        for n in () if quick else (384, 1024):
            for smooth in (False, True):
                rows += wide_rows(n, smooth, 3)
    return rows + fuzz_rows(50_000 if quick else 1_000_000)
