"""The arms of an audition: every way to choose traces of which a student is trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from stepsift import params
from stepsift.core.errors import AuditionError

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
        *(Arm(name, "control", controls[name]) for name in settings.controls),
        *(
            Arm(f"only {teacher}", "teacher", params.Selector(name=f"teacher-{i}", by="random", teacher=teacher))
            for i, teacher in enumerate(names)
        ),
    ]


def comparisons(arms: list[Arm]) -> list[tuple[str, str]]:
    """What is tested: every selector against `random`, every two selectors, and the first against its own controls.

    Single teachers are not: which of them is the best is not known beforehand. `foresights` says what a metric's pick
    among them is worth.
    """
    selectors = [a.name for a in arms if a.kind == "selector"]
    controls = [a.name for a in arms if a.kind == "control"]
    against_chance = [(s, "random") for s in selectors if "random" in controls]
    own = [(selectors[0], c) for c in controls if c != "random"]
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
