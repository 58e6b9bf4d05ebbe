"""Accuracies with intervals, paired tests between arms, and how much more would settle what is open."""

import math
from dataclasses import dataclass, replace

from scipy.stats import norm, t

from stepsift.audition.grades import Grades
from stepsift.audition.variance import Spread, run_variances, spread

POWER = 0.8
"""Probability with which the seeds or questions that `needed` names would find a difference of the size seen."""
MOST_SEEDS, MOST_QUESTIONS = 1_000, 1_000_000
"""More than so many are no help to anybody."""


@dataclass(frozen=True)
class Interval:
    """An accuracy, or a difference of two, with its interval; all of them shares of right answers."""

    value: float
    low: float
    high: float
    stderr: float


@dataclass(frozen=True)
class Comparison:
    """Accuracy of `arm` less that of `other`, in the order that the plan names them.

    `p` is two-sided, `p_adjusted` after Holm over all comparisons of the budget; both None with a single seed.
    `settled`: the difference is not chance. `more_seeds` and `more_questions`: totals at which a difference of this
    size would be found with POWER, all else as it is; None where none would do, where it is settled, or with a single
    seed. The interval is of this difference alone, without regard to the others.
    """

    arm: str
    other: str
    difference: Interval
    p: float | None
    p_adjusted: float | None
    settled: bool
    more_seeds: int | None
    more_questions: int | None


def estimates(grades: Grades, alpha: float) -> dict[str, Interval]:
    """Accuracy of every arm, over seeds and questions; with one seed over questions alone. Intervals end at 0 and 1."""
    runs = run_variances(grades)
    intervals = {}
    for arm, c in grades.correct.items():
        e = _interval(float((c @ grades.weights).mean()), spread(grades, runs, arm), alpha)
        intervals[arm] = replace(e, low=max(0.0, e.low), high=min(1.0, e.high))
    return intervals


@dataclass(frozen=True)
class _Test:
    """Of two arms: the difference of their accuracies, how far it spreads, and its p."""

    pair: tuple[str, str]
    mean: float
    spread: Spread
    p: float


def compare_arms(grades: Grades, pairs: list[tuple[str, str]], alpha: float) -> list[Comparison]:
    """Compare pairs of arms, in the given order: t = difference / sqrt(variance), see `variance.py`, Holm-corrected."""
    runs = run_variances(grades)
    tests = []
    for one, other in pairs:
        mean = float(((grades.correct[one] - grades.correct[other]) @ grades.weights).mean())
        of_pair = spread(grades, runs, one, other)
        tests.append(_Test((one, other), mean, of_pair, _p(mean, of_pair)))
    if runs is None:
        return [Comparison(*t.pair, _interval(t.mean, t.spread, alpha), None, None, False, None, None) for t in tests]
    adjusted = holm([t.p for t in tests])
    return [_comparison(grades, test, p, alpha, len(pairs)) for test, p in zip(tests, adjusted, strict=True)]


def holm(p: list[float]) -> list[float]:
    """Adjusted p-values, each at most 1 (Holm, A simple sequentially rejective multiple test procedure, 1979)."""
    adjusted = [0.0] * len(p)
    highest = 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = highest
    return adjusted


def needed(
    difference: float, per_seed: float, per_question: float, n: tuple[int, int], alpha: float
) -> list[int | None]:
    """Seeds, and questions, at which a difference of this size is found with POWER, the other number staying as it is.

    `per_seed` and `per_question` are variances of the difference for one of each, `n` how many there are. By the normal
    distribution; `alpha` is that of a single test. None where no number up to MOST_SEEDS or MOST_QUESTIONS would do.
    """
    if difference == 0:
        return [None, None]
    allowed = (difference / (norm.ppf(1 - alpha / 2) + norm.ppf(POWER))) ** 2
    answers = []
    for own, other, limit in (
        (per_seed, per_question / n[1], MOST_SEEDS),
        (per_question, per_seed / n[0], MOST_QUESTIONS),
    ):
        left = allowed - other
        number = math.ceil(own / left) if left > 0 else math.inf
        answers.append(int(max(number, 1)) if number <= limit else None)
    return answers


def _comparison(grades: Grades, test: _Test, adjusted: float, alpha: float, n_tests: int) -> Comparison:
    settled = adjusted < alpha
    size = (grades.n_seeds, len(grades.task))
    variances = (test.spread.runs * size[0], test.spread.questions * size[1])
    more = [None, None] if settled else needed(test.mean, *variances, size, alpha / n_tests)
    seeds, questions = (m if m is None else max(m, now + 1) for m, now in zip(more, size, strict=True))
    interval = _interval(test.mean, test.spread, alpha)
    return Comparison(*test.pair, interval, test.p, adjusted, settled, seeds, questions)


def _p(mean: float, s: Spread) -> float:
    return float(2 * t.sf(abs(mean) / math.sqrt(s.total), s.df))


def _interval(mean: float, s: Spread, alpha: float) -> Interval:
    stderr = math.sqrt(s.total)
    half = float(t.ppf(1 - alpha / 2, s.df)) * stderr
    return Interval(mean, mean - half, mean + half, stderr)
