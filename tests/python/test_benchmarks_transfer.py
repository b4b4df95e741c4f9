"""benchmarks/forecasting/transfer.py on two small synthetic plants: rows, rivals, no leak."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import transfer_rows
from benchmarks.forecasting import transfer as bench
from benchmarks.harness import Row
from emisopt import Forecaster, plants, transfer

SMALL = {"width": 16, "heads": 2, "steps": 40, "threads": 1}


def small(tags, history):
    """Three outputs are enough."""
    kept = [t for t in tags if t.name not in ("co2", "nh3_flow", "efficiency")]
    names = [t.name for t in kept]
    return history[names], type(tags)(tuple(kept), plant=tags.plant, period=tags.period)


@pytest.fixture(scope="module")
def pair():
    history, tags = plants.Boiler(seed=1).simulate_history(days=3)
    history, tags = small(tags, history)
    young, _ = plants.Boiler(seed=2, plant_seed=4, lag=1.5).simulate_history(days=3)
    source = bench.Plant("a", history, tags, 288, learn=600)
    target = bench.Plant("b", young[tags.names], tags, 96, cuts=(300,), test=120, stride=24)
    settings = bench.SIZES | bench.TRAINING | SMALL
    return source, target, Forecaster(**settings).fit(history, tags=tags, train_rows=600, progress=False)


def test_a_case_gives_the_days_the_context_and_the_test(pair):
    case = bench.Case.of(pair[1], 2, 300)
    assert case.rows == 192
    assert case.origins[0] == 192 + bench.CONTEXT
    assert len(case.part) == 192 + bench.CONTEXT + 120 + bench.HORIZON
    assert case.truth.shape == (5, 3, 3)
    assert case.losses(case.truth) == pytest.approx(0, nan_ok=True)


def test_no_model_reads_labels_that_are_not_in(pair):
    source, target, forecaster = pair
    case = bench.Case.of(target, 1, 300)
    late = case.origins[2]
    noisy = case.part.copy()
    for name in case.outputs:
        noisy.loc[noisy.index[late:], name] = 7.0
    other = replace(case, part=noisy)

    def same(before, after):
        assert np.array_equal(before[:3], after[:3], equal_nan=True)
        assert not np.array_equal(before[3:], after[3:], equal_nan=True)

    same(bench.boosting(case, 5), bench.boosting(other, 5))
    before, after = (bench.from_scratch(c, 10, 0, 1) for c in (case, other))
    assert list(before) == ["corrector", "together"]  # too few rows for a network
    for name in before:
        same(before[name], after[name])
    settings = {"steps": 5, "scratch_steps": 0}
    same(*(bench.transferred(c, source, [forecaster], 0, 1, **settings) for c in (case, other)))


def test_an_output_that_stood_still_goes_on_as_it_was(pair):
    case = bench.Case.of(pair[1], 1, 300)
    part = case.part.copy()
    still = case.outputs[1]
    part.loc[part.index[: case.rows], still] = 5.0
    said = bench.scratch_corrector(replace(case, part=part))
    assert np.array_equal(said[:, 0, 1], part[still].ffill().to_numpy()[case.origins - 1])
    assert np.isfinite(said).all()


def test_the_blend_of_the_benchmark_is_the_one_that_users_get(pair):
    source, target, forecaster = pair
    case = bench.Case.of(target, 1, 300)
    moved = transfer(
        [forecaster, forecaster], case.part, tags=target.tags, source_history=source.history.iloc[:600],
        train_rows=case.rows, scratch_steps=0, threads=1, progress=False,
    )  # fmt: skip
    begin, end, stride = case.span()
    users = moved.replay(case.part, begin, end, stride=stride)[..., 1][:, [0, 5, 23]]
    scored = bench.transferred(case, source, [forecaster, forecaster], 0, 1, scratch_steps=0)
    assert scored == pytest.approx(users, rel=1e-9)


def test_a_booster_without_rows_says_the_last_value(pair):
    case = replace(bench.Case.of(pair[1], 1, 300), rows=3)
    assert np.array_equal(bench.boosting(case, 5)[:, 1:], bench._last(case)[:, 1:], equal_nan=True)


def test_rows_name_the_pair_the_days_and_the_best_rival(pair, monkeypatch):
    source, target, forecaster = pair
    monkeypatch.setattr(bench, "SOURCES", {"a": lambda: source})
    monkeypatch.setattr(bench, "TARGETS", {"b": lambda: target})
    monkeypatch.setattr(bench, "source_of", lambda *_: (forecaster,))
    bench.peers_of.cache_clear()
    rows = list(bench.pair_rows(("a", "b"), True, 1, (1, 90), 0, 1))
    bench.peers_of.cache_clear()
    assert [r.case for r in rows] == ["transfer-a-b-1"]  # the target has no 90 days
    assert rows[0].metric == "mae_over_best"
    assert rows[0].peer == 1.0
    assert "last value" in rows[0].note
    assert 0.1 < rows[0].ours < 3


def test_rows_that_a_file_lacks_are_added_to_it(tmp_path, monkeypatch, capsys):
    said = []

    def rows(quick, seeds, pairs, *, days, cuts, threads):
        said.append((pairs, days, cuts))
        return [] if days == [90] else [Row(f"transfer-a-b-{days[0]}", "mae_over_best", 0.5, 1.0, "p")]

    monkeypatch.setattr(bench, "PAIRS", (("a", "b"), ("b", "a")))
    monkeypatch.setattr(bench, "rows", rows)
    path = tmp_path / "transfer.json"
    command = [str(path), "--days", "7", "90", "--pair", "a-*"]
    assert transfer_rows.main(command) == 0
    assert said == [([("a", "b")], [7], 0), ([("a", "b")], [90], 2)]
    assert "case=transfer-a-b-7 metric=mae_over_best ours=0.5" in capsys.readouterr().out
    assert transfer_rows.lacking(path, [7, 90], ["*"]) == [
        (("b", "a"), 7),
        (("a", "b"), 90),
        (("b", "a"), 90),
    ]


def test_pairs_are_the_ones_fixed_beforehand():
    assert len(bench.PAIRS) == 14
    assert {a for a, b in bench.PAIRS} <= set(bench.SOURCES)
    assert {b for a, b in bench.PAIRS} <= set(bench.TARGETS)
