"""Teachers ranked by the mean score of their traces, on the prompts that they have in common.

A teacher that only answered easy prompts must not win for it, so teachers are compared on common prompts alone, and
the interval comes from a paired bootstrap: prompts are drawn with replacement, the same ones for all teachers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift import tables
from stepsift.curate.bootstrap import Array, on_exact_grid, resample_means
from stepsift.metrics import Metric, all_metrics

MIN_COVERAGE = 0.5
"""A teacher with fewer prompts than this share of the best-covered teacher's is listed but not ranked: the prompts in
common would shrink to its few for everybody."""
Numbers = NDArray[np.int64]
ALL_DOMAINS = "all"
NO_DOMAIN = "none"


def rank_teachers(candidates: pl.DataFrame, bootstrap: int, seed: int) -> pl.DataFrame:
    """Return table teachers, sorted by its key: every metric but draws, over all prompts and for each domain.

    A teacher's score on a prompt is the mean over its candidates there. `n_prompts` counts the prompts on which it
    has one. Ranked are the teachers that reach MIN_COVERAGE; `n_common` counts the prompts that all of these share,
    and `mean` (in the metric's unit), `rank`, interval and `p_above_next` refer to those prompts. They are null for
    a teacher that is not ranked, and for all where nothing is in common.

    `ci_low` and `ci_high` are the 2.5th and 97.5th percentile of the mean over `bootstrap` resamples. Rank 1 is the
    best in the metric's direction (equal means: by name); a metric without direction has no ranks. `p_above_next` is
    the share of resamples in which the teacher is better than the one ranked next, ties counted half; null for the
    last. With one common prompt there is nothing to resample: interval and `p_above_next` are null.

    A metric that no candidate has is not listed. Domain is "all" over all prompts and "none" for prompts without one
    (a domain that is itself called "all" is listed as "all (domain)"). Resamples depend on `seed` and the number of
    common prompts alone, so neither another metric nor another domain moves an interval.
    """
    metrics = [m for m in all_metrics().values() if not m.draw and candidates[m.name].null_count() < candidates.height]
    named = pl.when(pl.col("domain") == ALL_DOMAINS).then(pl.lit(f"{ALL_DOMAINS} (domain)")).otherwise("domain")
    scores = (
        candidates.with_columns(named.fill_null(NO_DOMAIN).alias("domain"))
        .sort("trace_id")
        .group_by("domain", "prompt_id", "teacher", maintain_order=True)
        .agg(pl.col(m.name).mean() for m in metrics)
    )
    domains = scores["domain"].unique().sort()
    parts = [(ALL_DOMAINS, scores), *((d, scores.filter(pl.col("domain") == d)) for d in domains)]
    frames = [frame for domain, part in parts for frame in _rank_domain(part, domain, metrics, bootstrap, seed)]
    return pl.concat(frames).sort(tables.TEACHERS.key)


@dataclass(frozen=True)
class _Comparison:
    """One metric's scores of the teachers of one domain, T teachers of which R are ranked, P prompts."""

    metric: Metric
    n_prompts: Numbers
    """[T] prompts on which the teacher has a score."""
    ranked: Numbers
    """[R] which teachers are ranked."""
    common: NDArray[np.bool_]
    """[P] which prompts all ranked teachers share."""
    values: Array
    """[common prompts, R] scores, on the exact grid."""


def _rank_domain(
    scores: pl.DataFrame, domain: str, metrics: list[Metric], bootstrap: int, seed: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of one domain, a frame a metric; `scores` has one row for each prompt and teacher."""
    teachers = scores["teacher"].unique().sort()
    prompt, teacher = (scores[c].rank("dense").to_numpy().astype(np.int64) - 1 for c in ("prompt_id", "teacher"))
    # Metrics with the same common prompts share one bootstrap, which is nearly all of the work.
    alike: dict[bytes, list[_Comparison]] = {}
    for metric in metrics:
        comparison = _compare(metric, scores[metric.name].to_numpy(), prompt, teacher)
        alike.setdefault(comparison.common.tobytes(), []).append(comparison)
    for comparisons in alike.values():
        values = np.hstack([c.values for c in comparisons])
        means = resample_means(values, bootstrap, seed) if len(values) > 1 else np.empty((0, values.shape[1]))
        ends = np.cumsum([len(c.ranked) for c in comparisons])[:-1]
        for comparison, resampled in zip(comparisons, np.hsplit(means, ends), strict=True):
            names = {"teacher": teachers, "metric": comparison.metric.name, "domain": domain}
            counts = {"n_prompts": comparison.n_prompts, "n_common": len(comparison.values)}
            frame = pl.DataFrame(names | counts | _standings(comparison, resampled))
            yield frame.select(
                pl.col(c).fill_nan(None).cast(t) if t.is_numeric() else c for c, t in tables.TEACHERS.schema.items()
            )


def _compare(metric: Metric, scores: Array, prompt: Numbers, teacher: Numbers) -> _Comparison:
    """`scores`, NaN for null, of prompt number `prompt` and teacher number `teacher`, each [rows]."""
    grid = np.full((prompt.max() + 1, teacher.max() + 1), np.nan)
    grid[prompt, teacher] = scores
    covered = ~np.isnan(grid)
    n_prompts = covered.sum(axis=0)
    ranked = np.flatnonzero(n_prompts >= max(1, MIN_COVERAGE * n_prompts.max()))
    common = np.logical_and(covered[:, ranked].all(axis=1), covered.any(axis=1))
    return _Comparison(metric, n_prompts, ranked, common, on_exact_grid(grid[np.ix_(common, ranked)]))


def _standings(comparison: _Comparison, resampled: Array) -> dict[str, Array]:
    """Columns [T] from mean to p_above_next, NaN for null; `resampled` [resamples or 0, R] are means of resamples."""
    names = ("mean", "ci_low", "ci_high", "rank", "p_above_next")
    columns = {name: np.full(len(comparison.n_prompts), np.nan) for name in names}
    values, ranked, better = comparison.values, comparison.ranked, comparison.metric.better
    if not len(values):
        return columns
    means = values.sum(axis=0) / len(values)
    columns["mean"][ranked] = means
    if len(resampled):
        columns["ci_low"][ranked], columns["ci_high"][ranked] = np.percentile(resampled, [2.5, 97.5], axis=0)
    if better is None:
        return columns
    sign = 1 if better == "high" else -1
    order = np.argsort(-sign * means, kind="stable")
    columns["rank"][ranked[order]] = np.arange(1, len(order) + 1)
    if len(resampled):
        lead = sign * (resampled[:, order[:-1]] - resampled[:, order[1:]])
        columns["p_above_next"][ranked[order[:-1]]] = (np.sign(lead).mean(axis=0) + 1) / 2
    return columns
