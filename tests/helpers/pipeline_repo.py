"""Copies of this repository in which the real pipeline runs on a small demo pool, and commands that are run there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from helpers.places import ROOT
from stepsift.ingest.files import find as files

STAGES = ["ingest", "segment", "score", "select", "train", "evaluate", "report"]
PROMPTS = 12
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
RAN = ".stepsift/ran.json"
"""The stages that ran when a finished copy was made."""
_MADE = ("data/ingest", "data/segment", "data/score", "data/select", "data/train", "data/evaluate")
_MADE += ("data/sources", "data/tasks", "metrics/", "report/", "dvc.lock")


def environment(repo: Path) -> dict[str, str]:
    """For commands in `repo`: programs of the environment that runs the tests, and the copy's own source."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(repo / "src")}


def run(repo: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment that runs the tests, in `repo`; outputs are text."""
    return subprocess.run(command, cwd=repo, env=environment(repo), capture_output=True, text=True, check=False)


def output(repo: Path, *command: str) -> str:
    """Standard output of a command that must succeed."""
    done = run(repo, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def ok(repo: Path, *command: str) -> str:
    """Both outputs of a command that must succeed."""
    done = run(repo, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def repro(repo: Path) -> list[str]:
    """Names of the stages that `dvc repro` ran; it must succeed, and every stage be tracked."""
    said = ok(repo, "dvc", "repro")
    assert "untracked" not in said
    return [s for s in STAGES if f"Running stage '{s}'" in said]


def change(repo: Path, section: str, **values: object) -> None:
    """Set keys of a section of params.yaml."""
    path = repo / "params.yaml"
    content = yaml.safe_load(path.read_text())
    content[section] |= values
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def untrack(repo: Path) -> None:
    """Stages leave no runs in MLflow from here on, for tests that look at none: half of a short stage's time."""
    change(repo, "tracking", enabled=False)


def commit(repo: Path, message: str) -> None:
    """Commit all that git sees."""
    ok(repo, "git", "add", "-A")
    ok(repo, *GIT, "commit", "-qm", message)


def start(repo: Path) -> None:
    """A git and DVC repository with what a clone would hold, 12 short prompts of the demo's kind and short training."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
    for name in listed:
        if not name.startswith(_MADE) and (ROOT / name).is_file():
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repo / name)
    ok(repo, "git", "init", "-q")
    commit(repo, "start")
    make_sources = (sys.executable, "demo/make_sources.py", "--sources", "data/sources", "--tasks", "data/tasks")
    ok(repo, *make_sources, "--prompts", str(PROMPTS), "--operations", "7", "8")
    change(repo, "train", epochs=1, seeds=[0])
    change(repo, "evaluate", limit=4, max_new_tokens=64)
    change(repo, "select", selectors=["lalp", "random"])


def finish(repo: Path, begun: Path) -> None:
    """A copy of what `start` made, in which the whole pipeline was checked and run."""
    shutil.copytree(begun, repo, symlinks=True)
    ok(repo, "stepsift", "check")
    ran = repro(repo)
    (repo / RAN).write_text(json.dumps(ran))


def add_and_finish(repo: Path, begun: Path, finished: Path) -> None:
    """A copy of what `start` made whose sources are under DVC, with one selector; run and committed. No remote yet.

    Scores, students and answers are those that `finished` has in its cache.
    """
    shutil.copytree(begun, repo, symlinks=True)
    shutil.copytree(finished / ".stepsift/cache", repo / ".stepsift/cache")
    for file in files.find_files(repo / "data/sources")[0]:
        ok(repo, "stepsift", "add", str(file.path.relative_to(repo)), "--quiet")
    change(repo, "select", selectors=["random"])
    ok(repo, "stepsift", "setup")
    (repo / RAN).write_text(json.dumps(repro(repo)))
    commit(repo, "run")
