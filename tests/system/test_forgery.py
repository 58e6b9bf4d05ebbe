"""A forgery after which every MD5 agrees: what `stepsift verify` finds of it, and with how much effort."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.pipeline_repo import run
from stepsift.core import disk, table_files, tables
from stepsift.core.disk import file_md5

pytestmark = pytest.mark.system


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.chmod(0o644)
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def test_a_forgery_with_which_all_md5s_agree_is_found(finished: Path):
    repo = finished
    honest = run(repo, "stepsift", "verify", "--sample", "2")
    assert honest.returncode == 0, honest.stdout + honest.stderr
    assert {line[8:25].strip() for line in honest.stdout.splitlines()} >= {"scores", "answers", "accuracies"}
    scores = repo / "data/score/step_scores.parquet"
    frame = table_files.read(tables.STEP_SCORES, scores)
    some = frame["trace_id"].unique().sort().to_list()[:4]
    forged = pl.when(pl.col("trace_id").is_in(some)).then(pl.col("local_logprob") - 0.5).otherwise("local_logprob")
    table_files.write(tables.STEP_SCORES, frame.with_columns(forged.alias("local_logprob")), scores)
    # The manifests name the MD5 of the table.
    for path in (repo / "data/select").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["inputs"]["tables"][scores.name] = file_md5(scores)
        disk.write_json(manifest, path)
    flip(repo / "data/train/random/seed-0/model.safetensors")
    evaluations = repo / "data/evaluate/evaluations.parquet"
    better = table_files.read(tables.EVALUATIONS, evaluations).with_columns(accuracy=pl.lit(0.965))
    table_files.write(tables.EVALUATIONS, better, evaluations)
    done = run(repo, "dvc", "commit", "-f")
    assert done.returncode == 0, done.stdout + done.stderr

    def broken(*options: str) -> dict[str, str]:
        lines = run(repo, "stepsift", "verify", *options).stdout.splitlines()
        return {line[8:25].strip(): line[26:] for line in lines if line.startswith("broken")}

    assert broken("--fast") == {}
    found = broken("--full")
    assert all(trace in found["scores"] for trace in some)
    # That of the other selector, which comes first, was trained again to the same bytes.
    assert found["students"] == "data/train/random/seed-0/model.safetensors comes out differently"
    # The chart and the metrics file were not forged.
    assert found["accuracies"] == "data/evaluate/evaluations.parquet is not what answers.parquet gives"
    assert "lalp" not in found.get("answers", "")
