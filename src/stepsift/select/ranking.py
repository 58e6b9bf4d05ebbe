"""Teachers ranked by the score of their traces, each against those that it can be compared with.

A teacher that only answered easy prompts must not win for it: a score is the sum of what the prompt and what the
teacher does (see `two_way`), so that where everybody answered everything teachers are compared by their means, and
elsewhere through the prompts on which they met. Only teachers that are connected by such meetings are ranked. The
intervals come from a paired bootstrap: prompts are drawn with replacement, the same ones for all teachers. What is not
distinguishable is said to be so: a rank comes with the lowest and the highest that it could be, and what rests on few
prompts is never called certain.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.core.text import count
from stepsift.metrics import Metric, all_metrics
from stepsift.select.bootstrap import Array
from stepsift.select.two_way import Flags, Numbers, TwoWay, components, meetings
from stepsift.select.widening import stretch_factor

DISTINGUISHED = 0.95
"""From this share of resamples on, the better one of two teachers is said to be above the other."""
FEW_PROMPTS = 20
"""A comparison worth fewer prompts than this, on which both were, gives no probability above DISTINGUISHED, and
distinguishes nobody: three prompts that agree are no proof."""
MOSTLY = 0.8
"""A teacher that fewer of the resamples than this connect hangs on a single prompt, and has no interval."""
ORDERS = 20
"""Seeded orders of prompts over which `settled_after` is the median."""
ALL_DOMAINS = "all"
NO_DOMAIN = "none"
_NAMES = 5
"""Teachers that a sentence names."""
_LOOKS = 200
"""Most sizes of a sample at which an order of teachers is looked at."""


def rank_teachers(
    candidates: pl.DataFrame, pool: pl.DataFrame, bootstrap: int, seed: int, only: Collection[str] | None = None
) -> pl.DataFrame:
    """Return table teachers, sorted by its key: every metric that ranks teachers or has no direction, by domain.

    With `only`, names of metrics, the rows of these over all domains alone, for as much less work.

    `candidates` has prompt_id, teacher, domain, trace sums and scores; `pool` has teacher and domain of all traces.
    `n_traces` counts a teacher's traces in the pool and `share_kept` how many of them are candidates: where these must
    be correct, a weak teacher is judged by its best work alone. A teacher's score on a prompt is the mean over its
    candidates there; over prompts it is that of `TwoWay.scores`, or the ratio of two of these (see `Metric.teacher`).
    `n_prompts` counts the prompts on which it has one, `n_met` those on which another teacher has one too.

    `component` numbers the sets of teachers that are connected by prompts on which they met, the largest first; null
    for a teacher without a score. Ranked are those of the first, on the `n_compared` prompts on which at least two of
    them met; the columns from `mean` (in the metric's unit) on are null for all others, and for all where nobody met.

    `ci_low` and `ci_high` are the 2.5th and 97.5th percentile of the score over `bootstrap` resamples, stretched where
    not everybody answered everything (see `widening`), and null where the teacher hangs on one prompt. Rank 1 is the
    best in the metric's direction (equal scores: by name); a metric without direction has no ranks. `p_above_next` is
    the share of resamples in which the teacher is better than the one ranked next, ties and resamples that do not
    connect the two counted half; null for the last. `n_with_next` counts the prompts on which the two met,
    `worth_next` those that the comparison is worth (see `TwoWay.worth`): where they are fewer than FEW_PROMPTS,
    `p_above_next` is kept within DISTINGUISHED. `rank_low` and `rank_high` bound the rank: by the teachers that are
    above it, and below it, in DISTINGUISHED of the resamples, each pair taken by itself. With one prompt there is
    nothing to resample, and every rank is possible. `settled_after`, the same for all teachers, is the number of
    prompts after which the order no longer changed when prompts came one by one; the median over ORDERS seeded orders.

    A metric that no candidate has is not listed. Domain is "all" over all prompts and "none" for prompts without one
    (a domain that is itself called "all" is listed as "all (domain)"). Resamples depend on `seed` and the number of
    prompts that are compared alone, so neither another metric nor another domain moves an interval.
    """
    metrics, scores = _scores(candidates, only)
    if not metrics:
        return pl.DataFrame(schema=tables.TEACHERS.schema)
    shares = _shares(_with_domains(candidates), _with_domains(pool))
    domains = scores["domain"].unique().sort() if only is None else ()
    parts = [(ALL_DOMAINS, scores), *((d, scores.filter(pl.col("domain") == d)) for d in domains)]
    frames = [frame for domain, part in parts for frame in _rank_domain(part, domain, metrics, bootstrap, seed)]
    whole = pl.concat(frames)
    types = {c: t for c, t in tables.TEACHERS.schema.items() if c in whole.columns}
    typed = whole.select(pl.col(c).fill_nan(None).cast(t) if t.is_numeric() else c for c, t in types.items())
    ranked = typed.join(shares, on=["domain", "teacher"], how="left")
    return ranked.select(tables.TEACHERS.schema.keys()).sort(tables.TEACHERS.key)


def chart(teachers: pl.DataFrame, selectors: Sequence[params.Selector]) -> list[dict[str, Any]]:
    """Points of a chart: teacher, `of` (what a selector chooses by), mean, low and high; of table teachers.

    Only ranked teachers, all domains, the best first; metrics that rank none are left out.
    """
    ranked = teachers.filter(pl.col("domain") == ALL_DOMAINS, pl.col("rank").is_not_null())
    return [
        {"teacher": r["teacher"], "of": metric, "mean": r["mean"], "low": r["ci_low"], "high": r["ci_high"]}
        for metric in dict.fromkeys(selector.by for selector in selectors)
        for r in ranked.filter(pl.col("metric") == metric).sort("rank", "teacher").to_dicts()
    ]


def incomparable(rows: pl.DataFrame) -> dict[str, str]:
    """Why teachers are not ranked with the others, by name; for rows of table teachers of one metric and domain."""
    return {name: why_incomparable(n_prompts, partners) for name, (n_prompts, partners) in apart(rows).items()}


def apart(rows: pl.DataFrame) -> dict[str, tuple[int, list[str]]]:
    """Teachers that are not connected with those that are ranked, each with its number of prompts and whom it met."""
    others = rows.filter(pl.col("component").fill_null(0) != 1).sort("teacher").to_dicts()
    of_component = dict(rows.group_by("component").agg(pl.col("teacher").sort()).iter_rows())
    return {
        row["teacher"]: (
            row["n_prompts"],
            [t for t in of_component[row["component"]] if t != row["teacher"] and row["n_prompts"]],
        )
        for row in others
    }


def why_incomparable(n_prompts: int, partners: Sequence[str]) -> str:
    """Why a teacher with so many prompts, which met only `partners`, cannot be compared with those that are ranked."""
    if not n_prompts:
        return "no score on any prompt"
    one, prompts = n_prompts == 1, "only prompt" if n_prompts == 1 else count(n_prompts, "prompt")
    if not partners:
        return f"no other teacher was on {'its' if one else 'any of its'} {prompts}"
    shown = ", ".join(partners[:_NAMES]) + (f" and {len(partners) - _NAMES} more" if len(partners) > _NAMES else "")
    return f"its {prompts} connect{'s' if one else ''} it with {shown} alone"


@dataclass(frozen=True)
class TeacherScores:
    """A metric's scores of the R teachers that are ranked over all domains."""

    metric: Metric
    teachers: list[str]
    """[R] names, sorted."""
    means: Array
    """[R] in the metric's unit."""
    resampled: Array
    """[resamples, R]: prompts drawn with replacement, the same ones for all teachers; NaN where a resample does not
    connect a teacher with the others."""


def teacher_scores(candidates: pl.DataFrame, resamples: int, seed: int) -> list[TeacherScores]:
    """What `rank_teachers` ranks by over all domains: metrics with a direction, where two prompts are compared."""
    metrics, scores = _scores(candidates)
    names = scores["teacher"].unique().sort().to_list()
    return [
        TeacherScores(c.metric, [names[i] for i in c.coverage.ranked], c.means, c.resampled)
        for c in _comparisons(scores, metrics, resamples, seed)
        if c.metric.better is not None and c.coverage.n_compared > 1
    ]


def _scores(candidates: pl.DataFrame, only: Collection[str] | None = None) -> tuple[list[Metric], pl.DataFrame]:
    """The metrics, of `only`, that can be ranked by, and their parts as means over domain, prompt and teacher."""
    metrics = [
        m
        for m in all_metrics().values()
        if (only is None or m.name in only)
        and m.draw is None
        and m.ranks_teachers
        and candidates[m.name].null_count() < candidates.height
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
class _Coverage:
    """Which of the T teachers of a domain have a score on which prompts, and what follows from it."""

    n_prompts: Numbers
    """[T] prompts on which the teacher has a score."""
    n_met: Numbers
    """[T] those on which another teacher has one too."""
    component: Numbers
    """[T] from 1; 0 for a teacher without a score."""
    ranked: Numbers
    """[R] which teachers are ranked."""
    compared: Flags
    """[all prompts] which of them compare ranked teachers."""
    answered: Flags
    """[compared prompts, R]."""

    @property
    def n_compared(self) -> int:
        return len(self.answered)

    @staticmethod
    def of(has_score: Flags) -> "_Coverage":
        """`has_score` is [all prompts, T]."""
        parts = components(has_score)
        component = np.zeros(has_score.shape[1], np.int64)
        for number, part in enumerate(parts, start=1):
            component[part] = number
        # Teachers that never met are not compared; one without any other teacher has nobody to meet.
        ranked = parts[0] if parts and (len(parts[0]) > 1 or len(parts) == 1) else []
        compared = has_score[:, ranked].sum(axis=1) >= max(1, min(2, len(ranked)))
        return _Coverage(
            n_prompts=has_score.sum(axis=0),
            n_met=has_score[has_score.sum(axis=1) > 1].sum(axis=0),
            component=component,
            ranked=np.array(ranked, np.int64),
            compared=compared,
            answered=has_score[compared][:, ranked],
        )


@dataclass(frozen=True)
class _Comparison:
    """One metric's scores of the R ranked teachers of one domain."""

    metric: Metric
    coverage: _Coverage
    means: Array
    """[R]."""
    resampled: Array
    """[resamples, R], none of fewer than two prompts; NaN where a resample does not connect a teacher."""
    left_out: Array
    """[groups, R] without one group of prompts at a time; none where all answered everything (see `widening`)."""
    of_first: Array
    """[ORDERS, looks, R] scores on the first prompts in seeded orders."""
    worth: Array
    """[R, R] prompts that a comparison is worth."""


def _rank_domain(
    scores: pl.DataFrame, domain: str, metrics: list[Metric], bootstrap: int, seed: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of one domain, a frame a metric, NaN for null; `scores` has a row for each prompt and teacher."""
    teachers = scores["teacher"].unique().sort()
    n = len(teachers)
    for comparison in _comparisons(scores, metrics, bootstrap, seed):
        coverage = comparison.coverage
        names = {"teacher": teachers, "metric": [comparison.metric.name] * n, "domain": [domain] * n}
        counts: dict[str, Any] = {"n_prompts": coverage.n_prompts, "n_met": coverage.n_met}
        counts |= {"component": np.where(coverage.component > 0, coverage.component, np.nan)}
        counts["n_compared"] = np.full(n, coverage.n_compared)
        yield pl.DataFrame(names | counts | _standings(comparison))


def _comparisons(scores: pl.DataFrame, metrics: list[Metric], bootstrap: int, seed: int) -> Iterator[_Comparison]:
    """Each metric's comparison of teachers; `scores` has one row for each prompt and teacher."""
    prompt, teacher = (scores[c].rank("dense").to_numpy().astype(np.int64) - 1 for c in ("prompt_id", "teacher"))
    # Metrics that have scores on the same prompts share one bootstrap, which is nearly all of the work.
    alike: dict[bytes, list[tuple[Metric, Array]]] = {}
    for metric in metrics:
        values = np.full((len(list(_parts(metric))), prompt.max() + 1, teacher.max() + 1), np.nan)
        values[:, prompt, teacher] = [scores[f"{metric.name}/{i}"].to_numpy() for i, _ in _parts(metric)]
        has_score = np.logical_and.reduce(np.isfinite(values), axis=0)
        alike.setdefault(has_score.tobytes(), []).append((metric, values))
    for group in alike.values():
        has_score = np.logical_and.reduce(np.isfinite(group[0][1]), axis=0)
        yield from _compare(_Coverage.of(has_score), group, bootstrap, seed)


def _compare(
    coverage: _Coverage, group: list[tuple[Metric, Array]], bootstrap: int, seed: int
) -> Iterator[_Comparison]:
    """Comparisons by metrics with the same coverage, each with its `values` [parts, all prompts, T]."""
    n = coverage.n_compared
    if not n:
        empty = np.empty((0, 0))
        none = empty[0:0].ravel()
        yield from (_Comparison(metric, coverage, none, empty, empty, empty[None], empty) for metric, _ in group)
        return
    parts = np.concatenate([values[:, coverage.compared][:, :, coverage.ranked] for _, values in group])
    fit = TwoWay(coverage.answered, parts)
    looks = np.unique(np.linspace(1, n, min(n, _LOOKS)).astype(np.int64))
    orders = (np.random.default_rng([seed, number]).permutation(n) for number in range(ORDERS))
    means, resampled, left_out = fit.scores(np.ones((1, n)))[0], fit.resampled(bootstrap, seed), fit.left_out()
    of_first, worth = np.stack([fit.of_first(order, looks) for order in orders]), fit.worth()
    start = 0
    for metric, values in group:
        own = slice(start, start := start + len(values))
        yield _Comparison(
            metric,
            coverage,
            _score(means[own]),
            _score(resampled[:, own].swapaxes(0, 1)),
            _score(left_out[:, own].swapaxes(0, 1)),
            _score(np.moveaxis(of_first[:, :, own], 2, 0)),
            worth,
        )


def _score(parts: Array) -> Array:
    """Scores [.., R] from one part [1, .., R], or numerator and denominator [2, .., R]; NaN without a denominator."""
    if len(parts) == 1:
        return np.asarray(parts[0])
    above, below = parts
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def _standings(comparison: _Comparison) -> dict[str, Array]:
    """Columns [T] from mean to settled_after, NaN for null."""
    of_pair = ("p_above_next", "n_with_next", "worth_next")
    names = ("mean", "ci_low", "ci_high", "rank", "rank_low", "rank_high", *of_pair, "settled_after")
    coverage, resampled, better = comparison.coverage, comparison.resampled, comparison.metric.better
    columns = {name: np.full(len(coverage.n_prompts), np.nan) for name in names}
    ranked, means, worth = coverage.ranked, comparison.means, comparison.worth
    columns["mean"][ranked] = means
    columns["ci_low"][ranked], columns["ci_high"][ranked] = _intervals(comparison)
    if better is None or not len(ranked) or np.isnan(means).any():
        return columns
    sign = 1 if better == "high" else -1
    order = np.argsort(-sign * means, kind="stable")
    best_first = ranked[order]
    columns["rank"][best_first] = np.arange(1, len(order) + 1)
    columns["rank_low"][best_first], columns["rank_high"][best_first] = 1, len(order)
    columns["settled_after"][ranked] = _settled_after(sign * comparison.of_first, order, coverage.n_compared)
    ordered_worth = worth[np.ix_(order, order)]
    met = meetings(coverage.answered)[np.ix_(order, order)]
    columns["n_with_next"][best_first[:-1]] = np.diagonal(met, offset=1)
    columns["worth_next"][best_first[:-1]] = np.diagonal(ordered_worth, offset=1)
    if len(resampled):
        scores, left_out = sign * resampled[:, order], sign * comparison.left_out[:, order]
        above, is_certain = _certainty(shares_above(scores, sign * means[order], left_out), ordered_worth)
        columns["p_above_next"][best_first[:-1]] = np.diagonal(above, offset=1)
        rank = columns["rank"][best_first]
        columns["rank_low"][best_first] = np.minimum(rank, 1 + is_certain.sum(axis=0))
        columns["rank_high"][best_first] = np.maximum(rank, len(order) - is_certain.sum(axis=1))
    return columns


def _intervals(comparison: _Comparison) -> Array:
    """[2, R] low and high ends of 95 % intervals; NaN without resamples, and of a teacher that few of them connect."""
    resampled, means = comparison.resampled, comparison.means
    ends = _percentiles(resampled, len(means))
    if not len(comparison.left_out) or not len(resampled):
        return ends
    return np.asarray(means + (ends - means) * stretch_factor(resampled, comparison.left_out))


def _percentiles(resampled: Array, teachers: int) -> Array:
    """[2, R] the 2.5th and 97.5th percentile; NaN without resamples, and of a teacher that few of them connect."""
    if not len(resampled):
        return np.full((2, teachers), np.nan)
    finite = np.isfinite(resampled)
    if finite.all():
        return np.asarray(np.percentile(resampled, [2.5, 97.5], axis=0))
    columns = [column[some] for column, some in zip(resampled.T, finite.T, strict=True)]
    unknown = np.full(2, np.nan)
    mostly = MOSTLY * len(resampled)
    return np.stack([np.percentile(c, [2.5, 97.5]) if len(c) >= mostly else unknown for c in columns], axis=1)


def _certainty(above: Array, worth: Array) -> tuple[Array, Flags]:
    """Probabilities [R, R] of being above, and which of them tell two teachers apart, by what the pairs are worth."""
    few = worth < FEW_PROMPTS * (1 - 1e-9)
    bounded = np.where(few, np.clip(above, 1 - DISTINGUISHED, DISTINGUISHED), above)
    return bounded, (bounded >= DISTINGUISHED) & ~few


def shares_above(resampled: Array, scores: Array, left_out: Array) -> Array:
    """[R, R] share of resamples in which the row's teacher has a higher score than the column's; ties, and resamples
    in which one of the two has none, are counted half.

    `resampled` is [resamples, R], higher is better; where there is `left_out` [groups, R], differences are stretched
    away from those of `scores` [R] (see `widening`).
    """
    shares = []
    for i in range(resampled.shape[1]):
        differences = resampled[:, [i]] - resampled
        if len(left_out):
            own = scores[i] - scores
            differences = own + (differences - own) * stretch_factor(differences, left_out[:, [i]] - left_out)
        shares.append((np.nan_to_num(np.sign(differences)).mean(axis=0) + 1) / 2)
    return np.stack(shares)


def _settled_after(of_first: Array, order: Numbers, n: int) -> int:
    """After how many of `n` prompts the order of teachers is `order` [R] for good; the median over orders of prompts.

    `of_first` [ORDERS, looks, R] are scores, higher is better, after at most _LOOKS numbers of prompts, the last of
    which is all of them.
    """
    looks = np.unique(np.linspace(1, n, of_first.shape[1]).astype(np.int64))
    same = (np.argsort(-of_first, axis=2, kind="stable") == order).all(axis=2) & np.isfinite(of_first).all(axis=2)
    # At the last look the order is the final one: sums on the grid are exact.
    changed = [np.flatnonzero(~of_order) for of_order in same]
    return int(np.median([looks[c[-1] + 1] if len(c) else looks[0] for c in changed]))
