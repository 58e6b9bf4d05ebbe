"""Which traces are in the running for their prompt, and why the others are not."""

from typing import Literal

import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import SelectionError
from stepsift.core.text import count

CORRECT = pl.col("verdict") == "correct"


def find_candidates(
    prompts: pl.DataFrame,
    traces: pl.DataFrame,
    scored: pl.DataFrame,
    correct: Literal["require", "prefer", "ignore"],
    filtered: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (candidates, rejected): every trace is in exactly one of the two.

    Candidates are the rows of `scored` with the trace's content_hash, verdict, source and source_line and the
    prompt's domain, sorted by trace_id. All selectors choose among the same candidates. `filtered` are rejected rows of
    traces that a filter dropped; they take no part in what follows.

    `correct` is `select.correct`: `require` keeps traces with verdict correct; `prefer` does so where the prompt has
    one among those that are left, and keeps all traces of other prompts; `ignore` keeps all. Further reasons in
    `rejected`: `not_scored` (no step scores: the trace was rejected by the score stage or not in its sample) and
    `not_correct`. Raises SelectionError where no candidate remains.
    """
    filtered = pl.DataFrame(schema=tables.REJECTED.schema) if filtered is None else filtered
    about = traces.select("trace_id", "content_hash", "teacher", "verdict", "source", "source_line")
    domains = prompts.select("prompt_id", "domain")
    left = (
        scored.join(filtered.select("trace_id"), on="trace_id", how="anti")
        .join(about.drop("teacher"), on="trace_id", how="left")
        .join(domains, on="prompt_id", how="left")
    )
    unscored = about.join(scored, on="trace_id", how="anti").with_columns(
        reason=pl.lit("not_scored"),
        detail=pl.lit("no step scores: rejected by the score stage, or not in its sample of prompts"),
    )
    keep = {
        "require": CORRECT,
        "prefer": CORRECT | ~CORRECT.any().over("prompt_id"),
        "ignore": pl.lit(True),
    }[correct]
    marked = left.with_columns(keep.alias("keep"))
    incorrect = marked.filter(~pl.col("keep")).with_columns(
        reason=pl.lit("not_correct"),
        detail=pl.format("verdict {}, select.correct: {}", "verdict", pl.lit(correct)),
    )
    candidates = marked.filter("keep").drop("keep").sort("trace_id")
    if candidates.is_empty():
        raise SelectionError(_why_empty(traces, scored, left, filtered, correct))
    return candidates, rejected_rows(filtered, unscored, incorrect)


def without_score(candidates: pl.DataFrame, selector: params.Selector, failed: dict[str, str]) -> pl.DataFrame:
    """Rejected rows, reason `no_score`, for the candidates that have no score by which this selector could choose.

    They stay candidates of other selectors. `failed` says which metrics could not be fitted, and why. Raises
    SelectionError where no candidate has a score.
    """
    name, metric = selector.name, selector.by
    if metric in failed:
        raise SelectionError(f"selector '{name}': {failed[metric]}")
    missing = candidates.filter(pl.col(metric).is_null())
    needs = selector.metric.needs
    of_both = " of the student and of a reference (score.references)" if selector.metric.of_two_models else ""
    if missing.height == candidates.height:
        raise SelectionError(
            f"select.selectors: {name} has no score for any of {count(candidates.height, 'candidate')}; it needs the "
            f"{needs} pass{of_both}: name it in score.passes, score traces that fit into the student's context, or "
            f"leave {name} out of select.selectors"
        )
    undefined = f"{metric} is not defined for the trace"
    reason = f"selector {name}: no score; the {needs} pass{of_both} was not possible, or {undefined}"
    return rejected_rows(missing.with_columns(reason=pl.lit("no_score"), detail=pl.lit(reason)))


def rejected_rows(*dropped: pl.DataFrame) -> pl.DataFrame:
    """Table rejected of frames that hold its columns."""
    columns = tables.REJECTED.schema
    return pl.concat([frame.select(*columns) for frame in dropped]).sort(tables.REJECTED.key)


def _why_empty(
    traces: pl.DataFrame, scored: pl.DataFrame, left: pl.DataFrame, filtered: pl.DataFrame, correct: str
) -> str:
    if traces.is_empty():
        return "the table traces is empty, so there is nothing to select from; see the rejected rows of ingest"
    if scored.is_empty():
        return f"none of {count(traces.height, 'trace')} has step scores; see the rejected rows of the score stage"
    if left.is_empty():
        reasons = ", ".join(f"{reason} {n}" for reason, n in filtered["reason"].value_counts().sort("reason").rows())
        return f"select.filters left none of {count(scored.height, 'scored trace')} ({reasons}); loosen them"
    verdicts = left["verdict"].value_counts().sort("verdict").rows()
    seen = ", ".join(f"{verdict} {n}" for verdict, n in verdicts)
    # Commands and the library come here with all traces, before any is scored and without filters.
    of_them = " that were scored and kept by select.filters" if left.height < traces.height else ""
    return (
        f"select.correct: {correct} left no candidate: none of {count(left.height, 'trace')}{of_them} has verdict "
        f"correct ({seen}); set it to prefer, or check the answers and the verifier"
    )
