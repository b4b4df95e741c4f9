"""The tools that keep the house in order, on small trees made for the purpose, and on this tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_layers, run_examples, run_readme

ROOT = Path(__file__).resolve().parents[2]


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


# ---- check_layers -------------------------------------------------------------------------------------


def test_this_tree_keeps_its_layers() -> None:
    assert check_layers.check(ROOT, check_layers.TESTS_OF_SEVERAL_SOURCES) == []


def test_includes_of_the_same_and_earlier_rooms_pass(tmp_path: Path) -> None:
    write(tmp_path, "csrc/emisopt/control/a.cpp", '#include "emisopt/control/a.hpp"\n#include <vector>\n')
    write(
        tmp_path,
        "csrc/emisopt/control/a.hpp",
        '#include "emisopt/base/b.hpp"\n#include "kernels/backend.hpp"\n#include "kernels/dense.hpp"\n',
    )
    write(tmp_path, "kernels/backend.cpp", '#include "kernels/ref/x.hpp"\n#include "emisopt/base/b.hpp"\n')
    write(tmp_path, "tests/cpp/control/a_test.cpp", '#include "emisopt/plant/plant.hpp"\n')
    assert check_layers.check(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("path", "include", "told"),
    [
        ("csrc/emisopt/control/a.cpp", '"emisopt/plant/plant.hpp"', "control may include base data permit"),
        ("csrc/emisopt/data/a.hpp", '"emisopt/permit/limit_row.hpp"', "data may include base data"),
        ("csrc/emisopt/data/a.hpp", "<emisopt/loop/tick.hpp>", "data may include base data"),
        ("csrc/emisopt/model/a.cpp", '"kernels/cpu/vec.hpp"', "backend.hpp and kernels/dense.hpp only"),
        ("csrc/emisopt/base/a.cpp", '"kernels/backend.hpp"', "base comes before the engines"),
        ("csrc/emisopt/base/a.cpp", "<Python.h>", "neither Python nor CUDA"),
        ("csrc/emisopt/base/a.cpp", "<pybind11/numpy.h>", "neither Python nor CUDA"),
        ("csrc/emisopt/base/a.cpp", "<cuda_runtime.h>", "neither Python nor CUDA"),
        ("csrc/emisopt/loop/a.cpp", '"emisopt/emisopt.hpp"', "umbrella"),
        ("csrc/emisopt/loop/a.cpp", '"emisopt/weather/rain.hpp"', "no such room"),
        ("csrc/emisopt/loop/a.cpp", '"../base/error.hpp"', "write the full path"),
        ("kernels/ref/a.cpp", '"emisopt/model/forecaster.hpp"', "kernels know emisopt/base only"),
        ("kernels/cpu/a.inl", "<cublas_v2.h>", "only kernels/cuda"),
    ],
)
def test_an_include_of_a_later_room_is_named(tmp_path: Path, path: str, include: str, told: str) -> None:
    write(tmp_path, path, f"// a comment\n#  include {include}  // why\n")
    breaches = check_layers.check(tmp_path, {})
    assert len(breaches) == 1
    assert breaches[0].startswith(f"{path}:2: ")
    assert told in breaches[0]


def test_the_umbrella_header_may_include_every_room(tmp_path: Path) -> None:
    write(tmp_path, "csrc/emisopt/emisopt.hpp", '#include "emisopt/loop/tick.hpp"\n')
    assert check_layers.check(tmp_path, {}) == []


def test_a_folder_that_is_no_room_is_named(tmp_path: Path) -> None:
    write(tmp_path, "csrc/emisopt/misc/a.cpp", "")
    assert "csrc/emisopt/misc: not a room" in check_layers.check(tmp_path, {})[0]


def test_a_cpp_test_needs_a_source_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, "csrc/emisopt/qp/solver.hpp", "")
    write(tmp_path, "kernels/ref/norm.cpp", "")
    write(tmp_path, "tests/cpp/qp/solver_test.cpp", "")
    write(tmp_path, "tests/cpp/kernels/norm_test.cpp", "")
    write(tmp_path, "tests/cpp/qp/stray_test.cpp", "")
    assert [breach.split(":")[0] for breach in check_layers.check(tmp_path, {})] == [
        "tests/cpp/qp/stray_test.cpp"
    ]
    assert check_layers.check(tmp_path, {"tests/cpp/qp/stray_test.cpp": "a reason"}) == []


def test_a_stale_exception_is_named(tmp_path: Path) -> None:
    write(tmp_path, "csrc/emisopt/qp/solver.hpp", "")
    write(tmp_path, "tests/cpp/qp/solver_test.cpp", "")
    assert "has a source" in check_layers.check(tmp_path, {"tests/cpp/qp/solver_test.cpp": "old"})[0]
    assert "not there" in check_layers.check(tmp_path, {"tests/cpp/qp/gone_test.cpp": "old"})[0]


@pytest.mark.parametrize(
    "path", ["csrc/emisopt/base/a.cpp", "python/emisopt/a.py", "tests/cpp/base/support.hpp"]
)
def test_a_file_beyond_500_lines_is_named(tmp_path: Path, path: str) -> None:
    write(tmp_path, path, "\n" * 500)
    assert check_layers.check(tmp_path, {}) == []
    write(tmp_path, path, "\n" * 501)
    assert check_layers.check(tmp_path, {}) == [f"{path}: 501 lines, at most 500: is there a seam inside?"]


def test_check_layers_exits_with_1_on_a_breach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "csrc/emisopt/base/a.cpp", "int x;\n")
    assert check_layers.main([str(tmp_path)]) == 0
    write(tmp_path, "csrc/emisopt/base/a.cpp", '#include "emisopt/qp/solver.hpp"\n')
    assert check_layers.main([str(tmp_path)]) == 1
    assert "1 breaches" in capsys.readouterr().out


# ---- run_readme ---------------------------------------------------------------------------------------


def run_page(tmp_path: Path, text: str, *options: str) -> int:
    write(tmp_path, "page.md", text)
    return run_readme.main([*options, str(tmp_path / "page.md")])


def test_marked_blocks_run_in_order_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = """
<!-- file: in/tags.yaml -->
```yaml
name: nox
```
<!-- run -->

```bash
cat in/tags.yaml; echo 2 > number
```
<!-- output -->
```text
name: nox
```
<!-- run -->
```python
number = int(open("number").read())
```
<!-- run -->
```python
print("twice", 2 * number)
```
<!-- output -->
```
twice 4
```
<!-- shown: needs a plant -->
```bash
exit 1
```
"""
    assert run_page(tmp_path, page) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("```bash\ntrue\n```", "unmarked"),
        ("<!-- run -->\nA sentence between.\n```bash\ntrue\n```", "unmarked"),
        ("<!-- run -->\n```rust\nfn main() {}\n```", "cannot run rust"),
        ("<!-- shown -->\n```bash\ntrue\n```", "needs its argument"),
        ("<!-- output -->\n```\n1\n```", "an output must follow"),
        ("<!-- output: some -->\n```\n1\n```", "unknown option 'some'"),
        ("<!-- run: twice -->\n```bash\ntrue\n```", "unknown option 'twice'"),
        ("<!-- run -->\n```bash\ntrue\n", "never closed"),
    ],
)
def test_a_block_with_a_wrong_mark_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], block: str, told: str
) -> None:
    assert run_page(tmp_path, block, "--check") == 1
    out = capsys.readouterr().out
    assert told in out
    assert "page.md:" in out
    assert "0 passed, 1 failed" in out


def test_a_link_to_nowhere_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "docs/a.md", "")
    page = "[a](docs/a.md#part) [web](https://example.org/x) [here](#there)\n"
    page += "<!-- shown: x -->\n```\n[b](b.md)\n```\n[c](docs/c.md)\n"
    assert run_page(tmp_path, page, "--check") == 1
    assert "page.md:6: links to docs/c.md, which is not there\n0 passed, 1 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("<!-- run -->\n```bash\necho before; false; echo after\n```", "before"),
        ("<!-- run -->\n```bash\nfalse | cat\n```", "exit 1"),
        ("<!-- run -->\n```python\n1 / 0\n```", "ZeroDivisionError"),
        ("<!-- run -->\n```python\nimport os; os._exit(3)\n```", "the interpreter ended"),
        ("<!-- run -->\n```bash\necho 5\n```\n<!-- output -->\n```\n6\n```", "expected\n6"),
    ],
)
def test_a_block_that_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], block: str, told: str
) -> None:
    assert run_page(tmp_path, block) == 1
    out = capsys.readouterr().out
    assert f"FAILED {tmp_path}/page.md:" in out
    assert told in out


def test_a_python_block_cannot_disturb_the_next_one(tmp_path: Path) -> None:
    loud = "import subprocess, sys\nsubprocess.run(['echo', 'noise'])\nprint(repr(sys.stdin.read()))"
    page = f"<!-- run -->\n```python\n{loud}\n```\n<!-- run -->\n```python\nprint(1)\n```\n"
    assert run_page(tmp_path, page + "<!-- output -->\n```\n1\n```") == 0


def test_missing_data_skips_at_home_and_fails_under_ci(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "<!-- run: needs data -->\n```bash\ncat data/rows.csv\n```"
    monkeypatch.setenv("CI", "false")
    assert run_page(tmp_path, page, f"--link=data={tmp_path}/none") == 0
    assert "SKIPPED" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert run_page(tmp_path, page, f"--link=data={tmp_path}/none") == 1
    write(tmp_path, "sets/rows.csv", "1\n")
    assert run_page(tmp_path, page, f"--link=data={tmp_path}/sets") == 0


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a", "a   \n", True),
        ("a", "a\nb", False),
        ("loss ... after ... s", "loss 0.31 after 5 s", True),
        ("loss ... s", "loss 0.31\n5 s", False),
        ("first\n...\nlast", "first\n2\n3\nlast", True),
        ("first\n...\nlast", "first\nlast", True),
        ("first\n...\nlast", "first\n2", False),
        ("1.5 (a+b)", "1x5 (a+b)", False),
    ],
)
def test_dots_stand_for_anything_in_expected_output(expected: str, got: str, same: bool) -> None:
    assert run_readme.output_matches(expected, got) is same


@pytest.mark.parametrize(
    ("got", "same"),
    [
        ("NOX, mg/m3      1   1.8*  22.25\nbest in 4 of 6 rows", True),
        ("NOX, mg/m3  6  1,234  -2e-05*\nbest in 10 of 12 rows", True),
        ("NOX, mg/m3  1  2.1*  -\nbest in 4 of 6 rows", False),
        ("CO, mg/m3  1  2.1*  2.2\nbest in 4 of 6 rows", False),
        ("NOX, mg/m3  1  2.1*  2.2", False),
    ],
)
def test_figures_may_differ_and_nothing_else(tmp_path: Path, got: str, same: bool) -> None:
    page = f"<!-- run -->\n```bash\ncat <<'E'\n{got}\nE\n```\n<!-- output: figures -->\n```text\n"
    page += "NOX, mg/m3  1  2.1*  2.2\nbest in 4 of 6 rows\n```\n"
    assert run_page(tmp_path, page) == (0 if same else 1)


def test_paste_renews_the_figures_and_leaves_the_rest(tmp_path: Path) -> None:
    page = """# Page
<!-- run -->
```bash
echo 'loss 0.25  '; echo progress >&2; printf 'second\n\nrow 3\n'
```
<!-- output: figures -->
```text
loss 0.5
```
Text between.
<!-- run -->
```bash
echo 1
```
<!-- output -->
```
1
```
<!-- run -->
```bash
echo 7
```
<!-- output: figures -->
```
8
9
```
The end.
"""
    assert run_page(tmp_path, page, "--paste") == 0
    expected = page.replace("loss 0.5\n", "loss 0.25\nsecond\n\nrow 3\n").replace("8\n9\n", "7\n")
    assert (tmp_path / "page.md").read_text() == expected
    assert run_readme.main([str(tmp_path / "page.md")]) == 0


def test_paste_keeps_the_rows_left_out_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = "<!-- run -->\n```bash\nprintf 'head\\na  1\\nb  2\\nc  33*\\nend\\n'\n```\n"
    shown = "<!-- output: figures -->\n```text\n...\na  7*\n...\nc 5\n...\n```\n"
    assert run_page(tmp_path, page + shown, "--paste") == 0
    assert (tmp_path / "page.md").read_text() == page + shown.replace("a  7*", "a  1").replace(
        "c 5", "c  33*"
    )
    assert run_page(tmp_path, page + shown.replace("c 5", "d 5"), "--paste") == 1
    assert "no row printed is like\nd 5" in capsys.readouterr().out


def test_a_page_that_is_not_there_fails(tmp_path: Path) -> None:
    assert run_readme.main([str(tmp_path / "none.md")]) == 1


# ---- run_examples -------------------------------------------------------------------------------------


def notebook(*cells: str) -> str:
    """A notebook file with these code cells."""
    unrun = {"metadata": {}, "outputs": [], "execution_count": None}
    content = [{"cell_type": "code", "id": f"c{n}", "source": cell, **unrun} for n, cell in enumerate(cells)]
    return json.dumps({"cells": content, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_notebooks_and_programs_run_away_from_the_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "nb/a.ipynb", notebook("x = 2", "open('made', 'w').write(str(x))", "assert x == 2"))
    write(tmp_path, "ex/b.py", "open('made', 'w').write('b')\n")
    assert run_examples.main([str(tmp_path / "nb"), str(tmp_path / "ex")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"
    assert not list(tmp_path.rglob("made"))


def test_a_failing_cell_or_program_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "a.ipynb", notebook("x = 2", "assert x == 3, 'x is two'"))
    write(tmp_path, "b.py", "print('so far')\nraise SystemExit(4)\n")
    write(tmp_path, "c.ipynb", "not a notebook")
    assert run_examples.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "x is two" in out
    assert "so far" in out
    assert "exit 4" in out
    assert out.splitlines()[-1] == "0 passed, 3 failed, 0 skipped"


def test_a_notebook_without_its_data_is_skipped_except_under_ci(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = json.loads(notebook("x = 2"))
    needs["metadata"]["needs_data"] = "gas_turbine"
    write(tmp_path, "a.ipynb", json.dumps(needs))
    monkeypatch.setenv("EMISOPT_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("CI", raising=False)
    assert run_examples.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no data set gas_turbine" in out and out.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"
    monkeypatch.setenv("CI", "true")
    assert run_examples.main([str(tmp_path)]) == 1
    assert "no data set gas_turbine" in capsys.readouterr().out


def test_a_python_without_jupyter_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.ipynb", notebook("x = 2"))
    write(tmp_path, "b.py", "print('runs all the same')\n")
    monkeypatch.setattr(run_examples, "find_spec", lambda name: None if name == "nbformat" else name)
    assert run_examples.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "notebooks need nbformat: " in out and '[notebooks]"' in out
    assert out.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


def test_no_example_at_all_is_a_failure(tmp_path: Path) -> None:
    assert run_examples.main([str(tmp_path)]) == 1


# ---- bootstrap ----------------------------------------------------------------------------------------

BOOTSTRAP_USES = ("sh", "make", "chmod")


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A PATH with Python and a shell but no compiler, an `id` of an ordinary user and a present venv."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in BOOTSTRAP_USES:
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    script(tools / "python3", f'exec "{sys.executable}" "$@"')
    script(tools / "id", "echo 1000")
    script(tmp_path / "venv/bin/python", "exit 0")
    return tmp_path


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def bootstrap(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools/bootstrap.sh"), str(machine / "venv"), *arguments],
        env={"PATH": str(machine / "bin")},
        capture_output=True,
        text=True,
    )


def test_an_ordinary_user_is_told_the_one_command(bare_machine: Path) -> None:
    script(bare_machine / "bin/apt-get", "exit 1")
    done = bootstrap(bare_machine, "--tests")
    assert done.returncode == 1
    assert "lacks: compiler gtest" in done.stderr
    assert done.stderr.splitlines()[-1] == "  sudo apt-get install -y g++ libgtest-dev"


def test_the_command_is_that_of_the_system(bare_machine: Path) -> None:
    script(bare_machine / "bin/dnf", "exit 1")
    assert bootstrap(bare_machine).stderr.splitlines()[-1] == "  sudo dnf install -y gcc-c++"


def test_without_a_known_package_manager_the_needs_are_named(bare_machine: Path) -> None:
    done = bootstrap(bare_machine)
    assert done.returncode == 1
    assert "C++20" in done.stderr


def test_root_gets_what_is_missing_installed(bare_machine: Path) -> None:
    tools, log = bare_machine / "bin", bare_machine / "log"
    script(tools / "id", "echo 0")
    compiler = tools / "c++"  # stands for what the package brings: accepts any program
    install = f"echo '#!/bin/sh' > {compiler}; chmod 755 {compiler}"
    script(tools / "apt-get", f'echo "$@" >> {log}\ncase "$1" in install) {install} ;; esac')
    done = bootstrap(bare_machine, "--tests")
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [
        "update -qq",
        "install -y -qq --no-install-recommends g++ libgtest-dev",
    ]


def test_an_installation_that_does_not_help_is_an_error(bare_machine: Path) -> None:
    script(bare_machine / "bin/id", "echo 0")
    script(bare_machine / "bin/apt-get", "exit 0")
    done = bootstrap(bare_machine)
    assert done.returncode == 1
    assert "still missing after installing g++: compiler" in done.stderr


def test_an_old_python_does_not_count(bare_machine: Path) -> None:
    script(bare_machine / "bin/c++", "exit 0")
    script(bare_machine / "bin/python3", "exit 1")  # as an interpreter that fails the version check
    script(bare_machine / "bin/apt-get", "exit 1")
    done = bootstrap(bare_machine)
    assert "sudo apt-get install -y python3 python3-venv python3-dev" in done.stderr
    script(bare_machine / "bin/python3.12", f'exec "{sys.executable}" "$@"')
    assert bootstrap(bare_machine).returncode == 0
