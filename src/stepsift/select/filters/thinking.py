"""Responses whose reasoning never ends, or leads to no answer; `stepsift.ingest.thinking` says what the form is."""

import polars as pl

from stepsift.core.text import CLOSE, OPEN

_RESPONSE = pl.col("response")


def unfinished(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns trace_id and detail of the rows (trace_id, response) that are dropped.

    Only a `<think>` that a response begins with counts as opened: an answer may speak of the tag. A response that was
    cut off in reasoning that its template opened, and so holds no tag at all, is not distinguishable from an answer.
    """
    opened = _RESPONSE.str.strip_chars_start().str.starts_with(OPEN)
    closed = _RESPONSE.str.contains(CLOSE, literal=True)
    detail = (
        pl.when(opened & ~closed)
        .then(pl.lit(f"{OPEN} is never closed"))
        .when(_RESPONSE.str.strip_chars_end().str.ends_with(CLOSE))
        .then(pl.lit(f"nothing follows {CLOSE}"))
    )
    return frame.select("trace_id", detail=detail).filter(pl.col("detail").is_not_null())
