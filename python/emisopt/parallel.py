"""One training shared among processes: each works out its part of every batch, all end with the same bits.

Every process holds the same history and calls :meth:`emisopt.Forecaster.fit` with the same settings and a
`processes` that says which of them it is and how arrays are added up over all of them. The engine sums a
batch in at most 8 slots, in a fixed order; the slots are shared out, and each entry that is exchanged comes
from one process while the others give -0.0. So the sum is exact in any order, and the weights are, bit for
bit, those that one process finds with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emisopt import _core

__all__ = ["MPIReducer", "Processes"]


class Processes:
    """Which process this is, and how an array is summed over all of them.

    Parameters
    ----------
    rank : this process, 0..size - 1. Rank 0 shows the bar and writes the state file.
    size : processes that take part, 1..8
    reduce : called with a contiguous 1-d array, float32 or float64, that is a view of the trainer's memory:
        it must hold the sum over all processes when the call returns, and must not be kept. Every process
        calls it equally often, with arrays of equal length.

    Raises
    ------
    InputError : rank or size do not fit, or `reduce` cannot be called.

    Examples
    --------
    NCCL, through CuPy (Dask and Ray pass arrays in the same way)::

        def reduce(array):
            there = cupy.asarray(array)
            communicator.allReduce(there.data.ptr, there.data.ptr, there.size, dtype, NCCL_SUM, stream)
            array[:] = there.get()

    One process by itself:

    >>> from emisopt.parallel import Processes
    >>> Processes(0, 1, lambda array: None)
    Processes(rank=0, size=1)
    """

    def __init__(self, rank: int, size: int, reduce: Callable[[NDArray[np.floating[Any]]], object]) -> None:
        if not isinstance(size, int) or size < 1:
            raise _core.InputError(f"Processes(size): expected a number of processes from 1 on, got {size!r}")
        if not isinstance(rank, int) or not 0 <= rank < size:
            raise _core.InputError(f"Processes(rank): expected 0..{size - 1}, got {rank!r}")
        if not callable(reduce):
            raise _core.InputError(
                f"Processes(reduce): expected a function of an array, got {type(reduce).__name__}"
            )
        self.rank = rank
        self.size = size
        self.reduce = reduce

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"


class MPIReducer(Processes):
    """The processes of an MPI communicator.

    Parameters
    ----------
    comm : an mpi4py communicator; None: `MPI.COMM_WORLD`

    Raises
    ------
    ImportError : mpi4py is not installed (`pip install emisopt[mpi]` brings it, and Open MPI as a wheel).

    Notes
    -----
    Start the script as `mpiexec -n 2 python -m mpi4py script.py`: with `-m mpi4py` an error in one process
    ends the others, which would else wait for it forever. Give each process its share of the cores
    (`Forecaster(threads=...)` or EMISOPT_THREADS).

    References
    ----------
    Dalcin, Fang 2021: mpi4py. Status update after 12 years of development.
    """

    def __init__(self, comm: Any = None) -> None:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise ImportError(
                "MPIReducer needs mpi4py and an MPI library; `pip install emisopt[mpi]` brings both"
            ) from error
        comm = MPI.COMM_WORLD if comm is None else comm
        super().__init__(
            comm.Get_rank(),
            comm.Get_size(),
            lambda array: comm.Allreduce(MPI.IN_PLACE, array, op=MPI.SUM),
        )
        self.comm = comm
