"""Teachers' scores where not everybody answered everything: by hand, against least squares written down, simulated."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsift.select import two_way
from stepsift.select.bootstrap import resample_counts
from stepsift.select.two_way import TwoWay, components, meetings
from stepsift.select.widening import stretch_factor

NAN = np.nan


def fitted(values: list[list[float]], weights: list[list[float]] | None = None) -> np.ndarray:
    """Scores [rows, T] of values [P, T], NaN where there is none."""
    scores = np.array(values)
    rows = np.ones((1, len(scores))) if weights is None else np.array(weights, float)
    return TwoWay(np.isfinite(scores), scores[None]).scores(rows)[:, 0]


def test_by_hand():
    # On p, b is 2 above a; on q, c is 4 above b; so a, b, c are at -2, 0, 4 but for one number. Prompt effects are then
    # p 3 and q 5, on average 4.
    assert fitted([[1, 3, NAN], [NAN, 5, 9]])[0] == pytest.approx([2, 4, 8], abs=1e-9)
    # p three times: prompt effects 3, 3, 3, 5, on average 3.5.
    assert fitted([[1, 3, NAN], [NAN, 5, 9]], [[3, 1]])[0] == pytest.approx([1.5, 3.5, 7.5], abs=1e-9)


def test_where_everybody_answered_it_is_the_mean():
    scores = np.random.default_rng(0).normal(size=(2, 40, 5))
    found = TwoWay(np.ones((40, 5), bool), scores).scores(np.ones((1, 40)))[0]
    assert found == pytest.approx(scores.mean(axis=1), abs=1e-13)


def test_means_and_least_squares_agree_where_both_can_be_had():
    # Two teachers alone answered the last prompt, so the equations are solved; where it weighs nothing, all answered.
    scores, weights = np.random.default_rng(1).normal(size=(1, 31, 4)), next(resample_counts(30, 50, 3))
    answered = np.ones((31, 4), bool)
    answered[-1, 2:] = False
    found = TwoWay(answered, scores).scores(np.hstack([weights, np.zeros((50, 1))]))
    means = TwoWay(answered[:-1], scores[:, :-1])
    assert found == pytest.approx(means.scores(weights), abs=1e-9)


POOLS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def pool(rng: np.random.Generator, prompts: int = 25, teachers: int = 5, share: float = 0.5):
    """Who answered what, connected and two on each prompt, and scores [2, P, T]."""
    while True:
        answered = rng.random((prompts, teachers)) < share
        answered = answered[answered.sum(axis=1) > 1]
        if len(answered) and len(components(answered)[0]) == teachers:
            return answered, rng.normal(size=(2, *answered.shape))


@given(POOLS)
@settings(max_examples=20, deadline=None)
def test_it_is_weighted_least_squares(rng):
    answered, scores = pool(rng)
    weights = rng.integers(0, 3, size=(4, len(answered))).astype(float)
    found = TwoWay(answered, scores).scores(weights)
    prompt, teacher = np.nonzero(answered)
    n, teachers = answered.shape
    for row, w in enumerate(weights):
        used = answered[w > 0]
        if not len(used) or len(components(used)) != 1 or not used.any(axis=0).all():
            continue
        design = np.zeros((len(prompt), n + teachers))
        design[np.arange(len(prompt)), prompt] = design[np.arange(len(prompt)), n + teacher] = 1
        root = np.sqrt(w[prompt])
        for k in range(2):
            solution, *_ = np.linalg.lstsq(design * root[:, None], scores[k, prompt, teacher] * root)
            expected = solution[n:] + (w * solution[:n]).sum() / w.sum()
            assert found[row, k] == pytest.approx(expected, abs=1e-8)


@given(POOLS)
@settings(max_examples=20, deadline=None)
def test_the_same_to_the_last_bit_in_any_order_of_prompts_and_in_any_blocks(rng):
    answered, scores = pool(rng)
    weights = rng.integers(0, 3, size=(6, len(answered))).astype(float)
    found, order = TwoWay(answered, scores).scores(weights), rng.permutation(len(answered))
    mixed = TwoWay(answered[order], scores[:, order]).scores(weights[:, order])
    assert np.array_equal(found, mixed, equal_nan=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_way, "_CELLS", 60)
        assert np.array_equal(found, TwoWay(answered, scores).scores(weights), equal_nan=True)


def test_elimination_is_what_single_roundings_give():
    """The same steps in Python's own floats: nothing is fused, reordered or left to a library."""
    answered, scores = pool(np.random.default_rng(4))
    fit = TwoWay(answered, scores[:1])
    adjacent, _, right, _ = fit._sums(np.ones((1, len(answered))).__matmul__)
    ours = two_way._solve(adjacent, right, fit._reference)[0, 0]
    kept = [t for t in range(5) if t != fit._reference]
    pairs = adjacent[0].tolist()
    matrix = [[float(sum(map(Fraction, pairs[i]))) if i == j else -pairs[i][j] for j in kept] for i in kept]
    x = [float(right[0, 0, t]) for t in kept]
    for j in range(4):
        for i in range(j + 1, 4):
            factor = matrix[i][j] / matrix[j][j]
            matrix[i] = [matrix[i][c] if c <= j else matrix[i][c] - factor * matrix[j][c] for c in range(4)]
            x[i] = x[i] - factor * x[j]
    for j in reversed(range(4)):
        x[j] = x[j] / matrix[j][j]
        for i in range(j):
            x[i] = x[i] - x[j] * matrix[i][j]
    assert ours[kept].tolist() == x and ours[fit._reference] == 0


def test_sums_over_prompts_are_exact():
    answered, scores = pool(np.random.default_rng(5), prompts=200, teachers=4)
    fit, weights = TwoWay(answered, scores), next(resample_counts(len(answered), 3, 0))
    for columns in (fit._columns, answered * fit._weight):
        exact = [[sum(int(n) * Fraction(v) for n, v in zip(w, c, strict=True)) for c in columns.T] for w in weights]
        assert [[Fraction(v) for v in row] for row in (weights @ columns)] == exact


def test_equal_teachers_stay_equal():
    answered, scores = pool(np.random.default_rng(6), teachers=6, share=0.6)
    answered[:, 1], scores[:, :, 1] = answered[:, 0], scores[:, :, 0]
    answered = answered[keep := answered.sum(axis=1) > 1]
    found = TwoWay(answered, scores[:, keep]).resampled(300, 0)
    assert np.array_equal(found[:, :, 0], found[:, :, 1], equal_nan=True)


def test_a_resample_that_does_not_connect_a_teacher_gives_it_no_score():
    # Without q there is no c, and without p no a; b is the best covered.
    found = fitted([[1, 3, NAN], [NAN, 5, 9], [2, 3, NAN]], [[2, 0, 1], [0, 3, 0], [1, 1, 1]])
    assert found[0] == pytest.approx([4 / 3, 3, NAN], abs=1e-9, nan_ok=True)
    assert found[1] == pytest.approx([NAN, 5, 9], abs=1e-9, nan_ok=True)
    assert np.isfinite(found[2]).all()
    # Prompts of those that are not connected move nobody's level: c and d alone answered the last.
    scores = [[1, 3, NAN, NAN], [2, 3, NAN, NAN], [NAN, 5, 9, NAN], [NAN, NAN, 70, 20]]
    assert fitted(scores, [[2, 1, 0, 1]])[0] == pytest.approx([4 / 3, 3, NAN, NAN], abs=1e-9, nan_ok=True)


def test_first_prompts_in_order():
    answered, scores = pool(np.random.default_rng(7))
    fit, order = TwoWay(answered, scores), np.random.default_rng(0).permutation(len(answered))
    looks = np.array([1, 4, 9, len(answered)])
    place = np.argsort(order)
    expected = fit.scores((place < looks[:, None]).astype(float))
    assert np.array_equal(fit.of_first(order, looks), expected, equal_nan=True)
    assert np.array_equal(expected[-1], fit.scores(np.ones((1, len(answered))))[0])


def test_components_and_meetings():
    answered = np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 0]], bool)
    assert components(answered) == [[0, 1, 2], [3, 4]]
    assert meetings(answered)[1].tolist() == [1, 2, 1, 0, 0, 0]
    assert components(np.zeros((2, 3), bool)) == []


def test_what_a_comparison_is_worth():
    # Two direct meetings and one through c, over one prompt each: 1/2 + 1/2 + (1 / (2 + 2)) of conductance.
    answered = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)
    worth = TwoWay(answered, np.zeros((1, 4, 3))).worth()
    assert worth[0, 1] == pytest.approx(2 * (1 / 2 + 1 / 2 + 1 / 4), rel=1e-12)
    assert np.isinf(np.diagonal(worth)).all() and np.array_equal(worth, worth.T)


# Simulations: twelve teachers of which each answered a fifth of the prompts.

TEACHERS = 12
TRUE = -0.15 * np.arange(TEACHERS)
"""The first is the best; nats."""


def simulated(number: int, at_random: bool, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Who answered what [P, T] and scores [P, T]; else hard prompts are answered by the stronger half alone (but for
    one cell in fifty), easy ones by the weaker."""
    rng = np.random.default_rng([number, at_random])
    level = rng.normal(size=prompts)
    strong, hard = np.arange(TEACHERS) < TEACHERS // 2, level < np.median(level)
    likely = np.where(strong == hard[:, None], 0.38, 0.02)
    answered = rng.random((prompts, TEACHERS)) < (0.2 if at_random else likely)
    scores = level[:, None] + TRUE + rng.normal(0, 0.5, (prompts, TEACHERS))
    kept = answered.sum(axis=1) > 1
    return answered[kept], scores[kept]


def agreement(scores: np.ndarray) -> float:
    """Kendall's tau with the true order."""
    one, other = np.triu_indices(TEACHERS, 1)
    return float(np.sign(scores[one] - scores[other]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("at_random", [True, False])
@pytest.mark.parametrize(
    ("prompts", "simulations"),
    [(300, 50), pytest.param(150, 150, marks=pytest.mark.slow), pytest.param(60, 200, marks=pytest.mark.slow)],
)
def test_the_order_is_recovered_and_intervals_cover(prompts: int, simulations: int, at_random: bool):
    of_pairs, of_teachers, fits, raws = [], [], [], []
    one, other = np.triu_indices(TEACHERS, 1)
    for number in range(simulations):
        answered, scores = simulated(number, at_random, prompts)
        if len(components(answered)[0]) < TEACHERS:
            continue
        # No prompt is common to all, so that common prompts rank nobody.
        assert not answered.all(axis=1).any() and 0.15 < answered.mean() < 0.35
        fit = TwoWay(answered, scores[None])
        fitted = fit.scores(np.ones((1, len(answered))))[0, 0]
        fits.append(agreement(fitted))
        raws.append(agreement(np.array([scores[answered[:, t], t].mean() for t in range(TEACHERS)])))
        drawn, left_out = fit.resampled(250, number)[:, 0], fit.left_out()[:, 0]
        of_teachers.append(covers(fitted, drawn, left_out, TRUE))
        of_pairs.append(covers(*(v[..., one] - v[..., other] for v in (fitted, drawn, left_out, TRUE))))
    assert len(fits) > 0.9 * simulations
    if prompts == 300:
        assert np.mean(fits) > 0.95
        assert np.mean(raws) < (0.95 if at_random else 0.2)
    assert 0.93 < np.mean(of_teachers) < 0.97
    assert 0.93 < np.mean(of_pairs) < 0.97


def covers(fitted: np.ndarray, drawn: np.ndarray, left_out: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Which 95 % intervals, as `rank_teachers` makes them, hold what is true [n]."""
    low, high = fitted + (np.nanpercentile(drawn, [2.5, 97.5], axis=0) - fitted) * stretch_factor(drawn, left_out)
    return (low <= true) & (true <= high)
