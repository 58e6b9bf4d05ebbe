"""The worst traces by a metric, whatever their prompt (arXiv 2605.22389 drops the lowest 20 % by `hes`)."""

import math

import polars as pl

from stepsift import params
from stepsift.metrics import all_metrics
from stepsift.select.selection import key


def worst_traces(scored: pl.DataFrame, traces: pl.DataFrame, settings: params.Worst) -> pl.DataFrame:
    """Columns trace_id and detail of the floor(share * n) worst of the n traces that have a score.

    `scored` has trace_id and the metric's column, `traces` trace_id and content_hash. Of traces with equal scores
    those are dropped whose content hash, then trace_id, comes last. A trace without a score is not dropped.
    """
    metric = all_metrics()[settings.by]
    ordered = (
        scored.filter(pl.col(settings.by).is_not_null())
        .join(traces.select("trace_id", "content_hash"), on="trace_id")
        .sort(key(metric), "content_hash", "trace_id")
    )
    # A share such as .29 of 100 is 28.999.. in binary.
    n_dropped = math.floor(settings.share * ordered.height + 1e-9)
    limit = f"of the worst {settings.share:.10g} of all traces, select.filters.worst"
    detail = pl.format("{} {}, {}", pl.lit(settings.by), pl.col(settings.by).round_sig_figs(6), pl.lit(limit))
    return ordered.tail(n_dropped).select("trace_id", detail=detail)
