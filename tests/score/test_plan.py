"""What is planned for a trace, and which prompts a sample holds."""

import itertools

import numpy as np
import pytest

from helpers.score_cases import MESSAGES
from stepsift import params
from stepsift.render import Rendered
from stepsift.score.forward.request import Refused
from stepsift.score.forward.windows import Pass
from stepsift.score.plan import Planner, plan_trace, sample_prompts


def test_response_without_tokens_is_refused(load_student):
    empty = load_student("llama").renderer.render(MESSAGES, "")
    refused = plan_trace(empty, np.array([1]), params.Score(), 512)
    assert isinstance(refused, Refused) and refused.reason == "no_tokens"


def test_a_request_may_be_for_a_part(load_student):
    case = load_student("llama").case
    planned = plan_trace(case.rendered, np.array([end for _, end in case.spans]), params.Score(), 512)
    whole = planned.request()
    assert (whole.prompt, whole.response) == (case.rendered.prompt_ids, case.rendered.response_ids)
    assert whole.local == case.passes(4) and whole.full
    assert all(isinstance(p, Pass) for p in planned.request(full=False).local) and not planned.request(full=False).full
    assert planned.request(local=False).local == [] and planned.request(local=False).full


def test_many_plans_are_those_of_each_trace(load_student):
    """In their order, what is refused among them."""
    student = load_student("llama")
    planner = Planner(student.renderer, params.Score(max_step_tokens=16), 512, 10_000)
    texts = ["So x = 4.", "", "So x is four, as was to be shown. " * 9, "7"]
    traces = [(MESSAGES, text, np.array([max(1, len(text))])) for text in texts]
    many, alone = planner.plan_many(traces), [planner.plan(*trace) for trace in traces]
    for one, other in zip(many, alone, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Refused):
            assert one == other
        else:
            assert one.request() == other.request() and one.bounds.tolist() == other.bounds.tolist()
    assert [getattr(p, "reason", None) for p in many[1:3]] == ["no_tokens", "step_too_long"]


def test_samples_of_prompts_are_nested_and_free_of_order():
    ids = [f"p{i}" for i in range(100)]
    samples = [sample_prompts(ids, n, seed=3) for n in (1, 10, 50, 99)]
    assert [len(s) for s in samples] == [1, 10, 50, 99]
    assert all(small < large for small, large in itertools.pairwise(samples))
    assert sample_prompts(reversed(ids), 10, seed=3) == samples[1]
    assert sample_prompts(ids, 10, seed=4) != samples[1]
    assert sample_prompts(ids, None, 0) == sample_prompts(ids, 100, 0) == set(ids)


# Three tokens of prompt, and steps of 16, 2 and 17 tokens, each token a character.
ENDS = np.array([16, 18, 35])
RENDERED = Rendered([1, 2, 3], [*range(35)], np.arange(35), np.ones(35, dtype=bool), 9)


@pytest.mark.parametrize(
    ("context", "settings", "gives"),
    [
        # Windows of one step hold 16 + 2 and 2 + 17 tokens: the wider one and the prompt just fit, or just do not.
        (22, {}, "local"),
        (21, {}, "window_too_long"),
        (37, {}, "local"),
        (38, {}, "local and full"),
        (38, {"passes": ("full",)}, "full"),
        (37, {"passes": ("full",)}, "context_too_long"),
        (38, {"max_step_tokens": 17}, "local and full"),
        (38, {"max_step_tokens": 16}, "step_too_long"),
    ],
)
def test_what_just_fits_is_scored(context: int, settings: dict, gives: str):
    planned = plan_trace(RENDERED, ENDS, params.Score(window=1, **settings), context)
    if isinstance(planned, Refused):
        assert planned.reason == gives
    else:
        assert " and ".join(["local"] * bool(planned.local) + ["full"] * planned.full) == gives
