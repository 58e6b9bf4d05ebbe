"""When a trace entered and left the curated sets, from the history of dvc.lock and DVC's cache."""

import shutil
from pathlib import Path

import pytest
import yaml

from helpers import lineage_project as project
from stepsift.core.errors import CacheError, LineageError
from stepsift.lineage.history import HERE, history_of
from stepsift.lineage.why import explain
from stepsift.lineage.why_lines import lines_of
from stepsift.tracking.provenance import git_story


@pytest.fixture(autouse=True)
def _here(repository: Path) -> None:
    """All tests look at the copied repository, whose one commit is 'first'."""


def events(name: str) -> list[tuple[str, str, str, str, int]]:
    found = history_of(name, project.LOCK).events
    return [(e.what, e.selector, e.trace_id, e.moment.subject, e.unread_before) for e in found]


def better_bob() -> list[dict]:
    traces = project.pool()
    traces[1]["lalp"] = -0.0625
    return traces


def with_dora() -> list[dict]:
    return [*project.pool(), project.trace("dddd0001", "other", "dora", -1.0)]


def forget(revision: str, *, whole_folder: bool) -> None:
    """Lose select's output of a revision: the list of its files, or the files of lalp."""
    lock = yaml.safe_load(project.run("git", "show", f"{revision}:dvc.lock"))
    md5 = lock["stages"]["select"]["outs"][0]["md5"]
    listed = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    if not whole_folder:
        entries = yaml.safe_load(listed.read_text())
        md5 = next(e["md5"] for e in entries if e["relpath"] == "lalp/curated.parquet")
        listed = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    listed.unlink()


def test_traces_come_and_go():
    project.commit("bob is better", better_bob())
    project.git_commit("nothing of the pipeline")
    project.commit("as it was", project.pool())
    assert events("aaaa0001") == [
        ("entered", "lalp", "aaaa0001", "first", 0),
        ("left", "lalp", "aaaa0001", "bob is better", 0),
        ("entered", "lalp", "aaaa0001", "as it was", 0),
    ]
    assert events("sum-of-numbers") == [
        ("entered", "lalp", "aaaa0001", "first", 0),
        ("entered", "random", "bbbb0001", "first", 0),
        ("left", "lalp", "aaaa0001", "bob is better", 0),
        ("entered", "lalp", "bbbb0001", "bob is better", 0),
        ("left", "lalp", "bbbb0001", "as it was", 0),
        ("entered", "lalp", "aaaa0001", "as it was", 0),
    ]
    assert events("cccc0001") == []


def test_a_selector_that_was_removed():
    project.commit("no lottery", project.pool(), selectors=[project.LALP])
    assert events("bbbb0001") == [
        ("entered", "random", "bbbb0001", "first", 0),
        ("left", "random", "bbbb0001", "no lottery", 0),
    ]


@pytest.mark.parametrize(
    ("whole_folder", "why_not"),
    [(True, "its data are not in DVC's cache here"), (False, "lalp/curated.parquet is not in DVC's cache here")],
)
def test_a_revision_that_dvc_no_longer_holds_is_said_to_be_one(whole_folder: bool, why_not: str):
    project.commit("bob is better", better_bob())
    project.commit("as it was, nearly", with_dora())
    forget("HEAD~1", whole_folder=whole_folder)
    assert events("bbbb0001") == [("entered", "random", "bbbb0001", "first", 0)]
    assert events("dddd0001") == [
        ("entered", "lalp", "dddd0001", "as it was, nearly", 1),
        ("entered", "random", "dddd0001", "as it was, nearly", 1),
    ]
    found = history_of("dddd0001", project.LOCK)
    assert [(u.moment.subject, u.why) for u in found.unread] == [("bob is better", why_not)]
    project.commit("only lalp", with_dora(), selectors=[project.LALP])
    assert events("dddd0001")[2:] == [("left", "random", "dddd0001", "only lalp", 0)]
    text = list(lines_of(explain("dddd0001", project.LOCK)))
    assert any(line.endswith(", or in the revision before it that cannot be read here") for line in text)
    assert any(line.startswith("unread") and "'dvc fetch --all-commits'" in line for line in text)


def test_a_subject_that_python_would_take_for_several_lines():
    subject = "one\u2028two\x0cthree\x85four\tfive\x1csix"
    project.commit(subject, better_bob())
    assert events("aaaa0001")[1:] == [("left", "lalp", "aaaa0001", subject, 0)]


def test_a_subject_that_is_not_utf_8():
    project.write(better_bob())
    project.dvc_commit()
    project.run("git", "add", "-A")
    tree = project.run("git", "write-tree").strip()
    head = project.run("git", "rev-parse", "HEAD").strip()
    who = "t <t@example.org> 1700000000 +0000"
    text = f"tree {tree}\nparent {head}\nauthor {who}\ncommitter {who}\n\n".encode() + b"caf\xe9\n"
    Path("commit").write_bytes(text)
    project.run(
        "git", "reset", "-q", "--soft", project.run("git", "hash-object", "-t", "commit", "-w", "commit").strip()
    )
    assert events("aaaa0001")[1:] == [("left", "lalp", "aaaa0001", "caf\ufffd", 0)]
    assert git_story()["subject"] == "caf\ufffd"


CONFLICT = "<<<<<<< HEAD\nstages: {}\n=======\nstages: {a: {}}\n>>>>>>> other\n"


BROKEN = {
    CONFLICT: "its dvc.lock holds the conflict marks of a merge",
    "schema: '2.0'\n": "its dvc.lock is broken",
    "stages: [select]\n": "its dvc.lock is broken",
    "stages: {select: {outs: [], cmd: x}}\n": "its dvc.lock is broken",
}


def test_old_commits_with_a_broken_lock_are_said_to_be_unread():
    good = project.LOCK.read_text()
    for number, text in enumerate(BROKEN):
        project.LOCK.write_text(text)
        project.git_commit(f"broken {number}")
    project.LOCK.write_text(good)
    project.git_commit("mended")
    assert events("aaaa0001") == [("entered", "lalp", "aaaa0001", "first", 0)]
    project.commit("bob is better", better_bob())
    past = history_of("aaaa0001", project.LOCK)
    assert [(e.what, e.moment.subject, e.unread_before) for e in past.events if e.selector == "lalp"] == [
        ("entered", "first", 0),
        ("left", "bob is better", len(BROKEN)),
    ]
    assert [(u.moment.subject, u.why, u.in_remote) for u in past.unread] == [
        (f"broken {number}", why, False) for number, why in enumerate(BROKEN.values())
    ]
    lines = [x for x in lines_of(explain("aaaa0001", project.LOCK)) if x.startswith("unread")]
    for number, (line, why) in enumerate(zip(lines, BROKEN.values(), strict=True)):
        assert line.endswith(f", broken {number}): {why}")
    # What is here has no history to fall back on.
    for text in BROKEN:
        project.LOCK.write_text(text)
        with pytest.raises(LineageError, match=r"dvc\.lock of the working folder"):
            history_of("aaaa0001", project.LOCK)


def test_what_is_not_committed_is_the_newest_revision():
    project.write(better_bob())
    assert events("bbbb0001") == [("entered", "random", "bbbb0001", "first", 0)]
    # dvc.lock says it now, and no commit does.
    project.dvc_commit()
    assert events("bbbb0001")[1:] == [("entered", "lalp", "bbbb0001", HERE, 0)]
    assert any(line.endswith(f"entered lalp in {HERE}") for line in lines_of(explain("bbbb0001", project.LOCK)))
    shutil.rmtree("data/select")
    assert [u.moment.subject for u in history_of("bbbb0001", project.LOCK).unread] == [HERE]


def test_a_trace_that_only_older_revisions_hold():
    project.commit("anna left", project.pool()[1:3])
    text = list(lines_of(explain("aaaa0001", project.LOCK)))
    assert text[0] == "aaaa0001 is in none of the present tables; older curated sets held it"
    assert [line.split(" in ")[0] for line in text[1:3]] == ["history     entered lalp", "history     left lalp"]
    assert [e[2] for e in events("more-than-42")][:2] == ["bbbb0002", "aaaa0002"]
    with pytest.raises(LineageError, match="no trace and no prompt is called 'zzzz0001'"):
        explain("zzzz0001", project.LOCK)


def test_a_merged_branch_counts_where_it_was_merged():
    project.run("git", "checkout", "-qb", "side")
    project.commit("on the side", better_bob())
    project.run("git", "checkout", "-q", "-")
    project.git_commit("on the branch")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    project.run("git", *identity, "merge", "-q", "--no-ff", "-m", "merged", "side")
    assert events("bbbb0001") == [
        ("entered", "random", "bbbb0001", "first", 0),
        ("entered", "lalp", "bbbb0001", "merged", 0),
    ]


def test_without_git():
    shutil.rmtree(".git")
    Path(".dvc/config").write_text("[core]\n    no_scm = True\n")
    assert events("aaaa0001") == [("entered", "lalp", "aaaa0001", HERE, 0)]


def test_without_dvc():
    shutil.rmtree(".dvc")
    with pytest.raises(CacheError, match="run stepsift in the root folder of a repository of DVC"):
        history_of("aaaa0001", project.LOCK)
