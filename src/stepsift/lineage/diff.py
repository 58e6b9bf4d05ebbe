"""`stepsift diff`: which prompts have other traces than before, which teacher gained, and why."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from stepsift.core.errors import LineageError
from stepsift.lineage.snapshot import Snapshot
from stepsift.metrics import all_metrics

NEW, REMOVED, VERDICT, FILTER = "new trace", "trace removed", "changed verdict", "changed filter"
SCORE, SETTING, POOL = "changed score", "changed setting", "changed pool"
REASONS = (NEW, REMOVED, VERDICT, FILTER, SCORE, SETTING, POOL)
"""Why a choice changed; where several hold, the first is given. A setting that gives every trace another score (another
metric, another seed of a draw) comes before all of them."""

OF_THE_POOL = ("not_correct", "near_duplicate", "worst")
"""Reasons of select's rejected rows that depend on which other traces there are."""


@dataclass(frozen=True)
class SelectorDiff:
    """What changed in one curated set.

    `changes` has a row for each trace that left, came, or took another's place: prompt_id, before, after (trace ids,
    null where there is none), teacher_before, teacher_after, reason (one of REASONS) and detail. `teachers` has
    teacher, before and after (traces chosen), `settings` what differs in the parameters: name to (before, after).
    """

    changes: pl.DataFrame
    teachers: pl.DataFrame
    n_same: int
    n_prompts: int
    settings: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Diff:
    """Two revisions by their names, what changed by selector, and the selectors that only one of them has."""

    before: str
    after: str
    selectors: dict[str, SelectorDiff]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for JSON."""
        selectors = {
            name: {
                "changes": one.changes.to_dicts(),
                "teachers": one.teachers.to_dicts(),
                "same": one.n_same,
                "prompts": one.n_prompts,
                "settings": one.settings,
            }
            for name, one in self.selectors.items()
        }
        return {
            "before": self.before,
            "after": self.after,
            "selectors": selectors,
            "only_before": self.only_before,
            "only_after": self.only_after,
        }


def compare(before: Snapshot, after: Snapshot, selector: str | None = None) -> Diff:
    """Compare all curated sets that both have, or one of them; raises LineageError where there is no such set."""
    names = [n for n in after.curated if n in before.curated]
    if selector is not None:
        if selector not in names:
            raise LineageError(
                f"there is no curated set '{selector}' in both {before.name} and {after.name}; both have "
                f"{', '.join(names) or 'none'}"
            )
        names = [selector]
    return Diff(
        before.name,
        after.name,
        {n: _compare(n, before, after) for n in names},
        tuple(n for n in before.curated if n not in after.curated and selector is None),
        tuple(n for n in after.curated if n not in before.curated and selector is None),
    )


def _compare(name: str, before: Snapshot, after: Snapshot) -> SelectorDiff:
    old, new = before.curated[name], after.curated[name]
    settings = _differing(before.selectors[name], after.selectors[name], "")
    common = {k for k in before.parameters if k not in ("selectors", "exports", "bootstrap")}
    settings |= _differing(
        {k: v for k, v in before.parameters.items() if k in common},
        {k: v for k, v in after.parameters.items() if k in common},
        "select.",
    )
    pairs = _pairs(old, new)
    for role in ("before", "after"):
        for when, snapshot in (("old", before), ("new", after)):
            about = _about(snapshot, name)
            about = about.rename({c: f"{role}_{when}_{c}" for c in about.columns} | {"trace_id": role})
            pairs = pairs.join(about, on=role, how="left", maintain_order="left")
    known = before.traces.select("prompt_id").unique().with_columns(known=pl.lit(True))
    pairs = pairs.join(known, on="prompt_id", how="left", maintain_order="left")
    reasoned = _reasoned(pairs, settings, after.selectors[name]["by"])
    columns = ["prompt_id", "before", "after", "teacher_before", "teacher_after", "reason", "detail"]
    return SelectorDiff(
        changes=reasoned.select(columns),
        teachers=_teachers(old, new),
        n_same=old.join(new, on="trace_id", how="semi").height,
        n_prompts=pl.concat([old["prompt_id"], new["prompt_id"]]).n_unique(),
        settings=settings,
    )


def _differing(before: dict[str, Any], after: dict[str, Any], prefix: str) -> dict[str, tuple[Any, Any]]:
    names = [*before, *(k for k in after if k not in before)]
    return {prefix + k: (before.get(k), after.get(k)) for k in names if before.get(k) != after.get(k)}


def _pairs(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Traces that left beside those that came, prompt by prompt; both sides in the order of trace ids."""

    def numbered(frame: pl.DataFrame, other: pl.DataFrame, role: str) -> pl.DataFrame:
        only = frame.join(other, on="trace_id", how="anti").sort("prompt_id", "trace_id")
        number = pl.int_range(pl.len()).over("prompt_id").alias("number")
        return only.select(
            "prompt_id", number, pl.col("trace_id").alias(role), pl.col("teacher").alias(f"teacher_{role}")
        )

    gone, come = numbered(old, new, "before"), numbered(new, old, "after")
    return gone.join(come, on=["prompt_id", "number"], how="full", coalesce=True).sort("prompt_id", "number")


def _about(snapshot: Snapshot, name: str) -> pl.DataFrame:
    """Every trace with `there`, verdict, the selector's score, and by what it was dropped (`filter`, `why`)."""
    by = snapshot.selectors[name]["by"]
    others = pl.col("detail").str.starts_with("selector ") & ~pl.col("detail").str.starts_with(f"selector {name}: ")
    dropped = snapshot.rejected.filter((pl.col("stage") != "ingest") & ~others)
    first = dropped.group_by("trace_id", maintain_order=True).agg(
        pl.col("reason").first().alias("filter"), pl.col("detail").first().alias("why")
    )
    score = pl.col(by) if by in snapshot.scores.columns else pl.lit(None, dtype=pl.Float64)
    return (
        snapshot.traces.select("trace_id", "verdict", there=pl.lit(True))
        .join(snapshot.scores.select("trace_id", score.alias("score")), on="trace_id", how="left")
        .join(first, on="trace_id", how="left")
    )


def _reasoned(pairs: pl.DataFrame, settings: dict[str, tuple[Any, Any]], by: str) -> pl.DataFrame:
    """With reason and detail; `settings` are those that differ."""
    changed = ", ".join(f"{k} {_plain(a)} -> {_plain(b)}" for k, (a, b) in settings.items())
    filters_differ = any(k in settings for k in ("select.filters", "select.correct"))
    rules: list[tuple[pl.Expr, str, pl.Expr]] = []
    if _scored_otherwise(settings, by):
        rules.append((pl.lit(True), SETTING, pl.lit(changed)))
    come = pl.col("after").is_not_null()
    rules += [
        (come & pl.col("known").is_null(), NEW, pl.lit("a new prompt")),
        (come & pl.col("after_old_there").is_null(), NEW, pl.format("{} by {}", "after", "teacher_after")),
        (
            pl.col("before").is_not_null() & pl.col("before_new_there").is_null(),
            REMOVED,
            pl.format("{} by {} is in the pool no more", "before", "teacher_before"),
        ),
    ]
    for role in ("before", "after"):
        old, new = pl.col(f"{role}_old_verdict"), pl.col(f"{role}_new_verdict")
        rules.append((old != new, VERDICT, pl.format("{} is {}, was {}", role, new, old)))
    # What left was dropped now, what came was dropped then.
    for role, when, verb in (("before", "new", "is dropped"), ("after", "old", "was dropped")):
        reason, why = pl.col(f"{role}_{when}_filter"), pl.col(f"{role}_{when}_why")
        detail = pl.format(f"{{}} {verb}: {{}} ({{}})", role, reason, why)
        rules.append((reason == "not_scored", SCORE, detail))
        if not filters_differ:
            rules.append((reason.is_in(OF_THE_POOL), POOL, detail))
        rules.append((reason.is_not_null(), FILTER, detail))
    for role in ("before", "after"):
        old, new = pl.col(f"{role}_old_score"), pl.col(f"{role}_new_score")
        moved = pl.format("{} of {} is {}, was {}", pl.lit(by), role, *(_number(s) for s in (new, old)))
        rules.append((old.ne_missing(new) & pl.col(role).is_not_null(), SCORE, moved))
    if settings:
        rules.append((pl.lit(True), SETTING, pl.lit(changed)))
    rules.append((pl.lit(True), POOL, pl.lit("other traces or prompts decided")))
    conditions = [c.fill_null(False) for c, _, _ in rules]
    reason = pl.coalesce(pl.when(c).then(pl.lit(r)) for c, (_, r, _) in zip(conditions, rules, strict=True))
    detail = pl.coalesce(pl.when(c).then(d) for c, (_, _, d) in zip(conditions, rules, strict=True))
    return pairs.with_columns(reason=reason, detail=detail)


def _scored_otherwise(settings: dict[str, tuple[Any, Any]], by: str) -> bool:
    """Whether settings that differ give every trace another score."""
    metric = all_metrics().get(by)
    drawn = metric is not None and metric.draw is not None and "select.seed" in settings
    fitted = metric is not None and metric.fit is not None and "select.casl_fit" in settings
    return "by" in settings or drawn or fitted


def _number(score: pl.Expr) -> pl.Expr:
    return score.round_sig_figs(6).cast(pl.String).fill_null("none")


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def _teachers(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Traces chosen by teacher, before and after."""
    counts = [f.group_by("teacher").agg(pl.len().alias(n)) for f, n in ((old, "before"), (new, "after"))]
    both = counts[0].join(counts[1], on="teacher", how="full", coalesce=True)
    return both.select("teacher", pl.col("before", "after").fill_null(0).cast(pl.Int64)).sort("teacher")
