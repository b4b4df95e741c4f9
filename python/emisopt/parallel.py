"""One training shared among processes: each works out its part of every batch, all end with the same bits.

Every process holds the same history and calls :meth:`emisopt.Forecaster.fit` with the same settings and a
`processes` that says which of them it is and how arrays are added up over all of them. The engine sums a
batch in at most 8 slots, in a fixed order; the slots are shared out, and each entry that is exchanged comes
from one process while the others give -0.0. So the sum is exact in any order, and the weights are, bit for
bit, those that one process finds with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emisopt import _core
from emisopt._nvidia import find_library

__all__ = ["MPIReducer", "NCCLReducer", "Processes"]

# What launchers tell a process: torchrun, Open MPI's mpirun, SLURM's srun.
_LAUNCHERS = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
)


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

    See Also
    --------
    NCCLReducer : processes with a GPU each

    Examples
    --------
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


class NCCLReducer(Processes):
    """Processes with a GPU each, started by torchrun, mpirun or srun; sums go from GPU to GPU by NCCL.

    Parameters
    ----------
    timeout : seconds that a call waits for the other processes before all give up
    library : path of `libnccl.so.2`; None: that of `pip install emisopt[cuda13]`, else the system's

    Raises
    ------
    InputError : a variable is missing, no whole number, or contradicts another one.
    StateError : no GPU, no NCCL, or the others did not come in time.

    Notes
    -----
    Read are rank, processes and rank on this machine, of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), mpirun
    (OMPI_COMM_WORLD_...) or srun (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID), MASTER_ADDR and MASTER_PORT:
    where rank 0 listens until all have met. Under torchrun, whose own store keeps that port, it is the next
    one; NCCL_COMM_ID=HOST:PORT says another. Pass it to `fit(device="cuda", processes=...)`: each GPU works
    on its share of every batch, which must divide evenly. Gradients are added rank by rank, so all processes
    have the same weights, and the same in every run; not the bits of one process, whose sums are in another
    order.

    Examples
    --------
    >>> from emisopt.parallel import NCCLReducer
    >>> NCCLReducer.read({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"})
    (1, 2, 1, 'node1:29500')
    """

    def __init__(self, *, timeout: float = 120.0, library: str | None = None) -> None:
        rank, size, local, address = self.read(os.environ)
        self.group = _core.join_group(
            rank=rank,
            size=size,
            local_rank=local,
            address=address,
            library=find_library("NCCL") if library is None else library,
            seconds=timeout,
        )
        super().__init__(rank, size, self.group.sum)

    @staticmethod
    def read(environment: Mapping[str, str]) -> tuple[int, int, int, str]:
        """Rank, processes, rank on this machine and "HOST:PORT" from a launcher's variables."""

        def number(name: str, least: int, most: int) -> int:
            try:
                value = int(environment[name])
            except KeyError:
                raise _core.InputError(
                    f"NCCLReducer: expected {name} in the environment, got none; start with torchrun, "
                    "mpirun or srun"
                ) from None
            except ValueError:
                value = least - 1
            if not least <= value <= most:
                raise _core.InputError(
                    f"NCCLReducer: expected {name} to be {least}..{most}, got {environment[name]!r}"
                )
            return value

        found = [names for names in _LAUNCHERS if names[1] in environment]
        _, rank_name, size_name, local_name = found[0] if found else _LAUNCHERS[0]
        size = number(size_name, 1, 1 << 20)
        rank = number(rank_name, 0, size - 1)
        local = number(local_name, 0, rank) if local_name in environment else rank
        for other, other_rank, other_size, _ in found[1:]:
            if other == "srun":  # also set within an allocation whose processes mpirun or torchrun started
                continue
            for name, mine in ((other_rank, rank), (other_size, size)):
                if name in environment and environment[name] != str(mine):
                    raise _core.InputError(
                        f"NCCLReducer: expected {name} to agree with {rank_name}={rank} and "
                        f"{size_name}={size}, got {environment[name]!r}"
                    )
        if environment.get("NCCL_COMM_ID"):
            return rank, size, local, environment["NCCL_COMM_ID"]
        host = environment.get("MASTER_ADDR", "")
        if not host:
            raise _core.InputError(
                "NCCLReducer: expected MASTER_ADDR in the environment, the machine of rank 0, got none"
            )
        port = number("MASTER_PORT", 1, 65534)
        if environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            port += 1
        return rank, size, local, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
