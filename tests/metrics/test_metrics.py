"""Every metric against numbers worked out by hand, and what must hold for all of them."""

import math
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import stepsift.metrics
from helpers.metric_rows import score, steps_of, traces_of
from stepsift.core import table_files, tables
from stepsift.core.errors import TableError
from stepsift.metrics import Metric, all_metrics, selectable, to_table, trace_scores, trace_sums

EVERY_SUM = (*tables.SUMS, *tables.PICKED)

# Trace a: steps of 4 and 1 tokens, 2 and 1 of which are first tokens.
A = [
    {
        **{"trace_id": "a", "step": 1, "n_tokens": 4, "n_first": 2},
        **{"local_logprob": -2.0, "local_rank": 8.0, "local_entropy": 2.0, "local_brier": 1.0},
        **{"local_first_logprob": -1.0, "local_first_two_logprob": -1.5},
        **{"opens_branch": False, "local_first_100_logprob": -2.0, "local_top_entropy": 0.0},
        **{"full_first_100_logprob": -1.0, "full_top_entropy": 0.75},
        **{"full_logprob": -1.0, "full_rank": 6.0, "full_entropy": 1.5, "full_brier": 0.5},
        **{"full_first_logprob": -0.5, "full_first_two_logprob": -0.75},
        **{"reference_n_tokens": 2, "reference_local_logprob": -2.0, "reference_full_logprob": -0.2556},
    },
    {
        **{"trace_id": "a", "step": 2, "n_tokens": 1, "n_first": 1},
        **{"local_logprob": -3.0, "local_rank": 30.0, "local_entropy": 1.0, "local_brier": 0.5},
        **{"local_first_logprob": -3.0, "local_first_two_logprob": -3.0},
        **{"opens_branch": True, "local_first_100_logprob": -3.0, "local_top_entropy": 1.0},
        **{"full_first_100_logprob": -2.0, "full_top_entropy": 0.0},
        **{"full_logprob": -2.0, "full_rank": 9.0, "full_entropy": 1.0, "full_brier": 1.0},
        **{"full_first_logprob": -2.0, "full_first_two_logprob": -2.0},
        **{"reference_n_tokens": 3, "reference_local_logprob": -6.0, "reference_full_logprob": -4.47},
    },
]
OF_STEPS = {
    "lalp": (-0.5 + -3.0) / 2,  # step means -2/4 and -3/1
    "step_mean": (-0.25 + -2.0) / 2,
    # 5 tokens in all; sums over both steps: local -5, full -3.
    "lalp_token": -5 / 5,
    "galp": -3 / 5,
    "sum_logprob": -3.0,
    "sum_logprob_local": -5.0,
    # Ranks 6 + 9 and 8 + 30, entropies 1.5 + 1 and 2 + 1.
    "rank": 15 / 5,
    "rank_local": 38 / 5,
    "entropy": 2.5 / 5,
    "entropy_local": 3 / 5,
    "rank_entropy": 15 / 2.5,
    "rank_entropy_local": 38 / 3,
    "rsr": 15 / 3,
    "rsr_local": 38 / 5,
    # Without 3 first tokens, of which the sums are -0.75 - 2 and -1.5 - 3, 2 tokens remain.
    "aslec_drop": (-3 + 2.75) / 2,
    "aslec_drop_local": (-5 + 4.5) / 2,
    # Log-probabilities and entropies: -3 + 2.5 and -5 + 3.
    "cll": -0.5 / 5,
    "cll_local": -2 / 5,
    # The one token of 5 with the most entropy lies in the first step, and in windows in the second.
    "hes": 0.75,
    "hes_local": 1.0,
    # All 5 tokens are among the first 100.
    "first_100": -3 / 5,
    "first_100_local": -5 / 5,
    "branching": 1 / 2,
    # In windows a step's mean is -.5 and -3 for the student, -1 and -2 for the reference.
    "reference_gain": (0.5 - 1.0) / 2,
    # exp(-.1278) - exp(-.25) is .101, exp(-1.49) - exp(-2) is .090.
    "teacher_steps": 1.0,
    "teacher_share": 1 / 2,
    "length": 5.0,
    "longest": 5.0,
    "shortest": 5.0,
}


def test_hand_worked():
    row = score(steps_of(A)).row(0, named=True)
    assert {name: row[name] for name in OF_STEPS} == pytest.approx(OF_STEPS, rel=1e-15)
    others = {"random", "lark_g", "lark_g_local", "aslec_casl", "aslec_casl_local"}
    assert OF_STEPS.keys() | others == all_metrics().keys()
    assert (row["trace_id"], row["prompt_id"], row["teacher"]) == ("a", "p", "t")
    assert (row["n_steps"], row["n_tokens"]) == (2, 5)


def test_directions_and_passes():
    found = {name: (m.better, m.needs) for name, m in all_metrics().items()}
    high = ("aslec_casl", "aslec_drop", "cll", "first_100", "hes", "lark_g", "sum_logprob")
    low = ("entropy", "rank", "rank_entropy", "rsr")
    expected = {"galp": ("high", "full"), "step_mean": ("high", "full")}
    expected |= {"lalp": ("high", "local"), "lalp_token": ("high", "local")}
    for better, names in (("high", high), ("low", low)):
        expected |= dict.fromkeys(names, (better, "full"))
        expected |= {f"{name}_local": (better, "local") for name in names}
    expected |= {"length": (None, None), "random": (None, None), "longest": ("high", None), "shortest": ("low", None)}
    expected |= {"branching": ("low", None), "reference_gain": ("high", "local")}
    expected |= {"teacher_steps": ("high", "full"), "teacher_share": ("high", "full")}
    assert found == expected
    assert selectable() == sorted(expected.keys() - {"length"})
    assert {n for n, m in all_metrics().items() if not m.ranks_teachers} == {
        *("lark_g", "lark_g_local", "longest", "shortest"),
    }
    assert {n for n, m in all_metrics().items() if m.teacher} == {
        *("rsr", "rsr_local", "rank_entropy", "rank_entropy_local"),
    }


@pytest.mark.parametrize("scope", ["local", "full"])
def test_a_metric_has_a_score_exactly_where_its_pass_was_made(scope):
    """Of enough traces for the fits, one pass is missing: what `needs` it is null, all else stays as it was."""
    number = pl.col("trace_id").str.slice(1).cast(pl.Int32)
    steps = steps_of([{**row, "trace_id": f"t{i}"} for i in range(5) for row in A]).with_columns(
        pl.col("n_tokens") + number**2,
        *(pl.col(f"{p}_logprob") - number**3 for p in tables.PASSES),
        *(pl.col(f"{p}_first_two_logprob") - number for p in tables.PASSES),
    )
    lacking = steps.with_columns(pl.lit(None, pl.Float64).alias(f"{scope}_{s}") for s in EVERY_SUM)
    whole, part = score(steps), score(lacking)
    for name, metric in all_metrics().items():
        assert whole[name].null_count() == 0, name
        assert part[name].null_count() == (5 if metric.needs == scope else 0), name


def test_random_is_the_documented_hash_and_follows_the_seed():
    # printf 0:a | sha256sum begins with 9df3c5fab8ef8fe7, 1:a with 4162fddd39a3e422: 53 bits of them over 2^53.
    # A change of the rule would change everybody's data sets.
    assert score(steps_of(A), seed=0)["random"][0] == 0.6170009362330672
    assert score(steps_of(A), seed=1)["random"][0] == 0.2554167428112488


def test_random_is_spread_evenly():
    drawn = score(steps_of([{"trace_id": f"t{i}", "step": 1, "n_tokens": 1} for i in range(4000)]))["random"]
    assert drawn.min() >= 0 and drawn.max() < 1
    tenths = (drawn * 10).floor().value_counts()["count"].cast(pl.Int64)
    assert len(tenths) == 10 and abs(tenths - 400).max() < 100  # five standard deviations


OF_TWO = ["reference_gain", "teacher_share", "teacher_steps"]
NO_REFERENCE = {f"reference_{c}": None for c in tables.OF_REFERENCE}


def test_metrics_of_two_models_are_null_without_a_reference_and_all_others_as_they_were():
    alone = [{k: v for k, v in row.items() if not k.startswith("reference_")} for row in A]
    assert [name for name, m in all_metrics().items() if m.of_two_models] == OF_TWO
    with_it, without, refused = (
        score(steps_of(rows)) for rows in (A, alone, [row | NO_REFERENCE | {"trace_id": "b"} for row in A] + A)
    )
    assert without.select(OF_TWO).row(0) == refused.select(OF_TWO).row(1) == (None, None, None)
    others = [name for name, m in all_metrics().items() if not m.of_two_models]
    assert_frame_equal(with_it.select(others), without.select(others), check_exact=True)


def test_models_meet_on_steps_that_have_tokens_under_both():
    """A step that one tokenizer gives no token is left out, and one that lacks a value makes the trace null."""
    empty_there = A[1] | {"reference_n_tokens": 0, "reference_local_logprob": None, "reference_full_logprob": None}
    empty_here = {k: v for k, v in A[1].items() if k.startswith(("trace", "ref"))} | {"step": 3, "n_tokens": 0}
    row = score(steps_of([A[0], empty_there, empty_here])).row(0, named=True)
    assert [row[name] for name in OF_TWO] == [0.5, 1.0, 1.0]
    assert row["lalp"] == OF_STEPS["lalp"]
    lacking = score(steps_of([A[0], A[1] | {"reference_full_logprob": None}])).row(0, named=True)
    assert [lacking[name] for name in OF_TWO] == [OF_STEPS["reference_gain"], None, None]


def test_a_model_is_its_own_reference_with_no_gain():
    same = [row | {f"reference_{c}": row[c] for c in tables.OF_REFERENCE} for row in A]
    assert score(steps_of(same)).select(OF_TWO).row(0) == (0.0, 0.0, 0.0)


NEEDS_NO_TOKEN = {"branching", "length", "longest", "random", "shortest"}
ZEROS = {f"{p}_{s}": 0.0 for p in tables.PASSES for s in EVERY_SUM}


@pytest.mark.parametrize("values", [{}, ZEROS])
def test_a_step_without_tokens_is_left_out_of_means_and_counted_as_a_step(values):
    with_it = score(steps_of([*A, {"trace_id": "a", "step": 3, "n_tokens": 0} | values])).drop("branching")
    without = score(steps_of(A)).drop("branching")
    assert with_it["n_steps"][0] == 3
    uncounted = with_it.drop("n_steps", "n_branches"), without.drop("n_steps", "n_branches")
    assert_frame_equal(*uncounted, check_exact=True)


def test_a_pass_that_lacks_one_step_gives_null_and_not_a_part():
    lacking = {f"local_{s}": None for s in EVERY_SUM}
    row = score(steps_of([A[0], A[1] | lacking])).row(0, named=True)
    assert [row[name] for name, m in all_metrics().items() if m.needs == "local"] == [None] * 14
    assert row["galp"] == -3 / 5


def test_where_only_sums_are_known_what_is_picked_from_tokens_is_null():
    """As of traces whose scores come from a table of before these columns."""
    unknown = {f"{p}_{s}": None for p in tables.PASSES for s in tables.PICKED} | {"opens_branch": None}
    row, whole = (score(steps_of(rows)).row(0, named=True) for rows in ([A[0], A[1] | unknown], A))
    assert {n for n in all_metrics() if row[n] != whole[n]} == {
        *("branching", "first_100", "first_100_local", "hes", "hes_local"),
    }
    assert [row[name] for name in ("branching", "first_100", "hes_local")] == [None] * 3


@pytest.mark.parametrize("values", [{}, ZEROS])
def test_a_trace_without_any_token_has_no_score(values):
    rows = [*A, {"trace_id": "b", "step": 1, "n_tokens": 0, "opens_branch": False} | values]
    row = score(steps_of(rows)).row(1, named=True)
    assert {name for name in all_metrics() if row[name] is not None} == NEEDS_NO_TOKEN
    assert row["length"] == 0
    # Nor does it take part in what is compared with it.
    for name in ("lark_g", "lark_g_local"):
        assert score(steps_of(rows))[name][0] == score(steps_of(A))[name][0]


def test_aslec_drop_is_null_where_nothing_remains():
    row = score(steps_of([A[1]])).row(0, named=True)
    assert (row["n_tokens"], row["aslec_drop"], row["aslec_drop_local"]) == (1, None, None)
    assert row["galp"] == -2.0


def test_a_score_that_is_not_finite_is_null():
    rows = [A[0] | {"local_logprob": -math.inf, "full_logprob": -0.0, "full_entropy": 0.0}]
    row = score(steps_of(rows)).row(0, named=True)
    assert [row[name] for name in ("lalp", "rsr", "rank_entropy")] == [None] * 3
    assert (row["galp"], row["rank"]) == (0.0, 1.5)


def test_result_is_a_valid_table_even_of_nothing():
    for rows in (A, []):
        table = table_files.validate(tables.TRACE_SCORES, to_table(score(steps_of(rows))))
        assert table.columns == [*tables.TRACE_SCORES.schema, *all_metrics()]
    unfitted = to_table(trace_scores(trace_sums(steps_of(A)), traces_of(steps_of(A)), 0))
    assert table_files.validate(tables.TRACE_SCORES, unfitted)["lark_g"].to_list() == [None]


def test_traces_without_steps_are_absent_and_unknown_ones_refused():
    sums = trace_sums(steps_of(A))
    two = pl.DataFrame({"trace_id": ["a", "b"], "prompt_id": ["p", "p"], "teacher": ["t", "t"]})
    assert trace_scores(sums, two, 0)["trace_id"].to_list() == ["a"]
    with pytest.raises(TableError, match=r"1 trace that the table traces does not.*is a; run 'dvc repro'"):
        trace_scores(sums, two.filter(pl.col("trace_id") == "b"), 0)


VALUES = {"logprob": st.floats(-1e3, 0), "rank": st.floats(1, 4e3), "entropy": st.floats(0, 1e3)}
VALUES |= {"first_100_logprob": st.floats(-1e3, 0), "top_entropy": st.floats(0, 1e3)}
VALUES |= {"brier": st.floats(0, 80), "first_logprob": st.floats(-1e3, 0), "first_two_logprob": st.floats(-1e3, 0)}
LOCAL = st.fixed_dictionaries({f"local_{s}": v for s, v in VALUES.items()})
FULL = st.fixed_dictionaries({f"full_{s}": v for s, v in VALUES.items()})
STEP = st.builds(
    lambda n, first, opens, local, full: (
        {"n_tokens": n, "n_first": min(n, first), "opens_branch": opens} | local | full
    ),
    *(st.integers(0, 40), st.integers(0, 2), st.booleans(), LOCAL, FULL | st.just({})),
)
POOL = st.lists(st.lists(STEP, min_size=1, max_size=6), min_size=1, max_size=6).map(
    lambda traces: [
        {"trace_id": f"t{i}", "step": j} | step
        for i, steps in enumerate(traces)
        for j, step in enumerate(steps, start=1)
    ]
)


@given(POOL, st.randoms())
@settings(max_examples=25)
def test_order_of_rows_never_matters_to_the_last_bit(rows, rng):
    steps = steps_of(rows)
    mixed = steps[rng.sample(range(len(rows)), len(rows))]
    assert_frame_equal(score(mixed), score(steps), check_exact=True)


@given(POOL)
@settings(max_examples=25)
def test_a_trace_scores_the_same_in_any_pool_but_for_what_is_fitted(rows):
    ids = sorted({row["trace_id"] for row in rows})
    fitted = [name for name, m in all_metrics().items() if m.fit is not None]
    alone = pl.concat(score(steps_of([r for r in rows if r["trace_id"] == i])).drop(fitted) for i in ids)
    assert_frame_equal(score(steps_of(rows)).drop(fitted), alone, check_exact=True)


def test_a_metric_is_computed_in_one_way():
    for ways in ({}, {"trace": pl.lit(1.0), "draw": lambda frame, seed: frame["n_steps"]}):
        with pytest.raises(ValueError, match="'x' must have exactly one of"):
            Metric("x", better="high", needs=None, **ways)


@pytest.fixture
def one_more_file(tmp_path, monkeypatch):
    """Puts a file into the metrics package for one test: source text -> None."""

    def add(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setattr(stepsift.metrics, "__path__", [*stepsift.metrics.__path__, str(tmp_path)])
        all_metrics.cache_clear()

    yield add
    monkeypatch.undo()
    sys.modules.pop("stepsift.metrics.fewest_steps", None)
    all_metrics.cache_clear()


SOURCE = """
import polars as pl
from stepsift.metrics import Metric
METRIC = Metric("{}", better="low", needs=None, trace=pl.col("n_steps"))
"""


def test_a_new_file_is_all_that_a_new_metric_takes(one_more_file):
    one_more_file("fewest_steps", SOURCE.format("fewest_steps"))
    assert "fewest_steps" in selectable()
    assert score(steps_of(A))["fewest_steps"].to_list() == [2.0]


def test_a_metric_must_be_named_like_its_file(one_more_file):
    one_more_file("fewest_steps", SOURCE.format("other"))
    with pytest.raises(RuntimeError, match=r"fewest_steps\.py holds a metric named 'other'"):
        all_metrics()


@pytest.mark.slow
def test_importing_metrics_and_curation_loads_no_model_library():
    code = "import sys, stepsift.metrics as m, stepsift.select; m.selectable(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
