"""What long commands say: plain lines in a log, a live line in a terminal, nothing when nobody asks."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from emisopt.progress import StageLine, TrainBar


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, legacy_windows=False)


def printed(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_a_log_gets_one_line_per_stage():
    log = console(terminal=False)
    with StageLine(console=log) as say:
        for text in ("ridge", "boosting", "boosting: 1 of 2", "boosting: 2 of 2", "scores"):
            say(text)
    assert printed(log) == "ridge ...\nboosting ...\nscores ...\n"


def test_a_terminal_shows_how_far_the_stage_is():
    screen = console(terminal=True)
    with StageLine(console=screen) as say:
        say("boosting: 1 of 2")
    assert "boosting: 1 of 2" in printed(screen)


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_shown_unasked(terminal):
    quiet = console(terminal=terminal)
    with StageLine(show=False, console=quiet) as say:
        say("boosting: 1 of 2")
    with TrainBar("training", show=False, console=quiet) as bar:
        bar.update(SimpleNamespace(step=1, steps=1, loss=1.0, validation=1.0, windows_per_second=1.0))
    assert printed(quiet) == ""


def test_a_log_of_a_training_run_is_ten_lines():
    log = console(terminal=False)
    with TrainBar("training", console=log) as bar:
        for step in range(1, 1001):
            bar.update(
                SimpleNamespace(
                    step=step, steps=1000, loss=0.5, validation=float("nan"), windows_per_second=4.2
                )
            )
    lines = printed(log).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "training: step 1000/1000  loss 0.5000  val -  4 win/s"
