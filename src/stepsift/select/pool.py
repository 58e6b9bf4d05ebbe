"""The pool that curation works on: tables, but for the texts and the step scores, which come in frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stepsift.core import tables
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


def read(prompts: Path, traces: Path, step_scores: Path, steps: Path | None = None) -> ScoredPool:
    """The pool of these tables; raises TableError where one is missing, or a trace names a prompt that is not there."""
    about = [c for c in tables.TRACES.schema if c != "response"]
    frames = list(tables.scan(tables.TRACES, traces, about))
    schema = {c: tables.TRACES.schema[c] for c in about}
    pool = ScoredPool(
        prompts=tables.read(tables.PROMPTS, prompts),
        traces=pl.concat(frames) if frames else pl.DataFrame(schema=schema),
        responses=lambda: tables.scan(tables.TRACES, traces, ["trace_id", "response"]),
        step_scores=lambda: tables.regroup(tables.scan(tables.STEP_SCORES, step_scores), "trace_id"),
        steps=None if steps is None else lambda: tables.scan(tables.STEPS, steps),
    )
    check(pool)
    return pool


def check(pool: ScoredPool) -> None:
    """Raise TableError where a trace names a prompt that is not there."""
    strangers = pool.traces.select("prompt_id").join(pool.prompts, on="prompt_id", how="anti")
    if strangers.height:
        raise TableError(
            f"traces name {count(strangers['prompt_id'].n_unique(), 'prompt')} that the table prompts does not hold, "
            f"such as {strangers['prompt_id'].sort()[0]}; run 'dvc repro' to rebuild both"
        )
