"""The two ways to average over the tokens of a trace, as expressions over its step_scores rows.

Both are null where a step with tokens has no value (the pass was not possible): Polars would skip the null in a mean
and take it for 0 in a sum. Steps without tokens count in neither.
"""

import polars as pl

N_TOKENS = pl.col("n_tokens")


def mean_of_steps(column: str) -> pl.Expr:
    """(1/p) * sum over the p steps that have tokens of (step's sum / step's tokens): every step weighs the same."""
    return _where_complete(column, pl.when(N_TOKENS > 0).then(pl.col(column) / N_TOKENS).mean())


def mean_of_tokens(column: str) -> pl.Expr:
    """(sum over all steps) / (all tokens): every token weighs the same."""
    return _where_complete(column, pl.col(column).sum() / N_TOKENS.sum())


def _where_complete(column: str, value: pl.Expr) -> pl.Expr:
    missing = pl.col(column).is_null() & (N_TOKENS > 0)
    return pl.when(~missing.any()).then(value)
