"""Pools of worker processes, without the processes."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from stepsift.core import processes


class PoolHere:
    """Stands in for a pool of processes: each task is done where it is handed in, or breaks the pool."""

    def __init__(self, shared: Any, breaks: bool):
        self.shared, self.breaks = shared, breaks
        self._processes: dict[int, Any] = {}

    def submit(self, call: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        if self.breaks:
            done.set_exception(BrokenProcessPool())
        else:
            processes._share(0, self.shared)
            done.set_result(call(*arguments))
        return done

    def shutdown(self, **_: Any) -> None: ...
