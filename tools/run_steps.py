"""Runs named steps one after the other and prints each runner's closing lines last.

    python tools/run_steps.py [--with NAME ... --] NAME="COMMAND" [[+] NAME="COMMAND"] ...

Steps with a `+` between them run at the same time: for such as keep one core busy.
A failing step does not stop the ones after it; the exit status is 1 when any failed. Output goes to the
terminal and to build/logs/NAME.log. `--with` repeats the closing lines of steps that an earlier call ran,
so that one page at the end tells the whole story.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOGS = Path("build/logs")

# How the summary of each runner begins. What follows it, to the end of the output, is worth reading twice:
# failures and skips with their reasons, and the counts.
SUMMARIES = (
    re.compile(r"^=+ short test summary info =+$"),  # pytest
    re.compile(r"^=+ .*\d+ (passed|failed|error|skipped|deselected).* =+$"),  # pytest
    re.compile(r"^\d+% tests passed.* out of \d+"),  # ctest, before and since 4.0
    re.compile(r"^No tests were found!!!"),  # ctest
    re.compile(r"^\d+ passed, \d+ failed"),  # tools/run_*.py
)
TAIL_LINES = 3  # of a step whose runner is not known


def closing_lines(output: str) -> list[str]:
    """The runner's own summary, counts last; the last few lines when no summary is found."""
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()]
    lines = [line for line in lines if line]
    for number, line in enumerate(lines):
        if any(pattern.match(line) for pattern in SUMMARIES):
            return lines[number:]
    return lines[-TAIL_LINES:]


def run_step(name: str, command: str, echo: bool = True) -> bool:
    """Runs one shell command without standard input, copies its output to the log; True when it succeeded.

    Without `echo` the output is shown when the step has ended, so that it stays in one piece.
    """
    log = LOGS / f"{name}.log"
    begin = time.monotonic()
    if echo:
        print(f"\n==== {name}: {command}", flush=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        for line in process.stdout:
            if echo:
                sys.stdout.write(line)
                sys.stdout.flush()
            file.write(line)
        # The CPU time of the step's processes barely depends on what else the machine does; the clock does.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds, cpu = time.monotonic() - begin, usage.ru_utime + usage.ru_stime
    failed = process.returncode != 0
    verdict = f"FAILED (exit {process.returncode})" if failed else "ok"
    (LOGS / f"{name}.verdict").write_text(f"{verdict}, {seconds:.0f} s, {cpu:.0f} s of CPU", encoding="utf-8")
    if not echo:
        print(f"\n==== {name}: {command}\n{log.read_text(encoding='utf-8')}", end="", flush=True)
    return not failed


def run_group(group: list[tuple[str, str, str]]) -> list[bool]:
    """Runs the steps (name, "=", command) of a group at the same time."""
    if len(group) == 1:
        ((name, _, command),) = group
        return [run_step(name, command)]
    print(f"\n==== at the same time: {', '.join(name for name, _, _ in group)}", flush=True)
    with ThreadPoolExecutor(len(group)) as pool:
        return list(pool.map(lambda step: run_step(step[0], step[2], echo=False), group))


def groups(arguments: list[str]) -> list[list[str]]:
    """The steps, in lists of those that a `+` between them lets run at the same time."""
    result: list[list[str]] = [[]]
    joined = True
    for argument in arguments:
        if argument == "+":
            joined = True
            continue
        if not joined:
            result.append([])
        result[-1].append(argument)
        joined = False
    return [group for group in result if group]


def print_closing(names: list[str]) -> None:
    """One block per step, in order; pytest last, as its counts are what a reader looks for."""
    print("\n==== closing lines", flush=True)
    for name in sorted(names, key=lambda name: name.startswith("pytest")):
        log = LOGS / f"{name}.log"
        if not log.exists():
            print(f"-- {name}: did not run")
            continue
        verdict = LOGS / f"{name}.verdict"
        print(f"-- {name}: {verdict.read_text(encoding='utf-8') if verdict.exists() else 'interrupted'}")
        print("\n".join(closing_lines(log.read_text(encoding="utf-8", errors="replace"))), flush=True)


def main(arguments: list[str]) -> int:
    earlier: list[str] = []
    if arguments[:1] == ["--with"]:
        end = arguments.index("--") if "--" in arguments else len(arguments)
        earlier, arguments = arguments[1:end], arguments[end + 1 :]
    parts = [[argument.partition("=") for argument in group] for group in groups(arguments)]
    steps = [step for group in parts for step in group]
    if not (steps or earlier) or any(not (name and command) for name, _, command in steps):
        print(__doc__, file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    for name, _, _ in steps:  # a run that is killed must not leave the last run's verdict behind
        (LOGS / f"{name}.verdict").unlink(missing_ok=True)
        (LOGS / f"{name}.log").unlink(missing_ok=True)
    passed = [one for group in parts for one in run_group(group)]
    print_closing(earlier + [name for name, _, _ in steps])
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
