"""What a student is shown, in order: decided here alone, so that budgets are exact and every trainer sees the same."""

import math
from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from stepsift import params

Rotation = tuple[tuple[int, ...], ...]
"""Of each prompt the numbers of its examples, of which every pass shows the next one."""


def presentation(
    lengths: Sequence[int], settings: params.Train, seed: int, rotation: Rotation | None = None
) -> list[int]:
    """Numbers of the examples in the order in which they are shown, pass after pass, each pass in a seeded order.

    `lengths` [n] are response tokens in the loss, end token included. Without `settings.budget` there are `epochs`
    passes, the last one cut where they are no whole number. A budget counts every showing: so many examples, or
    examples until the next one would take their response tokens above the budget, but at least one.

    With a `rotation` a pass shows one example of each prompt: the first in the first pass, the next in the next, and
    the first again after the last.
    """
    budget = settings.budget
    prompts = rotation or tuple((i,) for i in range(len(lengths)))
    order = _endless(prompts, seed)
    if budget is None:
        return list(islice(order, math.ceil(settings.epochs * len(prompts))))
    if budget.examples is not None:
        return list(islice(order, budget.examples))
    shown: list[int] = []
    left = budget.tokens or 0
    for i in order:
        if shown and lengths[i] > left:
            return shown
        shown.append(i)
        left -= lengths[i]
    return shown


def _endless(prompts: Rotation, seed: int) -> Iterator[int]:
    for number in count():
        for prompt in np.random.default_rng([seed, number]).permutation(len(prompts)).tolist():
            yield prompts[prompt][number % len(prompts[prompt])]
