"""Packed batches against the float64 reference and against the trace engine, and what packed mode refuses."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from helpers import reference
from helpers.engine_checks import TOLERANCE, WINDOWS, RootedLlama, largest_difference
from helpers.reference_attention import reference_varlen
from helpers.score_cases import MESSAGES, RESPONSE, Case, make_case
from stepsift.core.errors import ScoringError
from stepsift.score.forward import packed
from stepsift.score.forward.attention import Varlen
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request, Scores
from stepsift.score.forward.windows import Pass

TO_TRACE = 5e-5
"""Nats per token between packed batches and batches of one trace."""
BUDGETS = (1, 150, 100_000)
"""Every segment alone and full passes left to the trace engine; some batches and groups of prompts; one batch."""
FAMILIES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "cohere", "granite", "gpt2")
VARLEN = functools.partial(Varlen, kernel=reference_varlen)


def cases_of(student) -> list[Case]:
    """Two candidates of one prompt, one of another, and one of a prompt of one token, which has a single step."""
    other = [{"role": "user", "content": "And 7 * 6?"}]
    end = RESPONSE[RESPONSE.index("First") :]
    cases = [
        student.case,
        make_case(student.renderer, other, RESPONSE),
        make_case(student.renderer, MESSAGES, end),
    ]
    single = replace(cases[2].rendered, prompt_ids=cases[2].rendered.prompt_ids[:1])
    return [*cases, Case(single, [(0, len(end))])]


def request_of(case: Case, window: int | float | None, full: bool = True) -> Request:
    passes = [] if window is None else case.passes(window)
    return Request(case.rendered.prompt_ids, case.rendered.response_ids, passes, full)


def distance(ours: Scores, theirs: Scores) -> float:
    """The largest difference of log-probability, entropy or Brier."""
    pairs = [(ours.local, theirs.local), (ours.full, theirs.full)]
    assert [(a is None) for a, _ in pairs] == [(b is None) for _, b in pairs]
    columns = [(getattr(a, n), getattr(b, n)) for a, b in pairs if a for n in ("logprob", "entropy", "brier")]
    return max(float(np.abs(x - y).max()) for x, y in columns)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_agrees_with_the_reference_and_with_the_trace_engine(load_student, family):
    student = load_student(family)
    cases = cases_of(student)
    # A prompt longer than sliding windows, as only then they count it.
    assert len(cases[0].rendered.prompt_ids) > 16 and len(cases[3].rendered.prompt_ids) == 1
    exact = []
    for case in cases:
        r, ids = case.rendered, (case.rendered.prompt_ids, case.rendered.response_ids)
        values = {w: reference.local(student.exact, *ids, r.last_char, case.spans, w) for w in WINDOWS}
        exact.append((values, reference.full(student.exact, *ids)))
    trace = Engine(student.model, 4_096)
    requests = {w: [request_of(c, w) for c in cases] for w in WINDOWS}
    by_trace = {w: [trace.score(r) for r in requests[w]] for w in WINDOWS}
    worst, to_trace = {}, {}
    runs = [(None, 1, 4), *((None, b, w) for b in BUDGETS[1:] for w in WINDOWS)]
    if family != "gemma2":  # FlashAttention caps no scores
        runs += [(VARLEN, 150, 4)]
    for kernel, budget, window in runs:
        # A full pass beyond the budget takes long, token by token above all; windows make no difference to it.
        full = budget > 1 and (window == 4 or budget > len(RESPONSE))
        asked = [replace(request, full=full) for request in requests[window]]
        found = PackedEngine(student.model, budget, kernel).score_many(asked)
        for i, (scores, (values, whole)) in enumerate(zip(found, exact, strict=True)):
            at = kernel, budget, window, i
            worst[at] = largest_difference(scores.local, values[window])
            theirs = by_trace[window][i]
            if full:
                worst[at, "full"] = largest_difference(scores.full, whole)
            to_trace[at] = distance(scores, theirs if full else replace(theirs, full=None))
    print(f"{family}: to float64 {max(worst.values()):.1e}, to the trace engine {max(to_trace.values()):.1e}")
    assert max(worst.values()) < TOLERANCE, worst
    assert max(to_trace.values()) < TO_TRACE, to_trace


def test_what_is_not_asked_for_is_not_given(load_student):
    student = load_student("llama")
    case = student.case
    requests = [
        request_of(case, 4, full=False),
        request_of(case, None, full=True),
        request_of(case, None, full=False),
        request_of(case, 100, full=False),  # one window holds it all
    ]
    trace = Engine(student.model, 4_096)
    for budget in BUDGETS:
        local, full, nothing, whole = PackedEngine(student.model, budget).score_many(requests)
        assert nothing == Scores(None, None)
        for scores, request in ((local, requests[0]), (full, requests[1]), (whole, requests[3])):
            assert distance(scores, trace.score(request)) < TO_TRACE
    assert PackedEngine(student.model, 64).score_many([]) == []


def test_prompts_of_one_token_and_responses_of_one_token(load_student):
    student = load_student("gemma3_text")
    requests = [Request(p, r, [Pass(0, 0, len(r))], True) for p in ([7], [9], [7, 8, 9]) for r in ([3], [4, 5])]
    for budget in BUDGETS:
        for request, scores in zip(requests, PackedEngine(student.model, budget).score_many(requests), strict=True):
            exact = reference.full(student.exact, request.prompt, request.response)
            # Of so few tokens one may lie beside another: ranks are not looked at.
            for values in (scores.local, scores.full):
                assert np.abs(values.logprob - [t.logprob for t in exact]).max() < TOLERANCE


def spy(engine: PackedEngine) -> list[list[tuple[int, int]]]:
    """For each forward pass to come, (own tokens, kept tokens seen) of its segments."""
    passes = []
    kernel = engine._kernel

    def noting(segments, device):
        passes.append(list(zip(segments.own.tolist(), segments.shared.tolist(), strict=True)))
        return kernel(segments, device)

    engine._kernel = noting
    return passes


def test_prompts_are_computed_once_and_segments_longest_first(load_student):
    student = load_student("llama")
    engine = PackedEngine(student.model, 40)
    passes = spy(engine)
    prompts = [list(range(1, 11)), list(range(20, 25))]
    windows = [Pass(0, 0, 12), Pass(3, 12, 16), Pass(9, 16, 30)]
    engine.score_many([Request(prompts[i % 2], list(range(30, 60)), windows, full=i == 3) for i in range(4)])
    assert passes[0] == [(9, 0), (4, 0)]
    # A full pass of 30 tokens after the prompt of 5, which fits the budget, and four windows of 21, 13 and 12 tokens.
    full, a, b, c, d = ([30], [21], [21], [21], [21, 13])
    assert [[own for own, _ in batch] for batch in passes[1:]] == [full, a, b, c, d, [13] * 3, [12] * 3, [12]]
    assert passes[1] == [(30, 4)]
    assert sorted(seen for batch in passes[2:] for _, seen in batch) == [4] * 6 + [9] * 6


@pytest.mark.parametrize(("budget", "packed_tokens", "left"), [(35, [4, 30], 0), (34, [], 1)])
def test_full_passes_beyond_the_budget_are_left_to_the_trace_engine(
    load_student, monkeypatch, budget, packed_tokens, left
):
    engine = PackedEngine(load_student("llama").model, budget)
    passes, calls = spy(engine), []
    score = engine.trace.score
    monkeypatch.setattr(engine.trace, "score", lambda request: calls.append(request) or score(request))
    request = Request(list(range(20, 25)), list(range(30, 60)), [], full=True)
    engine.score_many([request])
    assert [own for batch in passes for own, _ in batch] == packed_tokens
    assert calls == [request] * left


def test_kept_prompts_stay_within_the_budget(load_student):
    engine = PackedEngine(load_student("llama").model, 20)
    passes = spy(engine)
    windows = [Pass(0, 0, 2), Pass(1, 2, 3)]
    requests = [Request([p] * n, [5, 6, 7], windows, False) for p, n in ((1, 9), (2, 9), (3, 9), (4, 40), (1, 9))]
    engine.score_many(requests)
    groups = [[own for own, _ in batch] for batch in passes if all(shared == 0 for _, shared in batch)]
    assert groups == [[8, 8], [8], [39]]


def test_model_is_left_as_it_was(load_student, monkeypatch):
    student = load_student("gemma2")
    before = student.model.config._attn_implementation
    trace, request = Engine(student.model, 64), request_of(student.case, 4)
    alone = trace.score(request)
    engine = PackedEngine(student.model, 64)
    engine.score_many([request])
    assert student.model.config._attn_implementation == before != packed.NAME
    assert packed._current.get(None) is None  # it would hold keys and values
    again = trace.score(request)
    for ours, theirs in zip(alone.local.columns(), again.local.columns(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    monkeypatch.setattr(packed, "token_values", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.score_many([request])
    assert student.model.config._attn_implementation == before


def tiny(family: str, **changes):
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 60, "pad_token_id": 0} | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, initializer_range=0.3, **shape)).eval()


@pytest.mark.parametrize("family", ["mamba", "lfm2", "qwen3_next", "openai-gpt"])
def test_families_that_keep_more_than_keys_and_values_are_refused(load_student, family):
    model = load_student(family).model
    before = model.config._attn_implementation
    with pytest.raises(ScoringError, match=r"cannot be scored in packed batches: .*; set score\.batching: trace"):
        PackedEngine(model, 64)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("gpt_oss", {"num_local_experts": 2, "num_experts_per_tok": 1}, "s_aux"),
        (
            "llama4_text",
            {"attention_chunk_size": 4, "num_local_experts": 2, "intermediate_size_mlp": 48, "no_rope_layers": [1, 1]},
            "logits in a way of its own",
        ),
        ("bloom", {"n_head": 4, "n_layer": 2}, "attention cannot be replaced"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            r"rotary positions \(dynamic\)",
        ),
    ],
)
def test_attention_that_is_not_known_is_refused(family, changes, reason):
    with pytest.raises(ScoringError, match=reason):
        PackedEngine(tiny(family, **changes), 64)


@pytest.mark.parametrize("named", [{"attention_mask": torch.ones(1, 1, 3, 3)}, {"is_causal": False}])
def test_masks_of_a_family_are_not_passed_over(named):
    query = torch.ones(1, 2, 3, 4)
    with pytest.raises(ScoringError, match="a mask of its own"):
        packed._attend(None, query, query, query, **{"attention_mask": None} | named)


def test_windows_that_attention_is_not_told_are_found_out(monkeypatch):
    """The probe's prompts are shorter than the window, so its values would not show it."""
    attend = packed._attend
    monkeypatch.setattr(packed, "_attend", lambda *a, **named: attend(*a, **named | {"sliding_window": None}))
    with pytest.raises(ScoringError, match="does not say that it sees 100 positions only"):
        PackedEngine(tiny("mistral", sliding_window=100), 64)


def test_unknown_heads_are_refused(student_folder):
    model = RootedLlama.from_pretrained(student_folder("llama"), dtype=torch.float32).eval()
    with pytest.raises(ScoringError, match=r"changes its logits in a way of its own; set score\.batching: trace"):
        PackedEngine(model, 64)


class LeakyNorm(torch.nn.Module):
    """What a token gives depends on the token before it in its row, of which keys and values say nothing."""

    def __init__(self, norm: torch.nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, hidden):
        return self.norm(hidden) + 0.1 * torch.nn.functional.pad(hidden, (0, 0, 1, -1))


def test_what_crosses_segments_is_found_out():
    model = tiny("llama")
    model.model.norm = LeakyNorm(model.model.norm)
    with pytest.raises(ScoringError, match="packed rows differs from that of whole rows"):
        PackedEngine(model, 64)


@pytest.mark.parametrize("family", ["mistral", "phi3", "cohere2", "gemma3_text", "smollm3", "olmo2"])
def test_other_families_agree_with_the_trace_engine(family):
    window = {} if family in ("smollm3", "olmo2") else {"sliding_window": 7}
    model = tiny(family, **window)
    passes = [Pass(0, 0, 9), Pass(4, 9, 14), Pass(9, 14, 20)]
    requests = [Request(list(range(3, 3 + n)), list(range(20, 40)), passes, full=True) for n in (12, 5)]
    trace = Engine(model, 64)
    for ours, request in zip(PackedEngine(model, 64).score_many(requests), requests, strict=True):
        assert distance(ours, trace.score(request)) < TO_TRACE


def test_bfloat16_stays_near(load_student):
    student = load_student("qwen3", "plain", "bfloat16")
    request = request_of(student.case, 4, full=False)
    (ours,) = PackedEngine(student.model, 100).score_many([request])
    theirs = Engine(student.model, 100).score(request)
    assert np.abs(ours.local.logprob - theirs.local.logprob).mean() < 0.1
