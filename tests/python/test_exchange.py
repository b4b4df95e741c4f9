"""Arrays of other libraries in and out of a program, by DLPack (kDLCPU) and, with the executor's GPU,
__cuda_array_interface__."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import emisopt
from cuda_host import PLUGIN, need
from dlpack_peers import CPU, CUDA, IS_COPIED, READ_ONLY, OldPeer, Peer, name_of, numbers, peer_of, take
from emisopt.engine import Architecture, Program

ROOT = Path(__file__).parents[2]
TINY = Architecture(
    width=8, heads=2, layers=1, context=4, horizon=3, history_width=5, future_width=4, outputs=2
)


def make(mode: str = "infer", **more: Any) -> Program:
    program = Program(TINY, batch=2, mode=mode, threads=1, **more)
    program.load()
    return program


@pytest.fixture
def program() -> Program:
    return make()


def floats(*shape: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---- in -------------------------------------------------------------------------------------------------


@st.composite
def views(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A view of shape (2, 3, 4) somewhere in memory, with strides of any sign or 0; and its values."""
    memory = floats(600)
    shape = (2, 3, 4)
    strides = tuple(draw(st.integers(-60, 60)) for _ in shape)
    low = sum(min(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    high = sum(max(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    first = draw(st.integers(-low, 599 - high)) if high - low < 600 else None
    hypothesis.assume(first is not None)
    assert first is not None
    view = as_strided(memory[first:], shape, tuple(4 * s for s in strides))
    return view, np.array(view)


@hypothesis.given(views(), st.booleans(), st.sampled_from([Peer, OldPeer]), st.integers(0, 5))
@hypothesis.settings(max_examples=60, deadline=None)
def test_any_strides_and_offsets_are_read_where_they_lie(
    drawn: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    versioned: bool,
    kind: type[Peer],
    offset: int,
) -> None:
    view, values = drawn
    program = make()
    program.put("future", view)
    np.testing.assert_array_equal(program.future, values)
    program.future[:] = 0
    peer = peer_of(view, kind, versioned=versioned, offset=4 * offset)
    program.put("future", peer)
    np.testing.assert_array_equal(program.future, values)
    assert peer.deleted == 1
    assert all(asked.get("stream") is None for asked in peer.asked)


def test_without_strides_rows_follow_each_other(program: Program) -> None:
    values = floats(2, 3, 4)
    program.put("future", Peer(values.ctypes.data, values.shape, keep=values))
    np.testing.assert_array_equal(program.future, values)


def test_read_only_arrays_and_numpys_own_capsules_are_taken(program: Program) -> None:
    values = floats(2, 3, 4)
    values.setflags(write=False)
    program.put("future", values)
    np.testing.assert_array_equal(program.future, values)

    class Wrapped:  # NumPy as a foreign library
        def __init__(self, array: np.ndarray[Any, Any]) -> None:
            self.array = array

        def __dlpack__(self, **asked: Any) -> Any:
            return self.array.__dlpack__(**asked)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    other = floats(2, 3, 4, seed=2)
    program.put("future", Wrapped(other))
    np.testing.assert_array_equal(program.future, other)
    theta = program.theta * np.float32(2)
    program.load(Wrapped(theta))
    expected = make()
    expected.load(theta)
    for p in (program, expected):
        p.put("history", floats(1, 4, 5, seed=3))
        p.put("future", other)
        p.run_context()
        p.run()
    assert program.quantiles.tobytes() == expected.quantiles.tobytes()


@pytest.mark.parametrize("name", ["history", "future", "target", "weight", "teacher", "teacher_weight"])
def test_every_input_can_be_put(name: str) -> None:
    program = make("train", distill=0.5)
    values = floats(*getattr(program, name).shape)
    program.put(name, peer_of(values))
    np.testing.assert_array_equal(getattr(program, name), values)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((2, 3, 5), np.float32), r"expected \(batch=2, future_tokens=3, width=4\), got \(2, 3, 5\)"),
        (np.zeros((2, 3, 4)), "expected float32, got float64"),
        (np.zeros((2, 3, 4), ">f4"), "expected float32, got >f4"),
        (np.zeros((), np.float32), r"got \(\)"),
        (np.zeros((2, 3, 4, 1), np.float32), r"got \(2, 3, 4, 1\)"),
        (
            np.zeros((2, 3, 4), [("a", "i1"), ("x", "<f4")])["x"],
            "expected strides of whole float32 numbers, got 5 bytes",
        ),
        (np.zeros(97, np.int8)[1:].view("<f4").reshape(2, 3, 4), "addresses of whole numbers"),
        ([[0.0]], "got list"),
    ],
    ids=["shape", "float64", "big-endian", "ndim 0", "ndim 4", "strides", "address", "list"],
)
def test_what_does_not_fit_is_named(program: Program, array: Any, expected: str) -> None:
    before = program.future.copy()
    with pytest.raises(emisopt.InputError, match=expected):
        program.put("future", array)
    np.testing.assert_array_equal(program.future, before)


def test_unknown_names_and_answers_are_refused(program: Program) -> None:
    with pytest.raises(emisopt.InputError, match=r"Program.put\(name\): expected one of history, .* got 'x'"):
        program.put("x", floats(1))
    with pytest.raises(emisopt.InputError, match="expected an input of the program, got what it answers"):
        program.put("quantiles", program.quantiles)
    with pytest.raises(emisopt.StateError, match="not in this mode"):
        program.put("seed", floats(1))
    with pytest.raises(emisopt.StateError, match="theta"):
        program.buffer("weights")


def torn(**change: Any) -> Peer:
    peer = peer_of(floats(2, 3, 4))
    for field, value in change.items():
        setattr(peer if hasattr(peer, field) else peer.tensor, field, value)
    return peer


def _managed(peer: Peer, field: str, value: Any) -> Peer:
    setattr(peer.managed, field, value)
    return peer


@pytest.mark.parametrize(
    ("peer", "expected", "deleted"),
    [
        (torn(ndim=-1), "torn: -1 dimensions", 1),
        (torn(ndim=0), r"got \(\)", 1),
        (torn(shape=None), "torn: 3 dimensions without a shape", 1),
        (torn(data=None), "it has numbers but no memory", 1),
        (torn(byte_offset=2), "addresses of whole numbers", 1),
        (torn(name=b"used_dltensor_versioned"), "nobody has taken yet, got one named 'used_dltensor_ver", 0),
        (torn(name=b"tensor"), "nobody has taken yet, got one named 'tensor'", 0),
        (_managed(torn(), "major", 2), "expected DLPack 1.x, got 2.0", 0),
        (torn(says_device=(CUDA, 0)), "expected an array of the host, where the program is", 0),
        (torn(says_device=(4, 1)), "", 1),
        (torn(says_device=(1, 2, 3)), "to answer .type, number.", 0),
    ],
)
def test_a_torn_capsule_is_named_and_deleted_once(
    program: Program, peer: Peer, expected: str, deleted: int
) -> None:
    if not expected:  # says another device than its tensor, of which only the tensor counts on the host
        peer.tensor.device.device_type = 4
        expected = "expected memory of the host or a CUDA device, got DLPack device 4:0"
    with pytest.raises(emisopt.InputError, match=expected):
        program.put("future", peer)
    assert peer.deleted == deleted


@pytest.mark.parametrize("dtype", [(2, 64, 1), (2, 16, 1), (4, 16, 1), (0, 32, 1), (2, 32, 4)])
def test_other_types_are_refused(program: Program, dtype: tuple[int, int, int]) -> None:
    peer = peer_of(floats(2, 3, 4), dtype=dtype)
    with pytest.raises(emisopt.ShapeError, match="expected float32, got DLPack type"):
        program.put("future", peer)
    assert peer.deleted == 1


def test_a_capsule_is_taken_once(program: Program) -> None:
    peer = peer_of(floats(2, 3, 4))
    capsule = peer.__dlpack__()

    class Same:
        def __dlpack__(self, **_: Any) -> Any:
            return capsule

        def __dlpack_device__(self) -> tuple[int, int]:
            return (CPU, 0)

    program.put("future", Same())
    assert name_of(capsule) == "used_dltensor_versioned"
    with pytest.raises(emisopt.InputError, match="nobody has taken yet"):
        program.put("future", Same())
    assert peer.deleted == 1


def test_what_the_producer_raises_is_told(program: Program) -> None:
    class Refuses:
        def __dlpack__(self, **_: Any) -> Any:
            raise BufferError("requires a gradient")

        def __dlpack_device__(self) -> tuple[int, int]:
            return (CPU, 0)

    with pytest.raises(emisopt.InputError, match="does not export itself: requires a gradient"):
        program.put("future", Refuses())


def test_weights_that_are_not_finite_leave_those_before(program: Program) -> None:
    theta = program.theta.copy()
    theta[3] = np.nan
    with pytest.raises(emisopt.InputError, match="expected finite weights"):
        program.load(peer_of(theta))
    program.load(peer_of(program.theta))


# ---- out ------------------------------------------------------------------------------------------------


def test_numpy_shares_every_buffer() -> None:
    program = make("train", distill=0.5)
    for name in ("history", "future", "quantiles", "target", "weight", "gradient", "teacher"):
        buffer = program.buffer(name)
        assert buffer.device == "cpu" and buffer.__dlpack_device__() == (CPU, 0)
        shown = take(buffer.__dlpack__(max_version=(1, 0)))
        assert numbers(shown[0].tensor).ctypes.data == getattr(program, name).ctypes.data
        assert buffer.shape == getattr(program, name).shape
        assert bool(shown[0].flags & READ_ONLY) == buffer.read_only == (name == "quantiles")
        shown[1]()
    gradient = np.from_dlpack(program.buffer("gradient"))
    gradient[:] = 3
    assert (program.gradient == 3).all()


def test_both_kinds_of_capsules_say_the_same(program: Program) -> None:
    program.future[:] = floats(2, 3, 4)
    buffer = program.buffer("future")
    for capsule, name in (
        (buffer.__dlpack__(), "dltensor"),
        (buffer.__dlpack__(max_version=(0, 8)), "dltensor"),
        (buffer.__dlpack__(max_version=(1, 0)), "dltensor_versioned"),
        (buffer.__dlpack__(max_version=(7, 0)), "dltensor_versioned"),
    ):
        assert name_of(capsule) == name
        managed, delete = take(capsule)
        tensor = managed.tensor
        assert tuple(tensor.strides[d] for d in range(3)) == (12, 4, 1)
        assert (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes) == (2, 32, 1)
        assert name == "dltensor" or (managed.major, managed.flags) == (1, 0)
        np.testing.assert_array_equal(numbers(tensor), program.future)
        delete()


def test_a_read_only_buffer_goes_to_those_who_can_be_told(program: Program) -> None:
    answer = program.buffer("quantiles")
    with pytest.raises(BufferError, match=r"read-only, which DLPack before 1\.0 cannot say"):
        answer.__dlpack__()
    managed, delete = take(answer.__dlpack__(copy=True))
    assert numbers(managed.tensor).ctypes.data != program.quantiles.ctypes.data
    delete()
    managed, delete = take(answer.__dlpack__(max_version=(1, 1), copy=True))
    assert managed.flags == IS_COPIED
    delete()
    managed, delete = take(answer.__dlpack__(max_version=(1, 1), copy=False))
    assert managed.flags == READ_ONLY
    delete()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"stream": 1}, "expected no stream for memory of the host"),
        ({"dl_device": (CUDA, 0)}, "expected the buffer's device or the host, got 2:0"),
    ],
)
def test_what_cannot_be_exported_is_a_buffer_error(
    program: Program, asked: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BufferError, match=expected):
        program.buffer("future").__dlpack__(**asked)
    assert not hasattr(program.buffer("future"), "__cuda_array_interface__")


def test_memory_lives_as_long_as_its_last_consumer() -> None:
    program = make()
    program.future[:] = 5
    array = np.from_dlpack(program.buffer("future"))
    managed, delete = take(program.buffer("future").__dlpack__())
    unused = program.buffer("future").__dlpack__()
    del program
    gc.collect()
    assert (array == 5).all() and (numbers(managed.tensor) == 5).all()
    del array, unused  # a capsule that nobody took frees itself
    gc.collect()
    assert (numbers(managed.tensor) == 5).all()
    delete()


def test_a_deleter_may_be_called_from_any_thread_without_the_gil() -> None:
    # ctypes lets the GIL go during the call; the last owner goes with it
    managed, delete = take(make().buffer("future").__dlpack__(max_version=(1, 0)))
    gc.collect()
    assert numbers(managed.tensor).shape == (2, 3, 4)
    thread = threading.Thread(target=delete)
    thread.start()
    thread.join()


def test_what_is_still_held_at_the_end_of_the_process_does_no_harm() -> None:
    script = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from dlpack_peers import take
from emisopt.engine import Architecture, Program

program = Program(Architecture.S, threads=1)
unused = program.buffer("future").__dlpack__()
array = np.from_dlpack(program.buffer("history"))
managed, delete = take(program.buffer("future").__dlpack__(max_version=(1, 0)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(Path(__file__).parent)], check=False)
    assert done.returncode == 0


# ---- on a GPU: the executor's, whose memory this process can read -----------------------------------------


def test_device_arrays_on_the_executors_gpu() -> None:
    need(PLUGIN)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("exchange_on_gpu.py"))],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr
