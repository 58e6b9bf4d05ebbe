"""All questions of the tasks asked and graded, by lm-evaluation-harness or by the verifiers of ingest.

Importing this module takes seconds; `run.py` does so when there is something to evaluate.
"""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import lm_eval.api.task
import numpy as np
import torch
from lm_eval.evaluator import evaluate

from stepsift import params
from stepsift.core.errors import EvaluationError, StepsiftError
from stepsift.core.quiet import silenced
from stepsift.core.text import named_error_line
from stepsift.evaluate.asking import AnsweringEngine
from stepsift.evaluate.grade import judge
from stepsift.tasks import Verified, verified
from stepsift.verify import Verifier

log = logging.getLogger(__name__)

Answer = dict[str, Any]
"""One answer to a question: the columns of tables.ANSWERS but `model`."""


def answer_questions(lm: AnsweringEngine, tasks: dict[str, Any], settings: params.Evaluate) -> list[Answer]:
    """Have all questions of the tasks asked and graded, as often as `samples` says where an answer is generated.

    A local task that names a verifier is graded by it, every other one by its first metric and first filter. Raises
    EvaluationError if that metric is no share of right answers, or the harness refuses the task.
    """
    random.seed(settings.seed)
    np.random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    for task in tasks.values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=settings.seed)
    answers: list[Answer] = []
    with Verifier(settings.verify_timeout_s) as verifier:
        for sample in range(1, settings.samples + 1):
            of_sample = {n: t for n, t in tasks.items() if sample == 1 or t.OUTPUT_TYPE == "generate_until"}
            if of_sample:
                lm.sample = sample
                answers += _ask(lm, of_sample, settings, verifier)
    if not answers:
        raise EvaluationError(f"{', '.join(tasks)} asks no question; look at the task's data and its process_docs")
    return answers


def _ask(lm: AnsweringEngine, tasks: dict[str, Any], settings: params.Evaluate, verifier: Verifier) -> list[Answer]:
    lm.ended.clear()
    try:
        with silenced("lm_eval"), _no_bars():
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
        raise EvaluationError(f"the harness cannot run {', '.join(tasks)}: {named_error_line(e)}") from e
    answers = []
    for name, task in tasks.items():
        of_task = _Task(name, task, verified(task.dump_config()))
        answers += [_graded(s, of_task, lm, verifier) for s in _first_filter(results["samples"][name])]
    return answers


def _first_filter(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [sample for sample in samples if sample["filter"] == samples[0]["filter"]]


@dataclass(frozen=True)
class _Task:
    """A task of the harness, and how its answers are verified where it names a verifier."""

    name: str
    task: Any
    verified: Verified | None


def _graded(sample: dict[str, Any], of: _Task, lm: AnsweringEngine, verifier: Verifier) -> Answer:
    responses = [response[0] for response in sample["resps"]]
    if isinstance(responses[0], str):
        generation = responses[0]
    else:
        best = max(range(len(responses)), key=lambda i: responses[i][0])
        generation = sample["arguments"][best][1]
    if of.verified is None:
        verdict, correct = None, _share(sample, of.name, next(iter(of.task.aggregation()), "none"))
    else:
        where = f"task '{of.name}', question {sample['doc_id'] + 1}"
        verdict = judge(verifier, where, of.verified, sample["doc"], generation)
        correct = float(verdict == "correct")
    return {
        "task": of.name,
        "question": sample["doc_id"],
        "sample": lm.sample,
        "prompt_hash": sample["prompt_hash"],
        "generation": generation,
        "ended": lm.ended.get((of.task.config.task, sample["doc_id"])),
        "verdict": verdict,
        "correct": correct,
    }


def _share(sample: dict[str, Any], task: str, metric: str) -> float:
    value = sample.get(metric)
    if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise EvaluationError(
            f"the first metric of task '{task}' is '{metric}', which gives {value!r} for a question and no share of "
            "right answers; put one that does (exact_match, acc) first in the task's metric_list"
        )
    return float(value)


@contextmanager
def _no_bars() -> Iterator[None]:
    """The harness draws a bar of its own while it builds requests, and has no switch for it."""
    original = lm_eval.api.task.tqdm
    lm_eval.api.task.tqdm = partial(original, disable=True)
    try:
        yield
    finally:
        lm_eval.api.task.tqdm = original
