"""What all pools of worker processes share: how work is handed out, and how workers end."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any


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
