"""Every metric against numbers worked out by hand, and what must hold for all of them."""

import math
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import stepsift.metrics
from stepsift import tables
from stepsift.errors import TableError
from stepsift.metrics import Metric, all_metrics, selectable, trace_scores


def step_scores(rows: list[tuple]) -> pl.DataFrame:
    """Rows of (trace_id, step, n_tokens, local_logprob, full_logprob); the other sums are null."""
    names = ("trace_id", "step", "n_tokens", "local_logprob", "full_logprob")
    schema = {c: t for c, t in tables.STEP_SCORES.schema.items() if c in names}
    frame = pl.DataFrame(rows, schema={c: schema[c] for c in names}, orient="row")
    rest = [pl.lit(None, t).alias(c) for c, t in tables.STEP_SCORES.schema.items() if c not in names]
    return frame.with_columns(rest).select(*tables.STEP_SCORES.schema)


def traces_of(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.select("trace_id").unique().with_columns(prompt_id=pl.lit("p"), teacher=pl.lit("t"))


def score(rows: list[tuple], seed: int = 0) -> pl.DataFrame:
    frame = step_scores(rows)
    return trace_scores(frame, traces_of(frame), seed)


# Trace a: steps of 4 and 1 tokens. Local sums -2 and -3: step means -0.5 and -3, token mean -5/5.
# Full sums -1 and -2: step means -0.25 and -2, token mean -3/5.
A = [("a", 1, 4, -2.0, -1.0), ("a", 2, 1, -3.0, -2.0)]


def test_hand_worked():
    row = score(A).row(0, named=True)
    assert row["lalp"] == (-0.5 + -3.0) / 2
    assert row["lalp_token"] == -5 / 5
    assert row["step_mean"] == (-0.25 + -2.0) / 2
    assert row["galp"] == -3 / 5
    assert row["length"] == 5.0
    assert (row["trace_id"], row["prompt_id"], row["teacher"]) == ("a", "p", "t")
    assert (row["n_steps"], row["n_tokens"]) == (2, 5)


def test_random_is_the_documented_hash_and_follows_the_seed():
    # printf 0:a | sha256sum begins with 9df3c5fab8ef8fe7, 1:a with 4162fddd39a3e422: 53 bits of them over 2^53.
    # A change of the rule would change everybody's data sets.
    assert score(A, seed=0)["random"][0] == 0.6170009362330672
    assert score(A, seed=1)["random"][0] == 0.2554167428112488


def test_random_is_spread_evenly():
    drawn = score([(f"t{i}", 1, 1, -1.0, -1.0) for i in range(4000)])["random"]
    assert drawn.min() >= 0 and drawn.max() < 1
    tenths = (drawn * 10).floor().value_counts()["count"].cast(pl.Int64)
    assert len(tenths) == 10 and abs(tenths - 400).max() < 100  # five standard deviations


@pytest.mark.parametrize("empty", [("a", 3, 0, 0.0, 0.0), ("a", 3, 0, None, None)])
def test_a_step_without_tokens_is_left_out_of_means_and_counted_as_a_step(empty):
    with_it, without = score([*A, empty]), score(A)
    assert with_it["n_steps"][0] == 3
    assert_frame_equal(with_it.drop("n_steps"), without.drop("n_steps"), check_exact=True)


def test_a_pass_that_was_not_possible_gives_null_and_not_0():
    row = score([("a", 1, 4, -2.0, None), ("a", 2, 1, -3.0, None)]).row(0, named=True)
    assert row["galp"] is None and row["step_mean"] is None
    assert row["lalp"] == -1.75


def test_a_pass_that_lacks_one_step_gives_null():
    row = score([("a", 1, 4, -2.0, -1.0), ("a", 2, 1, None, -2.0)]).row(0, named=True)
    assert row["lalp"] is None and row["lalp_token"] is None
    assert row["galp"] == -0.6


def test_a_trace_without_any_token_has_no_mean():
    row = score([("a", 1, 0, 0.0, 0.0)]).row(0, named=True)
    assert [row[m] for m in ("lalp", "lalp_token", "step_mean", "galp")] == [None] * 4
    assert row["length"] == 0


def test_a_score_that_is_not_finite_is_null():
    assert score([("a", 1, 1, -math.inf, -1.0)])["lalp"][0] is None


def test_result_is_a_valid_table_even_of_nothing():
    for rows in (A, []):
        tables.validate(tables.TRACE_SCORES, score(rows))


def test_traces_without_steps_are_absent_and_unknown_ones_refused():
    frame = step_scores(A)
    two = pl.DataFrame({"trace_id": ["a", "b"], "prompt_id": ["p", "p"], "teacher": ["t", "t"]})
    assert trace_scores(frame, two, 0)["trace_id"].to_list() == ["a"]
    with pytest.raises(TableError, match=r"1 traces that the table traces does not.*is a; run 'dvc repro'"):
        trace_scores(frame, two.filter(pl.col("trace_id") == "b"), 0)


STEP = st.tuples(st.integers(0, 40), st.floats(-1e3, 0), st.none() | st.floats(-1e3, 0))
POOL = st.lists(st.lists(STEP, min_size=1, max_size=6), min_size=1, max_size=6)


@given(POOL, st.randoms())
def test_order_of_rows_never_matters_to_the_last_bit(pool, rng):
    rows = [(f"t{i}", j, *step) for i, steps in enumerate(pool) for j, step in enumerate(steps, start=1)]
    mixed = rng.sample(rows, len(rows))
    assert_frame_equal(score(mixed), score(rows), check_exact=True)


@given(POOL)
def test_a_trace_scores_the_same_in_any_pool(pool):
    rows = [(f"t{i}", j, *step) for i, steps in enumerate(pool) for j, step in enumerate(steps, start=1)]
    alone = pl.concat(score([r for r in rows if r[0] == f"t{i}"]) for i in range(len(pool)))
    assert_frame_equal(score(rows), alone, check_exact=True)


def test_directions_and_passes():
    found = {name: (m.better, m.needs, m.selects) for name, m in all_metrics().items()}
    assert found == {
        "galp": ("high", "full", True),
        "lalp": ("high", "local", True),
        "lalp_token": ("high", "local", True),
        "length": (None, None, False),
        "random": (None, None, True),
        "step_mean": ("high", "full", True),
    }
    assert selectable() == ["galp", "lalp", "lalp_token", "random", "step_mean"]


def test_a_metric_is_computed_in_one_way():
    for both in ({}, {"trace": pl.lit(1.0), "pool": lambda frame, seed: frame["n_steps"]}):
        with pytest.raises(ValueError, match="'x' must have either"):
            Metric("x", better="high", needs=None, **both)


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
METRIC = Metric("{}", better="low", needs=None, trace=pl.len())
"""


def test_a_new_file_is_all_that_a_new_metric_takes(one_more_file):
    one_more_file("fewest_steps", SOURCE.format("fewest_steps"))
    assert "fewest_steps" in selectable()
    assert score(A)["fewest_steps"].to_list() == [2.0]


def test_a_metric_must_be_named_like_its_file(one_more_file):
    one_more_file("fewest_steps", SOURCE.format("other"))
    with pytest.raises(RuntimeError, match=r"fewest_steps\.py holds a metric named 'other'"):
        all_metrics()


def test_importing_metrics_and_curation_loads_no_model_library():
    code = "import sys, stepsift.metrics as m, stepsift.curate; m.selectable(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
