"""Several answers to a question: drawn as they should be, whatever is answered beside them, and counted by question."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

from helpers.evaluate_bench import QUESTIONS, SETTINGS, Bench, write_choices, write_task
from stepsift import params
from stepsift.core.errors import ParamsError
from stepsift.evaluate import sampling
from stepsift.evaluate.run import Model, evaluations_of
from stepsift.evaluate.sampling import Draw, How, how, uniform

DRAWN = SETTINGS.model_copy(update={"samples": 3, "temperature": 1.0})


@pytest.fixture
def bench(tmp_path: Path, student_folder) -> Bench:
    made = Bench(tmp_path, student_folder("llama", "llama3"))
    write_task(tmp_path / "tasks", [{"question": q, "answer": "?"} for q in QUESTIONS])
    return made


def draw(logits: list[float], n: int, **changes: Any) -> Counter[int]:
    """Tokens that n keys draw from these logits."""
    asked = How([], 8, **{"temperature": 1.0} | changes)
    scores = torch.tensor(logits).repeat(n, 1)
    out = Draw(asked, [f"key {i}" for i in range(n)], [0] * n, 1)(torch.zeros((n, 1), dtype=torch.long), scores)
    assert int((out > -torch.inf).sum()) == n
    return Counter(out.argmax(-1).tolist())


def test_tokens_are_drawn_with_their_probabilities():
    n = 4_000
    wanted = torch.tensor([0.5, 0.3, 0.15, 0.05])
    found = draw((wanted.log() * 0.7).tolist(), n, temperature=0.7)
    for token, p in enumerate(wanted.tolist()):
        # Five standard deviations of a binomial share.
        assert found[token] / n == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)


def test_by_hand():
    # Shares .5, .3, .2: u = .79 lies in the second, .81 in the third.
    scores = torch.tensor([[0.5, 0.3, 0.2]]).log().repeat(2, 1)
    keys = [
        next(k for k in map(str, range(10_000)) if low <= uniform(k, 5) < high)
        for low, high in ((0.78, 0.8), (0.8, 0.82))
    ]
    out = Draw(How([], 8, 1.0), keys, [3, 3], 4)(torch.zeros((2, 6), dtype=torch.long), scores)
    assert out.argmax(-1).tolist() == [1, 2]


@given(
    st.lists(st.integers(-50, 50).map(lambda n: n / 10), min_size=2, max_size=12, unique=True),
    st.floats(0.05, 1.0),
    st.integers(0, 12),
)
def test_top_p_and_top_k_keep_what_transformers_keeps(logits, top_p, top_k):
    scores = torch.tensor([logits], dtype=torch.float64)
    allowed = scores
    if top_k:
        allowed = TopKLogitsWarper(top_k)(None, allowed)
    kept = Draw(How([], 8, 1.0, top_p, top_k), [], [], 0)._kept(torch.softmax(scores, -1))[0] > 0
    # transformers renormalises between the two; ours keep top-p of the whole.
    if not top_k:
        allowed = TopPLogitsWarper(top_p)(None, scores)
        sorted_sums = torch.softmax(scores, -1)[0].sort(descending=True).values.cumsum(-1)
        if (sorted_sums - top_p).abs().min() > 1e-9:  # on the edge rounding decides
            assert torch.equal(kept, allowed[0] > -torch.inf)
    else:
        assert not (kept & (allowed[0] == -torch.inf)).any()
    assert bool(kept[scores[0].argmax()])


def test_what_is_answered_beside_a_question_does_not_change_its_answers(bench: Bench):
    whole = bench.run(DRAWN).answers.sort("model", "question", "sample")
    one = bench.run(DRAWN.model_copy(update={"batch_size": 1})).answers.sort("model", "question", "sample")
    assert whole["generation"].to_list() == one["generation"].to_list()
    few = bench.run(DRAWN.model_copy(update={"limit": 2})).answers.sort("model", "question", "sample")
    assert few["generation"].to_list() == whole.filter(pl.col("question") < 2)["generation"].to_list()


def test_samples_and_seeds_differ_and_repeat(bench: Bench):
    evaluated = bench.run(DRAWN)
    untrained = evaluated.answers.filter(pl.col("model") == "untrained")
    assert untrained["sample"].to_list() == [1, 2, 3] * len(QUESTIONS)
    assert untrained.group_by("question").agg(pl.col("generation").n_unique())["generation"].max() == 3
    other = bench.run(DRAWN.model_copy(update={"seed": 1})).answers.filter(pl.col("model") == "untrained")
    assert other["generation"].to_list() != untrained["generation"].to_list()
    greedy = bench.run().answers.filter(pl.col("model") == "untrained")
    assert greedy["sample"].to_list() == [1] * len(QUESTIONS)
    # A temperature near 0 is greedy.
    cold = bench.run(DRAWN.model_copy(update={"temperature": 1e-3})).answers.filter(pl.col("model") == "untrained")
    assert [g for g in greedy["generation"] for _ in range(3)] == cold["generation"].to_list()


def test_a_question_counts_once_however_often_it_is_answered():
    rows = [(0, 1, 1.0), (0, 2, 1.0), (1, 1, 1.0), (1, 2, 0.0), (2, 1, 0.0), (2, 2, 0.0)]
    answers = pl.DataFrame(rows, schema=["question", "sample", "correct"], orient="row").with_columns(
        task=pl.lit("t"), model=pl.lit("untrained"), ended=pl.lit(True)
    )
    [row] = evaluations_of(answers, [Model("untrained", None, None, None)]).to_dicts()  # type: ignore[arg-type]
    # Means 1, .5 and 0: mean .5, sample standard deviation .5, over sqrt(3).
    assert (row["n"], row["samples"], row["accuracy"]) == (3, 2, 0.5)
    assert row["stderr"] == pytest.approx(0.5 / 3**0.5)


def test_the_order_of_answers_moves_no_bit():
    rows = [("t", m, q, 1, 0.1 * ((7 * q + k) % 10), True) for k, m in enumerate("ab") for q in range(60)]
    names = ["task", "model", "question", "sample", "correct", "ended"]
    answers = pl.DataFrame(rows, schema=names, orient="row")
    models = [Model(m, None, None, None) for m in "ab"]  # type: ignore[arg-type]
    expected = evaluations_of(answers, models).to_dicts()
    for seed in range(20):
        assert evaluations_of(answers.sample(fraction=1.0, shuffle=True, seed=seed), models).to_dicts() == expected


def test_the_largest_draw_is_still_a_token_that_may_be_drawn(monkeypatch):
    monkeypatch.setattr(sampling.hashlib, "sha256", lambda _: SimpleNamespace(digest=lambda: b"\xff" * 32))
    assert uniform("any", 0) < 1
    monkeypatch.setattr(sampling, "uniform", lambda *_: 1.0)
    # The last token is beyond top-p: it must not be what is left.
    assert draw([2.0, 1.0, -3.0], 5, top_p=0.9) == {1: 5}


def test_a_choice_is_asked_once(bench: Bench):
    write_choices(bench.folder / "tasks", QUESTIONS, "toy")
    evaluated = bench.run(DRAWN)
    assert evaluated.evaluations["samples"].to_list() == [1, 1]
    assert evaluated.answers.height == 2 * len(QUESTIONS)


def test_what_a_task_says_of_sampling_holds_until_params_say_something():
    own = {"until": ["."], "max_gen_toks": 9, "do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 4}
    assert how(own, SETTINGS) == How(["."], 9, 0.6, 0.9, 4)
    assert how(own, DRAWN) == How(["."], 9, 1.0, 1.0, 0)
    assert how({"do_sample": False, "temperature": 0.6}, SETTINGS) == How([], SETTINGS.max_new_tokens)
    assert how({"until": "\n", "repetition_penalty": 1.1}, SETTINGS).others == {"repetition_penalty": 1.1}


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"samples": 2}, "samples is 2, but greedy answers are all the same"), ({"top_p": 0.9}, "top_p is 0.9, which")],
)
def test_sampling_without_a_temperature_is_refused(settings, says):
    with pytest.raises(ParamsError, match=says):
        params.parse({"evaluate": settings})
