"""Trace sums, block sums, and that sums add up."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helpers.metric_rows import steps_of
from stepsift.core import tables
from stepsift.metrics import over_frames, trace_sums
from stepsift.metrics._sums import COLUMNS, block_sums

EVERY_SUM = (*tables.SUMS, *tables.PICKED)


def test_hand_worked():
    # Steps of 4, 0 and 2 tokens; the full pass was not possible for b, which has one step.
    steps = steps_of(
        [
            {"trace_id": "a", "step": 1, "n_tokens": 4, "n_first": 2, "local_logprob": -2.0, "full_logprob": -1.0},
            {"trace_id": "a", "step": 2, "n_tokens": 0},
            {"trace_id": "a", "step": 3, "n_tokens": 2, "n_first": 1, "local_logprob": -3.0, "full_logprob": -5.0},
            {"trace_id": "b", "step": 1, "n_tokens": 3, "local_logprob": -6.0, "local_rank": 9.0},
        ]
    )
    a, b = trace_sums(steps).rows(named=True)
    assert [a[c] for c in ("n_steps", "n_filled", "n_tokens", "n_first_two")] == [3, 2, 6, 3]
    assert [b[c] for c in ("n_steps", "n_filled", "n_tokens", "n_first_two")] == [1, 1, 3, 0]
    assert (a["local_logprob"], a["full_logprob"], a["local_rank"]) == (-5.0, -6.0, 0.0)
    # -2/4 - 3/2 and -1/4 - 5/2.
    assert (a["local_step_logprob"], a["full_step_logprob"]) == (-2.0, -2.75)
    assert (b["local_rank"], b["full_logprob"], b["full_rank"], b["full_step_logprob"]) == (9.0, None, None, None)
    assert list(a) == ["trace_id", *COLUMNS]


def test_the_first_hundred_tokens_and_branches_are_counted_over_the_trace():
    rows = [(40, False), (0, True), (70, True), (5, True)]
    steps = [{"trace_id": "a", "step": i, "n_tokens": n, "opens_branch": b} for i, (n, b) in enumerate(rows, start=1)]
    short = [{"trace_id": "b", "step": 1, "n_tokens": 99, "opens_branch": None}]
    a, b = trace_sums(steps_of(steps + short)).rows(named=True)
    assert [a[c] for c in ("n_first_100", "n_branches")] == [100, 3]
    assert [b[c] for c in ("n_first_100", "n_branches")] == [99, None]
    # 40 and 60 of the first hundred; none of the last five.
    cut = block_sums(steps_of(steps), 4, ["n_first_100", "n_branches"])
    assert cut.select("n_first_100", "n_branches").rows() == [(40, 0), (0, 1), (60, 1), (0, 1)]


def blocks_of(n_steps: int) -> list[list[int]]:
    """Steps of each of 10 blocks, told apart by powers of two in a sum."""
    rows = [{"trace_id": "a", "step": s, "n_tokens": 1, "local_rank": float(2**s)} for s in range(1, n_steps + 1)]
    rows = [row | {"local_logprob": -1.0} for row in rows]
    blocks = block_sums(steps_of(rows), 10, ["n_tokens", "local_rank"])
    assert blocks.columns == ["trace_id", "block", "n_tokens", "local_rank"]
    assert blocks["block"].to_list() == list(range(blocks.height))
    found = [[s for s in range(1, n_steps + 1) if int(v) >> s & 1] for v in blocks["local_rank"]]
    assert blocks["n_tokens"].to_list() == [len(b) for b in found]
    return found


def test_fewer_steps_than_blocks_are_a_block_each():
    assert blocks_of(7) == [[1], [2], [3], [4], [5], [6], [7]]
    assert blocks_of(1) == [[1]]


def test_blocks_are_runs_of_equal_length_to_one_step():
    # Step s lies in block floor(10 (s - 1) / 25).
    assert blocks_of(25) == [
        *([1, 2, 3], [4, 5], [6, 7, 8], [9, 10], [11, 12, 13]),
        *([14, 15], [16, 17, 18], [19, 20], [21, 22, 23], [24, 25]),
    ]
    assert blocks_of(10) == [[s] for s in range(1, 11)]


# Whole numbers of nats and a power of two of tokens: sums are exact, in whatever order.
STEP = st.builds(
    lambda n, first, x: (
        {"n_tokens": n, "n_first": min(n, first), "opens_branch": first > 0}
        | (
            {f"{p}_{s}": float((-x if "logprob" in s else x) * n) for p in tables.PASSES for s in EVERY_SUM}
            if n
            else {}
        )
    ),
    *(st.sampled_from([0, 1, 2, 4, 8]), st.integers(0, 2), st.integers(0, 99)),
)
TRACES = st.lists(st.lists(STEP, min_size=1, max_size=25), min_size=1, max_size=4)


def rows_of(traces: list[list[dict]]) -> list[dict]:
    return [{"trace_id": f"t{i}", "step": j} | s for i, t in enumerate(traces) for j, s in enumerate(t, start=1)]


@given(TRACES, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_sums_of_blocks_add_up_to_those_of_the_trace(traces, blocks):
    steps = steps_of(rows_of(traces))
    cut = block_sums(steps, blocks, list(COLUMNS))
    sizes = dict(cut.group_by("trace_id").len().rows())
    assert sizes == {f"t{i}": min(blocks, len(t)) for i, t in enumerate(traces)}
    assert cut.group_by("trace_id").agg(pl.col("n_steps").max() - pl.col("n_steps").min())["n_steps"].max() <= 1
    whole = trace_sums(steps).with_columns(pl.col(c).fill_null(0) for c in COLUMNS)
    assert_frame_equal(cut.group_by("trace_id").agg(pl.col(COLUMNS).sum()).sort("trace_id"), whole, check_exact=True)


@given(TRACES, st.randoms())
@settings(max_examples=40, deadline=None)
def test_frames_together_are_the_whole_whatever_their_cut_and_order(traces, rng):
    steps = steps_of(rows_of(traces))
    frames = steps.sample(fraction=1, shuffle=True, seed=rng.randrange(99)).partition_by("trace_id")
    rng.shuffle(frames)
    assert_frame_equal(over_frames(iter(frames)), trace_sums(steps), check_exact=True)


def test_no_frame_is_an_empty_table():
    assert_frame_equal(over_frames(iter([])), trace_sums(steps_of([])))
    assert over_frames(iter([])).columns == ["trace_id", *COLUMNS]


@pytest.mark.parametrize("p", tables.PASSES)
def test_every_sum_of_a_pass_is_summed_into_its_own_column(p):
    values = {f"{p}_{s}": float(-(2**i)) for i, s in enumerate(EVERY_SUM)}
    rows = [{"trace_id": "a", "step": s, "n_tokens": 1} | values for s in (1, 2, 3)]
    found = trace_sums(steps_of(rows)).row(0, named=True)
    assert {c: found[c] for c in values} == {c: 3 * v for c, v in values.items()}
