"""The best trace of each prompt."""

import polars as pl
import pytest
from curate_pools import make_pool
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stepsift import tables
from stepsift.curate.candidates import find_candidates
from stepsift.curate.selection import choose
from stepsift.metrics import Metric, all_metrics

LALP, GALP, RANDOM = (all_metrics()[m] for m in ("lalp", "galp", "random"))


def candidates_of(rows: list[dict], correct="ignore") -> pl.DataFrame:
    pool = make_pool(rows)
    return find_candidates(pool.prompts, pool.traces, pool.scores(), correct)[0]


def test_hand_worked():
    curated = choose(
        candidates_of(
            [
                {"prompt_id": "p", "teacher": "a", "lalp": -0.5},
                {"prompt_id": "p", "teacher": "b", "lalp": -0.25, "verdict": "wrong"},
                {"prompt_id": "p", "teacher": "c", "lalp": -2.0},
                {"prompt_id": "q", "teacher": "a", "lalp": -3.0},
            ]
        ),
        LALP,
    )
    assert tables.validate(tables.CURATED, curated).rows() == [
        ("p", "b-p", "b", "lalp", -0.25, "a-p", 0.25, None, "best lalp of 3 candidates (2 correct)"),
        ("q", "a-q", "a", "lalp", -3.0, None, None, None, "only candidate"),
    ]


def test_the_lowest_wins_where_low_is_better():
    rows = [{"prompt_id": "p", "teacher": t, "n_tokens": n} for t, n in (("a", 9), ("b", 4), ("c", 6))]
    shortest = Metric("length", better="low", needs=None, trace=pl.len())
    assert choose(candidates_of(rows), shortest).row(0)[1:7] == ("b-p", "b", "length", 4.0, "c-p", 2.0)


def test_a_tie_goes_to_the_smallest_content_hash_and_says_so():
    rows = [{"prompt_id": "p", "teacher": t, "hash": h} for t, h in (("a", "3"), ("b", "1"), ("c", "2"))]
    curated = choose(candidates_of(rows), LALP).row(0, named=True)
    assert (curated["trace_id"], curated["runner_up"], curated["margin"]) == ("b-p", "c-p", 0.0)
    assert curated["reason"] == "best lalp of 3 candidates (3 correct), a tie broken by content hash"


def test_equal_texts_are_told_apart_by_trace_id():
    rows = [{"prompt_id": "p", "teacher": t, "hash": "same"} for t in "cab"]
    assert choose(candidates_of(rows), LALP)["trace_id"].to_list() == ["a-p"]


def test_null_never_wins_nor_comes_second():
    rows = [
        {"prompt_id": "p", "teacher": "a", "galp": None},
        {"prompt_id": "p", "teacher": "b", "galp": -9.0},
        {"prompt_id": "q", "teacher": "a", "galp": None},
    ]
    assert choose(candidates_of(rows), GALP).select("trace_id", "runner_up", "reason").rows() == [
        ("b-p", None, "only candidate")
    ]


def test_random_takes_the_highest_draw():
    candidates = candidates_of([{"prompt_id": "p", "teacher": t} for t in "abcd"])
    curated = choose(candidates, RANDOM).row(0, named=True)
    assert curated["score"] == candidates["random"].max()
    assert curated["reason"] == "drawn from 4 candidates (4 correct)"


SCORES = st.none() | st.sampled_from([-3.0, -1.0, -0.5]) | st.floats(-1e6, 0)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt_id": st.sampled_from("pqr"),
            "teacher": st.sampled_from("abcd"),
            "galp": SCORES,
            "hash": st.sampled_from("xyz"),
            "verdict": st.sampled_from(["correct", "wrong"]),
        }
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row["prompt_id"], row["teacher"]),
)


@given(ROWS, st.randoms())
def test_properties_of_a_choice(rows, rng):
    candidates = candidates_of(rows)
    curated = choose(candidates, GALP)
    tables.validate(tables.CURATED, curated)
    assert_frame_equal(choose(candidates.sample(fraction=1, shuffle=True, seed=rng.randrange(99)), GALP), curated)

    scored = candidates.filter(pl.col("galp").is_not_null())
    assert curated["prompt_id"].to_list() == sorted(set(scored["prompt_id"]))
    assert curated.join(scored, on=["prompt_id", "trace_id", "teacher"]).height == curated.height
    best = scored.group_by("prompt_id").agg(pl.col("galp").max()).sort("prompt_id")
    assert curated["score"].to_list() == best["galp"].to_list()
    assert (curated["margin"].drop_nulls() >= 0).all()
    assert curated["margin"].is_null().equals(curated["runner_up"].is_null())
    assert (curated["trace_id"] != curated["runner_up"]).drop_nulls().all()


@given(ROWS)
def test_directions_mirror_each_other(rows):
    candidates = candidates_of(rows)
    low = Metric("galp", better="low", needs="full", trace=pl.len())
    mirrored = choose(candidates.with_columns(-pl.col("galp")), low)
    columns = ["prompt_id", "trace_id", "runner_up", "margin", "reason"]
    assert_frame_equal(mirrored.select(columns), choose(candidates, GALP).select(columns))


@pytest.mark.parametrize("selector", ["lalp", "random"])
def test_a_further_prompt_moves_no_other_choice(selector):
    rows = [{"prompt_id": p, "teacher": t, "lalp": -float(i)} for p in "pq" for i, t in enumerate("abc")]
    metric = all_metrics()[selector]
    more = choose(candidates_of([*rows, {"prompt_id": "r", "teacher": "a"}]), metric)
    assert_frame_equal(more.filter(pl.col("prompt_id") != "r"), choose(candidates_of(rows), metric))
