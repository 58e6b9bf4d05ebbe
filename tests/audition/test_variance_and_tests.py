"""The statistics of an audition: numbers worked by hand, then what must always hold, then their error rates."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stepsift.audition.compare import compare_arms, estimates, holm, needed
from stepsift.audition.grades import Array, Grades
from stepsift.audition.variance import common_variance, question_variance, run_variances, spread


def one_task(**arms: list[list[float]]) -> Grades:
    correct = {name: np.array(rows, dtype=float) for name, rows in arms.items()}
    return Grades(correct, np.zeros(next(iter(correct.values())).shape[1], dtype=np.int64))


def test_tasks_weigh_the_same_whatever_their_size() -> None:
    grades = Grades({"a": np.array([[1.0, 0.0, 0.0, 1.0]])}, np.array([0, 0, 0, 1]))
    assert grades.weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert estimates(grades, 0.05)["a"].value == pytest.approx(2 / 3)


def test_question_variance_by_hand() -> None:
    # One seed: means 1 0 1 0, sample variance 1/3, over four questions 1/12.
    grades = one_task(a=[[1, 0, 1, 0]])
    zero = np.zeros((1, 4))
    assert question_variance(grades, zero, grades.correct["a"]) == pytest.approx(1 / 12)
    # Two seeds: means of questions 1 1/2 1/2 0 have variance 1/6, over four 1/24. Rows have means 3/4 and 1/4, the
    # whole 1/2; what remains is 1/4 -1/4 1/4... in every cell of the middle, 0 elsewhere after its means.
    both = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=float)
    rest = both - both.mean(axis=0) - both.mean(axis=1, keepdims=True) + both.mean()
    assert np.abs(rest).tolist() == [[0.25] * 4] * 2
    # Squares add up to 8/16, over 1 x 3 degrees of freedom 1/6, over 8 cells 1/48.
    two = one_task(a=both.tolist())
    assert question_variance(two, np.zeros((2, 4)), both) == pytest.approx(max(1 / 24 - 1 / 48, 1 / 16))


def test_an_arm_on_the_floor_is_not_sure_to_the_last_digit() -> None:
    grades = one_task(a=[[0] * 50] * 2, b=[[0] * 50] * 2)
    floor = estimates(grades, 0.05)["a"]
    assert floor.value == floor.low == 0
    assert 0.02 < floor.high < 0.06
    assert not compare_arms(grades, [("a", "b")], 0.05)[0].settled


def test_run_variance_is_that_of_the_seeds_where_there_is_one_arm_alone() -> None:
    grades = one_task(a=[[1, 1], [1, 0], [0, 0]])
    found = run_variances(grades)
    assert found is not None
    assert found["a"].value == pytest.approx(np.var([1, 0.5, 0], ddof=1))
    assert found["a"].df == pytest.approx(2)


def test_a_single_seed_says_nothing_about_runs() -> None:
    grades = one_task(a=[[1, 0, 1, 1]], b=[[0, 0, 0, 0]])
    assert run_variances(grades) is None
    comparison = compare_arms(grades, [("a", "b")], 0.05)[0]
    assert (comparison.p, comparison.p_adjusted, comparison.settled) == (None, None, False)


def test_the_common_variance_is_found_again() -> None:
    rng = np.random.default_rng(0)
    prior_df, scale, df = 8.0, 0.02, 4
    true = scale * prior_df / rng.chisquare(prior_df, size=4000)
    observed = true * rng.chisquare(df, size=4000) / df
    found_scale, found_df = common_variance(observed, df)
    assert found_scale == pytest.approx(scale, rel=0.05)
    assert found_df == pytest.approx(prior_df, rel=0.15)
    # Variances that differ no more than chance makes them.
    _, endless = common_variance(np.full(10, 0.3), df)
    assert math.isinf(endless)


def test_difference_and_its_degrees_of_freedom_by_hand() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 2, size=(3, 40)).astype(float) for _ in range(2))
    grades = one_task(a=a.tolist(), b=b.tolist())
    runs = run_variances(grades)
    assert runs is not None
    found = spread(grades, runs, "a", "b")
    parts = [runs["a"].value / 3, runs["b"].value / 3]
    assert found.runs == pytest.approx(sum(parts))
    questions = question_variance(grades, b, a)
    terms = sum(v**2 / r.df for v, r in zip(parts, runs.values(), strict=True)) + questions**2 / 39
    assert found.df == pytest.approx((sum(parts) + questions) ** 2 / terms)
    comparison = compare_arms(grades, [("a", "b")], 0.05)[0]
    t = (a.mean() - b.mean()) / math.sqrt(sum(parts) + questions)
    assert comparison.p == pytest.approx(2 * stats.t.sf(abs(t), found.df))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])
    assert adjusted[p.index(min(p))] == pytest.approx(min(1.0, len(p) * min(p)))


def test_seeds_and_questions_needed_by_hand() -> None:
    # (1.960 + 0.842)^2 = 7.849: 7.849 x 0.01 / 0.1^2 = 7.8 seeds where questions cost nothing.
    assert needed(0.1, 0.01, 0.0, (3, 100), 0.05) == [8, None]
    # Runs alone leave 0.01 / 30; allowed are 0.1^2 / 7.849, so 0.5 / (0.001274 - 0.000333) = 531.4 questions.
    assert needed(0.1, 0.01, 0.5, (30, 100), 0.05)[1] == 532
    assert needed(0.0, 0.01, 0.5, (3, 100), 0.05) == [None, None]


def simulated(rng: np.random.Generator, n_arms: int, effect: float = 0.0) -> Grades:
    """Arms of the same merit (but the first, by `effect`), whose runs, questions and answers vary."""
    n_seeds, n_questions = 3, 80
    hard = rng.normal(0, 0.15, size=n_questions)
    correct: dict[str, Array] = {}
    for i in range(n_arms):
        run = rng.normal(0, 0.06, size=(n_seeds, 1))
        p = np.clip(0.5 + (effect if i == 0 else 0) + run + hard, 0, 1)
        correct[f"arm{i}"] = (rng.random((n_seeds, n_questions)) < p).astype(float)
    return Grades(correct, np.zeros(n_questions, dtype=np.int64))


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_claim_to_be() -> None:
    rng = np.random.default_rng(11)
    pairs = list(combinations([f"arm{i}" for i in range(6)], 2))
    raw = family = n = 0
    for _ in range(150):
        found = compare_arms(simulated(rng, 6), pairs, 0.05)
        raw += sum(c.p is not None and c.p < 0.05 for c in found)
        family += any(c.settled for c in found)
        n += len(found)
    assert 0.03 < raw / n < 0.075
    assert family / 150 < 0.09


def test_a_large_difference_is_found_and_intervals_hold_it() -> None:
    rng = np.random.default_rng(5)
    found = [compare_arms(simulated(rng, 6, effect=0.3), [("arm0", "arm1")], 0.05)[0] for _ in range(100)]
    assert sum(c.settled for c in found) > 80
    assert sum(c.difference.low <= 0.3 <= c.difference.high for c in found) >= 88
