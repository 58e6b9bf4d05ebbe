"""The pool that curation works on: tables, but for the texts and the step scores, which come in frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import disk, table_files, tables
from stepsift.core.errors import TableError
from stepsift.core.text import count


@dataclass(frozen=True)
class ScoredPool:
    """Everything that a selection is made from; texts and steps are never in memory as a whole."""

    prompts: pl.DataFrame
    """Table prompts."""
    traces: pl.DataFrame
    """Table traces without the column response."""
    responses: Callable[[], Iterator[pl.DataFrame]]
    """Frames with the columns trace_id and response, sorted by trace_id over all of them; may be called again."""
    step_scores: Callable[[], Iterator[pl.DataFrame]]
    """Frames of table step_scores, sorted over all of them; a trace never spans two. May be called again."""
    steps: Callable[[], Iterator[pl.DataFrame]] | None = None
    """Frames of table steps; None where nobody needs to know where steps lie."""

    def chosen_responses(self, trace_ids: pl.Series) -> pl.DataFrame:
        """Columns trace_id and response of these traces, sorted by trace_id."""
        distinct = trace_ids.unique().implode()
        parts = [frame.filter(pl.col("trace_id").is_in(distinct)) for frame in self.responses()]
        return pl.concat(parts) if parts else pl.DataFrame(schema={"trace_id": pl.String, "response": pl.String})


def read(
    prompts: Path, traces: Path, step_scores: Path, steps: Path | None = None, reference: Path | None = None
) -> ScoredPool:
    """The pool of these tables; raises TableError where one is missing, or a trace names a prompt that is not there.

    `reference` is a table step_scores of the same steps under another model, which is set beside the student's.
    """
    about = [c for c in tables.TRACES.schema if c != "response"]
    frames = list(table_files.scan(tables.TRACES, traces, about))
    schema = {c: tables.TRACES.schema[c] for c in about}
    pool = ScoredPool(
        prompts=table_files.read(tables.PROMPTS, prompts),
        traces=pl.concat(frames) if frames else pl.DataFrame(schema=schema),
        responses=lambda: table_files.scan(tables.TRACES, traces, ["trace_id", "response"]),
        step_scores=lambda: _steps(step_scores, reference),
        steps=None if steps is None else lambda: table_files.scan(tables.STEPS, steps),
    )
    check(pool)
    return pool


def _steps(step_scores: Path, reference: Path | None) -> Iterator[pl.DataFrame]:
    steps = table_files.regroup(table_files.scan(tables.STEP_SCORES, step_scores), "trace_id")
    if reference is None:
        return steps
    return beside(steps, table_files.scan(tables.STEP_SCORES, reference, ["trace_id", "step", *tables.OF_REFERENCE]))


def beside(steps: Iterator[pl.DataFrame], reference: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames of step_scores with the columns `tables.OF_REFERENCE` of a reference's as `reference_..`, by trace and
    step; null for a step that the reference has no scores of.

    Both are sorted by trace and step over all of their frames, of which a few are in memory; no trace of `steps` spans
    two frames.
    """
    key = list(tables.STEP_SCORES.key)
    names = {c: f"reference_{c}" for c in tables.OF_REFERENCE}
    held = pl.DataFrame(schema={c: tables.STEP_SCORES.schema[c] for c in (*key, *tables.OF_REFERENCE)})
    for frame in steps:
        last = frame["trace_id"][-1]
        while (held.is_empty() or held["trace_id"][-1] <= last) and (more := next(reference, None)) is not None:
            held = pl.concat([held, more.select(held.columns)])
        yield frame.join(held.rename(names), on=key, how="left", maintain_order="left")
        held = held.filter(pl.col("trace_id") > last)


@dataclass(frozen=True)
class ChosenReference:
    """The reference that metrics of two models compare with: its table, and what is known of the model, for JSON."""

    step_scores: Path
    about: dict[str, Any]


def find_reference(scored: Path, name: str | None) -> ChosenReference | None:
    """The reference of that name, or the first, of the folder of stage score; None where it scored none.

    Raises TableError where there are some and not this one.
    """
    listed = scored / "references" / tables.REFERENCES
    known: list[dict[str, Any]] = disk.read_json(listed) if listed.is_file() else []
    chosen = next((about for about in known if name in (None, about["name"])), None)
    if chosen is None:
        if name is None:
            return None
        raise TableError(f"there are no scores of reference '{name}' in {scored}; run 'dvc repro score'")
    path = scored / "references" / chosen["name"] / tables.STEP_SCORES.file
    return ChosenReference(path, chosen | {"md5": disk.file_md5(path)})


def check(pool: ScoredPool) -> None:
    """Raise TableError where a trace names a prompt that is not there."""
    strangers = pool.traces.select("prompt_id").join(pool.prompts, on="prompt_id", how="anti")
    if strangers.height:
        raise TableError(
            f"traces name {count(strangers['prompt_id'].n_unique(), 'prompt')} that the table prompts does not hold, "
            f"such as {strangers['prompt_id'].sort()[0]}; run 'dvc repro' to rebuild both"
        )
