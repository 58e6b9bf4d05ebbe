"""The real `dvc repro` on a small demo pool, in a copy of the repository of its own.

The tests run in order and build on one another: each changes one thing and looks at which stages ran.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.pipeline_repo import PROMPTS, RAN, STAGES, change, repro, run, untrack
from stepsift.core import table_files, tables

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def repo(finished: Path) -> Path:
    """The pipeline ran once, elsewhere: this is a moved copy."""
    return finished


def test_first_run_makes_every_table(repo: Path):
    assert json.loads((repo / RAN).read_text()) == STAGES
    traces = table_files.read(tables.TRACES, repo / "data/ingest/traces.parquet")
    steps = table_files.read(tables.STEPS, repo / "data/segment/steps.parquet")
    scores = table_files.read(tables.STEP_SCORES, repo / "data/score/step_scores.parquet")
    assert traces["prompt_id"].n_unique() == PROMPTS
    assert steps.select("trace_id", "step").equals(scores.select("trace_id", "step"))
    pieces = steps.join(traces, on="trace_id").with_columns(
        text=pl.col("response").str.slice(pl.col("start"), pl.col("end") - pl.col("start"))
    )
    joined = pieces.group_by("trace_id", maintain_order=True).agg(
        pl.col("text").str.join(""), pl.col("response").first()
    )
    assert (joined["text"] == joined["response"]).all()
    for selector in ("lalp", "random"):
        curated = table_files.read(tables.CURATED, repo / f"data/select/{selector}/curated.parquet")
        rows = [json.loads(line) for line in (repo / f"data/select/{selector}/train.jsonl").open()]
        assert [r["trace_id"] for r in rows] == curated["trace_id"].to_list()
        response = dict(zip(traces["trace_id"], traces["response"], strict=True))
        assert all(r["messages"][-1] == {"role": "assistant", "content": response[r["trace_id"]]} for r in rows)
    table_files.read(tables.TEACHERS, repo / "data/select/teachers.parquet")
    accuracies = json.loads((repo / "metrics/evaluate.json").read_text())["chain"]
    assert set(accuracies) == {"untrained", "lalp", "random"}
    assert (repo / "report/index.html").stat().st_size > 1_000


def test_second_run_does_nothing(repo: Path):
    assert repro(repo) == []


def test_a_selector_more_trains_one_model_and_scores_nothing(repo: Path):
    change(repo, "select", selectors=["lalp", "galp", "random"])
    assert repro(repo) == ["select", "train", "evaluate", "report"]
    metrics = json.loads((repo / "metrics/train.json").read_text())
    assert {s: set(seeds) for s, seeds in metrics.items()} == {s: {"seed-0"} for s in ("lalp", "galp", "random")}
    assert len(list((repo / ".stepsift/cache/models").iterdir())) <= 3


def test_mlflow_holds_one_parent_and_a_child_for_each_stage(repo: Path):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("stepsift")
    runs = client.search_runs([experiment.experiment_id], max_results=200)
    parents = {r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags}
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert {r.data.tags["mlflow.parentRunId"] for r in children} <= parents
    assert {r.data.tags["dvc.stage"] for r in children} == set(STAGES)


def test_outputs_hold_the_same_bytes_when_made_again(repo: Path):
    untrack(repo)  # and in the tests below
    before = {
        p: p.read_bytes()
        for d in ("ingest", "segment", "score", "select")
        for p in sorted((repo / "data" / d).rglob("*.*"))
    }
    for stage in STAGES[:4]:
        done = run(repo, "dvc", "repro", "--single-item", "--force", "--no-run-cache", stage)
        assert done.returncode == 0, done.stderr
    assert {p: p.read_bytes() for p in before} == before


def test_a_typo_fails_before_anything_runs(repo: Path):
    good = (repo / "params.yaml").read_text()
    (repo / "params.yaml").write_text(good.replace("window:", "windw:"))
    checked, ran = run(repo, "stepsift", "check"), run(repo, "dvc", "repro")
    (repo / "params.yaml").write_text(good)
    assert checked.returncode == 1
    assert "unknown key 'score.windw', did you mean 'window'?" in checked.stderr
    assert "Traceback" not in checked.stderr
    assert ran.returncode != 0
    assert "did you mean 'window'?" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert repro(repo) == []


def test_a_missing_student_is_one_sentence(repo: Path):
    good = (repo / "params.yaml").read_text()
    change(repo, "student", path="students/none")
    checked = run(repo, "stepsift", "check")
    (repo / "params.yaml").write_text(good)
    assert checked.returncode == 1
    assert "student.path is 'students/none', where there is nothing" in checked.stderr
    assert len(checked.stderr.strip().splitlines()) == 1


def test_a_corrupt_line_is_one_rejected_row(repo: Path):
    before = table_files.read(tables.TRACES, repo / "data/ingest/traces.parquet")
    source = next(p for p in sorted((repo / "data/sources").iterdir()) if p.suffix == ".jsonl")
    with source.open("a") as f:
        f.write('{"prompt": "half a li\n')
    # Traces and steps are as before, so nothing is scored again. Manifests of curated sets name the new source file,
    # and train and evaluate, which take students and answers from the cache, depend on their folder.
    assert repro(repo) == ["ingest", "select", "train", "evaluate", "report"]
    rejected = table_files.read(tables.REJECTED, repo / "data/ingest/rejected.parquet")
    row = rejected.filter(pl.col("source") == source.name).row(-1, named=True)
    assert row["reason"] == "broken_json"
    assert row["source_line"] == sum(1 for _ in source.open())
    assert table_files.read(tables.TRACES, repo / "data/ingest/traces.parquet").equals(before)
