"""A sample of traces scored anew, by a real student of a few thousand weights."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.once import SharedFolder
from stepsift import params, segment, sidecache
from stepsift.core import disk, table_files, tables
from stepsift.lineage.rescore import check_scores
from stepsift.score import setup
from stepsift.score.pool import Pool, Prompts
from stepsift.score.run import score_to_tables

RESPONSES = [
    "Let x be 4. Then 3x + 2 = 14, as it must. Wait. The answer is 4.",
    "First, we add 12 and 30. That gives 42. Next we divide by 6, which gives 7. So 7!",
    "It is 55. 1 + 2 + 3 + 4 = 10 and so on. So the final answer is 55.",
]
SETTINGS = params.Params(student=params.Student(path="student"), score=params.Score(window=2))
FOLDERS = {s: Path("data") / s for s in ("ingest", "segment", "score")}
TABLE = FOLDERS["score"] / "step_scores.parquet"


def write_pool() -> None:
    prompt = [{"role": "user", "content": "What is the sum?"}]
    about = {"prompt_id": "p", "prompt": prompt, "answer_kind": "none"}
    table_files.write(
        tables.PROMPTS, pl.DataFrame([about], schema=tables.PROMPTS.schema), FOLDERS["ingest"] / "prompts.parquet"
    )
    names = {"prompt_id": "p", "teacher": "t", "verdict": "unchecked", "source": "a", "source_line": 1}
    rows = [names | {"trace_id": f"t{i}", "content_hash": f"{i}", "response": r} for i, r in enumerate(RESPONSES)]
    traces = pl.DataFrame(rows, schema=tables.TRACES.schema)
    table_files.write(tables.TRACES, traces, FOLDERS["ingest"] / "traces.parquet")
    steps = segment.segment_table(traces, SETTINGS.segment)
    table_files.write(tables.STEPS, steps, FOLDERS["segment"] / "steps.parquet")


@pytest.fixture(scope="session")
def scored(shared_folder: SharedFolder, student_folder: Callable[..., Path]) -> Path:
    """A folder with a student and three traces that it scored; to be copied."""
    return shared_folder.get("to-rescore", functools.partial(make_scored, student_folder))


def make_scored(student_folder: Callable[..., Path], folder: Path) -> None:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        shutil.copytree(student_folder("llama", "llama3"), "student")
        write_pool()
        pool = Pool(
            Prompts(FOLDERS["ingest"] / "prompts.parquet", {"p"}),
            FOLDERS["ingest"] / "traces.parquet",
            FOLDERS["segment"] / "steps.parquet",
        )
        with setup.load(SETTINGS.student, SETTINGS.score, Path("cache")) as scoring:
            score_to_tables(scoring, pool, FOLDERS["score"])
        about = scoring.identity.as_json() | {"rendering": {"template": True}}  # as the stage does
        disk.write_json(about, FOLDERS["score"] / "numerics.json")


@pytest.fixture(autouse=True)
def _here(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests work in a copy, beside whose scores lies a cache that no test may use."""
    shutil.copytree(scored, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv(sidecache.ROOT_VARIABLE, "cache")


def change(trace_id: str, by: float, column: str = "local_logprob") -> None:
    """Add to a value of the first step of a trace."""
    frame = table_files.read(tables.STEP_SCORES, TABLE)
    first = (pl.col("trace_id") == trace_id) & (pl.col("step") == 1)
    table_files.write(
        tables.STEP_SCORES,
        frame.with_columns(pl.when(first).then(pl.col(column) + by).otherwise(column).alias(column)),
        TABLE,
    )


def other_numerics(**numbers: Any) -> None:
    path = FOLDERS["score"] / "numerics.json"
    content = json.loads(path.read_text())
    disk.write_json(content | {"numerics": content["numerics"] | numbers}, path)


def test_the_same_to_the_last_bit():
    shutil.rmtree("cache")
    link = check_scores(FOLDERS, SETTINGS, 8, 0)
    assert link.line() == "ok      scores            3 traces scored again: the same, tolerance 0"
    link = check_scores(FOLDERS, SETTINGS, 2, 0)
    assert link.checked == (
        "2 traces scored again: the same, tolerance 0, which finds forged scores of 1 with probability 0.67"
    )
    assert link.taken == "the scores of 1 trace"
    assert check_scores(FOLDERS, SETTINGS, None, 0).taken == ""
    assert not Path("cache").exists()


@pytest.mark.parametrize("column", ["local_logprob", "full_entropy", "local_rank"])
def test_a_value_that_is_a_little_off(column: str):
    change("t1", -1e-12 if column != "local_rank" else 1.0, column)
    assert check_scores(FOLDERS, SETTINGS, 8, 0).broken == (
        "trace t1 has other scores in 1 step, from step 1 on (tolerance 0)",
    )


def test_only_the_sample_is_looked_at():
    change("t1", -1e-12)
    found = [bool(check_scores(FOLDERS, SETTINGS, 1, seed).broken) for seed in range(6)]
    assert any(found)
    assert not all(found)
    # The same seed draws the same sample.
    assert [bool(check_scores(FOLDERS, SETTINGS, 1, seed).broken) for seed in range(2)] == found[:2]


def test_other_numerics_have_a_tolerance():
    other_numerics(batch_tokens=64)
    change("t1", -1e-6)
    how = "tolerance 0.001 nats per token, for this machine differs in batch_tokens"
    link = check_scores(FOLDERS, SETTINGS, 8, 0)
    assert (link.checked, link.broken) == (f"3 traces scored again: the same, {how}", ())
    change("t1", -1.0)
    assert check_scores(FOLDERS, SETTINGS, 8, 0).broken == (
        f"trace t1 has other scores in 1 step, from step 1 on ({how})",
    )


def test_another_student():
    config = Path("student/config.json")
    config.write_text(config.read_text() + "\n")
    assert check_scores(FOLDERS, SETTINGS, 8, 0).broken == ("student.path student is not the student that scored",)


def test_a_pool_that_cannot_be_scored():
    settings = SETTINGS.model_copy(update={"student": params.Student(path="student", max_context_tokens=8)})
    said = check_scores(FOLDERS, settings, 8, 0).broken
    assert said[0].startswith(
        "3 traces cannot be scored again: not one of 3 traces could be scored (3 window_too_long)"
    )
