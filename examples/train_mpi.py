"""Trains one forecaster by several processes, with the bits of one.

    mpiexec -n 2 python -m mpi4py examples/train_mpi.py

Needs `pip install emisopt[mpi]`. Run without mpiexec it is one process, and prints the same hash.
"""

import hashlib
import os

import numpy as np

import emisopt
from emisopt.parallel import MPIReducer

processes = MPIReducer()
history, tags = emisopt.plants.Boiler(seed=1).simulate_history(days=4)
forecaster = emisopt.Forecaster(
    context=48,
    horizon=12,
    width=32,
    steps=60,
    warmup=10,
    batch=32,
    # the cores are shared out, one thread each at least
    threads=max(1, len(os.sched_getaffinity(0)) // processes.size),
)
forecaster.fit(history, tags=tags, validation_rows=200, progress=False, processes=processes)
if processes.rank == 0:
    digest = hashlib.sha256(np.asarray(forecaster.core_.theta).tobytes()).hexdigest()
    print(f"loss {forecaster.training_['loss']:.6f}, weights {digest[:16]}")
