"""The best trace of each prompt by one metric."""

import polars as pl

from stepsift.curate.candidates import CORRECT
from stepsift.metrics import Metric


def choose(candidates: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """Return table curated, sorted by prompt_id: for each prompt the candidate with the best score.

    Best is the highest score, or the lowest where the metric's `better` is "low"; among equal scores the smallest
    content hash, then the smallest trace_id. Candidates without a score take no part, and a prompt that has no other
    gets no row. `margin` is how far the runner-up's score lies behind, at least 0, in the metric's unit; it and
    `runner_up` are null where the prompt has one candidate. `stability` is null: nothing measures it yet.
    """
    score = pl.col(metric.name)
    chosen = (
        candidates.filter(score.is_not_null())
        .sort("prompt_id", score, "content_hash", "trace_id", descending=[False, metric.better != "low", False, False])
        .group_by("prompt_id", maintain_order=True)
        .agg(
            pl.col("trace_id", "teacher").first(),
            score.first().alias("score"),
            pl.col("trace_id").get(1, null_on_oob=True).alias("runner_up"),
            (score.first() - score.get(1, null_on_oob=True)).abs().alias("margin"),
            pl.len().alias("n"),
            CORRECT.sum().alias("n_correct"),
        )
    )
    how = pl.lit("drawn from" if metric.draw else f"best {metric.name} of")
    tie = pl.when(pl.col("margin") == 0).then(pl.lit(", a tie broken by content hash")).otherwise(pl.lit(""))
    many = pl.format("{} {} candidates ({} correct){}", how, "n", "n_correct", tie)
    return chosen.sort("prompt_id").select(
        "prompt_id",
        "trace_id",
        "teacher",
        pl.lit(metric.name).alias("selector"),
        "score",
        "runner_up",
        "margin",
        pl.lit(None, dtype=pl.Float64).alias("stability"),
        pl.when(pl.col("n") == 1).then(pl.lit("only candidate")).otherwise(many).alias("reason"),
    )
