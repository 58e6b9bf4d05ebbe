"""Trace sums to trace scores: every metric of every trace."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from stepsift.core import tables
from stepsift.core.errors import SelectionError, TableError
from stepsift.core.text import count
from stepsift.metrics._metric import Metric
from stepsift.metrics._registry import all_metrics


def trace_scores(sums: pl.DataFrame, traces: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Trace sums (see `_sums`) with prompt_id, teacher and every score that one trace alone gives, sorted by trace_id.

    Left out are the metrics that are fitted to candidates (see `fit_all`). `traces` has trace_id, prompt_id and
    teacher; `seed` (`select.seed`) reaches the metrics that draw. A score is null where the metric's pass was not
    possible, and where it would not be a finite number (a trace without any token has no mean). Raises TableError where
    `sums` hold a trace that `traces` do not.
    """
    about = traces.select("trace_id", "prompt_id", "teacher")
    known = sums.join(about, on="trace_id", how="left", maintain_order="left")
    stray = known.filter(pl.col("prompt_id").is_null())
    if stray.height:
        raise TableError(
            f"step_scores hold {count(stray.height, 'trace')} that the table traces does not, the first is "
            f"{stray['trace_id'][0]}; run 'dvc repro' to rebuild both"
        )
    metrics = [m for m in all_metrics().values() if m.fit is None]
    drawn = [m.draw(known, seed).alias(m.name) for m in metrics if m.draw is not None]
    return known.with_columns([*(score(m).alias(m.name) for m in metrics if m.draw is None), *drawn])


def to_table(scored: pl.DataFrame) -> pl.DataFrame:
    """Table trace_scores of traces with their sums and scores; null for fitted metrics that are not there."""
    metrics = [pl.col(n) if n in scored.columns else pl.lit(None, dtype=pl.Float64).alias(n) for n in all_metrics()]
    return scored.select(*tables.TRACE_SCORES.schema, *metrics)


@dataclass(frozen=True)
class Fits:
    """The metrics that are fitted to candidates: expressions, estimates, and why a fit failed."""

    scores: dict[str, pl.Expr]
    coefficients: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def fit_all(candidates: pl.DataFrame, casl_fit: str) -> Fits:
    """Fit every metric that needs it to the candidates' trace sums (with prompt_id and teacher)."""
    fits = Fits({})
    for name, metric in all_metrics().items():
        if metric.fit is None:
            continue
        try:
            fitted = metric.fit(candidates, casl_fit)
        except SelectionError as e:
            fits.failed[name] = str(e)
            fits.scores[name] = pl.lit(None, dtype=pl.Float64)
            continue
        fits.scores[name] = finite(fitted.score)
        if fitted.coefficients:
            fits.coefficients[name] = fitted.coefficients
    return fits


def with_fits(candidates: pl.DataFrame, fits: Fits) -> pl.DataFrame:
    """Candidates with the scores of the fitted metrics."""
    return candidates.with_columns(value.alias(name) for name, value in fits.scores.items())


def score(metric: Metric) -> pl.Expr:
    """The score over trace sums of a metric that has an expression; null where it is no finite number."""
    if metric.trace is None:
        raise ValueError(f"metric '{metric.name}' has no expression of its own")
    return finite(metric.trace)


def finite(score: pl.Expr) -> pl.Expr:
    """The same, null where it is NaN or infinite."""
    score = score.cast(pl.Float64)
    return pl.when(score.is_finite()).then(score)
