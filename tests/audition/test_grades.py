"""Answers as arrays, and what the result of an audition says in six digits."""

import numpy as np
import polars as pl

from stepsift.audition.grades import from_answers
from stepsift.audition.result import _rounded


def test_grades_by_hand() -> None:
    rows = [
        *[("a", seed, task, q, c) for seed, task, q, c in ((0, "t", 0, 1.0), (0, "t", 1, 0.0), (0, "s", 0, 1.0))],
        *[("a", seed, task, q, c) for seed, task, q, c in ((1, "t", 0, 0.0), (1, "t", 1, 0.0), (1, "s", 0, 1.0))],
        *[("b", seed, task, q, 1.0) for seed in (0, 1) for task, q in (("t", 0), ("t", 1), ("s", 0))],
        ("a", 0, "t", 1, 1.0),  # a second answer: half of the two is right
    ]
    schema = {"arm": pl.String, "seed": pl.Int64, "task": pl.String, "question": pl.Int64, "correct": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    for shuffled in (frame, frame.sample(fraction=1, shuffle=True, seed=1)):
        grades = from_answers(shuffled)
        # Seeds are rows; questions are columns, by task and number: s0, t0, t1.
        assert grades.correct["a"].tolist() == [[1.0, 1.0, 0.5], [1.0, 0.0, 0.0]]
        assert grades.correct["b"].tolist() == [[1.0] * 3] * 2
        assert grades.task.tolist() == [0, 1, 1]
        assert grades.weights.tolist() == [0.5, 0.25, 0.25]
        assert grades.n_seeds == 2


def test_numbers_are_rounded_wherever_they_stand_and_nothing_else_changes() -> None:
    content = {
        "a": 1 / 3,
        "b": [2 / 3, (1e-9, "0.12345678")],
        "c": {"d": np.float64(0.12345678), "n": 1234567, "e": None},
    }
    assert _rounded(content) == {
        "a": 0.333333,
        "b": [0.666667, [0.0, "0.12345678"]],
        "c": {"d": 0.123457, "n": 1234567, "e": None},
    }
    assert type(_rounded(content)["c"]["d"]) is float
