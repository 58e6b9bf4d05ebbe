"""Many traces to steps by as many processes as there are cores; any number of them gives the same rows in one order."""

from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool

import polars as pl

from stepsift import params
from stepsift.core import processes
from stepsift.core.errors import TableError
from stepsift.segment.llm.grouping import Grouping
from stepsift.segment.table import segment_table


def segment_tables(
    frames: Iterable[pl.DataFrame], settings: params.Segment, grouping: Grouping | None = None
) -> Iterator[pl.DataFrame]:
    """`segment_table` of each frame, in their order, by `settings.workers` processes side by side.

    A single frame, or a single worker, starts no process. Raises TableError as `segment_table` does, and where a
    process is killed (for memory, for example). A `grouping` waits for others and has workers of its own, so it starts
    no process either.
    """
    if grouping is not None:
        yield from (segment_table(frame, settings, grouping) for frame in frames)
        return
    with processes.Crew(settings.workers, settings) as crew:
        try:
            yield from crew.map(_segment, frames)
        except BrokenProcessPool:
            raise TableError(
                "a process of segment was killed, for want of memory perhaps; lower segment.workers "
                f"(now {crew.workers})"
            ) from None


def _segment(settings: params.Segment, frame: pl.DataFrame) -> pl.DataFrame:
    return segment_table(frame, settings)
