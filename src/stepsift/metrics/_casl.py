"""ASLEC-CASL: the mean log-probability, less what the share of first tokens explains of it."""

import numpy as np
import polars as pl

from stepsift.core.errors import SelectionError
from stepsift.core.text import count
from stepsift.metrics._forms import Scope, T, mean_of_tokens, of
from stepsift.metrics._metric import Fit

_NAMES = ("nonfirst", "first", "share_of_first", "intercept")
POOL = "all teachers"


def fit(scope: Scope, candidates: pl.DataFrame, how: str) -> Fit:
    """Least squares M ~ b1 * M_nonfirst + b2 * M_first + g * F + c over candidates; the score is M - g * F.

    `candidates` are trace sums with a column teacher; `how` is `teacher` (a fit for each) or `pool` (one for all). A
    trace without first or without other tokens takes no part and has no score. Raises SelectionError where the fit is
    rank-deficient: the share of first tokens does not vary by itself, or there are fewer than four traces.
    """
    n_first = pl.col("n_first_two")
    usable = (n_first > 0) & (n_first < T) & of(scope, "logprob").is_finite()
    share = n_first / T
    frame = candidates.filter(usable).select(
        pl.lit(POOL).alias("group") if how == "pool" else pl.col("teacher").alias("group"),
        ((of(scope, "logprob") - of(scope, "first_two_logprob")) / (T - n_first)).alias("nonfirst"),
        (of(scope, "first_two_logprob") / n_first).alias("first"),
        share.alias("share_of_first"),
        pl.lit(1.0).alias("intercept"),
        mean_of_tokens(scope).alias("mean"),
    )
    if frame.is_empty():
        return Fit(pl.lit(None, dtype=pl.Float64))
    coefficients = {}
    for group in frame.partition_by("group", maintain_order=True):
        name = group["group"][0]
        x = group.select(_NAMES).to_numpy()
        solution, _, rank, _ = np.linalg.lstsq(x, group["mean"].to_numpy(), rcond=1e-10)
        if rank < len(_NAMES):
            raise SelectionError(
                f"aslec_casl cannot be fitted for {name}: in its {count(group.height, 'trace')} the share of first "
                f"tokens varies only with the other terms of the fit (rank {rank}, needed is {len(_NAMES)}); set "
                "select.casl_fit: pool, or leave aslec_casl out"
            )
        coefficients[name] = dict(zip(_NAMES, solution.tolist(), strict=True))
    slopes = {name: c["share_of_first"] for name, c in sorted(coefficients.items())}
    g = pl.lit(slopes[POOL]) if how == "pool" else pl.col("teacher").replace_strict(slopes, default=None)
    score = pl.when(usable).then(mean_of_tokens(scope) - g.cast(pl.Float64) * share)
    return Fit(score, dict(sorted(coefficients.items())))
