"""Step scores to trace scores: every metric of every trace."""

import polars as pl

from stepsift import tables
from stepsift.errors import TableError
from stepsift.metrics._registry import all_metrics


def trace_scores(step_scores: pl.DataFrame, traces: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return table trace_scores, sorted by trace_id: a row for each trace that has step scores.

    `seed` (`select.seed`) reaches the metrics that draw. `n_steps` counts all steps of a trace, those without tokens
    too; means over steps leave the latter out. A score is null where the metric's pass was not possible, and where it
    would not be a finite number (a trace without any token has no mean). Nothing depends on the order of rows. Raises
    TableError where `step_scores` hold a trace that `traces` do not.
    """
    metrics = all_metrics()
    by_trace = [m.trace.cast(pl.Float64).alias(m.name) for m in metrics.values() if m.trace is not None]
    scores = (
        _in_order(step_scores)
        .group_by("trace_id", maintain_order=True)
        .agg(pl.len().cast(pl.Int32).alias("n_steps"), pl.col("n_tokens").sum().cast(pl.Int32), *by_trace)
        .join(traces.select("trace_id", "prompt_id", "teacher"), on="trace_id", how="left", maintain_order="left")
    )
    stray = scores.filter(pl.col("prompt_id").is_null())
    if stray.height:
        raise TableError(
            f"step_scores hold {stray.height} traces that the table traces does not, the first is "
            f"{stray['trace_id'][0]}; run 'dvc repro' to rebuild both"
        )
    fixed = scores.select(*tables.TRACE_SCORES.schema)
    by_pool = [m.pool(fixed, seed).cast(pl.Float64).alias(m.name) for m in metrics.values() if m.pool is not None]
    return scores.with_columns(by_pool).select(
        *tables.TRACE_SCORES.schema, *(pl.when(pl.col(n).is_finite()).then(n).alias(n) for n in metrics)
    )


def _in_order(step_scores: pl.DataFrame) -> pl.DataFrame:
    """Sorted by trace and step in one chunk, so that sums add up in one order and to the last bit the same."""
    trace, step = pl.col("trace_id"), pl.col("step")
    above = (trace > trace.shift()) | ((trace == trace.shift()) & (step > step.shift()))
    # The table on disk is sorted already; a check costs far less than sorting tens of millions of rows.
    if not step_scores.select(above.all()).item():
        step_scores = step_scores.sort("trace_id", "step")
    return step_scores.rechunk().with_columns(trace.set_sorted())
