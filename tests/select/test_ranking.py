"""Teachers against each other."""

import dataclasses
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helpers.select_pools import make_pool
from stepsift.core import table_files, tables
from stepsift.metrics import all_metrics
from stepsift.select import ranking
from stepsift.select.bootstrap import on_exact_grid
from stepsift.select.ranking import ORDERS, rank_teachers


def rank(
    rows: list[dict], domains=None, bootstrap=200, seed=0, shuffle: int | None = None, correct="ignore", only=("lalp",)
) -> pl.DataFrame:
    """The table of teachers by the metrics `only`; None stands for all, which take many times as long."""
    pool = make_pool(rows, domains)
    candidates = pool.candidates(correct)
    if only is not None:
        others = [name for name in all_metrics() if name in candidates.columns and name not in only]
        candidates = candidates.with_columns(pl.lit(None, candidates.schema[name]).alias(name) for name in others)
    everything = pool.traces.join(pool.prompts, on="prompt_id").select("teacher", "domain")
    if shuffle is not None:
        candidates, everything = (f.sample(fraction=1, shuffle=True, seed=shuffle) for f in (candidates, everything))
    return table_files.validate(tables.TEACHERS, rank_teachers(candidates, everything, bootstrap, seed))


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
    assert {(r["n_prompts"], r["n_compared"]) for r in got.values()} == {(2, 2)}


def test_a_prompt_that_one_teacher_alone_answered_compares_nobody():
    # Without its easy prompt r, a is behind b.
    got = of(rank(rows_of({"a": {"p": -2.0, "q": -2.0, "r": 0.0}, "b": {"p": -1.0, "q": -2.0}})))
    assert (got["a"]["n_prompts"], got["a"]["n_compared"], got["a"]["mean"], got["a"]["rank"]) == (3, 2, -2.0, 2)
    assert (got["b"]["n_prompts"], got["b"]["n_compared"], got["b"]["mean"], got["b"]["rank"]) == (2, 2, -1.5, 1)


def test_several_traces_on_a_prompt_are_averaged_first():
    rows = rows_of({"a": {"p": -1.0, "q": -4.0}})
    rows.append({"teacher": "a", "prompt_id": "p", "lalp": -3.0, "trace_id": "second"})
    assert of(rank(rows))["a"]["mean"] == (-2.0 + -4.0) / 2


def test_a_teacher_of_few_prompts_is_compared_on_them_and_shrinks_nothing():
    full = dict.fromkeys("pqrst", -1.0)
    got = of(rank(rows_of({"a": full, "b": full, "few": {"p": -9.0, "q": 0.0}})))
    assert [got[t]["n_compared"] for t in ("a", "b", "few")] == [5, 5, 5]
    assert [got[t]["n_met"] for t in ("a", "b", "few")] == [5, 5, 2]
    # few is 3.5 below the others on the two prompts where it met them, and these are -1 on average.
    assert [(got[t]["rank"], got[t]["mean"]) for t in ("a", "b", "few")] == [
        (1, pytest.approx(-1.0, abs=1e-9)),
        (2, pytest.approx(-1.0, abs=1e-9)),
        (3, pytest.approx(-4.5, abs=1e-9)),
    ]
    assert (got["a"]["mean"], got["a"]["n_with_next"]) == (got["b"]["mean"], 5)
    assert (got["b"]["n_with_next"], got["few"]["n_with_next"]) == (2, None)


def test_a_chain_is_compared_through_its_middle():
    # b is 1 above a where they meet, c is 2 above b where those do; a and c never met.
    got = of(rank(rows_of({"a": {"p": -3.0}, "b": {"p": -2.0, "q": -9.0}, "c": {"q": -7.0}})))
    assert [got[t]["rank"] for t in "abc"] == [3, 2, 1]
    # With b at 0, the prompts are at -2 and -9, on average at -5.5.
    assert [got[t]["mean"] for t in "abc"] == pytest.approx([-6.5, -5.5, -3.5], abs=1e-9)
    assert {r["component"] for r in got.values()} == {1}
    # Each hangs on a single prompt, but for b.
    assert [got[t]["ci_low"] is None for t in "abc"] == [True, False, True]


def test_only_connected_teachers_are_compared():
    scores = {"a": {"p": -1.0, "q": -1.0}, "b": {"p": -2.0, "q": -1.0}, "c": {"r": -9.0}, "d": {"r": -8.0, "s": 0.0}}
    got = of(rank(rows_of(scores | {"e": {"q": -3.0}, "f": {"t": -1.0}})))
    assert {t: r["component"] for t, r in got.items()} == {"a": 1, "b": 1, "e": 1, "d": 2, "c": 2, "f": 3}
    assert {t: r["n_met"] for t, r in got.items()} == {"a": 2, "b": 2, "c": 1, "d": 1, "e": 1, "f": 0}
    assert {t for t, r in got.items() if r["rank"] is not None} == {"a", "b", "e"}
    assert {r["n_compared"] for r in got.values()} == {2}


def test_of_components_of_equal_size_the_one_of_more_prompts_is_ranked():
    got = of(rank(rows_of({"a": {"p": -1.0}, "b": {"p": -2.0}, "c": {"q": -1.0, "r": 0.0}, "d": {"q": -3.0}})))
    assert [got[t]["component"] for t in "abcd"] == [2, 2, 1, 1]


def test_a_teacher_alone_is_listed_with_its_mean():
    got = of(rank(rows_of({"a": {"p": -1.0, "q": -3.0}})))["a"]
    assert (got["mean"], got["rank"], got["n_compared"], got["n_met"], got["component"]) == (-2.0, 1, 2, 0, 1)
    assert [got[c] for c in ("p_above_next", "n_with_next", "worth_next")] == [None] * 3


@pytest.mark.parametrize(("n", "most"), [(3, 0.95), (19, 0.95), (20, 1.0)])
def test_fewer_than_twenty_prompts_are_never_certain(n, most):
    lead = {t: {f"p{i}": x - i for i in range(n)} for t, x in (("a", 0.0), ("b", -5.0))}
    got = of(rank(rows_of(lead)))
    assert (got["a"]["p_above_next"], got["a"]["worth_next"], got["a"]["n_with_next"]) == (most, n, n)
    bounds = [(1, 1), (2, 2)] if n >= 20 else [(1, 2), (1, 2)]
    assert [(got[t]["rank_low"], got[t]["rank_high"]) for t in "ab"] == bounds


def test_a_chain_is_worth_half_of_its_links():
    # 30 prompts each: a and c never met, and through b the comparison is worth 15.
    links = {"a": range(30), "b": range(60), "c": range(30, 60)}
    level = {"a": 0.0, "b": -9.0, "c": -5.0}
    got = of(rank(rows_of({t: {f"p{i}": level[t] - i % 3 for i in of_t} for t, of_t in links.items()})))
    assert [got[t]["rank"] for t in "acb"] == [1, 2, 3]
    assert (got["a"]["n_with_next"], got["a"]["p_above_next"]) == (0, 0.95)
    assert got["a"]["worth_next"] == pytest.approx(15, rel=1e-9)
    assert (got["c"]["n_with_next"], got["c"]["p_above_next"]) == (30, 1.0)
    assert got["c"]["worth_next"] == pytest.approx(30, rel=1e-9)


def test_nothing_in_common_ranks_nobody():
    got = of(rank(rows_of({"a": {"p": -1.0}, "b": {"q": -2.0}})))
    for t in "ab":
        assert (got[t]["n_prompts"], got[t]["n_compared"]) == (1, 0)
        assert [got[t][c] for c in ("mean", "ci_low", "ci_high", "rank", "p_above_next")] == [None] * 5


def test_one_common_prompt_gives_ranks_without_certainty():
    got = of(rank(rows_of({"a": {"p": -1.0}, "b": {"p": -2.0}})))
    assert (got["a"]["mean"], got["a"]["rank"], got["b"]["rank"]) == (-1.0, 1, 2)
    assert [got["a"][c] for c in ("ci_low", "ci_high", "p_above_next")] == [None] * 3
    assert [(got[t]["rank_low"], got[t]["rank_high"], got[t]["settled_after"]) for t in "ab"] == [(1, 2, 1)] * 2


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
    frame = rank(rows, only=("galp", "lalp"))
    assert [of(frame, "galp")[t]["n_prompts"] for t in "ab"] == [1, 2]
    assert {row["n_compared"] for row in of(frame, "galp").values()} == {1}
    assert {row["n_compared"] for row in of(frame, "lalp").values()} == {2}


def test_a_teacher_without_any_score_in_a_domain_is_listed_there():
    rows = [{"teacher": t, "prompt_id": p, "galp": None if p == "p" else -1.0} for t in "ab" for p in "pq"]
    got = of(rank(rows, {"p": "maths", "q": "code"}, only=("galp",)), "galp", "maths")
    assert [(r["n_prompts"], r["n_compared"], r["rank"]) for r in got.values()] == [(0, 0, None)] * 2


def test_metrics_and_domains_that_are_listed():
    rows = [{"teacher": t, "prompt_id": p, "galp": None} for t in "ab" for p in "pqr"]
    frame = rank(rows, {"p": "maths", "q": "all"}, only=None)
    # No full pass, so no score that needs it; random is a draw, the lengths as selectors and LARK rank no teachers, and
    # CASL has no first tokens to be fitted to.
    of_local = ["entropy_local", "lalp", "lalp_token", "rank_entropy_local", "rank_local", "rsr_local"]
    of_local += ["cll_local", "first_100_local", "hes_local"]
    drop = ["aslec_drop_local", "branching", "length", "sum_logprob_local"]
    assert sorted(set(frame["metric"])) == sorted(of_local + drop)
    assert sorted(set(frame["domain"])) == ["all", "all (domain)", "maths", "none"]
    assert frame.filter(pl.col("metric") == "length")["rank"].null_count() == 8
    assert frame.filter(pl.col("metric") == "length")["mean"].to_list() == [1.0] * 8
    assert of(frame, domain="none")["a"]["n_prompts"] == 1


def test_a_few_metrics_alone_have_the_rows_that_they_have_among_all():
    rows = rows_of({t: {p: -float(i * j % 7) for j, p in enumerate("pqrs", 1)} for i, t in enumerate("ab", 1)})
    pool = make_pool(rows, {"p": "maths"})
    given = pool.candidates(), pool.traces.join(pool.prompts, on="prompt_id").select("teacher", "domain"), 200, 0
    few = rank_teachers(*given, ["length", "lalp", "random"])
    assert few["metric"].unique().sort().to_list() == ["lalp", "length"]
    of_few = (pl.col("domain") == "all") & pl.col("metric").is_in(["lalp", "length"])
    assert_frame_equal(few, rank_teachers(*given).filter(of_few), check_exact=True)
    assert rank_teachers(*given, ["random"]).schema == few.schema


@pytest.mark.parametrize(("better", "order"), [("high", ["a", "b", "c"]), ("low", ["c", "b", "a"])])
def test_the_direction_turns_the_ranking_round(better, order, monkeypatch):
    lalp = dataclasses.replace(all_metrics()["lalp"], better=better)
    monkeypatch.setattr(ranking, "all_metrics", lambda: {"lalp": lalp})
    scores = {t: {f"p{i}": x - i for i in range(20)} for t, x in (("a", -1.0), ("b", -2.0), ("c", -3.0))}
    got = of(rank(rows_of(scores)))
    assert sorted(got, key=lambda t: got[t]["rank"]) == order
    assert [got[t]["p_above_next"] for t in order] == [1.0, 1.0, None]


SCORES = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from("pqrstuvw"), st.floats(-1e3, -1e-3) | st.just(0.0), min_size=1),
    min_size=1,
)


@pytest.mark.slow
@given(SCORES, st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_properties_of_a_ranking(scores, seed):
    rows = rows_of(scores)
    frame = rank(rows, {"p": "maths", "q": "maths"}, seed=seed, only=None)
    shuffled = rank(rows, {"p": "maths", "q": "maths"}, seed=seed, shuffle=seed, only=None)
    assert_frame_equal(shuffled, frame, check_exact=True)

    # A ratio of means may lie outside the percentiles of its resamples, and has no value where one divides by zero.
    means = [name for name, metric in all_metrics().items() if metric.teacher is None]
    # Nor do they bound the mean of a teacher that some resamples do not connect.
    complete = (pl.col("n_met").min() == pl.col("n_compared")).over("metric", "domain")
    bounded = frame.filter(complete, pl.col("ci_low").is_not_null() & pl.col("metric").is_in(means))
    assert (bounded["ci_low"] <= bounded["mean"]).all() and (bounded["mean"] <= bounded["ci_high"]).all()
    assert frame["p_above_next"].drop_nulls().is_between(0, 1).all()
    ranked = frame.filter(pl.col("rank").is_not_null())
    assert (ranked["n_met"] <= ranked["n_compared"]).all() and (ranked["n_met"] <= ranked["n_prompts"]).all()
    assert (ranked["p_above_next"].drop_nulls() <= 0.95).all()
    assert (ranked["worth_next"] <= ranked["n_compared"] + 1e-9).all()
    for _, part in ranked.group_by("metric", "domain"):
        ordered = part.sort("rank")
        assert ordered["rank"].to_list() == list(range(1, part.height + 1))
        metric = all_metrics()[part["metric"][0]]
        assert ordered["mean"].is_sorted(descending=metric.better == "high")
        assert metric.teacher or ordered["p_above_next"].is_null().to_list().index(True) in (0, part.height - 1)


def test_another_domain_or_seed_moves_only_what_it_must():
    rows = rows_of({t: {p: -float(i * j % 7) for j, p in enumerate("pqrs", 1)} for i, t in enumerate("ab", 1)})
    frame = rank(rows, {"p": "maths", "q": "maths"}, only=None)
    more = rank([*rows, {"teacher": "a", "prompt_id": "z"}], {"p": "maths", "q": "maths", "z": "code"}, only=None)
    maths = pl.col("domain") == "maths"
    assert_frame_equal(frame.filter(maths), more.filter(maths), check_exact=True)
    interval = ["ci_low", "ci_high", "p_above_next", "rank_low", "rank_high", "settled_after"]
    one, two = (rank(rows, seed=s, only=None).drop(interval) for s in (1, 2))
    assert_frame_equal(one, two, check_exact=True)


def test_how_much_of_a_teachers_work_is_kept():
    # a: 1 of 3 traces in maths is right, 1 of 1 without a domain; b: 2 of 2 in maths; c: none of 1.
    rows = [
        *(
            {"prompt_id": p, "teacher": "a", "verdict": v}
            for p, v in (("p", "correct"), ("q", "wrong"), ("r", "wrong"))
        ),
        *({"prompt_id": p, "teacher": "b"} for p in "pq"),
        {"prompt_id": "s", "teacher": "a"},
        {"prompt_id": "q", "teacher": "c", "verdict": "wrong", "scored": False},
    ]
    frame = rank(rows, dict.fromkeys("pqr", "maths"), correct="require")
    found = {
        d: {t: (r["n_traces"], r["share_kept"]) for t, r in of(frame, domain=d).items()} for d in set(frame["domain"])
    }
    assert found == {
        "all": {"a": (4, 0.5), "b": (2, 1.0)},
        "maths": {"a": (3, 1 / 3), "b": (2, 1.0)},
        "none": {"a": (1, 1.0)},
    }


def test_bounds_of_ranks_hand_worked():
    prompts = [f"p{i}" for i in range(20)]
    # a is above b and c in every resample; b and c are the same, so that either may be second.
    far = {"a": dict.fromkeys(prompts, -1.0)} | {t: {p: -5.0 - i for i, p in enumerate(prompts)} for t in "bc"}
    got = of(rank(rows_of(far)))
    assert [(got[t]["rank_low"], got[t]["rank"], got[t]["rank_high"]) for t in "abc"] == [
        (1, 1, 1),
        (2, 2, 3),
        (2, 3, 3),
    ]
    # Two equal teachers may both be first or second; apart, their ranks are certain.
    level = {p: -1.0 - i for i, p in enumerate(prompts)}
    got = of(rank(rows_of({"a": level, "b": level})))
    assert [(got[t]["rank_low"], got[t]["rank_high"]) for t in "ab"] == [(1, 2)] * 2
    got = of(rank(rows_of({"a": level, "b": {p: x - 0.5 for p, x in level.items()}})))
    assert [(got[t]["rank_low"], got[t]["rank_high"]) for t in "ab"] == [(1, 1), (2, 2)]


def test_below_the_threshold_two_teachers_are_not_told_apart(monkeypatch):
    # a leads on one of twenty prompts and is level elsewhere: a resample lacks it with probability .95^20 = .358.
    level = {f"p{i}": -float(i) for i in range(20)}
    rows = rows_of({"b": level, "a": level | {"p3": 0.0}})
    for threshold, bounds in ((0.95, [(1, 2), (1, 2)]), (0.8, [(1, 1), (2, 2)])):
        monkeypatch.setattr(ranking, "DISTINGUISHED", threshold)
        got = of(rank(rows, bootstrap=2000))
        assert [(got[t]["rank_low"], got[t]["rank_high"]) for t in "ab"] == bounds
        assert got["a"]["p_above_next"] == pytest.approx(1 - 0.358 / 2, abs=0.02)


def brute_settled(scores: dict[str, list[float]], seed: int) -> int:
    """After how many of the prompts the order is the last one for good, one prompt after another; median of orders."""
    names = sorted(scores)

    def order(prompts) -> list[str]:
        return sorted(names, key=lambda t: (-sum(scores[t][i] for i in prompts), t))

    n = len(scores[names[0]])
    settled = []
    for number in range(ORDERS):
        drawn = list(np.random.default_rng([seed, number]).permutation(n))
        final = order(drawn)
        settled.append(1 + max((k for k in range(1, n + 1) if order(drawn[:k]) != final), default=0))
    return int(np.median(settled))


@given(
    st.lists(st.tuples(*[st.integers(-9, 0)] * 3), min_size=1, max_size=9),
    st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
def test_settled_after_is_what_looking_at_every_prompt_gives(columns, seed):
    scores = {t: [float(c[i]) for c in columns] for i, t in enumerate("abc")}
    rows = rows_of({t: {f"p{j}": x for j, x in enumerate(of_teacher)} for t, of_teacher in scores.items()})
    got = of(rank(rows, seed=seed))
    assert {r["settled_after"] for r in got.values()} == {brute_settled(scores, seed)}


def test_settled_after_hand_worked():
    # a leads on every prompt: settled at once. With one prompt that decides against nine, it lasts until that came.
    lead = rows_of({"a": {f"p{i}": -1.0 for i in range(9)}, "b": {f"p{i}": -2.0 for i in range(9)}})
    assert of(rank(lead))["a"]["settled_after"] == 1
    late = rows_of({"a": {f"p{i}": -1.0 for i in range(9)}, "b": {f"p{i}": 0.0 if i else -99.0 for i in range(9)}})
    places = [
        1 + list(np.random.default_rng([0, k]).permutation(9)).index(0) for k in range(ORDERS)
    ]  # p0 alone puts a above b
    assert of(rank(late))["a"]["settled_after"] == int(np.median(places))


def test_many_prompts_are_looked_at_in_steps(monkeypatch):
    monkeypatch.setattr(ranking, "_LOOKS", 3)
    lead = rows_of({"a": {f"p{i}": -1.0 for i in range(9)}, "b": {f"p{i}": -2.0 for i in range(9)}})
    assert of(rank(lead))["a"]["settled_after"] == 1
    # Looks after 1, 5 and 9 prompts.
    late = rows_of({"a": {f"p{i}": -1.0 for i in range(9)}, "b": {f"p{i}": 0.0 if i else -99.0 for i in range(9)}})
    places = [1 + list(np.random.default_rng([0, k]).permutation(9)).index(0) for k in range(ORDERS)]
    looks = [min(look for look in (1, 5, 9) if look >= place) for place in places]
    assert of(rank(late))["a"]["settled_after"] == int(np.median(looks))


RATIO_ROWS = [
    {"prompt_id": "p", "teacher": "a", "rank": 2.0, "galp": -1.0},
    {"prompt_id": "q", "teacher": "a", "rank": 4.0, "galp": -3.0},
    {"prompt_id": "p", "teacher": "b", "rank": 3.0, "galp": -1.0, "trace_id": "one"},
    {"prompt_id": "p", "teacher": "b", "rank": 5.0, "galp": -4.0, "trace_id": "two"},
    {"prompt_id": "q", "teacher": "b", "rank": 1.0, "galp": -2.0},
]


def test_a_part_of_a_ratio_that_is_not_finite_is_no_prompt_of_the_teacher():
    endless = [row | {"galp": -math.inf} if row["prompt_id"] + row["teacher"] == "pa" else row for row in RATIO_ROWS]
    got = of(rank(endless, only=("rsr",)), "rsr")
    assert [(got[t]["n_prompts"], got[t]["n_compared"], got[t]["mean"]) for t in "ab"] == [(1, 1, 4 / 3), (2, 1, 0.5)]


def test_a_ratio_without_surprisal_is_no_prompt_of_the_teacher_either():
    """Else a resample of such prompts alone would have no ratio, and the whole interval none."""
    free = [row | {"galp": 0.0} if row["prompt_id"] + row["teacher"] == "pa" else row for row in RATIO_ROWS]
    assert [of(rank(free, only=("rsr",)), "rsr")[t]["n_prompts"] for t in "ab"] == [1, 2]


def test_rsr_of_a_teacher_is_a_ratio_of_means():
    # a: (2 + 4) / (1 + 3). b: on p the means 4 and 2.5, so (4 + 1) / (2.5 + 2). The lower is the better: b.
    # Among all metrics, so that a part of another one would be seen.
    got = of(rank(RATIO_ROWS, only=None), "rsr")
    assert (got["a"]["mean"], got["b"]["mean"]) == (6 / 4, pytest.approx(5 / 4.5, rel=1e-14))
    assert (got["a"]["rank"], got["b"]["rank"]) == (2, 1)
    # Not the mean of ratios, which is (2/1 + 4/3) / 2.
    assert got["a"]["mean"] != pytest.approx((2 + 4 / 3) / 2)


@pytest.mark.parametrize("metric", ["rsr", "rsr_local", "rank_entropy", "rank_entropy_local"])
def test_interval_of_a_ratio_is_that_of_resampled_ratios(metric):
    rng = np.random.default_rng(5)
    above, below = rng.uniform(1, 9, size=(2, 12, 2))
    scope = "lalp" if metric.endswith("local") else "galp"
    parts = {"rank": above} | ({"entropy": below} if "entropy" in metric else {scope: -below})
    rows = [
        {"prompt_id": f"p{i:02}", "teacher": t} | {k: float(v[i, j]) for k, v in parts.items()}
        for i in range(12)
        for j, t in enumerate("ab")
    ]
    got = of(rank(rows, bootstrap=300, seed=7, only=(metric,)), metric)
    rng = np.random.default_rng(7)
    drawn = rng.integers(12, size=(300, 12))
    ratios = on_exact_grid(above)[drawn].mean(axis=1) / on_exact_grid(below)[drawn].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5], axis=0)
    means = above.sum(axis=0) / below.sum(axis=0)
    for j, t in enumerate("ab"):
        expected = (means[j], low[j], high[j])
        assert (got[t]["mean"], got[t]["ci_low"], got[t]["ci_high"]) == pytest.approx(expected, rel=1e-12)
    first, second = np.argsort(means)
    share = (ratios[:, first] < ratios[:, second]).mean() + (ratios[:, first] == ratios[:, second]).mean() / 2
    assert got["ab"[first]]["p_above_next"] == pytest.approx(share)


@pytest.mark.parametrize("name", ["all", "{}", "{teacher} {}", "none"])
def test_a_teacher_may_have_any_name(name):
    got = of(rank(rows_of({name: {"p": -1.0, "q": -3.0}, "b": {"p": -2.0, "q": -3.5}})))
    assert (got[name]["rank"], got["b"]["rank"], got[name]["n_traces"]) == (1, 2, 2)
