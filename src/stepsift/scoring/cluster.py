"""Scoring on a Ray cluster: one student an actor, work by shard; a lost actor is started anew and its shard redone.

Both are Ray's own doing. The project's folder and the student must lie under the same path on every node.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepsift import params
from stepsift.errors import ScoringError
from stepsift.scoring.backend import Done, LocalBackend, ModelSize, Result
from stepsift.scoring.values import Request
from stepsift.scoring.workers import SHARD_REQUESTS, in_order, shards

_MOST_RETRIES = 3
"""How often a shard is done again whose actor was lost."""


class RayBackend:
    """`workers` actors on the cluster that RAY_ADDRESS names, or on one that is started on this machine.

    `workers` None: one for each GPU of the cluster, or one. The device is what this machine would use: start it where
    there is one like those of the nodes. Raises ScoringError where Ray is not installed, the cluster cannot be joined
    or has no room, or a shard is lost again and again.
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
        on_gpu = device != "cpu"
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
        self._actors = [actor.remote(here, settings, device) for _ in range(n)]
        self._shard = SHARD_REQUESTS[batching]
        self.device = f"{device}, {n} Ray actors"
        self.size: ModelSize = self._get(self._actors[0].size.remote())

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done."""
        from ray.util import ActorPool

        work = [(s.start, [requests[i] for i in s]) for s in shards(len(requests), self._shard)]
        pool = ActorPool(self._actors)
        for shard in work:
            pool.submit(lambda actor, value: actor.score.remote(*value), shard)
        while pool.has_next():
            try:
                begin, results = pool.get_next_unordered()
            except self._ray.exceptions.RayError as e:
                raise _lost(e) from e
            yield list(enumerate(results, start=begin))

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
            raise _lost(e) from e


def _join(ray: Any) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one; raises ScoringError where nobody answers."""
    address = os.environ.get("RAY_ADDRESS")
    options = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as e:
        said = " ".join(str(e).split())[:300]
        raise ScoringError(f"the Ray cluster at RAY_ADDRESS '{address}' cannot be joined: {said}") from e


def _lost(error: Exception) -> ScoringError:
    cause = getattr(error, "cause", None)
    said = " ".join(str(cause or error).split())[:300]
    return ScoringError(f"an actor of the Ray cluster failed: {said}; what it finished before is kept in the cache")


class _Student:
    """What an actor holds."""

    def __init__(self, student: params.Student, settings: params.Score, device: str):
        self._backend = LocalBackend(student, settings, device)

    def size(self) -> ModelSize:
        return self._backend.size

    def score(self, begin: int, requests: list[Request]) -> tuple[int, list[Result]]:
        return begin, in_order(self._backend, requests)

    def pid(self) -> int:
        return os.getpid()
