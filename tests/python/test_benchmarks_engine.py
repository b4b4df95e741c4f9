"""Suites engine and learn: answers are compared before times, missing peers are unmet rows, ratios are right.

No framework is needed; those that are installed are compared with the engine at a small size, too.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from benchmarks import __main__ as door
from benchmarks import engine, engine_cost, engine_growth, learn
from benchmarks.engine_peers import contest, ours
from benchmarks.engine_peers.contest import Arena, Contestant, Pace, Result, Timing
from benchmarks.engine_peers.problem import RATE, SETPOINTS, Problem
from emisopt.engine import Architecture

TINY = Architecture(context=8, horizon=4, width=16, heads=2, layers=2, future_width=8)
OURS = Contestant("ours", "", 1)
QUICK = Pace(rounds=2, block=0.005, slow=0.5)
INSTALLED = [
    contestant
    for package, contestant, workload in (
        (
            "torch",
            Contestant("torch_calls", "full-eager", 1),
            "forward gradient jacobian train online-full",
        ),
        ("torch", Contestant("torch_calls", "cached-eager", 1), "forward tick gradient jacobian"),
        ("onnxscript", Contestant("onnx_calls", "fp32", 1), "forward"),
    )
    if importlib.util.find_spec(package)
    for contestant in [(contestant, name) for name in workload.split()]
]


def problem(workload: str = "tick") -> Problem:
    return Problem(workload, batch=4 if workload.startswith(("train", "online")) else 1, arch=TINY)


@pytest.fixture(scope="module")
def arena():
    with Arena() as held:
        yield held


@pytest.mark.parametrize(
    "workload",
    ["forward", "tick", "prefix", "gradient", "jacobian", "train", "online-lora", "online-lora-all"],
)
def test_our_side_answers_and_is_timed(workload, arena):
    result = arena.hold("case", problem(workload), [OURS], [], QUICK)
    timing = result.ours[1]
    assert 0 < timing.best <= timing.p50 <= timing.p99
    assert timing.flop > 0 and timing.bytes > 0
    assert not result.peers and not result.absent


if INSTALLED:  # peers come with the group `bench`, which a development environment need not have

    @pytest.mark.parametrize(("contestant", "workload"), INSTALLED)
    def test_installed_peers_give_our_answers(contestant, workload, arena):
        result = arena.hold(workload, problem(workload), [OURS], [contestant], QUICK)
        assert result.absent == {}  # else: the reason
        assert [t.contestant for t in result.peers] == [contestant]


def test_a_library_that_is_not_there_is_told_and_the_rest_goes_on(arena):
    result = arena.hold("tick-S", problem(), [OURS], [Contestant("nosuch", "full", 1)], QUICK)
    assert list(result.absent) == ["nosuch-1t"]
    assert result.absent["nosuch-1t"].startswith("No module")
    assert result.ours[1].ms


def test_other_answers_fail_before_anything_is_timed():
    truth = {"quantiles": np.array([1.0, -2.0]), "moved": np.ones(4)}
    contest._compare("c", OURS, {"quantiles": np.array([1.0, -2.0 + 1e-4])}, truth)
    with pytest.raises(AssertionError, match=r"c: emisopt with 1 threads: quantiles differs by 0\.005"):
        contest._compare("c", OURS, {"quantiles": np.array([1.01, -2.0])}, truth)
    with pytest.raises(AssertionError, match="quantiles differs by nan"):
        contest._compare("c", OURS, {"quantiles": np.array([np.nan, -2.0])}, truth)
    contest._compare("c", Contestant("ours", "int8", 1), {"quantiles": np.array([1.1, -2.0])}, truth)
    with pytest.raises(AssertionError, match="moved"):
        contest._compare("c", OURS, {"moved": np.array([1.0, 1.0, 1.0, 1.2])}, truth)


def test_gradient_and_jacobian_are_those_of_the_setpoints():
    gradient = ours.prepare(problem("gradient"), "", 1).answer()
    jacobian = ours.prepare(problem("jacobian"), "", 1).answer()["jacobian"]
    assert gradient["gradient"].shape == (4, SETPOINTS)
    assert jacobian.shape == (4, 4, 4, SETPOINTS)
    case = problem("gradient")
    moved = case.future.copy()
    moved[0, 1, 2] += 1e-2
    changed = Problem("gradient", arch=TINY)
    changed.__dict__["future"] = moved
    slope = (ours.prepare(changed, "", 1).answer()["cost"] - gradient["cost"]) / 1e-2
    assert slope == pytest.approx(gradient["gradient"][1, 2], rel=0.05, abs=0.02)


def test_a_training_step_moves_the_weights_by_the_rate():
    answer = ours.prepare(problem("train"), "", 1).answer()
    assert np.abs(answer["moved"]).max() == pytest.approx(RATE, rel=0.1)
    assert np.all(
        np.sign(answer["moved"]) == -np.sign(answer["gradient"]), where=np.abs(answer["gradient"]) > 1e-3
    )


def timing(library: str, kind: str, threads: int, *ms: float, disturbed: int = 0) -> Timing:
    made = Timing(Contestant(library, kind, threads), list(ms), list(ms[disturbed:]))
    made.flop = 1e9
    return made


def result(**changes) -> Result:
    made = {
        "case": "tick-S",
        "ours": {1: timing("ours", "", 1, *[2.0] * 9), 2: timing("ours", "", 2, *[1.0] * 9)},
        "peers": [
            timing("torch_calls", "full-eager", 1, *[12.0] * 9),
            timing("torch_calls", "full-compile", 2, *[8.0] * 9),
            timing("torch_calls", "cached-eager", 1, *[5.0] * 9),
        ],
        "absent": {},
    }
    return Result(**{**made, **changes})


def test_the_best_of_threads_and_frameworks_counts():
    row = engine._row(result(), "ms_vs_framework", False, 16, complete=True)
    assert (row.ours, row.peer, row.peer_name, row.ratio) == (1.0, 8.0, "torch-compile-2t", 8.0)
    assert "goal 16" in row.note and "torch-eager(1t) p50 12" in row.note
    cached = engine._row(result(), "ms_vs_cached", True, 10, complete=False)
    assert (cached.peer_name, cached.ratio) == ("torch-cached-eager-1t", 5.0)
    assert "chosen peers only" in cached.note


def test_a_named_peer_that_is_not_installed_leaves_the_row_unmet():
    absent = {"onnxruntime-1t": "No module named 'onnxruntime'"}
    row = engine._row(result(absent=absent), "ms_vs_framework", False, 16, complete=True)
    assert row.peer is None and math.isnan(row.ratio) and row.peer_name
    assert "absent: onnxruntime-1t (No module" in row.note
    cached = engine._row(result(absent=absent), "ms_vs_cached", True, 10, complete=True)
    assert cached.ratio == 5.0  # that row names no ONNX Runtime


def test_interrupted_calls_count_only_when_there_are_no_others():
    few = timing("ours", "", 1, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, disturbed=3)
    assert few.is_quiet and few.p50 == 1.0 and few.p99 > 8
    none = timing("ours", "", 1, 9.0, 9.0, 9.0, 1.0, disturbed=3)
    assert not none.is_quiet and none.p50 == 9.0
    assert "all disturbed" in engine._words("ours", none)


def test_shares_are_of_the_peak_of_as_many_threads():
    one, two = engine._shares(result(), {1: 1000.0, 2: 2000.0})
    assert (one.metric, one.ours, one.better) == ("peak_share", 0.5, "higher")
    assert (two.metric, two.ours) == ("peak_share_2t", 0.5)


def test_the_peak_is_measured_and_grows_with_threads():
    peak = engine.fma_peak(windows=5)
    assert list(peak) == engine.threads()
    assert all(rate > 1 or math.isnan(rate) for rate in peak.values())  # GFLOP/s; NaN: ref has no loop


def test_cases_and_peers_are_chosen_by_pattern(monkeypatch):
    seen = []
    monkeypatch.setattr(engine, "rows_of", lambda arena, case, peers, pace: seen.append((case, peers)) or [])
    monkeypatch.setattr(engine_growth, "call_overhead", lambda: None)
    engine.run(quick=True, cases=["*-S"], peers=["torch-eager"])
    engine.run(quick=False, cases=["tick-?"])
    assert ("gradient-S", ["torch-eager"]) in seen and ("tick-M", ("*",)) in seen
    assert not any(case.endswith("-L") for case, _ in seen if case != "tick-L")
    seen.clear()
    learn.run(quick=True, cases=["train16-*"])
    assert [case for case, _ in seen] == ["train16-S", "train16-M", "train16-L"]


def test_every_case_names_its_peers():
    names = {r.name for r in engine.rivals_of(Problem.of("gradient-M"))}
    assert names == {
        *("torch-eager", "torch-compile", "torch-autotune", "jax"),
        *("torch-cached-eager", "torch-cached-compile", "torch-cached-autotune"),
    }
    assert "onnxruntime" in {r.name for r in engine.rivals_of(Problem.of("tick-L"))}
    assert Problem.of("train128-L").batch == 128
    with pytest.raises(ValueError, match="expected a name that ends in -S"):
        Problem.of("tick-Q")


def test_growth_is_summed_up_by_its_exponent(arena):
    points = {n: Problem("tick", arch=TINY.with_(horizon=n)) for n in (2, 4)}
    *rows, last = engine_growth._series(arena, "grow-tick", "H", points, None, quick=True)
    assert [r.case for r in rows] == ["grow-tick-H2", "grow-tick-H4"]
    assert last.ours == pytest.approx(math.log(rows[1].ours / rows[0].ours) / math.log(2))


def test_call_overhead_energy_and_cost_are_rows():
    row = engine_growth.call_overhead(batches=20)
    assert row.metric == "us" and 0 < row.ours < 100
    energy = engine_growth._energy()
    assert math.isnan(energy.ours) == ("not readable" in energy.note or "wrapped" in energy.note)
    (cost,) = engine_cost.rows(quick=True)
    assert cost.case == "cost-infer-S" and cost.ours > 0


def test_a_suite_without_single_rows_says_so(capsys):
    assert door.main(["loop", "--case", "x"]) == 2
    assert "suite loop has no choice of single rows" in capsys.readouterr().err
