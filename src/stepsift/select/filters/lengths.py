"""Responses with too few or too many tokens."""

import polars as pl

from stepsift import params


def wrong_length(n_tokens: pl.DataFrame, settings: params.Filters) -> pl.DataFrame:
    """Columns trace_id, reason (`too_short`, `too_long`) and detail, from the columns trace_id and n_tokens."""
    dropped = n_tokens.head(0).select("trace_id", reason=pl.lit(""), detail=pl.lit(""))
    if settings.min_tokens is not None:
        dropped = _beyond(dropped, n_tokens, pl.col("n_tokens") < settings.min_tokens, "too_short", settings.min_tokens)
    if settings.max_tokens is not None:
        dropped = _beyond(dropped, n_tokens, pl.col("n_tokens") > settings.max_tokens, "too_long", settings.max_tokens)
    return dropped


def _beyond(dropped: pl.DataFrame, n_tokens: pl.DataFrame, is_beyond: pl.Expr, reason: str, limit: int) -> pl.DataFrame:
    key = {"too_short": "min_tokens", "too_long": "max_tokens"}[reason]
    noun = pl.when(pl.col("n_tokens") == 1).then(pl.lit("token")).otherwise(pl.lit("tokens"))
    detail = pl.format("{} {}, select.filters.{}: {}", "n_tokens", noun, pl.lit(key), pl.lit(limit))
    return pl.concat([dropped, n_tokens.filter(is_beyond).select("trace_id", reason=pl.lit(reason), detail=detail)])
