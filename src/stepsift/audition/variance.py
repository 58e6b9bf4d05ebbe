"""How much an accuracy varies: from training run to training run, and from question to question.

An arm of an audition is a matrix of answers, seeds by questions. Its accuracy is a mean over both, and both are drawn:
another seed and another set of questions would give another number. With c_sq = mu + seed_s + question_q + rest_sq,

    Var(mean) = var(a_s) / S + var(c_.q) / Q - MS_rest / (S Q)

a_s: accuracy of seed s; c_.q: mean of question q over seeds; MS_rest: mean square of c_sq less both means, which the
first two terms hold twice. It is the two-way analysis of variance with both factors random (Searle, Casella and
McCulloch, Variance Components, 1992, ch. 4), as used for readers and cases in the comparison of diagnostic tests
(Dorfman, Berbaum and Metz 1992). Tasks weigh the same; within one the questions are the sample.

Three seeds tell little about var(a_s). All arms together tell more: each arm's variance is drawn towards the common
one, as far as the arms agree on it (Smyth, Linear models and empirical Bayes methods for assessing differential
expression in microarray experiments, 2004, sections 4 and 6.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from stepsift.audition.grades import Array, Grades

SMALLEST_SHARE = 1e-5
"""A run variance below this share of the median is raised to it: an arm on the floor may have none at all."""


@dataclass(frozen=True)
class RunVariance:
    """Variance of a student's accuracy from run to run: `value`, with `df` degrees of freedom behind it."""

    value: float
    df: float


@dataclass(frozen=True)
class Spread:
    """Variance of a mean: `runs` and `questions` are its two parts; `df` degrees of freedom of their sum."""

    runs: float
    questions: float
    df: float

    @property
    def total(self) -> float:
        """The variance."""
        return self.runs + self.questions


def run_variances(grades: Grades) -> dict[str, RunVariance] | None:
    """Moderated variance between seeds of every arm; None with a single seed, which tells nothing about it."""
    if grades.n_seeds < 2:
        return None
    raw = np.array([(c @ grades.weights).var(ddof=1) for c in grades.correct.values()])
    if not raw.any():
        return {arm: RunVariance(0.0, float(grades.n_seeds - 1)) for arm in grades.correct}
    floored = np.maximum(raw, SMALLEST_SHARE * (np.median(raw) or raw.mean()))
    df = grades.n_seeds - 1
    prior, prior_df = common_variance(floored, df)
    value = np.full_like(floored, prior) if np.isinf(prior_df) else (prior_df * prior + df * floored) / (prior_df + df)
    return {arm: RunVariance(float(v), prior_df + df) for arm, v in zip(grades.correct, value, strict=True)}


def common_variance(variances: Array, df: int) -> tuple[float, float]:
    """Scale and degrees of freedom of the scaled inverse chi-square from which `variances` (each with `df`) are drawn.

    By the moments of their logarithms (Smyth 2004, section 6.2). Infinite degrees of freedom: they differ no more than
    chance makes them. With one variance alone nothing is known about the others: 0 degrees of freedom.
    """
    if len(variances) < 2:
        return float(variances[0]), 0.0
    e = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    excess = e.var(ddof=1) - polygamma(1, df / 2)
    if excess <= 0:
        return float(np.exp(e.mean())), float("inf")
    # trigamma falls from infinity to 0.
    half = brentq(lambda x: polygamma(1, x) - excess, 1e-8, 1e8)
    return float(np.exp(e.mean() + digamma(half) - np.log(half))), 2 * float(half)


def question_variance(grades: Grades, minus: Array, plus: Array) -> float:
    """Variance, over questions, of the difference `plus` - `minus` of two arms' answers, [S, Q] each.

    What rest_sq adds to it is taken off, since the variance between runs holds it already. At least as if one question
    of each task were chance: where all answers are alike, on the floor say, those of another set need not be.
    """
    n_tasks = len(grades.tasks)
    difference = plus.mean(axis=0) - minus.mean(axis=0)
    parts = []
    for columns in grades.tasks:
        least = 1 / len(columns) ** 2
        own = difference[columns].var(ddof=1) / len(columns) if len(columns) > 1 else 1.0
        parts.append(max(least, own - sum(_rest(c[:, columns]) for c in (minus, plus))))
    return sum(parts) / n_tasks**2


def _rest(correct: Array) -> float:
    """MS_rest / (S Q) of one arm's answers [S, Q] to one task; 0 for a single seed, where it cannot be estimated."""
    n_seeds, n_questions = correct.shape
    if n_seeds < 2 or n_questions < 2:
        return 0.0
    rest = correct - correct.mean(axis=0) - correct.mean(axis=1, keepdims=True) + correct.mean()
    return float((rest**2).sum() / ((n_seeds - 1) * (n_questions - 1)) / (n_seeds * n_questions))


def spread(grades: Grades, runs: Mapping[str, RunVariance] | None, plus: str, minus: str | None = None) -> Spread:
    """Variance of an arm's accuracy, or of its difference to another arm; degrees of freedom after Satterthwaite 1946.

    Seeds of two arms are taken for independent, questions are the same. Without `runs` the part of the runs is 0.
    """
    zero = np.zeros_like(grades.correct[plus])
    questions = question_variance(grades, zero if minus is None else grades.correct[minus], grades.correct[plus])
    of_arms = [] if runs is None else [runs[arm] for arm in (plus, minus) if arm is not None]
    parts = [(r.value / grades.n_seeds, r.df) for r in of_arms]
    n_free = len(grades.task) - len(grades.tasks)
    total = sum(v for v, _ in parts) + questions
    terms = sum(v**2 / df for v, df in [*parts, (questions, max(n_free, 1))])
    return Spread(sum(v for v, _ in parts), questions, total**2 / terms if terms else 1.0)
