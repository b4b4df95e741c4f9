"""The CUDA backend from Python, on the executor that runs its kernels on the CPU (docs/cuda.md)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emisopt
from cuda_host import PLUGIN, need
from emisopt import _core, _nvidia
from emisopt.engine import Architecture, Program

ROOT = Path(__file__).parents[2]

FIT = """
import json, sys
import emisopt

rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
out = {}
for device in sys.argv[1].split(","):
    f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, steps=12, batch=4, warmup=3, seed=3)
    f.fit(rows, tags=tags, progress=False, device=device, resume=sys.argv[2] or None, save_every=0,
          precision=sys.argv[3])
    out[device] = f.predict(rows).to_numpy().ravel().tolist()
print(json.dumps({"forecasts": out, "device": emisopt.show_config()["device"]}))
"""


def run(
    devices: str, *, plugin: str, resume: str = "", fault: str = "", precision: str = "float32"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FIT, devices, resume, precision],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin, "EMISOPT_CUDA_HOST_FAULT": fault},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


REFUSAL = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("_core", sys.argv[1])
core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
print(core.cuda_refusal())
"""


def refusal(plugin: str, fault: str = "") -> str:
    """What show_config() and device="cuda" say, from the compiled module alone: pandas takes a second."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSAL, _core.__file__],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin, "EMISOPT_CUDA_HOST_FAULT": fault},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


@pytest.fixture(scope="module")
def plugin() -> str:
    need(PLUGIN)
    return str(PLUGIN)


def test_training_through_the_plugin_ends_where_the_cpu_does(plugin: str) -> None:
    done = run("cpu,cuda", plugin=plugin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    cpu, cuda = answer["forecasts"]["cpu"], answer["forecasts"]["cuda"]
    assert cuda == pytest.approx(cpu, rel=1e-4)
    assert cuda != cpu  # another order of sums: it did run there
    assert "can be used" in answer["device"]


def test_a_run_goes_on_where_it_began_and_nowhere_else(plugin: str, tmp_path: Path) -> None:
    state = str(tmp_path / "state.safetensors")
    assert run("cuda", plugin=plugin, resume=state).returncode == 0
    again = run("cuda", plugin=plugin, resume=state)
    assert again.returncode == 0, again.stderr
    elsewhere = run("cpu", plugin=plugin, resume=state)
    assert elsewhere.returncode != 0
    assert "device" in elsewhere.stderr.splitlines()[-1]


def test_bf16_trains_and_goes_on_in_bf16_alone(plugin: str, tmp_path: Path) -> None:
    state = str(tmp_path / "state.safetensors")
    done = run("cuda", plugin=plugin, resume=state, precision="bf16")
    assert done.returncode == 0, done.stderr
    forecasts = np.array(json.loads(done.stdout)["forecasts"]["cuda"])
    exact = np.array(json.loads(run("cuda", plugin=plugin).stdout)["forecasts"]["cuda"])
    assert 0 < np.linalg.norm(forecasts - exact) < 0.01 * np.linalg.norm(exact)
    again = run("cuda", plugin=plugin, resume=state, precision="bf16")
    assert json.loads(again.stdout)["forecasts"]["cuda"] == forecasts.tolist()
    other = run("cuda", plugin=plugin, resume=state)
    assert other.returncode != 0
    assert "precision" in other.stderr.splitlines()[-1] and "bf16" in other.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("bf16", "TrainConfig.precision: expected float32 on the CPU, got bf16, which needs device cuda"),
        ("int8", "TrainConfig.precision: expected float32 or bf16, got int8, which is for forecasts"),
        ("fp8", "Forecaster.fit(precision): expected one of float32, int8, bf16, got 'fp8'"),
    ],
)
def test_a_precision_that_the_cpu_does_not_train_in_is_refused(precision: str, expected: str) -> None:
    rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
    f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, steps=1)
    with pytest.raises(emisopt.InputError, match=re.escape(expected)):
        f.fit(rows, tags=tags, progress=False, precision=precision)


def test_forecasts_and_programs_of_the_cpu_are_not_in_bf16() -> None:
    with pytest.raises(emisopt.InputError, match="float32 or int8 on the CPU, got bfloat16"):
        Program(Architecture.S, precision="bf16")


PROGRAM = """
import numpy as np
from emisopt.engine import Architecture, Program

answers = []
for isa, precision in [(None, "float32"), ("cuda", "bf16")]:
    p = Program(Architecture.S, mode="vjp", history=12, horizon=4, isa=isa, precision=precision)
    p.load()
    p.history[:] = np.linspace(-1, 1, p.history.size).reshape(p.history.shape)
    p.future[:] = np.linspace(1, -1, p.future.size).reshape(p.future.shape)
    p.seed[:] = 1.0
    p.run_context(); p.run()
    answers += [p.quantiles.copy(), p.future_gradient.copy()]
for exact, rounded in zip(answers[:2], answers[2:]):
    print(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
"""


def test_a_program_forecasts_and_differentiates_in_bf16(plugin: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for apart in map(float, done.stdout.split()):
        assert 0 < apart < 0.02


KILLED = """
import json, os, sys, time
import emisopt
from emisopt import _training

state, last = sys.argv[1] or None, int(sys.argv[2])
if last:
    seen = 0

    class Bar(_training.TrainBar):
        def update(self, report):
            global seen
            seen += 1
            if seen == last:
                os._exit(9)
            time.sleep(0.06)  # reports come at most every 50 ms: now after every step

    _training.TrainBar = Bar
rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, steps=12, batch=4, warmup=3, seed=3)
f.fit(rows, tags=tags, progress=False, device="cuda", validation_rows=60, resume=state, save_every=0)
print(json.dumps([f.predict(rows).to_numpy().ravel().tolist(), f.training_["loss"], f.training_["steps"]]))
"""


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(plugin: str, tmp_path: Path) -> None:
    def fit(resume: str, last: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, resume, str(last)],
            env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    whole = fit("", 0)  # with the next step in line all the time
    assert whole.returncode == 0, whole.stderr
    state = str(tmp_path / "state.safetensors")
    assert fit(state, 5).returncode == 9
    rest = fit(state, 0)
    assert rest.returncode == 0, rest.stderr
    assert json.loads(rest.stdout) == json.loads(whole.stdout)
    assert json.loads(rest.stdout)[2] == 12


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "which is not there"), (b"no library", "does not load")],
    ids=["missing", "no library"],
)
def test_a_plugin_that_cannot_be_opened_is_explained(
    content: bytes | None, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "plugin.so"
    if content is not None:
        file.write_bytes(content)
    done = run("cuda", plugin=str(file))
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert "StateError" in last and expected in last and "expected a GPU" in last


def test_a_library_that_is_no_plugin_is_refused() -> None:
    assert "is no CUDA backend of emisopt" in refusal(_core.__file__)


def test_the_configuration_tells_the_versions_of_driver_and_run_time(plugin: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", 'import emisopt; print(emisopt.show_config()["device"])'],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin, "EMISOPT_CUDA_HOST_FAULT": "driver=13020"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"can be used: NVIDIA driver .* for CUDA 13\.2, run-time 13\.\d+$", done.stdout.strip())


def test_the_kernel_drivers_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "version"
    monkeypatch.setattr(_nvidia, "_DRIVER", told)
    assert _nvidia.driver() == ""
    told.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC 12\n"
    )
    assert _nvidia.driver() == "580.65.06"
    told.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54  Tue\n")
    assert _nvidia.driver() == "535.54"


def test_an_unknown_device_is_named() -> None:
    done = run("gpu", plugin="")
    assert 'expected "cpu", "cuda" or "auto", got \'gpu\'' in done.stderr.splitlines()[-1]


def test_without_a_plugin_the_configuration_says_what_helps() -> None:
    if "EMISOPT_CUDA_PLUGIN" in os.environ or (Path(_core.__file__).parent / "libemisopt_cuda.so").exists():
        pytest.skip("this environment has a plugin")
    assert "EMISOPT_CUDA=ON" in emisopt.show_config()["device"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("driver=0", "no NVIDIA driver is installed"),
        ("driver=12040", "too old: it serves CUDA 12.4, this backend needs 13"),
        ("devices=0", "no GPU is visible"),
        ("capability=75", "compute capability 7.5, this backend has kernels for 8.0"),
    ],
)
def test_a_driver_or_gpu_that_does_not_serve_is_named(plugin: str, fault: str, expected: str) -> None:
    assert expected in refusal(plugin, fault)


def test_the_configuration_and_a_fit_say_the_same(plugin: str) -> None:
    script = """
import emisopt
print(emisopt.show_config()["device"])
rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, steps=1)
f.fit(rows, tags=tags, progress=False, device="cuda")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": plugin, "EMISOPT_CUDA_HOST_FAULT": "driver=12040"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert "StateError" in last and "too old" in last and "too old" in done.stdout


@pytest.fixture(scope="module")
def undisturbed(plugin: str) -> list[float]:
    forecasts: list[float] = json.loads(run("cuda", plugin=plugin).stdout)["forecasts"]["cuda"]
    return forecasts


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("launch=400", "the GPU was lost, it answers 'an illegal memory access was encountered'"),
        pytest.param("launch=400,error=214", "uncorrectable ECC error", marks=pytest.mark.slow),
        ("allocation=1", "out of memory on the GPU, asked for"),
    ],
    ids=["illegal address", "ECC", "memory"],
)
def test_after_a_failure_a_training_goes_on_to_the_same_bits(
    plugin: str, undisturbed: list[float], fault: str, expected: str, tmp_path: Path
) -> None:
    state = tmp_path / "state.safetensors"
    failed = run("cuda", plugin=plugin, resume=str(state), fault=fault)
    assert failed.returncode == 1
    assert expected in failed.stderr.splitlines()[-1]
    assert state.exists() == fault.startswith("launch")  # lost on the way, or before the first step
    again = run("cuda", plugin=plugin, resume=str(state))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["forecasts"]["cuda"] == undisturbed


@pytest.mark.parametrize("share", [0.999, 0.3, 0.0])
def test_a_torn_plugin_is_refused_not_mapped(plugin: str, share: float, tmp_path: Path) -> None:
    torn = tmp_path / "torn.so"
    content = Path(plugin).read_bytes()
    torn.write_bytes(content[: int(len(content) * share)])
    why = refusal(str(torn))  # no signal
    assert "is torn" in why and "pip install" in why


@pytest.mark.parametrize(
    ("stranger", "expected"),
    [("abi", "has the plugin interface 7"), ("sources", "belongs to emisopt 9.9.9-0123456789abcdef")],
)
def test_a_plugin_of_another_build_is_refused(plugin: str, stranger: str, expected: str) -> None:
    why = refusal(str(Path(plugin).with_name(f"libemisopt_cuda_other_{stranger}.so")))
    assert expected in why and "pip install --force-reinstall" in why
