"""Metrics' rankings of teachers against what training gave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stepsift.audition.grades import Grades
from stepsift.audition.teachers import foresights, resampled_accuracies, shares_best, spearman
from stepsift.metrics import all_metrics
from stepsift.select.ranking import TeacherScores

TEACHERS = ["a", "b", "c", "d", "e"]


def grades(accuracies: list[float], n_questions: int = 400) -> Grades:
    rng = np.random.default_rng(0)
    correct = {t: (rng.random((3, n_questions)) < p).astype(float) for t, p in zip(TEACHERS, accuracies, strict=True)}
    return Grades(correct, np.zeros(n_questions, dtype=np.int64))


def scores(metric: str, means: list[float], teachers: list[str] = TEACHERS, resamples: int = 500) -> TeacherScores:
    return TeacherScores(all_metrics()[metric], teachers, np.array(means), np.tile(means, (resamples, 1)))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_spearman_agrees_with_scipy(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, dtype=float).T
    found = spearman(one[None], other[None])[0]
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(one, other).statistic)


def test_a_metric_that_foresees_and_one_that_is_wrong() -> None:
    measured = grades([0.1, 0.3, 0.5, 0.7, 0.9])
    # entropy is better when it is low: rising values rank the teachers the wrong way round.
    found = foresights(
        measured, [scores("lalp", [-5, -4, -3, -2, -1]), scores("entropy", [1, 2, 3, 4, 5])], 500, 0, 0.05
    )
    right, wrong = found
    assert (right.rho, right.pick, right.regret, right.share_above_first) == (1.0, "e", 0.0, None)
    assert right.rho_interval is not None
    assert right.rho_interval[0] > 0.5
    assert (wrong.rho, wrong.pick) == (-1.0, "a")
    assert wrong.regret == pytest.approx(0.8, abs=0.05)
    assert wrong.share_above_first == pytest.approx(0.0, abs=0.01)


def test_teachers_that_a_metric_does_not_rank_are_left_out() -> None:
    measured = grades([0.1, 0.3, 0.5, 0.7, 0.9])
    found = foresights(measured, [scores("lalp", [3, 2, 1], ["a", "b", "c"])], 500, 0, 0.05)
    assert (found[0].n_teachers, found[0].pick) == (3, "a")
    # The best among those that it ranks, not the best of all.
    assert found[0].regret == pytest.approx(0.4, abs=0.06)
    assert foresights(measured, [scores("lalp", [3, 2], ["a", "b"])], 500, 0, 0.05) == []


def test_teachers_that_all_trained_alike_have_no_correlation() -> None:
    same = Grades({t: np.zeros((1, 9)) for t in TEACHERS}, np.zeros(9, dtype=np.int64))
    found = foresights(same, [scores("lalp", [1, 2, 3, 4, 5])], 500, 0, 0.05)[0]
    assert (found.rho, found.rho_interval, found.regret) == (None, None, 0.0)


def test_resamples_have_the_mean_and_spread_of_the_accuracies() -> None:
    measured = grades([0.1, 0.3, 0.5, 0.7, 0.9])
    drawn = resampled_accuracies(measured, 4000, 0)
    assert drawn.mean(axis=0) == pytest.approx([c.mean() for c in measured.correct.values()], abs=0.01)
    assert np.all(drawn.std(axis=0) > np.sqrt(0.09 / 400 / 3) * 0.8)
    best = shares_best(measured, 4000, 0)
    assert best["e"] > 0.99
    assert sum(best.values()) == pytest.approx(1)
    level = Grades({t: np.zeros((1, 9)) for t in TEACHERS}, np.zeros(9, dtype=np.int64))
    assert shares_best(level, 500, 0) == pytest.approx(dict.fromkeys(TEACHERS, 0.2))
