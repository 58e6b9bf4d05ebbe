"""The workflows of `.github`: what must hold of them so that nothing is paid for, told or triggered unasked."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WRITTEN_BY_A_RUN = ("dvc.lock", "metrics/score.json")


def load(name: str) -> dict[str, Any]:
    """A workflow; YAML reads its key `on` as true."""
    content: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return {"on": content.pop(True), **content}


def matches(pattern: str, path: str) -> bool:
    """Whether GitHub's filter takes a path: `**` is any characters, `*` any but a slash."""
    parts = [".*" if p == "**" else "[^/]*" if p == "*" else re.escape(p) for p in re.split(r"(\*\*|\*)", pattern)]
    return re.fullmatch("".join(parts), path) is not None


def taken(patterns: list[str], path: str) -> bool:
    """Whether a path is left by all the patterns, of which the last that matches decides."""
    decided = [not p.startswith("!") for p in patterns if matches(p.removeprefix("!"), path)]
    return bool(decided) and decided[-1]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_workflow(file: Path):
    workflow, text = load(file.name), file.read_text()
    assert workflow["permissions"] == {}, "rights are given by job"
    assert workflow["concurrency"]["group"]
    assert "pull_request_target" not in workflow["on"]
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), f"{action} is not pinned to a commit"
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment)
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            # What somebody else may have written never becomes part of a script.
            assert "${{" not in step.get("run", "")
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_a_pull_request_sees_no_secret_and_may_only_read():
    text, workflow = (ROOT / ".github/workflows/ci.yml").read_text(), load("ci.yml")
    assert "pull_request" in workflow["on"]
    assert "secrets." not in text
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())
    runs = " ".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert "make test" in runs
    for test in re.findall(r"tests/\S+\.py", runs):
        assert (ROOT / test).is_file()
    assert "tests/test_pipeline_contract.py" in runs
    assert "tests/system/test_pipeline.py" in runs


def test_secrets_of_the_lock_check_are_not_for_forks():
    [job] = load("lock.yml")["jobs"].values()
    secret = [step for step in job["steps"] if "secrets." in str(step)]
    assert secret
    assert all("head.repo.full_name == github.repository" in step["if"] for step in secret)


def test_a_recuration_waits_for_an_approval_and_for_the_one_before():
    workflow = load("recurate.yml")
    assert workflow["concurrency"] == {"group": "recurate", "cancel-in-progress": False}
    needed, job = workflow["jobs"]["needed"], workflow["jobs"]["recurate"]
    assert job["environment"] == "gpu"
    assert job["needs"] == "needed"
    assert "secrets." not in str(needed) and "gpu" not in str(needed["runs-on"])
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert {"push", "workflow_dispatch", "schedule"} == set(workflow["on"])
    assert "stepsift recurate --pull-request" in str(job["steps"])


def test_a_recuration_by_hand_always_runs_and_any_only_with_its_image():
    job = load("recurate.yml")["jobs"]["recurate"]
    assert job["if"] == "needs.needed.outputs.stale == 'true' || github.event_name == 'workflow_dispatch'"
    runs = "\n".join(step.get("run", "") for step in job["steps"])
    assert runs.index("-m stepsift.container.image") < runs.index("stepsift recurate")


def test_a_recuration_starts_for_all_that_decides_and_for_nothing_that_it_writes():
    push = load("recurate.yml")["on"]["push"]
    assert push["branches"] == ["main"]
    assert [p for p in WRITTEN_BY_A_RUN if taken(push["paths"], p)] == []
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    student = yaml.safe_load((ROOT / "params.yaml").read_text())["student"]["path"]
    made = [
        next(iter(o)) if isinstance(o, dict) else o
        for s in stages
        for k in ("outs", "plots", "metrics")
        for o in s.get(k, [])
    ]
    deps = {dep.replace("${student.path}", student) for stage in stages for dep in stage["deps"]}
    given = [d for d in deps if not any(d == m or d.startswith(f"{m}/") for m in made)]
    assert {"data/sources", "data/tasks", "stages/score.py"} <= set(given)
    for dep in [*given, "params.yaml", "dvc.yaml"]:
        inside = dep if Path(dep).suffix or dep == "Dockerfile" else f"{dep}/file"
        assert taken(push["paths"], inside), f"a change of {dep} starts no re-curation"
    assert not taken(push["paths"], "docs/TEAM.md")


def test_data_are_pushed_before_anything_is_committed():
    steps = (ROOT / "src/stepsift/recurate/run.py").read_text().partition("def _steps(")[2].partition("\ndef ")[0]
    order = ['"pull"', '"check"', "warm(", '"repro"', "push_runs", "in_remote()", "commit_of(", "push(commit"]
    places = [steps.rindex(name) for name in order]
    assert places == sorted(places)
