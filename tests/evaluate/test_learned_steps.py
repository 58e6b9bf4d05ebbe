"""What a student says of its curated traces after training, beside what it said of them before."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from helpers.metric_rows import steps_of
from helpers.score_pool import PROMPTS, SHORT, write_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import EvaluationError
from stepsift.evaluate.learned import LearnedPlaces, compared, learned_steps
from stepsift.score import setup
from stepsift.score.pool import PoolTables
from stepsift.score.run import score_to_tables


def test_hand_worked():
    # Steps of 2, 0 and 6 tokens: their middles lie at 1, 2 and 5 of 8. The full pass was not possible after training.
    of_step = ("trace_id", "step", "n_tokens", "local_logprob", "full_logprob")
    before = [("a", 1, 2, -4.0, -2.0), ("a", 2, 0, None, None), ("a", 3, 6, -6.0, -3.0)]
    after = [("a", 1, 2, -1.0, None), ("a", 2, 0, None, None), ("a", 3, 6, -9.0, None), ("b", 1, 1, -1.0, -1.0)]
    one, other = (steps_of([dict(zip(of_step, row, strict=True)) for row in rows]) for rows in (before, after))
    table = table_files.validate(tables.LEARNED, compared(one, other, "lalp"))
    assert table.rows() == [
        ("lalp", "a", 1, 2, 1 / 8, -2.0, -0.5, -1.0, None),
        ("lalp", "a", 3, 6, 5 / 8, -1.0, -1.5, -0.5, None),
    ]


@pytest.fixture
def places(tmp_path: Path, student_folder, monkeypatch) -> LearnedPlaces:
    """Two traces that the student scored, of which one was chosen; another model plays the trained student."""
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    pool = write_pool(tmp_path, {"a": SHORT, "b": f"{SHORT} It is."})
    prompts = [{"prompt_id": p, "prompt": turns, "answer_kind": "none"} for p, turns in PROMPTS.items()]
    table_files.write(tables.PROMPTS, pl.DataFrame(prompts, schema=tables.PROMPTS.schema), tmp_path / "prompts.parquet")
    scored = tmp_path / "score"
    scored.mkdir()
    with setup.load(params.Student(path=str(student_folder("llama"))), params.Score(), tmp_path / "cache") as scoring:
        score_to_tables(scoring, pool, scored)
    curated = {c: [""] for c, t in tables.CURATED.schema.items() if t == pl.String} | {"prompt_id": ["p"]}
    row = pl.DataFrame(curated | {"trace_id": ["b"], "score": [0.0], "margin": [None], "stability": [None]})
    row = row.cast({"margin": pl.Float64, "stability": pl.Float64})
    table_files.write(tables.CURATED, row, tmp_path / "select/lalp/curated.parquet")
    for seed, family in ((10, "llama"), (9, "qwen2")):
        folder = tmp_path / "train/lalp" / f"seed-{seed}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(student_folder(family))
    paths = PoolTables(tmp_path / "prompts.parquet", tmp_path / "traces.parquet", tmp_path / "steps.parquet")
    return LearnedPlaces(tmp_path / "train", tmp_path / "select", scored, paths, tmp_path / "cache")


def settings_of(student: Path, *rescore: str) -> params.Params:
    selectors = ["lalp", "galp"]
    raw = {"student": {"path": str(student)}, "select": {"selectors": selectors}, "evaluate": {"rescore": [*rescore]}}
    return params.parse(raw)


def test_the_chosen_traces_are_scored_by_the_student_of_the_lowest_seed(places, student_folder, tmp_path):
    table = table_files.validate(tables.LEARNED, learned_steps(settings_of(student_folder("llama"), "lalp"), places))
    assert table.select("selector", "trace_id", "step").rows() == [("lalp", "b", 1), ("lalp", "b", 2)]
    # Scored as any student would be that lies there.
    with setup.load(params.Student(path=str(student_folder("qwen2"))), params.Score(), tmp_path / "own") as scoring:
        pool = write_pool(tmp_path, {"b": f"{SHORT} It is."})
        score_to_tables(scoring, pool, tmp_path)
    after = table_files.read(tables.STEP_SCORES, tmp_path / tables.STEP_SCORES.file)
    before = table_files.read(tables.STEP_SCORES, places.scored / tables.STEP_SCORES.file)
    assert_frame_equal(table, compared(before, after, "lalp"), check_exact=True)
    assert (table["full_after"] != table["full_before"]).all()


def test_without_selectors_the_table_is_empty_and_a_missing_student_is_said(places, student_folder):
    assert learned_steps(settings_of(student_folder("llama")), places).height == 0
    with pytest.raises(EvaluationError, match=r"evaluate.rescore names 'galp', of which .* holds no trained student"):
        learned_steps(settings_of(student_folder("llama"), "galp"), places)
