"""A reference in the real pipeline: DVC sees it come, change and go, and only what is new is computed."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from helpers.pipeline_repo import change, ok, untrack

pytestmark = pytest.mark.system
TEACHER = "data/references/teacher"


def select(repo: Path) -> tuple[list[str], str]:
    """Stages that `dvc repro select` ran, and what it said."""
    said = ok(repo, "dvc", "repro", "select")
    return [s for s in ("ingest", "segment", "score", "select") if f"Running stage '{s}'" in said], said


def md5_of_scores(repo: Path) -> str:
    lock = yaml.safe_load((repo / "dvc.lock").read_text())
    return lock["stages"]["score"]["outs"][0]["md5"]


def test_a_reference_comes_changes_and_goes(repo: Path):
    # Of a checkout whose params.yaml does not have the key.
    assert "references" not in yaml.safe_load((repo / "params.yaml").read_text())["score"]
    untrack(repo)
    select(repo)
    without = md5_of_scores(repo)
    shutil.copytree(repo / "demo/student", repo / TEACHER)
    change(repo, "score", references=[{"name": "teacher", "path": TEACHER}])
    change(repo, "select", selectors=["lalp", "reference_gain"])
    ran, said = select(repo)
    assert ran == ["score", "select"]
    assert "also under teacher" in said
    manifest = json.loads((repo / "data/select/reference_gain/manifest.json").read_text())
    assert manifest["reference"]["name"] == "teacher"
    # The same model: nothing is gained over it.
    gains = pl.read_parquet(repo / "data/select/trace_scores.parquet")["reference_gain"]
    assert gains.unique().to_list() == [0.0]
    assert select(repo)[0] == []
    # Another file in its folder is another model, which DVC sees.
    settings = repo / TEACHER / "generation_config.json"
    settings.write_text(json.dumps({"max_length": 77}))
    assert select(repo)[0] == ["score", "select"]
    again = json.loads((repo / "data/select/reference_gain/manifest.json").read_text())
    assert again["reference"]["model"] != manifest["reference"]["model"]
    # Gone, nothing of it is left.
    change(repo, "score", references=[])
    change(repo, "select", selectors=["lalp"])
    assert select(repo)[0] == ["score", "select"]
    assert md5_of_scores(repo) == without
