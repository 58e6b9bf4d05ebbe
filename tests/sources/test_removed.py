"""A source that somebody else removed and that still lies on this machine is named by `check`."""

import subprocess
from pathlib import Path

import pytest

from helpers.source_project import row
from stepsift.sources.removed import check_removed

SOURCES = Path("data/sources")
pytestmark = pytest.mark.slow  # starts git


def git(*command: str) -> str:
    """What git says, as somebody who may commit."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def shared(project: Path, run_cli) -> Path:
    """A pool of two added files, committed; git would write the name of one of them in quotes and escapes."""
    (project / "data/sources/bób b.jsonl").write_text(row("p", "B."))
    for name in ("anna.jsonl", "bób b.jsonl"):
        assert run_cli("add", f"data/sources/{name}")[0] == 0
    git("add", "-A")
    git("commit", "-qm", "pool")
    return project


def problems() -> list[str]:
    """What check says."""
    return [*check_removed(SOURCES).problems]


def remove_elsewhere() -> str:
    """Somebody's commit, as a pull brings it; its name."""
    git("rm", "-q", "data/sources/bób b.jsonl.dvc")
    git("commit", "-qm", "remove bob")
    return git("rev-parse", "HEAD")[:9]


def test_a_removed_file_that_is_still_there_is_named_with_what_to_do(shared: Path):
    assert problems() == []
    commit = remove_elsewhere()
    assert problems() == [
        f"data/sources/bób b.jsonl was removed from the pool in commit {commit}, and is still on this machine, where "
        "ingest reads it; delete it (rm 'data/sources/bób b.jsonl'), or add it anew (stepsift add 'data/sources/bób "
        "b.jsonl')"
    ]


@pytest.mark.parametrize("name", ['a"b.jsonl', "c\u2028d.jsonl", "e\nf.jsonl", "g\\h.jsonl"])
def test_a_removed_file_is_named_whatever_its_name_holds(shared: Path, run_cli, name: str):
    (shared / "data/sources" / name).write_text(row("q", "C."))
    assert run_cli("add", f"data/sources/{name}")[0] == 0
    git("add", "-A")
    git("commit", "-qm", "add")
    git("rm", "-q", f"data/sources/{name}.dvc".replace("\\", "\\\\"))
    git("commit", "-qm", "remove")
    [problem] = problems()
    assert problem.startswith(f"data/sources/{name} was removed from the pool in commit ")


def test_what_a_merge_took_away_is_removed(shared: Path):
    git("checkout", "-qb", "other")
    remove_elsewhere()
    git("checkout", "-q", "-")
    git("commit", "-qm", "meanwhile", "--allow-empty")
    git("merge", "-q", "--no-ff", "-m", "merge", "other")
    assert len(problems()) == 1


def test_both_ways_out_end_it(shared: Path, run_cli):
    remove_elsewhere()
    assert run_cli("add", "data/sources/bób b.jsonl")[0] == 0
    assert problems() == []
    (shared / "data/sources/bób b.jsonl.dvc").unlink()
    assert len(problems()) == 1
    (shared / "data/sources/bób b.jsonl").unlink()
    assert problems() == []


def test_other_bytes_under_its_name_and_files_never_added_are_the_users_own(shared: Path):
    remove_elsewhere()
    path = shared / "data/sources/bób b.jsonl"
    path.chmod(0o644)
    path.write_text(row("p", "another"))
    (shared / "data/sources/new.jsonl").write_text(row("q", "N."))
    assert problems() == []


def test_without_git_or_sources_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert problems() == []
    SOURCES.mkdir(parents=True)
    (SOURCES / "a.jsonl").write_text(row("p", "A."))
    assert problems() == []
