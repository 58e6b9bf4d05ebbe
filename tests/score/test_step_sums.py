"""Sums over a step's tokens, hand-worked; steps without tokens are null wherever they stand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.core import tables
from stepsift.score.forward.request import Scores, TokenValues
from stepsift.score.step_sums import Scored, first_tokens, step_rows, sum_steps

VALUES = TokenValues(
    logprob=np.array([-1.0, -2.0, -4.0, -8.0]),
    rank=np.array([1, 250, 3, 100]),
    entropy=np.array([0.5, 1.0, 2.0, 4.0]),
    brier=np.array([0.1, 0.2, 0.4, 0.8]),
)
ALL = np.ones(4, dtype=bool)


@pytest.mark.parametrize(
    ("bounds", "logprob", "rank", "entropy", "brier", "first", "first_two"),
    [
        ([0, 4], [-15], [204], [7.5], [1.5], [-1], [-3]),
        ([0, 1, 4], [-1, -14], [1, 203], [0.5, 7], [0.1, 1.4], [-1, -2], [-1, -6]),
        ([0, 0, 2, 4], [None, -3, -12], [None, 101, 103], [None, 1.5, 6], [None, 0.3, 1.2], [None, -1, -4],
         [None, -3, -12]),
        ([0, 2, 2, 4], [-3, None, -12], [101, None, 103], [1.5, None, 6], [0.3, None, 1.2], [-1, None, -4],
         [-3, None, -12]),
        ([0, 2, 4, 4, 4], [-3, -12, None, None], [101, 103, None, None], [1.5, 6, None, None], [0.3, 1.2, None, None],
         [-1, -4, None, None], [-3, -12, None, None]),
    ],
)  # fmt: skip
def test_sums(bounds, logprob, rank, entropy, brier, first, first_two):
    edges = np.array(bounds)
    sums = sum_steps(VALUES, edges, first_tokens(ALL, edges))
    expected = {"logprob": logprob, "rank": rank, "entropy": entropy, "brier": brier}
    expected |= {"first_logprob": first, "first_two_logprob": first_two}
    assert tuple(sums) == tables.SUMS and sums.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(sums[name], np.array(values, dtype=float), rtol=1e-15, err_msg=name)


@pytest.mark.parametrize(
    ("inked", "bounds", "firsts", "first", "first_two"),
    [
        # The first token is white space, so that the second and the third are the first two.
        ("0111", [0, 4], [[1, 2]], [-2], [-6]),
        ("1001", [0, 4], [[0, 3]], [-1], [-9]),
        # A step of white space alone has none: 0, for it has tokens. One with a single token of ink has that.
        ("0010", [0, 2, 4], [[-1, -1], [2, -1]], [0, -4], [0, -4]),
        ("0000", [0, 4], [[-1, -1]], [0], [0]),
        # Steps without tokens have none, wherever they stand.
        ("1101", [0, 0, 1, 4, 4], [[-1, -1], [0, -1], [1, 3], [-1, -1]], [None, -1, -2, None], [None, -1, -10, None]),
    ],
)
def test_first_tokens_hold_a_character_that_is_not_white_space(inked, bounds, firsts, first, first_two):
    edges = np.array(bounds)
    found = first_tokens(np.array([c == "1" for c in inked]), edges)
    assert found.tolist() == firsts
    sums = sum_steps(VALUES, edges, found)
    np.testing.assert_array_equal(sums["first_logprob"], np.array(first, dtype=float))
    np.testing.assert_array_equal(sums["first_two_logprob"], np.array(first_two, dtype=float))


def test_no_token_has_no_first():
    assert first_tokens(np.zeros(0, dtype=bool), np.array([0, 0, 0])).tolist() == [[-1, -1]] * 2
    sums = sum_steps(TokenValues.empty(0), np.array([0, 0, 0]), np.full((2, 2), -1))
    assert all(np.isnan(v).all() and v.shape == (2,) for v in sums.values())


@given(st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=6))
def test_first_tokens_are_what_walking_through_a_step_finds(steps):
    bounds = np.cumsum([0, *map(len, steps)])
    inked = np.array([ink for step in steps for ink in step], dtype=bool)
    expected = []
    for start, step in zip(bounds, steps, strict=False):
        own = [int(start) + i for i, ink in enumerate(step) if ink][:2]
        expected.append(own + [-1] * (2 - len(own)))
    assert first_tokens(inked, bounds).tolist() == expected


def test_rows_of_traces_together_are_those_of_each_alone():
    other = TokenValues(*(c[:2] * 3 for c in VALUES.columns()))
    traces = [
        Scored("a", np.array([0, 0, 2, 4]), np.array([False, True, True, True]), Scores(VALUES, None)),
        Scored("b", np.array([0, 1, 2]), np.array([True, False]), Scores(other, other)),
        Scored("c", np.array([0, 4, 4]), ALL, Scores(None, VALUES)),
    ]
    together = step_rows(traces)
    assert together.equals(pl.concat(step_rows([t]) for t in traces))
    assert together.schema == tables.STEP_SCORES.schema
    assert together["trace_id"].to_list() == list("aaabbcc")
    assert together["step"].to_list() == [1, 2, 3, 1, 2, 1, 2]
    assert together["n_tokens"].to_list() == [0, 2, 2, 1, 1, 4, 0]
    assert together["n_first"].to_list() == [0, 1, 2, 1, 0, 2, 0]
    assert together["local_logprob"].to_list() == [None, -3, -12, -3, -6, None, None]
    assert together["local_first_two_logprob"].to_list() == [None, -2, -12, -3, 0, None, None]
    assert together["full_rank"].to_list() == [None, None, None, 3, 100, 204, None]
    assert step_rows([]).schema == tables.STEP_SCORES.schema
