"""A training shared among processes: here two threads with a communicator of their own (emisopt.parallel)."""

import threading

import numpy as np
import pytest

import emisopt
from emisopt.parallel import Processes

SMALL = {
    "context": 24,
    "horizon": 12,
    "width": 16,
    "heads": 2,
    "steps": 15,
    "warmup": 5,
    "batch": 12,
    "threads": 1,
}


class Meeting:
    """Adds up what `size` threads bring."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=60)
        self.arrays = [None] * size
        self.kinds = set()

    def member(self, rank):
        def reduce(array):
            self.kinds.add(array.dtype.name)
            self.arrays[rank] = array.copy()
            self.barrier.wait()
            array[:] = np.sum(self.arrays, axis=0, dtype=array.dtype)
            self.barrier.wait()

        return Processes(rank, len(self.arrays), reduce)


def fit(history, tags, processes=None, **settings):
    f = emisopt.Forecaster(**{**SMALL, **settings})
    return f.fit(history, tags=tags, validation_rows=200, progress=False, processes=processes)


def run_both(work):
    """What work(rank) returned or raised, for ranks 0 and 1 at once."""
    found = [None, None]

    def call(rank):
        try:
            found[rank] = work(rank)
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_two_fits_that_share_their_batches_have_the_bits_of_one(boiler_history):
    history, tags = boiler_history
    history = history.iloc[:1000]
    meeting = Meeting(2)
    each = run_both(lambda rank: fit(history, tags, meeting.member(rank)))
    alone = fit(history, tags)
    for f in each:
        assert isinstance(f, emisopt.Forecaster), f
        assert np.asarray(f.core_.theta).tobytes() == np.asarray(alone.core_.theta).tobytes()
        assert f.training_["loss"] == alone.training_["loss"]
        assert f.training_["validation"] == alone.training_["validation"]
    assert meeting.kinds == {"float32", "float64"}


def test_an_error_in_the_exchange_comes_out(boiler_history):
    history, tags = boiler_history

    def broken(array):
        raise OSError("the cable is out")

    with pytest.raises(OSError, match="the cable is out"):
        fit(history.iloc[:500], tags, Processes(0, 2, broken))


def test_other_settings_in_one_process_are_refused_in_both(boiler_history):
    history, tags = boiler_history
    meeting = Meeting(2)
    each = run_both(lambda rank: fit(history.iloc[:500], tags, meeting.member(rank), rate=1e-3 * (rank + 1)))
    for error in each:
        assert isinstance(error, emisopt.InputError)
        assert "process 1 differs from process 0 in 'rate'" in str(error)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 0, len), r"Processes\(size\): expected a number of processes from 1 on, got 0"),
        ((2, 2, len), r"Processes\(rank\): expected 0..1, got 2"),
        ((0, 1, None), r"Processes\(reduce\): expected a function of an array, got NoneType"),
    ],
)
def test_bad_processes_are_refused(arguments, text):
    with pytest.raises(emisopt.InputError, match=text):
        Processes(*arguments)


def test_what_is_no_processes_and_too_many_are_refused(boiler_history):
    history, tags = boiler_history
    with pytest.raises(emisopt.InputError, match=r"expected emisopt.parallel.Processes, got int"):
        fit(history.iloc[:500], tags, 2)
    with pytest.raises(emisopt.InputError, match="expected at most 8 processes, one per slot"):
        fit(history.iloc[:500], tags, Processes(0, 9, lambda array: None))
