"""Many traces to steps by as many processes as there are cores; any number of them gives the same rows in one order."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import polars as pl

from stepsift import params
from stepsift.core import processes
from stepsift.core.errors import TableError
from stepsift.segment.llm.grouping import Grouping
from stepsift.segment.table import segment_table

_AHEAD = 2
"""Frames in hand per process: one that it works on, one that waits."""


def segment_tables(
    frames: Iterable[pl.DataFrame], settings: params.Segment, grouping: Grouping | None = None
) -> Iterator[pl.DataFrame]:
    """`segment_table` of each frame, in their order, by `settings.workers` processes side by side.

    A single frame, or a single worker, starts no process: that takes longer than a small pool does. Raises TableError
    as `segment_table` does, and where a process is killed (for memory, for example). A `grouping` waits for others and
    has workers of its own, so it starts no process either.
    """
    if grouping is not None:
        yield from (segment_table(frame, settings, grouping) for frame in frames)
        return
    remaining = iter(frames)
    first_two = list(itertools.islice(remaining, 2))
    every = itertools.chain(first_two, remaining)
    workers = settings.workers or len(os.sched_getaffinity(0))
    if workers == 1 or len(first_two) < 2:
        yield from (segment_table(frame, settings) for frame in every)
        return
    pool = processes.start(workers, _begin, settings)
    in_hand: deque[Future[pl.DataFrame]] = deque()
    try:
        while True:
            for frame in itertools.islice(every, _AHEAD * workers - len(in_hand)):
                in_hand.append(processes.submit(pool, _segment, frame))
            if not in_hand:
                return
            yield in_hand.popleft().result()
    except BrokenProcessPool:
        raise TableError(
            f"a process of segment was killed, for want of memory perhaps; lower segment.workers (now {workers})"
        ) from None
    finally:
        processes.end(pool)


_settings: params.Segment


def _begin(_: int, settings: params.Segment) -> None:
    global _settings  # noqa: PLW0603 - what a worker is given once
    _settings = settings


def _segment(frame: pl.DataFrame) -> pl.DataFrame:
    return segment_table(frame, _settings)
