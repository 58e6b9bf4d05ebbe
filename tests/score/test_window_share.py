"""How much a window shows, worked out by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.score.window_share import WindowShare, metrics, of_teachers, of_token_counts


def share(n_tokens: list[int], window: int | float) -> WindowShare:
    return of_token_counts([np.array(n_tokens)], window)


def test_by_hand():
    # Steps of 2, 4, 4 and 10 tokens, k = 1: the second sees 2 of 2, the third 4 of 6, the fourth 4 of 10.
    assert share([2, 4, 4, 10], 1) == WindowShare(3, pytest.approx((1 + 4 / 6 + 4 / 10) / 3), 1 / 3)
    # k = 2: 2 of 2, 6 of 6, 8 of 10.
    assert share([2, 4, 4, 10], 2) == WindowShare(3, pytest.approx((1 + 1 + 0.8) / 3), pytest.approx(2 / 3))
    # Half of the steps before: one of one, one of two, two of three.
    assert share([2, 4, 4, 10], 0.5) == WindowShare(3, pytest.approx((1 + 4 / 6 + 0.8) / 3), 1 / 3)
    assert share([2, 4, 4, 10], 9) == WindowShare(3, 1.0, 1.0)


def test_a_step_without_tokens_takes_a_place_in_the_window_and_is_not_counted():
    # The empty step is all that the third sees; 0 of 5.
    assert share([5, 0, 3], 1) == WindowShare(1, 0.0, 0.0)
    assert share([0, 5, 3], 1) == WindowShare(1, 1.0, 1.0)


def test_nothing_comes_before_a_first_step():
    assert share([7], 4) == share([], 4) == WindowShare(0, None, None)
    assert of_token_counts([], 4).sentence() == (
        "no step has any of its response before it, so a window changes nothing"
    )


def test_by_teacher_and_over_all():
    rows = [("a", 1, 2), ("a", 2, 2), ("b", 1, 1), ("b", 2, 1), ("b", 3, 2), ("c", 1, 9)]
    steps = pl.DataFrame(rows, schema=["trace_id", "step", "n_tokens"], orient="row")
    teachers = pl.DataFrame({"trace_id": ["a", "b", "c"], "teacher": ["ann", "bob", "carl"]})
    overall, by_teacher = of_teachers(
        [steps.filter(trace_id="b"), steps.filter(pl.col("trace_id") != "b")], teachers, 1
    )
    assert by_teacher == {
        "ann": WindowShare(1, 1.0, 1.0),
        "bob": WindowShare(2, 0.75, 0.5),
        "carl": WindowShare(0, None, None),
    }
    assert overall == WindowShare(3, pytest.approx(2.5 / 3), pytest.approx(2 / 3))
    assert metrics(overall, by_teacher) == {
        "steps": 3,
        "share": 0.8333,
        "share_whole": 0.6667,
        "close_to_step_mean": True,
        "teachers": {
            "ann": {"steps": 1, "share": 1.0, "share_whole": 1.0},
            "bob": {"steps": 2, "share": 0.75, "share_whole": 0.5},
            "carl": {"steps": 0, "share": None, "share_whole": None},
        },
    }
    assert of_teachers([], teachers, 1) == (WindowShare(0, None, None), {})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (0.331, "a step sees 33% of the response before it; 10% of steps see all of it"),
        (0.5, "a step sees 50% of the response before it; 10% of steps see all of it"),
        (
            0.68,
            "a step sees 68% of the response before it; 10% of steps see all of it. Above 50% lalp is close to "
            "step_mean, which has no window: set a smaller score.window, or a share of the steps before (0.25)",
        ),
    ],
)
def test_in_words(seen: float, said: str):
    assert WindowShare(9, seen, 0.1).sentence() == said


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 6) | st.sampled_from([0.05, 0.25, 0.75]))
def test_it_is_what_counting_tokens_gives(n_tokens: list[int], window: int | float):
    shares = []
    for step, n in enumerate(n_tokens):
        visible = window if window >= 1 else max(1, int(np.ceil(round(window * step, 9))))
        before = [s for s in range(step) for _ in range(n_tokens[s])]
        if n and before:
            shares.append(sum(s >= step - visible for s in before) / len(before))
    got = share(n_tokens, window)
    assert (got.steps, got.share) == (len(shares), pytest.approx(np.mean(shares)) if shares else None)
