"""Paired bootstrap over rows: the same resampled rows for all columns, and the same bits on every machine."""

from collections.abc import Iterator

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


def resample_counts(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each row is drawn, in blocks [some resamples, rows]: `rows` draws with replacement for each resample.

    They depend on `seed` and `rows` alone.
    """
    rng, block = np.random.default_rng(seed), max(1, BLOCK_CELLS // rows)
    for start in range(0, resamples, block):
        n = min(block, resamples - start)
        drawn = rng.integers(rows, size=(n, rows)) + np.arange(n)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=n * rows).reshape(n, rows).astype(np.float64)
