"""The paired bootstrap."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.select import bootstrap
from stepsift.select.bootstrap import on_exact_grid, resample_counts

COLUMN = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(COLUMN)
def test_sums_on_the_grid_are_exact_and_close(column):
    values = np.array(column)[:, None]
    grid = on_exact_grid(values)
    assert Fraction(float(grid.sum())) == sum(Fraction(float(v)) for v in grid[:, 0])
    assert np.abs(grid - values).max() <= len(values) * 2.0**-52 * np.abs(values).max()


def test_short_binary_numbers_lie_on_the_grid():
    values = np.array([[-1.5, 0.25], [-3.0, 100.0]])
    assert np.array_equal(on_exact_grid(values), values)
    assert np.array_equal(on_exact_grid(np.zeros((2, 1))), np.zeros((2, 1)))
    assert on_exact_grid(np.empty((0, 3))).shape == (0, 3)


def counts(rows: int, resamples: int, seed: int) -> np.ndarray:
    return np.concatenate(list(resample_counts(rows, resamples, seed)))


def test_each_resample_draws_as_many_rows_as_there_are():
    drawn = counts(4, 50, seed=3)
    assert drawn.shape == (50, 4) and (drawn.sum(axis=1) == 4).all() and drawn.min() == 0
    expected = [np.bincount(rows, minlength=4) for rows in np.random.default_rng(3).integers(4, size=(50, 4))]
    assert np.array_equal(drawn, expected)


def test_resamples_depend_on_seed_and_rows_alone(monkeypatch):
    drawn = counts(7, 40, seed=1)
    assert np.array_equal(counts(7, 40, seed=1), drawn)
    assert np.array_equal(counts(7, 20, seed=1), drawn[:20])
    assert not np.array_equal(counts(7, 40, seed=2), drawn)
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 30)
    assert np.array_equal(counts(7, 40, seed=1), drawn)


def test_spread_is_that_of_a_mean():
    values = on_exact_grid(np.random.default_rng(0).normal(size=(400, 1)))
    means = counts(400, 4000, seed=0) @ values / 400
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.05)
