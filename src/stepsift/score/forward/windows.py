"""Which tokens each forward pass sees and scores: pure arithmetic on step boundaries, in token space.

Source of the window: LALP, arXiv 2510.03988. Windows that start at the same step are prefixes of one another, so
one causal pass over the longest of them scores them all; a trace of at most k + 1 steps costs exactly one pass.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Pass:
    """One forward pass: the prompt and response tokens `begin .. end - 1` go in, `scored .. end - 1` are scored."""

    begin: int
    scored: int
    end: int

    @property
    def length(self) -> int:
        """Response tokens that go in."""
        return self.end - self.begin


def token_bounds(last_char: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """First token of each step, and the number of tokens at the end; shape [steps + 1].

    `last_char[t]` is the offset of token t's last character, not decreasing; `ends[i]` the offset behind step i. A
    token belongs to the step that holds its last character; a step may get none.
    """
    return np.concatenate([[0], np.searchsorted(last_char, ends, side="left")])


def first_visible_step(step: int, window: int | float) -> int:
    """The first step (counted from 0) that step `step` (counted from 0) sees.

    `window` is a number of preceding steps k, or a fraction f below 1: then the step numbered i from 1 sees
    max(1, ceil(f * (i - 1))) steps (our choice of rounding; f is taken as the decimal that was written).
    """
    seen = int(window) if window >= 1 else max(1, math.ceil(Fraction(str(window)) * step))
    return max(0, step - seen)


def local_passes(bounds: np.ndarray, window: int | float) -> list[Pass]:
    """The passes that score every token of a trace once, each with the prompt and its step's window in context."""
    n_steps = len(bounds) - 1
    passes = []
    step = 0
    while step < n_steps:
        first = first_visible_step(step, window)
        last = step
        while last + 1 < n_steps and first_visible_step(last + 1, window) == first:
            last += 1
        begin, scored, end = int(bounds[first]), int(bounds[step]), int(bounds[last + 1])
        if end > scored:
            passes.append(Pass(begin, scored, end))
        step = last + 1
    return passes


def batches(passes: list[Pass], budget_tokens: int, lead: int = 1) -> list[list[Pass]]:
    """Group passes, longest first, so that rows times the longest row stay within the budget.

    A pass longer than the budget is a batch of its own. `lead` tokens of the prompt begin every row: its last one
    where the rest is shared. A row's last token is never fed, only predicted.
    """
    grouped: list[list[Pass]] = []
    for p in sorted(passes, key=lambda p: (-p.length, p.begin)):
        if grouped and (len(grouped[-1]) + 1) * (lead + grouped[-1][0].length - 1) <= budget_tokens:
            grouped[-1].append(p)
        else:
            grouped.append([p])
    return grouped
