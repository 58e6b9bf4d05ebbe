"""How well each metric foresaw what training on each teacher gave: rank correlation, and the regret of its first pick.

Both come with percentile intervals of one bootstrap. A resample draws teachers, questions and prompts with replacement,
and for each student a deviation of its training runs from Student's t distribution, with the variance of `variance.py`.
Drawing noise once more on top of what the data hold pulls correlations towards 0 and regrets upwards.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from stepsift.audition.grades import Array, Grades
from stepsift.audition.variance import run_variances
from stepsift.select.ranking import TeacherScores


@dataclass(frozen=True)
class Foresight:
    """One metric against training: Spearman's rho over `n_teachers`, and the regret of the teacher it ranks first.

    Rho is None where all teachers trained alike, to the last answer.
    `regret` is the accuracy of the best teacher less that of `pick`. Intervals are (low, high). `share_above_first` is
    the share of resamples in which rho is higher than that of the first metric of the list; None for that one.
    """

    metric: str
    n_teachers: int
    rho: float | None
    rho_interval: tuple[float, float] | None
    pick: str
    regret: float
    regret_interval: tuple[float, float] | None
    share_above_first: float | None


def foresights(grades: Grades, scores: list[TeacherScores], resamples: int, seed: int, alpha: float) -> list[Foresight]:
    """Compare metrics' scores of teachers with `grades`, whose arms are teachers; in the order of `scores`.

    Teachers that a metric does not rank, or that trained no student, are left out; a metric with fewer than three left
    is not listed.
    """
    names = list(grades.correct)
    accuracy = np.array([(c @ grades.weights).mean() for c in grades.correct.values()])
    drawn = resampled_accuracies(grades, resamples, seed)
    of_metrics: list[Foresight] = []
    first: Array | None = None
    for of_metric in scores:
        both = [t for t in names if t in of_metric.teachers]
        if len(both) < 3:
            continue
        by_accuracy, by_metric = [names.index(t) for t in both], [of_metric.teachers.index(t) for t in both]
        sign = 1 if of_metric.metric.better == "high" else -1
        means = sign * of_metric.means[by_metric]
        rng = np.random.default_rng([seed, 1])
        teachers = rng.integers(len(both), size=(resamples, len(both)))
        rhos = spearman(
            np.take_along_axis(drawn[:, by_accuracy], teachers, axis=1),
            np.take_along_axis(sign * of_metric.resampled[:, by_metric], teachers, axis=1),
        )
        pick = int(np.argmax(means))
        regrets = drawn[:, by_accuracy].max(axis=1) - drawn[:, by_accuracy[pick]]
        of_metrics.append(
            Foresight(
                metric=of_metric.metric.name,
                n_teachers=len(both),
                rho=_defined(float(spearman(accuracy[None, by_accuracy], means[None])[0])),
                rho_interval=_interval(rhos, alpha),
                pick=both[pick],
                regret=float(accuracy[by_accuracy].max() - accuracy[by_accuracy[pick]]),
                regret_interval=_interval(regrets, alpha),
                share_above_first=None if first is None else _share_above(rhos, first),
            )
        )
        first = rhos if first is None else first
    return of_metrics


def resampled_accuracies(grades: Grades, resamples: int, seed: int) -> Array:
    """Accuracies [resamples, arms]: questions drawn within their tasks, the same for all arms, and runs by chance.

    With a single seed chance in training is unknown and not drawn.
    """
    rng = np.random.default_rng([seed, 0])
    means = np.stack([c.mean(axis=0) for c in grades.correct.values()], axis=1)
    drawn = np.zeros((resamples, means.shape[1]))
    for columns in grades.tasks:
        counts = rng.multinomial(len(columns), np.full(len(columns), 1 / len(columns)), size=resamples)
        drawn += counts @ means[columns] / len(columns) / len(grades.tasks)
    runs = run_variances(grades)
    if runs is not None:
        sd = np.sqrt([r.value / grades.n_seeds for r in runs.values()])
        # Above some thousand degrees of freedom it is the normal distribution, and infinitely many cannot be drawn.
        df = np.minimum([r.df for r in runs.values()], 1e6)
        drawn += sd * rng.standard_t(df, size=drawn.shape)
    return drawn


def spearman(one: Array, other: Array) -> Array:
    """Spearman's rank correlation of each row of [rows, n] with the same row of the other; ties share their mean rank.

    NaN where all values of a row are the same.
    """
    a, b = (rankdata(x, axis=1) - (x.shape[1] + 1) / 2 for x in (one, other))
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def shares_best(grades: Grades, resamples: int, seed: int) -> dict[str, float]:
    """The share of resamples in which each arm is the best of all; those that are level share a resample."""
    drawn = resampled_accuracies(grades, resamples, seed)
    best = drawn == drawn.max(axis=1, keepdims=True)
    shares = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return dict(zip(grades.correct, shares.tolist(), strict=True))


def _interval(values: Array, alpha: float) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, [100 * alpha / 2, 100 * (1 - alpha / 2)])
    return float(low), float(high)


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _share_above(rhos: Array, first: Array) -> float | None:
    both = np.isfinite(rhos) & np.isfinite(first)
    return float((np.sign(rhos[both] - first[both]).mean() + 1) / 2) if both.any() else None
