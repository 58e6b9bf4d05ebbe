"""A pool of traces to step scores and rejected rows."""

import copy
import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stepsift import params, tables
from stepsift.errors import ScoringError, TableError
from stepsift.scoring.engine import Engine
from stepsift.scoring.run import Progress, Refused, Scorer, plan, sample_prompts, score_pool, score_to_tables

from . import reference
from .conftest import MESSAGES, RESPONSE, Loaded, cut

SHORT = "So x = 4. Yes!\n\nThe answer is 7."
CYRILLIC = "Let x be 4. это 4."
"""Has a letter, "э", that no other trace of the pool has."""
POOL = {"a": RESPONSE, "b": SHORT, "c": CYRILLIC}
PROMPTS = {"p": MESSAGES}


def frames(pool: dict[str, str], prompt_id: str = "p") -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Traces and steps as the tables have them, in two row groups each, not cut at the same trace."""
    traces, steps = [], []
    for line, (trace_id, response) in enumerate(pool.items(), start=1):
        row = {"trace_id": trace_id, "content_hash": "", "prompt_id": prompt_id, "teacher": "t", "response": response}
        traces.append(row | {"verdict": "unchecked", "label": None, "source": "s.jsonl", "source_line": line})
        spans = cut(response) if response == RESPONSE else [(0, 9), (9, len(response))]
        for number, (start, end) in enumerate(spans, start=1):
            steps.append(
                {"trace_id": trace_id, "step": number, "start": start, "end": end, "kind": "sentence", "capped": False}
            )
    both = pl.DataFrame(traces, schema=tables.TRACES.schema), pl.DataFrame(steps, schema=tables.STEPS.schema)
    return tuple([f[:2], f[2:]] if f.height > 2 else [f] for f in both)


def scorer(student: Loaded, context: int = 512, model: object = None, **settings) -> Scorer:
    chosen = params.Score(batch_tokens=64, **settings)
    return Scorer(student.renderer, Engine(model or student.model, chosen.batch_tokens), chosen, context)


def run(wanted: Scorer, pool: dict[str, str] = POOL, prompts: dict = PROMPTS) -> tuple[pl.DataFrame, dict, Progress]:
    """Scores, reasons by trace, and progress."""
    traces, steps = frames(pool)
    progress = Progress()
    out = list(score_pool(wanted, prompts, iter(traces), iter(steps), progress, len(pool)))
    assert all((scores is None) != (refused is None) for scores, refused in out)
    scored = [scores for scores, _ in out if scores is not None]
    table = tables.validate(tables.STEP_SCORES, pl.concat(scored)) if scored else pl.DataFrame()
    return table, {r["trace_id"]: r["reason"] for _, r in out if r is not None}, progress


def test_scores_of_a_pool_are_sums_over_steps(load_student):
    student = load_student("llama")
    table, refused, progress = run(scorer(student))
    assert refused == {}
    assert progress.metrics() | {"response_tokens": None} == {
        "traces": 3, "scored": 3, "response_tokens": None, "steps_without_tokens": 1, "full_pass_not_possible": 0,
        "rejected": {},
    }  # fmt: skip
    case = student.case
    ids = case.rendered.prompt_ids, case.rendered.response_ids
    owners = np.array(reference.steps_of_tokens(case.rendered.last_char, case.spans))
    mine = table.filter(pl.col("trace_id") == "a")
    assert mine["step"].to_list() == list(range(1, len(case.spans) + 1))
    assert mine["n_tokens"].to_list() == [int((owners == s).sum()) for s in range(len(case.spans))]
    local = reference.local(student.exact, *ids, case.rendered.last_char, case.spans, 4)
    for name, tokens in (("local", local), ("full", reference.full(student.exact, *ids))):
        for step, row in enumerate(mine.iter_rows(named=True)):
            own = [t for t, s in zip(tokens, owners, strict=True) if s == step]
            expected = {
                "logprob": sum(t.logprob for t in own),
                "rank": sum(min(t.rank, 100) for t in own),
                "entropy": sum(t.entropy for t in own),
                "brier": sum(t.brier for t in own),
                "first_logprob": own[0].logprob if own else None,
            }
            for column, value in expected.items():
                seen = row[f"{name}_{column}"]
                assert seen is None if not own else seen == pytest.approx(value, abs=1e-4 * len(own)), (name, column)


def test_trace_scores_the_same_alone_and_in_any_pool(load_student):
    wanted = scorer(load_student("llama"))
    together, _, _ = run(wanted)
    alone, _, _ = run(wanted, {"b": SHORT})
    assert together.filter(pl.col("trace_id") == "b").equals(alone)


def test_passes_that_are_not_wanted_are_null(load_student):
    table, refused, progress = run(scorer(load_student("llama"), passes=("local",)))
    assert refused == {} and progress.full_not_possible == 0
    assert table["full_logprob"].null_count() == table.height > table["local_logprob"].null_count()
    table, _, _ = run(scorer(load_student("llama"), passes=("full",)))
    assert table["local_rank"].null_count() == table.height > table["full_rank"].null_count()


def test_long_trace_keeps_its_local_scores(load_student):
    student = load_student("llama")
    ids = student.case.rendered
    whole = len(ids.prompt_ids) + len(ids.response_ids)
    widest = len(ids.prompt_ids) + max(p.length for p in student.case.passes(4))
    for context, full in ((whole, True), (whole - 1, False), (widest, False)):
        table, refused, progress = run(scorer(student, context), {"a": RESPONSE})
        assert refused == {} and progress.full_not_possible == (not full)
        assert (table["full_logprob"].null_count() == table.height) is not full
        assert table["local_logprob"].null_count() == 1  # the step without tokens
    table, refused, progress = run(scorer(student, widest - 1))
    assert refused == {"a": "window_too_long"} and progress.rejected == {"window_too_long": 1}
    assert table["trace_id"].unique().sort().to_list() == ["b", "c"]


def test_too_long_step_is_refused(load_student):
    _, refused, _ = run(scorer(load_student("llama"), max_step_tokens=16))
    assert refused["a"] == "step_too_long" and "b" not in refused


def test_response_without_tokens_is_refused(load_student):
    student = load_student("llama")
    empty = student.renderer.render(MESSAGES, "")
    refused = plan(empty, np.array([1]), params.Score(), 512)
    assert isinstance(refused, Refused) and refused.reason == "no_tokens"


def test_not_finite_values_are_refused(load_student):
    student = load_student("llama")
    model = copy.deepcopy(student.model)
    rare = set(student.renderer.render(MESSAGES, CYRILLIC).response_ids)
    rare -= set(student.renderer.render(MESSAGES, RESPONSE + SHORT).response_ids)
    model.model.embed_tokens.weight.data[max(rare)] = float("nan")
    table, refused, _ = run(scorer(student, model=model))
    assert refused == {"c": "not_finite"}
    assert table["trace_id"].unique().sort().to_list() == ["a", "b"]


def test_tokens_that_the_model_does_not_know_are_refused(load_student):
    student = load_student("llama")
    model = copy.deepcopy(student.model)
    highest = [max(student.renderer.render(MESSAGES, response).response_ids) for response in (CYRILLIC, SHORT)]
    assert highest[0] > highest[1]
    model.resize_token_embeddings(highest[0])
    _, refused, _ = run(scorer(student, model=model), {"b": SHORT, "c": CYRILLIC})
    assert refused == {"c": "token_unknown_to_model"}


def test_prompt_that_the_template_refuses(load_student):
    student = load_student("gemma2", "gemma")
    prompts = {"p": [{"role": "system", "content": "Be brief."}, *MESSAGES]}
    _, refused, _ = run(scorer(student), {"b": SHORT}, prompts)
    assert refused == {"b": "not_renderable"}


def test_only_traces_of_the_given_prompts_are_scored(load_student):
    traces, steps = frames({"a": SHORT}, "other")
    more_traces, more_steps = frames({"b": SHORT})
    progress = Progress()
    both = iter([*traces, *more_traces]), iter([*steps, *more_steps])
    out = list(score_pool(scorer(load_student("llama")), PROMPTS, *both, progress, 2))
    assert [rows["trace_id"][0] for rows, _ in out] == ["b"] and progress.traces == 1


def test_steps_of_other_traces_are_an_error(load_student):
    wanted = scorer(load_student("llama"))
    traces, steps = (pl.concat(f) for f in frames({"a": SHORT, "b": SHORT}))
    short = steps.with_columns(
        pl.when(pl.col("end") == len(SHORT)).then(20).otherwise("end").cast(pl.Int32).alias("end")
    )
    for wrong_traces, wrong_steps in (
        (traces, steps.filter(pl.col("trace_id") == "b")),
        (traces, steps.filter(pl.col("trace_id") == "a")),
        (traces[:1], steps),
        (traces, short),
    ):
        with pytest.raises(TableError, match="traces and steps differ"):
            list(score_pool(wanted, PROMPTS, iter([wrong_traces]), iter([wrong_steps]), Progress(), 2))


def test_tables_are_written_and_an_empty_run_is_an_error(load_student, tmp_path: Path):
    traces, steps = (pl.concat(f) for f in frames(POOL))
    tables.write(tables.TRACES, traces, tmp_path / "traces.parquet")
    tables.write(tables.STEPS, steps, tmp_path / "steps.parquet")
    paths = tmp_path / "traces.parquet", tmp_path / "steps.parquet"
    student = load_student("llama")
    score_to_tables(scorer(student, max_step_tokens=16), PROMPTS, *paths, tmp_path / "out", Progress())
    scores = tables.read(tables.STEP_SCORES, tmp_path / "out" / "step_scores.parquet")
    rejected = tables.read(tables.REJECTED, tmp_path / "out" / "rejected.parquet")
    assert set(scores["trace_id"]) | set(rejected["trace_id"]) == set(POOL)
    assert rejected.filter(pl.col("trace_id") == "a").select("source", "source_line", "teacher").row(0) == (
        "s.jsonl",
        1,
        "t",
    )
    with pytest.raises(ScoringError, match="3 window_too_long"):
        score_to_tables(scorer(student, context=20), PROMPTS, *paths, tmp_path / "none", Progress())
    assert not list((tmp_path / "none").glob("*.parquet"))


def test_samples_of_prompts_are_nested_and_free_of_order():
    ids = [f"p{i}" for i in range(100)]
    samples = [sample_prompts(ids, n, seed=3) for n in (1, 10, 50, 99)]
    assert [len(s) for s in samples] == [1, 10, 50, 99]
    assert all(small < large for small, large in itertools.pairwise(samples))
    assert sample_prompts(reversed(ids), 10, seed=3) == samples[1]
    assert sample_prompts(ids, 10, seed=4) != samples[1]
    assert sample_prompts(ids, None, 0) == sample_prompts(ids, 100, 0) == set(ids)
