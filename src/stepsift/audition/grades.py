"""What the students of an audition answered, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grades:
    """S seeds, Q questions, of T tasks: `correct` has a matrix [S, Q] of shares of right answers for each arm.

    `task` [Q] is the number of each question's task. Every task weighs the same, and every question in its task.
    """

    correct: Mapping[str, Array]
    task: NDArray[np.int64]

    @property
    def tasks(self) -> list[NDArray[np.int64]]:
        """For each task the columns of its questions."""
        return [np.flatnonzero(self.task == t) for t in np.unique(self.task)]

    @property
    def weights(self) -> Array:
        """[Q] weights of questions, which add up to 1."""
        counts = np.bincount(self.task)
        return 1 / (len(np.unique(self.task)) * counts[self.task])

    @property
    def n_seeds(self) -> int:
        """S."""
        return len(next(iter(self.correct.values())))


def from_answers(answers: pl.DataFrame) -> Grades:
    """Grades of a frame with arm, seed, task, question and correct: every arm has the same seeds and questions.

    Several answers to a question count as their mean.
    """
    means = answers.group_by("arm", "seed", "task", "question").agg(pl.col("correct").mean())
    ordered = means.sort("arm", "seed", "task", "question")
    questions = ordered.select("task", "question").unique().sort("task", "question")
    n_seeds = ordered["seed"].n_unique()
    correct = {
        str(arm): part["correct"].to_numpy().reshape(n_seeds, questions.height)
        for (arm,), part in ordered.group_by("arm", maintain_order=True)
    }
    return Grades(correct, questions["task"].rank("dense").to_numpy().astype(np.int64) - 1)
