"""The best traces of each prompt, and how many of them a selector takes."""

import dataclasses

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError
from stepsift.metrics import all_metrics
from stepsift.select.ranking import rank_teachers
from stepsift.select.selection import best, check_selectors, curated, of_teacher, sure_enough, within_budget


def candidates_of(rows: list[dict], seed: int = 0) -> pl.DataFrame:
    return make_pool(rows).candidates(seed=seed)


def selector(by: str = "lalp", **settings) -> params.Selector:
    return params.Selector(name=settings.pop("name", by), by=by, **settings)


def choose(candidates: pl.DataFrame, by: str = "lalp", **settings) -> pl.DataFrame:
    chosen = selector(by, **settings)
    return table_files.validate(tables.CURATED, curated(best(candidates, chosen), chosen))


def test_hand_worked():
    rows = [
        {"prompt_id": "p", "teacher": "a", "lalp": -0.5},
        {"prompt_id": "p", "teacher": "b", "lalp": -0.25, "verdict": "wrong"},
        {"prompt_id": "p", "teacher": "c", "lalp": -2.0},
        {"prompt_id": "q", "teacher": "a", "lalp": -3.0},
    ]
    assert choose(candidates_of(rows), name="mine").rows() == [
        ("p", "b-p", "b", "mine", -0.25, "a-p", 0.25, None, "best lalp of 3 candidates (2 correct)"),
        ("q", "a-q", "a", "mine", -3.0, None, None, None, "only candidate"),
    ]


def test_several_of_a_prompt_hand_worked():
    # Of p the best two of four; the third is the runner-up of both. Of q there are no more than two, so none is left.
    scores = {"p": (-0.5, -0.25, -2.0, -4.0), "q": (-1.0, -3.0), "r": (-1.0,)}
    rows = [
        {"prompt_id": p, "teacher": t, "lalp": x} for p, of in scores.items() for t, x in zip("abcd", of, strict=False)
    ]
    columns = ["trace_id", "score", "runner_up", "margin", "reason"]
    assert choose(candidates_of(rows), per_prompt=2).select(columns).rows() == [
        ("a-p", -0.5, "c-p", 1.5, "place 2 by lalp of 4 candidates (4 correct)"),
        ("b-p", -0.25, "c-p", 1.75, "place 1 by lalp of 4 candidates (4 correct)"),
        ("a-q", -1.0, None, None, "place 1 by lalp of 2 candidates (2 correct)"),
        ("b-q", -3.0, None, None, "place 2 by lalp of 2 candidates (2 correct)"),
        ("a-r", -1.0, None, None, "only candidate"),
    ]


@pytest.mark.parametrize(
    ("by", "winner", "score", "runner_up", "margin"),
    [("shortest", "b-p", 4.0, "c-p", 2.0), ("longest", "a-p", 9.0, "c-p", 3.0), ("rank", "c-p", 1.0, "a-p", 2.0)],
)
def test_the_end_of_a_metric_that_is_better_wins(by, winner, score, runner_up, margin):
    of = {"a": (9, 3.0), "b": (4, 7.0), "c": (6, 1.0)}
    rows = [{"prompt_id": "p", "teacher": t, "n_tokens": n, "rank": r} for t, (n, r) in of.items()]
    found = choose(candidates_of(rows), by).row(0, named=True)
    assert [found[c] for c in ("trace_id", "score", "runner_up", "margin")] == [winner, score, runner_up, margin]


def test_a_tie_goes_to_the_smallest_content_hash_and_says_so():
    rows = [{"prompt_id": "p", "teacher": t, "hash": h} for t, h in (("a", "3"), ("b", "1"), ("c", "2"))]
    found = choose(candidates_of(rows)).row(0, named=True)
    assert (found["trace_id"], found["runner_up"], found["margin"]) == ("b-p", "c-p", 0.0)
    assert found["reason"] == "best lalp of 3 candidates (3 correct), a tie broken by content hash"


def test_equal_texts_are_told_apart_by_trace_id():
    rows = [{"prompt_id": "p", "teacher": t, "hash": "same"} for t in "cab"]
    assert choose(candidates_of(rows))["trace_id"].to_list() == ["a-p"]


def test_null_never_wins_nor_comes_second():
    rows = [
        {"prompt_id": "p", "teacher": "a", "galp": None},
        {"prompt_id": "p", "teacher": "b", "galp": -9.0},
        {"prompt_id": "q", "teacher": "a", "galp": None},
    ]
    # Neither where high nor where low is better.
    for by in ("galp", "rank"):
        found = choose(candidates_of(rows), by).select("trace_id", "runner_up", "reason").rows()
        assert found == [("b-p", None, "only candidate")]


def test_random_takes_the_highest_draw():
    candidates = candidates_of([{"prompt_id": "p", "teacher": t} for t in "abcd"])
    found = choose(candidates, "random").row(0, named=True)
    assert found["score"] == candidates["random"].max()
    assert found["reason"] == "drawn from 4 candidates (4 correct)"


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


@given(ROWS, st.integers(1, 4), st.randoms())
@settings(max_examples=50, deadline=None)
def test_properties_of_a_choice(rows, per_prompt, rng):
    candidates = candidates_of(rows)
    found = choose(candidates, "galp", per_prompt=per_prompt)
    mixed = candidates.sample(fraction=1, shuffle=True, seed=rng.randrange(99))
    assert_frame_equal(choose(mixed, "galp", per_prompt=per_prompt), found)

    scored = candidates.filter(pl.col("galp").is_not_null())
    assert found["prompt_id"].unique().sort().to_list() == sorted(set(scored["prompt_id"]))
    for prompt_id, of_prompt in scored.group_by("prompt_id"):
        ranked = sorted(of_prompt.select(-pl.col("galp"), "content_hash", "trace_id").rows())
        theirs = found.filter(pl.col("prompt_id") == prompt_id[0])
        assert sorted(theirs["trace_id"]) == sorted(i for _, _, i in ranked[:per_prompt])
        left = ranked[per_prompt : per_prompt + 1]
        assert set(theirs["runner_up"]) == {left[0][2] if left else None}
        margins = [abs(s + left[0][0]) if left else None for s in theirs["score"]]
        assert theirs["margin"].to_list() == margins


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_directions_mirror_each_other(rows):
    candidates = candidates_of(rows)
    low = {"galp": dataclasses.replace(all_metrics()["galp"], better="low")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stepsift.metrics.all_metrics", lambda: low)
        mirrored = choose(candidates.with_columns(-pl.col("galp")), "galp")
    columns = ["prompt_id", "trace_id", "runner_up", "margin", "reason"]
    assert_frame_equal(mirrored.select(columns), choose(candidates, "galp").select(columns))


@pytest.mark.parametrize("by", ["lalp", "random"])
def test_a_further_prompt_moves_no_other_choice(by):
    rows = [{"prompt_id": p, "teacher": t, "lalp": -float(i)} for p in "pq" for i, t in enumerate("abc")]
    more = choose(candidates_of([*rows, {"prompt_id": "r", "teacher": "a"}]), by)
    assert_frame_equal(more.filter(pl.col("prompt_id") != "r"), choose(candidates_of(rows), by))


# of_teacher

TEACHERS = [
    {"prompt_id": p, "teacher": t, "lalp": x, "galp": y, "rank": r}
    for p in "pq"
    for t, x, y, r in (("a", -1.0, -3.0, 5.0), ("b{}", -2.0, -2.0, 4.0), ("c", -3.0, -1.0, 6.0))
]


def ranked(rows: list[dict]) -> tuple[pl.DataFrame, pl.DataFrame]:
    pool = make_pool(rows)
    everything = pool.traces.join(pool.prompts, on="prompt_id").select("teacher", "domain")
    return pool.candidates(), rank_teachers(pool.candidates(), everything, 100, 0)


@pytest.mark.parametrize(("by", "winner"), [("lalp", "a"), ("galp", "c"), ("rank", "b{}")])
def test_the_best_teacher_is_the_one_that_ranks_first_by_the_metric(by, winner):
    candidates, teachers = ranked(TEACHERS)
    found = of_teacher(candidates, selector(by, teacher="best"), teachers)
    assert_frame_equal(found, candidates.filter(pl.col("teacher") == winner))
    assert found.height == 2


def test_a_teacher_by_name():
    candidates, teachers = ranked(TEACHERS)
    assert set(of_teacher(candidates, selector(teacher="b{}"), teachers)["teacher"]) == {"b{}"}
    assert_frame_equal(of_teacher(candidates, selector(), teachers), candidates)


def test_a_teacher_that_is_not_there_is_an_error():
    candidates, teachers = ranked(TEACHERS)
    with pytest.raises(SelectionError, match=r"'lalp': no candidate is by teacher 'd'; there are a, b\{\}, c"):
        of_teacher(candidates, selector(teacher="d"), teachers)
    without = candidates.with_columns(galp=pl.when(pl.col("teacher") != "a").then("galp"))
    assert of_teacher(without, selector("galp", teacher="c"), teachers).height
    with pytest.raises(SelectionError, match=r"none of \d candidates by teacher 'a' has a score by galp; name another"):
        of_teacher(without, selector("galp", teacher="a"), teachers)
    for by in ("random", "longest", "lark_g"):
        with pytest.raises(SelectionError, match=f"asks for the best teacher by {by}, which ranks none"):
            of_teacher(candidates, selector(by, teacher="best"), teachers)


# sure_enough

MARGINS = [
    {"prompt_id": p, "teacher": t, "lalp": x}
    for p, of in {"p": (-1.0, -1.25), "q": (-1.0, -1.5), "r": (-1.0, -3.0), "s": (-1.0,)}.items()
    for t, x in zip("ab", of, strict=False)
]


def with_stability(candidates: pl.DataFrame, **of_prompts: float) -> pl.DataFrame:
    shares = pl.DataFrame({"prompt_id": list(of_prompts), "stability": list(of_prompts.values())})
    return best(candidates, selector()).join(shares, on="prompt_id", how="left")


def test_choices_that_are_not_sure_enough_are_dropped_with_a_reason():
    chosen = with_stability(candidates_of(MARGINS), p=1.0, q=0.5, r=0.75)
    kept, dropped = sure_enough(chosen, selector(name="a.b-c", min_margin=0.5, min_stability=0.75))
    # Equal to what is asked for is enough; the only candidate of s has neither, and stays.
    assert sorted(kept["trace_id"]) == ["a-r", "a-s"]
    assert dropped.sort("trace_id").select("trace_id", "reason", "detail").rows() == [
        ("a-p", "low_margin", "selector a.b-c: margin 0.25, min_margin is 0.5"),
        ("a-q", "low_stability", "selector a.b-c: stability 0.5, min_stability is 0.75"),
    ]
    kept, dropped = sure_enough(chosen, selector())
    assert_frame_equal(kept, chosen)
    assert dropped.is_empty() and set(tables.REJECTED.schema) <= set(dropped.columns)


def test_no_choice_that_is_sure_enough_is_an_error_that_says_what_there_is():
    chosen = with_stability(candidates_of(MARGINS), p=1.0, q=0.5, r=0.75).filter(pl.col("prompt_id") != "s")
    message = r"no choice is as sure as asked for \(min_margin 3\); the largest seen are margin 2 and stability 1"
    with pytest.raises(SelectionError, match=message):
        sure_enough(chosen, selector(min_margin=3))
    with pytest.raises(SelectionError, match=r"\(min_margin 0.3, min_stability 0.9\).* margin 2 and stability 1"):
        sure_enough(chosen, selector(min_margin=0.3, min_stability=0.9))


# within_budget

BUDGET = [
    {"prompt_id": f"p{i}", "teacher": t, "lalp": -float(j), "galp": float(j) - 9, "n_tokens": 10 * (i + 1)}
    for i in range(8)
    for j, t in enumerate("abc")
]


def bought(by: str = "lalp", seed: int = 0, rows=BUDGET, **settings) -> pl.DataFrame:
    chosen = selector(by, **settings)
    return within_budget(best(candidates_of(rows), chosen), chosen, seed)


def test_a_budget_of_examples_is_a_prefix_of_one_order_for_all_selectors():
    everything = list(bought(max_examples=8)["prompt_id"])
    assert len(set(everything)) == 8 and everything != sorted(everything)
    for n in range(1, 8):
        assert set(bought(max_examples=n)["prompt_id"]) == set(everything[:n])
        assert set(bought("galp", max_examples=n)["prompt_id"]) == set(everything[:n])
    assert list(bought(max_examples=8, seed=1)["prompt_id"]) != everything
    assert bought(max_examples=99).height == 8 and bought().height == 8


def test_a_budget_of_tokens_ends_before_the_first_that_does_not_fit():
    everything = bought(max_examples=8)
    total = list(everything["n_tokens"].cast(pl.Int64).cum_sum())
    for n in range(1, 9):
        assert set(bought(max_tokens=total[n - 1])["prompt_id"]) == set(everything["prompt_id"][:n])
        if n < 8:
            assert set(bought(max_tokens=total[n] - 1)["prompt_id"]) == set(everything["prompt_id"][:n])
    assert bought(max_tokens=total[4], max_examples=3).height == 3


def test_the_best_of_a_prompt_comes_first_when_the_budget_ends_within_it():
    first = bought(max_examples=1, per_prompt=3)
    assert first["teacher"].to_list() == ["a"]
    assert bought("rank", max_examples=1, per_prompt=3).height == 1
    two = bought(max_examples=5, per_prompt=3)
    assert two.group_by("prompt_id").agg(pl.col("teacher").sort().implode()).height == 2
    assert sorted(two["teacher"]) == ["a", "a", "b", "b", "c"]


def test_of_equal_scores_the_smaller_hash_comes_first_when_the_budget_ends_within_them():
    hashes = {"a": "3", "b": "1", "c": "2"}
    rows = [{"prompt_id": "p", "teacher": t, "hash": h} for t, h in hashes.items()]
    assert [bought(rows=rows, max_examples=n, per_prompt=3)["teacher"].to_list() for n in (1, 2)] == [["b"], ["b", "c"]]


def test_the_order_of_prompts_does_not_depend_on_which_others_there_are():
    everything = list(bought(max_examples=8)["prompt_id"])
    fewer = [row for row in BUDGET if row["prompt_id"] not in ("p0", "p5")]
    assert list(bought(max_examples=8, rows=fewer)["prompt_id"]) == [p for p in everything if p not in ("p0", "p5")]


def test_a_budget_beyond_what_32_bits_count():
    rows = [{"prompt_id": p, "teacher": "a", "n_tokens": 1_500_000_000} for p in "pqr"]
    assert bought(rows=rows, max_tokens=3_000_000_000).height == 2


def test_a_budget_that_holds_nothing_is_an_error():
    first = bought(max_examples=1)["n_tokens"][0]
    with pytest.raises(
        SelectionError, match=rf"max_tokens is {first - 1}, and the first trace alone has {first} tokens"
    ):
        bought(max_tokens=first - 1)


def test_teachers_that_a_selector_names_and_nobody_has_are_problems_of_check():
    selectors = [
        "lalp",
        {"name": "x", "by": "lalp", "teacher": "bobb"},
        {"name": "best", "by": "lalp", "teacher": "best"},
        {"name": "mix", "by": "galp", "quotas": {"teacher": {"anna": 0.5, "zoe": 0.2}}},
    ]
    asked = params.Select.model_validate({"selectors": selectors})
    assert check_selectors(asked, ["bob", "anna"]).problems == [
        "selector 'x' names teacher 'bobb', who has no trace, did you mean 'bob'?",
        "selector 'mix' names teacher 'zoe', who has no trace; there are anna, bob",
    ]
    assert check_selectors(asked, ["bobb", "anna", "zoe"]).problems == []
