"""Teachers ranked by the mean score of their traces, on the prompts that they have in common.

A teacher that only answered easy prompts must not win for it, so teachers are compared on common prompts alone, and
the interval comes from a paired bootstrap: prompts are drawn with replacement, the same ones for all teachers. What
the bootstrap cannot tell apart is said to be so: a rank comes with the lowest and the highest that it could be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift.core import tables
from stepsift.metrics import Metric, all_metrics
from stepsift.select.bootstrap import Array, on_exact_grid, resample_means

MIN_COVERAGE = 0.5
"""A teacher with fewer prompts than this share of the best-covered teacher's is listed but not ranked: the prompts in
common would shrink to its few for everybody."""
TOLD_APART = 0.95
"""From this share of resamples on, the better one of two teachers is said to be above the other."""
ORDERS = 20
"""Seeded orders of prompts over which `settled_after` is the median."""
Numbers = NDArray[np.int64]
ALL_DOMAINS = "all"
NO_DOMAIN = "none"
_LOOKS = 200
"""Most sizes of a sample at which an order of teachers is looked at."""


def rank_teachers(candidates: pl.DataFrame, pool: pl.DataFrame, bootstrap: int, seed: int) -> pl.DataFrame:
    """Return table teachers, sorted by its key: every metric that ranks teachers or has no direction, by domain.

    `candidates` has prompt_id, teacher, domain, trace sums and scores; `pool` has teacher and domain of all traces.
    `n_traces` counts a teacher's traces in the pool and `share_kept` how many of them are candidates: where these must
    be correct, a weak teacher is judged by its best work alone. A teacher's score on a prompt is the mean over its
    candidates there; over prompts it is their mean, or the ratio of two means (see `Metric.teacher`). `n_prompts`
    counts the prompts on which it has one. Ranked are the teachers that reach MIN_COVERAGE; `n_common` counts the
    prompts that all of these share, and the columns from `mean` (in the metric's unit) on refer to those prompts. They
    are null for a teacher that is not ranked, and for all where nothing is in common.

    `ci_low` and `ci_high` are the 2.5th and 97.5th percentile of the score over `bootstrap` resamples. Rank 1 is the
    best in the metric's direction (equal scores: by name); a metric without direction has no ranks. `p_above_next` is
    the share of resamples in which the teacher is better than the one ranked next, ties counted half; null for the
    last. `rank_low` and `rank_high` bound the rank: by the teachers that are above it, and below it, in TOLD_APART of
    the resamples, each pair taken by itself. With one common prompt there is nothing to resample, and every rank is
    possible. `settled_after`, the same for all teachers, is the number of prompts after which the order no longer
    changed when prompts came one by one; the median over ORDERS seeded orders.

    A metric that no candidate has is not listed. Domain is "all" over all prompts and "none" for prompts without one
    (a domain that is itself called "all" is listed as "all (domain)"). Resamples depend on `seed` and the number of
    common prompts alone, so neither another metric nor another domain moves an interval.
    """
    metrics, scores = _scores(candidates)
    shares = _shares(_with_domains(candidates), _with_domains(pool))
    domains = scores["domain"].unique().sort()
    parts = [(ALL_DOMAINS, scores), *((d, scores.filter(pl.col("domain") == d)) for d in domains)]
    frames = [frame for domain, part in parts for frame in _rank_domain(part, domain, metrics, bootstrap, seed)]
    ranked = pl.concat(frames).join(shares, on=["domain", "teacher"], how="left")
    return ranked.select(tables.TEACHERS.schema.keys()).sort(tables.TEACHERS.key)


def chart(teachers: pl.DataFrame, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Points of a chart: teacher, `of` (one of `metrics`), mean, and its interval, low to high; for table teachers.

    Only ranked teachers, all domains, the best first; metrics that rank none are left out.
    """
    ranked = teachers.filter(pl.col("domain") == ALL_DOMAINS, pl.col("rank").is_not_null())
    return [
        {"teacher": r["teacher"], "of": metric, "mean": r["mean"], "low": r["ci_low"], "high": r["ci_high"]}
        for metric in metrics
        for r in ranked.filter(pl.col("metric") == metric).sort("rank", "teacher").to_dicts()
    ]


@dataclass(frozen=True)
class TeacherScores:
    """A metric's scores of the R teachers that are ranked over all domains, on the prompts that these share."""

    metric: Metric
    teachers: list[str]
    """[R] names, sorted."""
    means: Array
    """[R] in the metric's unit."""
    resampled: Array
    """[resamples, R]: prompts drawn with replacement, the same ones for all teachers."""


def teacher_scores(candidates: pl.DataFrame, resamples: int, seed: int) -> list[TeacherScores]:
    """What `rank_teachers` ranks by over all domains: metrics with a direction, where two prompts are shared."""
    metrics, scores = _scores(candidates)
    names = scores["teacher"].unique().sort().to_list()
    found = []
    for comparison, resampled in _resampled(scores, metrics, resamples, seed):
        if comparison.metric.better is None or len(comparison.values) < 2:
            continue
        means = comparison.score(comparison.values.sum(axis=0) / len(comparison.values))
        found.append(TeacherScores(comparison.metric, [names[i] for i in comparison.ranked], means, resampled))
    return found


def _scores(candidates: pl.DataFrame) -> tuple[list[Metric], pl.DataFrame]:
    """The metrics that can be ranked by, and their parts as means over domain, prompt and teacher."""
    metrics = [
        m
        for m in all_metrics().values()
        if m.draw is None and m.ranks_teachers and candidates[m.name].null_count() < candidates.height
    ]
    values = [e.alias(f"{m.name}/{i}") for m in metrics for i, e in _parts(m)]
    scores = (
        _with_domains(candidates)
        .select("trace_id", "domain", "prompt_id", "teacher", *values)
        .sort("trace_id")
        .group_by("domain", "prompt_id", "teacher", maintain_order=True)
        .agg(pl.exclude("trace_id").mean())
    )
    return metrics, scores


def _parts(metric: Metric) -> Iterator[tuple[int, pl.Expr]]:
    """What is averaged over a teacher's traces: its scores, or numerator and denominator of those that it has."""
    score = pl.col(metric.name)
    return enumerate(
        (score,) if metric.teacher is None else (pl.when(score.is_not_null()).then(p) for p in metric.teacher)
    )


def _with_domains(traces: pl.DataFrame) -> pl.DataFrame:
    named = pl.when(pl.col("domain") == ALL_DOMAINS).then(pl.lit(f"{ALL_DOMAINS} (domain)")).otherwise("domain")
    return traces.with_columns(named.fill_null(NO_DOMAIN).alias("domain"))


def _shares(candidates: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    """n_traces and share_kept by domain and teacher."""

    def counted(traces: pl.DataFrame, name: str) -> pl.DataFrame:
        of_domain = traces.group_by("domain", "teacher").agg(pl.len().cast(pl.Int32).alias(name))
        of_all = of_domain.group_by("teacher").agg(pl.lit(ALL_DOMAINS).alias("domain"), pl.col(name).sum())
        return pl.concat([of_domain, of_all.select(of_domain.columns)])

    both = counted(pool, "n_traces").join(counted(candidates, "n"), on=["domain", "teacher"], how="left")
    return both.with_columns(share_kept=pl.col("n").fill_null(0) / pl.col("n_traces")).drop("n")


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
    """[common prompts, R] scores, or [common prompts, 2 R] numerators and then denominators; on exact grids."""

    def score(self, means: Array) -> Array:
        """[.., R] teachers' scores from means [.., R or 2 R] of `values`."""
        if self.metric.teacher is None:
            return means
        above, below = np.split(means, 2, axis=-1)
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def _rank_domain(
    scores: pl.DataFrame, domain: str, metrics: list[Metric], bootstrap: int, seed: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of one domain, a frame a metric; `scores` has one row for each prompt and teacher."""
    teachers = scores["teacher"].unique().sort()
    for comparison, resampled in _resampled(scores, metrics, bootstrap, seed):
        names = {"teacher": teachers, "metric": comparison.metric.name, "domain": domain}
        counts = {"n_prompts": comparison.n_prompts, "n_common": len(comparison.values)}
        frame = pl.DataFrame(names | counts | _standings(comparison, resampled, seed))
        types = {c: t for c, t in tables.TEACHERS.schema.items() if c in frame.columns}
        yield frame.select(pl.col(c).fill_nan(None).cast(t) if t.is_numeric() else c for c, t in types.items())


def _resampled(
    scores: pl.DataFrame, metrics: list[Metric], bootstrap: int, seed: int
) -> Iterator[tuple[_Comparison, Array]]:
    """Each metric's comparison of teachers, and their scores [resamples, R]; no resample of fewer than two prompts."""
    prompt, teacher = (scores[c].rank("dense").to_numpy().astype(np.int64) - 1 for c in ("prompt_id", "teacher"))
    # Metrics with the same common prompts share one bootstrap, which is nearly all of the work.
    alike: dict[bytes, list[_Comparison]] = {}
    for metric in metrics:
        columns = [scores[f"{metric.name}/{i}"].to_numpy() for i, _ in _parts(metric)]
        comparison = _compare(metric, columns, prompt, teacher)
        alike.setdefault(comparison.common.tobytes(), []).append(comparison)
    for comparisons in alike.values():
        values = np.hstack([c.values for c in comparisons])
        means = resample_means(values, bootstrap, seed) if len(values) > 1 else np.empty((0, values.shape[1]))
        ends = np.cumsum([c.values.shape[1] for c in comparisons])[:-1]
        for comparison, resampled in zip(comparisons, np.hsplit(means, ends), strict=True):
            yield comparison, comparison.score(resampled)


def _compare(metric: Metric, values: list[Array], prompt: Numbers, teacher: Numbers) -> _Comparison:
    """`values`, NaN for null, of prompt number `prompt` and teacher number `teacher`, each [rows]."""
    grids = np.full((len(values), prompt.max() + 1, teacher.max() + 1), np.nan)
    grids[:, prompt, teacher] = values
    covered = np.logical_and.reduce(np.isfinite(grids), axis=0)
    n_prompts = covered.sum(axis=0)
    ranked = np.flatnonzero(n_prompts >= max(1, MIN_COVERAGE * n_prompts.max()))
    common = np.logical_and(covered[:, ranked].all(axis=1), covered.any(axis=1))
    return _Comparison(
        metric, n_prompts, ranked, common, np.hstack([on_exact_grid(g[np.ix_(common, ranked)]) for g in grids])
    )


def _standings(comparison: _Comparison, resampled: Array, seed: int) -> dict[str, Array]:
    """Columns [T] from mean to settled_after, NaN for null; `resampled` [resamples or 0, R] are teachers' scores."""
    names = ("mean", "ci_low", "ci_high", "rank", "rank_low", "rank_high", "p_above_next", "settled_after")
    columns = {name: np.full(len(comparison.n_prompts), np.nan) for name in names}
    values, ranked, better = comparison.values, comparison.ranked, comparison.metric.better
    if not len(values):
        return columns
    means = comparison.score(values.sum(axis=0) / len(values))
    columns["mean"][ranked] = means
    if len(resampled):
        columns["ci_low"][ranked], columns["ci_high"][ranked] = np.percentile(resampled, [2.5, 97.5], axis=0)
    if better is None or np.isnan(means).any():
        return columns
    sign = 1 if better == "high" else -1
    order = np.argsort(-sign * means, kind="stable")
    best_first = ranked[order]
    columns["rank"][best_first] = np.arange(1, len(order) + 1)
    columns["rank_low"][best_first], columns["rank_high"][best_first] = 1, len(order)
    columns["settled_after"][ranked] = settled_after(comparison, sign, order, seed)
    if len(resampled):
        above = shares_above(sign * resampled[:, order])
        columns["p_above_next"][best_first[:-1]] = np.diagonal(above, offset=1)
        surely = above >= TOLD_APART
        rank = columns["rank"][best_first]
        columns["rank_low"][best_first] = np.minimum(rank, 1 + surely.sum(axis=0))
        columns["rank_high"][best_first] = np.maximum(rank, len(order) - surely.sum(axis=1))
    return columns


def shares_above(resampled: Array) -> Array:
    """[R, R] share of resamples in which the row's teacher has a higher score than the column's, ties counted half.

    `resampled` is [resamples, R], higher is better.
    """
    rows = [(np.sign(resampled[:, [i]] - resampled).mean(axis=0) + 1) / 2 for i in range(resampled.shape[1])]
    return np.stack(rows)


def settled_after(comparison: _Comparison, sign: int, order: Numbers, seed: int) -> int:
    """After how many prompts the order of teachers is `order` [R] for good; the median over ORDERS seeded orders.

    Looked at after at most _LOOKS numbers of prompts, the last of which is all of them.
    """
    n = len(comparison.values)
    looks = np.unique(np.linspace(1, n, min(n, _LOOKS)).astype(np.int64))
    starts = np.concatenate([[0], looks[:-1]])
    settled = []
    for number in range(ORDERS):
        drawn = np.random.default_rng([seed, number]).permutation(n)
        sums = np.add.reduceat(comparison.values[drawn], starts, axis=0).cumsum(axis=0)
        scores = sign * comparison.score(sums / looks[:, None])
        same = (np.argsort(-scores, axis=1, kind="stable") == order).all(axis=1)
        # At the last look the order is the final one: sums on the grid are exact.
        changed = np.flatnonzero(~same)
        settled.append(looks[changed[-1] + 1] if len(changed) else looks[0])
    return int(np.median(settled))
