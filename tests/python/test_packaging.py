"""What is shipped: metadata that agree, stubs that are true, a wheel that runs alone, a core for C++."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt.permit import Permit, zone_table
from tools import make_stubs

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python/emisopt"
BUILD = ROOT / "build/dev"  # the tree that `make build` leaves

# Distribution name -> the module that it brings, where they differ.
MODULE_OF = {"scikit-learn": "sklearn", "PyYAML": "yaml"}
# Modules used that a declared distribution brings as a part of its own interface (docs/dependencies.md).
BROUGHT_BY = {"joblib": "scikit-learn"}


def command(*words: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Runs a program to its end; its output, or a failure that shows it."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


def toml_list(name: str, text: str) -> list[str]:
    """Distribution names in the list `name = [...]` of pyproject.toml (Python 3.10 has no tomllib)."""
    match = re.search(rf"^{re.escape(name)} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert match, name
    return [re.split(r"[<>=!~\[; ]", entry)[0] for entry in re.findall(r'"([^"]+)"', match.group(1))]


@pytest.fixture(scope="module")
def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


# ---- the files agree with each other ------------------------------------------------------------------


def test_one_version_everywhere(pyproject: str) -> None:
    def found(path: str, pattern: str) -> str:
        match = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert match, f"{path} states no version"
        return match.group(1)

    from emisopt import _core

    versions = {
        "pyproject.toml": found("pyproject.toml", r'^version = "([^"]+)"'),
        "CMakeLists.txt": found("CMakeLists.txt", r"^project\(emisopt .*VERSION ([\d.]+)\)"),
        "CITATION.cff": found("CITATION.cff", r"^version: ([\d.]+)"),
        "CHANGELOG.md": found("CHANGELOG.md", r"^## ([\d.]+)"),
        "installed": metadata.version("emisopt"),
        "core": _core.__version__,
    }
    assert len(set(versions.values())) == 1, versions


def test_every_dependency_is_explained_and_in_the_development_group(pyproject: str) -> None:
    run_time = toml_list("dependencies", pyproject)
    build = toml_list("requires", pyproject)
    development = toml_list("dev", pyproject)
    extras = toml_list("tune", pyproject) + toml_list("mpi", pyproject)
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    unexplained = [name for name in {*run_time, *build, *extras, *development} if f"| {name} |" not in page]
    assert not unexplained, f"docs/dependencies.md has no row for {sorted(unexplained)}"
    # the editable install is made without isolation and dependencies: the group must bring them
    assert {*run_time, *build, *extras} <= set(development)


def test_the_package_imports_only_what_it_declares(pyproject: str) -> None:
    declared = {MODULE_OF.get(name, name) for name in toml_list("dependencies", pyproject)}
    for module, bringer in BROUGHT_BY.items():
        assert any(entry.startswith(module) for entry in metadata.requires(bringer) or [])
    # imported where they are used, never with the package
    extras = {*toml_list("tune", pyproject), *toml_list("mpi", pyproject)}
    allowed = declared | set(BROUGHT_BY) | set(sys.stdlib_module_names) | {"emisopt"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            stray = {name.split(".")[0] for name in names} - allowed
            stray -= extras if getattr(node, "col_offset", 0) > 0 else set()
            assert not stray, f"{path.relative_to(ROOT)}:{node.lineno} imports {stray}, which is not declared"


def test_the_command_line_entry_point_resolves() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="emisopt")
    assert callable(entry.load())


def test_the_committed_stub_is_that_of_the_compiled_module() -> None:
    assert (PACKAGE / "py.typed").exists()
    delta = make_stubs.difference(make_stubs.STUB.read_text(encoding="utf-8"), make_stubs.generate())
    assert not delta, f"run `make stubs`:\n{delta}"


def test_a_changed_stub_would_be_noticed() -> None:
    text = make_stubs.STUB.read_text(encoding="utf-8")
    assert make_stubs.difference(text, text) == ""
    assert "+def added() -> None: ..." in make_stubs.difference(text, text + "def added() -> None: ...\n")


# ---- what is shipped ----------------------------------------------------------------------------------


def test_the_source_distribution_holds_what_the_build_needs(tmp_path: Path) -> None:
    script = "import sys, scikit_build_core.build as b; print(b.build_sdist(sys.argv[1]))"
    name = command(sys.executable, "-c", script, tmp_path).splitlines()[-1]
    with tarfile.open(tmp_path / name) as archive:
        members = {member.partition("/")[2] for member in archive.getnames()}
    needed = {
        "CMakeLists.txt", "LICENSE", "README.md", "cmake/EmisoptRoom.cmake", "kernels/backend.hpp",
        "csrc/emisopt/base/error.cpp", "python/bindings/module.cpp", "python/emisopt/py.typed",
    }  # fmt: skip
    assert needed <= members, needed - members
    assert not [member for member in members if member.startswith((".venv", "build/", "demo/"))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `pip install .` builds it: isolated, from the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    (path,) = folder.glob("emisopt-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert all(name.startswith("emisopt/") for name in members), members
    assert not [name for name in members if name.endswith((".a", ".hpp", ".cmake", ".cpp"))]
    shipped = {name.removeprefix("emisopt/") for name in members if not name.endswith(".so")}
    tracked = command("git", "ls-files", "python/emisopt").split() if (ROOT / ".git").exists() else []
    assert {name.removeprefix("python/emisopt/") for name in tracked} <= shipped
    assert sum(name.endswith(".so") for name in members) == 1
    assert wheel.stat().st_size < 5_000_000


@pytest.mark.slow
def test_the_extension_needs_only_the_system_libraries(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        archive.extract(name, tmp_path)
    needed = re.findall(r"NEEDED\).*\[(.+?)\]", command("readelf", "-d", tmp_path / name))
    assert needed
    system = re.compile(r"lib(c|m|stdc\+\+|gcc_s|dl|pthread|rt)\.so\.\d+|ld-linux.*")
    assert [library for library in needed if not system.fullmatch(library)] == []


@pytest.mark.slow
def test_the_wheel_runs_alone_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    command(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    command(python, "-m", "pip", "install", "-q", wheel)
    away = {"cwd": tmp_path, "PYTHONPATH": "", "VIRTUAL_ENV": ""}
    where = command(python, "-c", "import emisopt; print(emisopt.__file__)", **away)  # type: ignore[arg-type]
    assert where.startswith(str(tmp_path / "venv"))
    configuration = command(python, "-c", "import emisopt; print(emisopt.show_config())", **away)  # type: ignore[arg-type]
    assert metadata.version("emisopt") in configuration
    assert "demo" in command(tmp_path / "venv/bin/emisopt", "--help", **away)  # type: ignore[arg-type]
    assert "No broken requirements" in command(python, "-m", "pip", "check")


@pytest.fixture(scope="module")
def cpp_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of examples/cpp, made against an installed core."""
    tmp_path = tmp_path_factory.mktemp("cpp")
    assert BUILD.is_dir(), "run `make build` first"
    prefix = tmp_path / "prefix"
    command("cmake", "--install", BUILD, "--component", "cpp", "--prefix", prefix)
    assert not list(prefix.rglob("_core*")), "the Python module belongs to component python"
    example = tmp_path / "example"
    command(
        "cmake", "-S", ROOT / "examples/cpp", "-B", example, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}"
    )
    command("cmake", "--build", example)
    return example


@pytest.mark.slow
def test_a_cpp_program_finds_and_uses_the_installed_core(cpp_example: Path) -> None:
    printed = command(cpp_example / "show_config", EMISOPT_ISA="ref")
    assert f"emisopt {metadata.version('emisopt')}\n" in printed
    assert "chosen: ref" in printed


@pytest.mark.slow
def test_a_cpp_program_closes_the_loop_with_a_checkpoint_of_the_python_face(
    cpp_example: Path, tmp_path: Path, small_forecaster: emisopt.Forecaster
) -> None:
    model = tmp_path / "model.safetensors"
    small_forecaster.save(model)
    printed = command(cpp_example / "close_loop", model, "2", "7")
    for policy in ("operator rules, 2 h", "MPC, 2 h"):
        assert policy in printed
    assert printed.count("illegal moves: 0") == 2
    statuses = re.findall(r"status: (.*)", printed)
    assert [sum(map(int, re.findall(r"[A-Z_]+ (\d+)", line))) for line in statuses] == [
        24,
        24,
    ]  # 2 h of 5 min
    again = command(cpp_example / "close_loop", model, "2", "7")
    assert [line for line in again.splitlines() if "ms" not in line] == [
        line for line in printed.splitlines() if "ms" not in line
    ]


@pytest.mark.slow
def test_the_cpp_program_refuses_a_torn_checkpoint_in_one_line(
    cpp_example: Path, tmp_path: Path, small_forecaster: emisopt.Forecaster
) -> None:
    model = tmp_path / "model.safetensors"
    small_forecaster.save(model)
    model.write_bytes(model.read_bytes()[:-100])
    done = subprocess.run([cpp_example / "close_loop", model], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "truncated" in done.stderr


@pytest.mark.slow
def test_a_cpp_program_judges_a_permit_of_the_python_face_to_the_same_text(
    cpp_example: Path, tmp_path: Path
) -> None:
    rule = {
        "name": "NOx day", "pollutant": "NOx", "unit": "mg/Nm3", "limit": 150, "source": "a test",
        "verified": True, "base": {"length": "1 h", "validity": {"need": "quadrants"}},
        "average": {"over": "day", "max_invalid": 3},
    }  # fmt: skip
    signals = [{"tag": "nox", "pollutant": "NOx", "unit": "mg/Nm3"}]
    permit = Permit.from_dict(
        {
            "name": "p",
            "zone": "Europe/Berlin",
            "signals": signals,
            "rules": [rule, {**rule, "name": "NOx 1 h", "average": None}],
        }
    )
    index = pd.date_range("2024-10-25", periods=5000, freq="1min", tz="UTC")  # over the change of the clock
    values = 150 + 10 * np.sin(np.arange(5000.0)) + np.where(np.arange(5000) % 700 < 40, np.nan, 0)
    judged = permit.evaluate(pd.DataFrame({"nox": values}, index=index))
    (tmp_path / "permit.json").write_text(permit.to_json())
    (tmp_path / "zone.json").write_text(zone_table("Europe/Berlin", 2023, 2045).to_json())
    samples = "".join(f"{t.timestamp():.0f}, {v!r}\n" for t, v in zip(index, values.tolist(), strict=True))
    arguments = [cpp_example / "judge_permit", tmp_path / "permit.json", tmp_path / "zone.json"]
    done = subprocess.run([*arguments, "nox"], input=samples, capture_output=True, text=True)
    assert done.stdout.strip() == judged.to_json()
    assert done.returncode == {"broken": 1, "holds": 0}[judged.verdict]
    wrong = subprocess.run([*arguments, "NOX"], input=samples, capture_output=True, text=True)
    assert wrong.returncode == 2 and "did you mean 'NOX'" in wrong.stderr
