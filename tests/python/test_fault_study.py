"""The fault study's ground: faults are what they are said to be, methods are judged by the same rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import fault_methods, fault_plants, fault_study, fault_tables
from benchmarks.fault_methods import Method, Ours, Pca
from benchmarks.fault_plants import KINDS, SIZES, Fault, Ground, faults, inject
from emisopt.tags import Tag, TagMap


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Five tags of two slow causes; 4000 rows to learn from, 3000 each to set rates on and to test on."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 5)) + 1
    causes = np.zeros((10000, 2))
    for i in range(1, 10000):
        causes[i] = 0.97 * causes[i - 1] + 0.24 * rng.normal(size=2)
    names = list("abcde")
    frame = pd.DataFrame(100 + 10 * (causes @ weights + 0.3 * rng.normal(size=(10000, 5))), columns=names)
    frame = frame.round(2)
    tags = TagMap(tuple(Tag(n, "K", low=-100, high=300) for n in names))
    parts = frame.iloc[:4000], frame.iloc[4000:7000], frame.iloc[7000:]
    return Ground(tags, names, names, *(p.reset_index(drop=True) for p in parts), rows_per_month=720.0)


def test_every_kind_and_size_changes_its_tag_and_rows_only(ground: Ground) -> None:
    seen = set()
    for fault in faults(ground, seed=1):
        seen.add((fault.kind, fault.size))
        bad = inject(ground, fault, seed=1)
        changed = bad.ne(ground.test)
        assert set(changed.columns[changed.any()]) == {fault.tag}
        rows = np.flatnonzero(changed[fault.tag])
        assert rows.min() >= fault.onset and rows.max() < fault.onset + fault.rows
        assert fault.end <= len(ground.test)
        part = bad[fault.tag].iloc[fault.onset : fault.onset + fault.rows]
        assert part.between(-100, 300).all()
        if fault.kind == "frozen":
            assert (part == ground.test[fault.tag].iloc[fault.onset - 1]).all()
        if fault.kind == "spike":
            away = (part - ground.test[fault.tag]).dropna().abs().iloc[0]
            assert away == pytest.approx(fault.size * ground.reference[fault.tag].std(), rel=1e-6)
    assert seen == {(k, z) for k in KINDS for z in SIZES[k]}


class Fixed(Method):
    def __init__(self, alarms: set[tuple[int, str]]) -> None:
        self.found = alarms

    def alarms(self, rows: pd.DataFrame) -> set[tuple[int, str]]:
        return self.found


@pytest.mark.parametrize(
    ("alarms", "delay", "found"),
    [
        ({(1005, "a"), (1001, "b")}, 5.0, True),  # another tag's alarm does not count
        ({(1000, "a")}, 0.0, True),
        ({(999, "a"), (1013, "a")}, 13.0, False),  # before it began, after it ended
        (set(), 13.0, False),
    ],
)
def test_a_finding_counts_for_its_tag_within_the_fault(ground, alarms, delay, found) -> None:
    fault = Fault("frozen", 10, "a", 1000, 10)
    score = fault_study.Score()

    class Silent(Fixed):
        def alarms(self, rows: pd.DataFrame) -> set[tuple[int, str]]:
            return set() if rows is not bad else self.found

    bad = ground.test.copy()
    method = Silent(alarms)
    method.alarms_of_fault = lambda rows, fault: method.alarms(rows)  # type: ignore[method-assign]
    healthy_rows = ground.test.iloc[:]
    assert healthy_rows is not bad
    fault_study._judge(score, ground, method, [(fault, bad)], first=True)
    assert score.delays["frozen", 10] == [delay]
    assert score.found["frozen", 10] == [found]
    assert score.rate == 0.0


def test_alarms_that_healthy_rows_raise_as_well_find_nothing(ground) -> None:
    score = fault_study.Score()
    fault = Fault("frozen", 10, "a", 1000, 10)
    fault_study._judge(score, ground, Fixed({(1003, "a")}), [(fault, ground.test)], first=True)
    assert score.found["frozen", 10] == [False]
    assert score.rate == pytest.approx(1 / (3000 / 720 * 5))


def test_the_most_sensitive_setting_within_the_budget_is_taken(ground) -> None:
    def make(setting: float) -> Method:
        return Fixed({(i, "a") for i in range(int(setting))})

    months = ground.months(ground.calibration)
    assert fault_methods._most_sensitive(make, (1.0, 5.0, 20.0, 40.0), ground, budget=1.0) == 20.0
    assert months == pytest.approx(20.8, abs=0.1)
    assert fault_methods._most_sensitive(make, (30.0, 5.0), ground, budget=1.0) is None


def test_ours_and_pca_find_a_gross_bias_and_name_it(ground) -> None:
    rows = ground.test.copy()
    rows.loc[1500:1900, "c"] += 60.0
    for method in (Ours(ground, 0.1), Pca(ground, 3.0)):
        own = [r for r, t in method.alarms(rows) if t == "c" and 1500 <= r < 1510]
        assert own, type(method)


def test_the_table_holds_every_method_kind_and_size(ground) -> None:
    score = fault_study.Score()
    cases = [(f, inject(ground, f, 1)) for f in faults(ground, 1)]
    fault_study._judge(score, ground, Ours(ground, 0.1), cases, first=True)
    text = fault_study.table("toy", {"SensorMonitor": score, "SensorMonitor calibrated": score}, 1.0)
    assert text.count("\nSensorMonitor") == 4
    assert all(f"{k} {z:g}" in text for k in KINDS for z in SIZES[k])
    assert score.mean_share > 0.5


def test_false_alarms_of_rows_that_several_seeds_share_count_once(ground) -> None:
    score = fault_study.Score()
    method = Fixed({(5, "a"), (9, "b")})
    fault_study._judge(score, ground, method, [], first=True)
    fault_study._judge(score, ground, method, [], first=False, new_rows=False)
    assert score.alarms == [2]
    assert score.by_tag == {"a": 1, "b": 1}
    assert score.rate == pytest.approx(2 / ground.months(ground.test))


def test_no_half_year_of_the_turbine_is_tested_that_something_was_set_on(monkeypatch) -> None:
    names = list("ab")
    halves = tuple(
        pd.DataFrame(float(k), index=range(100 * k, 100 * (k + 1)), columns=names) for k in range(8)
    )
    tags = TagMap(tuple(Tag(n, "K") for n in names))
    monkeypatch.setattr(fault_plants, "turbine_halves", lambda: (tags, halves))
    grounds = [fault_plants.gas_turbine(seed, False) for seed in range(20)]
    settings_on = set(grounds[0].calibration.index)  # the first seed's, for all
    for g in grounds:
        assert not settings_on & set(g.test.index)
        assert max(g.reference.index) < min(g.test.index)
        assert len(g.reference) == 200
    tested = {g.stretch: (g.test.index[0], g.test.index[-1]) for g in grounds}
    assert tested == {k: (100 * (k + 3), 100 * (k + 4) - 1) for k in range(5)}


@pytest.fixture
def told(ground) -> tuple[dict, dict]:
    score = fault_study.Score()
    fault_study._judge(
        score,
        ground,
        Ours(ground, 0.1),
        [(f, inject(ground, f, 1)) for f in faults(ground, 1)],
        first=True,
    )
    scores = {m: score for name in fault_tables.SHORT for m in (name, f"{name} calibrated")}
    return scores, fault_study.report("boiler", scores, {name: 0.5 for name in fault_tables.SHORT})


def test_cells_hold_every_fault_size_and_method_with_its_rate(told, tmp_path: Path) -> None:
    scores, part = told
    assert len(part["cells"]) == len(scores) * sum(len(sizes) for sizes in SIZES.values())
    for cell in part["cells"]:
        score = scores[cell["method"]]
        assert cell["found"] == pytest.approx(score.share(cell["fault"], cell["size"]), abs=1e-4)
        assert cell["delay_h"] == pytest.approx(score.delay(cell["fault"], cell["size"]) / 12, abs=1e-4)
        assert cell["false_alarms_per_tag_month"] == pytest.approx(score.rate, abs=1e-4)
    file = tmp_path / "cells.json"
    fault_study.write_cells(file, fault_study.rows_of("boiler", scores), {"boiler": part})
    other = {key: [{**line, "plant": "gas_turbine"} for line in lines] for key, lines in part.items()}
    fault_study.write_cells(file, [], {"gas_turbine": other})
    content = json.loads(file.read_text())
    assert list(content["runs"]) == ["boiler", "gas_turbine"]
    assert "river" in content["runs"]["boiler"]
    assert content["cells"] == [*part["cells"], *other["cells"]]
    assert {row["case"] for row in content["rows"]} == {"fault-study-boiler"}
    assert "false alarms a tag-month that came about: ours" in content["rows"][0]["note"]


def test_a_page_gets_its_tables_between_the_marks(told) -> None:
    _, part = told
    content = {"machine": {"cores": 2, "cpu": "x"}, "runs": {"boiler": {"date": "d", "river": "1"}}, **part}
    mark = "<!-- made by benchmarks.fault_tables: boiler -->"
    page = fault_tables.placed(f"before\n{mark}\nold\n<!-- end -->\nafter", content, fault_tables.whole)
    assert page.startswith(f"before\n{mark}\n| fault | SensorMonitor (")
    assert page.endswith("<!-- end -->\nafter")
    assert "old" not in page
    assert fault_tables.placed(page, content, fault_tables.whole) == page
    with pytest.raises(ValueError, match="expected one place"):
        fault_tables.placed("no mark", content, fault_tables.whole)


@pytest.mark.parametrize("page", fault_tables.PAGES, ids=lambda path: path.name)
def test_the_pages_say_what_the_cells_say(page: Path) -> None:
    content = json.loads(fault_tables.CELLS.read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    assert text == fault_tables.placed(text, content, fault_tables.PAGES[page])
    assert len(content["cells"]) == 2 * 14 * 15
    assert len(re.findall(r"^\| drift 2 \|", text, re.M)) == (4 if page.name == "fault_study.md" else 2)
