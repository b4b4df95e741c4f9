"""Two processes train on the executor's GPU, summing by a stand-in of NCCL (NCCLReducer)."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import emisopt
from cuda_host import FOLDER, PLUGIN, need
from emisopt.parallel import NCCLReducer

ROOT = Path(__file__).parents[2]
NCCL = FOLDER / "libemisopt_nccl_stand_in.so"

CHILD = """
import os, sys, time
import numpy as np
import emisopt
from emisopt import _training
from emisopt.parallel import NCCLReducer

out, library, timeout, precision = sys.argv[1:]
processes = NCCLReducer(timeout=float(timeout), library=library) if library else None
stops, save_every = os.environ.get("STOPS_AT"), float(os.environ.get("SAVE_EVERY", "0"))
if stops:
    class Bar(_training.TrainBar):
        def update(self, report):
            time.sleep(0.06)  # reports come at most every 50 ms: now after every step
            return report.step < int(stops)

    _training.TrainBar = Bar
rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, steps=10, batch=4, warmup=3, seed=3,
                       validate_every=5)
rank = processes.rank if processes else 0
f.fit(rows, tags=tags, validation_rows=30, progress=False, device="cuda", processes=processes,
      precision=precision, resume=f"{out}.{rank}.state", save_every=save_every)
np.save(f"{out}.{rank}.npy", np.append(np.asarray(f.core_.theta), f.training_["validation"]))
np.save(f"{out}.{rank}.steps.npy", f.training_["steps"])
"""


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    need(PLUGIN, NCCL)


def start(
    folder: Path,
    rank: int,
    size: int = 2,
    timeout: float = 30,
    library: Path | str = NCCL,
    precision: str = "float32",
    **more: str,
) -> subprocess.Popen[str]:
    launcher = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder / "run"), str(library), str(timeout), precision],
        env={
            **os.environ,
            **{name: str(value) for name, value in launcher.items()},
            "MASTER_PORT": "29500",
            "EMISOPT_CUDA_PLUGIN": str(PLUGIN),
            "EMISOPT_NCCL_STAND_IN_DIR": str(folder),
            **more,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def errors(*children: subprocess.Popen[str]) -> list[str]:
    """The last line that each wrote before it failed; "" where it did not."""
    texts = [child.communicate(timeout=60)[1] for child in children]
    return [t.strip().splitlines()[-1] if c.returncode else "" for c, t in zip(children, texts, strict=True)]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_two_gpus_train_to_the_weights_of_one(precision: str, tmp_path: Path) -> None:
    def both(folder: Path) -> list[str]:
        return errors(*(start(folder, rank, precision=precision) for rank in range(2)))

    assert both(tmp_path) == ["", ""]
    first, second = (np.load(tmp_path / f"run.{rank}.npy") for rank in range(2))
    assert first.tobytes() == second.tobytes()
    assert (tmp_path / "run.0.state").is_file()
    assert not (tmp_path / "run.1.state").exists()  # only rank 0 writes
    alone = tmp_path / "alone"
    alone.mkdir()
    assert errors(start(alone, 0, library="", precision=precision)) == [""]
    np.testing.assert_allclose(first, np.load(alone / "run.0.npy"), rtol=0, atol=1e-4)
    again = tmp_path / "again"
    again.mkdir()
    assert both(again) == ["", ""]
    assert np.load(again / "run.0.npy").tobytes() == first.tobytes()


@pytest.mark.parametrize("save_every", [0, 60])
def test_one_that_stops_stops_all_after_the_same_step(tmp_path: Path, save_every: int) -> None:
    # rank 0 writes the state and looks at its clock: with 0 it has no step in line while rank 1 has one
    more = {"SAVE_EVERY": str(save_every)}
    assert errors(start(tmp_path, 0, **more), start(tmp_path, 1, STOPS_AT="2", **more)) == ["", ""]
    steps = [int(np.load(tmp_path / f"run.{rank}.steps.npy")) for rank in range(2)]
    assert steps[0] == steps[1] == 5  # of 10, a validation after 5: the wish was heard with step 4
    first, second = (np.load(tmp_path / f"run.{rank}.npy") for rank in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_process_that_dies_ends_the_others_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    waits = start(tmp_path, 0, timeout=3)
    dies = start(tmp_path, 1, timeout=3, EMISOPT_CUDA_HOST_FAULT="launch=300")
    told = errors(waits, dies)
    assert time.monotonic() - began < 30
    assert "StateError: NCCL: process 0 of 2" in told[0] and "waited 3 s" in told[0]
    assert "the GPU was lost" in told[1]
    assert (tmp_path / "run.0.state").is_file()


@pytest.mark.slow
def test_who_does_not_come_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    (told,) = errors(start(tmp_path, 0, timeout=1))
    assert "meeting: waited 1 s" in told


@pytest.mark.slow
def test_other_sizes_and_an_old_library_are_refused(tmp_path: Path) -> None:
    three = start(tmp_path, 1, size=3, timeout=5)
    told = errors(start(tmp_path, 0, timeout=5), three)
    assert any("invalid usage" in text for text in told) and all(told)
    (old,) = errors(start(tmp_path, 0, EMISOPT_NCCL_STAND_IN_VERSION="21000"))
    assert "is NCCL 21000, expected 2.18.1 or newer" in old and "emisopt[cuda13]" in old
    (none,) = errors(start(tmp_path, 0, library=tmp_path / "no.so"))
    assert "does not load" in none and "emisopt[cuda13]" in none


GOOD = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}


def test_each_launcher_is_read() -> None:
    assert NCCLReducer.read(GOOD) == (1, 2, 1, "node1:29500")
    assert NCCLReducer.read({**GOOD, "TORCHELASTIC_USE_AGENT_STORE": "True"})[3] == "node1:29501"
    assert NCCLReducer.read({**GOOD, "MASTER_ADDR": "fe80::1"})[3] == "[fe80::1]:29500"
    assert NCCLReducer.read({**GOOD, "NCCL_COMM_ID": "other:1"})[3] == "other:1"
    where = {"MASTER_ADDR": "n", "MASTER_PORT": "1"}
    mpi = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    assert NCCLReducer.read({**where, **mpi}) == (3, 4, 1, "n:1")
    srun = {"SLURM_PROCID": "2", "SLURM_NTASKS": "3", "SLURM_LOCALID": "0"}
    assert NCCLReducer.read({**where, **srun}) == (2, 3, 0, "n:1")
    assert NCCLReducer.read({**GOOD, **srun})[:2] == (1, 2)  # torchrun within an allocation


@pytest.mark.parametrize("name", ["WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(emisopt.InputError, match=f"expected {name} in the environment"):
        NCCLReducer.read({n: v for n, v in GOOD.items() if n != name})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"RANK": "2"}, r"RANK to be 0..1, got '2'"),
        ({"RANK": "one"}, r"RANK to be 0..1, got 'one'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT"),
        ({"OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_RANK to agree with RANK=1"),
    ],
)
def test_variables_that_do_not_fit_are_named(change: dict[str, str], expected: str) -> None:
    with pytest.raises(emisopt.InputError, match=expected):
        NCCLReducer.read({**GOOD, **change})
