"""Work that waits for others, by a few threads at once."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")


def in_threads(function: Callable[[K, V], R], items: Iterable[tuple[K, V]], workers: int) -> Iterator[tuple[K, R]]:
    """Each key with what `function` gives for it, as it is done; items are taken in order.

    What `function` raises is raised here, and no further item is begun. Threads are daemons: a run that is stopped does
    not wait for an answer that is still under way, as it would for those of concurrent.futures.
    """
    remaining = iter(items)
    lock, ended = threading.Lock(), threading.Event()
    done: queue.SimpleQueue[tuple[K, R] | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while not ended.is_set():
                with lock:
                    item = next(remaining, None)
                if item is None:
                    break
                done.put((item[0], function(*item)))
        except BaseException as e:  # raised again by whoever waits
            done.put(e)
        done.put(None)

    threads = [threading.Thread(target=work, name=f"groups-{i}", daemon=True) for i in range(workers)]
    try:
        for thread in threads:
            thread.start()
        working = len(threads)
        while working:
            result = done.get()
            if result is None:
                working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        ended.set()
