"""What is trained and compared, and the plan that fixes it."""

import json
from pathlib import Path

import polars as pl
import pytest

from stepsift import params
from stepsift.audition.arms import budgets, comparisons, make_arms, two_digits
from stepsift.audition.plan import AuditionPlan, Grounds, make_plan
from stepsift.core.errors import AuditionError, ParamsError
from stepsift.train import Examples

ASKED = params.Audition(selectors=("galp", "lalp", "rsr"), seeds=(0, 1))


def a_plan(
    settings: params.Params | None = None, completion: int = 2, pilot: float | None = None, md5: str = "m"
) -> AuditionPlan:
    settings = settings or params.Params(audition=ASKED)
    arms = make_arms(settings.audition, ["s1", "s2"])
    sets = {a.name: Examples([([1], [completion, 3])], pl.DataFrame()) for a in arms}
    candidates = pl.DataFrame({"prompt_id": ["p"], "n_tokens": [9]})
    of_budget = budgets(settings.audition, 3, candidates)
    grounds = Grounds("f" * 64, {"chain": "d" * 64}, {"step_scores.parquet": md5}, pilot)
    return make_plan(settings, arms, sets, of_budget, grounds)


def test_arms_are_selectors_controls_of_the_first_and_single_teachers() -> None:
    arms = {a.name: a for a in make_arms(ASKED, ["s1", "s2"])}
    assert list(arms) == ["galp", "lalp", "rsr", "random", "stratified", "length_matched", "only s1", "only s2"]
    assert arms["stratified"].selector.mix_of == "galp"
    assert arms["length_matched"].selector.lengths_of == "galp"
    assert (arms["only s2"].selector.by, arms["only s2"].selector.teacher) == ("random", "s2")
    # Together they are a valid section `select`.
    params.Select(selectors=tuple(a.selector for a in arms.values()))


def test_teachers_may_be_named_or_left_out() -> None:
    named = ASKED.model_copy(update={"teachers": ("s2",)})
    assert [a.name for a in make_arms(named, ["s1", "s2"]) if a.kind == "teacher"] == ["only s2"]
    none = ASKED.model_copy(update={"teachers": ()})
    assert all(a.kind != "teacher" for a in make_arms(none, ["s1", "s2"]))
    with pytest.raises(AuditionError, match=r"'s9', of which no trace is in the running; there are s1, s2"):
        make_arms(ASKED.model_copy(update={"teachers": ("s9",)}), ["s1", "s2"])


def test_the_comparisons_are_each_against_chance_the_first_against_its_controls_and_all_pairs() -> None:
    assert comparisons(make_arms(ASKED, ["s1"])) == [
        ("galp", "random"),
        ("lalp", "random"),
        ("rsr", "random"),
        ("galp", "stratified"),
        ("galp", "length_matched"),
        ("galp", "lalp"),
        ("galp", "rsr"),
        ("lalp", "rsr"),
    ]


@pytest.mark.parametrize("controls", [("random", "stratified", "length_matched"), ("random",), ()])
def test_a_metric_of_two_models_always_has_its_length_control(controls: tuple[str, ...]) -> None:
    for selectors in (("lalp", "teacher_steps", "reference_gain"), ("teacher_steps", "lalp")):
        arms = make_arms(ASKED.model_copy(update={"selectors": selectors, "controls": controls}), ["s1"])
        lengths_of = {a.name: a.selector.lengths_of for a in arms if a.selector.lengths_of}
        of_first = {"length_matched": selectors[0]} if "length_matched" in controls else {}
        of_two = [s for s in selectors if s != "lalp" and s not in of_first.values()]
        assert lengths_of == of_first | {f"length_matched.{s}": s for s in of_two}
        assert {(s, name) for name, s in lengths_of.items()} <= set(comparisons(arms))
        assert len(set(comparisons(arms))) == len(comparisons(arms))
        params.Select(selectors=tuple(a.selector for a in arms))


def test_a_budget_by_name_is_that_of_a_random_choice() -> None:
    # Two prompts: 19 and 39 tokens on average, and an end token each: 60; three passes are 180, two prompts 6.
    candidates = pl.DataFrame({"prompt_id": ["p", "p", "q"], "n_tokens": [9, 29, 39]})
    found = budgets(ASKED, 3, candidates)
    assert [(b.name, b.budget) for b in found] == [
        ("examples", params.Budget(examples=6)),
        ("tokens", params.Budget(tokens=180)),
    ]
    explicit = ASKED.model_copy(update={"budgets": (params.Budget(tokens=77),)})
    assert [(b.name, b.budget.tokens) for b in budgets(explicit, 3, candidates)] == [("77 tokens", 77)]


@pytest.mark.parametrize(
    ("amount", "rounded"), [(0.2, 1), (7.4, 7), (98, 98), (104.9, 100), (3149, 3100), (3151, 3200)]
)
def test_two_digits(amount: float, rounded: int) -> None:
    assert two_digits(amount) == rounded


def test_the_plan_is_named_by_its_content(tmp_path: Path) -> None:
    plan = a_plan()
    assert plan.digest == a_plan().digest
    folder = plan.write(tmp_path)
    assert folder.name == plan.digest[:12]
    assert json.loads((folder / "plan.json").read_text()) == plan.content
    assert plan.write(tmp_path) == folder
    # Anything that changes what is compared is another plan.
    other_seeds = params.Params(audition=ASKED.model_copy(update={"seeds": (0, 2)}))
    other_training = params.Params(audition=ASKED, train=params.Train(learning_rate=0.5))
    others = [a_plan(other_seeds), a_plan(other_training), a_plan(completion=4), a_plan(pilot=0.1), a_plan(md5="n")]
    assert len({plan.digest, *(o.digest for o in others)}) == 6
    # What decides no number does not.
    kept = params.Params(audition=ASKED.model_copy(update={"keep_students": True}))
    assert a_plan(kept).digest == plan.digest


@pytest.mark.parametrize(
    ("audition", "says"),
    [
        (
            {"selectors": ["lalpp"]},
            r"'lalpp' is no metric with a direction, did you mean 'lalp'\?; known are aslec_casl,",
        ),
        ({"selectors": ["random"]}, "'random' is no metric with a direction"),
        ({"budgets": ["exmples"]}, "'audition.budgets.0' is 'exmples': must be 'examples', 'tokens' or 'prefix'"),
        ({"budgets": [{"examples": 0}]}, "'audition.budgets.0.examples' is 0: must be at least 1"),
        ({"budgets": [{"exampels": 3}]}, "'audition.budgets.0.exampels', did you mean 'examples'"),
        ({"budgets": []}, "'audition.budgets' is .*must not be empty"),
        ({"teachers": "some"}, "'audition.teachers' is 'some': must be a list"),
    ],
)
def test_a_wrong_setting_is_one_sentence(audition: dict[str, object], says: str) -> None:
    with pytest.raises(ParamsError, match=says) as refused:
        params.parse({"audition": audition})
    assert len(refused.value.problems) == 1


def test_a_budget_is_of_one_kind() -> None:
    with pytest.raises(ParamsError, match="give either examples or tokens"):
        params.parse({"train": {"budget": {"examples": 3, "tokens": 4}}})
