"""Windows: hand-worked cases, then every one against the words of the definition."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.score.forward.windows import Pass, batches, first_visible_step, local_passes, token_bounds

BOUNDS = np.array([0, 2, 3, 5, 6, 9, 10])
"""Six steps of 2, 1, 2, 1, 3 and 1 tokens."""


def test_one_step_is_seen_with_k_1():
    assert local_passes(BOUNDS, 1) == [Pass(0, 0, 3), Pass(2, 3, 5), Pass(3, 5, 6), Pass(5, 6, 9), Pass(6, 9, 10)]


def test_four_steps_are_seen_with_k_4():
    assert local_passes(BOUNDS, 4) == [Pass(0, 0, 9), Pass(2, 9, 10)]


def test_half_of_the_steps_are_seen():
    # Steps seen by steps 1 to 6: max(1, ceil(0.5 (i - 1))) = 1 (there is none), 1, 1, 2, 2, 3.
    assert local_passes(BOUNDS, 0.5) == [Pass(0, 0, 3), Pass(2, 3, 6), Pass(3, 6, 10)]


@pytest.mark.parametrize(
    ("fraction", "earlier", "seen"),
    [
        (0.05, 1, 1),
        (0.05, 20, 1),
        (0.05, 21, 2),
        (0.05, 40, 2),
        (0.25, 4, 1),
        (0.25, 5, 2),
        (0.25, 8, 2),
        (0.25, 9, 3),
        (0.5, 2, 1),
        (0.5, 3, 2),
        (0.75, 1, 1),
        (0.75, 2, 2),
        (0.75, 4, 3),
        (0.75, 5, 4),
        # As floats these products lie a little above the whole number (7.000000000000001 and such).
        (0.07, 100, 7),
        (0.28, 25, 7),
        (0.55, 100, 55),
        (0.1, 30, 3),
        (0.1, 31, 4),
    ],
)
def test_fraction_is_rounded_up_from_the_decimal(fraction: float, earlier: int, seen: int):
    assert earlier - first_visible_step(earlier, fraction) == seen


def test_token_belongs_to_the_step_that_holds_its_last_character():
    # "ab. Cd" and steps "ab." + " Cd": a token that runs over the edge (characters 2-3) lies in the second step.
    assert token_bounds(np.array([1, 3, 5]), np.array([3, 6])).tolist() == [0, 1, 3]
    # The middle step holds no token's last character, and so no token.
    assert token_bounds(np.array([1, 4, 5]), np.array([2, 4, 6])).tolist() == [0, 1, 1, 3]


counts = st.lists(st.integers(0, 4), min_size=1, max_size=25)
windows = st.one_of(st.integers(1, 6), st.sampled_from([0.05, 0.1, 0.25, 0.3, 0.5, 0.75, 0.99]))


@given(counts, windows)
def test_every_token_is_scored_once_and_sees_its_window_only(tokens_a_step: list[int], window: int | float):
    owner = [step for step, n in enumerate(tokens_a_step) for _ in range(n)]
    scored = []
    for p in local_passes(np.concatenate([[0], np.cumsum(tokens_a_step)]), window):
        for token in range(p.scored, p.end):
            scored.append(token)
            step = owner[token]
            seen = window if window >= 1 else max(1, math.ceil(Fraction(str(window)) * step))
            visible = [t for t in range(len(owner)) if t < token and step - seen <= owner[t]]
            assert visible == list(range(p.begin, token))
    assert sorted(scored) == list(range(len(owner)))


@given(counts, st.integers(1, 30))
def test_few_steps_are_one_pass(tokens_a_step: list[int], k: int):
    passes = local_passes(np.concatenate([[0], np.cumsum(tokens_a_step)]), k)
    assert len(passes) <= max(1, len(tokens_a_step) - k)


@given(counts, windows, st.integers(1, 60), st.integers(1, 20))
def test_batches_hold_every_pass_once_within_the_budget(tokens_a_step, window, budget, lead):
    passes = local_passes(np.concatenate([[0], np.cumsum(tokens_a_step)]), window)
    grouped = batches(passes, budget, lead)
    assert sorted(p for b in grouped for p in map(_tuple, b)) == sorted(map(_tuple, passes))
    for batch in grouped:
        width = lead + max(p.length for p in batch) - 1
        assert batch[0].length == max(p.length for p in batch)
        assert len(batch) == 1 or len(batch) * width <= budget


def test_batches_use_the_budget():
    rows = [Pass(0, 0, 5), Pass(5, 5, 9), Pass(9, 9, 14), Pass(14, 14, 15)]
    assert batches(rows, 10) == [[rows[0], rows[2]], [rows[1], rows[3]]]
    assert batches(rows, 20) == [[rows[0], rows[2], rows[1], rows[3]]]
    assert batches(rows, 20, lead=6) == [[rows[0], rows[2]], [rows[1], rows[3]]]


def _tuple(p: Pass) -> tuple[int, int, int]:
    return p.begin, p.scored, p.end
