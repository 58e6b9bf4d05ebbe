"""Intervals are stretched by what leaving prompts out shows, by numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from stepsift.select.two_way import MOST_GROUPS, TwoWay
from stepsift.select.widening import stretch_factor, student_t


@pytest.mark.parametrize(("freedom", "within"), [(3, 0.01), (5, 0.002), (20, 1e-4), (400, 1e-6)])
def test_students_t(freedom: int, within: float):
    assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=within)
    assert student_t(10**9) == pytest.approx(stats.norm.ppf(0.975), rel=1e-8)


def test_by_hand():
    # A bootstrap of spread 1 (-1 and 1), and four groups left out whose scores are 0, 0, 0 and 4: mean 1, squares
    # 1 + 1 + 1 + 9 = 12, times 3 / 4 is 9, whose root is 3.
    drawn, left_out = np.array([[-1.0], [1.0]]), np.array([[0.0], [0.0], [0.0], [4.0]])
    t = student_t(3) / student_t(10**9)
    assert stretch_factor(drawn, left_out) == pytest.approx([3 * t], rel=1e-6)
    # One of less spread than the bootstrap narrows nothing, and a score that is always the same stays.
    assert stretch_factor(drawn, left_out / 8) == pytest.approx([t], rel=1e-6)
    assert stretch_factor(np.zeros((3, 1)), np.zeros((4, 1))) == pytest.approx([t], rel=1e-6)
    # What is not known is left out.
    drawn = np.array([[-1.0], [np.nan], [1.0]])
    assert stretch_factor(drawn, left_out) == pytest.approx([3 * t], rel=1e-6)


def test_each_prompt_is_left_out_once_and_many_in_groups():
    answered = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0, 1]], bool)
    values = np.arange(12.0).reshape(1, 4, 3) ** 1.5
    fit = TwoWay(answered, values)
    for prompt, scores in enumerate(fit.left_out()):
        rest = [i for i in range(4) if i != prompt]
        assert scores == pytest.approx(TwoWay(answered[rest], values[:, rest]).scores(np.ones((1, 3)))[0], rel=1e-9)
    many = np.tile(answered, (MOST_GROUPS, 1))
    left = TwoWay(many, np.tile(values, (1, MOST_GROUPS, 1))).left_out()
    assert left.shape == (MOST_GROUPS, 1, 3)
    # Where everybody answered everything there is nothing to see.
    assert TwoWay(np.ones((4, 3), bool), values).left_out().shape == (0, 1, 3)
