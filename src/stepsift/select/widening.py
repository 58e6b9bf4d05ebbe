"""How much wider intervals must be than the spread of a bootstrap, where not everybody answered everything.

Where a teacher's score hangs on few of the prompts, a bootstrap over prompts varies less than the score does: its
resamples are as balanced as the sample, and a prompt that bears much weight pulls the fit towards itself. The jackknife
(the score without each prompt in turn) sees what such a prompt does, and errs to the safe side (Efron and Stein 1981;
MacKinnon and White 1985 of its like for regressions, HC3). So the bootstrap's distances from the score are stretched by
the ratio of the two standard errors, where that is above one, and by Student's t over the normal quantile, since the
spread is itself estimated. Sums and quantiles are made of single operations in a fixed order: the same bits everywhere.
"""

import numpy as np

from stepsift.select.bootstrap import Array

_Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


def stretch_factor(resampled: Array, left_out: Array) -> Array:
    """[..] the factor, at least 1, for scores (or differences of scores) of which `resampled` [resamples, ..] come from
    a bootstrap and `left_out` [groups, ..] from leaving out each group of prompts in turn.

    NaN in either is left out; a score without spread gets the factor of Student's t alone.
    """
    squares, drawn = _squares(resampled)
    left_squares, groups = _squares(left_out)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_bootstrap = np.sqrt(squares / drawn)
        of_jackknife = np.sqrt(left_squares * ((groups - 1) / groups))
        ratio = of_jackknife / of_bootstrap
    stretched = np.where(np.isfinite(ratio) & (ratio > 1), ratio, 1.0)
    return np.asarray(stretched * (student_t(max(1, len(left_out) - 1)) / _Z))


def student_t(freedom: int) -> float:
    """The 97.5th percentile of Student's t, by the expansion of Cornish and Fisher (Abramowitz and Stegun 26.7.5): to
    1 % from three degrees of freedom on."""
    z, n = _Z, float(freedom)
    z3 = z * z * z
    z5 = z3 * z * z
    z7 = z5 * z * z
    first = (z3 + z) / 4
    second = (5 * z5 + 16 * z3 + 3 * z) / 96
    third = (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / 384
    return z + first / n + second / (n * n) + third / (n * n * n)


def _squares(values: Array) -> tuple[Array, Array]:
    """Squares of the distances from the mean, added up over the first axis; and how many they are."""
    known = np.isfinite(values)
    number = known.sum(axis=0).astype(np.float64)
    mean = _total(np.where(known, values, 0.0)) / np.maximum(number, 1.0)
    distances = np.where(known, values - mean, 0.0)
    return _total(distances * distances), number


def _total(values: Array) -> Array:
    """The sum over the first axis: a running one adds one row after another, which a plain sum need not."""
    return values.cumsum(axis=0)[-1] if len(values) else np.zeros(values.shape[1:])
