"""Two people each add a teacher on a branch of their own; the branches are merged and the pipeline run on both."""

import json
from pathlib import Path

import pytest
import yaml

# `repo` is a fixture: a copy of the repository with a small pool.
from test_pipeline import repo, run  # noqa: F401

from stepsift.ingest.files import find as files

pytestmark = pytest.mark.system

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


def ok(repo: Path, *command: str) -> str:  # noqa: F811
    """Output of a command that must succeed."""
    done = run(repo, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def add_teacher(repo: Path, teacher: str, licence: str) -> None:  # noqa: F811
    """A file of one teacher for the pool's own prompts, added, read and committed with what the stage wrote."""
    known = [json.loads(line) for line in (repo / "data/sources/chat/thinking.jsonl").open()]
    rows = [{"prompt": r["messages"][0]["content"], "completion": f"{teacher} says #### 1"} for r in known]
    file = repo.parent / f"{teacher}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = ok(repo, "stepsift", "add", str(file), "--teacher", teacher, "--licence", licence)
    assert f"{len(rows)} read, {len(rows)} kept" in said
    assert f"prompts     {len(rows)}, 0 of them new to the pool" in said
    changed = ok(repo, "git", "status", "--porcelain", "-uall").splitlines()
    assert changed == [f"?? data/sources/{teacher}.jsonl.{what}" for what in ("dvc", "rule.yaml")]
    ok(repo, "dvc", "repro", "ingest")
    ok(repo, *GIT, "add", "-A")
    ok(repo, *GIT, "commit", "-qm", f"teacher {teacher}")
    ok(repo, "dvc", "push")


def test_on_the_demo_what_add_says_is_what_ingest_reads(repo: Path):  # noqa: F811
    said = json.loads(ok(repo, "stepsift", "add", "data/sources/sharegpt.jsonl", "--json", "--dry-run"))
    ok(repo, "stepsift", "add", "data/sources/sharegpt.jsonl", "--quiet")
    ok(repo, "dvc", "repro", "ingest")
    counts = json.loads((repo / "metrics/ingest.json").read_text())
    assert said["rows"] == counts["by_file"]["sharegpt.jsonl"]
    assert {int(k): v for k, v in said["candidates"]["after"]["histogram"].items()} == {
        int(k): v for k, v in counts["candidates"]["histogram"].items()
    }


def test_two_branches_that_each_add_a_teacher(repo: Path, tmp_path: Path):  # noqa: F811
    for file in files.find(repo / "data/sources")[0]:
        if not file.path.with_name(f"{file.path.name}.dvc").exists():
            ok(repo, "stepsift", "add", str(file.path.relative_to(repo)))
    ok(repo, "dvc", "remote", "add", "-d", "shared", str(tmp_path / "remote"))
    ok(repo, "dvc", "repro", "ingest")
    ok(repo, *GIT, "add", "-A")
    ok(repo, *GIT, "commit", "-qm", "pool")
    ok(repo, "dvc", "push")
    assert ok(repo, "git", "status", "--porcelain") == ""
    mate = tmp_path / "mate"
    ok(repo, "git", "clone", "-q", str(repo), str(mate))
    ok(mate, "dvc", "pull", "ingest", *(str(p.relative_to(mate)) for p in (mate / "data/sources").rglob("*.dvc")))
    assert "Running stage" not in ok(mate, "dvc", "repro", "ingest")

    add_teacher(repo, "Ada", "MIT")
    add_teacher(mate, "Bea", "CC-BY-4.0")
    ok(repo, "git", "fetch", "-q", str(mate), "HEAD:bea")
    merged = run(repo, *GIT, "merge", "bea", "-m", "both")
    assert merged.returncode == 1
    # What the pipeline writes; no driver was registered in this clone.
    conflicts = ok(repo, "git", "diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == ["dvc.lock", "metrics/ingest.json"]
    assert not [path for path in conflicts if "<<<<<<<" in (repo / path).read_text()]
    licences = {"Ada": "MIT", "Bea": "CC-BY-4.0"}
    for teacher, licence in licences.items():
        text = (repo / f"data/sources/{teacher}.jsonl.rule.yaml").read_text()
        assert yaml.safe_load(text) == {"licence": licence}
    assert ok(repo, "git", "diff", "--name-only", "HEAD~1", "--", "params.yaml", ".gitattributes") == ""
    assert not (repo / "data/sources/Bea.jsonl").exists()

    # The one command.
    assert "Running stage 'ingest'" in ok(repo, "dvc", "repro", "--pull", "ingest")
    ok(repo, *GIT, "commit", "-qam", "both")
    ok(repo, "dvc", "push")
    counts = json.loads((repo / "metrics/ingest.json").read_text())
    assert {"Ada.jsonl", "Bea.jsonl"} <= set(counts["by_file"])
    assert counts["by_teacher"]["Ada"]["kept"] == counts["by_teacher"]["Bea"]["kept"] > 0

    # A third clone has it all and runs nothing; without a teacher again, the outputs are those of the other branch.
    third = tmp_path / "third"
    ok(repo, "git", "clone", "-q", str(repo), str(third))
    ok(third, "dvc", "pull", "ingest", *(str(p.relative_to(third)) for p in (third / "data/sources").rglob("*.dvc")))
    assert "Running stage" not in ok(third, "dvc", "repro", "ingest")
    before = {p: p.read_bytes() for p in (mate / "data/ingest").iterdir()}
    ok(third, "stepsift", "remove", "Ada")
    ok(third, "dvc", "repro", "ingest")
    assert {p: (third / "data/ingest" / p.name).read_bytes() for p in before} == before
    assert not (third / "data/sources/Ada.jsonl.rule.yaml").exists()
