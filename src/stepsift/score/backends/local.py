"""Who does the forward passes: this process here; other processes and machines in `processes.py` and `ray.py`.

A backend takes requests and gives scores, in whatever order they are done. It never sees a table, a teacher or the
cache, so that where the work is done cannot change what is kept of it.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from stepsift import params, student
from stepsift.core.text import count
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.masked import MaskedEngine
from stepsift.score.forward.numerics import batch_tokens, batching, prepare, threads
from stepsift.score.forward.own import make_engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Refused, Request, Scores
from stepsift.score.identity import of_student

log = logging.getLogger(__name__)

_HALVINGS = 3
"""How often the token budget is halved for a trace that does not fit into memory, before the trace is given up."""

Result = Scores | Refused
Done = list[tuple[int, Result]]
"""Places in a list of requests, and results."""
_PACKED_BATCHES = 32
"""Packed requests are done in groups of about as many batches: so much is lost at most when a run is killed."""


@dataclass(frozen=True)
class ModelSize:
    """What a plan and a figure of speed must know of the model.

    `vocabulary`: ids that may go in; `context`: its limit in tokens; `body`, `head`: weights in products that a token
    goes through, of the layers and of the output embedding.
    """

    vocabulary: int
    context: int
    body: int
    head: int

    def flops(self, request: Request) -> float:
        """Floating-point operations in products that the method asks for: padding and attention do not count."""
        seen, scored = len(request.prompt), 0
        if request.local:
            seen += sum(p.length for p in request.local)
            scored += len(request.response)
        if request.full:
            seen += len(request.response)
            scored += len(request.response)
        return 2.0 * (self.body * seen + self.head * scored)


class Backend(Protocol):
    """Scores requests; `device` is what to call the place where the student runs."""

    device: str

    @property
    def size(self) -> ModelSize:
        """The student's."""
        ...

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done: all that is done, at once."""
        ...

    def close(self) -> None:
        """Give up what the backend holds."""
        ...


class LocalBackend:
    """One student on one device of this machine, in this process; `masked`: windows are estimated (`masked.py`)."""

    def __init__(self, student_settings: params.Student, settings: params.Score, device: str, masked: bool = False):
        files = student.locate(student_settings)
        settings = of_student(settings, student.count_parameters(files))
        if device == "cpu":
            torch.set_num_threads(threads(settings, device))
        model = self.model = student.load_model(files, settings.dtype, device, student_settings.placement)
        prepare(model, settings, device)
        self.device = device
        self.size = model_size(model, student.context_tokens(model.config, student_settings))
        self._packed = masked or batching(settings, device) == "packed"
        budget = batch_tokens(settings, device)
        self._engine: AnyEngine = (
            MaskedEngine(model, budget) if masked else make_engine(model, settings, device, budget)
        )

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done."""
        for group in self._groups(requests):
            yield list(zip(group, attempt(self._engine, [requests[i] for i in group]), strict=True))

    def _groups(self, requests: list[Request]) -> Iterator[list[int]]:
        group: list[int] = []
        tokens = 0
        for i, request in enumerate(requests):
            group.append(i)
            tokens += len(request.response)
            if not self._packed or tokens >= _PACKED_BATCHES * self._engine.batch_tokens:
                yield group
                group, tokens = [], 0
        if group:
            yield group

    def close(self) -> None:
        """Nothing is held but memory."""


def model_size(model: Any, context: int) -> ModelSize:
    """The size of a loaded model, for `context` tokens."""
    head = model.get_output_embeddings().weight
    embeddings = {id(model.get_input_embeddings().weight), id(head)}
    body = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in embeddings)
    return ModelSize(int(model.get_input_embeddings().weight.shape[0]), context, body, head.numel())


AnyEngine = Engine | PackedEngine | MaskedEngine


def attempt(engine: AnyEngine, requests: list[Request]) -> list[Result]:
    """Score requests; those that give no finite values, or do not fit into memory at any budget, are refused.

    Several that do not fit are tried trace by trace, then with half the budget, a quarter and an eighth: the same
    numbers but for rounding, marked as not `usual`.
    """
    budget = engine.batch_tokens
    seen = ""
    try:
        for _ in range(_HALVINGS + 1):
            if seen:
                engine.batch_tokens //= 2
                log.warning("out of memory: trying a trace again with batches of %d tokens", engine.batch_tokens)
            try:
                return [_checked(replace(s, usual=not seen)) for s in score_requests(engine, requests)]
            except (MemoryError, RuntimeError) as e:
                if not is_out_of_memory(e):
                    raise
                seen = str(e).splitlines()[0][:200] if str(e) else "out of memory"
            torch.cuda.empty_cache()  # does nothing where there is no CUDA
            if isinstance(engine, PackedEngine) or len(requests) > 1:
                log.warning("out of memory: trying %s again, one by one", count(len(requests), "trace"))
                one = engine.trace if isinstance(engine, PackedEngine) else engine
                alone = [result for r in requests for result in attempt(one, [r])]
                return [replace(r, usual=False) if isinstance(r, Scores) else r for r in alone]
    finally:
        engine.batch_tokens = budget
    tokens = len(requests[0].prompt) + len(requests[0].response)
    return [Refused("out_of_memory", f"prompt and response have {tokens} tokens; {seen}")]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python could not get memory; on a CPU, torch says so in a plain RuntimeError."""
    message = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "DefaultCPUAllocator" in message
        or "not enough memory" in message
    )


def score_requests(engine: AnyEngine, requests: list[Request]) -> list[Scores]:
    """What an engine gives for requests, in one call where it takes many."""
    if isinstance(engine, PackedEngine | MaskedEngine):
        return engine.score_many(requests)
    return [engine.score(r) for r in requests]


def _checked(scores: Scores) -> Result:
    for name, values in (("local", scores.local), ("full", scores.full)):
        if values is not None and not values.finite():
            return Refused("not_finite", f"the {name} pass gave logits that are not finite")
    return scores
