"""Scoring on a Ray cluster: one student per actor, work by shard; a lost actor is started anew and its shard redone.

Both are Ray's own doing. The project's folder and the student must lie under the same path on every node, and every
node must compute the same numbers: an actor compares its student and its numerics with those of this process.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepsift import params
from stepsift.core.errors import ScoringError, StepsiftError
from stepsift.core.text import error_line
from stepsift.score.backends.local import Done, LocalBackend, ModelSize, Result
from stepsift.score.backends.processes import hand_out, in_order, worker_lost
from stepsift.score.forward.request import Request
from stepsift.score.identity import Identity, identify

_MOST_RETRIES = 3
"""How often a shard is done again whose actor was lost."""


class RayBackend:
    """`workers` actors on the cluster that RAY_ADDRESS names, or on one that is started on this machine.

    `workers` None: one for each GPU of the cluster, or one. The device is what this machine would use: start it where
    there is one like those of the nodes. Raises ScoringError where Ray is not installed, the cluster cannot be joined
    or has no room, or actors are lost again and again whatever they score.
    """

    def __init__(
        self, student: params.Student, settings: params.Score, device: str, workers: int | None, batching: str
    ):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as e:
            raise ScoringError(
                "score.engine is 'ray', which is not installed here; run 'make ray', or set score.engine: local"
            ) from e
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _join(ray)
        on_gpu = device == "cuda"
        room = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 0))
        n = workers or (max(1, room) if on_gpu else 1)
        if n > room:
            # An actor without room waits for ever, and so would its share of the work.
            what = "GPUs" if on_gpu else "CPUs"
            raise ScoringError(f"score.workers is {n}, the Ray cluster has {room} {what}; lower it, or add nodes")
        actor = ray.remote(num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=-1, max_task_retries=_MOST_RETRIES)(
            _Student
        )
        here = student.model_copy(update={"path": str(Path(student.path).resolve())})
        there = settings.model_copy(update={"device": device, "engine": "ray"})
        expected = identify(here, there)
        self._actors = [actor.remote(here, there, device, expected) for _ in range(n)]
        self._workers, self._batching = n, batching
        self.device = f"{device}, {n} Ray actors"
        self.size: ModelSize = self._get(self._actors[0].size.remote())

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done."""
        from ray.util import ActorPool

        handed_out = hand_out(requests, self._batching, self._workers)
        pool = ActorPool(self._actors)
        for shard in handed_out:
            pool.submit(lambda actor, value: actor.score.remote(*value), (shard.start, [requests[i] for i in shard]))
        left = {shard.start: shard for shard in handed_out}
        while pool.has_next():
            try:
                begin, results = pool.get_next_unordered()
            except self._ray.exceptions.RayTaskError as e:
                raise _said(e) from e
            except self._ray.exceptions.RayError:
                # Which shard's actor was lost is not said: those that are left over are seen to last.
                continue
            yield list(zip(left.pop(begin), results, strict=True))
        yield from self._one_by_one(requests, [i for shard in left.values() for i in shard])

    def _one_by_one(self, requests: list[Request], places: list[int]) -> Iterator[Done]:
        """Requests of shards that were lost each time: one that alone takes an actor down each time is refused."""
        lost = 0
        for n, i in enumerate(places):
            try:
                reference = self._actors[n % self._workers].score.remote(i, [requests[i]])
                _, [result] = self._ray.get(reference)
                lost = 0
            except self._ray.exceptions.RayTaskError as e:
                raise _said(e) from e
            except self._ray.exceptions.RayError as e:
                lost += 1
                if lost > _MOST_RETRIES:
                    raise _said(e) from e
                result = worker_lost(requests[i])
            yield [(i, result)]

    def close(self) -> None:
        """Let the actors go, and the cluster if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as e:
            self.close()
            raise _said(e) from e


def _join(ray: Any) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one; raises ScoringError where nobody answers."""
    address = os.environ.get("RAY_ADDRESS")
    options = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as e:
        message = error_line(e)[:300]
        where = f"the Ray cluster at RAY_ADDRESS '{address}' cannot be joined" if address else "Ray cannot be started"
        raise ScoringError(f"{where}: {message}; check it with 'ray status', or set score.engine: local") from e


def _said(error: Exception) -> Exception:
    """What an actor raised on purpose, as it raised it; else a sentence on how it was lost."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, StepsiftError):
        return cause
    message = " ".join(str(cause or error).split())[:300]
    return ScoringError(f"an actor of the Ray cluster failed: {message}; what it finished before is kept in the cache")


class _Student:
    """What an actor holds."""

    def __init__(self, student: params.Student, settings: params.Score, device: str, expected: Identity):
        self._failed: Exception | None = None
        try:
            _compare(identify(student, settings), expected)
            self._backend = LocalBackend(student, settings, device)
        except Exception as e:  # from a constructor it would reach nobody as itself
            self._failed = e

    def size(self) -> ModelSize:
        return self._loaded().size

    def score(self, begin: int, requests: list[Request]) -> tuple[int, list[Result]]:
        return begin, in_order(self._loaded(), requests)

    def pid(self) -> int:
        return os.getpid()

    def _loaded(self) -> LocalBackend:
        if self._failed is not None:
            raise self._failed
        return self._backend


def _compare(there: Identity, here: Identity) -> None:
    """Raise ScoringError where a node's scores could differ from what they would be kept as."""
    local, remote = ({"student": i.student, **i.numerics} for i in (here, there))
    different = [f"{k} is {remote.get(k)!r} there and {local[k]!r} here" for k in local if remote.get(k) != local[k]]
    if different:
        raise ScoringError(
            f"a node of the Ray cluster would give other scores: {', '.join(different)}; every node needs the same "
            "student and versions, and score.products named where processors differ"
        )
