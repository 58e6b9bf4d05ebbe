"""Paired bootstrap of column means: the same resampled rows for all columns, and the same bits on every machine."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK_CELLS = 2**22
"""Counts (resamples x rows) held at once."""


def on_exact_grid(values: Array) -> Array:
    """Round values [rows, columns] to the finest binary grid on which sums of `rows` of them are exact in float64.

    Sums on the grid do not depend on the order of addition, hence not on the linear algebra library, its threads or
    the processor. The rounding is at most rows * 2^-52 of the largest absolute value.
    """
    largest = np.abs(values).max(initial=0.0) * len(values)
    _, exponent = np.frexp(largest)
    return np.ldexp(np.rint(np.ldexp(values, 52 - exponent)), exponent - 52)


def resample_means(values: Array, resamples: int, seed: int) -> Array:
    """Means [resamples, columns] over rows drawn with replacement from values [rows, columns].

    Which rows are drawn depends on `seed` and the number of rows alone. Values must be `on_exact_grid`.
    """
    n_rows, rng = len(values), np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // n_rows)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, block):
        n = min(block, resamples - start)
        drawn = rng.integers(n_rows, size=(n, n_rows)) + np.arange(n)[:, None] * n_rows
        counts = np.bincount(drawn.ravel(), minlength=n * n_rows).reshape(n, n_rows)
        means[start : start + n] = counts.astype(np.float64) @ values / n_rows
    return means
