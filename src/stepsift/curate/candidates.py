"""Which traces are in the running for their prompt, and why the others are not."""

from typing import Literal

import polars as pl

from stepsift import tables
from stepsift.errors import SelectionError
from stepsift.metrics import all_metrics

CORRECT = pl.col("verdict") == "correct"


def find_candidates(
    prompts: pl.DataFrame,
    traces: pl.DataFrame,
    trace_scores: pl.DataFrame,
    correct: Literal["require", "prefer", "ignore"],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (candidates, rejected): every trace is in exactly one of the two.

    Candidates are the rows of `trace_scores` with the trace's content_hash, verdict, source and source_line and the
    prompt's domain, sorted by trace_id. All selectors choose among the same candidates.

    `correct` is `select.correct`: `require` keeps traces with verdict correct; `prefer` does so where the prompt has a
    scored one, and keeps all traces of other prompts; `ignore` keeps all. Reasons in `rejected`: `not_scored` (no step
    scores: the trace was rejected by the score stage or not in its sample) and `not_correct`. Raises SelectionError
    where no candidate remains.
    """
    about = traces.select("trace_id", "content_hash", "teacher", "verdict", "source", "source_line")
    domains = prompts.select("prompt_id", "domain")
    scored = trace_scores.join(about.drop("teacher"), on="trace_id", how="left").join(
        domains, on="prompt_id", how="left"
    )
    unscored = about.join(trace_scores, on="trace_id", how="anti").with_columns(
        reason=pl.lit("not_scored"),
        detail=pl.lit("no step scores: rejected by the score stage, or not in its sample of prompts"),
    )
    keep = {
        "require": CORRECT,
        "prefer": CORRECT | ~CORRECT.any().over("prompt_id"),
        "ignore": pl.lit(True),
    }[correct]
    marked = scored.with_columns(keep.alias("keep"))
    incorrect = marked.filter(~pl.col("keep")).with_columns(
        reason=pl.lit("not_correct"),
        detail=pl.format("verdict {}, select.correct: {}", "verdict", pl.lit(correct)),
    )
    candidates = marked.filter("keep").drop("keep").sort("trace_id")
    if candidates.is_empty():
        raise SelectionError(_why_empty(traces, scored, correct))
    return candidates, _rejected(unscored, incorrect)


def without_score(candidates: pl.DataFrame, selector: str) -> pl.DataFrame:
    """Rejected rows, reason `no_score`, for the candidates that have no score by which this selector could choose.

    They stay candidates of other selectors. Raises SelectionError where no candidate has a score.
    """
    missing = candidates.filter(pl.col(selector).is_null())
    needs = all_metrics()[selector].needs
    if missing.height == candidates.height:
        raise SelectionError(
            f"select.selectors: {selector} has no score for any of {candidates.height} candidates; it needs the "
            f"{needs} pass: name it in score.passes, score traces that fit into the student's context, or leave "
            f"{selector} out of select.selectors"
        )
    reason = f"selector {selector}: no score; the {needs} pass was not possible, or the trace has no token"
    return _rejected(missing.with_columns(reason=pl.lit("no_score"), detail=pl.lit(reason)))


def _rejected(*dropped: pl.DataFrame) -> pl.DataFrame:
    columns = tables.REJECTED.schema
    return pl.concat([frame.select(*columns) for frame in dropped]).sort(tables.REJECTED.key)


def _why_empty(traces: pl.DataFrame, scored: pl.DataFrame, correct: str) -> str:
    if traces.is_empty():
        return "the table traces is empty, so there is nothing to select from; see the rejected rows of ingest"
    if scored.is_empty():
        return f"none of {traces.height} traces has step scores; see the rejected rows of the score stage"
    verdicts = scored["verdict"].value_counts().sort("verdict").rows()
    seen = ", ".join(f"{verdict} {n}" for verdict, n in verdicts)
    return (
        f"select.correct: {correct} left no candidate: none of {scored.height} scored traces has verdict correct "
        f"({seen}); set it to prefer, or check the answers and the verifier"
    )
