"""Commits, branches and charts of `stepsift recurate`, on scratch repositories of git alone."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stepsift.recurate import commits, pull_requests
from stepsift.recurate.proposal import RecurationError

pytestmark = pytest.mark.slow


def git(folder: Path, *command: str) -> str:
    """What git answers; it must succeed."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *identity, *command], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def script() -> ModuleType:
    """The module that makes commits."""
    return commits


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


def commit_with(script: ModuleType, content: str) -> str:
    """A commit with another dvc.lock."""
    Path("dvc.lock").write_text(content)
    Path("code.py").write_text("changed, and none of its business\n")
    return str(script.commit_of(script.tree_with(["dvc.lock", "metrics/none.json"]), "Re-curate", "HEAD"))


def test_a_commit_holds_the_files_alone_and_is_made_twice_the_same(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    commit = commit_with(script, "new\n")
    assert git(folder, "diff", "--name-only", "HEAD", commit) == "dvc.lock"
    assert git(folder, "status", "--porcelain", "--", "dvc.lock") == "M dvc.lock"
    assert git(folder, "branch", "--list").split() == ["*", "main"]
    assert git(folder, "log", "-1", "--format=%ae %ce %cI", commit).split() == [
        script.EMAIL, script.EMAIL, git(folder, "log", "-1", "--format=%cI"),
    ]  # fmt: skip
    clone()
    assert commit_with(script, "new\n") == commit


def test_two_runs_at_once_with_the_same_content_both_end_well(script: ModuleType, clone: Callable[[], Path]):
    clone()
    commit = commit_with(script, "new\n")
    script.push(commit, "recurate/0", "origin")
    # This clone has not fetched since: for it there is no such branch yet.
    folder = clone()
    git(folder, "update-ref", "-d", "refs/remotes/origin/recurate/0")
    script.push(commit_with(script, "new\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit


def test_a_run_that_is_overtaken_while_it_pushes_ends_well_too(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    commit = commit_with(script, "new\n")
    # Git has read the remote's branches when it calls this hook, which pushes the same before git does.
    hook = folder / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\ngit push --quiet --no-verify origin {commit}:refs/heads/recurate/0 && touch pushed\n")
    hook.chmod(0o755)
    script.push(commit, "recurate/0", "origin")
    assert (folder / "pushed").exists()
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit


def test_two_runs_at_once_with_other_content_do_not_overwrite(script: ModuleType, clone: Callable[[], Path]):
    clone()
    commit = commit_with(script, "new\n")
    script.push(commit, "recurate/0", "origin")
    folder = clone()
    git(folder, "update-ref", "-d", "refs/remotes/origin/recurate/0")
    with pytest.raises(RecurationError, match=r"recurate/0 was not pushed: .*run again"):
        script.push(commit_with(script, "other\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == commit
    # Fetched, it is replaced: the last run on these inputs counts.
    again = commit_with(script, "other\n")
    script.push(again, "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == again


def test_work_of_others_on_the_branch_is_not_overwritten(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    script.push(commit_with(script, "new\n"), "recurate/0", "origin")
    git(folder, "checkout", "-qf", "-b", "mine", "origin/recurate/0")
    git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
    git(folder, "push", "-q", "origin", "mine:recurate/0")
    mine = git(folder, "rev-parse", "HEAD")
    clone()
    with pytest.raises(RecurationError, match="holds commits that are not of this script"):
        script.push(commit_with(script, "other\n"), "recurate/0", "origin")
    assert git(folder, "ls-remote", "origin", "recurate/0").split()[0] == mine


@pytest.fixture
def charts() -> Callable[[Path], None]:
    """Writes the PNG files that a stage report would."""

    def write(folder: Path) -> None:
        (folder / "report/charts/more").mkdir(parents=True)
        (folder / "report/charts/accuracy.png").write_bytes(b"PNG 1")
        (folder / "report/charts/more/a.png").write_bytes(b"PNG 2")
        (folder / "report/charts/page.html").write_text("page")

    return write


def test_charts_lie_on_a_branch_of_their_own(
    script: ModuleType,
    clone: Callable[[], Path],
    charts: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    folder = clone()
    charts(folder)
    # Without GitHub an address is what `git show` takes.
    shown = script.publish_charts(Path("report/charts"), "0", "origin")
    assert shown == [
        ("accuracy", "origin/recurate-charts/0:accuracy.png"), ("more-a", "origin/recurate-charts/0:more-a.png"),
    ]  # fmt: skip
    git(folder, "fetch", "-q")
    assert [git(folder, "show", address) for _, address in shown] == ["PNG 1", "PNG 2"]
    commit = git(folder, "rev-parse", "origin/recurate-charts/0")
    assert git(folder, "ls-tree", "--name-only", commit).split() == ["accuracy.png", "more-a.png"]
    assert git(folder, "rev-list", "--count", commit) == "1"

    # Drawn otherwise, on the same inputs: the last ones count.
    (folder / "report/charts/accuracy.png").write_bytes(b"PNG 3")
    script.publish_charts(Path("report/charts"), "0", "origin")
    git(folder, "fetch", "-q")
    assert git(folder, "show", "origin/recurate-charts/0:accuracy.png") == "PNG 3"

    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/data")
    again = clone()
    charts(again)
    assert script.publish_charts(Path("report/charts"), "0", "origin") == [
        ("accuracy", f"https://git.example.org/team/data/blob/{commit}/accuracy.png?raw=true"),
        ("more-a", f"https://git.example.org/team/data/blob/{commit}/more-a.png?raw=true"),
    ]


def test_no_charts_make_no_branch(script: ModuleType, clone: Callable[[], Path]):
    folder = clone()
    assert script.publish_charts(Path("report/charts"), "0", "origin") == []
    assert git(folder, "ls-remote", "origin", "recurate-charts/*") == ""


GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
case "$1 $2" in
  "pr list") cat "$GH_OPEN";;
  "pr create") echo "https://git.example.org/pull/1";;
  "pr close") exit "${GH_CLOSE:-0}";;
esac
"""
"""Stands in for GitHub's client: it writes down what it is asked, and says that what GH_OPEN lists is open."""


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `open`, the (number, branch) of open pull requests, and `log`, what was asked of them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    (tmp_path / "open").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("GH_OPEN", str(tmp_path / "open"))
    return tmp_path


def propose(branch: str) -> list[str]:
    """Of src/stepsift/recurate/pull_requests.py; `script` has made it known."""
    said: list[str] = pull_requests.propose(branch, "main", "Re-curate", Path("t.md"), "origin")
    return said


def test_a_pull_request_is_opened_once_and_renewed_then(script: ModuleType, clone: Callable[[], Path], gh: Path):
    clone()
    (gh / "open").write_text("7 somebodys-feature\n")
    assert propose("recurate/0") == ["opened https://git.example.org/pull/1"]
    (gh / "open").write_text("7 somebodys-feature\n8 recurate/0\n")
    assert propose("recurate/0") == ["renewed the text of pull request 8"]
    asked = (gh / "log").read_text().splitlines()
    assert [line for line in asked if not line.startswith("pr list ")] == [
        "pr create --head recurate/0 --base main --title Re-curate --body-file t.md",
        "api --silent --method PATCH repos/{owner}/{repo}/pulls/8 -f title=Re-curate -F body=@t.md",
    ]
    # A fork's branch may have any name: without this its pull request would be taken for ours.
    assert all(
        "--base main --state open" in line and "isCrossRepository | not" in line
        for line in asked
        if line.startswith("pr list ")
    )


def test_what_is_replaced_is_closed_and_nothing_else(script: ModuleType, clone: Callable[[], Path], gh: Path):
    folder = clone()
    for name in ("old", "touched"):
        script.push(commit_with(script, f"{name}\n"), f"recurate/{name}", "origin")
    git(folder, "checkout", "-qf", "-b", "mine", "origin/recurate/touched")
    git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
    git(folder, "push", "-q", "origin", "mine:recurate/touched")
    git(folder, "checkout", "-qf", "-b", "feature", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "feature")
    git(folder, "push", "-q", "origin", "feature")
    git(folder, "checkout", "-qf", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "later")
    script.push(commit_with(script, "later\n"), "recurate/later", "origin")
    script.fetch("origin")
    (gh / "open").write_text("1 recurate/old\n2 recurate/touched\n3 recurate/gone\n4 recurate/later\n5 feature\n")
    assert propose("recurate/later") == [
        "renewed the text of pull request 4",
        "closed pull request 1, which it replaces",
    ]
    # A run on an earlier commit, started once more, does not close what came after it.
    git(folder, "checkout", "-qf", "HEAD~1")
    assert propose("recurate/old") == ["renewed the text of pull request 1"]


def test_a_client_that_fails_is_said(
    script: ModuleType, clone: Callable[[], Path], gh: Path, monkeypatch: pytest.MonkeyPatch
):
    clone()
    script.push(commit_with(script, "old\n"), "recurate/old", "origin")
    script.fetch("origin")
    (gh / "open").write_text("1 recurate/old\n")
    monkeypatch.setenv("GH_CLOSE", "1")
    with pytest.raises(RecurationError, match=r"'gh pr' failed: .*run again"):
        propose("recurate/new")
