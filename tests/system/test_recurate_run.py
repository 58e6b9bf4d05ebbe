"""`stepsift recurate` for real: a bare git remote, a DVC remote, and the pipeline on a small pool.

The tests run in order and build on one another, as pushes to main do.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.hostile_names import assert_inert_in_markdown, assert_inert_in_terminal
from helpers.pipeline_repo import change, commit, ok, run, untrack

pytestmark = pytest.mark.system

GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
case "$1 $2" in "pr list") cat "$GH_OPEN" 2>/dev/null || true;; "pr create") echo https://git.example.org/pull/7;; esac
"""
"""Stands in for GitHub's client: it writes down what it is asked and knows the pull requests that GH_OPEN lists."""


ZOE = "zoe, ::error::says @someone #1 <img src=x onerror=alert(1)> [t](https://example.org)"
"""A teacher whose name is chosen to do harm."""


class Team:
    """A bare repository `origin.git` and a DVC remote `remote` in one folder; `text` is that of a pull request."""

    def __init__(self, root: Path):
        self.root, self.n, self.text = root, 0, root / "text.md"

    def clone(self) -> Path:
        """A fresh clone of main, without data, that knows where the remote is."""
        self.n += 1
        clone = self.root / f"clone-{self.n}"
        ok(self.root, "git", "clone", "-q", "-b", "main", str(self.root / "origin.git"), str(clone))
        ok(clone, "dvc", "remote", "modify", "--local", "shared", "url", str(self.root / "remote"))
        return clone

    def heads(self) -> dict[str, str]:
        """Branch to commit, as the bare repository has them."""
        said = ok(self.root / "origin.git", "git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads")
        return {name.removeprefix("refs/heads/"): commit for name, commit in map(str.split, said.splitlines())}

    def proposals(self) -> list[str]:
        """Branches with a dvc.lock of the script's."""
        return [name for name in self.heads() if name.startswith("recurate/")]

    def publish(self, clone: Path, message: str) -> None:
        """Commit all, and push to main."""
        commit(clone, message)
        ok(clone, "git", "push", "-q", "origin", "HEAD:main")


@pytest.fixture(scope="module")
def team(added: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team whose pipeline was run, pushed and committed."""
    team = Team(tmp_path_factory.mktemp("team"))
    ok(added, "dvc", "remote", "add", "-d", "shared", str(team.root / "remote"))
    untrack(added)
    commit(added, "remote")
    ok(added, "git", "branch", "-M", "main")
    ok(added, sys.executable, "-m", "stepsift.recurate.push_runs")
    ok(team.root, "git", "clone", "-q", "--bare", str(added), "origin.git")
    return team


def test_nothing_changed_makes_no_branch(team: Team):
    said = ok(team.clone(), "stepsift", "recurate")
    assert "nothing changed" in said
    assert "Running stage" not in said
    assert set(team.heads()) == {"main"}


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As on GitHub: a folder with the log of what `gh` was asked, and with `open`, the open pull requests if any."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("GH_OPEN", str(tmp_path / "open"))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/data")
    return tmp_path


def test_a_new_teacher_is_scored_alone_and_proposed(team: Team, tmp_path: Path, gh: Path):
    mate = team.clone()
    ok(mate, "dvc", "pull")
    known = json.loads((mate / "metrics/score.json").read_text())["scored"]
    rows = [json.loads(line) for line in (mate / "data/sources/sharegpt.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("teacher", None)
        row["conversations"][-1]["value"] += "\nThat is all."
    (tmp_path / "zoe.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ok(mate, "stepsift", "add", str(tmp_path / "zoe.jsonl"), "--teacher", ZOE, "--name", "zoe", "--licence", "MIT")
    ok(mate, "dvc", "push")
    team.publish(mate, f"Add teacher {ZOE}")

    ci = team.clone()
    said = ok(ci, "stepsift", "recurate", "--text", str(team.text), "--pull-request")

    ingested = json.loads((ci / "metrics/ingest.json").read_text())
    new = ingested["by_teacher"][ZOE]["kept"]
    assert new == len(rows)
    [(scored, from_cache)] = re.findall(r"scored (\d+) of \d+ traces \((\d+) from the cache\)", said)
    assert (int(scored), int(from_cache)) == (known + new, known)

    [branch] = team.proposals()
    assert re.fullmatch(r"recurate/[0-9a-f]{10}", branch)
    ok(ci, "git", "fetch", "-q")
    changed = ok(ci, "git", "diff", "--name-only", "origin/main", f"origin/{branch}").split()
    assert "dvc.lock" in changed
    assert all(name == "dvc.lock" or name.startswith("metrics/") for name in changed)
    assert ok(ci, "git", "rev-parse", f"origin/{branch}^") == ok(ci, "git", "rev-parse", "origin/main")
    assert ok(ci, "git", "rev-parse", "HEAD") == ok(ci, "git", "rev-parse", "origin/main")

    text = team.text.read_text()
    assert "| `data/sources` |" in text
    assert f"Add teacher {ZOE}`" in text
    assert_inert_in_markdown(text)
    assert_inert_in_terminal(said.splitlines())
    assert "`A data/sources/zoe.jsonl.dvc`" in text
    assert re.search(r"## Curated sets: `[0-9a-f]{7,}` -> this branch", text)
    assert f"by_teacher.{ZOE}.kept" in text
    assert "**Note**" not in text
    pictures = re.findall(
        r"^!\[(.+)\]\(https://git.example.org/team/data/blob/([0-9a-f]{40})/(.+)\?raw=true\)$", text, re.M
    )
    drawn = sorted((ci / "report/charts").glob("*.png"))
    assert drawn
    assert [name for name, _, _ in pictures] == [file.stem for file in drawn]
    shown = team.heads()[f"recurate-charts/{branch.removeprefix('recurate/')}"]
    for (_, revision, name), file in zip(pictures, drawn, strict=True):
        assert revision == shown
        blob = ok(ci, "git", "ls-tree", "--format=%(objectname)", f"origin/recurate-charts/{branch[9:]}", name)
        assert blob == ok(ci, "git", "hash-object", str(file))
        assert file.read_bytes().startswith(b"\x89PNG")

    listed, created = (gh / "log").read_text().splitlines()
    assert listed.startswith("pr list --base main --state open")
    assert created.startswith(f"pr create --head {branch} --base main --title Re-curate ")


def test_the_branch_is_complete_and_a_second_run_makes_it_again(team: Team, gh: Path):
    [branch] = team.proposals()
    # Who checks it out has it all and runs nothing.
    reviewer = team.clone()
    ok(reviewer, "git", "checkout", "-q", branch)
    ok(reviewer, sys.executable, "-m", "stepsift.recurate.check_lock")
    ok(reviewer, "dvc", "pull")
    assert "Running stage" not in ok(reviewer, "dvc", "repro")
    assert run(reviewer, "dvc", "data", "status", "--not-in-remote", "--json").stdout.strip() == "{}"

    # Elsewhere, on the same inputs: the same commit from the run cache, the same pull request.
    heads = team.heads()
    (gh / "open").write_text(f"7 {branch}\n")
    again = ok(team.clone(), "stepsift", "recurate", "--text", str(gh / "again.md"), "--pull-request")
    assert "Running stage" not in again
    assert team.heads() == heads
    assert (gh / "again.md").read_text() == team.text.read_text()
    assert (
        (gh / "log").read_text().splitlines()[1].startswith("api --silent --method PATCH repos/{owner}/{repo}/pulls/7 ")
    )


def test_once_merged_it_calls_for_no_other(team: Team):
    heads = team.heads()
    [branch] = team.proposals()
    ok(team.root / "origin.git", "git", "update-ref", "refs/heads/main", heads[branch])
    assert "nothing changed" in ok(team.clone(), "stepsift", "recurate")
    assert set(team.heads()) == set(heads)


def test_killed_half_way_and_run_again_it_ends_the_same(team: Team, tmp_path: Path):
    mate = team.clone()
    # The same curated set, so that its students and answers are known; test_stage_kills kills a stage that trains.
    change(mate, "select", exports=["messages", "sharegpt"])
    team.publish(mate, "Another export")
    undisturbed = Team(tmp_path)
    shutil.copytree(team.root / "origin.git", tmp_path / "origin.git")
    shutil.copytree(team.root / "remote", tmp_path / "remote")
    heads = team.heads()

    ci = team.clone()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ci / "src")}
    with subprocess.Popen(
        ["stepsift", "recurate"],
        cwd=ci,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if "Running stage 'train'" in line:
                break
        os.killpg(killed.pid, signal.SIGKILL)
    # DVC's lock is free when the system has cleared away the last of them.
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(killed.pid, 0)
            time.sleep(0.1)
    assert team.heads() == heads
    assert "Re-curate" not in ok(ci, "git", "log", "--format=%s", "--all", "--not", *heads.values())
    assert "dvc.lock" in ok(ci, "git", "status", "--porcelain")

    ok(ci, "stepsift", "recurate")
    ok(undisturbed.clone(), "stepsift", "recurate")
    # One branch for the proposal, one for its charts.
    assert len(team.heads()) == len(heads) + 2
    assert undisturbed.heads() == team.heads()


def test_without_the_remote_nothing_is_committed(team: Team, tmp_path: Path):
    warm = team.clone()
    ok(warm, "dvc", "pull", "--run-cache")
    change(warm, "select", seed=1)
    team.publish(warm, "Another seed")
    heads = team.heads()
    away = shutil.move(team.root / "remote", team.root / "away")
    for clone in (warm, team.clone()):
        done = run(clone, "stepsift", "recurate")
        assert done.returncode == 1
        assert "nothing was committed" in done.stderr or "no branch was changed" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Running stage" not in done.stdout
        assert ok(clone, "git", "status", "--porcelain") == ""
    assert team.heads() == heads
    assert not list(team.root.glob("remote/*"))
    shutil.move(away, team.root / "remote")


def test_what_is_not_committed_stops_it(team: Team):
    clone = team.clone()
    for names, sentence in (
        (["more"], "src/stepsift/more.py is not as committed; commit it first"),
        (
            "abcd",
            "src/stepsift/a.py, src/stepsift/b.py, src/stepsift/c.py and 2 more files are not as committed; commit",
        ),
    ):
        for name in names:
            (clone / f"src/stepsift/{name}.py").write_text("")
        done = run(clone, "stepsift", "recurate")
        assert done.returncode == 1
        assert sentence in done.stderr
