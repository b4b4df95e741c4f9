"""With CI=true no skip is swallowed; at home it stays a skip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = {
    "an import": "def test_a():\n    pytest.importorskip('no_such_module_here')\n",
    "a whole module": "pytest.importorskip('no_such_module_here')\n\ndef test_a(): pass\n",
    "missing data": "def test_a():\n    pytest.skip('no data')\n",
    "a fixture": "@pytest.fixture\ndef f(): pytest.skip('no server')\n\ndef test_a(f): pass\n",
    "a mark": "@pytest.mark.skipif(True, reason='no tool')\ndef test_a(): pass\n",
}
KEPT = {
    "hardware": "def test_a():\n    pytest.skip('hardware: no GPU')\n",
    "a known fault": "@pytest.mark.xfail(reason='known')\ndef test_a(): assert False\n",
}


def outcome(folder: Path, text: str, ci: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text("from no_skips import *\n")
    (folder / "test_it.py").write_text("import pytest\n\n" + text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", str(folder)],
        cwd=folder,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("what", SKIPS)
def test_a_skip_fails_under_ci_and_says_why(tmp_path: Path, what: str) -> None:
    code, text = outcome(tmp_path, SKIPS[what], "true")
    assert code != 0 and "skipped under CI=true: " in text


def test_a_skip_stays_one_elsewhere(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, SKIPS["missing data"], "")
    assert code == 0 and "1 skipped" in text


@pytest.mark.parametrize("what", KEPT)
def test_what_no_command_can_bring_is_no_failure(tmp_path: Path, what: str) -> None:
    assert outcome(tmp_path, KEPT[what], "true")[0] == 0
