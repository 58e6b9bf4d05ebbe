"""Scores under a reference, of variants and after training, made again by real students of a few thousand weights."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from helpers.once import SharedFolder
from helpers.score_pool import PROMPTS, SHORT, write_pool
from stepsift import params, sidecache
from stepsift.core import disk, table_files, tables
from stepsift.evaluate.learned import LearnedPlaces, learned_steps
from stepsift.lineage.other_scores import check_other_scores
from stepsift.score import setup
from stepsift.score.perturb import score_variants
from stepsift.score.pool import PoolTables
from stepsift.score.references import score_references
from stepsift.score.run import score_to_tables

SETTINGS = params.parse(
    {
        "student": {"path": "student"},
        "score": {"window": 1, "references": [{"name": "teacher", "path": "data/references/teacher"}]},
        "select": {"selectors": ["lalp"], "stability": "full"},
        "evaluate": {"rescore": ["lalp"]},
    }
)
FOLDERS = {s: Path("data") / s for s in ("score", "select", "train", "evaluate")}
FOLDERS |= dict.fromkeys(("ingest", "segment"), Path("data/pool"))
REFERENCE = Path("data/score/references/teacher/step_scores.parquet")
VARIANT = Path("data/score/perturbed/window-2.parquet")
LEARNED = Path("data/evaluate/learned.parquet")
EVERY = (tables.STEP_SCORES, REFERENCE, "local_logprob"), (tables.STEP_SCORES, VARIANT, "full_entropy")
EVERY += ((tables.LEARNED, LEARNED, "full_after"),)


@pytest.fixture(scope="session")
def finished(shared_folder: SharedFolder, student_folder: Callable[..., Path]) -> Path:
    """A folder with two scored traces, of which one was chosen, and the three kinds of tables; to be copied."""
    return shared_folder.get("to-score-otherwise", functools.partial(make_finished, student_folder))


def make_finished(student_folder: Callable[..., Path], folder: Path) -> None:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
        monkeypatch.chdir(folder)
        shutil.copytree(student_folder("llama"), "student")
        shutil.copytree(student_folder("qwen2"), "data/train/lalp/seed-1")
        shutil.copytree(student_folder("llama", "llama3"), "data/references/teacher")
        FOLDERS["ingest"].mkdir()
        pool = write_pool(FOLDERS["ingest"], {"a": SHORT, "b": f"{SHORT} It is."})
        prompts = [{"prompt_id": p, "prompt": turns, "answer_kind": "none"} for p, turns in PROMPTS.items()]
        frame = pl.DataFrame(prompts, schema=tables.PROMPTS.schema)
        table_files.write(tables.PROMPTS, frame, FOLDERS["ingest"] / "prompts.parquet")
        with setup.load(SETTINGS.student, SETTINGS.score, Path("cache")) as scoring:
            score_to_tables(scoring, pool, FOLDERS["score"])
        about = scoring.identity.as_json() | {"rendering": {"template": True}}
        disk.write_json(about, FOLDERS["score"] / "numerics.json")
        curated = {c: [""] for c, t in tables.CURATED.schema.items() if t == pl.String} | {"prompt_id": ["p"]}
        row = pl.DataFrame(curated | {"trace_id": ["b"], "score": [0.0], "margin": [None], "stability": [None]})
        row = row.cast({"margin": pl.Float64, "stability": pl.Float64})
        table_files.write(tables.CURATED, row, FOLDERS["select"] / "lalp/curated.parquet")
        paths = PoolTables(*(FOLDERS["ingest"] / f"{name}.parquet" for name in ("prompts", "traces", "steps")))
        score_references(SETTINGS.score, pool, FOLDERS["score"] / "references", Path("cache"), None)
        score_variants(SETTINGS, paths, FOLDERS["score"] / "perturbed", Path("cache"), None)
        places = LearnedPlaces(FOLDERS["train"], FOLDERS["select"], FOLDERS["score"], paths, Path("cache"))
        table_files.write(tables.LEARNED, learned_steps(SETTINGS, places), LEARNED)


@pytest.fixture(autouse=True)
def _here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests work in a copy, beside whose tables lies a cache that no test may use."""
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv(sidecache.ROOT_VARIABLE, "cache")


def change(table: tables.Table, path: Path, column: str, by: float) -> tuple[float, float]:
    """Add to a value of the second step of trace b; what it was, and what it is."""
    frame = table_files.read(table, path)
    of_step = (pl.col("trace_id") == "b") & (pl.col("step") == 2)
    before = frame.filter(of_step)[column].item()
    changed = pl.when(of_step).then(pl.col(column) + by).otherwise(column).alias(column)
    table_files.write(table, frame.with_columns(changed), path)
    return before, before + by


def test_by_default_they_are_named():
    (link,) = check_other_scores(FOLDERS, SETTINGS, full=False)
    unit, window = (FOLDERS["score"] / f"perturbed/{name}.parquet" for name in ("unit-paragraph", "window-2"))
    assert link.line() == (
        f"taken   other scores      not recomputed: {LEARNED}, {unit}, {window}, {REFERENCE} (--full makes them again)"
    )


def test_honest_tables_come_out_again_without_a_cache():
    shutil.rmtree("cache")
    (link,) = check_other_scores(FOLDERS, SETTINGS, full=True)
    assert link.line() == (
        "ok      other scores      4 tables made again: the same scores, tolerance 0.001 nats per token"
    )
    assert not Path("cache").exists()


@pytest.mark.parametrize(("table", "path", "column"), EVERY)
def test_a_forged_value_is_found(table: tables.Table, path: Path, column: str):
    before, now = change(table, path, column, -0.25)
    (link,) = check_other_scores(FOLDERS, SETTINGS, full=True)
    (said,) = link.broken
    of = " of selector lalp" if path == LEARNED else ""
    assert said.startswith(f"{path}: trace b{of}, step 2: {column} is {now}, made again it is {before:.6f}"[:-4])


def test_of_a_model_of_the_same_numerics_nothing_may_differ():
    for table, path, column in EVERY:
        change(table, path, column, -1e-12)
    (link,) = check_other_scores(FOLDERS, SETTINGS, full=True)
    assert [said.partition(":")[0] for said in link.broken] == [str(REFERENCE), str(VARIANT)]
    assert all(said.endswith("(tolerance 0)") for said in link.broken)
    # With numerics that are recorded as others, the values lie near enough.
    for path in (FOLDERS["score"] / "numerics.json", FOLDERS["score"] / "references/references.json"):
        path.write_text(path.read_text().replace('"batch_tokens": 512', '"batch_tokens": 64'))
    assert check_other_scores(FOLDERS, SETTINGS, full=True)[0].broken == ()


def test_values_before_training_and_rows_are_compared_too():
    frame = table_files.read(tables.LEARNED, LEARNED)
    change(tables.LEARNED, LEARNED, "local_before", -1e-9)
    assert "local_before is" in check_other_scores(FOLDERS, SETTINGS, full=True)[0].broken[0]
    table_files.write(tables.LEARNED, frame.filter(pl.col("step") != 2), LEARNED)
    assert "step 2: n_tokens is None" in check_other_scores(FOLDERS, SETTINGS, full=True)[0].broken[0]
    LEARNED.unlink()
    assert check_other_scores(FOLDERS, SETTINGS, full=True)[0].broken == (f"{LEARNED} is missing",)


def test_a_model_that_is_not_there_and_a_table_that_no_setting_makes():
    shutil.rmtree("data/references/teacher")
    (said,) = check_other_scores(FOLDERS, SETTINGS, full=True)[0].broken
    assert said.startswith("scores under references cannot be made again: score.references, 'teacher':")
    alone = SETTINGS.model_copy(update={"score": params.Score(window=1)})
    assert check_other_scores(FOLDERS, alone, full=True)[0].broken == (
        f"{REFERENCE} is there, and these settings make none",
    )


def test_without_such_tables_nothing_is_said():
    for path in (FOLDERS["score"] / "references", FOLDERS["score"] / "perturbed"):
        shutil.rmtree(path)
    table_files.write(tables.LEARNED, pl.DataFrame(schema=tables.LEARNED.schema), LEARNED)
    none = params.parse({"student": {"path": "student"}, "select": {"selectors": ["lalp"]}})
    assert [check_other_scores(FOLDERS, none, full) for full in (False, True)] == [[], []]
    assert "numerics" in json.loads((FOLDERS["score"] / "numerics.json").read_text())
