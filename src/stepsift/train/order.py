"""What a student is shown, in order: decided here alone, so that budgets are exact and every trainer sees the same."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from stepsift import params


def presentation(lengths: Sequence[int], settings: params.Train, seed: int) -> list[int]:
    """Numbers of the examples in the order in which they are shown, pass after pass, each pass in a seeded order.

    `lengths` [n] are response tokens in the loss, end token included. Without `settings.budget` there are `epochs`
    passes, the last one cut where they are no whole number. A budget counts every showing: so many examples, or
    examples until the next one would take their response tokens above the budget, but at least one.
    """
    budget = settings.budget
    order = _endless(len(lengths), seed)
    if budget is None:
        return _take(order, math.ceil(settings.epochs * len(lengths)))
    if budget.examples is not None:
        return _take(order, budget.examples)
    shown: list[int] = []
    left = budget.tokens or 0
    for i in order:
        if shown and lengths[i] > left:
            return shown
        shown.append(i)
        left -= lengths[i]
    return shown


def _endless(n: int, seed: int) -> Iterator[int]:
    number = 0
    while True:
        yield from np.random.default_rng([seed, number]).permutation(n).tolist()
        number += 1


def _take(order: Iterator[int], n: int) -> list[int]:
    return [i for i, _ in zip(order, range(n), strict=False)]
