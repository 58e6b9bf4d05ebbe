"""Sums over a step's tokens, hand-worked; steps without tokens are null wherever they stand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.core import tables
from stepsift.score.cache.scores import OWN_VERSION
from stepsift.score.forward.request import Scores, TokenValues
from stepsift.score.step_sums import Scored, first_tokens, picked_sums, step_rows, sum_steps

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


@pytest.mark.parametrize(
    ("bounds", "top"),
    [([0, 4], [4]), ([0, 1, 4], [0, 4]), ([0, 3, 3, 4], [0, None, 4]), ([0, 0, 4, 4], [None, 4, None])],
)
def test_of_few_tokens_the_one_with_the_most_entropy_is_picked(bounds, top):
    sums = picked_sums(VALUES, np.array(bounds))
    assert tuple(sums) == ("first_100_logprob", "top_entropy") == tables.PICKED
    np.testing.assert_array_equal(sums["top_entropy"], np.array(top, dtype=float))
    # No trace of 4 tokens has a hundredth one.
    np.testing.assert_array_equal(
        sums["first_100_logprob"], sum_steps(VALUES, np.array(bounds), first_tokens(ALL, np.array(bounds)))["logprob"]
    )


def test_picked_of_many_tokens_hand_worked():
    # 401 tokens: ceil(401 / 200) = 3 are picked. The two highest lie in step 2; of two with 3.0 the earlier, in step 1.
    entropy = np.zeros(401)
    entropy[[50, 150, 160, 300]] = 3.0, 9.0, 5.0, 3.0
    values = TokenValues(np.full(401, -2.0), np.ones(401, dtype=int), entropy, np.zeros(401))
    sums = picked_sums(values, np.array([0, 90, 200, 401]))
    assert sums["top_entropy"].tolist() == [3.0, 14.0, 0.0]
    # 90 tokens of the first step and 10 of the second are among the first hundred.
    assert sums["first_100_logprob"].tolist() == [-180.0, -20.0, 0.0]


@pytest.mark.parametrize(("n", "picked"), [(1, 1), (199, 1), (200, 1), (201, 2), (400, 2), (401, 3)])
def test_a_two_hundredth_of_the_tokens_is_picked_and_rounded_up(n, picked):
    values = TokenValues(-np.ones(n), np.ones(n, dtype=int), np.ones(n), np.ones(n))
    assert picked_sums(values, np.array([0, n]))["top_entropy"].tolist() == [picked]


@given(st.lists(st.floats(0, 9, width=32), min_size=1, max_size=450), st.data())
def test_what_is_picked_adds_up_over_whatever_steps(entropy, data):
    n = len(entropy)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
    values = TokenValues(np.arange(n) * -1.0, np.ones(n, dtype=int), np.array(entropy), np.zeros(n))
    sums = picked_sums(values, np.array([0, *cuts, n]))
    best = sorted(entropy, reverse=True)[: (n + 199) // 200]
    assert np.nansum(sums["top_entropy"]) == pytest.approx(sum(best))
    assert np.nansum(sums["first_100_logprob"]) == -sum(range(min(n, 100)))


def test_rows_of_traces_together_are_those_of_each_alone():
    other = TokenValues(*(c[:2] * 3 for c in VALUES.columns()))
    traces = [
        Scored("a", np.array([0, 0, 2, 4]), np.array([False, True, True, True]), Scores(VALUES, None)),
        Scored("b", np.array([0, 1, 2]), np.array([True, False]), Scores(other, other)),
        Scored("c", np.array([0, 4, 4]), ALL, Scores(None, VALUES), np.array([False, True])),
    ]
    together = step_rows(traces)
    assert together.equals(pl.concat(step_rows([t]) for t in traces))
    assert together.schema == tables.STEP_SCORES.schema
    assert together["trace_id"].to_list() == list("aaabbcc")
    assert together["step"].to_list() == [1, 2, 3, 1, 2, 1, 2]
    assert together["n_tokens"].to_list() == [0, 2, 2, 1, 1, 4, 0]
    assert together["opens_branch"].to_list() == [None] * 5 + [False, True]
    assert together["local_top_entropy"].to_list() == [None, 0, 4, 0.0, 3.0, None, None]
    assert together["full_first_100_logprob"].to_list() == [None, None, None, -3, -6, -15, None]
    assert together["n_first"].to_list() == [0, 1, 2, 1, 0, 2, 0]
    assert together["local_logprob"].to_list() == [None, -3, -12, -3, -6, None, None]
    assert together["local_first_two_logprob"].to_list() == [None, -2, -12, -3, 0, None, None]
    assert together["full_rank"].to_list() == [None, None, None, 3, 100, 204, None]
    assert step_rows([]).schema == tables.STEP_SCORES.schema


def test_other_sums_of_the_same_tokens_need_another_version():
    """Sums are kept under `OWN_VERSION`: raise it, and correct the numbers here, where a sum becomes another."""
    at = np.arange(450)
    values = TokenValues(-(at % 7 + 0.25), at * 3 % 250 + 1, at * 11 % 64 / 16, at % 8 / 8)
    bounds, inked = np.array([0, 3, 3, 120, 450]), np.arange(450) % 3 > 0
    rows = step_rows([Scored("t", bounds, inked, Scores(values, None))]).drop("trace_id", "opens_branch")
    sums = {name: column.sum() for name, column in rows.to_dict().items() if column.null_count() < 4}
    assert (OWN_VERSION, sums) == (1, {
        "step": 10, "n_tokens": 450, "n_first": 6, "local_logprob": -1457.5, "local_rank": 35_100,
        "local_entropy": 882.6875, "local_brier": 196.125, "local_first_logprob": -7.75,
        "local_first_two_logprob": -18.5, "local_first_100_logprob": -320, "local_top_entropy": 11.8125,
    })  # fmt: skip
