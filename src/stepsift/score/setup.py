"""From parameters to everything that a run of scoring needs: plans, a backend, and the cache."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from stepsift import params, student
from stepsift.core import processes
from stepsift.core.errors import StudentError
from stepsift.core.text import count
from stepsift.score.backends.deferred import DeferredBackend
from stepsift.score.backends.local import Backend, LocalBackend
from stepsift.score.backends.processes import ProcessBackend
from stepsift.score.cache.scores import KEPT_BYTES, ScoreCache
from stepsift.score.forward.numerics import batching
from stepsift.score.forward.request import Request
from stepsift.score.identity import Identity, identify
from stepsift.score.plan import Planner
from stepsift.score.progress import Progress, ceiling

log = logging.getLogger(__name__)

WORTH_OPERATIONS = 2e11
"""Of a process's share of a run's first traces, 2 for each parameter and token: some seven seconds of a core, which
make up for the start of a process."""
PACKED_KEPT_BYTES = 2**30
"""Values of tokens that a run with packed batches holds at most while it writes the tables: 64 million tokens."""


@dataclass(frozen=True)
class Scoring:
    """What a run scores with; a context manager that stores what the cache has in flight and lets the student go.

    `identity` says what its values may depend on besides tokens, `by_prompt` whether its batches want all candidates of
    a prompt together, `progress` counts from 0.
    """

    planner: Planner
    backend: Backend
    cache: ScoreCache
    identity: Identity
    by_prompt: bool
    progress: Progress

    def __enter__(self) -> "Scoring":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.cache.__exit__(kind, error, at)
        finally:
            self.backend.close()


def load(student_settings: params.Student, settings: params.Score, cache: Path) -> Scoring:
    """Read the student's configuration and tokenizer, and open the cache below the folder `cache`.

    The weights are loaded with the first trace that the cache lacks; only a cluster is joined at once.
    Both raise StudentError or ScoringError where the student cannot be loaded, or traces cannot be scored with it.
    """
    device = student.pick_device(settings.device)
    backend = _backend(student_settings, settings, device)
    return _scoring(student_settings, settings, backend, cache, batching(settings, device) == "packed")


def load_estimates(student_settings: params.Student, settings: params.Score, scratch: Path) -> Scoring:
    """Load the student to estimate values in windows, each trace by one masked pass on one device (`masked.py`).

    `scratch` is an empty folder for values that nothing else may ever read. Raises as `load` does, and ScoringError for
    a student whose attention cannot be replaced.
    """
    device = student.pick_device(settings.device)
    backend = LocalBackend(student_settings, settings, device, masked=True)
    scoring = _scoring(student_settings, settings, backend, scratch, by_prompt=True)
    scoring.progress.ceiling = ceiling_of_devices(settings, 1)
    return scoring


def _scoring(
    student_settings: params.Student, settings: params.Score, backend: Backend, cache: Path, by_prompt: bool
) -> Scoring:
    own = identify(student_settings, settings)
    source = student.find(student_settings)
    renderer = source.load_renderer()
    config = student.load_config(source.files)
    vocabulary = getattr(config.get_text_config(decoder=True), "vocab_size", None) or backend.size.vocabulary
    return Scoring(
        planner=Planner(renderer, settings, student.context_tokens(config, student_settings), vocabulary),
        backend=backend,
        # Packed batches store values prompt by prompt, and the tables want them in another order.
        cache=ScoreCache(cache, own.student, own.numerics, kept_bytes=PACKED_KEPT_BYTES if by_prompt else KEPT_BYTES),
        identity=own,
        by_prompt=by_prompt,
        progress=Progress(ceiling=ceiling_of_devices(settings, _device_count(student_settings, settings))),
    )


def ceiling_of_devices(settings: params.Score, n_devices: int) -> Callable[[], float] | None:
    """Measures what so many devices reach together; None for a cluster, whose machines this one cannot measure.

    To be called once a trace was computed: the student then has the threads that it computes with.
    """
    if settings.engine == "ray":
        return None
    device = student.pick_device(settings.device)
    return lambda: n_devices * ceiling(device, settings.dtype)


def _device_count(student_settings: params.Student, settings: params.Score) -> int:
    """Devices that score side by side, each with a student; the cores of a CPU are one."""
    if student.pick_device(settings.device) != "cuda" or student_settings.placement != "one":
        return 1
    return min(settings.workers or torch.cuda.device_count(), torch.cuda.device_count())


def _backend(student_settings: params.Student, settings: params.Score, device: str) -> Backend:
    """Who does the work: an engine for many machines, several processes, or this one."""
    if settings.engine == "ray":
        if student_settings.placement != "one":
            raise StudentError(
                f"student.placement is {student_settings.placement}, but score.engine: ray gives each student one "
                "device; set score.engine: local, or student.placement: one"
            )
        from stepsift.score.backends.ray import RayBackend

        return RayBackend(student_settings, settings, device, settings.workers, batching(settings, device))
    alone = device != "cuda" or student_settings.placement != "one"
    given = settings.workers or (1 if alone else torch.cuda.device_count())
    may_divide = settings.workers is None and device == "cpu"

    def start(requests: list[Request]) -> Backend:
        workers = choose_workers(student_settings, settings, requests) if may_divide else given
        if workers == 1:
            return LocalBackend(student_settings, settings, device)
        if device == "cpu":
            ceiling(device, settings.dtype)  # while the processors are free; remembered
        if may_divide:
            log.info("this student keeps one core busy: %s score side by side", count(workers, "process"))
        return ProcessBackend(student_settings, settings, device, workers, batching(settings, device))

    return DeferredBackend(start, device if given == 1 else f"{device}, {given} processes")


def choose_workers(student_settings: params.Student, settings: params.Score, requests: list[Request]) -> int:
    """Processes for a run on a CPU that begins with `requests`: 1 is this one alone.

    More, up to the number of cores, where a student takes one of them (`takes_one_core`), batches hold one trace, so
    that values are the same in any process, and each process has enough to do (`WORTH_OPERATIONS`).
    """
    cores = processes.cores()
    source = student.find(student_settings)
    if cores == 1 or batching(settings, "cpu") != "trace" or not student.takes_one_core(source):
        return 1
    tokens = sum(len(r.prompt) + sum(p.length for p in r.local) + r.full * len(r.response) for r in requests)
    operations = 2 * (student.count_parameters(source.files) or 0) * tokens
    return max(1, min(cores, int(operations / WORTH_OPERATIONS)))
