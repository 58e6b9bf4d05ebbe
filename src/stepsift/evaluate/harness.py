"""A student as lm-evaluation-harness sees it: prompts become ids by `render()`, so evaluation sees what training saw.

Importing this module takes seconds; `run.py` does so when there is something to evaluate.
"""

import json
import logging
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import lm_eval.api.task
import numpy as np
import torch
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from tqdm import tqdm
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from stepsift import params
from stepsift.errors import EvaluationError, StepsiftError
from stepsift.quiet import quiet
from stepsift.render import Messages, Renderer

log = logging.getLogger(__name__)

FIRST_TOKENS = 128
"""Tokens of every answer before the first look at which of them go on."""

Answer = dict[str, Any]
"""One question answered: task, question, prompt_hash, generation, ended, correct (as in tables.ANSWERS)."""


class StudentLM(HFLM):
    """A loaded student behind the harness's interface; a question's text is what the user says in the prompt.

    Of the harness's own class the scoring of given continuations is used. Generation is written here, because there a
    prompt that leaves too little room is cut at its start, and a row is padded on until the last one has stopped.
    """

    def __init__(self, model: Any, renderer: Renderer, context_tokens: int, settings: params.Evaluate):
        with quiet("lm_eval"):
            super().__init__(
                pretrained=model,
                tokenizer=renderer.tokenizer,
                backend="causal",
                batch_size=settings.batch_size,
                max_length=context_tokens,
            )
        # What a publisher recommends for sampling (Qwen: a repetition penalty) must not slip into a greedy answer.
        model.generation_config = GenerationConfig()
        self.renderer = renderer
        self.context_tokens = context_tokens
        self.settings = settings
        self.ended: dict[str, bool] = {}
        """Question -> whether the student ended every answer to it itself, by end token or stop string."""

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Answers to (question, generation arguments) requests, in their order.

        An answer that would leave the student's context is cut there; where the prompt fills it, the answer is empty.
        """
        answers = [""] * len(requests)
        jobs: dict[str, list[tuple[list[int], int]]] = {}
        n_no_room = 0
        for i, request in enumerate(requests):
            question, arguments = request.args
            ids = self.renderer.prompt(_user(question))
            self.ended.setdefault(question, True)
            if len(ids) < self.context_tokens:
                jobs.setdefault(json.dumps(arguments, sort_keys=True), []).append((ids, i))
            else:
                n_no_room += 1
                self.ended[question] = False
        if n_no_room:
            log.warning("%d questions fill the student's context (%d tokens): wrong", n_no_room, self.context_tokens)
        with tqdm(total=len(requests), desc="answering", disable=not sys.stderr.isatty()) as bar:
            for key, rows in jobs.items():
                answered = self._answer_all([ids for ids, _ in rows], json.loads(key), bar)
                for (_, i), (text, ended) in zip(rows, answered, strict=True):
                    answers[i] = text
                    self.ended[requests[i].args[0]] &= ended
        return answers

    def _answer_all(self, prompts: list[list[int]], arguments: dict[str, Any], bar: tqdm) -> list[tuple[str, bool]]:
        """Text of each answer, up to where it stops, and whether the student stopped it itself.

        A batch is as slow as its longest answer. So it goes on for 128 tokens, then until answers have doubled, and so
        on; the few that are not at their end then form new batches, at the price of reading what they said once more.
        """
        arguments = normalize_gen_kwargs(arguments, self.settings.max_new_tokens)
        until, most = arguments.pop("until"), arguments.pop("max_gen_toks")
        ends = self._ends(until)
        limits = [min(most, self.context_tokens - len(ids)) for ids in prompts]
        said: list[list[int]] = [[] for _ in prompts]
        answers = [("", False)] * len(prompts)
        going, so_far = list(range(len(prompts))), FIRST_TOKENS
        while going:
            # Rows of like length need little padding.
            going.sort(key=lambda i: -len(prompts[i]) - len(said[i]))
            for start in range(0, len(going), self.settings.batch_size):
                batch = going[start : start + self.settings.batch_size]
                rooms = [min(limits[i], so_far) - len(said[i]) for i in batch]
                new = self._generate([prompts[i] + said[i] for i in batch], rooms, until, ends, arguments)
                for i, tokens in zip(batch, new, strict=True):
                    said[i] += tokens
                    answers[i] = self._text(said[i], until, ends)
            still = [i for i in going if not answers[i][1] and len(said[i]) < limits[i]]
            bar.update(len(going) - len(still))
            going, so_far = still, 2 * so_far
        return answers

    @torch.inference_mode()
    def _generate(
        self, rows: list[list[int]], rooms: list[int], until: list[str], ends: list[int], arguments: dict[str, Any]
    ) -> list[list[int]]:
        """What follows each row, at most its room of tokens; behind an end token or stop string anything may stand."""
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        if not arguments.get("do_sample"):
            arguments = {k: v for k, v in arguments.items() if k != "temperature"}
        out = self.model.generate(
            input_ids=torch.tensor([[pad] * (width - len(ids)) + ids for ids in rows], device=self.device),
            attention_mask=torch.tensor(
                [[0] * (width - len(ids)) + [1] * len(ids) for ids in rows], device=self.device
            ),
            generation_config=GenerationConfig(
                max_new_tokens=max(rooms), eos_token_id=ends, pad_token_id=pad, **arguments
            ),
            stopping_criteria=StoppingCriteriaList([_Stop(self.tokenizer, until, ends, width, rooms)]),
        )
        return [row[:room] for row, room in zip(out[:, width:].tolist(), rooms, strict=True)]

    def _ends(self, until: list[str]) -> list[int]:
        """End token, end-of-sequence token, and stop strings that are a token of their own."""
        added = self.tokenizer.get_added_vocab()
        own = {self.renderer.end_id, self.tokenizer.eos_token_id} - {None}
        return sorted(own | {added[stop] for stop in until if stop in added})

    def _text(self, ids: list[int], until: list[str], ends: list[int]) -> tuple[str, bool]:
        end = next((i for i, token in enumerate(ids) if token in ends), None)
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        stopped = end is not None or any(stop and stop in text for stop in until)
        return postprocess_generated_text(text, until, think_end_token=None), stopped

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each (question, continuation), and whether the continuation is the greedy one."""
        return super().loglikelihood(requests, disable_tqdm=not sys.stderr.isatty())

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        # A rendered prompt ends where the response begins: the blank between question and answer has no place there.
        rendered = self.renderer.render(_user(context), continuation.removeprefix(" "))
        n_tokens = len(rendered.prompt_ids) + len(rendered.response_ids)
        if n_tokens > self.context_tokens:
            raise EvaluationError(
                f"a question with its answer has {n_tokens} tokens, the student's context {self.context_tokens}; the "
                "task needs a student with a longer context, or fewer examples in its prompts"
            )
        return rendered.prompt_ids, rendered.response_ids


class _Stop(StoppingCriteria):
    """Stops each row by itself: at a stop string, or when its room is full."""

    def __init__(self, tokenizer: Any, until: list[str], ends: list[int], width: int, rooms: list[int]):
        end_texts = {tokenizer.decode([end]) for end in ends}
        self.tokenizer, self.width, self.rooms = tokenizer, width, torch.tensor(rooms)
        self.until = [stop for stop in until if stop and stop not in end_texts]
        # A token may be as little as one byte of a stop string.
        self.look_back = max((len(stop.encode()) for stop in self.until), default=0)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        done = (input_ids.shape[1] - self.width >= self.rooms).to(input_ids.device)
        if self.until:
            texts = self.tokenizer.batch_decode(input_ids[:, self.width :][:, -self.look_back :])
            done = done | torch.tensor([any(s in text for s in self.until) for text in texts], device=done.device)
        return done


def answer_questions(lm: StudentLM, tasks: dict[str, Any], settings: params.Evaluate) -> list[Answer]:
    """Have the harness ask and grade all questions of the tasks; by the first metric and the first filter of each.

    Raises EvaluationError if that metric is no share of right answers, or the harness refuses the task.
    """
    random.seed(settings.seed)
    np.random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    for task in tasks.values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=settings.seed)
    lm.ended.clear()
    try:
        with quiet("lm_eval"), _no_bars():
            results = evaluate(
                lm=lm,
                task_dict={"tasks": tasks, "groups": {}, "group_map": {}},
                limit=settings.limit,
                bootstrap_iters=0,
            )
    except torch.OutOfMemoryError as e:
        raise EvaluationError(f"out of memory with evaluate.batch_size {settings.batch_size}; lower it") from e
    except StepsiftError:
        raise
    except Exception as e:  # a task is YAML and code of anybody: the harness meets its mistakes as it runs it
        raise EvaluationError(
            f"the harness cannot run {', '.join(tasks)}: {type(e).__name__}: {' '.join(str(e).split())}"
        ) from e
    answers = [
        _graded(sample, name, lm, next(iter(task.aggregation()), "none"))
        for name, task in tasks.items()
        for sample in _first_filter(results["samples"][name])
    ]
    if not answers:
        raise EvaluationError(f"{', '.join(tasks)} asks no question; look at the task's data and its process_docs")
    return answers


def _first_filter(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [sample for sample in samples if sample["filter"] == samples[0]["filter"]]


def _graded(sample: dict[str, Any], task: str, lm: StudentLM, metric: str) -> Answer:
    value = sample.get(metric)
    if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise EvaluationError(
            f"the first metric of task '{task}' is '{metric}', which gives {value!r} for a question and no share of "
            "right answers; put one that does (exact_match, acc) first in the task's metric_list"
        )
    responses = [response[0] for response in sample["resps"]]
    if isinstance(responses[0], str):
        generation = responses[0]
    else:
        best = max(range(len(responses)), key=lambda i: responses[i][0])
        generation = sample["arguments"][best][1]
    return {
        "task": task,
        "question": sample["doc_id"],
        "prompt_hash": sample["prompt_hash"],
        "generation": generation,
        "ended": lm.ended.get(sample["arguments"][0][0]),
        "correct": float(value),
    }


def _user(question: str) -> Messages:
    return [{"role": "user", "content": question}]


@contextmanager
def _no_bars() -> Iterator[None]:
    """The harness draws a bar of its own while it builds requests, and has no switch for it."""
    original = lm_eval.api.task.tqdm
    lm_eval.api.task.tqdm = partial(original, disable=True)
    try:
        yield
    finally:
        lm_eval.api.task.tqdm = original
