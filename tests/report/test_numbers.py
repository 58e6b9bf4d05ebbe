"""What the charts show, worked out by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.core import tables
from stepsift.metrics import all_metrics
from stepsift.report import numbers


def scores(rows: list[tuple[str, str, str, int, int, float | None, float | None]]) -> pl.DataFrame:
    """Rows of trace_scores: trace, prompt, teacher, steps, tokens, lalp, entropy."""
    names = ["trace_id", "prompt_id", "teacher", "n_steps", "n_tokens", "lalp", "entropy"]
    schema = tables.TRACE_SCORES.schema | {"lalp": pl.Float64(), "entropy": pl.Float64()}
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


POOL = scores(
    [
        ("a1", "p1", "ann", 2, 8, -1.0, 3.0),
        ("b1", "p1", "bob", 2, 16, -2.0, 1.0),
        ("a2", "p2", "ann", 4, 32, -3.0, 2.0),
        ("b2", "p2", "bob", 1, 64, -4.0, 4.0),
        ("b3", "p3", "bob", 1, 5, None, None),
    ]
)
METRICS = [all_metrics()["lalp"], all_metrics()["entropy"], all_metrics()["random"]]


def test_quantiles_by_teacher_and_domain():
    domains = pl.DataFrame({"prompt_id": ["p1", "p2", "p3"], "domain": ["x", None, "x"]})
    found = numbers.distributions(POOL, domains, ["lalp"])["lalp"]
    assert found.select("teacher", "domain", "n", "p50").rows() == [
        # bob's median is -3, ann's -2: the lowest first.
        ("bob", "(none)", 1, -4.0),
        ("bob", "x", 1, -2.0),
        ("ann", "(none)", 1, -3.0),
        ("ann", "x", 1, -1.0),
    ]


def test_the_rarest_are_shown_together():
    names = pl.Series("teacher", ["a", "b", "b", "c", "c", "c"])
    assert numbers.few(names, 2) == ["c", "b"]
    shown = names.to_frame().select(numbers.grouped("teacher", ["c", "b"]))["teacher"].to_list()
    assert shown == ["(others)", "b", "b", "c", "c", "c"]


def test_agreement_counts_prompts_with_the_same_best_candidate():
    pairs = numbers.agreement(POOL.with_columns(random=pl.lit(0.5)), METRICS)
    # By lalp ann wins both, by entropy (lower is better) bob the first and ann the second; a draw has no direction.
    assert set(pairs["one"]) == {"lalp", "entropy"}
    row = pairs.filter((pl.col("one") == "lalp") & (pl.col("other") == "entropy")).row(0, named=True)
    assert (row["share"], row["changed"], row["n"]) == (0.5, 1, 2)
    assert pairs.filter(pl.col("one") == pl.col("other"))["share"].to_list() == [1.0, 1.0]


def test_quantiles_are_those_of_their_names():
    rows = [(f"a{i}", f"p{i}", "ann", 1, 4, float(i), None) for i in range(21)]
    domains = pl.DataFrame({"prompt_id": [f"p{i}" for i in range(21)], "domain": ["x"] * 21})
    found = numbers.distributions(scores(rows), domains, ["lalp"])["lalp"]
    assert found.select("p05", "p25", "p50", "p75", "p95").rows() == [(1.0, 5.0, 10.0, 15.0, 19.0)]


def test_of_equal_scores_the_first_trace_counts():
    rows = [("b", "p1", "bob", 1, 4, -1.0, 2.0), ("a", "p1", "ann", 1, 4, -1.0, 1.0)]
    row = numbers.agreement(scores(rows), METRICS[:2]).filter(pl.col("one") != pl.col("other")).row(0, named=True)
    # Both metrics like a: lalp because it comes first, entropy because its score is lower.
    assert (row["share"], row["changed"]) == (1.0, 0)


def test_meetings_count_prompts_with_a_score_of_both():
    found = numbers.meetings(POOL, "lalp")
    assert found.rows() == [
        ("ann", "ann", 2, 1.0),
        ("ann", "bob", 2, 1.0),
        ("bob", "ann", 2, 1.0),
        ("bob", "bob", 2, 1.0),
    ]
    # carl met nobody; a second trace of ann is no second prompt; bob's third prompt has no score.
    more = scores([("c1", "p9", "carl", 1, 1, -1.0, None), ("a3", "p1", "ann", 1, 1, -1.0, None)])
    found = numbers.meetings(pl.concat([POOL, more]), "lalp")
    assert found.filter(pl.col("one") == "carl").select("other", "n", "share").rows() == [
        ("ann", 0, 0.0),
        ("bob", 0, 0.0),
        ("carl", 1, 0.5),
    ]
    assert found.filter(pl.col("one") == "ann")["n"].to_list() == [2, 2, 0]


def test_correlation_with_length():
    found = numbers.correlations(POOL, ["lalp", "entropy"]).rows()
    # Tokens 8, 16, 32, 64 go up while lalp goes down; a step has 4, 8, 8 and 64. Entropy 3, 1, 2, 4 has ranks 3 1 2 4.
    assert found[0][:2] == ("lalp", pytest.approx(-1.0))
    assert found[1][:2] == ("entropy", pytest.approx(0.4))
    assert found[0][2] == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [4, 3, 2, 1])[0, 1])


def test_a_correlation_of_one_value_alone_is_not_defined():
    assert numbers.correlations(POOL.head(1), ["lalp"]).rows() == [("lalp", None, None)]
    alike = POOL.head(4).with_columns(lalp=pl.lit(-1.0))
    assert numbers.correlations(alike, ["lalp"]).rows() == [("lalp", None, None)]


def test_lengths_are_in_half_octaves_and_shares_of_one_length_sum_to_one():
    found = numbers.trace_lengths(POOL, "lalp")
    assert found["length"].to_list() == [8.0, 16.0, 32.0, 64.0]
    assert found["length_end"].to_list() == pytest.approx([8 * 2**0.5, 16 * 2**0.5, 32 * 2**0.5, 64 * 2**0.5])
    assert found["share"].to_list() == [1.0] * 4
    # From -4 to -1 in 40 parts of .075; the highest score is in the last of them.
    assert found["low"].to_list() == pytest.approx([-1.075, -2.05, -3.025, -4.0])
    assert (found["high"] - found["low"]).to_list() == pytest.approx([0.075] * 4)


def test_lengths_of_traces_with_one_score_for_all():
    found = numbers.trace_lengths(POOL.head(2).with_columns(lalp=pl.lit(-1.0)), "lalp")
    assert found.select("length", "low", "high", "n").rows() == [(8.0, -1.0, 0.0, 1), (16.0, -1.0, 0.0, 1)]


def steps(tokens: list[int], sums: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"n_tokens": tokens, "local_logprob": sums}, schema={"n_tokens": pl.Int32, "local_logprob": pl.Float64}
    )


def test_steps_are_counted_part_by_part():
    lengths = numbers.StepLengths()
    lengths.add(steps([4, 4, 0, 4], [-4.0, -8.0, None, None]))
    lengths.add(steps([16], [-48.0]))
    assert lengths.n == 3
    shares = lengths.shares()
    assert shares.select("length", "n").rows() == [(4.0, 1), (4.0, 1), (16.0, 1)]
    assert shares["share"].to_list() == [0.5, 0.5, 1.0]
    # Means -1, -2 and -3 at 2, 2 and 4 octaves.
    assert lengths.correlation == pytest.approx(np.corrcoef([2, 2, 4], [-1, -2, -3])[0, 1])


def test_steps_below_the_scale_are_in_its_lowest_cell():
    lengths = numbers.StepLengths()
    lengths.add(steps([1, 2, 4], [-30.0, 0.0, -4 * 6.0]))
    shares = lengths.shares()
    assert shares["low"].to_list() == pytest.approx([-12.0, -0.3, -6.0])
    assert shares["high"].to_list() == pytest.approx([-11.7, 0.0, -5.7])


@pytest.mark.parametrize("mean", [-1.0, -0.1, -1e-7, 0.0])
def test_means_that_are_alike_have_no_correlation(mean: float):
    lengths = numbers.StepLengths()
    lengths.add(steps([1, 2, 3, 4, 5, 6, 7], [mean * n for n in range(1, 8)]))
    assert lengths.correlation is None


def test_small_means_have_one():
    lengths = numbers.StepLengths()
    lengths.add(steps([4, 8, 16], [-4e-7, -16e-7, -48e-7]))
    assert lengths.correlation == pytest.approx(-1.0)


def test_no_step_has_no_correlation_and_no_shares():
    lengths = numbers.StepLengths()
    lengths.add(steps([], []))
    assert lengths.correlation is None
    assert lengths.shares().is_empty()


@given(st.lists(st.tuples(st.integers(1, 4096), st.floats(-30, 0)), min_size=1, max_size=40), st.integers(0, 40))
def test_parts_do_not_matter(rows: list[tuple[int, float]], cut: int):
    tokens, means = [t for t, _ in rows], [t * m for t, m in rows]
    one, two = numbers.StepLengths(), numbers.StepLengths()
    one.add(steps(tokens, means))
    two.add(steps(tokens[:cut], means[:cut]))
    two.add(steps(tokens[cut:], means[cut:]))
    assert one.shares().equals(two.shares())
    assert one.shares()["n"].sum() == len(rows)


def test_composition_keeps_every_trace():
    curated = {"s": pl.DataFrame({"prompt_id": ["p1", "p2"], "teacher": ["ann", "bob"]})}
    domains = pl.DataFrame({"prompt_id": ["p1", "p2"], "domain": ["x", None]})
    assert numbers.composition(curated, domains).rows() == [("s", "ann", "x", 1), ("s", "bob", "(none)", 1)]


def test_the_rarest_teachers_of_a_set_are_shown_together():
    names = [f"t{i:02}" for i in range(11)] + [f"t{i:02}" for i in range(8)]
    curated = {"s": pl.DataFrame({"prompt_id": ["p"] * 19, "teacher": names})}
    found = numbers.composition(curated, pl.DataFrame({"prompt_id": ["p"], "domain": ["x"]}))
    assert found.height == 10
    assert found.filter(pl.col("teacher") == numbers.OTHERS)["n"].to_list() == [2]


def test_rejections_are_by_stage_and_the_most_frequent_first():
    def rows(*reasons: str) -> pl.DataFrame:
        return pl.DataFrame({"reason": list(reasons)})

    found = numbers.rejections({"ingest": iter([rows("a", "b"), rows("b")]), "select": [rows("a")], "score": []})
    assert found.rows() == [("ingest", "b", 2), ("ingest", "a", 1), ("select", "a", 1)]


STEPS = pl.DataFrame(
    {
        "trace_id": ["a", "a", "a", "b", "b", "c"],
        "step": [1, 2, 3, 1, 2, 1],
        "n_tokens": [2, 6, 2, 4, 0, 8],
        "full_logprob": [-2.0, -3.0, -8.0, -4.0, 0.0, None],
        "local_logprob": [-4.0, -9.0, -6.0, -4.0, 0.0, -1.0],
    },
    schema_overrides={"n_tokens": pl.Int32},
)


def test_along_traces_by_hand():
    # Middles of a: 1, 5 and 9 of 10 tokens; b has one step with tokens, c no score in the whole context.
    along = numbers.AlongTraces(pl.DataFrame({"trace_id": ["a", "b", "c"], "teacher": ["t", "t", "u"]}), parts=2)
    along.add(STEPS)
    assert along.means().rows() == [("t", 1, 2, -1.0, -2.0), ("t", 2, 12, -1.25, -19 / 12)]


def test_along_traces_does_not_depend_on_how_rows_come():
    teachers = pl.DataFrame({"trace_id": ["a", "b", "c"], "teacher": ["t", "u", "u"]})
    whole, pieces, none = (numbers.AlongTraces(teachers) for _ in range(3))
    whole.add(STEPS)
    pieces.add(STEPS[3:].reverse())
    pieces.add(STEPS[:3])
    assert pieces.means().equals(whole.means()) and whole.means().height == 4
    assert none.means().schema == whole.means().schema and none.means().height == 0


def learned(*rows: tuple) -> pl.DataFrame:
    """Table learned: selector, trace, step, place, then local before and after, full before and after."""
    names = ["selector", "trace_id", "step", "place", "local_before", "local_after", "full_before", "full_after"]
    return pl.DataFrame(
        [{"n_tokens": 1} | dict(zip(names, row, strict=True)) for row in rows], schema=tables.LEARNED.schema
    )


LEARNED = learned(
    ("x", "a", 1, 0.0, -9.0, -9.0, -2.0, -1.0),
    ("x", "a", 2, 0.05, -9.0, -9.0, -4.0, -1.0),
    ("x", "a", 3, 0.1, -9.0, -9.0, -1.0, -2.0),
    ("x", "b", 1, 1.0, -9.0, -9.0, None, None),
    ("y", "a", 1, 0.5, -3.0, -2.0, None, None),
)


def test_what_was_learned_is_in_the_whole_context_where_there_is_one():
    # Of y there is no full pass, of trace b of x none either: it is left out.
    assert numbers.gains(LEARNED)["gain"].to_list() == [1.0, 3.0, -1.0, 1.0]


def test_curves_of_what_was_learned_are_means_over_tenths():
    assert numbers.learned_curves(LEARNED).rows() == [
        ("x", 1, 2, -3.0, -1.0),
        ("x", 2, 1, -1.0, -2.0),
        ("y", 6, 1, -3.0, -2.0),
    ]


def test_the_steps_that_were_learned_most_and_least():
    rows = [("x", "a", i, 0.5, -1.0, -1.0, -float(i % 4), 0.0) for i in range(1, 8)] + [
        ("y", *LEARNED.row(4)[1:3], 0.5, 0.0, 1.0, None, None)
    ]
    found = numbers.most_learned(learned(*rows), 2)
    assert found.select("selector", "step", "gain", "most").rows() == [
        *(("x", 3, 3.0, True), ("x", 7, 3.0, True), ("x", 5, 1.0, False), ("x", 4, 0.0, False)),
        ("y", 1, 1.0, True),
    ]
    assert numbers.most_learned(LEARNED.clear()).height == 0
