"""The arms of an audition: every way to choose traces of which a student is trained."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from stepsift import params
from stepsift.core.errors import AuditionError
from stepsift.metrics import all_metrics

Kind = Literal["selector", "control", "teacher", "variant"]
HALF = ", first half"
"""What the name of a set ends in whose traces are cut, for the budget `prefix`."""
FIRST_HALF = params.DroppedSteps(drop="last", share=0.5)


@dataclass(frozen=True)
class Arm:
    """One way to choose: its name in tables, its kind, and the selector that does it.

    `steps` are masked, None where none are; `weights` are those of `select.weights`, None where that decides. A variant
    is tested `against` these arms.
    """

    name: str
    kind: Kind
    selector: params.Selector
    steps: params.DroppedSteps | None = None
    weights: params.WeightsOrWord | None = None
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedBudget:
    """A budget and its name in tables; with `halves` of the first half of each trace."""

    name: str
    budget: params.Budget
    halves: bool = False

    def set_name(self, arm: str) -> str:
        """Under which name the arm's set is kept that this budget shows."""
        return arm + HALF if self.halves else arm


def make_arms(
    settings: params.Audition, teachers: Sequence[str], steps: params.DroppedSteps | None = None
) -> list[Arm]:
    """Selectors, controls, further arms with theirs and single teachers, in this order.

    `teachers` are those that have candidates, `steps` are masked in all arms that say nothing of them. Raises
    AuditionError for a teacher that is asked for and has none.
    """
    first = settings.selectors[0]
    controls = {
        "random": params.Selector(name="random", by="random"),
        "stratified": params.Selector(name="stratified", by="random", mix_of=first),
        "length_matched": params.Selector(name="length_matched", by="random", lengths_of=first),
        "teacher_and_length_matched": params.Selector(
            name="teacher_and_length_matched", by="random", mix_of=first, lengths_of=first
        ),
        "random_each_epoch": params.random_each_epoch(),
    }
    own = [controls[name] for name in settings.controls]
    own += [c for s in settings.selectors if (c := own_length_control(s)) and c.lengths_of not in _matched(own)]
    names = list(teachers) if settings.teachers is None else list(settings.teachers)
    missing = [t for t in names if t not in teachers]
    if missing:
        raise AuditionError(
            f"audition.teachers names '{missing[0]}', of which no trace is in the running; there are "
            f"{', '.join(teachers)}"
        )
    if "best" in names:
        raise AuditionError("a teacher is called 'best', which means something else to a selector; rename it in ingest")
    return [
        *(Arm(name, "selector", params.Selector(name=name, by=name), steps) for name in settings.selectors),
        *(Arm(selector.name, "control", selector, steps) for selector in own),
        *(arm for further in settings.arms for arm in _with_control(further, settings, steps)),
        *(
            Arm(f"only {teacher}", "teacher", params.Selector(name=f"teacher-{i}", by="random", teacher=teacher), steps)
            for i, teacher in enumerate(names)
        ),
    ]


def own_length_control(selector: str) -> params.Selector | None:
    """The control that always goes with a metric of two models: at random, with its lengths, which teachers' log-probs
    hang on (arXiv 2512.20908); None for other metrics."""
    if not all_metrics()[selector].of_two_models:
        return None
    return params.Selector(name=f"length_matched.{selector}", by="random", lengths_of=selector)


def _matched(controls: list[params.Selector]) -> set[str | None]:
    return {c.lengths_of for c in controls if c.mix_of is None}


def _with_control(
    further: params.AuditionArm, settings: params.Audition, steps: params.DroppedSteps | None
) -> Iterator[Arm]:
    """A further arm and its control, which choose the same traces."""
    selector = params.Selector(name=f"arm.{further.name}", by=further.by, per_prompt=further.per_prompt)
    whole = (further.by,) if further.by in settings.selectors else ()
    if further.steps == "all":
        control = f"{further.name}-equal-weights"
        yield Arm(further.name, "variant", selector, steps, further.weights, (control, *whole))
        yield Arm(control, "control", selector, steps, "none")
    else:
        control = f"{further.name}-random-steps"
        at_random = further.steps.model_copy(update={"drop": "random", "by": None})
        yield Arm(further.name, "variant", selector, further.steps, against=(control, *whole))
        yield Arm(control, "control", selector, at_random)


def comparisons(arms: list[Arm]) -> list[tuple[str, str]]:
    """What is tested: every selector against `random`, every two selectors, each against its own controls, and every
    further arm against its control and against its metric's selector, where that is there.

    Single teachers are not: which of them is the best is not known beforehand. `foresights` says what a metric's pick
    among them is worth.
    """
    selectors = [a.name for a in arms if a.kind == "selector"]
    of_variants = [(a.name, other) for a in arms for other in a.against]
    controls = [a.name for a in arms if a.kind == "control"]
    against_chance = [(s, "random") for s in selectors if "random" in controls]
    matched = {a.name: a.selector.mix_of or a.selector.lengths_of for a in arms if a.kind == "control"}
    own = [(selector, control) for control, selector in matched.items() if selector is not None]
    own += [(selectors[0], a.name) for a in arms if a.kind == "control" and a.selector.each_epoch]
    pairs = [(one, other) for i, one in enumerate(selectors) for other in selectors[i + 1 :]]
    return [*against_chance, *own, *of_variants, *pairs]


def budgets(settings: params.Audition, epochs: float, candidates: pl.DataFrame) -> list[NamedBudget]:
    """The budgets with their amounts; a word alone stands for `epochs` passes over a random choice, to two digits.

    `candidates` has prompt_id and n_tokens. Two digits, so that a few more traces do not train everything anew.
    """
    of_prompt = candidates.group_by("prompt_id").agg(pl.col("n_tokens").mean() + 1)["n_tokens"]
    examples = two_digits(epochs * len(of_prompt))
    amounts = {"examples": examples, "tokens": two_digits(epochs * float(of_prompt.sum()))}
    named = []
    for budget in settings.budgets:
        if budget == "prefix":
            named.append(NamedBudget(budget, params.Budget(examples=examples), halves=True))
        elif isinstance(budget, str):
            named.append(NamedBudget(budget, params.Budget(**{budget: amounts[budget]})))
        else:
            word = "examples" if budget.examples else "tokens"
            named.append(NamedBudget(f"{budget.examples or budget.tokens} {word}", budget))
    return named


def two_digits(amount: float) -> int:
    """The amount rounded to two significant digits, at least 1."""
    digits = max(0, math.floor(math.log10(max(amount, 1))) - 1)
    return max(1, round(amount / 10**digits) * 10**digits)
