"""Several students side by side on this machine, each in a process of its own: one for each CUDA device, or on a CPU.

The standard library's pool of processes hands out the work. A worker that dies takes the pool with it, so the pool is
made anew and what it had in hand is done again: request by request where it was in hand before, so that a trace that
kills its worker is found and refused.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from math import ceil
from typing import Any

import torch

from stepsift import params
from stepsift.core import processes
from stepsift.core.errors import ScoringError
from stepsift.score.backends.local import Done, LocalBackend, ModelSize, Result
from stepsift.score.forward.request import Refused, Request
from stepsift.student import take_devices

log = logging.getLogger(__name__)

SHARD_REQUESTS = {"trace": 4, "packed": 64}
"""Most requests that a worker is handed at once, by batching; candidates of a prompt above that count stay together."""
_MOST_LOSSES = 2
"""How often a shard may be in hand when a worker dies, before its requests are done one at a time."""
_MOST_DEATHS = 3
"""Pools that may break one after another over one request each: more are no fault of a trace."""

_backend: LocalBackend | None = None


class ProcessBackend:
    """`workers` students on `device`; on CUDA, each on a device of its own, in turn, or on an equal share of all.

    Raises ScoringError where workers die again and again, and what a worker raises on purpose.
    """

    def __init__(self, student: params.Student, settings: params.Score, device: str, workers: int, batching: str):
        self.device = device
        self._arguments = student, settings.model_copy(update={"workers": workers}), device
        self._workers, self._batching = workers, batching
        self._pool = self._start()
        try:
            self.size: ModelSize = self._first(_size)
        except BaseException:
            self.close()
            raise

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done."""
        todo = deque(hand_out(requests, self._batching, self._workers))
        losses = Counter[range]()
        while todo:
            running: dict[Future[list[Result]], range] = {}
            try:
                yield from self._run(requests, todo, running)
            except BrokenProcessPool:
                self._renew()
                losses.update(running.values())
                todo.extendleft(s for s in running.values() if losses[s] < _MOST_LOSSES)
                suspects = [i for s in running.values() if losses[s] >= _MOST_LOSSES for i in s]
                yield from self._one_by_one(requests, suspects)

    def close(self) -> None:
        """End the workers, at once: what they have in hand is wanted by nobody."""
        processes.end(self._pool)

    def _run(
        self, requests: list[Request], todo: deque[range], running: dict[Future[list[Result]], range]
    ) -> Iterator[Done]:
        """Take shards from `todo`, a few in hand at a time; `running` holds those that are not done when a pool
        breaks."""
        while True:
            while len(running) < 2 * self._workers and todo:
                shard = todo.popleft()
                try:
                    running[processes.submit(self._pool, _score, [requests[i] for i in shard])] = shard
                except BrokenProcessPool:
                    todo.appendleft(shard)
                    raise
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                results = future.result()
                yield list(zip(running.pop(future), results, strict=True))

    def _one_by_one(self, requests: list[Request], places: list[int]) -> Iterator[Done]:
        """One request in hand at a time: one that takes its worker down is refused."""
        deaths = 0
        for i in places:
            try:
                [result] = processes.submit(self._pool, _score, [requests[i]]).result()
                deaths = 0
            except BrokenProcessPool:
                deaths += 1
                self._renew(deaths)
                result = worker_lost(requests[i])
            yield [(i, result)]

    def _start(self) -> ProcessPoolExecutor:
        return processes.start(self._workers, _begin, *self._arguments)

    def _renew(self, deaths: int = 1) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if deaths > _MOST_DEATHS:
            raise ScoringError(
                f"processes that score die again and again ({deaths} times without a result), most likely for lack of "
                "memory; lower score.workers or score.batch_tokens"
            )
        log.warning("a process that scores died; its work is done again")
        self._pool = self._start()

    def _first(self, ask: Callable[[], Any]) -> Any:
        for deaths in range(1, _MOST_DEATHS + 2):
            try:
                return processes.submit(self._pool, ask).result()
            except BrokenProcessPool:
                self._renew(deaths)
        return None


def in_order(backend: LocalBackend, requests: list[Request]) -> list[Result]:
    """Results of all requests, in their order."""
    results = dict(pair for done in backend.score(requests) for pair in done)
    return [results[i] for i in range(len(requests))]


def hand_out(requests: list[Request], batching: str, workers: int) -> list[range]:
    """Places in `requests`, in shards small enough for each of `workers` to get two.

    Packed batches share the keys and values of a prompt, so there a shard ends where a prompt does; requests of one
    prompt come together.
    """
    n = len(requests)
    size = max(1, min(SHARD_REQUESTS[batching], ceil(n / (2 * workers))))
    if batching == "trace":
        return shards(n, size)
    cut, begin = [], 0
    for end in range(1, n + 1):
        if end == n or (end - begin >= size and requests[end].prompt != requests[end - 1].prompt):
            cut.append(range(begin, end))
            begin = end
    return cut


def worker_lost(request: Request) -> Refused:
    """What becomes of a request whose worker died over it alone, after others had."""
    tokens = len(request.prompt) + len(request.response)
    return Refused(
        "worker_lost", f"prompt and response have {tokens} tokens; the process that scored them died each time"
    )


def shards(n: int, size: int) -> list[range]:
    """Places 0 .. n - 1 in runs of `size`."""
    return [range(i, min(i + size, n)) for i in range(0, n, size)]


def _begin(number: int, student: params.Student, settings: params.Score, device: str) -> None:
    """Load the student of a worker."""
    global _backend  # noqa: PLW0603 - a worker has one student, for all of its life
    if device == "cuda" and student.placement == "one":
        device = f"{device}:{number % torch.cuda.device_count()}"
    elif device == "cuda":
        take_devices(number, settings.workers or 1)
    try:
        _backend = LocalBackend(student, settings, device)
    except Exception as e:  # an initializer that raises breaks the pool and leaves no word of why
        _failed.append(e)


_failed: list[Exception] = []


def _loaded() -> LocalBackend:
    if _backend is None:
        raise _failed[0]
    return _backend


def _size() -> ModelSize:
    return _loaded().size


def _score(requests: list[Request]) -> list[Result]:
    return in_order(_loaded(), requests)
