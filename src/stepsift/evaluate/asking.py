"""What every engine does alike: questions become ids by `render()`, so evaluation sees what training saw."""

import json
import logging
from abc import ABC, abstractmethod
from typing import Any, Protocol

from lm_eval.models.utils import postprocess_generated_text

from stepsift import params
from stepsift.core.errors import EvaluationError
from stepsift.core.pace import ProgressBar
from stepsift.core.text import count
from stepsift.evaluate.sampling import How, how
from stepsift.render import Messages, Renderer

log = logging.getLogger(__name__)

AnswerText = tuple[str, bool]
"""Text of an answer, up to where it stops, and whether the student stopped it itself."""


class Answered(ProgressBar):
    """How many questions are answered."""

    def __init__(self, total: int):
        super().__init__(total)
        self.n = 0

    def add(self, n: int) -> None:
        """So many more are."""
        self.n += n
        self.update(self.n, f"answering: {self.n} of {count(self.total, 'question')}")


class AnsweringEngine(Protocol):
    """A student behind the harness's interface, as `answer_questions` uses it."""

    sample: int
    ended: dict[tuple[str, int], bool]


class Asking(ABC):
    """Mixed into one of the harness's own classes, of which the scoring of given continuations is used.

    Generation is not, because there a prompt that leaves too little room is cut at its start. An engine has
    `_answer_all`.
    """

    renderer: Renderer
    context_tokens: int
    settings: params.Evaluate
    tokenizer: Any
    sample: int
    """Number of the sample that is drawn, from 1."""
    ended: dict[tuple[str, int], bool]
    """(Task, question) -> whether the student ended all it said to it itself, by end token or stop string."""

    def _prepare(self, renderer: Renderer, context_tokens: int, settings: params.Evaluate) -> None:
        self.renderer, self.context_tokens, self.settings = renderer, context_tokens, settings
        self.sample, self.ended = 1, {}

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Answers to (question, generation arguments) requests, in their order.

        An answer that would leave the student's context is cut there; where the prompt fills it, the answer is empty.
        """
        answers = [""] * len(requests)
        jobs: dict[str, list[tuple[list[int], int]]] = {}
        n_no_room = 0
        for i, request in enumerate(requests):
            question, arguments = request.args
            ids = self.renderer.prompt(user(question))
            self.ended.setdefault((request.task_name, request.doc_id), True)
            if len(ids) < self.context_tokens:
                jobs.setdefault(json.dumps(arguments, sort_keys=True), []).append((ids, i))
            else:
                n_no_room += 1
                self.ended[request.task_name, request.doc_id] = False
        if n_no_room:
            log.warning(
                "%s longer than the student's context of %d tokens: counted as wrong",
                count(n_no_room, "question"),
                self.context_tokens,
            )
        with Answered(len(requests)) as answered:
            for arguments, rows in jobs.items():
                keys = [self._key(requests[i]) for _, i in rows]
                asked = how(json.loads(arguments), self.settings)
                texts = self._answer_all([ids for ids, _ in rows], keys, asked, answered)
                for (_, i), (text, ended) in zip(rows, texts, strict=True):
                    answers[i] = text
                    self.ended[requests[i].task_name, requests[i].doc_id] &= ended
        return answers

    def _key(self, request: Any) -> str:
        """What a draw depends on, besides the position in the answer."""
        return f"{self.settings.seed} {self.sample} {request.idx} {request.doc_id} {request.task_name}"

    @abstractmethod
    def _answer_all(
        self, prompts: list[list[int]], keys: list[str], how: How, answered: "Answered"
    ) -> list[AnswerText]:
        """The answer to each prompt, given as ids; a draw depends on its key. `answered` is told of each."""

    def _ends(self, until: list[str]) -> list[int]:
        """End token, end-of-sequence token, and stop strings that are a token of their own."""
        added = self.tokenizer.get_added_vocab()
        own = {self.renderer.end_id, self.tokenizer.eos_token_id} - {None}
        return sorted(own | {added[stop] for stop in until if stop in added})

    def _text(self, ids: list[int], until: list[str], ends: list[int]) -> AnswerText:
        end = next((i for i, token in enumerate(ids) if token in ends), None)
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        stopped = end is not None or any(stop and stop in text for stop in until)
        return postprocess_generated_text(text, until, think_end_token=None), stopped

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        # A rendered prompt ends where the response begins: the blank between question and answer has no place there.
        rendered = self.renderer.render(user(context), continuation.removeprefix(" "))
        n_tokens = len(rendered.prompt_ids) + len(rendered.response_ids)
        if n_tokens > self.context_tokens:
            raise EvaluationError(
                f"a question with its answer has {n_tokens} tokens, the student's context {self.context_tokens}; the "
                "task needs a student with a longer context, or fewer examples in its prompts"
            )
        return rendered.prompt_ids, rendered.response_ids


def user(question: str) -> Messages:
    """A question as what the user says."""
    return [{"role": "user", "content": question}]
