"""A fresh clone whose caches are warmed from a revision runs the real pipeline and computes only what is new."""

import json
import re
import shutil
from pathlib import Path

import pytest

from helpers.pipeline_repo import run, untrack

pytestmark = pytest.mark.system


def test_a_fresh_clone_computes_only_what_is_new(finished: Path, tmp_path: Path):
    repo = finished
    untrack(repo)
    clone = tmp_path / "clone"
    for command in (
        ["dvc", "remote", "add", "-d", "up", str(tmp_path / "remote")],
        ["dvc", "push", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "run"],
        ["git", "clone", "-q", str(repo), str(clone)],
    ):
        done = run(repo, *command)
        assert done.returncode == 0, done.stderr
    warmed = run(clone, "stepsift", "cache", "warm", "--rev", "HEAD")
    assert warmed.returncode == 0, warmed.stderr
    n_traces = json.loads((repo / "metrics/score.json").read_text())["scored"]
    assert re.findall(r"(\w+) +(\d+) (?:traces )?filled in, 0 were there", warmed.stdout) == [
        ("scores", str(n_traces)), ("models", "2"), ("evaluations", "3"),
    ]  # fmt: skip
    assert "they will not be used" not in warmed.stdout

    for name in ("data/sources", "data/tasks"):  # the user's own, under neither git nor DVC here
        shutil.copytree(repo / name, clone / name, dirs_exist_ok=True)
    # Nothing new: everything runs, since no output is here, and nothing is computed.
    done = run(clone, "dvc", "repro")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert f"scored {n_traces} of {n_traces} traces ({n_traces} from the cache)" in said
    assert len(re.findall(r"train \w+, seed 0: from the cache", said)) == 2
    assert len(re.findall(r"evaluate \S+ on chain: [\d.]+ \(from the cache\)", said)) == 3
    assert (clone / "dvc.lock").read_text() == (repo / "dvc.lock").read_text()

    # A teacher more: its traces alone are scored.
    rows = [json.loads(line) for line in (clone / "data/sources/sharegpt.jsonl").read_text().splitlines()]
    for row in rows:
        row["teacher"] = "zoe"
        row["conversations"][-1]["value"] += "\nThat is all."
    (clone / "data/sources/zoe.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(clone, "dvc", "repro", "score")
    assert done.returncode == 0, done.stderr
    [(scored, known)] = re.findall(r"scored (\d+) of \d+ traces \((\d+) from the cache\)", done.stdout + done.stderr)
    assert int(scored) > int(known) == n_traces
