"""The command line of tools.gpu."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import harness, machine
from benchmarks.cuda_peers import card, cases, runner
from benchmarks.cuda_peers.results import Budget, Results
from tools.gpu import bundle, process, shards
from tools.gpu.build import BudgetEnded, BuildFailed, Tree, build

OK, FAILED, NO_GPU, AGAIN, INTERRUPTED = 0, 1, 3, 75, 130
MINUTES = 8.0
REHEARSAL = "a rehearsal on the CPU (host executor): nothing here is a figure of a GPU"
# A process on the device takes a second to begin; several share the GPU. On the executor: a core each.
JOBS = 4
LIMIT = {"test": 180.0, "sanitize": 300.0}


def say(text: str) -> None:
    print(f"gpu: {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description=__doc__)
    parser.add_argument("command", choices=("build", "bundle", "test", "sanitize", "bench"))
    parser.add_argument("--rehearse", action="store_true", help=REHEARSAL)
    parser.add_argument("--budget", type=float, default=60 * MINUTES, metavar="SECONDS", help="in all")
    parser.add_argument("--architecture", metavar="90a-real", help="of CMake; else the GPU's own")
    parser.add_argument(
        "--case", action="append", default=[], metavar="PATTERN", help="bench: only such cases"
    )
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="test, sanitize: only tests that hold it"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help="test, sanitize: processes at a time")
    parser.add_argument("--output", type=Path, metavar="FILE", help="bundle: the archive")
    options = parser.parse_args(arguments)
    budget = Budget(options.budget)
    if options.command == "bundle":
        return _bundle(options.output)

    found = None if options.rehearse else card.find()
    if options.rehearse:
        say(REHEARSAL)
    elif found is None and not (options.command == "build" and options.architecture):
        say(f"{card.NONE}; --rehearse runs the same steps on the CPU")
        return NO_GPU
    tree = Tree(
        rehearse=options.rehearse, architecture=options.architecture or (found.architecture if found else "")
    )
    results = Results(tree.results, options.rehearse)
    if results.told:
        say(results.told)
    try:
        build(tree, options.command, budget, say)
        if options.command == "build":
            say(f"built in {tree.folder}")
            return OK
        results.content["machine"] = {
            **machine.describe(),
            **(found.facts() if found else {}),
            **_toolkit(tree),
        }
        if options.command == "bench":
            return _bench(tree, results, budget, options.case)
        return _tests(tree, results, budget, options)
    except BuildFailed as error:
        say(f"the build failed: {error}")
        return FAILED
    except BudgetEnded as error:
        return _again(options.command, str(error))
    except KeyboardInterrupt:
        say(f"{options.command}: interrupted; the same command goes on from here")
        return INTERRUPTED


def _again(command: str, where: str) -> int:
    say(f"{command}: the budget ended ({where}); the same command goes on from here")
    return AGAIN


def _toolkit(tree: Tree) -> dict[str, str]:
    """nvcc's version line."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return {}
    lines = process.run([nvcc, "--version"], 60, tree.root, {}).output.strip().splitlines()
    return {"nvcc": next((line.strip() for line in lines if "release" in line), "")}


def _tests(tree: Tree, results: Results, budget: Budget, options: argparse.Namespace) -> int:
    section, rehearse = options.command, options.rehearse
    binary = tree.checked if section == "sanitize" and rehearse else tree.tests
    if section == "sanitize" and not rehearse and shutil.which(shards.SANITIZER) is None:
        say(f"sanitize: no {shards.SANITIZER} on PATH; it comes with the CUDA toolkit")
        return FAILED
    tests = [test for test in shards.list_tests(binary) if options.filter in test]
    make: Callable[[Path, Sequence[str]], list[shards.Shard]] = shards.of_tests
    if section == "sanitize":
        make = shards.of_checked if rehearse else shards.of_sanitizer
    chosen, key = make(binary, tests), tree.key([binary])
    say(f"{section}: {len(chosen)} shards of {binary.name}")
    limit = LIMIT[section]
    ended = shards.run(
        results, section, key, chosen, budget, limit=limit, jobs=options.jobs, root=tree.root, say=say
    )
    results.save()
    count = shards.counts(results.section(section, key), chosen)
    say(f"{section}: " + ", ".join(f"{n} {what}" for what, n in count.items()) + f"; {tree.results}")
    if not ended:
        return _again(section, f"{count['to go']} to go")
    return FAILED if count["failed"] or not chosen else OK


def _bench(tree: Tree, results: Results, budget: Budget, patterns: Sequence[str]) -> int:
    chosen = cases.choose(list(patterns))
    if about := results.content["machine"]:
        say(machine.sentence(about))
    (core,) = (tree.stage / "emisopt").glob("_core*.so")
    key = tree.key([core, tree.plugin, tree.attention])
    ended = runner.run_cases(
        results, chosen, budget, key=key, rehearse=tree.rehearse, environment=tree.environment(), say=say
    )
    results.save()
    suite = "cuda-rehearsal" if tree.rehearse else "cuda"
    for row in runner.rows_of(results, key, chosen):
        print(harness.result_line(suite, row), flush=True)
    entries = results.section(runner.SECTION, key)
    to_go = runner.pending(entries, chosen)
    failed = [c.name for c in chosen if c not in to_go and entries[c.name]["state"] != "done"]
    done = len(chosen) - len(to_go) - len(failed)
    say(f"bench: {done} done, {len(failed)} failed, {len(to_go)} to go; {tree.results}")
    if not ended:
        return _again("bench", f"{len(to_go)} to go")
    return FAILED if failed or not chosen else OK


def _bundle(output: Path | None) -> int:
    try:
        say(bundle.make(output or bundle.DEFAULT))
    except bundle.BundleFailed as error:
        say(f"bundle: {error}")
        return FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main())
