"""pass@k: how probable it is that at least one of k answers to a question is right."""

import math
from collections.abc import Sequence

import polars as pl

VALUE, STDERR = "pass_at_{}", "pass_at_{}_stderr"
"""Columns of table evaluations for a k."""


def pass_at(n: int, right: int, k: int) -> float:
    """The unbiased estimate from `n` answers of which `right` are: 1 - C(n - right, k) / C(n, k), for k at most n.

    The share of all sets of k of the answers that hold a right one (Chen et al., Evaluating large language models
    trained on code, 2021, eq. 1).
    """
    return 1 - math.comb(n - right, k) / math.comb(n, k)


def ks_of(evaluations: pl.DataFrame) -> list[int]:
    """The k of the columns that table evaluations has, in their order."""
    names = (c.removeprefix("pass_at_") for c in evaluations.columns if c.startswith("pass_at_"))
    return sorted(int(name) for name in names if name.isdigit())


def with_pass_at(evaluations: pl.DataFrame, answers: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    """Table evaluations with VALUE and STDERR for each k, from table answers.

    The mean over questions of each one's estimate, and the sample standard deviation of these estimates over the square
    root of the number of questions. An answer is right where `correct` is 1: a share of a point is none. Null where a
    question has fewer than k answers, as where continuations are scored.
    """
    counts = (
        answers.sort("task", "question", "sample", "model")
        .group_by("task", "model", "question", maintain_order=True)
        .agg(n=pl.len(), right=(pl.col("correct") == 1).sum())
    )
    for k in ks:
        value, stderr = VALUE.format(k), STDERR.format(k)
        estimates = [pass_at(n, c, k) if n >= k else None for n, c in counts.select("n", "right").iter_rows()]
        enough = pl.col(value).is_not_null().all()
        of_model = (
            counts.with_columns(pl.Series(value, estimates, dtype=pl.Float64))
            .group_by("task", "model", maintain_order=True)
            .agg(
                pl.when(enough).then(pl.col(value).mean()).alias(value),
                pl.when(enough).then(pl.col(value).std() / pl.len().sqrt()).alias(stderr),
            )
        )
        evaluations = evaluations.join(of_model, on=["task", "model"], how="left", maintain_order="left")
    return evaluations
