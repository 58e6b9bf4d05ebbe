"""The whole of select, and what it writes."""

import json
import random

import polars as pl
import pytest
from curate_pools import make_pool
from polars.testing import assert_frame_equal

from stepsift import params, tables
from stepsift.curate import select, write
from stepsift.errors import SelectionError, TableError

# p: b has the better lalp, a the better galp, c is wrong. q: a alone, without a full pass. r: nobody is right.
POOL = make_pool(
    [
        {"prompt_id": "p", "teacher": "a", "lalp": -2.0, "galp": -1.0, "n_tokens": 10},
        {"prompt_id": "p", "teacher": "b", "lalp": -1.5, "galp": -1.25, "n_tokens": 20},
        {"prompt_id": "p", "teacher": "c", "lalp": -0.1, "galp": -0.1, "verdict": "wrong"},
        {"prompt_id": "q", "teacher": "a", "lalp": -3.0, "galp": None, "n_tokens": 30},
        {"prompt_id": "r", "teacher": "b", "lalp": -1.0, "galp": -1.0, "n_tokens": 40, "verdict": "wrong"},
        {"prompt_id": "s", "teacher": "b", "scored": False},
    ]
)
SETTINGS = params.Select(selectors=("lalp", "galp"), correct="prefer", bootstrap=100)


def run(pool=POOL, settings=SETTINGS):
    return select(pool.prompts, pool.traces, pool.step_scores, settings)


def test_metrics_hand_worked():
    assert run().metrics == {
        "n_traces": 6,
        "n_scored": 5,
        "n_candidates": 4,
        "n_empty_steps": 0,
        "rejected": {"no_score": {"a": 1}, "not_correct": {"c": 1}, "not_scored": {"b": 1}},
        "selectors": {
            "lalp": {
                "n_prompts": 3,
                "n_chosen": 3,
                "n_without_candidate": 0,
                "share_correct": 2 / 3,
                "mean_tokens": (20 + 30 + 40) / 3,
                "mean_margin": 0.5,
                "teachers": {"a": 1, "b": 2},
            },
            "galp": {
                "n_prompts": 3,
                "n_chosen": 2,
                "n_without_candidate": 1,
                "share_correct": 0.5,
                "mean_tokens": (10 + 40) / 2,
                "mean_margin": 0.25,
                "teachers": {"a": 1, "b": 1},
            },
        },
        "agreement": {"lalp": {"galp": 0.5}},
    }
    json.dumps(run().metrics, allow_nan=False)


def test_what_does_not_exist_is_null_and_not_nan():
    pool = make_pool([{"prompt_id": "p", "teacher": "a"}, {"prompt_id": "q", "teacher": "a", "galp": None}])
    metrics = run(pool, SETTINGS.model_copy(update={"selectors": ("lalp",)})).metrics
    assert metrics["selectors"]["lalp"]["mean_margin"] is None
    assert metrics["agreement"] == {}


def test_selectors_without_a_prompt_in_common_have_no_agreement():
    frame = POOL.step_scores.with_columns(
        local_logprob=pl.when(pl.col("trace_id").str.ends_with("p")).then("local_logprob"),
        full_logprob=pl.when(pl.col("trace_id").str.ends_with("r")).then("full_logprob"),
    )
    assert select(POOL.prompts, POOL.traces, frame, SETTINGS).metrics["agreement"] == {"lalp": {"galp": None}}


def test_steps_without_tokens_are_counted():
    empty = POOL.step_scores.head(1).with_columns(
        step=pl.lit(2, pl.Int32), n_tokens=pl.lit(0, pl.Int32), local_logprob=0.0, full_logprob=0.0
    )
    selection = select(POOL.prompts, POOL.traces, pl.concat([POOL.step_scores, empty]), SETTINGS)
    assert selection.metrics["n_empty_steps"] == 1
    assert_frame_equal(selection.curated["lalp"], run().curated["lalp"])


def test_order_of_rows_never_matters():
    frames = [f.sample(fraction=1, shuffle=True, seed=1) for f in (POOL.prompts, POOL.traces, POOL.step_scores)]
    mixed, straight = select(*frames, SETTINGS), run()
    assert mixed.metrics == straight.metrics
    for name in ("trace_scores", "teachers", "rejected"):
        assert_frame_equal(getattr(mixed, name), getattr(straight, name), check_exact=True)


def test_tables_that_do_not_belong_together_are_refused():
    with pytest.raises(TableError, match="name 1 prompts that the table prompts does not hold, such as p"):
        select(POOL.prompts.filter(pl.col("prompt_id") != "p"), POOL.traces, POOL.step_scores, SETTINGS)


def test_require_without_a_correct_trace_is_an_error():
    wrong = make_pool([{"prompt_id": "p", "teacher": "a", "verdict": "wrong"}])
    with pytest.raises(SelectionError, match="require left no candidate"):
        run(wrong, params.Select(correct="require"))


def test_every_selector_gets_its_tables_and_its_examples(tmp_path):
    selection = run()
    write(selection, tmp_path / "out")
    assert_frame_equal(tables.read(tables.TRACE_SCORES, tmp_path / "out/trace_scores.parquet"), selection.trace_scores)
    assert_frame_equal(tables.read(tables.TEACHERS, tmp_path / "out/teachers.parquet"), selection.teachers)
    assert_frame_equal(tables.read(tables.REJECTED, tmp_path / "out/rejected.parquet"), selection.rejected)
    for selector in ("lalp", "galp"):
        curated = tables.read(tables.CURATED, tmp_path / f"out/{selector}/curated.parquet")
        assert_frame_equal(curated, selection.curated[selector])
        lines = (tmp_path / f"out/{selector}/train.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["trace_id"] for line in lines] == curated["trace_id"].to_list()
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == sorted(
        ["trace_scores.parquet", "teachers.parquet", "rejected.parquet", *["curated.parquet", "train.jsonl"] * 2]
    )


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write(run(), tmp_path / name)
    for file in (p for p in (tmp_path / "one").rglob("*") if p.is_file()):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_random_depends_on_the_seed():
    rng = random.Random(0)
    pool = make_pool([{"prompt_id": f"p{i}", "teacher": t, "lalp": -rng.random()} for i in range(30) for t in "abc"])
    first, again, other = (
        run(pool, params.Select(selectors=("random",), seed=seed, bootstrap=100)).curated["random"]
        for seed in (0, 0, 1)
    )
    assert_frame_equal(first, again)
    assert not first["trace_id"].equals(other["trace_id"])
    assert first["teacher"].n_unique() == 3
