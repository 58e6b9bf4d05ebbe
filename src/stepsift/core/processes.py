"""What all pools of worker processes share: how work is handed out, and how workers end."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2
"""Parts in hand per process: one that it works on, one that waits."""


def cores() -> int:
    """Cores that this process may use: fewer than the machine has where a scheduler or a container gives it some."""
    return len(os.sched_getaffinity(0))


class Crew(Generic[S]):
    """As many processes as there are cores, or `workers`, for work that comes in parts; a context manager.

    Each is given `shared` once. They are started for the first work of more than one part: starting takes longer than
    a small pool does. What is made, and its order, does not depend on their number.
    """

    def __init__(self, workers: int | None, shared: S):
        self.workers = workers or cores()
        self._shared = shared
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[S, T], R], parts: Iterable[T]) -> Iterator[R]:
        """`function(shared, part)` of each part, in their order; parts are taken a few at a time.

        The function is one of a module, so that processes find it. Raises what it raises, and BrokenProcessPool where
        a process is killed (for memory, for example).
        """
        remaining = iter(parts)
        first_two = list(itertools.islice(remaining, 2))
        every = itertools.chain(first_two, remaining)
        if self.workers == 1 or len(first_two) < 2:
            yield from (function(self._shared, part) for part in every)
            return
        if self._pool is None:
            self._pool = start(self.workers, _share, self._shared)
        in_hand: deque[Future[R]] = deque()
        while True:
            for part in itertools.islice(every, _AHEAD * self.workers - len(in_hand)):
                in_hand.append(submit(self._pool, _call, function, part))
            if not in_hand:
                return
            yield in_hand.popleft().result()

    def __enter__(self) -> "Crew[S]":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            end(self._pool)
            self._pool = None


_shared: Any = None


def _share(_: int, shared: Any) -> None:
    global _shared  # noqa: PLW0603 - what a worker is given once
    _shared = shared


def _call(function: Callable[[S, T], R], part: T) -> R:
    return function(_shared, part)


def start(workers: int, begin: Callable[..., None], *arguments: Any) -> ProcessPoolExecutor:
    """A pool of worker processes; each calls `begin(number, *arguments)` first, its number counted from 0.

    A worker ends when its parent does. `begin` and its arguments are pickled: CUDA does not survive a fork.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, _begin, (spawn.Value("i", 0), begin, *arguments))


def _begin(numbers: Any, begin: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    with numbers.get_lock():
        number = numbers.value
        numbers.value += 1
    begin(number, *arguments)


def submit(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Hand a task to the pool, which starts a worker where none is free.

    Ctrl-C reaches all processes of a terminal, and the parent alone decides what follows. A worker takes on the signals
    that are blocked when it is started; to ignore them in its first lines would be seconds of imports late.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(pool: ProcessPoolExecutor) -> None:
    """End the workers, at once: what they have in hand is wanted by nobody."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def end_with_parent() -> None:
    """To be called in a worker, which then does not outlive its parent.

    A parent that was killed cannot end its workers, which would keep a device and its memory for good.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
