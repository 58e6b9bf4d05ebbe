"""Two people each add a teacher on a branch of their own; the branches are merged and the pipeline run on both."""

import json
from pathlib import Path

import pytest
import yaml

from helpers.pipeline_repo import GIT, output, run, untrack
from stepsift.ingest.files import find as files

pytestmark = pytest.mark.system


def add_teacher(repo: Path, teacher: str, licence: str) -> None:
    """A file of one teacher for the pool's own prompts, added, read and committed with what the stage wrote."""
    known = [json.loads(line) for line in (repo / "data/sources/chat/thinking.jsonl").open()]
    rows = [{"prompt": r["messages"][0]["content"], "completion": f"{teacher} says #### 1"} for r in known]
    file = repo.parent / f"{teacher}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = output(repo, "stepsift", "add", str(file), "--teacher", teacher, "--licence", licence)
    assert f"{len(rows)} read, {len(rows)} kept" in said
    assert f"prompts     {len(rows)}, 0 of them new to the pool" in said
    changed = output(repo, "git", "status", "--porcelain", "-uall").splitlines()
    assert changed == [f"?? data/sources/{teacher}.jsonl.{what}" for what in ("dvc", "rule.yaml")]
    output(repo, "dvc", "repro", "ingest")
    output(repo, *GIT, "add", "-A")
    output(repo, *GIT, "commit", "-qm", f"teacher {teacher}")
    output(repo, "dvc", "push")


def test_on_the_demo_what_add_says_is_what_ingest_reads(repo: Path):
    untrack(repo)
    said = json.loads(output(repo, "stepsift", "add", "data/sources/sharegpt.jsonl", "--json", "--dry-run"))
    output(repo, "stepsift", "add", "data/sources/sharegpt.jsonl", "--quiet")
    output(repo, "dvc", "repro", "ingest")
    counts = json.loads((repo / "metrics/ingest.json").read_text())
    assert said["rows"] == counts["by_file"]["sharegpt.jsonl"]
    assert {int(k): v for k, v in said["candidates"]["after"]["histogram"].items()} == {
        int(k): v for k, v in counts["candidates"]["histogram"].items()
    }


def test_two_branches_that_each_add_a_teacher(repo: Path, tmp_path: Path):
    untrack(repo)
    for file in files.find_files(repo / "data/sources")[0]:
        if not file.path.with_name(f"{file.path.name}.dvc").exists():
            output(repo, "stepsift", "add", str(file.path.relative_to(repo)))
    output(repo, "dvc", "remote", "add", "-d", "shared", str(tmp_path / "remote"))
    output(repo, "dvc", "repro", "ingest")
    output(repo, *GIT, "add", "-A")
    output(repo, *GIT, "commit", "-qm", "pool")
    output(repo, "dvc", "push")
    assert output(repo, "git", "status", "--porcelain") == ""
    mate = tmp_path / "mate"
    output(repo, "git", "clone", "-q", str(repo), str(mate))
    output(mate, "dvc", "pull", "ingest", *(str(p.relative_to(mate)) for p in (mate / "data/sources").rglob("*.dvc")))
    assert "Running stage" not in output(mate, "dvc", "repro", "ingest")

    add_teacher(repo, "Ada", "MIT")
    add_teacher(mate, "Bea", "CC-BY-4.0")
    output(repo, "git", "fetch", "-q", str(mate), "HEAD:bea")
    merged = run(repo, *GIT, "merge", "bea", "-m", "both")
    assert merged.returncode == 1
    # What the pipeline writes; no driver was registered in this clone.
    conflicts = output(repo, "git", "diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == ["dvc.lock", "metrics/ingest.json"]
    assert not [path for path in conflicts if "<<<<<<<" in (repo / path).read_text()]
    licences = {"Ada": "MIT", "Bea": "CC-BY-4.0"}
    for teacher, licence in licences.items():
        text = (repo / f"data/sources/{teacher}.jsonl.rule.yaml").read_text()
        assert yaml.safe_load(text) == {"licence": licence}
    assert output(repo, "git", "diff", "--name-only", "HEAD~1", "--", "params.yaml", ".gitattributes") == ""
    assert not (repo / "data/sources/Bea.jsonl").exists()

    # The one command.
    assert "Running stage 'ingest'" in output(repo, "dvc", "repro", "--pull", "ingest")
    output(repo, *GIT, "commit", "-qam", "both")
    output(repo, "dvc", "push")
    counts = json.loads((repo / "metrics/ingest.json").read_text())
    assert {"Ada.jsonl", "Bea.jsonl"} <= set(counts["by_file"])
    assert counts["by_teacher"]["Ada"]["kept"] == counts["by_teacher"]["Bea"]["kept"] > 0

    # A third clone has it all and runs nothing; without a teacher again, the outputs are those of the other branch.
    third = tmp_path / "third"
    output(repo, "git", "clone", "-q", str(repo), str(third))
    output(
        third, "dvc", "pull", "ingest", *(str(p.relative_to(third)) for p in (third / "data/sources").rglob("*.dvc"))
    )
    assert "Running stage" not in output(third, "dvc", "repro", "ingest")
    before = {p: p.read_bytes() for p in (mate / "data/ingest").iterdir()}
    output(third, "stepsift", "remove", "Ada")
    output(third, "dvc", "repro", "ingest")
    assert {p: (third / "data/ingest" / p.name).read_bytes() for p in before} == before
    assert not (third / "data/sources/Ada.jsonl.rule.yaml").exists()
