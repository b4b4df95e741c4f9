"""Progress of a training run: a bar in a terminal, quiet when nobody looks, and what Ctrl-C means."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Report", "StageLine", "StudyBar", "TrainBar"]


class Report(Protocol):
    """What the trainer tells after each step (`_core.TrainProgress`)."""

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def validation(self) -> float: ...
    @property
    def windows_per_second(self) -> float: ...


def _number(x: float) -> str:
    return "-" if math.isnan(x) else f"{x:.4f}"


class TrainBar:
    """A rich progress bar with loss, validation loss, rate and time left; use as a context manager.

    Parameters
    ----------
    title : text before the bar
    show : False shows nothing; True shows a bar, as plain text lines when the console is no terminal
    """

    def __init__(self, title: str, *, show: bool = True, console: Console | None = None) -> None:
        self._show = show
        self._console = console or Console(file=sys.stderr)
        self._title = title
        self._lines = 0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("loss {task.fields[loss]}  val {task.fields[validation]}  {task.fields[rate]} win/s"),
            TimeRemainingColumn(),
            console=self._console,
            refresh_per_second=4,
            transient=False,
            disable=not show or not self._console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=1, loss="-", validation="-", rate="-")

    def __enter__(self) -> TrainBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, report: Report) -> None:
        """Shows one report of the trainer."""
        if not self._show:
            return
        if not self._console.is_terminal:
            self._line(report)
            return
        self._progress.update(
            self._task,
            completed=report.step,
            total=report.steps,
            loss=_number(report.loss),
            validation=_number(report.validation),
            rate=f"{report.windows_per_second:.0f}",
        )

    def _line(self, report: Report) -> None:
        # Into a file or a pipe: ten plain lines for the run, so that a log stays readable.
        due = report.step * 10 // max(1, report.steps)
        if due > self._lines or report.step == report.steps:
            self._lines = due
            self._console.print(
                f"{self._title}: step {report.step}/{report.steps}  loss {_number(report.loss)}  "
                f"val {_number(report.validation)}  {report.windows_per_second:.0f} win/s",
                highlight=False,
                soft_wrap=True,
            )


class StageLine:
    """What a long command is doing now: one live line in a terminal, a line per stage in a log.

    Use as a context manager and call it with "STAGE" or "STAGE: how far".

    Parameters
    ----------
    show : False shows nothing
    console : where to; None: stderr
    """

    def __init__(self, *, show: bool = True, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._show = show
        self._stage = ""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            refresh_per_second=4,
            transient=True,
            disable=not show or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> StageLine:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, text: str) -> None:
        stage = text.partition(":")[0]
        if not self._show:
            return
        if self._console.is_terminal:
            self._progress.update(self._task, description=text)
        elif stage != self._stage:
            self._console.print(f"{stage} ...", highlight=False, soft_wrap=True)
        self._stage = stage


class StudyBar:
    """Runs done of a study, how many failed, and the time left; use as a context manager.

    Parameters
    ----------
    title : text before the bar
    total : runs in all;   done : of these known from before, they count for no time
    show : False shows nothing; True shows a bar, as ten plain lines when the console is no terminal
    console : where to; None: stderr
    """

    def __init__(
        self, title: str, total: int, done: int = 0, *, show: bool = True, console: Console | None = None
    ) -> None:
        self._console = console or Console(file=sys.stderr)
        self._show, self._title, self._total = show, title, total
        self._before = self._done = done
        self._failed, self._lines, self._begin = 0, 0, time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f} runs, {task.fields[failed]} failed"),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=self._console,
            refresh_per_second=4,
            disable=not show or not self._console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=total, completed=done, failed=0, left="")

    def __enter__(self) -> StudyBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, *, failed: bool = False) -> None:
        """One more run is done."""
        self._done += 1
        self._failed += failed
        if not self._show:
            return
        left = self.seconds_left(time.monotonic() - self._begin)
        text = f"{_duration(left)} left" if self._done < self._total else "done"
        if self._console.is_terminal:
            self._progress.update(self._task, completed=self._done, failed=self._failed, left=text)
            return
        due = self._done * 10 // self._total
        if due > self._lines or self._done == self._total:
            self._lines = due
            self._console.print(
                f"{self._title}: {self._done}/{self._total} runs, {self._failed} failed, {text}",
                highlight=False,
                soft_wrap=True,
            )

    def seconds_left(self, elapsed: float) -> float:
        """By the mean pace of the runs made so far; what was known before does not count. NaN: none yet."""
        made = self._done - self._before
        return elapsed / made * (self._total - self._done) if made else math.nan


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 5400 else f"{whole / 3600:.1f} h"
