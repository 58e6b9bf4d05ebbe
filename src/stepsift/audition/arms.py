"""The arms of an audition: every way to choose traces of which a student is trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from stepsift import params
from stepsift.core.errors import AuditionError
from stepsift.metrics import all_metrics

Kind = Literal["selector", "control", "teacher"]


@dataclass(frozen=True)
class Arm:
    """One way to choose: its name in tables, its kind, and the selector that does it."""

    name: str
    kind: Kind
    selector: params.Selector


@dataclass(frozen=True)
class NamedBudget:
    """A budget and its name in tables."""

    name: str
    budget: params.Budget


def make_arms(settings: params.Audition, teachers: Sequence[str]) -> list[Arm]:
    """Selectors, controls and single teachers, in this order; `teachers` are those that have candidates.

    Raises AuditionError for a teacher that is asked for and has none.
    """
    first = settings.selectors[0]
    controls = {
        "random": params.Selector(name="random", by="random"),
        "stratified": params.Selector(name="stratified", by="random", mix_of=first),
        "length_matched": params.Selector(name="length_matched", by="random", lengths_of=first),
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
        *(Arm(name, "selector", params.Selector(name=name, by=name)) for name in settings.selectors),
        *(Arm(selector.name, "control", selector) for selector in own),
        *(
            Arm(f"only {teacher}", "teacher", params.Selector(name=f"teacher-{i}", by="random", teacher=teacher))
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
    return {c.lengths_of for c in controls}


def comparisons(arms: list[Arm]) -> list[tuple[str, str]]:
    """What is tested: every selector against `random`, every two selectors, and each against its own controls.

    Single teachers are not: which of them is the best is not known beforehand. `foresights` says what a metric's pick
    among them is worth.
    """
    selectors = [a.name for a in arms if a.kind == "selector"]
    controls = [a.name for a in arms if a.kind == "control"]
    against_chance = [(s, "random") for s in selectors if "random" in controls]
    matched = {a.name: a.selector.mix_of or a.selector.lengths_of for a in arms if a.kind == "control"}
    own = [(selector, control) for control, selector in matched.items() if selector is not None]
    pairs = [(one, other) for i, one in enumerate(selectors) for other in selectors[i + 1 :]]
    return [*against_chance, *own, *pairs]


def budgets(settings: params.Audition, epochs: float, candidates: pl.DataFrame) -> list[NamedBudget]:
    """The budgets with their amounts; a word alone stands for `epochs` passes over a random choice, to two digits.

    `candidates` has prompt_id and n_tokens. Two digits, so that a few more traces do not train everything anew.
    """
    of_prompt = candidates.group_by("prompt_id").agg(pl.col("n_tokens").mean() + 1)["n_tokens"]
    amounts = {"examples": epochs * len(of_prompt), "tokens": epochs * float(of_prompt.sum())}
    named = []
    for budget in settings.budgets:
        if isinstance(budget, str):
            named.append(NamedBudget(budget, params.Budget(**{budget: two_digits(amounts[budget])})))
        else:
            word = "examples" if budget.examples else "tokens"
            named.append(NamedBudget(f"{budget.examples or budget.tokens} {word}", budget))
    return named


def two_digits(amount: float) -> int:
    """The amount rounded to two significant digits, at least 1."""
    digits = max(0, math.floor(math.log10(max(amount, 1))) - 1)
    return max(1, round(amount / 10**digits) * 10**digits)
