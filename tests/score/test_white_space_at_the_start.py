"""No response loses a token to white space at its start.

A published comparison of metrics lost 90.8 % of one teacher's tokens to a scanner of spans that skipped responses which
begin with white space (docs/METRICS.md). Here a teacher begins 10 of 11 responses so, and no token of it is lost from
the source file to the sums.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import stepsift
from helpers.places import DEMO
from stepsift import params, segment
from stepsift.render import Renderer
from stepsift.score.plan import Planned, Planner

TEXT = "So x = 7 * 6. Then it is 42.\n\nAll of it adds up, so we stop.\n#### 42"
STARTS = ["", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\n  \n ", "\u00a0", "\u3000\n", "\u2028"]
MESSAGES = [{"role": "user", "content": "What is 7 * 6?"}]
NAMES = ["llama3", "qwen2", "qwen3", "gemma", "metaspace", "plain"]


@pytest.fixture(scope="module")
def planner(tokenizer_folder: Callable[[str], Path]) -> Callable[[str], Planner]:
    made: dict[str, Planner] = {}

    def make(name: str) -> Planner:
        if name not in made:
            renderer = Renderer(AutoTokenizer.from_pretrained(tokenizer_folder(name)), params.Student())
            made[name] = Planner(renderer, params.Score(), context=4096, vocabulary=10**6)
        return made[name]

    return make


def plan(planner: Planner, response: str) -> Planned:
    planned = planner.plan(MESSAGES, response, segment.step_ends(response, params.Segment()))
    assert isinstance(planned, Planned)
    return planned


def scored_text(planner: Planner, planned: Planned) -> str:
    """The text of all tokens that some pass scores, in order."""
    places = [t for p in planned.local for t in range(p.scored, p.end)]
    ids = [planned.rendered.response_ids[t] for t in sorted(places)]
    return planner.renderer.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("start", STARTS, ids=map(repr, STARTS))
@pytest.mark.parametrize("name", NAMES)
def test_every_token_is_in_a_step_and_is_scored_once(planner, name, start):
    planned = plan(planner(name), start + TEXT)
    n_tokens = len(planned.rendered.response_ids)
    assert planned.bounds[0] == 0 and planned.bounds[-1] == n_tokens
    assert (np.diff(planned.bounds) >= 0).all()
    assert sorted(t for p in planned.local for t in range(p.scored, p.end)) == list(range(n_tokens))
    assert scored_text(planner(name), planned).strip() == TEXT


@given(start=st.text(st.sampled_from(" \n\r\t\u00a0\u2028\u3000"), max_size=12), body=st.text(min_size=1, max_size=40))
@pytest.mark.parametrize("name", ["llama3", "plain"])
def test_white_space_takes_nothing_from_what_follows(planner, name, start, body):
    text = f"a{body}z."
    planned = plan(planner(name), start + text)
    assert scored_text(planner(name), planned).endswith(text)
    assert planned.bounds[-1] >= len(plan(planner(name), text).rendered.response_ids) - 1


@pytest.mark.usefixtures("shared_judges")
@pytest.mark.slow
def test_no_token_of_a_teacher_is_lost_from_the_file_to_the_sums(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "student")
    rows = [{"question": f"q{i}", "solution": s + TEXT, "answer": "42", "teacher": "t"} for i, s in enumerate(STARTS)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    traces = stepsift.read(tmp_path)
    assert traces["response"].to_list() == [TEXT] * len(STARTS)
    assert traces["verdict"].to_list() == ["correct"] * len(STARTS)
    scorer = stepsift.Scorer(DEMO / "student")
    n_tokens = [len(tokenizer.encode(start + TEXT, add_special_tokens=False)) for start in STARTS]
    # What such a scanner would have lost here, to show that there is something to lose.
    assert sum(n_tokens[1:]) / sum(n_tokens) > 0.9
    assert scorer.score("What is 7 * 6?", [start + TEXT for start in STARTS])["n_tokens"].to_list() == n_tokens
    assert scorer.score("What is 7 * 6?", traces["response"].to_list())["n_tokens"].to_list() == n_tokens[:1] * 11
