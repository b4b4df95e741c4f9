"""Choices made by measurement: kept, read again, and what `deterministic` means, on the executor's GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import emisopt
from cuda_host import FOLDER, PLUGIN, need
from emisopt import choices

ROOT = Path(__file__).parents[2]
BLASLT = FOLDER / "libblaslt_stand_in_130100.so"

FIT = """
import json, sys
import emisopt
from emisopt import choices

asked = json.loads(sys.argv[1])
if asked.get("load"):
    choices.load(asked["load"])
rows, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=1)
f = emisopt.Forecaster(context=12, horizon=4, width=16, heads=2, layers=1, steps=4, batch=4, warmup=3, seed=3)
f.fit(rows, tags=tags, progress=False, save_every=0, **asked["fit"])
if asked.get("save"):
    choices.save(asked["save"])
print(json.dumps({"device": f.training_["device"], "choices": choices.read(),
                  "forecasts": f.predict(rows).to_numpy().ravel().tolist()}))
"""


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    need(PLUGIN, BLASLT)


def fit(env: dict[str, str] | None = None, /, **asked: Any) -> dict[str, Any]:
    """What the process printed, or {"error": its last line}."""
    done = subprocess.run(
        [sys.executable, "-c", FIT, json.dumps(asked)],
        env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(PLUGIN), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def of_kind(answer: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [c for c in answer["choices"] if c["of"]["what"] == what]


def test_a_device_is_chosen_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "choices.json"
    none = fit(fit={"device": "auto", "deterministic": True})
    assert "deterministic: expected a stored choice between CPU and GPU, got none for {" in none["error"]
    first = fit(fit={"device": "auto"}, save=str(file))
    (made,) = of_kind(first, "device")
    assert made["is"]["cpu_seconds"] > 0 and made["is"]["cuda_seconds"] > 0
    quicker = "cpu" if made["is"]["cpu_seconds"] <= made["is"]["cuda_seconds"] else "cuda"
    assert first["device"] == made["is"]["on"] == quicker
    again = fit(fit={"device": "auto", "deterministic": True}, load=str(file))
    assert again == first  # nothing measured anew, or the seconds would differ
    for device in ("cpu", "cuda"):  # the file decides
        text = file.read_text().replace(f'"on":"{quicker}"', f'"on":"{device}"')
        other = tmp_path / f"{device}.json"
        other.write_text(text)
        taken = fit(fit={"device": "auto", "deterministic": True}, load=str(other))
        assert taken["device"] == device
        assert taken["forecasts"] == fit(fit={"device": device})["forecasts"]


def test_a_run_goes_on_with_the_choices_beside_its_state(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    beside = tmp_path / "state.safetensors.choices.json"
    env = {"EMISOPT_CUBLASLT": str(BLASLT), "EMISOPT_CUDA_PRODUCTS": "measured"}
    first = fit(env, fit={"device": "cuda", "resume": str(state)})
    products = of_kind(first, "product")
    assert products and json.loads(beside.read_text())["choices"] == first["choices"]
    assert {p["of"]["cublaslt"] for p in products} == {"13.1.0"}
    state.unlink()
    again = fit(env, fit={"device": "cuda", "resume": str(state), "deterministic": True})
    assert again == first  # the same choices, seconds included, and the same bits
    beside.write_text(beside.read_text()[:-20])
    torn = fit(env, fit={"device": "cuda", "resume": str(state)})
    assert "FileError" in torn["error"] and beside.name in torn["error"]
    beside.unlink()
    missing = fit(env, fit={"device": "cuda", "deterministic": True})
    assert "deterministic: expected a stored choice, got none for {" in missing["error"]
    unmeasured = {"EMISOPT_CUBLASLT": str(BLASLT)}
    fixed = fit(unmeasured, fit={"device": "cuda", "deterministic": True})  # a rule, no choice
    assert fixed["forecasts"] == fit(unmeasured, fit={"device": "cuda"})["forecasts"]
    assert fixed["choices"] == []


TICK = """
import json, sys
from emisopt import choices
from emisopt.engine import Architecture, Program

def make(**more):
    return Program(Architecture.S, mode="vjp", threads=1, isa="auto", **more)

choices.load(sys.argv[1]) if len(sys.argv) > 1 else None
program = make(deterministic=len(sys.argv) > 1)
program.load(); program.run_context(); program.run()
assert program.isa == make(deterministic=True).isa and len(choices.read()) == 1
choices.save("choices.json")
print(json.dumps([program.isa, choices.read()]))
"""


def test_a_program_by_itself_chooses_too(tmp_path: Path) -> None:
    def run(*arguments: str) -> list[Any]:
        done = subprocess.run(
            [sys.executable, "-c", TICK, *arguments],
            env={**os.environ, "EMISOPT_CUDA_PLUGIN": str(PLUGIN)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: list[Any] = json.loads(done.stdout)
        return answer

    isa, made = run()
    assert (isa == "cuda") == (made[0]["is"]["on"] == "cuda")
    assert run("choices.json") == [isa, made]
    text = (tmp_path / "choices.json").read_text()
    (tmp_path / "other.json").write_text(text.replace('"on":"cpu"', '"on":"cuda"'))
    assert run("other.json")[0] == "cuda"


def test_without_a_gpu_it_is_the_cpu() -> None:
    answer = fit({"EMISOPT_CUDA_HOST_FAULT": "devices=0"}, fit={"device": "auto", "deterministic": True})
    assert answer["device"] == "cpu" and answer["choices"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "choices.json"),
        ("{}", "field 'format' is missing"),
        ('{"format":"other","version":1,"choices":[]}', "got 'other'"),
        ('{"format":"emisopt choices","version":9,"choices":[]}', "expected version 1, got 9"),
        ('{"format":"emisopt choices","version":1,"choices":[{"of":1,"is":2}]}', "expected an object"),
    ],
)
def test_files_that_are_none_of_ours_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "choices.json"
    file.write_text(text)
    choices.clear()
    with pytest.raises(emisopt.FileError, match=expected):
        choices.load(file)
    with pytest.raises(emisopt.FileError):
        choices.load(tmp_path / "missing.json")
    with pytest.raises(emisopt.FileError):
        choices.save(tmp_path / "no" / "folder.json")
    assert choices.read() == []
