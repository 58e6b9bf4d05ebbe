"""Commits, branches and charts of `scripts/recurate`, on scratch repositories of git alone."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stepsift.recurate import RecurationError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def git(folder: Path, *command: str) -> str:
    """What git answers; it must succeed."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *identity, *command], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that `scripts/recurate` imports."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("commits")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """`clone()`: a fresh clone of one bare repository, in which the test works then."""
    first = tmp_path / "first"
    first.mkdir()
    git(first, "init", "-q", "-b", "main")
    (first / "dvc.lock").write_text("old\n")
    (first / "code.py").write_text("1\n")
    git(first, "add", "-A")
    # Long ago, so that a commit that took the time of its making is seen.
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2024-01-02T03:04:05+00:00")
    git(first, "commit", "-qm", "start")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    git(tmp_path, "clone", "-q", "--bare", str(first), "origin.git")
    made = iter(range(10))

    def make() -> Path:
        folder = tmp_path / f"clone-{next(made)}"
        git(tmp_path, "clone", "-q", str(tmp_path / "origin.git"), str(folder))
        monkeypatch.chdir(folder)
        return folder

    return make


def propose(script: ModuleType, content: str) -> str:
    """A commit with another dvc.lock."""
    Path("dvc.lock").write_text(content)
    Path("code.py").write_text("changed, and none of its business\n")
    return str(script.commit_of(script.tree_with(["dvc.lock", "metrics/none.json"]), "Re-curate", "HEAD"))


def test_a_commit_holds_the_files_alone_and_is_made_twice_the_same(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    commit = propose(script, "new\n")
    assert git(folder, "diff", "--name-only", "HEAD", commit) == "dvc.lock"
    assert git(folder, "status", "--porcelain", "--", "dvc.lock") == "M dvc.lock"
    assert git(folder, "branch", "--list").split() == ["*", "main"]
    assert git(folder, "log", "-1", "--format=%ae %ce %cI", commit).split() == [
        script.EMAIL, script.EMAIL, git(folder, "log", "-1", "--format=%cI"),
    ]  # fmt: skip
    clone()
    assert propose(script, "new\n") == commit


def test_two_runs_at_once_with_the_same_content_both_end_well(script: ModuleType, clone: Callable[[], Path]):
    clone()
    commit = propose(script, "new\n")
    script.push(commit, "recurate/0", "origin")
    # This clone has not fetched since: for it there is no such branch yet.
    folder = clone()
    git(folder, "update-ref", "-d", "refs/remotes/origin/recurate/0")
    script.push(propose(script, "new\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit


def test_a_run_that_is_overtaken_while_it_pushes_ends_well_too(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    commit = propose(script, "new\n")
    # Git has read the remote's branches when it calls this hook, which pushes the same before git does.
    hook = folder / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\ngit push --quiet --no-verify origin {commit}:refs/heads/recurate/0 && touch pushed\n")
    hook.chmod(0o755)
    script.push(commit, "recurate/0", "origin")
    assert (folder / "pushed").exists()
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit


def test_two_runs_at_once_with_other_content_do_not_overwrite(script: ModuleType, clone: Callable[[], Path]):
    clone()
    commit = propose(script, "new\n")
    script.push(commit, "recurate/0", "origin")
    folder = clone()
    git(folder, "update-ref", "-d", "refs/remotes/origin/recurate/0")
    with pytest.raises(RecurationError, match=r"recurate/0 was not pushed: .*run again"):
        script.push(propose(script, "other\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit
    # Fetched, it is replaced: the last run on these inputs counts.
    again = propose(script, "other\n")
    script.push(again, "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == again


def test_work_of_others_on_the_branch_is_not_overwritten(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    script.push(propose(script, "new\n"), "recurate/0", "origin")
    git(folder, "checkout", "-qf", "-b", "mine", "origin/recurate/0")
    git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
    git(folder, "push", "-q", "origin", "mine:recurate/0")
    mine = git(folder, "rev-parse", "HEAD")
    clone()
    with pytest.raises(RecurationError, match="holds commits that are not of this script"):
        script.push(propose(script, "other\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == mine


def test_charts_lie_on_a_branch_of_their_own_on_github(
    script: ModuleType, clone: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
):
    folder = clone()
    (folder / "report/charts").mkdir(parents=True)
    (folder / "report/charts/accuracy.png").write_bytes(b"PNG 1")
    (folder / "report/all.png").write_bytes(b"PNG 2")
    (folder / "report/index.html").write_text("page")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert script.publish_charts(Path("report"), "0", "origin") == [
        ("all", "report/all.png"), ("accuracy", "report/charts/accuracy.png"),
    ]  # fmt: skip
    assert git(folder, "ls-remote", "origin", "recurate-charts/*") == ""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/data")
    shown = script.publish_charts(Path("report"), "0", "origin")
    commit = git(folder, "ls-remote", "origin", "recurate-charts/0").split()[0]
    assert shown == [
        ("all", f"https://git.example.org/team/data/blob/{commit}/all.png?raw=true"),
        ("charts-accuracy", f"https://git.example.org/team/data/blob/{commit}/charts-accuracy.png?raw=true"),
    ]
    assert git(folder, "show", f"{commit}:charts-accuracy.png") == "PNG 1"
    assert git(folder, "ls-tree", "--name-only", commit).split() == ["all.png", "charts-accuracy.png"]
    assert git(folder, "rev-list", "--count", commit) == "1"


def test_no_charts_make_no_branch(script: ModuleType, clone: Callable[[], Path], monkeypatch: pytest.MonkeyPatch):
    folder = clone()
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/data")
    assert script.publish_charts(Path("report"), "0", "origin") == []
    assert git(folder, "ls-remote", "origin", "recurate-charts/*") == ""
