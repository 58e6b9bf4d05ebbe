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
from stepsift.scoring.backend import LocalBackend, ModelSize, Result
from stepsift.scoring.values import Request
from stepsift.scoring.workers import SHARD_REQUESTS, shards

_MOST_RESTARTS = 3
"""How often an actor is started anew before its work is given up."""


class RayBackend:
    """`workers` actors on the cluster that RAY_ADDRESS names, or on one that is started on this machine.

    `workers` None: one for each GPU of the cluster, or one. Raises ScoringError where Ray is not installed or an actor
    is lost more often than it may be.
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
            ray.init(
                address=os.environ.get("RAY_ADDRESS"),
                logging_level=logging.ERROR,
                log_to_driver=False,
                **({} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}),
            )
        on_gpu = device != "cpu"
        n = workers or max(1, int(ray.cluster_resources().get("GPU", 0)) if on_gpu else 1)
        actor = ray.remote(
            num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=_MOST_RESTARTS, max_task_retries=_MOST_RESTARTS
        )(_Student)
        here = student.model_copy(update={"path": str(Path(student.path).resolve())})
        self._actors = [actor.remote(here, settings, device) for _ in range(n)]
        self._shard = SHARD_REQUESTS[batching]
        self.device = f"{device}, {n} Ray actors"
        self.size: ModelSize = self._get(self._actors[0].size.remote())

    def score(self, requests: list[Request]) -> Iterator[tuple[int, Result]]:
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
            yield from enumerate(results, start=begin)

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
        results = dict(self._backend.score(requests))
        return begin, [results[i] for i in range(len(requests))]

    def pid(self) -> int:
        return os.getpid()
