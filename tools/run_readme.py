"""Runs the code blocks of README.md and docs/*.md, so that what a reader copies is known to work.

    python tools/run_readme.py [--check | --paste] [--link NAME=PATH] FILE_OR_FOLDER ...

Every fenced block says in an HTML comment before it (invisible to a reader of the page) what it is:

    <!-- run -->              bash or python, executed; python blocks of a page share their names
    <!-- run: needs NAME -->  executed when the link NAME exists (see --link); else skipped, under CI failed
    <!-- output -->           what the block before it prints; `...` stands for anything, even for lines
    <!-- output: figures -->  the same, but numbers, stars and the width of columns may differ: what a
                              trained model came to on one machine
    <!-- file: PATH -->       written to PATH for the blocks after it
    <!-- shown: REASON -->    not executed

The blocks of a page run in order in one temporary folder; --link puts a link NAME -> PATH into it. A block
without a mark is an error, and so is a link to a file that is not there. What counts as printed is standard
output; progress goes to the other stream. --check only looks at marks and links. --paste writes what was
printed into the `figures` outputs of the pages: all of it, or where `...` stands for rows left out, the rows
that are there. The last line counts: N passed, N failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(`{3,}|~{3,})\s*([\w+-]*)")
MARK = re.compile(r"^<!--\s*(run|output|file|shown)\s*(?::\s*(.*?))?\s*-->$")
LANGUAGES = {"bash": "bash", "sh": "bash", "python": "python", "py": "python"}
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)")
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?\*?")
TIMEOUT_S = 1800

# Executes the python blocks of one page in one namespace: JSON strings in, what they printed out. The pipes
# are put aside first, so that a block (or a program that it starts) cannot read or write them.
WORKER = """
import contextlib, io, json, os, traceback
orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
names = {"__name__": "__main__"}
for line in orders:
    where, code = json.loads(line)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(code, where, "exec"), names)
            status = 0
        except BaseException:
            traceback.print_exc()
            status = 1
    print(json.dumps([status, printed.getvalue()]), file=answers, flush=True)
"""


@dataclass(frozen=True)
class Block:
    path: Path
    line: int  # of the fence, 1-based
    language: str
    code: str
    kind: str  # run, output, file, shown; "" without a mark
    argument: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


class BlockError(Exception):
    """A block is not marked, failed or printed something else; the text says where and what."""


def parse_blocks(path: Path, text: str) -> Iterator[Block]:
    """The fenced blocks of one page with the marks before them; a mark holds over blank lines only."""
    lines = text.splitlines()
    mark: tuple[str, str] = ("", "")
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        if match := MARK.match(line):
            mark = (match.group(1), match.group(2) or "")
        elif fence := FENCE.match(line):
            first = number + 1
            number = first
            while number < len(lines) and not lines[number].strip().startswith(fence.group(1)):
                number += 1
            if number == len(lines):
                raise BlockError(f"{path}:{first}: the fence is never closed")
            code = "\n".join(lines[first:number]) + "\n"
            yield Block(path, first, fence.group(2).lower(), code, *mark)
            mark = ("", "")
        elif line:
            mark = ("", "")
        number += 1


def check_marks(blocks: list[Block]) -> list[str]:
    """What is wrong with the marks of a page, one line each."""
    problems = []
    for position, block in enumerate(blocks):
        before = blocks[position - 1].kind if position else ""
        if not block.kind:
            problems.append(f"{block.where}: unmarked; write <!-- run --> or <!-- shown: REASON --> above")
        elif block.kind == "run" and block.language not in LANGUAGES:
            problems.append(f"{block.where}: cannot run {block.language or 'a block without a language'}; "
                            f"use one of {', '.join(LANGUAGES)}")  # fmt: skip
        elif block.kind in ("shown", "file") and not block.argument:
            problems.append(f"{block.where}: <!-- {block.kind}: ... --> needs its argument")
        elif block.kind == "output" and block.argument not in ("", "figures"):
            problems.append(f"{block.where}: unknown option {block.argument!r}; expected `figures`")
        elif block.kind == "output" and before != "run":
            problems.append(f"{block.where}: an output must follow the block that prints it")
        elif block.kind == "run" and block.argument and not block.argument.startswith("needs "):
            problems.append(f"{block.where}: unknown option {block.argument!r}; expected `needs NAME`")
    return problems


def broken_links(path: Path, text: str) -> list[str]:
    """Links of a page, outside its blocks, to files that do not exist; one line each."""
    problems, fence = [], ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := FENCE.match(line.strip()):
            fence = "" if fence and match.group(1).startswith(fence) else fence or match.group(1)
        elif not fence:
            problems += [
                f"{path}:{number}: links to {target}, which is not there"
                for target in LINK.findall(line)
                if not (path.parent / target).exists()
            ]
    return problems


def output_matches(expected: str, got: str) -> bool:
    """Compares line by line without trailing spaces; `...` matches any text, a line of it any lines."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
    lines = [line.rstrip() for line in got.strip("\n").splitlines()]
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def without_figures(text: str) -> str:
    """One mark for each number, one space for many: what stays is what the text says."""
    return "\n".join(re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in text.splitlines())


class Page:
    """Runs the blocks of one page in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # `emisopt` is there
        }
        self.worker: subprocess.Popen[str] | None = None

    def close(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()

    def run(self, block: Block) -> str:
        """Executes one block; returns what it printed; raises BlockError when it fails."""
        if LANGUAGES[block.language] == "bash":
            status, printed = self.run_bash(block)
        else:
            status, printed = self.run_python(block)
        if status:
            raise BlockError(f"{block.where}: exit {status}\n{block.code}--- printed:\n{printed}")
        return printed

    def run_bash(self, block: Block) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.code],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise BlockError(f"{block.where}: still running after {TIMEOUT_S} s") from None
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")

    def run_python(self, block: Block) -> tuple[int, str]:
        if self.worker is None:
            self.worker = subprocess.Popen(
                [sys.executable, "-c", WORKER],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write(json.dumps([block.where, block.code]) + "\n")
        self.worker.stdin.flush()
        answer = self.worker.stdout.readline()
        if not answer:
            self.worker = None
            return 1, "the interpreter ended"
        status, printed = json.loads(answer)
        return int(status), str(printed)


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    shown: int = 0


def run_page(blocks: list[Block], links: dict[str, Path], counts: Counts, paste: bool = False) -> None:
    """Runs one page. After a failure the rest of the page still runs: each block has its own verdict."""
    pasted: list[tuple[Block, str]] = []
    with tempfile.TemporaryDirectory(prefix="emisopt-readme-") as name:
        folder = Path(name)
        for link, target in links.items():
            if target.exists():
                (folder / link).symlink_to(target.resolve())
        page = Page(folder)
        try:
            printed: str | None = None
            for block in blocks:
                if paste and printed is not None and (block.kind, block.argument) == ("output", "figures"):
                    pasted.append((block, printed))
                else:
                    printed = run_block(page, block, printed, counts)
        finally:
            page.close()
    if pasted:
        try:
            paste_outputs(pasted)
        except BlockError as error:
            counts.failed += 1
            print(f"FAILED {error}", flush=True)


def paste_outputs(pasted: list[tuple[Block, str]]) -> None:
    """Replaces the text of output blocks of one page, the last one first, so that line numbers hold."""
    path = pasted[0][0].path
    lines = path.read_text(encoding="utf-8").splitlines()
    for block, printed in reversed(pasted):
        lines[block.line : block.line + block.code.count("\n")] = renewed(block, printed)
        print(f"pasted {block.where}", flush=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def renewed(block: Block, printed: str) -> list[str]:
    """The lines printed; of a block with rows left out, its rows with the new figures."""
    new = [line.rstrip() for line in printed.splitlines()]
    old = block.code.splitlines()
    if not any(line.strip() == "..." for line in old):
        return new
    out, rest = [], iter(new)
    for line in old:
        same = without_figures(line)
        found = line if line.strip() == "..." else next((x for x in rest if without_figures(x) == same), None)
        if found is None:
            raise BlockError(f"{block.where}: no row printed is like\n{line}\n--- printed:\n{printed}")
        out.append(found)
    return out


def run_block(page: Page, block: Block, printed: str | None, counts: Counts) -> str | None:
    """Runs, compares, writes or shows one block; returns what it printed if it ran."""
    try:
        if block.kind == "shown":
            counts.shown += 1
        elif block.kind == "file":
            target = page.folder / block.argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code, encoding="utf-8")
        elif block.kind == "output":
            loose = without_figures if block.argument == "figures" else str
            if printed is not None and not output_matches(loose(block.code), loose(printed)):
                raise BlockError(f"{block.where}: expected\n{block.code}--- printed:\n{printed}")
        else:
            need = block.argument.removeprefix("needs ").strip()
            if need and not (page.folder / need).exists():
                if os.environ.get("CI") == "true":
                    raise BlockError(f"{block.where}: needs {need}, which is missing (--link {need}=PATH)")
                counts.skipped += 1
                print(f"SKIPPED {block.where}: needs {need}, which is missing", flush=True)
                return None
            result = page.run(block)
            counts.passed += 1
            print(f"passed {block.where}", flush=True)
            return result
    except BlockError as error:
        counts.failed += 1
        print(f"FAILED {error}", flush=True)
    return None


def pages_of(arguments: list[Path]) -> Iterator[Path]:
    for argument in arguments:
        yield from sorted(argument.rglob("*.md")) if argument.is_dir() else [argument]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="look at the marks only")
    parser.add_argument("--paste", action="store_true", help="renew the outputs marked `figures`")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("paths", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    links = {name: Path(path) for name, _, path in (link.partition("=") for link in options.link)}

    counts = Counts()
    for path in pages_of(options.paths):
        try:
            text = path.read_text(encoding="utf-8")
            blocks = list(parse_blocks(path, text))
            problems = [*check_marks(blocks), *broken_links(path, text)]
        except (BlockError, OSError) as error:
            blocks, problems = [], [str(error)]
        for problem in problems:
            print(problem, flush=True)
        counts.failed += len(problems)
        if not options.check and not problems:
            run_page(blocks, links, counts, options.paste)
    if not options.check:
        print(f"{counts.shown} blocks shown with a reason, not run")
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
