"""Brier score and reliability of the case permit-break, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import permit_break
from benchmarks.permit_break import Outcome

# Bins: [0, 0.05) twice, [0.2, 0.4) four times, [0.95, 1] twice.
SAID = np.array([0.0, 0.04, 0.2, 0.3, 0.3, 0.2, 0.95, 1.0])
BROKE = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
OUTCOME = Outcome(SAID, np.full(8, 0.5), BROKE.copy(), BROKE)


def test_brier_is_the_mean_square_of_what_was_missed() -> None:
    squares = [0.0, 0.0016, 0.64, 0.09, 0.49, 0.04, 0.0025, 1.0]
    assert permit_break.brier(SAID, BROKE) == pytest.approx(sum(squares) / 8)
    assert permit_break.brier(BROKE, BROKE) == 0
    assert permit_break.brier(1 - BROKE, BROKE) == 1


def test_reliability_has_windows_mean_probability_and_share_by_bin() -> None:
    table = permit_break.reliability(SAID, BROKE)
    assert table.index.tolist() == [0, 2, 6]  # bins without a window have no line
    assert table["windows"].tolist() == [2, 4, 2]
    assert table["probability"].tolist() == pytest.approx([0.02, 0.25, 0.975])
    assert table["broke"].tolist() == pytest.approx([0.0, 0.5, 0.5])


@pytest.mark.parametrize(("said", "place"), [(0.0, 0), (0.05, 1), (0.199, 1), (0.95, 6), (1.0, 6)])
def test_a_bin_has_its_lower_end_and_the_last_one_both(said: float, place: int) -> None:
    assert permit_break.reliability(np.array([said]), np.array([1.0])).index.tolist() == [place]


def test_the_gap_weighs_bins_by_their_windows() -> None:
    by_hand = (2 * 0.02 + 4 * 0.25 + 2 * 0.475) / 8
    assert permit_break.gap(SAID, BROKE) == pytest.approx(by_hand)
    assert permit_break.gap(BROKE, BROKE) == 0
    assert permit_break.gap(np.full(8, 0.5), BROKE) == pytest.approx(0.125)  # 3 of 8 broke


def test_every_row_has_a_peer_and_the_base_rate_is_that_of_a_constant() -> None:
    rows = permit_break.rows_of("case", OUTCOME, "a note")
    got = {(row.metric, row.peer_name): (row.ours, row.peer) for row in rows}
    assert got["brier", "independence"] == pytest.approx((2.2641 / 8, 0.25))
    assert got["brier", "base_rate"] == pytest.approx((2.2641 / 8, 3 / 8 * 5 / 8))
    assert got["brier", "persistence"][1] == 0
    assert got["reliability_gap", "independence"] == pytest.approx((1.99 / 8, 0.125))
    assert got["reliability_gap", "persistence"] == pytest.approx((1.99 / 8, 0.0))
    assert len(rows) == 5
    assert "8 windows, 38% broke" in rows[0].note


def test_diagrams_give_each_bin_its_ends() -> None:
    table = permit_break.bins({"toy": OUTCOME})
    ours = table[table["answer"] == "ours"]
    assert ours[["above", "to", "windows"]].to_numpy().tolist() == [[0, 0.05, 2], [0.2, 0.4, 4], [0.95, 1, 2]]
    assert table.groupby("answer")["windows"].sum().to_dict() == dict.fromkeys(permit_break.ANSWERS, 8)


def test_only_the_plant_of_a_wanted_case_is_studied(monkeypatch: pytest.MonkeyPatch) -> None:
    studied: list[str] = []

    def plant(name: str, cases: tuple[str, ...]):
        return cases, lambda quick: studied.append(name) or dict.fromkeys(cases, OUTCOME)

    plants = {"boiler": plant("boiler", ("boiler-nox", "boiler-co")), "gt": plant("gt", ("gt-nox", "gt-co"))}
    monkeypatch.setattr(permit_break, "PLANTS", plants)
    assert {row.case for row in permit_break.rows(True, ["permit-break-gt-co"])} == {"permit-break-gt-co"}
    assert studied == ["gt"]
    assert {row.case for row in permit_break.rows(True, ["permit-break"])} == {"permit-break"}
    assert studied == ["gt", "boiler", "gt"]
    assert permit_break.rows(True, ["permit-year"]) == []
    assert len({row.case for row in permit_break.rows(True)}) == 5


def test_the_diagrams_kept_with_the_results_give_the_gaps_that_are_told() -> None:
    import json
    from pathlib import Path

    folder = Path(permit_break.__file__).parent / "results"
    rows = json.loads((folder / "domain.json").read_text(encoding="utf-8"))["rows"]
    diagrams = pd.read_csv(folder / "permit_break_bins.csv")
    for row in (row for row in rows if row["metric"] == "reliability_gap"):
        name = row["case"].removeprefix("permit-break").removeprefix("-") or "all"
        for answer, told in (("ours", row["ours"]), (row["peer_name"], row["peer"])):
            part = diagrams[(diagrams["case"] == name) & (diagrams["answer"] == answer)]
            off = np.abs(part["probability"] - part["broke"])
            assert np.average(off, weights=part["windows"]) == pytest.approx(told, abs=2e-6), (name, answer)
