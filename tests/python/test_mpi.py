"""Two processes under MPI train to the bits of one (emisopt.parallel.MPIReducer)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emisopt

CHILD = """
import sys
import numpy as np
import pandas as pd
import emisopt
from emisopt.parallel import MPIReducer

data, tags, out = sys.argv[1:]
processes = MPIReducer()
f = emisopt.Forecaster(context=24, horizon=12, width=16, heads=2, steps=25, warmup=5, batch=12, threads=1)
f.fit(pd.read_parquet(data), tags=emisopt.TagMap.from_json(open(tags).read()), validation_rows=200,
      progress=False, resume=out + ".state", processes=processes)
np.save(f"{out}.{processes.rank}of{processes.size}.npy", np.asarray(f.core_.theta))
"""


def mpiexec():
    """The launcher of the wheel beside this interpreter, else the system's; skips without MPI."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install emisopt[mpi]")
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if not found:
        pytest.skip("no mpiexec: pip install emisopt[mpi] brings Open MPI as a wheel")
    return found


def launch(arguments, cwd):
    # Open MPI refuses root, which a container's user is, and more processes than cores
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    root |= {f"PRTE_{name[5:]}": value for name, value in root.items()}
    more = {
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    return subprocess.run(
        [mpiexec(), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **root, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_two_processes_train_to_the_bits_of_one(boiler_history, tmp_path):
    history, tags = boiler_history
    history = history.iloc[:1000]
    data, tag_file, out = tmp_path / "h.parquet", tmp_path / "tags.json", tmp_path / "weights"
    history.to_parquet(data)
    tag_file.write_text(tags.to_json())
    done = launch(["-n", 2, sys.executable, "-m", "mpi4py", "-c", CHILD, data, tag_file, out], tmp_path)
    assert done.returncode == 0, done.stderr
    alone = emisopt.Forecaster(
        context=24, horizon=12, width=16, heads=2, steps=25, warmup=5, batch=12, threads=1
    ).fit(history, tags=tags, validation_rows=200, progress=False)
    expected = np.asarray(alone.core_.theta)
    for rank in range(2):
        got = np.load(f"{out}.{rank}of2.npy")
        assert got.tobytes() == expected.tobytes(), f"rank {rank}"
    assert Path(f"{out}.state").is_file()


def test_an_error_in_one_process_ends_the_other(tmp_path):
    broken = (
        "import numpy\nfrom emisopt.parallel import MPIReducer\nr = MPIReducer()\n"
        "if r.rank: raise SystemError('no data here')\nr.reduce(numpy.zeros(3))"
    )
    done = launch(["-n", 2, sys.executable, "-m", "mpi4py", "-c", broken], tmp_path)
    assert done.returncode != 0
    assert "no data here" in done.stderr
