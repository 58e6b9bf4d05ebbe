"""The naive computation that `stepsift check --student` compares the engine with."""

import numpy as np
import pytest

from helpers import reference
from stepsift.commands import selfcheck as naive
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.request import Request


@pytest.mark.parametrize(("family", "tokenizer"), [("llama", "llama3"), ("gemma3_text", "gemma"), ("mamba", "plain")])
def test_naive_agrees_with_engine_and_reference(load_student, family, tokenizer):
    student = load_student(family, tokenizer)
    case = student.case
    ids = case.rendered.prompt_ids, case.rendered.response_ids
    owners = reference.steps_of_tokens(case.rendered.last_char, case.spans)
    assert len(set(owners)) < len(case.spans)  # there is a step without tokens
    engine = Engine(student.model, 64)
    for window in (1, 4, 0.25):
        seen = naive.local_logprobs(student.model, *ids, owners, window)
        expected = reference.local(student.exact, *ids, case.rendered.last_char, case.spans, window)
        np.testing.assert_allclose(seen, [t.logprob for t in expected], atol=1e-4)
        np.testing.assert_allclose(
            seen, engine.score(Request(*ids, case.passes(window), False)).local.logprob, atol=1e-4
        )
    whole = naive.full_logprobs(student.model, *ids)
    np.testing.assert_allclose(whole, [t.logprob for t in reference.full(student.exact, *ids)], atol=1e-4)
