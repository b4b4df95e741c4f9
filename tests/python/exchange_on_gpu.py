"""What test_exchange.py runs in a process of its own, where a plugin brings a GPU: arrays that lie there."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import emisopt
from dlpack_peers import CPU, CUDA, IS_COPIED, OldPeer, Peer, numbers, take
from emisopt.engine import Architecture, Program

TINY = Architecture(
    width=8, heads=2, layers=1, context=4, horizon=3, history_width=5, future_width=4, outputs=2
)
RNG = np.random.default_rng(1)
SHAPE = (2, 3, 4)


def make(mode: str = "infer", isa: str = "cuda", **more: Any) -> Program:
    program = Program(TINY, batch=2, mode=mode, threads=1, isa=isa, **more)
    program.load()
    program.history[:] = 0.1
    return program


def answers(program: Program) -> bytes:
    program.run_context()
    program.run()
    return program.quantiles.tobytes()


def raises(kind: type[Exception], text: str, call: Callable[[], object]) -> None:
    try:
        call()
    except kind as error:
        assert text in str(error), f"expected {text!r}, got {error!r}"
    else:
        raise AssertionError(f"expected {kind.__name__}: {text}")


class Interface:
    """An array that another library has on the GPU."""

    def __init__(self, **fields: Any) -> None:
        self.__cuda_array_interface__ = fields


class There:
    """Numbers on the GPU, in a program's memory, and the answers that they and their mirror image lead to."""

    def __init__(self) -> None:
        self.source = make()
        self.source.future[:] = RNG.standard_normal(SHAPE)
        answers(self.source)
        self.values = self.source.future.copy()
        self.buffer = self.source.buffer("future")
        self.face = self.buffer.__cuda_array_interface__
        self.address: int = self.face["data"][0]
        self.stream: int = self.face["stream"]
        expected = make()
        expected.future[:] = self.values
        self.wanted = answers(expected)
        expected.future[:] = self.values[:, ::-1, ::-1]
        self.turned = answers(expected)

    def peer(self, begin: int = 0, *more: Any, kind: type[Peer] = Peer, **named: Any) -> Peer:
        return kind(self.address + begin, SHAPE, *more, device=(CUDA, 0), **named)

    def interface(self, **fields: Any) -> Interface:
        plain = {"shape": SHAPE, "typestr": "<f4", "data": (self.address, False), "version": 3}
        return Interface(**{**plain, **fields})


def what_is_shown(there: There) -> None:
    assert there.buffer.device == there.source.device == "cuda:0"
    assert there.buffer.__dlpack_device__() == (CUDA, 0)
    assert there.buffer.read_only and there.face["data"][1] and there.face["version"] == 3
    assert there.face["shape"] == SHAPE and there.face["typestr"] == "<f4" and there.face["strides"] is None


def arrays_that_come_in(there: There) -> None:
    program = make()
    peer = there.peer()
    for array in (
        there.buffer,
        peer,
        there.peer(kind=OldPeer, versioned=False),
        there.interface(),
        there.interface(strides=(48, 16, 4), stream=there.stream),
        there.interface(strides=None, stream=1),
        there.interface(stream=2, mask=None),
    ):
        program.put("future", np.zeros(SHAPE, np.float32))
        assert program.future.flags.writeable and answers(program) != there.wanted
        program.put("future", array)
        assert not program.future.flags.writeable
        assert answers(program) == there.wanted
    own = program.buffer("future").__cuda_array_interface__["stream"]
    assert peer.asked == [{"stream": own, "max_version": (1, 1)}] and own not in (0, 1, 2)
    assert peer.deleted == 1  # once run() was over
    last = 4 * 11
    for array in (
        there.peer(last, (12, -4, -1)),
        there.peer(last, (12, -4, -1), offset=8),
        there.interface(data=(there.address + last, True), strides=(48, -16, -4)),
    ):
        program.put("future", array)
        assert answers(program) == there.turned
    program.put("future", there.values)
    assert program.future.flags.writeable and answers(program) == there.wanted


def many_without_a_run(there: There) -> None:
    program = make()
    many = [there.peer() for _ in range(40)]
    for peer in many:
        program.put("future", peer)
    assert 0 < sum(peer.deleted for peer in many) < 40  # not all wait for a run
    answers(program)
    assert all(peer.deleted == 1 for peer in many)


def arrays_that_are_refused(there: There) -> None:
    program = make()
    host = there.values.ctypes.data
    for fields, text in (
        ({"shape": (2, 3, 5)}, "got (2, 3, 5)"),
        ({"typestr": "<f8"}, "expected float32, got '<f8'"),
        ({"mask": there}, "without a mask"),
        ({"stream": 0}, "expected a stream other than 0"),
        ({"strides": (48, 16)}, "got (2, 3, 4)"),
        ({"strides": (48, 16, 3)}, "whole float32 numbers, got 3 bytes"),
        ({"data": (host, False)}, "expected memory of cuda:0, where the program is, got the host's"),
        ({"data": (0, False)}, "numbers but no memory"),
        ({"data": there.address}, "is torn"),
        ({"typestr": None}, "is torn"),
    ):
        wrong = there.interface(**fields)
        raises(emisopt.InputError, text, lambda wrong=wrong: program.put("future", wrong))  # type: ignore[misc]
    other = Peer(there.address, SHAPE, device=(CUDA, 1))
    raises(
        emisopt.InputError,
        "expected an array on cuda:0, where the program is, got one on cuda:1",
        lambda: program.put("future", other),
    )
    two = there.peer()
    two.says_device = (CPU, 0)
    raises(emisopt.InputError, "the array says two things", lambda: program.put("future", two))
    assert other.deleted == two.deleted == 1
    on_cpu = make(isa="ref")
    raises(emisopt.InputError, "on a GPU", lambda: on_cpu.put("future", there.buffer))
    raises(emisopt.InputError, "on a GPU", lambda: on_cpu.put("future", there.interface()))
    empty = Program(TINY, batch=1, history=0, threads=1, isa="cuda")
    assert empty.buffer("history").__cuda_array_interface__["data"] == (0, True)
    empty.put("history", Interface(shape=(1, 0, 5), typestr="<f4", data=(0, False), version=3))


def gradients_and_weights(there: There) -> None:
    train = make("train")
    weights, gradient = train.buffer("weights"), train.buffer("gradient")
    theta = numbers(take(weights.__dlpack__(max_version=(1, 0), stream=-1))[0].tensor).copy()
    assert theta.tobytes() == np.asarray(train.theta).tobytes()
    for name in ("history", "future", "target"):
        view = getattr(train, name)
        view[:] = RNG.standard_normal(view.shape)
    train.weight[:] = 1
    train.run()
    managed, delete = take(gradient.__dlpack__(max_version=(1, 0), stream=there.stream))
    assert not managed.flags and managed.tensor.device.device_type == CUDA
    assert numbers(managed.tensor).tobytes() == train.gradient.tobytes()
    copied, drop = take(gradient.__dlpack__(max_version=(1, 0), copy=True))
    assert copied.flags == IS_COPIED and copied.tensor.data != managed.tensor.data
    assert numbers(copied.tensor).tobytes() == train.gradient.tobytes()
    host, drop_host = take(gradient.__dlpack__(dl_device=(CPU, 0)))
    assert host.tensor.device.device_type == CPU
    assert numbers(host.tensor).tobytes() == train.gradient.tobytes()
    raises(BufferError, "stream other than 0", partial(gradient.__dlpack__, stream=0))
    raises(BufferError, "stream other than 0", partial(gradient.__dlpack__, stream=-2))
    raises(BufferError, "by a copy only", partial(gradient.__dlpack__, dl_device=(CPU, 0), copy=False))
    raises(BufferError, "read-only", partial(weights.__dlpack__))
    assert weights.__cuda_array_interface__["data"][1]
    assert not gradient.__cuda_array_interface__["data"][1]

    loaded = make("train")
    raises(emisopt.ShapeError, "expected (parameters=", lambda: loaded.load(there.buffer))
    numbers(managed.tensor)[:] = 0.5 * theta[::-1]
    halved = Interface(
        shape=theta.shape,
        typestr="<f4",
        version=3,
        strides=(-4,),
        data=(managed.tensor.data + 4 * (theta.size - 1), False),
    )
    loaded.load(halved)
    now = numbers(take(loaded.buffer("weights").__dlpack__(max_version=(1, 0)))[0].tensor)
    assert now.tobytes() == (0.5 * theta).astype(np.float32).tobytes()
    numbers(managed.tensor)[3] = np.inf
    raises(emisopt.InputError, "expected finite weights", lambda: loaded.load(halved))
    assert now.tobytes() == (0.5 * theta).astype(np.float32).tobytes()

    shown = numbers(managed.tensor)
    del train, gradient, weights
    gc.collect()
    assert np.isfinite(shown[:3]).all()  # the consumer's share keeps the memory
    for call in (drop, drop_host, delete):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()


if __name__ == "__main__":
    there = There()
    for check in (
        what_is_shown,
        arrays_that_come_in,
        many_without_a_run,
        arrays_that_are_refused,
        gradients_and_weights,
    ):
        check(there)
    print("done")
