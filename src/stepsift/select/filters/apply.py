"""All filters in one pass over the responses."""

from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from stepsift import params
from stepsift.select.candidates import rejected_rows
from stepsift.select.filters.contamination import build_index, contaminated, contaminated_prompts
from stepsift.select.filters.language import check_languages, other_language
from stepsift.select.filters.lengths import wrong_length
from stepsift.select.filters.loops import endless
from stepsift.select.filters.near_duplicates import NearDuplicates
from stepsift.select.filters.thinking import unfinished
from stepsift.select.filters.words import read_words
from stepsift.select.filters.worst import worst_traces
from stepsift.select.pool import ScoredPool
from stepsift.select.questions import Questions

SLICE_ROWS = 4_096
"""Traces whose words are in memory at once."""


def apply_filters(
    pool: ScoredPool, scored: pl.DataFrame, settings: params.Filters, questions: Questions
) -> pl.DataFrame:
    """Rejected rows (table rejected) of the traces that a filter drops, one each: that of the first that drops it.

    `scored` has trace_id, n_tokens and the metric of `worst`; other traces are not looked at. The filters, in their
    order, by their reasons: `too_short`, `too_long`, `unfinished_thinking`, `loop`, `language`, `contaminated`,
    `near_duplicate`, `worst`. The responses are read once, and once more (or oftener, where they are many) where near
    duplicates are suspected. Raises SelectionError for a language that cannot be told.
    """
    rows = [wrong_length(scored.select("trace_id", "n_tokens"), settings)]
    left = scored.join(rows[0], on="trace_id", how="anti")
    left = left.select("trace_id").join(pool.traces.select("trace_id", "prompt_id"), on="trace_id")
    cheap = _cheap(settings)
    index = build_index(questions, settings.decontaminate) if settings.decontaminate else None
    prompts_left = pool.prompts.join(left, on="prompt_id", how="semi")
    prompts = contaminated_prompts(prompts_left, index) if index else None
    alike = NearDuplicates(pool, settings.near_duplicates) if settings.near_duplicates else None
    for part in _parts(pool, left) if cheap or index or alike else ():
        frame = part
        for reason, find in cheap:
            frame = _without(frame, find(frame), reason, rows)
        if index or alike:
            frame = frame.with_row_index("row")
            words = read_words(frame["response"])
            if index and prompts is not None:
                frame = _without(frame, contaminated(frame, words, prompts, index), "contaminated", rows)
            if alike:
                alike.add(frame, words)
    if alike:
        rows.append(_reasoned(alike.find(), "near_duplicate"))
    if settings.worst is not None:
        kept = scored.join(pl.concat(rows), on="trace_id", how="anti")
        rows.append(_reasoned(worst_traces(kept, pool.traces, settings.worst), "worst"))
    about = pool.traces.select("trace_id", "teacher", "source", "source_line")
    return rejected_rows(pl.concat(rows).join(about, on="trace_id", how="left"))


Find = Callable[[pl.DataFrame], pl.DataFrame]


def _cheap(settings: params.Filters) -> list[tuple[str, Find]]:
    """Reasons and filters that look at a response as it stands."""
    filters: list[tuple[str, Find]] = []
    if settings.unfinished_thinking:
        filters.append(("unfinished_thinking", unfinished))
    if settings.loops:
        filters.append(("loop", endless))
    if settings.languages:
        check_languages(settings.languages)
        filters.append(("language", partial(other_language, languages=settings.languages)))
    return filters


def _parts(pool: ScoredPool, left: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Columns trace_id, response and prompt_id of the traces in `left`, a few at a time."""
    for frame in pool.responses():
        remaining = frame.join(left, on="trace_id", maintain_order="left")
        yield from remaining.iter_slices(SLICE_ROWS)


def _reasoned(dropped: pl.DataFrame, reason: str) -> pl.DataFrame:
    return dropped.select("trace_id", reason=pl.lit(reason), detail="detail")


def _without(frame: pl.DataFrame, dropped: pl.DataFrame, reason: str, rows: list[pl.DataFrame]) -> pl.DataFrame:
    """The frame without what was dropped, of which a row goes to `rows`."""
    rows.append(_reasoned(dropped, reason))
    return frame.join(dropped, on="trace_id", how="anti", maintain_order="left")
