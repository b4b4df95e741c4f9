"""The example programs and notebooks run, and say what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import emisopt
import emisopt.datasets
import emisopt.errors

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "examples" / "train.py"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRITES = {
    "01_first_forecast.ipynb": "boiler.safetensors",
    "02_permit_check.ipynb": "permit_check.html",
    "03_drift_and_online_learning.ipynb": "learner.safetensors",
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    package = str(Path(emisopt.__file__).parents[1])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
        # Spinning OpenMP threads make a shared machine ten times slower; they cost nothing when they sleep.
        "OMP_WAIT_POLICY": "passive",
        "COLUMNS": "200",
    }
    command = [sys.executable, str(TRAIN), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_train_fits_scores_and_saves(tmp_path: Path) -> None:
    begin = time.perf_counter()
    done = run(tmp_path, "--quick")
    seconds = time.perf_counter() - begin
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC plant" in done.stdout
    rows = re.findall(r"^(?:\w+)? +(1|6|24) +([\d.e-]+) +([\d.e-]+)", done.stdout, flags=re.MULTILINE)
    assert len(rows) == 6 * 3  # outputs by horizons, with the forecaster's error and the last value's
    ahead = [(float(ours), float(last)) for horizon, ours, last in rows if horizon == "24"]
    assert sum(ours < last for ours, last in ahead) >= 4  # 150 steps already beat the last value two hours on
    loaded = emisopt.Forecaster.load(tmp_path / "model.safetensors")
    assert loaded.outputs_ == ("nox", "co", "co2", "nh3_slip", "efficiency", "nh3_flow")
    assert seconds < 120  # some 5 s of work; the rest is room for a busy machine


def test_train_mpi_runs_as_one_process(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install emisopt[mpi]")
    command = [sys.executable, str(TRAIN.with_name("train_mpi.py"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^loss \d\.\d{6}, weights [0-9a-f]{16}$", done.stdout, flags=re.MULTILINE)


TAGS = """
plant: a boiler's own files
period: 5 min
file: {time: {columns: [time], format: "%Y-%m-%d %H:%M:%S", timezone: UTC}}
tags:
  - {name: o2_sp, unit: "%", role: setpoint, low: 2, high: 6.5}
  - {name: load, unit: MW, role: disturbance, low: 100, high: 320, known_ahead: true}
  - {name: nox, unit: mg/m3, role: emission, low: 0, high: 1500}
"""


def test_train_reads_files(tmp_path: Path) -> None:
    history, _ = emisopt.plants.Boiler(seed=2).simulate_history(days=12)
    stamped = history[["o2_sp", "load", "nox"]].set_index(history.index.strftime("%Y-%m-%d %H:%M:%S"))
    stamped.to_csv(tmp_path / "boiler.csv", index_label="time")
    (tmp_path / "tags.yaml").write_text(TAGS, encoding="utf-8")
    done = run(tmp_path, "boiler.csv", "--tags", "tags.yaml", "--quick", "-o", "own.safetensors")
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" not in done.stdout  # nothing says that this plant is one
    assert emisopt.Forecaster.load(tmp_path / "own.safetensors").setpoints_ == ("o2_sp",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--tags", "gas_turbine"], "nowhere.csv"),
        (["nowhere.csv", "--tags", "no_such_plant"], "no_such_plant"),
        (["nowhere.csv"], "DATA and --tags go together"),
        (["--tags", "gas_turbine"], "DATA and --tags go together"),
    ],
)
def test_train_says_in_a_line_what_is_wrong(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def there(data: str) -> bool:
    try:
        return bool(emisopt.datasets.load(data))
    except emisopt.errors.MissingFileError:
        return False


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == list(WRITES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_small_and_holds_the_output_of_a_whole_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 500_000
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds == {"execute_result"}  # neither an error nor stray text on stderr
    assert any("image/png" in output.data for cell in cells for output in cell.outputs)
    assert "synthetic" in notebook.cells[0].source.lower()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("PYTHONPATH", str(Path(emisopt.__file__).parents[1]))
    notebook = nbformat.read(path, as_version=4)
    needs = notebook.metadata.get("needs_data")
    if needs is not None and not there(needs):
        pytest.skip(f"no data set {needs}; set EMISOPT_DATA to the folder of the data")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / WRITES[path.name]).exists()
    assert any("image/png" in o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", []))
