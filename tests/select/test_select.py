"""The whole of select, and what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError, TableError
from stepsift.select import Inputs, Selection, select, write_selection
from stepsift.select.pool import check
from stepsift.select.questions import load_questions

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
QUESTIONS = load_questions((), Path())
NO_FILTERS = {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None}
SETTINGS = params.Select(selectors=("lalp", "galp"), correct="prefer", bootstrap=100, filters=NO_FILTERS)


def run(pool=POOL, settings=SETTINGS, **changes) -> Selection:
    return select(pool.in_frames(), settings.model_validate(settings.model_dump() | changes), QUESTIONS)


def written(selection: Selection, out: Path, settings=SETTINGS, pool=POOL) -> Path:
    inputs = Inputs(sources={}, tables={}, student={"path": "student", "fingerprint": "f", "numerics": {}})
    write_selection(selection, pool.in_frames(), settings, QUESTIONS, inputs, out)
    return out


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
                "n_without_choice": 0,
                "share_correct": 2 / 3,
                "mean_tokens": (20 + 30 + 40) / 3,
                "mean_margin": 0.5,
                "mean_stability": 1.0,
                "teachers": {"a": 1, "b": 2},
            },
            "galp": {
                "n_prompts": 3,
                "n_chosen": 2,
                "n_without_choice": 1,
                "share_correct": 0.5,
                "mean_tokens": (10 + 40) / 2,
                "mean_margin": 0.25,
                "mean_stability": 1.0,
                "teachers": {"a": 1, "b": 1},
            },
        },
        "agreement": {"lalp": {"galp": 0.5}},
        "fits_failed": {},
    }
    json.dumps(run().metrics, allow_nan=False)


def test_what_does_not_exist_is_null_and_not_nan():
    pool = make_pool([{"prompt_id": "p", "teacher": "a"}, {"prompt_id": "q", "teacher": "a", "galp": None}])
    metrics = run(pool, selectors=["lalp"]).metrics
    assert (metrics["selectors"]["lalp"]["mean_margin"], metrics["selectors"]["lalp"]["mean_stability"]) == (None, None)
    assert metrics["agreement"] == {}


def test_selectors_without_a_prompt_in_common_have_no_agreement():
    ends = pl.col("trace_id").str
    frame = POOL.step_scores.with_columns(
        local_logprob=pl.when(ends.ends_with("p")).then("local_logprob"),
        full_logprob=pl.when(ends.ends_with("r")).then("full_logprob"),
    )
    assert run(replace(POOL, step_scores=frame)).metrics["agreement"] == {"lalp": {"galp": None}}


def test_steps_without_tokens_are_counted():
    empty = POOL.step_scores.head(1).with_columns(
        step=pl.lit(2, pl.Int32), n_tokens=pl.lit(0, pl.Int32), local_logprob=0.0, full_logprob=0.0
    )
    selection = run(replace(POOL, step_scores=pl.concat([POOL.step_scores, empty]).sort("trace_id", "step")))
    assert selection.metrics["n_empty_steps"] == 1
    assert_frame_equal(selection.curated["lalp"], run().curated["lalp"])


def test_order_of_rows_never_matters():
    prompts, traces = (f.sample(fraction=1, shuffle=True, seed=1) for f in (POOL.prompts, POOL.traces))
    mixed, straight = run(replace(POOL, prompts=prompts, traces=traces)), run()
    assert mixed.metrics == straight.metrics
    for name in ("trace_scores", "teachers", "rejected"):
        assert_frame_equal(getattr(mixed, name), getattr(straight, name), check_exact=True)


def test_tables_that_do_not_belong_together_are_refused():
    with pytest.raises(TableError, match="name 1 prompt that the table prompts does not hold, such as p"):
        check(replace(POOL, prompts=POOL.prompts.filter(pl.col("prompt_id") != "p")).in_frames())
    check(POOL.in_frames())


@pytest.mark.parametrize(
    ("verdict", "correct", "advice"),
    [
        ("wrong", "require", "so nothing in it is certain; select.correct: ignore, or more prompts, give more"),
        ("wrong", "ignore", "so nothing in it is certain; more prompts give more"),
        ("correct", "require", "so nothing in it is certain; more prompts give more"),
    ],
)
def test_to_ignore_verdicts_is_proposed_only_if_one_dropped_a_trace(verdict, correct, advice, caplog):
    rows = [{"prompt_id": p, "teacher": t} for p in "pq" for t in "ab"]
    run(make_pool([*rows, {"prompt_id": "r", "teacher": "a", "verdict": verdict}]), correct=correct)
    assert caplog.messages == [
        f"the ranking of teachers over all domains rests on 2 prompts on which at least two of them "
        f"have a candidate, {advice}"
    ]


@pytest.mark.parametrize(("correct", "says"), [("require", True), ("ignore", False)])
def test_where_nobody_is_ranked_verdicts_are_named_only_if_they_dropped_a_trace(correct, says, caplog):
    rows = [{"prompt_id": "p", "teacher": "a"}, {"prompt_id": "q", "teacher": "b"}]
    run(make_pool([*rows, {"prompt_id": "r", "teacher": "a", "verdict": "wrong"}]), correct=correct)
    (text,) = caplog.messages
    assert text.startswith("no teachers are ranked: no two of them have a candidate for the same prompt; ")
    assert ("select.correct: ignore leaves more candidates, and ingest" in text) == says


def test_require_without_a_correct_trace_is_an_error():
    wrong = make_pool([{"prompt_id": "p", "teacher": "a", "verdict": "wrong"}])
    with pytest.raises(SelectionError, match="require left no candidate"):
        run(wrong, correct="require")


def test_fitted_metrics_stand_in_the_table_and_failed_fits_in_the_counts():
    found = run().trace_scores
    table_files.validate(tables.TRACE_SCORES, found)
    # Only candidates have one: not the wrong c-p, nor a-q without a full pass.
    assert found.filter(pl.col("lark_g").is_not_null())["trace_id"].to_list() == ["a-p", "b-p", "b-r"]
    with pytest.raises(SelectionError, match="aslec_casl has no score for any of 4 candidates"):
        run(selectors=["aslec_casl"])


MANY = make_pool(
    [
        {"prompt_id": f"p{i:02}", "teacher": t, "lalp": -float((i * k) % 7), "n_tokens": 5 + (i * k) % 11}
        for i in range(20)
        for k, t in enumerate("abc", start=2)
    ]
)


def test_every_kind_of_selector_side_by_side():
    selectors = [
        "lalp",
        {"name": "two", "by": "lalp", "per_prompt": 2, "max_examples": 10},
        {"name": "best-teacher", "by": "lalp", "teacher": "best"},
        {"name": "sure", "by": "lalp", "min_margin": 2},
        {"name": "mixed", "by": "lalp", "quotas": {"teacher": {"a": 0.5, "b": 0.25}}},
        {"name": "same-mix", "by": "random", "mix_of": "sure"},
        {"name": "same-lengths", "by": "random", "lengths_of": "mixed"},
        *("random", "longest", "shortest"),
    ]
    selection = run(MANY, selectors=selectors)
    n = {name: m["n_chosen"] for name, m in selection.metrics["selectors"].items()}
    teachers = {name: m["teachers"] for name, m in selection.metrics["selectors"].items()}
    assert (n["lalp"], n["two"], n["best-teacher"], n["mixed"], n["same-lengths"]) == (20, 10, 20, 20, 20)
    assert len(teachers["best-teacher"]) == 1
    assert (teachers["mixed"]["a"], teachers["mixed"]["b"]) == (10, 5)
    # Numbers are copied from what the other selector was left with.
    assert 0 < n["sure"] < 20 and teachers["same-mix"] == teachers["sure"]
    low = selection.rejected.filter(pl.col("reason") == "low_margin")
    assert low.height == 20 - n["sure"] and low["detail"].str.starts_with("selector sure: margin").all()
    for name, table in selection.curated.items():
        table_files.validate(tables.CURATED, table)
        assert set(table["selector"]) == {name}
    assert selection.curated["lalp"]["stability"].null_count() == 0
    assert selection.curated["random"]["stability"].null_count() == 20
    assert selection.curated["mixed"]["stability"].null_count() == 20
    mean = selection.trace_scores.select("trace_id", "n_tokens")
    longest = selection.curated["longest"].join(mean, on="trace_id")["n_tokens"]
    shortest = selection.curated["shortest"].join(mean, on="trace_id")["n_tokens"]
    assert longest.sum() > shortest.sum()


def test_perturbed_scores_count_towards_stability():
    flipped = POOL.step_scores.with_columns(
        local_logprob=pl.when(pl.col("trace_id") == "b-p").then(-99.0 * pl.col("n_tokens")).otherwise("local_logprob")
    )
    found = select(POOL.in_frames(), SETTINGS, QUESTIONS, [[flipped]]).curated["lalp"]
    assert dict(found.select("trace_id", "stability").rows())["b-p"] == pytest.approx(10 / 11)


def test_every_selector_gets_its_tables_and_its_examples(tmp_path):
    selection = run()
    out = written(selection, tmp_path / "out")
    assert_frame_equal(table_files.read(tables.TRACE_SCORES, out / "trace_scores.parquet"), selection.trace_scores)
    assert_frame_equal(table_files.read(tables.TEACHERS, out / "teachers.parquet"), selection.teachers)
    assert_frame_equal(table_files.read(tables.REJECTED, out / "rejected.parquet"), selection.rejected)
    for name in ("lalp", "galp"):
        curated = table_files.read(tables.CURATED, out / name / "curated.parquet")
        assert_frame_equal(curated, selection.curated[name])
        lines = (out / name / "train.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["trace_id"] for line in lines] == curated["trace_id"].to_list()
        about = json.loads((out / name / "manifest.json").read_text())
        assert about["counts"]["chosen"] == curated.height
        assert about["fingerprint"] == json.loads((out / "manifest.json").read_text())["selections"][name]
    own = ["curated.parquet", "train.jsonl", "manifest.json", "README.md", "croissant.json"]
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == sorted(
        ["trace_scores.parquet", "teachers.parquet", "rejected.parquet", "manifest.json", *own * 2]
    )


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        written(run(), tmp_path / name)
    for file in (p for p in (tmp_path / "one").rglob("*") if p.is_file()):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_random_depends_on_the_seed():
    first, again, other = (run(MANY, selectors=["random"], seed=s).curated["random"] for s in (0, 0, 1))
    assert_frame_equal(first, again)
    assert not first["trace_id"].equals(other["trace_id"])
    assert first["teacher"].n_unique() == 3
