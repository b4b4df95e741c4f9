"""Program.training: a training that stays on the device, here on the executor that runs it on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from cuda_host import PLUGIN, need
from emisopt import _core
from emisopt.engine import Architecture, Program

COMMON = """
import numpy as np
from emisopt import _core
from emisopt.engine import AdamW, Architecture, Program

SMALL = Architecture(context=8, horizon=4, width=16, heads=2, layers=1, history_width=5, future_width=3)
OPTIONS = dict(decay=0.01, clip=0.05, l2sp=1e-3)

def write(program, number):
    rng = np.random.default_rng(number)
    for name in ("history", "future", "target"):
        view = getattr(program, name)
        view[:] = rng.standard_normal(view.shape)
    program.weight[:] = 1.0

program = Program(SMALL, 3, mode="train", isa="cuda")
training = program.training(**OPTIONS)
"""


def run(script: str, plugin: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMON + textwrap.dedent(script)],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plugin() -> str:
    need(PLUGIN)
    return str(PLUGIN)


def test_ten_steps_end_where_the_cpu_optimiser_ends(plugin: str) -> None:
    run(
        """
        losses = []
        for number in range(10):
            write(program, number)
            training.step(1e-3)
            if training.in_flight == 2:
                losses.append(training.finish())
        losses.append(training.finish())
        assert training.in_flight == 0 and training.steps == 10

        host = Program(SMALL, 3, mode="train")
        theta = host.theta.copy()
        optimiser = AdamW(host, theta, rate=1e-3, **OPTIONS)
        for number, step in enumerate(losses):
            write(host, number)
            host.load(theta)
            host.run()
            norm = np.linalg.norm(host.gradient.astype(float))
            assert abs(host.loss - step.loss) < 1e-5 * host.loss and step.finite
            assert abs(norm - step.norm) < 1e-4 * norm and norm > OPTIONS["clip"]
            optimiser.step(host.gradient)
        apart = np.abs(training.weights() - theta).max()
        assert 0 < apart < 1e-4, apart
        assert np.abs(theta - host.theta).max() > 5e-3
        """,
        plugin,
    )


def test_the_views_show_the_next_batch_after_a_step(plugin: str) -> None:
    run(
        """
        before = program.history
        write(program, 0)
        training.step(1e-3)
        after = program.history
        assert after is not before and after.ctypes.data != before.ctypes.data
        training.finish()
        del training
        after[:] = 1.0  # the memory is the program's as long as a view of it is held
        held = program.history
        del program
        held[:] = 2.0
        """,
        plugin,
    )


def test_what_is_out_of_turn_is_said(plugin: str) -> None:
    printed = run(
        """
        def said(call):
            try:
                call()
            except (_core.StateError, _core.InputError, _core.ShapeError) as error:
                print(type(error).__name__, error)

        said(training.finish)
        write(program, 0)
        training.step(1e-3)
        write(program, 1)
        training.step(1e-3)
        said(lambda: training.step(1e-3))
        said(training.weights)
        training.finish(), training.finish()
        said(lambda: training.step(float("nan")))
        said(lambda: training.put(np.zeros(3, np.float32)))
        said(program.training)
        said(lambda: program._core.training(anchor=np.zeros(3, np.float32)))
        said(Program(SMALL, isa="cuda").training)
        said(lambda: Program(SMALL, 3, mode="train", isa="cuda").training(l2sp=-1.0))
        """,
        plugin,
    ).splitlines()
    expected = [
        "StateError Training.finish: expected a step in flight, got none",
        "StateError Training.step: expected at most one step in flight, got two",
        "StateError Training.get: expected no step in flight, got 2",
        "InputError DeviceTraining.step(rate): expected a number of at least 0, got nan",
        "ShapeError DeviceTraining.put(theta): expected shape",
        "StateError Program.training: expected one training per program, got a second",
        "StateError Program.training: expected one training per program, got a second",
        "StateError Program.training: not in this mode",
        "InputError AdamW(l2sp): expected a number of at least 0, got -1.0",
    ]
    assert len(printed) == len(expected), printed
    for line, beginning in zip(printed, expected, strict=True):
        assert line.startswith(beginning), line


def test_a_run_begins_anew_with_the_same_bits(plugin: str) -> None:
    run(
        """
        def three():
            for number in range(3):
                write(program, number)
                training.step(1e-3)
                training.finish()
            return training.weights()

        first = three()
        training.put(program.theta)
        assert np.array_equal(three(), first)
        """,
        plugin,
    )


def test_the_cpu_has_no_such_training() -> None:
    small = Architecture(context=8, horizon=4, width=16, heads=2, layers=1)
    assert Program(small, 2, mode="train", threads=1).training() is None


def test_arrays_of_another_length_are_refused_by_the_core() -> None:
    small = Architecture(context=8, horizon=4, width=16, heads=2, layers=1)
    program = Program(small, 2, mode="train", threads=1)
    with pytest.raises(_core.ShapeError, match=r"Program.training: expected \(parameters"):
        program._core.training(anchor=np.zeros(3, np.float32))
