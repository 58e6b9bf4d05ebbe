"""The paired bootstrap."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.select import bootstrap
from stepsift.select.bootstrap import on_exact_grid, resample_means

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


def test_all_columns_see_the_same_rows():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    means = resample_means(np.column_stack([values, values + 16, -values]), 50, seed=3)
    assert np.array_equal(means[:, 1], means[:, 0] + 16)
    assert np.array_equal(means[:, 2], -means[:, 0])
    # A mean of four of {1, 2, 4, 8} is a multiple of 1/4 between 1 and 8.
    assert np.array_equal(means * 4, np.rint(means * 4)) and means[:, 0].min() >= 1 and means[:, 0].max() <= 8


def test_resamples_depend_on_seed_and_rows_alone(monkeypatch):
    values = on_exact_grid(np.random.default_rng(0).normal(size=(7, 3)))
    means = resample_means(values, 40, seed=1)
    assert np.array_equal(resample_means(values, 40, seed=1), means)
    assert np.array_equal(resample_means(values[:, :1], 40, seed=1), means[:, :1])
    assert not np.array_equal(resample_means(values, 40, seed=2), means)
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 30)
    assert np.array_equal(resample_means(values, 40, seed=1), means)


def test_spread_is_that_of_a_mean():
    values = on_exact_grid(np.random.default_rng(0).normal(size=(400, 1)))
    means = resample_means(values, 4000, seed=0)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.05)
