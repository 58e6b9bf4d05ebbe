"""What has to be computed for a trace: its ids, the first token of each step, and its passes; or why it cannot be."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.core.text import error_line
from stepsift.render import Messages, Rendered, Renderer
from stepsift.score.forward.request import Refused, Request
from stepsift.score.forward.windows import Pass, local_passes, token_bounds


@dataclass(frozen=True)
class Planned:
    """A trace, ready for the engine: its ids, the first token of each step, and its passes."""

    rendered: Rendered
    bounds: np.ndarray
    local: list[Pass]
    full: bool

    def request(self, local: bool = True, full: bool = True) -> Request:
        """The engine's work on this trace, or the part of it that is named."""
        ids = self.rendered.prompt_ids, self.rendered.response_ids
        return Request(*ids, self.local if local else [], self.full and full)


def sample_prompts(prompt_ids: Iterable[str], n: int | None, seed: int) -> set[str]:
    """A seeded sample of prompts that does not depend on their order; a smaller sample is part of a larger one."""
    ids = set(prompt_ids)
    return ids if n is None or n >= len(ids) else set(in_seeded_order(ids, seed)[:n])


def in_seeded_order(prompt_ids: Iterable[str], seed: int) -> list[str]:
    """The prompts, each at a place that depends on the seed and its own id alone."""
    return sorted(prompt_ids, key=lambda i: hashlib.sha256(f"{seed}\0{i}".encode()).digest())


def plan_trace(rendered: Rendered, ends: np.ndarray, settings: params.Score, context: int) -> Planned | Refused:
    """Passes of one trace; Refused if prompt plus one window does not fit the student, or a step is too long.

    `ends` [steps] are the steps' end offsets in characters; `context` is the student's limit in tokens.
    """
    if not rendered.response_ids:
        return Refused("no_tokens", "the response gives no token under this student")
    bounds = token_bounds(rendered.last_char, ends)
    longest = int(np.diff(bounds).max())
    if longest > settings.max_step_tokens:
        return Refused(
            "step_too_long", f"a step has {longest} tokens, score.max_step_tokens is {settings.max_step_tokens}"
        )
    passes = local_passes(bounds, settings.window)
    widest = max(p.length for p in passes)
    prompt_tokens = len(rendered.prompt_ids)
    if prompt_tokens + widest > context:
        return Refused(
            "window_too_long", f"prompt {prompt_tokens} + window {widest} tokens, the student's context is {context}"
        )
    tokens = prompt_tokens + len(rendered.response_ids)
    fits = tokens <= context
    if not fits and "local" not in settings.passes:
        return Refused(
            "context_too_long",
            f"prompt and response have {tokens} tokens, the student's context is {context}; the local pass is off",
        )
    return Planned(rendered, bounds, passes if "local" in settings.passes else [], "full" in settings.passes and fits)


class Planner:
    """Plans traces of any prompt for one student.

    `context` is the student's limit in tokens, `vocabulary` how many token ids its model knows.
    """

    def __init__(self, renderer: Renderer, settings: params.Score, context: int, vocabulary: int):
        self.renderer, self.settings, self.context, self.vocabulary = renderer, settings, context, vocabulary

    def plan(self, messages: Messages, response: str, ends: np.ndarray) -> Planned | Refused:
        """The plan of one trace, or why there is none; `ends` [steps] as for `plan_trace`."""
        try:
            return self._of(self.renderer.render(messages, response), ends)
        except StudentError as e:
            return self._of(e, ends)

    def plan_many(self, traces: Sequence[tuple[Messages, str, np.ndarray]]) -> list[Planned | Refused]:
        """What `plan` gives for each trace (messages, response, ends); the responses are encoded on all cores."""
        rendered = self.renderer.render_many([(messages, response) for messages, response, _ in traces])
        return [self._of(r, ends) for r, (_, _, ends) in zip(rendered, traces, strict=True)]

    def _of(self, rendered: Rendered | StudentError, ends: np.ndarray) -> Planned | Refused:
        if isinstance(rendered, StudentError):
            return Refused("not_renderable", error_line(rendered))
        highest = max(rendered.prompt_ids + rendered.response_ids)
        if highest >= self.vocabulary:
            return Refused(
                "token_unknown_to_model",
                f"the tokenizer gives token {highest}, the model has tokens 0 to {self.vocabulary - 1}",
            )
        return plan_trace(rendered, ends, self.settings, self.context)
