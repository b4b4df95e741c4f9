"""Reports of monitor tests: what they say, what they never say. Numbers: tests/cpp."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import emisopt
from emisopt.compliance import (
    AcceptanceLimit,
    accuracy_audit,
    predictive_system,
    relative_accuracy,
    variability,
)
from emisopt.report import Report

RNG = np.random.default_rng(4)
TRUTH = RNG.uniform(60, 140, 27)
MONITOR = TRUTH + RNG.normal(0, 3, 27)
PERMIT = AcceptanceLimit("relative_accuracy_pct", 10, "permit 4711, condition 3.2")
DIFFERENCES = np.array([1, -0.5, 0.8, 1.2, -0.3, 0.6, 0.9, -0.1, 0.4])


def all_tests():
    yield relative_accuracy(TRUTH, MONITOR, unit="ppm", subject="stack 1, NOx", limits=[PERMIT])
    yield relative_accuracy(TRUTH, MONITOR - 20, unit="ppm", limits=[PERMIT])
    yield predictive_system(TRUTH, MONITOR, limits="PS-16", allow_unverified=True)
    yield predictive_system(TRUTH, RNG.permutation(MONITOR), limits="PS-16", allow_unverified=True)
    yield accuracy_audit(TRUTH[:3], MONITOR[:3], unit="mg/m3")
    yield variability(
        MONITOR[:15],
        TRUTH[:15],
        unit="mg/m3",
        limit=200,
        pollutant="NOx",
        limits="EN 14181",
        allow_unverified=True,
    )


@pytest.mark.parametrize("test", list(all_tests()), ids=lambda t: t.title)
def test_no_report_says_the_word(test):
    page = Report("Tests", [test.section()], {"program": "emisopt"}).html()
    for text in (test.text(), page, repr(test)):
        assert "certif" not in text.lower()
        assert "approves no monitor" in text or text == repr(test)


def test_no_caller_can_make_it_say_the_word():
    for options in ({"subject": "Certified CEMS"}, {"unit": "certified ppm"},
                    {"limits": [AcceptanceLimit("relative_accuracy_pct", 10, "CERTIFICATE 7")]}):  # fmt: skip
        with pytest.raises(emisopt.InputError, match="certifies nothing"):
            relative_accuracy(TRUTH, MONITOR, **{"unit": "ppm", **options})


def test_a_report_states_runs_statistics_limits_and_sources():
    test = relative_accuracy(
        [50.0] * 9, 50 - DIFFERENCES, unit="ppm", subject="stack 1, NOx", limits=[PERMIT]
    )
    text = test.text()
    said = ("Relative accuracy: stack 1, NOx", "1.82752", "0.469314", "2.306", "monitor [ppm]")
    for expected in (*said, "relative accuracy <= 10", "permit 4711, condition 3.2", "met"):
        assert expected in text, expected
    assert "UNVERIFIED" not in text and test.met
    assert len(test.runs) == 9 and test.runs.index[0] == 1
    page = Report("Tests", [test.section()]).html()
    assert "permit 4711, condition 3.2" in page and "mean of the reference" in page


def test_a_missed_limit_is_said_and_no_limit_is_not_met():
    strict = AcceptanceLimit("relative_accuracy_pct", 0.1, "permit 1")
    missed = relative_accuracy(TRUTH, MONITOR, unit="ppm", limits=[PERMIT, strict])
    assert [v.met for v in missed.verdicts] == [True, False] and not missed.met
    assert "NOT MET" in missed.text()
    assert not relative_accuracy(TRUTH, MONITOR, unit="ppm").met


def test_recalled_limits_are_refused_or_marked_everywhere():
    with pytest.raises(emisopt.InputError, match="only recalled"):
        predictive_system(TRUTH, MONITOR, limits="PS-16")
    test = predictive_system(TRUTH, MONITOR, limits="PS-16", allow_unverified=True)
    assert test.text().count("UNVERIFIED") == len(test.verdicts) + 1
    assert Report("x", [test.section()]).html().count("UNVERIFIED") == len(test.verdicts) + 1
    assert set(test.verdict_table()["mark"]) == {"UNVERIFIED"}
    assert predictive_system(TRUTH, MONITOR).verdicts == ()


def test_a_monitor_that_reads_low_is_adjusted_to_the_mean_of_the_reference():
    test = relative_accuracy(TRUTH, MONITOR - 20, unit="ppm")
    factor = test.statistics["bias_adjustment_factor"]
    assert test.statistics["biased"] == 1 and factor > 1
    assert (MONITOR - 20).mean() * factor == pytest.approx(TRUTH.mean(), rel=1e-12)


def test_a_predictive_system_that_does_not_follow_fails_by_its_correlation():
    test = predictive_system(TRUTH, np.roll(TRUTH, 9), limits="PS-16", allow_unverified=True)
    met = {v.limit.statistic: v.met for v in test.verdicts}
    assert met["f"] and not met["r"]


def test_variability_is_judged_on_calibrated_values():
    signal = 4 + TRUTH[:15] / 12.5  # mA
    noisy = TRUTH[:15] + RNG.normal(0, 2, 15)
    test = variability(signal, noisy, unit="mg/m3", limit=150, pollutant="NOx")
    assert test.statistics["slope"] == pytest.approx(12.5, rel=0.05)
    assert test.statistics["kv"] == pytest.approx(0.9761, abs=5e-5)
    assert test.statistics["sigma0"] == pytest.approx(0.2 * 150 / 1.96)
    assert test.runs["difference"].std(ddof=1) == pytest.approx(test.statistics["sd"])
    flat = variability(
        [12.0, 12.1, 11.9], [100.0, 101, 99], unit="mg/m3", limit=150, confidence_pct=20, zero=4
    )
    assert flat.statistics["intercept"] == pytest.approx(-4 * flat.statistics["slope"])


def test_errors_name_the_run_and_the_argument():
    hole = MONITOR.copy()
    hole[4] = np.nan
    with pytest.raises(
        emisopt.InputError, match=r"relative_accuracy\(monitor\): run 4: expected a finite value"
    ):
        relative_accuracy(TRUTH, hole, unit="ppm")
    with pytest.raises(emisopt.InputError, match="expected at least 9 values, got 3"):
        relative_accuracy(TRUTH[:3], MONITOR[:3], unit="ppm")
    with pytest.raises(emisopt.InputError, match="expected at least 27 values, got 9"):
        predictive_system(TRUTH[:9], MONITOR[:9])
    with pytest.raises(emisopt.ShapeError, match=r"relative_accuracy\(monitor\)"):
        relative_accuracy(TRUTH, MONITOR[:20], unit="ppm")
    with pytest.raises(emisopt.ShapeError, match=r"variability\(signal\): expected \(27,\), got \(1,\)"):
        variability(1.0, TRUTH, unit="ppm", limit=1, pollutant="NOx")
    with pytest.raises(emisopt.InputError, match="expected the index of the values"):
        relative_accuracy(pd.Series(TRUTH), pd.Series(MONITOR, index=range(1, 28)), unit="ppm")
    with pytest.raises(emisopt.InputError, match=r"no such statistic; did you mean .*'biased'"):
        relative_accuracy(TRUTH, MONITOR, unit="ppm", limits=[AcceptanceLimit("bias", 1, "permit")])
    with pytest.raises(emisopt.InputError, match="'PS-16' in ppm"):
        predictive_system(TRUTH, MONITOR, unit="mg/m3", limits="PS-16")
    with pytest.raises(emisopt.InputError, match="both or none"):
        variability(MONITOR, TRUTH, unit="ppm", limit=1)
    with pytest.raises(emisopt.InputError, match="annex III"):
        variability(MONITOR, TRUTH, unit="ppm", limit=1, pollutant="NH3")
