"""All of the select stage, from a pool to tables."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import polars as pl

from stepsift import params
from stepsift.core.text import count
from stepsift.metrics import Fits, fit_all, over_frames, to_table, trace_scores, with_fits
from stepsift.select import filters, quotas, selection, stability
from stepsift.select.candidates import CORRECT, find_candidates, rejected_rows, without_score
from stepsift.select.pool import ScoredPool
from stepsift.select.questions import Questions
from stepsift.select.ranking import ALL_DOMAINS, FEW_PROMPTS, incomparable, rank_teachers
from stepsift.select.weights import weighted

log = logging.getLogger(__name__)

_SHOWN = 5
"""Teachers that are incomparable and named in a warning."""


@dataclass(frozen=True)
class Selection:
    """What select made of a pool."""

    trace_scores: pl.DataFrame
    """Table trace_scores: every scored trace; fitted metrics are null for what is no candidate."""
    teachers: pl.DataFrame
    """Table teachers."""
    curated: dict[str, pl.DataFrame]
    """Selector to its table curated."""
    rejected: pl.DataFrame
    """Table rejected: reasons of `filters`, `find_candidates`, `without_score` and `sure_enough`."""
    metrics: dict[str, Any]
    """Counts and shares, ready for JSON; see `select`."""
    fits: Fits
    """The fitted metrics."""
    candidates: pl.DataFrame
    """The traces that were in the running, with trace sums, scores and domain (see `find_candidates`)."""


def select(
    pool: ScoredPool, settings: params.Select, questions: Questions, perturbed: Iterable[Iterable[pl.DataFrame]] = ()
) -> Selection:
    """Score the traces, drop what the filters drop, rank the teachers, and choose traces for each selector.

    `questions` are those of the evaluation sets. `perturbed` are tables step_scores of the same traces, or some of
    them, under other windows or units, each in frames as the pool's. Keys of `metrics`: `n_traces`, `n_scored`,
    `n_candidates`; `n_empty_steps` (steps without tokens, which means over steps leave out); `rejected` (reason to
    teacher to rows); `selectors` (see `_describe`); `agreement` (selector to selector to the share of prompts, among
    those where both chose, for which they chose the same traces; null where there is none); `fits_failed` (metric to
    reason).

    Raises SelectionError where filters leave nothing, a selector has no score or its numbers cannot be filled;
    TableError where the tables do not belong together.
    """
    selecting = [s.metric for s in settings.selectors]
    sums = stability.read_sums(pool.step_scores(), stability.columns_of([m for m in selecting if m.draw is None]))
    scored = trace_scores(sums.traces, pool.traces, settings.seed)
    filtered = filters.apply_filters(pool, scored, settings.filters, questions, settings.workers)
    candidates, dropped = find_candidates(pool.prompts, pool.traces, scored, settings.correct, filtered)
    fits = fit_all(candidates, settings.casl_fit)
    candidates = with_fits(candidates, fits)
    teachers = rank_teachers(
        candidates,
        pool.traces.join(pool.prompts.select("prompt_id", "domain"), on="prompt_id", how="left"),
        settings.bootstrap,
        settings.seed,
    )
    _warn_of_ranking(teachers, {m.name for m in selecting}, some_dropped="not_correct" in dropped["reason"])
    others = [over_frames(iter(frames)) for frames in perturbed]
    # First of all: it raises where a selector has nothing to choose from.
    no_score = [without_score(candidates, s, fits.failed) for s in settings.selectors]
    choices, unsure = _choose_all(candidates, teachers, sums, fits, others, settings)
    rejected = rejected_rows(dropped, *no_score, *unsure)
    curated = {
        s.name: weighted(selection.curated(choices[s.name], s), candidates, settings, s.by) for s in settings.selectors
    }
    n_prompts = scored["prompt_id"].n_unique()
    fitted = candidates.select("trace_id", *fits.scores)
    metrics = {
        "n_traces": pool.traces.height,
        "n_scored": scored.height,
        "n_candidates": candidates.height,
        "n_empty_steps": scored.select((pl.col("n_steps") - pl.col("n_filled")).sum()).item(),
        "rejected": _counts(rejected),
        "selectors": {s: _describe(table, candidates, n_prompts) for s, table in curated.items()},
        "agreement": _agreement(curated),
        "fits_failed": fits.failed,
    }
    table = to_table(scored.join(fitted, on="trace_id", how="left", maintain_order="left"))
    return Selection(table, teachers, curated, rejected, metrics, fits, candidates)


def _choose_all(  # noqa: PLR0913 - candidates, and all that a choice rests on
    candidates: pl.DataFrame,
    teachers: pl.DataFrame,
    sums: stability.Sums,
    fits: Fits,
    others: list[pl.DataFrame],
    settings: params.Select,
) -> tuple[dict[str, pl.DataFrame], list[pl.DataFrame]]:
    """Choices by selector, and rows that were chosen but are too unsure."""
    running = {s.name: selection.of_teacher(candidates, s, teachers) for s in settings.selectors}
    free = [s for s in settings.selectors if not (s.mix_of or s.lengths_of or s.quotas != params.Quotas())]
    best_of = {s.name: selection.best(running[s.name], s) for s in free}
    choices = {s.name: (s, running[s.name], best_of[s.name]) for s in free}
    shares = stability.shares(choices, candidates, sums, fits, others)
    unsure = []
    for selector in settings.selectors:
        name = selector.name
        if name in best_of:
            with_share = best_of[name].join(shares[name], on="trace_id", how="left")
            kept, low = selection.sure_enough(with_share, selector)
            unsure.append(low)
            best_of[name] = selection.within_budget(kept, selector, settings.seed)
        elif reference := selector.mix_of or selector.lengths_of:
            best_of[name] = quotas.matched(candidates, best_of[reference], selector, settings.seed)
        else:
            best_of[name] = quotas.mixture(running[name], selector, settings.seed)
    return best_of, unsure


def _warn_of_ranking(teachers: pl.DataFrame, selecting: set[str], some_dropped: bool) -> None:
    """Say where it compares on few prompts, or not all teachers: by the metric of a selector that does so least.

    `some_dropped`: whether verdicts dropped traces, which `select.correct: ignore` would keep.
    """
    overall = teachers.filter(pl.col("domain") == ALL_DOMAINS)
    some = overall.filter(pl.col("metric").is_in(selecting))
    overall = some if some.height else overall
    if overall["teacher"].n_unique() < 2:
        return
    n = overall.filter(pl.col("rank").is_not_null())["n_compared"].min()
    if not isinstance(n, int):
        log.warning(
            "no teachers are ranked: no two of them have a candidate for the same prompt; "
            + "select.correct: ignore leaves more candidates, and " * some_dropped
            + "ingest.fields.prompt_id joins prompts that differ by teacher"
        )
        return
    if n < FEW_PROMPTS:
        log.warning(
            "the ranking of teachers over all domains rests on %s on which at least two of them have a candidate, so "
            "nothing in it is certain; %s",
            count(n, "prompt"),
            "select.correct: ignore, or more prompts, give more" if some_dropped else "more prompts give more",
        )
    by_metric = (incomparable(rows) for _, rows in overall.group_by("metric", maintain_order=True))
    left_out = max(by_metric, key=len, default={})
    for name, why in list(left_out.items())[:_SHOWN]:
        log.warning("%s is incomparable with the teachers that are ranked: %s", name, why)
    if len(left_out) > _SHOWN:
        log.warning("%s more are incomparable; table teachers names them", count(len(left_out) - _SHOWN, "teacher"))


def _counts(rejected: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for reason, teacher, n in rejected.group_by("reason", "teacher").len().sort("reason", "teacher").rows():
        counts.setdefault(reason, {})[teacher] = n
    return counts


def _describe(curated: pl.DataFrame, candidates: pl.DataFrame, n_prompts: int) -> dict[str, Any]:
    """One selector in numbers.

    `n_prompts` with a scored trace, of which `n_without_choice` got none; `n_chosen` traces, share of them with verdict
    correct; mean length in student tokens; mean margin and mean stability where there is one (null where there is
    none), the former in the metric's unit; teacher to number of choices.
    """
    described = curated.join(candidates.select("trace_id", "n_tokens", "verdict"), on="trace_id", how="left")
    return {
        "n_prompts": n_prompts,
        "n_chosen": described.height,
        "n_without_choice": n_prompts - described["prompt_id"].n_unique(),
        "share_correct": described.select(CORRECT.mean()).item(),
        "mean_tokens": described["n_tokens"].mean(),
        "mean_margin": described["margin"].mean(),
        "mean_stability": described["stability"].mean(),
        "teachers": dict(described["teacher"].value_counts().sort("teacher").rows()),
    }


def _agreement(curated: dict[str, pl.DataFrame]) -> dict[str, dict[str, float | None]]:
    # Sorted by prompt and trace, so that the same traces make the same list.
    traces = {s: t.group_by("prompt_id", maintain_order=True).agg("trace_id") for s, t in curated.items()}
    agreement: dict[str, dict[str, float | None]] = {}
    for one, other in combinations(traces, 2):
        both = traces[one].join(traces[other].rename({"trace_id": "other"}), on="prompt_id")
        agreement.setdefault(one, {})[other] = both.select((pl.col("trace_id") == pl.col("other")).mean()).item()
    return agreement
