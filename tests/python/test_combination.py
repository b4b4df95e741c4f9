"""Weights found on validation rows, and quantiles averaged with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emisopt import ShapeError
from emisopt.combination import blocks, combine, drawn_weights, validated_weights


@given(st.integers(2, 4), st.integers(1, 3), st.integers(0, 2**31), st.booleans())
@settings(max_examples=15, deadline=None)
def test_weights_sum_to_one_whatever_is_missing(members: int, outputs: int, seed: int, holes: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(60, 5, outputs)) * 10.0 ** rng.integers(-3, 4, outputs)
    said = [truth + rng.normal(size=truth.shape) for _ in range(members)]
    if holes:
        truth[rng.random(truth.shape) < 0.5] = np.nan
        said[0][:, 3:] = np.nan  # does not reach so far
        truth[..., 0] = np.nan
    weights = validated_weights(truth, said, (1, 2, 3, 6, 24))
    assert weights.shape == (members, 5, outputs) and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-12)
    if holes:
        assert (weights[0, 3:] == 0).all()


def test_the_better_member_has_the_more_weight_and_few_windows_say_less() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 2, 2))
    good, fair = truth + 0.5 * rng.normal(size=truth.shape), truth + 0.6 * rng.normal(size=truth.shape)
    many = validated_weights(truth, [good, fair], (1, 2))
    assert (many[0] > 0.5).all() and (many[1] > 0.2).all()  # errors that are independent help each other
    few = validated_weights(truth[:20], [good[:20], fair[:20]], (1, 2))
    merit = np.array([np.abs(f[:20] - truth[:20]).mean() ** -6 for f in (good, fair)])
    assert abs(few[0, 0, 0] - merit[0] / merit.sum()) < 0.3
    assert (few[:, :, 0] == few[:, :, 1]).all(), "with few windows outputs share their weights"


def test_a_member_of_no_use_is_left_out_but_one_that_alone_reaches_a_row_stays() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(100, 40, 1))
    near, far = truth + 0.1 * rng.normal(size=truth.shape), truth + 9.0
    near[:, -1] = np.nan
    weights = validated_weights(truth, [near, far], tuple(range(1, 40)) + (200,))
    assert (weights[1, :-1] == 0).all() and weights[1, -1, 0] == 1


def test_combined_quantiles_do_not_cross_and_who_says_nothing_is_passed_over() -> None:
    rng = np.random.default_rng(2)
    a, b = (np.sort(rng.normal(size=(6, 2, 3, 5))) for _ in "ab")
    a[2] = np.nan
    w = rng.random((2, 3))
    said = combine([a, b], [w, 1 - w])
    assert (np.diff(said, axis=-1) >= 0).all()
    assert np.allclose(said[2], b[2])
    assert np.isnan(combine([a, b * np.nan], [w, 1 - w])[2]).all()


def test_weights_where_windows_are_few_are_drawn_to_what_is_believed() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 4, 2))
    good, bad = truth + 0.1 * rng.normal(size=truth.shape), truth + rng.normal(size=truth.shape)
    one = np.ones(2)

    def share(windows: float) -> np.ndarray:
        return drawn_weights(truth, {"a": good, "b": bad}, one, {"b": 1.0}, windows, 4.0)["a"]

    assert (share(0) == 0).all()
    assert (share(1e6) > 0.8).all()
    assert (share(4) < share(40)).all()
    assert blocks(range(1, 10)) == [[0], [1], [2, 3], [4, 5, 6, 7], [8]]


def test_arrays_that_do_not_fit_are_refused() -> None:
    y = np.zeros((3, 2, 1))
    with pytest.raises(ShapeError, match="validated_weights: expected truth and forecasts"):
        validated_weights(y, [y, y[:2]], (1, 2))
    with pytest.raises(ShapeError, match="validated_weights"):
        validated_weights(y, [], (1, 2))
    with pytest.raises(ShapeError, match="combine: expected 2 forecasts"):
        combine([np.zeros((1, 2, 1, 3))], np.zeros((2, 2, 1)))
