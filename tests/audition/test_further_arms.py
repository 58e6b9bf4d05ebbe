"""Arms with masked steps or weights, their controls, and first halves: what is chosen, trained and tested."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from helpers.select_pools import pool_of_steps
from stepsift import params
from stepsift.audition import cost, runs
from stepsift.audition.arms import budgets, comparisons, make_arms
from stepsift.audition.page import as_markdown
from stepsift.audition.plan import AuditionPlan, Grounds, make_plan
from stepsift.audition.run import _masks, _sets
from stepsift.audition.runs import RunSettings
from stepsift.core.errors import ParamsError
from stepsift.render import Rendered
from stepsift.select import select
from stepsift.select.questions import load_questions
from stepsift.train import Examples
from stepsift.train import run as train_run

MASKED = {"name": "masked", "by": "lalp", "steps": {"drop": "lowest", "share": 0.4}}
WEIGHTED = {"name": "heavy", "by": "galp", "per_prompt": 2, "weights": {"by": "galp"}}
FILTERS = {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None}


def asked(**audition: Any) -> params.Params:
    whole = {"selectors": ["lalp"], "teachers": [], "controls": ["random"], "seeds": [0, 1]} | audition
    return params.parse({"audition": whole, "select": {"filters": FILTERS, "bootstrap": 100}})


def test_every_arm_brings_its_control_and_is_tested_against_it_and_its_metrics_selector():
    arms = make_arms(asked(arms=[MASKED, WEIGHTED]).audition, ["a"])
    by_name = {a.name: a for a in arms}
    assert [(a.name, a.kind) for a in arms] == [
        ("lalp", "selector"),
        ("random", "control"),
        ("masked", "variant"),
        ("masked-random-steps", "control"),
        ("heavy", "variant"),
        ("heavy-equal-weights", "control"),
    ]
    one, other = by_name["masked"], by_name["masked-random-steps"]
    assert one.selector == other.selector
    assert (one.steps, other.steps) == (
        params.DroppedSteps(drop="lowest", share=0.4),
        params.DroppedSteps(drop="random", share=0.4),
    )
    assert by_name["heavy"].selector == by_name["heavy-equal-weights"].selector
    assert (by_name["heavy"].weights, by_name["heavy-equal-weights"].weights) == (params.Weights(by="galp"), "none")
    assert comparisons(arms) == [
        ("lalp", "random"),
        ("masked", "masked-random-steps"),
        ("masked", "lalp"),
        ("heavy", "heavy-equal-weights"),
    ]
    # What train.steps says holds for arms that say nothing.
    last = params.DroppedSteps(drop="last")
    steps = {a.name: a.steps for a in make_arms(asked(arms=[MASKED, WEIGHTED]).audition, ["a"], last)}
    assert steps == {a.name: a.steps or last for a in arms}


def test_stronger_controls_are_made_for_the_first_selector():
    controls = ("teacher_and_length_matched", "random_each_epoch")
    arms = {a.name: a.selector for a in make_arms(asked(controls=controls).audition, ["a"])}
    matched = arms["teacher_and_length_matched"]
    assert (matched.by, matched.mix_of, matched.lengths_of) == ("random", "lalp", "lalp")
    assert arms["random_each_epoch"] == params.Select.model_validate({"selectors": ["random_each_epoch"]}).selectors[0]
    assert comparisons(make_arms(asked(controls=controls).audition, ["a"])) == [("lalp", c) for c in controls]


@dataclasses.dataclass
class ByTenth:
    """A renderer that makes a token of every ten characters, a step of `pool_of_steps`; the end token is 1."""

    end_id = 1

    def render(self, messages: Any, response: str) -> Rendered:
        n = len(response) // 10
        return Rendered([len(response)], [7] * n, 10 * np.arange(n) + 9, np.ones(n, dtype=bool), 1)


POOL = pool_of_steps(
    [(1, -1.0, -1.0), (1, -4.0, -1.0), (1, -2.0, -1.0), (1, -3.0, -1.0), (1, -1.0, -1.0)],
    [(1, -2.0, -2.0), (1, -1.0, -2.0)],
)
SOURCE: Any = SimpleNamespace(load_renderer=ByTenth, context_tokens=lambda: 100, fingerprint="f")


def sets_of(settings: params.Params) -> dict[str, Examples]:
    steps = None if settings.train.steps == "all" else settings.train.steps
    arms = make_arms(settings.audition, ["a"], steps)
    selectors = {a.selector.name: a.selector for a in arms}
    chosen = settings.select.model_copy(update={"selectors": tuple(selectors.values())})
    return _sets(arms, select(POOL, chosen, load_questions((), Path())), POOL, SOURCE, settings)


def test_sets_are_masked_by_scores_and_at_random_in_tokens_that_are_as_many():
    sets = sets_of(asked(arms=[MASKED]))
    # Steps 2 and 4 of the first trace are its least probable; of two steps .4 is nearer to one than to none.
    assert sets["masked"].labels == [[7, -100, 7, -100, 7, 1], [-100, 7, 1]]
    at_random = sets["masked-random-steps"]
    assert at_random.lengths == sets["masked"].lengths == [4, 2]
    assert at_random.ids == sets["masked"].ids == sets["lalp"].ids
    assert sets["lalp"].masked is None


def test_first_halves_are_cut_at_a_step_and_do_not_end(monkeypatch: pytest.MonkeyPatch):
    settings = asked(budgets=["examples", "prefix"], arms=[MASKED])
    assert _masks(settings) and not _masks(asked())
    sets = sets_of(settings)
    assert sets["lalp"].lengths == [6, 3]
    assert [c for _, c in sets["lalp, first half"].ids] == [[7, 7, 7], [7]]
    assert sets["masked, first half"].digest == sets["lalp, first half"].digest
    named = budgets(settings.audition, 4, pl.DataFrame({"prompt_id": ["p", "q"], "n_tokens": [5, 2]}))
    assert [(b.name, b.budget.examples, b.halves) for b in named] == [("examples", 8, False), ("prefix", 8, True)]
    setting = RunSettings(SOURCE, settings.train, settings.evaluate, [], False, Path())
    monkeypatch.setattr(train_run, "pick_device", lambda _: "cpu")
    monkeypatch.setattr(runs, "_key", lambda *_: "k")
    listed = runs.list_runs(setting, sets, (0,), named)
    assert {(r.budget.name, r.set_name): r.arms for r in listed} == {
        ("examples", "lalp"): ("lalp", "random"),
        ("examples", "masked"): ("masked",),
        ("examples", "masked-random-steps"): ("masked-random-steps",),
        ("prefix", "lalp, first half"): ("lalp", "random", "masked", "masked-random-steps"),
    }
    half = next(r for r in listed if r.budget.halves)
    # 8 examples: four passes of 3 tokens and 1.
    assert cost._presented(setting, sets[half.set_name], half) == 16


def plan_of(settings: params.Params, sets: dict[str, Examples]) -> AuditionPlan:
    arms = make_arms(settings.audition, ["a"])
    named = budgets(settings.audition, 4, pl.DataFrame({"prompt_id": ["p", "q"], "n_tokens": [5, 2]}))
    return make_plan(settings, arms, sets, named, Grounds("f", {"chain": "d"}, {}))


def test_the_plan_says_what_is_masked_weighted_and_cut_and_nothing_of_it_otherwise():
    settings = asked(budgets=["prefix"], arms=[MASKED, WEIGHTED])
    content = plan_of(settings, sets_of(settings)).content
    assert content["budgets"] == {"prefix": {"examples": 8, "share": 0.5}}
    assert content["arms"]["masked"]["steps"] == {"drop": "lowest", "share": 0.4, "by": None, "spare_last": False}
    assert content["arms"]["heavy"]["weights"] == {"by": "galp", "temperature": 1.0, "per": "prompt"}
    assert content["arms"]["heavy-equal-weights"]["weights"] == "none"
    assert content["arms"]["lalp"]["first_half"]["response_tokens"] == 4
    json.dumps(content)
    plain = plan_of(asked(), sets_of(asked())).content
    assert set(plain["arms"]["lalp"]) == {"kind", "selector", "examples", "response_tokens", "ids"}
    assert "steps" not in plain["train"] and "pass_at" not in plain["evaluate"]


def test_the_page_counts_tokens_of_first_halves():
    settings = asked(budgets=["prefix"])
    plan = plan_of(settings, sets_of(settings))
    of_budget = {
        "verdict": [],
        "accuracy": {a: {"value": 0.5, "low": 0.4, "high": 0.6} for a in ("lalp", "random")},
        "seeds": {"lalp": [0.5], "random": [0.5]},
        "presented_tokens": {"lalp": 8, "random": 8},
        "comparisons": [],
        "foresight": [],
    }
    page = as_markdown(plan, {"untrained": 0, "runs": 2, "runs_known_before": 0, "budgets": {"prefix": of_budget}})
    assert "## Equal examples: 8 presented to every student, of each trace the first half" in page
    assert "| `lalp` | 0.500 | 0.400 to 0.600 | 0.500 | 2 | 2 | 2 |" in page


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"name": "x", "by": "lalp"}, "'x' needs either steps (other than all) or weights (other than none)"),
        (MASKED | {"weights": {"by": "lalp"}, "per_prompt": 2}, "'masked' needs either steps"),
        (MASKED | {"steps": {"drop": "random"}}, "'masked' drops steps at random, as the control of every arm"),
        (WEIGHTED | {"per_prompt": 1}, "'heavy' has weights and one trace per prompt, which weighs 1"),
        (WEIGHTED | {"weights": "lark"}, "'heavy' has the weights 'lark', which are those of by: lark_g"),
        (MASKED | {"by": "lapl"}, "'lapl' is no metric with a direction, did you mean 'lalp'?"),
        (MASKED | {"name": "random"}, "'random' stands more than once"),
        (MASKED | {"name": "a b"}, "must begin with a letter or a digit and hold only those"),
    ],
)
def test_arms_that_are_refused(arm, says):
    with pytest.raises(ParamsError) as refused:
        params.parse({"audition": {"arms": [arm]}})
    assert says in str(refused.value)
