"""All filters in one pass over the responses."""

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial

import polars as pl

from stepsift import params
from stepsift.core.errors import SelectionError
from stepsift.core.processes import Crew
from stepsift.select.candidates import rejected_rows
from stepsift.select.filters.contamination import Index, build_index, contaminated, contaminated_prompts
from stepsift.select.filters.language import check_languages, other_language
from stepsift.select.filters.lengths import wrong_length
from stepsift.select.filters.loops import endless
from stepsift.select.filters.near_duplicates import NearDuplicates, Sketches, sketch
from stepsift.select.filters.thinking import unfinished
from stepsift.select.filters.words import read_words
from stepsift.select.filters.worst import worst_traces
from stepsift.select.pool import ScoredPool
from stepsift.select.questions import Questions

SLICE_ROWS = 4_096
"""Traces whose words are in memory at once."""


@dataclass(frozen=True)
class _Rules:
    """What a worker has to know to look at responses."""

    settings: params.Filters
    index: Index | None


@dataclass(frozen=True)
class _Seen:
    """What was seen in a part: rows of dropped traces (trace_id, reason, detail), and trace_id and prompt_id of the
    others with the sketches of their responses, where near duplicates are looked for."""

    dropped: pl.DataFrame
    kept: pl.DataFrame
    sketches: Sketches | None


def apply_filters(
    pool: ScoredPool, scored: pl.DataFrame, settings: params.Filters, questions: Questions, workers: int | None = 1
) -> pl.DataFrame:
    """Rejected rows (table rejected) of the traces that a filter drops, one each: that of the first that drops it.

    `scored` has trace_id, n_tokens and the metric of `worst`; other traces are not looked at. The filters, in their
    order, by their reasons: `too_short`, `too_long`, `unfinished_thinking`, `loop`, `language`, `contaminated`,
    `near_duplicate`, `worst`. The responses are read once, and once more (or oftener, where they are many) where near
    duplicates are suspected, by so many processes side by side (None: one for each core); the rows do not depend on
    their number. Raises SelectionError for a language that cannot be recognised, and where a process is killed.
    """
    rows = [wrong_length(scored.select("trace_id", "n_tokens"), settings)]
    left = scored.join(rows[0], on="trace_id", how="anti")
    left = left.select("trace_id").join(pool.traces.select("trace_id", "prompt_id"), on="trace_id")
    if settings.languages:
        check_languages(settings.languages)
    index = build_index(questions, settings.decontaminate) if settings.decontaminate else None
    with Crew(workers, _Rules(settings, index)) as crew:
        try:
            rows += _read_texts(pool, left, settings, crew)
        except BrokenProcessPool:
            raise SelectionError(
                "a process that reads texts for select.filters was killed, for want of memory perhaps; lower "
                f"select.workers (now {crew.workers})"
            ) from None
    if settings.worst is not None:
        kept = scored.join(pl.concat(rows), on="trace_id", how="anti")
        rows.append(_reasoned(worst_traces(kept, pool.traces, settings.worst), "worst"))
    about = pool.traces.select("trace_id", "teacher", "source", "source_line")
    return rejected_rows(pl.concat(rows).join(about, on="trace_id", how="left"))


def _read_texts(
    pool: ScoredPool, left: pl.DataFrame, settings: params.Filters, crew: Crew[_Rules]
) -> list[pl.DataFrame]:
    """Rows of the traces in `left` that are dropped for their texts."""
    alike = NearDuplicates(pool, settings.near_duplicates, crew) if settings.near_duplicates else None
    if not (alike or settings.decontaminate or _cheap(settings)):
        return []
    if settings.decontaminate:
        prompts_left = pool.prompts.join(left, on="prompt_id", how="semi").select("prompt_id", "prompt")
        held = [_NO_PROMPTS, *crew.map(_held_by_prompts, prompts_left.iter_slices(SLICE_ROWS))]
        left = left.join(pl.concat(held), on="prompt_id", how="left", maintain_order="left")
    rows = []
    for seen in crew.map(_look, _parts(pool, left)):
        rows.append(seen.dropped)
        if alike and seen.sketches is not None:
            alike.add(seen.kept, seen.sketches)
    if alike:
        rows.append(_reasoned(alike.find(), "near_duplicate"))
    return rows


def _held_by_prompts(rules: _Rules, prompts: pl.DataFrame) -> pl.DataFrame:
    """Columns prompt_id and held_by_prompt, what a prompt holds of a question, of those that hold something."""
    if rules.index is None:
        return _NO_PROMPTS
    return contaminated_prompts(prompts, rules.index).rename({"detail": "held_by_prompt"})


def _look(rules: _Rules, frame: pl.DataFrame) -> _Seen:
    """Rows (trace_id, response, prompt_id, held_by_prompt) through all filters that read a response by itself."""
    rows: list[pl.DataFrame] = [_NO_ROWS]
    for reason, find in _cheap(rules.settings):
        frame = _without(frame, find(frame), reason, rows)
    sketches = None
    if rules.index or rules.settings.near_duplicates:
        frame = frame.with_row_index("row")
        words = read_words(frame["response"])
        if rules.index:
            frame = _without(frame, contaminated(frame, words, rules.index), "contaminated", rows)
        if rules.settings.near_duplicates:
            sketches = sketch(words, frame["row"])
    return _Seen(pl.concat(rows), frame.select("trace_id", "prompt_id"), sketches)


_NO_ROWS = pl.DataFrame(schema={"trace_id": pl.String, "reason": pl.String, "detail": pl.String})
_NO_PROMPTS = pl.DataFrame(schema={"prompt_id": pl.String, "held_by_prompt": pl.String})
Find = Callable[[pl.DataFrame], pl.DataFrame]


def _cheap(settings: params.Filters) -> list[tuple[str, Find]]:
    """Reasons and filters that look at a response as it stands."""
    filters: list[tuple[str, Find]] = []
    if settings.unfinished_thinking:
        filters.append(("unfinished_thinking", unfinished))
    if settings.loops:
        filters.append(("loop", endless))
    if settings.languages:
        filters.append(("language", partial(other_language, languages=settings.languages)))
    return filters


def _parts(pool: ScoredPool, left: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The traces in `left` with their responses, a few at a time."""
    for frame in pool.responses():
        remaining = frame.join(left, on="trace_id", maintain_order="left")
        yield from remaining.iter_slices(SLICE_ROWS)


def _reasoned(dropped: pl.DataFrame, reason: str) -> pl.DataFrame:
    return dropped.select("trace_id", reason=pl.lit(reason), detail="detail")


def _without(frame: pl.DataFrame, dropped: pl.DataFrame, reason: str, rows: list[pl.DataFrame]) -> pl.DataFrame:
    """The frame without what was dropped, of which a row goes to `rows`."""
    rows.append(_reasoned(dropped, reason))
    return frame.join(dropped, on="trace_id", how="anti", maintain_order="left")
