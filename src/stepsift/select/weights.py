"""How much each chosen trace of a prompt weighs in training; the weights of a prompt's traces sum to one."""

import polars as pl

from stepsift import params
from stepsift.metrics import all_metrics
from stepsift.select.selection import TURN, key

WEIGHT = "weight"
_LARK = ("lark_g", "lark_g_local")


def weighted(curated: pl.DataFrame, candidates: pl.DataFrame, settings: params.Select, by: str) -> pl.DataFrame:
    """Table curated of one selector with the column WEIGHT, or as it is where `select.weights` is `none`.

    `candidates` has trace_id and every metric's column; `by` is the selector's metric.
    """
    if settings.weights == "none":
        return curated
    if TURN in curated.columns:  # a prompt is shown with one trace at a time
        return curated.with_columns(pl.lit(1.0).alias(WEIGHT))
    if settings.weights == "lark":
        excess = _excess(curated, candidates, by) if by in _LARK else pl.Series([1.0] * curated.height)
    else:
        excess = _softmax(curated, candidates, settings.weights)
    frame = curated.with_columns(excess.alias(WEIGHT))
    total, n = pl.col(WEIGHT).sum().over("prompt_id"), pl.len().over("prompt_id")
    return frame.with_columns(pl.when(total > 0).then(pl.col(WEIGHT) / total).otherwise(1 / n).alias(WEIGHT))


def _softmax(curated: pl.DataFrame, candidates: pl.DataFrame, weights: params.Weights) -> pl.Series:
    """exp(score / temperature) of each trace, by its prompt's best; 0 for all of a prompt where one has no score.

    Where low is better the score's sign is turned.
    """
    scores = candidates.select("trace_id", better=-key(all_metrics()[weights.by], weights.by))
    frame = curated.select("prompt_id", "trace_id").join(scores, on="trace_id", how="left", maintain_order="left")
    better = pl.col("better")
    # Less the best, so that no exponential overflows.
    shares = ((better - better.max().over("prompt_id")) / weights.temperature).exp()
    known = better.is_not_null().all().over("prompt_id")
    return frame.select(pl.when(known).then(shares).otherwise(0.0))["better"]


def _excess(curated: pl.DataFrame, candidates: pl.DataFrame, by: str) -> pl.Series:
    """How far the gain g of each trace lies above that of the best trace that was not chosen, at least 0.

    LARK's weights before they are divided by their sum: q_i = (g_i - g_(B+1)) / sum over j <= B of (g_j - g_(B+1)) for
    the B best of a prompt (arXiv 2605.30651, its code). Where all candidates of a prompt were chosen there is no
    g_(B+1), and the lowest g stands in for it (our choice).
    """
    gains = candidates.select("trace_id", gain=pl.col(by))
    frame = curated.select("prompt_id", "trace_id", "runner_up").join(
        gains, on="trace_id", how="left", maintain_order="left"
    )
    next_best = gains.rename({"trace_id": "runner_up", "gain": "next_gain"})
    frame = frame.join(next_best, on="runner_up", how="left", maintain_order="left")
    floor = pl.col("next_gain").fill_null(pl.col("gain").min().over("prompt_id"))
    return frame.select((pl.col("gain") - floor).clip(lower_bound=0).alias("excess"))["excess"]


def extra_columns(frame: pl.DataFrame) -> list[str]:
    """Those of WEIGHT and TURN that the frame has."""
    return [column for column in (WEIGHT, TURN) if column in frame.columns]
