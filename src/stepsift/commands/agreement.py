"""How well scores that a masked pass estimates agree with exact ones, on the traces that have both."""

from collections.abc import Sequence

import polars as pl

from stepsift.commands.ranking_lines import line
from stepsift.core.text import count
from stepsift.metrics import all_metrics
from stepsift.scratch import ScoredSteps


def times_as_fast(estimated: ScoredSteps, exact: ScoredSteps) -> float | None:
    """Seconds that exact scores of the estimated traces would take, divided by those that estimates took.

    None where all exact scores came from the cache. Operations of both are those of the exact method.
    """
    if not exact.flops or not estimated.flops:
        return None
    return exact.seconds * estimated.flops / exact.flops / estimated.seconds


def agreement_lines(
    estimates: pl.DataFrame, exact: pl.DataFrame, metrics: Sequence[str], speed: float | None
) -> list[str]:
    """That the scores are estimates, and how they agree; for tables trace_scores, of which `exact` has fewer traces."""
    faster = f", {speed:.1f} times as fast as exact scoring here" if speed else ""
    text = f"by one masked pass over each trace{faster}; they are kept in no table and no cache"
    return [line("ESTIMATES", text), *(line("", _agreement(estimates, exact, name)) for name in metrics)]


def _agreement(estimates: pl.DataFrame, exact: pl.DataFrame, metric: str) -> str:
    joined = exact.select("trace_id", "prompt_id", pl.col(metric).alias("exact")).join(
        estimates.select("trace_id", pl.col(metric).alias("estimate")), on="trace_id"
    )
    both = joined.drop_nulls()
    if both.height < 2:
        return f"{metric}: fewer than two traces have both scores, so nothing is known of the agreement"
    off, rho = both.select(
        (pl.col("estimate") - pl.col("exact")).abs().mean(),
        pl.corr("estimate", "exact", method="spearman").alias("rho"),
    ).row(0)
    ordered = both.join(both, on="prompt_id").filter(pl.col("exact") > pl.col("exact_right"))
    n_pairs, same = ordered.height, (ordered["estimate"] > ordered["estimate_right"]).sum()
    best_last = all_metrics()[metric].better != "low"
    best = [
        pl.col("trace_id").sort_by(scores, "trace_id", descending=[best_last, False]).first()
        for scores in ("exact", "estimate")
    ]
    choices = both.group_by("prompt_id").agg(pl.len(), (best[0] == best[1]).alias("same")).filter(pl.col("len") > 1)
    within = (
        f"{same / n_pairs:.0%} of {count(n_pairs, 'pair')} of one prompt in the same order, the same best trace for "
        f"{choices['same'].sum()} of {count(choices.height, 'prompt')}"
        if n_pairs and choices.height
        else "no two traces of one prompt to compare"
    )
    return (
        f"{metric}: on {count(both.height, 'trace')} with both, {off:.3f} off in the mean, Spearman {rho:.3f}, {within}"
    )
