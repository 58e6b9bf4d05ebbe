"""Who is in the running, one case a reason."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError
from stepsift.select.candidates import find_candidates, without_score

# Prompt p has a correct trace, q has none; c-p was never scored, although it is correct.
POOL = make_pool(
    [
        {"prompt_id": "p", "teacher": "a"},
        {"prompt_id": "p", "teacher": "b", "verdict": "wrong"},
        {"prompt_id": "p", "teacher": "c", "scored": False},
        {"prompt_id": "q", "teacher": "a", "verdict": "timeout", "galp": None},
        {"prompt_id": "q", "teacher": "b", "verdict": "unchecked"},
        {"prompt_id": "q", "teacher": "c", "scored": False},
    ]
)


def find(correct, pool=POOL, filtered=None):
    candidates, rejected = find_candidates(pool.prompts, pool.traces, pool.scores(), correct, filtered)
    table_files.validate(tables.REJECTED, rejected)
    assert sorted([*candidates["trace_id"], *rejected["trace_id"]]) == pool.traces["trace_id"].to_list()
    return candidates["trace_id"].to_list(), dict(rejected.select("trace_id", "reason").iter_rows())


def selector(by: str, name: str | None = None) -> params.Selector:
    # Without validation: a name that params.yaml would not allow must not be read as a format.
    return params.Selector(name=by, by=by).model_copy(update={"name": name or by})


def dropped(*trace_ids: str, reason: str = "too_long") -> pl.DataFrame:
    """Rejected rows of a filter."""
    about = POOL.traces.filter(pl.col("trace_id").is_in(trace_ids))
    return about.with_columns(reason=pl.lit(reason), detail=pl.lit("{}")).select(tables.REJECTED.schema.keys())


UNSCORED = {"c-p": "not_scored", "c-q": "not_scored"}


def test_require_keeps_correct_traces():
    assert find("require") == (["a-p"], UNSCORED | dict.fromkeys(("a-q", "b-p", "b-q"), "not_correct"))


def test_prefer_keeps_all_traces_of_a_prompt_without_a_scored_correct_one():
    assert find("prefer") == (["a-p", "a-q", "b-q"], UNSCORED | {"b-p": "not_correct"})


def test_ignore_keeps_every_scored_trace():
    assert find("ignore") == (["a-p", "a-q", "b-p", "b-q"], UNSCORED)


def test_what_a_filter_drops_is_out_before_verdicts_are_looked_at():
    # Without its correct trace a-p, prompt p has none, and keeps what it has.
    assert find("prefer", filtered=dropped("a-p")) == (["a-q", "b-p", "b-q"], UNSCORED | {"a-p": "too_long"})
    expected = UNSCORED | {"b-p": "too_long", "a-q": "not_correct", "b-q": "not_correct"}
    assert find("require", filtered=dropped("b-p")) == (["a-p"], expected)


def test_an_error_counts_what_the_filters_dropped():
    filtered = pl.concat([dropped("a-p", "b-p"), dropped("a-q", "b-q", reason="loop")])
    message = r"select.filters left none of 4 scored traces \(loop 2, too_long 2\); loosen them"
    with pytest.raises(SelectionError, match=message):
        find("ignore", filtered=filtered)


def test_a_dropped_row_says_where_it_came_from_and_why():
    _, rejected = find_candidates(POOL.prompts, POOL.traces, POOL.scores(), "prefer")
    assert rejected.filter(rejected["reason"] == "not_correct").row(0, named=True) == {
        "source": "pool.jsonl",
        "source_line": 2,
        "trace_id": "b-p",
        "teacher": "b",
        "reason": "not_correct",
        "detail": "verdict wrong, select.correct: prefer",
    }


def test_a_null_score_drops_a_trace_from_that_selector_only():
    candidates, _ = find_candidates(POOL.prompts, POOL.traces, POOL.scores(), "prefer")
    assert without_score(candidates, selector("lalp"), {}).is_empty()
    rejected = without_score(candidates, selector("galp", "by-{}.galp"), {})
    assert rejected["trace_id"].to_list() == ["a-q"]
    assert rejected["reason"].to_list() == ["no_score"]
    assert rejected["detail"][0].startswith("selector by-{}.galp: no score; the full pass")


def test_order_of_rows_does_not_matter():
    frames = [f.reverse() for f in (POOL.prompts, POOL.traces, POOL.scores())]
    for got, expected in zip(
        find_candidates(*frames, "prefer"),
        find_candidates(POOL.prompts, POOL.traces, POOL.scores(), "prefer"),
        strict=True,
    ):
        assert_frame_equal(got, expected)


def test_an_error_names_the_filter_that_left_nothing():
    pool = make_pool(
        [
            {"prompt_id": "p", "teacher": t, "verdict": v}
            for t, v in zip("abc", ["wrong"] * 2 + ["timeout"], strict=True)
        ]
    )
    with pytest.raises(
        SelectionError, match=r"left no candidate: none of 3 traces has verdict correct \(timeout 1, wrong 2\); set"
    ):
        find("require", pool)
    with pytest.raises(SelectionError, match=r"none of 2 traces that were scored and kept by select.filters has ver"):
        loop = pool.traces.head(1).with_columns(reason=pl.lit("loop"), detail=pl.lit("x"))
        find("require", pool, filtered=loop.select(tables.REJECTED.schema.keys()))


def test_an_error_says_that_nothing_was_scored():
    pool = make_pool([{"prompt_id": "p", "teacher": "a", "scored": False}])
    with pytest.raises(SelectionError, match="none of 1 trace has step scores"):
        find("ignore", pool)
    with pytest.raises(SelectionError, match="table traces is empty"):
        find("ignore", make_pool([]))


def test_an_error_says_which_pass_a_selector_lacks():
    pool = make_pool([{"prompt_id": "p", "teacher": "a", "galp": None}])
    candidates, _ = find_candidates(pool.prompts, pool.traces, pool.scores(), "ignore")
    with pytest.raises(SelectionError, match="galp has no score for any of 1 candidate; it needs the full pass"):
        without_score(candidates, selector("galp"), {})


def test_an_error_says_why_a_fit_failed():
    candidates, _ = find_candidates(POOL.prompts, POOL.traces, POOL.scores(), "ignore")
    with pytest.raises(SelectionError, match="selector 'mine': no fit for it"):
        without_score(candidates, selector("galp", "mine"), {"galp": "no fit for it"})
