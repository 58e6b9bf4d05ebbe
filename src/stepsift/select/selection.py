"""The best traces of each prompt by one metric, and how many of them a selector takes."""

from collections.abc import Iterable

import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import SelectionError
from stepsift.core.finding import Finding
from stepsift.core.text import count, did_you_mean
from stepsift.metrics import Metric
from stepsift.metrics._metric import uniform
from stepsift.select.candidates import CORRECT

BEST = "best"
TURN = "turn"
"""Of a set that shows another trace of each prompt every epoch: which trace of its prompt comes when, from 1."""
PLACE = "place"
"""A candidate's place among those of its prompt, from 1; ties by content hash, then trace_id."""


def check_selectors(settings: params.Select, teachers: Iterable[str]) -> Finding:
    """A problem for each teacher that a selector names and of whom no trace was kept: `select` would stop there."""
    known = sorted(teachers)
    problems = []
    for selector in settings.selectors:
        named = [*selector.quotas.teacher, *([selector.teacher] if selector.teacher not in (None, BEST) else [])]
        for teacher in named:
            if teacher not in known:
                guess = did_you_mean(teacher, known) or f"; there are {', '.join(known)}"
                problems.append(f"selector '{selector.name}' names teacher '{teacher}', who has no trace{guess}")
    return Finding(problems=problems)


def key(metric: Metric, column: str | None = None) -> pl.Expr:
    """What to sort by, the best first; a score that is null comes last."""
    score = pl.col(column or metric.name)
    return score if metric.better == "low" else -score


def placed(candidates: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """Candidates with a score by this metric, by prompt and the best first, with their PLACE.

    Best is the highest score, or the lowest where the metric's `better` is "low"; among equal scores the smallest
    content hash, then the smallest trace_id.
    """
    ordered = candidates.filter(pl.col(metric.name).is_not_null()).sort(
        "prompt_id", key(metric), "content_hash", "trace_id"
    )
    return ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("prompt_id").alias(PLACE))


def of_teacher(candidates: pl.DataFrame, selector: params.Selector, teachers: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the teacher that the selector asks for; raises SelectionError where there are none.

    `teacher: best` is the one that table `teachers` ranks first by the selector's metric over all domains.
    """
    if selector.teacher is None:
        return candidates
    name = selector.teacher
    if name == BEST:
        ranked = teachers.filter(
            (pl.col("domain") == "all") & (pl.col("metric") == selector.by) & (pl.col("rank") == 1)
        )
        if ranked.is_empty():
            raise SelectionError(
                f"selector '{selector.name}' asks for the best teacher by {selector.by}, which ranks none; name a "
                "teacher, or take a metric that ranks teachers and is defined on prompts that they share"
            )
        name = ranked["teacher"][0]
    own = candidates.filter(pl.col("teacher") == name)
    if own.is_empty():
        known = ", ".join(candidates["teacher"].unique().sort())
        raise SelectionError(f"selector '{selector.name}': no candidate is by teacher '{name}'; there are {known}")
    if own[selector.by].null_count() == own.height:
        raise SelectionError(
            f"selector '{selector.name}': none of {count(own.height, 'candidate')} by teacher '{name}' has a score "
            f"by {selector.by}; name another teacher or metric"
        )
    return own


def best(candidates: pl.DataFrame, selector: params.Selector) -> pl.DataFrame:
    """The selector's best `per_prompt` traces of each prompt; rows as `curated` makes them."""
    metric = selector.metric
    ordered = placed(candidates, metric)
    n = selector.per_prompt
    next_best = ordered.filter(pl.col(PLACE) == n + 1).select(
        "prompt_id", runner_up="trace_id", next_score=pl.col(metric.name)
    )
    size = ordered.group_by("prompt_id").agg(pl.len().alias("n"), CORRECT.sum().alias("n_correct"))
    choices = ordered.filter(pl.col(PLACE) <= n).join(next_best, on="prompt_id", how="left").join(size, on="prompt_id")
    how = "drawn from" if metric.draw else f"best {metric.name} of"
    place = pl.lit(how) if n == 1 else pl.format("place {} by {} of", PLACE, pl.lit(metric.name))
    tie = pl.when(pl.col("margin") == 0).then(pl.lit(", a tie broken by content hash")).otherwise(pl.lit(""))
    reason = pl.format("{} {} candidates ({} correct){}", place, "n", "n_correct", tie)
    # How far one draw lies behind another says nothing.
    margin = pl.lit(None, pl.Float64) if metric.draw else (pl.col(metric.name) - pl.col("next_score")).abs()
    return choices.with_columns(margin=margin).with_columns(
        reason=pl.when(pl.col("n") == 1).then(pl.lit("only candidate")).otherwise(reason)
    )


def curated(choices: pl.DataFrame, selector: params.Selector) -> pl.DataFrame:
    """Table curated, sorted by its key.

    `choices` are candidates with runner_up, margin and reason, and stability where it was measured. `runner_up` is the
    best trace of the prompt that was not chosen, `margin` how far its score lies behind, at least 0, in the metric's
    unit; they are null where no trace is left over, and the margin also for a draw, and where the choice had to fill a
    number. With `each_epoch` there is a column TURN.
    """
    turn = [pl.col(PLACE).cast(pl.Float64).alias(TURN)] if selector.each_epoch else []
    stability = pl.col("stability") if "stability" in choices.columns else pl.lit(None, dtype=pl.Float64)
    return (
        choices.with_columns(selector=pl.lit(selector.name), score=pl.col(selector.by), stability=stability)
        .select(*tables.CURATED.schema, *turn)
        .sort(tables.CURATED.key)
    )


def sure_enough(choices: pl.DataFrame, selector: params.Selector) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(kept, dropped): choices that have the margin and stability asked for, and the others with reason and detail.

    An only candidate has neither, and stays.
    """
    rules = [("margin", selector.min_margin), ("stability", selector.min_stability)]
    dropped = []
    for name, least in rules:
        if least is None:
            continue
        low = (pl.col(name) < least).fill_null(False)
        why = pl.format(f"selector {selector.name}: {name} {{}}, min_{name} is {least:g}", pl.col(name).round(6))
        dropped.append(choices.filter(low).with_columns(reason=pl.lit(f"low_{name}"), detail=why))
        choices = choices.filter(~low)
    if dropped and choices.is_empty():
        limits = ", ".join(f"min_{name} {least:g}" for name, least in rules if least is not None)
        raise SelectionError(
            f"selector '{selector.name}': no choice is as sure as asked for ({limits}); the largest seen are margin "
            f"{_largest(dropped, 'margin')} and stability {_largest(dropped, 'stability')}"
        )
    return choices, pl.concat(dropped) if dropped else choices.clear().with_columns(detail=pl.lit(""))


def _largest(frames: list[pl.DataFrame], column: str) -> str:
    value = pl.concat([f.select(column) for f in frames])[column].max()
    return f"{value:.4g}" if isinstance(value, float) else "none"


def within_budget(choices: pl.DataFrame, selector: params.Selector, seed: int) -> pl.DataFrame:
    """The choices that fit into max_examples and max_tokens: prompts in a seeded order, up to the first that does not.

    The order depends on the seed and the prompt's id alone, so that selectors with equal budgets have nearly equal
    prompts. Raises SelectionError where not even the first choice fits.
    """
    if selector.max_examples is None and selector.max_tokens is None:
        return choices
    names = choices["prompt_id"].unique()
    order = pl.DataFrame({"prompt_id": names, "draw": uniform(names, seed)})
    ordered = choices.join(order, on="prompt_id").sort("draw", "prompt_id", PLACE)
    fits = pl.lit(True)
    if selector.max_examples is not None:
        fits &= pl.int_range(1, pl.len() + 1) <= selector.max_examples
    if selector.max_tokens is not None:
        fits &= pl.col("n_tokens").cast(pl.Int64).cum_sum() <= selector.max_tokens
    kept = ordered.filter(fits).drop("draw")
    if kept.is_empty():
        raise SelectionError(
            f"selector '{selector.name}': max_tokens is {selector.max_tokens}, and the first trace alone has "
            f"{ordered['n_tokens'][0]} tokens; raise it"
        )
    return kept
