"""tools.gpu: keeps its budget, goes on where it stopped, packs what a machine without network needs."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from benchmarks.cuda_peers import card
from benchmarks.cuda_peers.results import Budget, Results
from tools.gpu import __main__ as command
from tools.gpu import bundle, process, shards
from tools.gpu.build import Tree, options

ROOT = Path(__file__).resolve().parents[2]

LISTING = """Running main() from gtest_main.cc
Norm/0.  # TypeParam = float
  IsTheReferences
Attention.
  FloatIsTheReferences
  Heads/0  # GetParam() = 4
"""


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """Behaves as a GoogleTest binary of four tests; each call leaves a line in `calls`."""
    script = tmp_path / "tests"
    script.write_text(
        f"""#!/bin/sh
echo "$1" >> {tmp_path}/calls
case "$1" in
  --gtest_list_tests) printf 'A.\\n  Passes\\n  Skips\\n  Fails\\n  Hangs\\n' ;;
  *Passes) echo '[  PASSED  ] 1 test.' ;;
  *Skips) echo '[  SKIPPED ] 1 test, listed below:' ;;
  *Fails) echo 'x_test.cpp:3: Failure'; echo 'expected 1, got 2'; exit 1 ;;
  *Hangs) sleep 60 ;;
esac
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def run(
    binary: Path, budget: float, limit: float = 30.0, tests: tuple[str, ...] = ()
) -> tuple[bool, Results]:
    results = Results(binary.parent / "results.json", rehearsal=True)
    names = [t for t in shards.list_tests(binary) if not tests or t in tests]
    ended = shards.run(
        results,
        "test",
        "key",
        shards.of_tests(binary, names),
        Budget(budget),
        limit=limit,
        jobs=2,
        root=binary.parent,
        say=lambda text: None,
    )
    return ended, results


def calls(binary: Path) -> list[str]:
    lines = (binary.parent / "calls").read_text().splitlines()
    return sorted(line for line in lines if "list_tests" not in line)


# ---- shards --------------------------------------------------------------------------------------------


def test_the_tests_of_a_binary_are_listed_with_types_and_parameters() -> None:
    assert shards.parse_tests(LISTING) == [
        "Norm/0.IsTheReferences",
        "Attention.FloatIsTheReferences",
        "Attention.Heads/0",
    ]


def test_each_shard_has_its_verdict_and_a_second_call_runs_none_again(binary: Path) -> None:
    known = ("A.Passes", "A.Skips", "A.Fails")
    ended, results = run(binary, 60.0, tests=known)
    entries = results.section("test", "key")
    assert ended
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "A.Passes": "passed",
        "A.Skips": "skipped",
        "A.Fails": "failed",
    }
    assert "exit 1" in entries["A.Fails"]["why"] and "expected 1, got 2" in entries["A.Fails"]["why"]
    before = calls(binary)
    again, results = run(binary, 60.0, tests=known)
    assert again and calls(binary) == before
    counted = shards.counts(results.section("test", "key"), shards.of_tests(binary, known))
    assert counted == {"passed": 1, "skipped": 1, "failed": 1, "to go": 0}


def test_a_budget_that_is_spent_begins_nothing_and_the_next_call_goes_on(binary: Path) -> None:
    ended, results = run(binary, 0.0, tests=("A.Passes",))
    assert not ended and results.section("test", "key") == {}
    ended, results = run(binary, 60.0, tests=("A.Passes",))
    assert ended and results.section("test", "key")["A.Passes"]["state"] == "passed"


def test_a_shard_that_hangs_is_stopped_and_tried_twice(binary: Path) -> None:
    for attempt in (1, 2):
        ended, results = run(binary, 60.0, limit=0.3, tests=("A.Hangs",))
        entry = results.section("test", "key")["A.Hangs"]
        assert entry["state"] == "stopped" and entry["attempts"] == attempt
        assert ended == (attempt == 2)
    counted = shards.counts(results.section("test", "key"), shards.of_tests(binary, ["A.Hangs"]))
    assert counted["failed"] == 1


def test_a_shard_that_the_budget_stopped_has_no_attempt_counted(
    binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LEAST", 0.0)
    ended, results = run(binary, 0.4, tests=("A.Hangs",))
    assert not ended and results.section("test", "key")["A.Hangs"]["attempts"] == 0


def test_results_of_another_binary_are_not_taken_for_this_one(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.json", rehearsal=False)
    results.section("test", "one")["A.B"] = {"state": "passed"}
    assert results.section("test", "one") == {"A.B": {"state": "passed"}}
    assert results.section("test", "two") == {}


def test_what_the_sanitizer_found_is_told() -> None:
    found = "========= Invalid __global__ write of size 4 bytes"
    output = f"========= COMPUTE-SANITIZER\n{found}\n[  PASSED  ] 1 test.\n"
    state, why = shards.verdict(process.Ended(shards.ERROR, output))
    assert state == "failed" and "Invalid __global__ write" in why
    words = shards.of_sanitizer(Path("b"), ["A.B"])
    assert [shard.name for shard in words] == [f"{tool}:A.B" for tool in shards.TOOLS]
    assert {"memcheck", "racecheck", "synccheck"} <= set(shards.TOOLS)
    assert all("--error-exitcode" in shard.words for shard in words)


def test_a_run_that_tested_nothing_has_not_passed() -> None:
    assert shards.verdict(process.Ended(0, "[  PASSED  ] 0 tests.\n"))[0] == "failed"


def test_a_stopped_program_ends_with_what_it_started(tmp_path: Path) -> None:
    script = f"sleep 30 & echo $! > {tmp_path}/pid; wait"
    assert process.run(["sh", "-c", script], 1.0, tmp_path, {}).code is None
    child = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/cmdline")

    def runs() -> bool:
        try:
            return b"sleep" in child.read_bytes()  # empty: it has ended, nobody has asked how
        except OSError:
            return False

    end = time.monotonic() + 20  # it is told at once, and ends when it gets a core
    while runs() and time.monotonic() < end:
        time.sleep(0.01)
    assert not runs()


# ---- the results file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [('{"format": 1, "rehear', "torn"), ('{"format": 99}', "another format"), ("[]", "another format")],
)
def test_a_torn_or_strange_file_is_put_aside_and_said(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    results = Results(path, rehearsal=False)
    assert why in results.told and "put aside" in results.told
    assert (tmp_path / "results.json.old").read_text() == content
    assert results.section("test", "k") == {}
    results.save()
    assert Results(path, rehearsal=False).told == ""


def test_a_rehearsal_never_mixes_with_a_run_on_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    rehearsed = Results(path, rehearsal=True)
    rehearsed.section("bench", "k")["tick-S"] = {"state": "done"}
    rehearsed.save()
    assert "of a rehearsal" in Results(path, rehearsal=False).told


def test_a_save_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", rehearsal=False)
    results.section("bench", "k")["a"] = {"ours": 1.0}
    results.save()
    before = results.path.read_text()
    results.section("bench", "k")["b"] = {"ours": float("nan")}  # no JSON
    with pytest.raises(ValueError, match="JSON"):
        results.save()
    assert results.path.read_text() == before


# ---- the GPU -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test", "sanitize", "bench", "build"])
def test_without_a_gpu_one_line_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(card, "find", lambda: None)
    assert command.main([name]) == command.NO_GPU == 3
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 and "no GPU was found" in printed[0] and "--rehearse" in printed[0]


def test_no_gpu_is_found_where_nvidia_smi_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert card.find() is None


def test_the_card_is_read_from_nvidia_smi() -> None:
    found = card.parse("NVIDIA H200, 580.1, 9.0, 143771 MiB, 345 MHz, 1980 MHz, 3201 MHz, 700.00 W\n")
    assert found is not None and found.name == "NVIDIA H200" and found.architecture == "90a-real"
    assert found.facts()["clock_sm_max"] == "1980 MHz" and found.facts()["driver"] == "580.1"
    assert card.parse("No devices were found\n") is None
    assert card.peak("NVIDIA H200", "bfloat16") == 989.5e12
    assert card.peak("NVIDIA T4", "float32") is None
    assert card.Card("A100", "1", "8.0").architecture == "80-real"


def test_a_bench_of_unknown_cases_does_not_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tree = Tree(tmp_path, rehearse=True)
    (tree.stage / "emisopt").mkdir(parents=True)
    for file in (tree.stage / "emisopt/_core.so", tree.plugin, tree.attention):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert command._bench(tree, Results(tree.results, True), Budget(60), ["nothing"]) == command.FAILED


# ---- build and bundle ----------------------------------------------------------------------------------


def test_a_bundle_is_configured_with_what_it_brings(tmp_path: Path) -> None:
    (tmp_path / "third_party").mkdir()
    told = options(Tree(tmp_path))
    assert f"-DEMISOPT_GOOGLETEST={tmp_path}/third_party/googletest" in told
    assert f"-DCMAKE_PREFIX_PATH={tmp_path}/third_party/eigen" in told
    assert "-DEMISOPT_CUDA=ON" in told and "-DCMAKE_CUDA_ARCHITECTURES=90a-real" in told
    assert "-DEMISOPT_CUDA=ON" not in options(Tree(tmp_path, rehearse=True))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout: bundles are made where git is")
    if not any((folder / "CMakeLists.txt").is_file() for folder in bundle.GOOGLETEST):
        pytest.skip("no sources of GoogleTest on this machine")
    path = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    bundle.write(path)
    return path


def test_the_bundle_holds_the_tracked_files_and_what_the_build_needs(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        members = {name.partition("/")[2] for name in packed.getnames()}
    tracked = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= members
    assert {
        "third_party/eigen/include/eigen3/Eigen/Core",
        "third_party/eigen/share/eigen3/cmake/Eigen3Config.cmake",
        "third_party/googletest/googletest/src/gtest-all.cc",
        "third_party/pybind11/include/pybind11/pybind11.h",
        "third_party/pybind11/share/cmake/pybind11/pybind11Config.cmake",
    } <= members
    assert not [
        name
        for name in members
        if name.startswith(("build/", ".venv", "third_party/googletest/googlemock/src"))
    ]
    assert archive.stat().st_size < bundle.LARGEST == 64 << 20


def test_a_bundle_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path
) -> None:
    monkeypatch.setattr(bundle, "LARGEST", 1000)
    monkeypatch.setattr(bundle, "write", lambda path: path.write_bytes(archive.read_bytes()))
    with pytest.raises(bundle.BundleFailed, match="at most"):
        bundle.make(tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


@pytest.mark.slow
def test_the_bundle_configures_in_an_empty_folder_without_network(archive: Path) -> None:
    bundle.prove(archive)  # raises what is missing


@pytest.mark.slow
def test_a_bundle_that_lacks_a_file_is_found_out(tmp_path: Path, archive: Path) -> None:
    poor = tmp_path / "poor.tar.gz"
    with tarfile.open(archive) as packed, tarfile.open(poor, "w:gz") as out:
        for member in packed:
            if not member.name.endswith("Eigen3Config.cmake"):
                out.addfile(member, packed.extractfile(member) if member.isfile() else None)
    with pytest.raises(bundle.BundleFailed):
        bundle.prove(poor)


def test_results_are_json_that_others_can_read(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep/results.json", rehearsal=False)
    results.content["machine"] = {"driver": "580.1"}
    results.save()
    assert json.loads(results.path.read_text())["machine"]["driver"] == "580.1"
