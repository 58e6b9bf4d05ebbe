"""`stepsift check --student`: two traces scored by the engine and once more the obvious way, on the user's own model.

The obvious way is one forward pass per step, all logits, and log-softmax over the whole vocabulary. It shares nothing
with the engine but the definition: it finds each step's window anew, token by token, and never caches or batches.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from stepsift import params, segment, student
from stepsift.commands.estimate import plan_sample
from stepsift.core.errors import ScoringError
from stepsift.core.text import count
from stepsift.ingest.run import SampleTrace
from stepsift.score.backends.local import LocalBackend
from stepsift.score.backends.processes import in_order
from stepsift.score.forward.request import Refused, Scores
from stepsift.score.plan import Planned, Planner

COMPARED_TRACES = 2
TOLERANCE_NATS = {"float32": 1e-4, "bfloat16": 1.0, "float16": 0.2}
"""Largest difference per token between engine and naive forward passes that is taken; bfloat16 rounds
every layer's result to three digits (float16 to four), and differently for each shape of a batch."""
_DIGITS = {"bfloat16": "three", "float16": "four"}


def compare_engine(settings: params.Params, sample: list[SampleTrace]) -> list[str]:
    """Score two traces with the engine and once more naively, in both passes; lines to read.

    Raises ScoringError where they differ by more than TOLERANCE_NATS per token, or no sampled trace can be scored.
    """
    source = student.find(settings.student)
    backend = LocalBackend(settings.student, settings.score, student.pick_device(settings.score.device))
    context = backend.size.context
    both = settings.score.model_copy(update={"passes": ("local", "full")})
    planner = Planner(source.load_renderer(), both, context, backend.size.vocabulary)
    lines: list[str] = []
    why = ""
    windowed = 0
    # The shortest traces of the sample: the naive way takes one forward pass per step. Those first whose windows leave
    # steps out, since in the others both passes are nearly the same.
    shortest = sorted(sample, key=lambda t: (not exceeds_window(t.response, settings), len(t.response)))
    for trace, planned in plan_sample(planner, shortest, settings.segment):
        if isinstance(planned, Refused):
            why = why or planned.detail
            continue
        if not planned.full:
            why = why or f"prompt and response exceed the student's context of {context} tokens"
            continue
        [scores] = in_order(backend, [planned.request()])
        if isinstance(scores, Refused):
            why = why or scores.detail
            continue
        lines.append(_compare(trace.trace_id, planned, scores, backend.model, settings.score))
        windowed += exceeds_window(trace.response, settings)
        if len(lines) == COMPARED_TRACES:
            break
    if not lines:
        raise ScoringError(f"none of {count(len(sample), 'sampled trace')} can be compared with this student: {why}")
    if not windowed:
        lines.append(
            f"none of {count(len(sample), 'sampled trace')} that fit has more steps than its windows hold "
            f"(score.window {settings.score.window}), so no window that leaves steps out was compared"
        )
    return lines


def exceeds_window(response: str, settings: params.Params) -> bool:
    """Whether the window of a trace's last step leaves an earlier step out."""
    before = len(segment.step_ends(response, settings.segment)) - 1
    window = settings.score.window
    return before > (window if window >= 1 else max(1, math.ceil(Fraction(str(window)) * before)))


def _compare(trace_id: str, planned: Planned, scores: Scores, model: Any, settings: params.Score) -> str:
    """A line on how far the engine's scores of one trace lie from the naive ones; raises ScoringError if too far."""
    local, full = scores.local, scores.full
    assert local is not None and full is not None
    prompt, response = planned.rendered.prompt_ids, planned.rendered.response_ids
    n_steps = len(planned.bounds) - 1
    step = np.repeat(np.arange(n_steps), np.diff(planned.bounds))
    windowed = local_logprobs(model, prompt, response, step.tolist(), settings.window)
    off = {
        "window": local.logprob - windowed,
        "whole context": full.logprob - full_logprobs(model, prompt, response),
    }
    tolerance = TOLERANCE_NATS[settings.dtype]
    for name, of_tokens in off.items():
        worst = np.abs(of_tokens).max()
        if not worst <= tolerance:
            raise ScoringError(
                f"trace {trace_id}: engine and naive scoring differ by {worst:.2g} nats per token ({name}), "
                f"{tolerance:g} is allowed in {settings.dtype}; do not trust scores of this student, and "
                "please report its architecture"
            )
    return (
        f"trace {trace_id}: {count(len(response), 'token')} in {count(n_steps, 'step')}; engine and naive scoring "
        f"differ by {differences(off['window'], off['whole context'], step, settings.dtype)}"
    )


def differences(window: np.ndarray, whole: np.ndarray, step: np.ndarray, dtype: str) -> str:
    """How far two ways of scoring a trace lie apart, in both passes, and below float32 why they do.

    `window` and `whole` are differences of log-probability, nats, shape [tokens]; `step` is each token's step.
    """
    worst = [np.abs(of_tokens).max() for of_tokens in (window, whole)]
    if dtype == "float32":
        return f"at most {worst[0]:.1e} (window) and {worst[1]:.1e} (whole context) nats per token"
    n_tokens = np.bincount(step)
    means = [np.bincount(step, of_tokens)[n_tokens > 0] / n_tokens[n_tokens > 0] for of_tokens in (window, whole)]
    typical = [np.abs(of_steps).mean() for of_steps in means]
    return (
        f"up to {worst[0]:.2g} (window) and {worst[1]:.2g} (whole context) nats per token, {typical[0]:.2g} and "
        f"{typical[1]:.2g} on average per mean of a step, of which scores are made: {dtype} rounds every layer's "
        f"result to {_DIGITS[dtype]} digits, differently for each shape of a batch; up to {TOLERANCE_NATS[dtype]:g} "
        "per token is taken for rounding"
    )


@torch.inference_mode()
def local_logprobs(
    model: Any, prompt: list[int], response: list[int], step_of_token: list[int], window: int | float
) -> np.ndarray:
    """log p of each response token in its window, nats, shape [tokens]; NaN never, one forward pass per step.

    `step_of_token` has the step, from 0, of each token.
    """
    out = np.full(len(response), np.nan)
    for step in range(max(step_of_token) + 1):
        mine = [t for t, s in enumerate(step_of_token) if s == step]
        if not mine:
            continue
        seen = window if window >= 1 else max(1, math.ceil(Fraction(str(window)) * step))
        context = [response[t] for t, s in enumerate(step_of_token) if step - seen <= s < step]
        out[mine] = _logprobs(model, prompt + context, [response[t] for t in mine])
    return out


@torch.inference_mode()
def full_logprobs(model: Any, prompt: list[int], response: list[int]) -> np.ndarray:
    """log p of each response token after the whole prompt and response so far, nats, shape [tokens]."""
    return _logprobs(model, prompt, response)


def _logprobs(model: Any, context: list[int], targets: list[int]) -> np.ndarray:
    ids = torch.tensor([context + targets], device=next(model.parameters()).device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1].double()
    picked = torch.log_softmax(logits, dim=-1).gather(1, ids[0, len(context) :, None])
    return picked[:, 0].cpu().numpy()
