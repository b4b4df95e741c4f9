"""With CI=true a skipped test fails, wherever the skip comes from: missing data, an import, a whole module.

Only a reason that begins with "hardware:" stays a skip: no command brings a missing instruction set or GPU.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judge((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judge((yield))


def _judge(report: Report) -> Report:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    where, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
    reason = str(reason).removeprefix("Skipped: ")
    if not reason.startswith("hardware:"):
        report.outcome = "failed"
        report.longrepr = f"{where}:{line}: skipped under CI=true: {reason}"
    return report
