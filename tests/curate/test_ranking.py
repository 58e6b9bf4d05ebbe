"""Teachers against each other."""

import dataclasses

import polars as pl
import pytest
from curate_pools import make_pool
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stepsift import tables
from stepsift.curate import ranking
from stepsift.curate.candidates import find_candidates
from stepsift.curate.ranking import rank_teachers
from stepsift.metrics import all_metrics


def rank(rows: list[dict], domains=None, bootstrap=200, seed=0, shuffle: int | None = None) -> pl.DataFrame:
    pool = make_pool(rows, domains)
    candidates, _ = find_candidates(pool.prompts, pool.traces, pool.scores(), "ignore")
    if shuffle is not None:
        candidates = candidates.sample(fraction=1, shuffle=True, seed=shuffle)
    return tables.validate(tables.TEACHERS, rank_teachers(candidates, bootstrap, seed))


def rows_of(scores: dict[str, dict[str, float]]) -> list[dict]:
    """Teacher to prompt to lalp."""
    return [{"teacher": t, "prompt_id": p, "lalp": x} for t, of in scores.items() for p, x in of.items()]


def of(frame: pl.DataFrame, metric="lalp", domain="all") -> dict[str, dict]:
    part = frame.filter((pl.col("metric") == metric) & (pl.col("domain") == domain))
    return {row["teacher"]: row for row in part.iter_rows(named=True)}


def test_hand_worked():
    # Two prompts have three resamples: pp (1/4), pq (1/2), qq (1/4). Means of a: -1, -1.5, -2; of b: -3, -2.5, -2.
    # a is above b in pp and pq and level in qq: 1/4 + 1/2 + 1/8 = 0.875.
    got = of(rank(rows_of({"b": {"p": -3.0, "q": -2.0}, "a": {"p": -1.0, "q": -2.0}}), bootstrap=20_000))
    assert (got["a"]["mean"], got["a"]["ci_low"], got["a"]["ci_high"], got["a"]["rank"]) == (-1.5, -2.0, -1.0, 1)
    assert (got["b"]["mean"], got["b"]["ci_low"], got["b"]["ci_high"], got["b"]["rank"]) == (-2.5, -3.0, -2.0, 2)
    assert got["a"]["p_above_next"] == pytest.approx(0.875, abs=0.01)
    assert got["b"]["p_above_next"] is None
    assert {(r["n_prompts"], r["n_common"]) for r in got.values()} == {(2, 2)}


def test_only_common_prompts_count():
    # Without its easy prompt r, a is behind b.
    got = of(rank(rows_of({"a": {"p": -2.0, "q": -2.0, "r": 0.0}, "b": {"p": -1.0, "q": -2.0}})))
    assert (got["a"]["n_prompts"], got["a"]["n_common"], got["a"]["mean"], got["a"]["rank"]) == (3, 2, -2.0, 2)
    assert (got["b"]["n_prompts"], got["b"]["n_common"], got["b"]["mean"], got["b"]["rank"]) == (2, 2, -1.5, 1)


def test_several_traces_on_a_prompt_are_averaged_first():
    rows = rows_of({"a": {"p": -1.0, "q": -4.0}})
    rows.append({"teacher": "a", "prompt_id": "p", "lalp": -3.0, "trace_id": "second"})
    assert of(rank(rows))["a"]["mean"] == (-2.0 + -4.0) / 2


def test_a_teacher_of_few_prompts_does_not_shrink_what_is_common():
    full = dict.fromkeys("pqrst", -1.0)
    # 2 of 5 prompts are less than half, 3 of 5 are not.
    got = of(rank(rows_of({"a": full, "b": full, "few": {"p": -9.0, "q": 0.0}})))
    assert got["few"] == {
        "teacher": "few", "metric": "lalp", "domain": "all", "n_prompts": 2, "n_common": 5,
        "mean": None, "ci_low": None, "ci_high": None, "rank": None, "p_above_next": None,
    }  # fmt: skip
    assert [got[t]["n_common"] for t in "ab"] == [5, 5]
    got = of(rank(rows_of({"a": full, "b": full, "more": {"p": -9.0, "q": 0.0, "r": -1.0}})))
    assert [got[t]["n_common"] for t in ("a", "b", "more")] == [3, 3, 3]


def test_nothing_in_common_ranks_nobody():
    got = of(rank(rows_of({"a": {"p": -1.0}, "b": {"q": -2.0}})))
    for t in "ab":
        assert (got[t]["n_prompts"], got[t]["n_common"]) == (1, 0)
        assert [got[t][c] for c in ("mean", "ci_low", "ci_high", "rank", "p_above_next")] == [None] * 5


def test_one_common_prompt_gives_ranks_without_certainty():
    got = of(rank(rows_of({"a": {"p": -1.0}, "b": {"p": -2.0}})))
    assert (got["a"]["mean"], got["a"]["rank"], got["b"]["rank"]) == (-1.0, 1, 2)
    assert [got["a"][c] for c in ("ci_low", "ci_high", "p_above_next")] == [None] * 3


def test_equal_teachers_cannot_be_told_apart():
    got = of(rank(rows_of({t: {"p": -1.1, "q": -2.3, "r": -0.7} for t in "ba"})))
    assert [(got[t]["rank"], got[t]["p_above_next"]) for t in "ab"] == [(1, 0.5), (2, None)]


def test_a_null_score_is_no_prompt_of_the_teacher():
    rows = [
        {"teacher": "a", "prompt_id": "p", "galp": -1.0},
        {"teacher": "a", "prompt_id": "q", "galp": None},
        {"teacher": "b", "prompt_id": "p", "galp": -2.0},
        {"teacher": "b", "prompt_id": "q", "galp": -2.0},
    ]
    frame = rank(rows)
    assert [of(frame, "galp")[t]["n_prompts"] for t in "ab"] == [1, 2]
    assert {row["n_common"] for row in of(frame, "galp").values()} == {1}
    assert {row["n_common"] for row in of(frame, "lalp").values()} == {2}


def test_a_teacher_without_any_score_in_a_domain_is_listed_there():
    rows = [{"teacher": t, "prompt_id": p, "galp": None if p == "p" else -1.0} for t in "ab" for p in "pq"]
    got = of(rank(rows, {"p": "maths", "q": "code"}), "galp", "maths")
    assert [(r["n_prompts"], r["n_common"], r["rank"]) for r in got.values()] == [(0, 0, None)] * 2


def test_metrics_and_domains_that_are_listed():
    rows = [{"teacher": t, "prompt_id": p, "galp": None} for t in "ab" for p in "pqr"]
    frame = rank(rows, {"p": "maths", "q": "all"})
    # galp and step_mean have no score at all, random is a draw.
    assert sorted(set(frame["metric"])) == ["lalp", "lalp_token", "length"]
    assert sorted(set(frame["domain"])) == ["all", "all (domain)", "maths", "none"]
    assert frame.filter(pl.col("metric") == "length")["rank"].null_count() == 8
    assert frame.filter(pl.col("metric") == "length")["mean"].to_list() == [1.0] * 8
    assert of(frame, domain="none")["a"]["n_prompts"] == 1


@pytest.mark.parametrize(("better", "order"), [("high", ["a", "b", "c"]), ("low", ["c", "b", "a"])])
def test_the_direction_turns_the_ranking_round(better, order, monkeypatch):
    lalp = dataclasses.replace(all_metrics()["lalp"], better=better)
    monkeypatch.setattr(ranking, "all_metrics", lambda: {"lalp": lalp})
    got = of(rank(rows_of({t: {"p": x, "q": x - 1} for t, x in (("a", -1.0), ("b", -2.0), ("c", -3.0))})))
    assert sorted(got, key=lambda t: got[t]["rank"]) == order
    assert [got[t]["p_above_next"] for t in order] == [1.0, 1.0, None]


SCORES = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from("pqrstuvw"), st.floats(-1e3, 0), min_size=1),
    min_size=1,
)


@given(SCORES, st.integers(0, 99))
@settings(max_examples=40)
def test_properties_of_a_ranking(scores, seed):
    rows = rows_of(scores)
    frame = rank(rows, {"p": "maths", "q": "maths"}, seed=seed)
    assert_frame_equal(rank(rows, {"p": "maths", "q": "maths"}, seed=seed, shuffle=seed), frame, check_exact=True)

    bounded = frame.filter(pl.col("ci_low").is_not_null())
    assert (bounded["ci_low"] <= bounded["mean"]).all() and (bounded["mean"] <= bounded["ci_high"]).all()
    assert frame["p_above_next"].drop_nulls().is_between(0, 1).all()
    ranked = frame.filter(pl.col("rank").is_not_null())
    assert (ranked["n_common"] <= ranked["n_prompts"]).all()
    for _, part in ranked.group_by("metric", "domain"):
        ordered = part.sort("rank")
        assert ordered["rank"].to_list() == list(range(1, part.height + 1))
        assert ordered["mean"].is_sorted(descending=True)
        assert ordered["p_above_next"].is_null().to_list().index(True) in (0, part.height - 1)


def test_another_domain_or_seed_moves_only_what_it_must():
    rows = rows_of({t: {p: -float(i * j % 7) for j, p in enumerate("pqrs", 1)} for i, t in enumerate("ab", 1)})
    frame = rank(rows, {"p": "maths", "q": "maths"})
    more = rank([*rows, {"teacher": "a", "prompt_id": "z"}], {"p": "maths", "q": "maths", "z": "code"})
    maths = pl.col("domain") == "maths"
    assert_frame_equal(frame.filter(maths), more.filter(maths), check_exact=True)
    interval = ["ci_low", "ci_high", "p_above_next"]
    assert_frame_equal(rank(rows, seed=1).drop(interval), rank(rows, seed=2).drop(interval), check_exact=True)
