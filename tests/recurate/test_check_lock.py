"""`recurate/check_lock.py`: sentences from what DVC says, and on scratch repositories what it really says."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.repo import Repo

from helpers.dvc_here import dvc_here
from helpers.hostile_names import NAMES, assert_inert_in_terminal
from stepsift.core.errors import SourceError
from stepsift.recurate import check_lock

pytestmark = pytest.mark.slow

PIPELINE = """stages:
  one:
    cmd: mkdir -p data/one && printf 1 > data/one/t && echo '{}' > one.json
    deps: [data/sources, code.py]
    params: [k]
    outs: [data/one]
    metrics: [one.json: {cache: false}]
  two:
    cmd: cp data/one/t two.txt
    deps: [data/one/t]
    outs: [two.txt]
"""


OUTS = check_lock.Outs({"data/one": "one", "two.txt": "two", "data/sources/a.jsonl": "data/sources/a.jsonl.dvc"})


def run(repo: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of this environment, which must succeed."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env |= {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """`check(repo, "--no-remote", ..)`, in this process: exit code and lines.

    So is DVC, which answers from a process of its own in `test_clean_clone`.
    """
    monkeypatch.setattr(check_lock, "subprocess", SimpleNamespace(run=dvc_here))

    def call(repo: Path, *options: str) -> tuple[int, list[str]]:
        monkeypatch.chdir(repo)
        monkeypatch.setattr(sys, "argv", ["check_lock", *options])
        capsys.readouterr()
        code = check_lock.main()
        out, err = capsys.readouterr()
        return code, (out + err).splitlines()

    return call


def add(*paths: str) -> None:
    """`dvc add` in the working folder, in this process."""
    with Repo() as repo:
        repo.add(list(paths))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose two stages were run, pushed to a remote beside it, and committed."""
    repo = tmp_path_factory.mktemp("lock") / "repo"
    (repo / "data/sources/chat").mkdir(parents=True)
    (repo / "data/sources/a.jsonl").write_text("a\n")
    (repo / "data/sources/chat/b.jsonl").write_text("b\n")
    (repo / "data/.gitignore").write_text("/sources/**\n!/sources/**/\n!/sources/**/*.dvc\n")
    (repo / "code.py").write_text("1\n")
    (repo / "params.yaml").write_text("k: {w: 1}\n")
    (repo / "dvc.yaml").write_text(PIPELINE)
    run(repo, "git", "init", "-q", "-b", "main", ".")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repo)
        Repo.init().close()
        with (repo / ".dvc/config").open("a") as config:
            config.write(f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {repo.parent / 'remote'}\n")
        add("data/sources/a.jsonl", "data/sources/chat/b.jsonl")
        with Repo() as made:
            made.reproduce()
            made.push()
    run(repo, "git", "add", "-A")
    run(repo, "git", "commit", "-qm", "run")
    return repo


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    """A clone without data."""
    run(tmp_path, "git", "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


def test_data_that_were_not_pulled_are_no_change():
    status = {
        "two": [{"changed deps": {"data/one/t": "deleted"}}, {"changed outs": {"two.txt": "not in cache"}}],
        "data/sources/a.jsonl.dvc": [{"changed outs": {"data/sources/a.jsonl": "deleted"}}],
    }
    assert check_lock.stale(status, OUTS, Path("no lock")) == []


def test_everything_else_is_a_reason():
    status = {
        "one": [
            {"changed deps": {"code.py": "deleted", "params.yaml": {"k.w": "modified", "k.x": "new"}}},
            {"changed outs": {"one.json": "deleted", "data/one": "modified"}},
            "changed command",
        ],
        "two": [{"changed outs": {"two.txt": "not in cache"}}],
    }
    assert check_lock.stale(status, OUTS, Path("no lock")) == [
        "stage 'one': code.py is deleted, params.yaml: k.w is modified, params.yaml: k.x is new, output one.json is "
        "deleted, output data/one is modified, changed command; run 'dvc repro', 'dvc push' and commit what that "
        "changes"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_do_nothing_in_the_log_of_a_ci_service(
    name: str, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(check_lock, "read_outs", lambda: OUTS)
    monkeypatch.setattr(check_lock, "dvc_json", lambda *_: {"one": [{"changed deps": {name: "deleted"}}]})
    code, lines = check(tmp_path, "--no-remote")
    assert (code, len(lines)) == (1, 1)
    assert_inert_in_terminal(lines)
    code, lines = check(tmp_path, "--no-remote", "--json")
    assert code == 1
    assert_inert_in_terminal(lines)
    assert name in json.loads("\n".join(lines))["stale"][0]

    def fail(*_: str) -> None:
        raise check_lock.CheckError(f"'{name}' failed")

    monkeypatch.setattr(check_lock, "dvc_json", fail)
    code, lines = check(tmp_path, "--no-remote")
    assert (code, len(lines)) == (2, 1)
    assert_inert_in_terminal(lines)


def test_what_the_remote_lacks_is_said_by_stage():
    paths = ["data/one/", "data/one/a", "data/one/b", "data/one/c", "data/sources/a.jsonl", "other"]
    assert [s.partition(";")[0] for s in check_lock.lacking(paths, OUTS)] == [
        "stage 'data/sources/a.jsonl.dvc': the remote lacks data/sources/a.jsonl (1 in all)",
        "stage 'dvc.lock': the remote lacks other (1 in all)",
        "stage 'one': the remote lacks data/one, data/one/a, data/one/b ... (4 in all)",
    ]


def test_a_folder_of_sources_has_dvcs_hash_with_and_without_its_files(origin: Path, clone: Path):
    assert not (clone / "data/sources/a.jsonl").exists()
    line = next(i for i, s in enumerate((origin / "dvc.lock").read_text().splitlines()) if "path: data/sources" in s)
    expected = (origin / "dvc.lock").read_text().splitlines()[line + 2].split()[-1]
    assert check_lock.folder_md5(clone / "data/sources") == expected
    assert check_lock.folder_md5(origin / "data/sources") == expected
    (clone / "data/sources/a.jsonl").write_text("other\n")
    assert check_lock.folder_md5(clone / "data/sources") != expected


def test_a_file_of_dvcs_that_is_broken_is_named(tmp_path: Path):
    (tmp_path / "a.jsonl.dvc").write_text("outs: {}\n")
    with pytest.raises(SourceError, match=r"a\.jsonl\.dvc is broken: it names no data"):
        check_lock.folder_md5(tmp_path)


def test_clean_clone(clone: Path):
    done = run(clone, sys.executable, "-m", "stepsift.recurate.check_lock")
    assert (done.stdout, done.stderr) == ("dvc.lock fits and the remote holds what it names\n", "")


def test_changed_parameter_source_and_code(clone: Path, check: Check):
    (clone / "params.yaml").write_text("k: {w: 2}\n")
    code, lines = check(clone, "--no-remote")
    assert (code, lines) == (
        1,
        ["stage 'one': params.yaml: k is modified; run 'dvc repro', 'dvc push' and commit what that changes"],
    )
    # A teacher more, of which the clone has the .dvc file only.
    (clone / "data/sources/new.jsonl").write_text("new\n")
    add("data/sources/new.jsonl")
    (clone / "data/sources/new.jsonl").unlink()
    (clone / "code.py").unlink()
    answer = json.loads("\n".join(check(clone, "--no-remote", "--json")[1]))
    [sentence] = answer["stale"]
    assert "data/sources is modified" in sentence
    assert "code.py is deleted" in sentence


def test_an_object_that_the_remote_lacks(origin: Path, clone: Path, tmp_path: Path, check: Check):
    remote = shutil.copytree(origin.parent / "remote", tmp_path / "remote")
    config = clone / ".dvc/config"
    config.write_text(config.read_text().replace(str(origin.parent / "remote"), str(remote)))
    [file] = [p for p in remote.rglob("*") if p.is_file() and p.read_text() == "1"]
    file.unlink()
    code, lines = check(clone)
    assert code == 1
    assert [line.partition("(")[0] for line in lines] == [
        "stage 'one': the remote lacks data/one/t ",
        "stage 'two': the remote lacks two.txt ",
    ]
    assert check(clone, "--remote-only")[0] == 1
    assert check(clone, "--no-remote") == (0, ["dvc.lock fits"])


@pytest.mark.parametrize("option", ["--no-remote", "--remote-only"])
def test_a_lock_with_the_marks_of_a_merge(clone: Path, option: str, check: Check):
    lock = clone / "dvc.lock"
    first, rest = lock.read_text().split("\n", 1)
    lock.write_text(f"<<<<<<< HEAD\n{first}\n=======\n{first} \n>>>>>>> other\n{rest}")
    code, lines = check(clone, option)
    assert code == 2
    assert lines == [
        "error: dvc.lock of the working folder holds the conflict marks of a merge; take the one that was committed "
        "('git checkout HEAD -- dvc.lock'), and 'dvc repro --pull' writes it anew"
    ]


def test_no_remote_to_ask(clone: Path, check: Check):
    (clone / ".dvc/config").write_text("")
    code, lines = check(clone)
    assert code == 2
    assert lines == ["error: there is no default remote to ask; 'dvc remote add -d NAME URL' makes one"]
