"""The pages say what the tree holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOPS = [
    (path, function.strip("` "))
    for path, functions in re.findall(
        r"^\| \d+ [^|]+\| `([^`]+)` · ([^|]+) \|", (ROOT / "docs/tour.md").read_text(encoding="utf-8"), re.M
    )
    for function in functions.split(",")
]


def test_the_tour_has_a_hop_in_every_room_that_a_sample_passes() -> None:
    rooms = {Path(path).parts[2] for path, _ in HOPS if path.startswith("csrc/")}
    assert rooms == {"data", "permit", "features", "model", "train", "control", "qp", "loop"}


@pytest.mark.parametrize(("path", "function"), HOPS, ids=[f"{p}:{f}" for p, f in HOPS])
def test_each_hop_of_the_tour_is_there(path: str, function: str) -> None:
    name = re.escape(function.split("::")[-1])
    assert re.search(rf"\b{name}\(", (ROOT / path).read_text(encoding="utf-8"))


def test_each_published_number_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs/compliance.md").read_text(encoding="utf-8").split("## Which published number")[1]
    named = re.findall(r"`(test_\w+\.py|\w+_test\.cpp)`(?: · ((?:\w+…?(?:, )?)+))?", page)
    assert len(named) > 25
    for file, tests in named:
        text = (ROOT / ("tests/python" if file.endswith(".py") else "tests/cpp/permit") / file).read_text()
        for test in filter(None, (tests or "").split(", ")):
            assert re.search(rf"\b{test.rstrip('…')}", text), f"{file}: no test {test}"
