"""The masked pass against transformers with a mask of four dimensions, and against exact windows where they agree."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.reference_attention import reference_varlen
from helpers.score_cases import MESSAGES, RESPONSE, make_case
from stepsift.core.errors import ScoringError
from stepsift.score.forward.attention import Segments, Varlen, tiles
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.masked import MaskedEngine
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import local_passes


def requests_of(student, window: int | float) -> list[Request]:
    """Two traces of one prompt, and one of another."""
    other = [{"role": "user", "content": "And 7 * 6?"}]
    cases = [
        student.case,
        make_case(student.renderer, MESSAGES, RESPONSE[RESPONSE.index("First") :]),
        make_case(student.renderer, other, RESPONSE),
    ]
    return [Request(c.rendered.prompt_ids, c.rendered.response_ids, c.passes(window), False) for c in cases]


def visible_in(request: Request) -> np.ndarray:
    """Whether the input at a place sees another, [places, places]: prompt and response but its last token."""
    n_prompt = len(request.prompt)
    size = n_prompt + len(request.response) - 1
    seen = np.tril(np.ones((size, size), dtype=bool))
    for p in request.local:
        for token in range(p.scored, p.end):
            # The input before a token predicts it, and is seen at least.
            seen[n_prompt + token - 1, n_prompt : n_prompt + min(p.begin, p.scored - 1)] = False
    return seen


@torch.inference_mode()
def with_a_mask(model, request: Request) -> np.ndarray:
    """Log-probabilities of the response by one pass with a mask, [tokens]."""
    ids = torch.tensor([request.prompt + request.response[:-1]])
    mask = torch.where(torch.from_numpy(visible_in(request)), 0.0, -torch.inf)[None, None].to(model.dtype)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[0, len(request.prompt) - 1 :]
    return logits.double().log_softmax(-1)[range(len(request.response)), request.response].numpy()


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
@pytest.mark.parametrize("kernel", [None, functools.partial(Varlen, kernel=reference_varlen)])
def test_it_is_one_pass_with_a_mask(load_student, family, kernel):
    student = load_student(family)
    for window in (1, 2, 0.25):
        requests = requests_of(student, window)
        expected = [with_a_mask(student.model, r) for r in requests]
        # How rows are batched has nothing to do with what they see.
        for budget in (1, 150, 100_000) if window == 2 else (150,):
            estimates = MaskedEngine(student.model, budget, kernel).score_many(requests)
            for scores, values in zip(estimates, expected, strict=True):
                np.testing.assert_allclose(scores.local.logprob, values, atol=5e-5)
                assert scores.full is None


def test_windows_that_show_everything_give_exact_values_and_others_do_not(load_student):
    student = load_student("llama")
    exact = Engine(student.model, 4_096)
    for window, far in ((100, False), (1, True)):
        requests = requests_of(student, window)
        estimates = MaskedEngine(student.model, 4_096).score_many(requests)
        pairs = zip(estimates, map(exact.score, requests), strict=True)
        assert (max(np.abs(a.local.logprob - b.local.logprob).max() for a, b in pairs) > 1e-3) == far


def test_it_refuses_the_full_pass(load_student):
    student = load_student("llama")
    ids = student.case.rendered.prompt_ids, student.case.rendered.response_ids
    engine = MaskedEngine(student.model, 4_096)
    for request in (Request(*ids, student.case.passes(2), True), Request(*ids, [], False)):
        with pytest.raises(ScoringError, match="windows alone"):
            engine.score_many([request])
    assert engine.score_many([]) == []


def test_a_segment_sees_what_was_packed_right_before_it():
    # Two kept tokens (0, 1), and a row of five (2 to 6) in windows of 2, 3, 4 and of 4, 5, 6.
    segments = Segments(np.array([3, 2]), np.array([1, 2]), np.array([0, 0]), 2, np.array([0, 1]))
    assert segments.key_index().tolist() == [0, 2, 3, 4, 0, 1, 4, 5, 6]
    keys = {tuple(t.queries[i].tolist()): t.keys[i].tolist() for t in tiles(segments, 1_000) for i in range(len(t.own))}
    assert keys[3, 4, 4] == [0, 1, 4, 5, 6]
    assert keys[0, 1, 2][:4] == [0, 2, 3, 4]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.sampled_from([1, 2, 3, 0.25, 0.5]))
def test_every_token_is_in_one_window_in_order(lengths, window):
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    passes = local_passes(bounds, window)
    assert [t for p in passes for t in range(p.scored, p.end)] == list(range(bounds[-1]))
