"""One case in this process: `python -m benchmarks.cuda_peers.worker NAME [--rehearse] [--quick]`.

Standard output belongs to the answers, a JSON object a line: {"rows": [...], "complete": false} as soon as
what is quick to prepare has been measured, then with the compiled peer; --quick: without it. What libraries
print goes to standard error.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.cuda_peers import core

if TYPE_CHECKING:
    from benchmarks.cuda_peers.cases import Case
    from benchmarks.cuda_peers.contest import Contestant, Timing
    from benchmarks.harness import Row

Tell = Callable[[Sequence["Row"], bool], None]
HOW = ("eager", "graphed", "compiled")  # the last takes long to prepare


def measure(case: Case, rehearse: bool, quick: bool, tell: Tell) -> None:
    """Calls `tell` with the rows known so far, and whether they are all."""
    device = "cpu" if rehearse else "cuda"
    if case.family == "attention":
        attention(case, rehearse, device, tell)
    elif case.family == "deterministic":
        deterministic(case, rehearse, tell)
    else:
        programs(case, rehearse, quick, device, tell)


def programs(case: Case, rehearse: bool, quick: bool, device: str, tell: Tell) -> None:
    from benchmarks.cuda_peers import contest, ours

    problem = case.problem(rehearse)
    trains = case.family == "train"
    mode = "train" if trains else "vjp"
    precision = case.precision or (ours.precision_of(problem, mode) if trains else "float32")
    absent: dict[str, str] = {}
    try:
        made = (ours.training if trains else ours.tick)(problem, precision)
    except contest.Absent as error:
        tell([_row(case, "ms_vs_eager", math.nan, note=str(error))], True)
        return
    contestants = [made]
    pace = contest.Pace(rounds=2, block=0.02, least=2) if rehearse else contest.Pace()
    for how in HOW:
        if how == HOW[-1] and (quick or len(contestants) > 1):
            tell(_compared(case, precision, contestants, pace, absent, device), False)
            if quick:
                return
        try:
            from benchmarks.cuda_peers import torch_calls

            prepare = torch_calls.training if trains else torch_calls.tick
            contestants.append(prepare(problem, how, precision, device))
        except (ImportError, contest.Absent) as error:
            absent[f"torch-{how}"] = str(error)
    tell(_compared(case, precision, contestants, pace, absent, device), True)


def _compared(
    case: Case,
    precision: str,
    contestants: Sequence[Contestant],
    pace: object,
    absent: dict[str, str],
    device: str,
) -> list[Row]:
    from benchmarks.cuda_peers import cases, contest

    contest.compare(case.name, contestants, precision)
    timings = contest.take_turns(contestants, pace)  # type: ignore[arg-type]
    ours = timings["emisopt"]
    note = [f"{cases.SHORT[precision]} on all sides, our products by {core.products()}"]
    note += (t.words(name) for name, t in timings.items())
    note += [f"{c.name} ready in {c.compile_seconds:.0f} s" for c in contestants if c.compile_seconds > 1]
    note += [f"absent: {name} ({why})" for name, why in absent.items()]
    goals = _goals(case)
    rows = []
    for metric, names in (
        ("ms_vs_eager", ("torch-eager",)),
        ("ms_vs_graphed", ("torch-graphed",)),
        ("ms_vs_compiled", ("torch-compiled", "torch-graphed")),
    ):
        here = {name: timings[name].p50 for name in names if name in timings}
        best = min(here, key=here.__getitem__) if here else ""
        told = [*note, f"goal {goals[metric]:g} x"] if metric in goals else note
        if metric == "ms_vs_compiled" and "torch-compiled" not in timings:
            told = [*told, "without torch.compile"]
        rows.append(
            _row(case, metric, ours.p50, here.get(best), best or names[0], "ms", note="; ".join(told))
        )
    if case.family == "tick":
        rows.append(_row(case, "ms", ours.p50, cases.TICK_MS, "goal", "ms", note=ours.words("emisopt")))
        return rows
    return rows + _utilisation(case, precision, contestants[0].flop, ours, device)


def _goals(case: Case) -> dict[str, float]:
    from benchmarks.cuda_peers import cases

    if case.family == "tick":
        return {"ms_vs_eager": cases.TICK_EAGER, "ms_vs_graphed": cases.TICK_GRAPHED}
    return {"ms_vs_eager": cases.EAGER[case.size], "ms_vs_compiled": cases.COMPILED[case.size]}


def _utilisation(case: Case, precision: str, flop: float, ours: Timing, device: str) -> list[Row]:
    """The share of the card's stated peak for that precision, by the network's own FLOP."""
    from benchmarks.cuda_peers import card, cases

    found = card.find() if device == "cuda" else None
    peak = card.peak(found.name, precision) if found else None
    if peak is None:
        what = "no GPU" if found is None else f"no stated peak of '{found.name}' is known here"
        return [_row(case, "mfu", math.nan, note=f"{what}; {flop:.6g} FLOP per step")]
    share = flop / (ours.p50 * 1e-3) / peak
    note = f"{flop:.6g} FLOP per step, {peak * 1e-12:g} TFLOP/s stated for {cases.SHORT[precision]}"
    return [_row(case, "mfu", share, cases.MFU[case.size], "goal", "share", "higher", note)]


def attention(case: Case, rehearse: bool, device: str, tell: Tell) -> None:
    from benchmarks.cuda_peers import cases, contest

    rows: list[Row] = []
    shapes = cases.ATTENTION_REHEARSAL if rehearse else cases.ATTENTION
    passes = 1 if rehearse else 20
    pace = contest.Pace(rounds=2, block=0.02, least=2) if rehearse else contest.Pace(block=0.05)
    for shape in shapes:
        windows, length, heads, head_dim = shape
        metric = f"ms_vs_flash-T{length}-h{heads}x{head_dim}"
        try:
            from benchmarks.cuda_peers import attention as sides

            both = sides.contestants(shape, device, passes)
        except (ImportError, contest.Absent) as error:
            rows.append(_row(case, metric, math.nan, None, "torch-flash", "ms", note=str(error)))
            continue
        contest.compare(f"{case.name}-{metric}", both, "bfloat16")
        timings = contest.take_turns(both, pace)
        note = [f"bf16, {windows} windows, forward and backward, {passes} per graph; per graph:"]
        note += [timing.words(name) for name, timing in timings.items()]
        mine, theirs = (timings[c.name].p50 / passes for c in both)
        said = "; ".join([*note, f"goal {cases.FLASH:g} x"])
        rows.append(_row(case, metric, mine, theirs, "torch-flash", "ms", note=said))
        tell(rows, shape == shapes[-1])
    if not rows or math.isnan(rows[-1].ours):
        tell(rows, True)


def deterministic(case: Case, rehearse: bool, tell: Tell) -> None:
    """Bits of two processes."""
    from benchmarks.cuda_peers import cases, ours

    rows = []
    for name in ("train256-S", "train256-M", "tick-S"):
        kind, _, size = name.partition("-")
        trains = kind != "tick"
        problem = cases.Case(kind, size).problem(rehearse)
        precision = ours.precision_of(problem, "train") if trains else "float32"
        command = [sys.executable, "-m", "benchmarks.cuda_peers.digest", name, precision]
        command += ["--rehearse"] if rehearse else []
        seen = [
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.strip()
            for _ in range(2)
        ]
        same = float(seen[0] == seen[1] and len(seen[0]) == 64)
        note = f"{cases.SHORT[precision]}; SHA-256 of two processes: {seen[0][:16]}, {seen[1][:16]}"
        rows.append(_row(case, f"equal_bits-{name}", same, 1.0, "goal", better="higher", note=note))
        tell(rows, name == "tick-S")


def _row(
    case: Case,
    metric: str,
    ours: float,
    peer: float | None = None,
    peer_name: str = "",
    unit: str = "",
    better: str = "lower",
    note: str = "",
) -> Row:
    from benchmarks.harness import Row

    return Row(case.name, metric, ours, peer, peer_name, unit, better, note)  # type: ignore[arg-type]


def main(arguments: list[str]) -> int:
    from benchmarks.cuda_peers import cases

    rehearse = "--rehearse" in arguments
    (case,) = cases.choose([arguments[0]])
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)

    def tell(rows: Sequence[Row], complete: bool) -> None:
        records = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(r).items()}
            for r in rows
        ]
        print(json.dumps({"rows": records, "complete": complete}), file=answers, flush=True)

    measure(case, rehearse, "--quick" in arguments, tell)
    return 0


if __name__ == "__main__":
    core.settle()
    sys.exit(main(sys.argv[1:]))
