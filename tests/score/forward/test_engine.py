"""The engine against the float64 reference, for every family of model that behaves in its own way."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoConfig, BertLMHeadModel

from helpers import reference
from helpers.engine_checks import TOLERANCE, WINDOWS, RootedLlama, largest_difference
from helpers.score_cases import RESPONSE, make_case
from stepsift.core.errors import ScoringError
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.head import ModelLogits, SlicedHead
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import Pass

BUDGETS = {1: (4,), 50: WINDOWS, 4_096: WINDOWS}
"""One row a batch and full passes token by token, with windows of one size alone, as it takes long; a few rows and some
chunks; everything at once."""
STUDENTS = [
    ("llama", "plain"),
    ("llama", "llama3"),
    ("qwen2", "plain"),
    ("qwen2", "qwen2"),
    ("qwen3", "plain"),
    ("qwen3", "qwen3"),
    ("gemma2", "metaspace"),
    ("gemma2", "gemma"),
    ("gemma3_text", "metaspace"),
    ("gemma3_text", "gemma"),
    ("cohere", "plain"),
    ("granite", "plain"),
    ("gpt2", "plain"),
    ("openai-gpt", "plain"),
    ("mamba", "plain"),
    ("lfm2", "plain"),
    ("qwen3_next", "qwen3"),
]


@pytest.mark.parametrize(("family", "tokenizer"), STUDENTS)
def test_engine_agrees_with_the_reference(load_student, family, tokenizer):
    student = load_student(family, tokenizer)
    rendered, spans = student.case.rendered, student.case.spans
    prompt, response = rendered.prompt_ids, rendered.response_ids
    assert len(prompt) > 16  # longer than the sliding windows
    expected = {w: reference.local(student.exact, prompt, response, rendered.last_char, spans, w) for w in WINDOWS}
    whole = reference.full(student.exact, prompt, response)
    worst = {}
    for budget, windows in BUDGETS.items():
        engine = Engine(student.model, budget)
        for window in windows:
            scores = engine.score(Request(prompt, response, student.case.passes(window), full=True))
            worst[budget, window] = largest_difference(scores.local, expected[window])
            worst[budget, "full"] = largest_difference(scores.full, whole)
    print(f"{family} {tokenizer}: {len(response)} tokens, largest difference {max(worst.values()):.1e}")
    assert max(worst.values()) < TOLERANCE, worst


def test_prompt_and_response_of_one_token(load_student):
    student = load_student("llama")
    for prompt, response in (([7], student.case.rendered.response_ids), ([7], [9]), ([7, 8, 9], [10])):
        scores = Engine(student.model, 64).score(Request(prompt, response, [Pass(0, 0, len(response))], full=True))
        expected = reference.full(student.exact, prompt, response)
        assert max(largest_difference(v, expected) for v in (scores.local, scores.full)) < TOLERANCE


def test_passes_that_are_not_asked_for_are_not_made(load_student):
    student = load_student("llama")
    ids, engine = (student.case.rendered.prompt_ids, student.case.rendered.response_ids), Engine(student.model, 64)
    assert engine.score(Request(*ids, student.case.passes(4), full=False)).full is None
    assert engine.score(Request(*ids, [], full=True)).local is None


@pytest.mark.parametrize("family", ["gemma3_text", "qwen3_next"])
def test_same_bytes_alone_and_after_other_traces(load_student, family):
    student = load_student(family, "qwen3")
    other = make_case(student.renderer, [{"role": "user", "content": "And 7 * 6?"}], RESPONSE * 2)

    def bytes_of(engine, case) -> list[bytes]:
        ids = case.rendered.prompt_ids, case.rendered.response_ids
        scores = engine.score(Request(*ids, case.passes(4), full=True))
        return [column.tobytes() for values in (scores.local, scores.full) for column in values.columns()]

    alone = bytes_of(Engine(student.model, 64), student.case)
    engine = Engine(student.model, 64)
    bytes_of(engine, other)
    assert bytes_of(engine, student.case) == alone
    assert bytes_of(engine, student.case) == alone


@pytest.mark.parametrize(
    ("family", "shares"),
    [("llama", True), ("gemma2", True), ("gpt2", True), ("mamba", False), ("lfm2", False), ("openai-gpt", False)],
)
def test_prompt_is_shared_where_the_family_can(load_student, family, shares):
    """lfm2 keeps a state and does not say so, openai-gpt takes keys and values and forgets them: it has to be tried."""
    assert Engine(load_student(family).model, 64).shares_prompt is shares


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "granite", "gpt2"])
def test_known_heads_are_sliced(load_student, family):
    assert isinstance(Engine(load_student(family).model, 64).head, SlicedHead)


def test_unknown_change_of_logits_is_found_out(load_student, student_folder):
    case = load_student("llama").case
    prompt, response = case.rendered.prompt_ids, case.rendered.response_ids
    folder = student_folder("llama")
    single, exact = (RootedLlama.from_pretrained(folder, dtype=d).eval() for d in (torch.float32, torch.float64))
    engine = Engine(single, 50)
    assert isinstance(engine.head, ModelLogits)
    scores = engine.score(Request(prompt, response, case.passes(4), full=True))
    expected = reference.local(exact, prompt, response, case.rendered.last_char, case.spans, 4)
    assert largest_difference(scores.local, expected) < TOLERANCE
    assert largest_difference(scores.full, reference.full(exact, prompt, response)) < TOLERANCE


def test_damaged_weights_are_refused(load_student):
    model = copy.deepcopy(load_student("llama").model)
    model.lm_head.weight.data[5, 3] = float("nan")
    with pytest.raises(ScoringError, match="not finite"):
        Engine(model, 64)


def test_model_that_sees_the_future_is_refused():
    config = AutoConfig.for_model(
        "bert", vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32
    )
    with pytest.raises(ScoringError, match="not causal"):
        Engine(BertLMHeadModel(config).eval(), 64)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma2", "gemma3_text"])
def test_bfloat16_stays_near(load_student, family):
    student = load_student(family, "plain", "bfloat16")
    case = student.case
    prompt, response = case.rendered.prompt_ids, case.rendered.response_ids
    local = Engine(student.model, 64).score(Request(prompt, response, case.passes(4), full=False)).local
    expected = reference.local(student.exact, prompt, response, case.rendered.last_char, case.spans, 4)
    distance = np.abs(local.logprob - [t.logprob for t in expected])
    entropy = np.abs(local.entropy - [t.entropy for t in expected])
    same_rank = np.mean(local.rank == [t.rank for t in expected])
    print(
        f"{family} bfloat16: log-prob mean {distance.mean():.4f} max {distance.max():.4f} trace mean "
        f"{abs(local.logprob.mean() - np.mean([t.logprob for t in expected])):.4f}, entropy max {entropy.max():.4f}, "
        f"same rank {same_rank:.0%}"
    )
    assert distance.mean() < 0.2
