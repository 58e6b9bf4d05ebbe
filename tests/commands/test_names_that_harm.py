"""Names of teachers, files and folders that somebody chose to do harm, through the commands that read and score."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from helpers.hostile_names import NAMES, assert_inert_in_terminal
from helpers.places import ROOT
from stepsift.score import setup

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[object, list[str], list[str]]]
FILES = [name for name in NAMES if "/" not in name and len(name) < 200]
"""Those that a file can have."""


def rows(name: str, number: int) -> list[dict]:
    """Traces of a prompt by the named teacher and by anna; the name stands in every text and column, too."""
    prompt = f"{name} asks: what is {number} and {number}?"
    return [
        {
            "prompt": prompt,
            "completion": f"{name} says {number} and {number}. It is {2 * number}.",
            "teacher": teacher,
            "answer": str(2 * number),
            "domain": name,
            "licence": name,
            name: name,
        }
        for teacher in (name, "anna")
    ]


@pytest.fixture
def place(tmp_path: Path, student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git and DVC repository, and beside it a folder of files with the names and traces by them."""
    (tmp_path / "new").mkdir()
    for i, name in enumerate(NAMES):
        file = name if name in FILES else f"file {i}"
        text = "".join(json.dumps(row) + "\n" for row in rows(name, i))
        (tmp_path / "new" / f"{file}.jsonl").write_text(text + json.dumps({name: name}) + "\n")
    project = tmp_path / "project"
    (project / "data/sources").mkdir(parents=True)
    (project / "data/tasks").mkdir()
    (project / "data/tasks/quiz.yaml").write_text("{task: quiz, verify: math, data: quiz.jsonl}")
    (project / "data/tasks/quiz.jsonl").write_text(json.dumps({"prompt": "What is 90 less 2?", "answer": "88"}))
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["student"] = {"path": str(student_folder("llama"))}
    settings["evaluate"] = {"tasks": ["quiz"]}
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(project)
    yield project
    assert not list(tmp_path.rglob("owned"))


def said(run_cli: Cli, *arguments: object, code: int = 0) -> str:
    """All that a command says, which is inert."""
    got, out, err = run_cli(*arguments)
    assert got == code, err
    assert_inert_in_terminal([*out, *err])
    # Of "two\nlines".
    assert not any(line.startswith("lines") for line in out)
    return "\n".join([*out, *err])


def test_preview_and_check(place: Path, run_cli: Cli):
    assert "unknown_layout" in said(run_cli, "preview", "../new")
    for name in FILES:
        said(run_cli, "preview", Path("../nowhere") / name, code=1)
    said(run_cli, "preview", "../new", "--json")
    shutil.copytree("../new", "data/sources", dirs_exist_ok=True)
    text = said(run_cli, "check")
    assert f"{len(NAMES)} files, " in text and f"anna {len(NAMES)}" in text
    said(run_cli, "check", "--json")


@pytest.mark.parametrize("name", FILES)
def test_rules_with_such_names(place: Path, run_cli: Cli, name: str):
    shutil.copy(Path("../new") / f"{name}.jsonl", "data/sources/a.jsonl")
    traces = [{"teacher": name, "response": name, "label": name}]
    rule = {"teacher": None, "fields": {"prompt": name, "answer": "no " + name}, "traces": traces, "domain": name}
    Path("data/sources/a.jsonl.rule.yaml").write_text(yaml.safe_dump(rule))
    said(run_cli, "check", code=1)
    Path("data/sources/a.jsonl.rule.yaml").write_text(yaml.safe_dump({name: name, "preset": name}))
    said(run_cli, "check", code=1)


def test_add_and_remove(place: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch):
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], check=True)
    from dvc.repo import Repo

    Repo.init().close()
    one = place.parent / "one.jsonl"
    for i, name in enumerate(NAMES):
        one.write_text("".join(json.dumps(row | {"teacher": name}) + "\n" for row in rows(name, i)[:1]))
        text = said(run_cli, "add", one, "--teacher", name, "--licence", name, "--name", f"n{i}", "--dry-run")
        assert "place       data/sources/n" in text
    assert "give it a --name" in said(run_cli, "add", *(f"../new/{name}.jsonl" for name in FILES), code=1)
    for name in FILES:
        said(run_cli, "remove", name, code=1)


def test_score_and_rank_and_cache(place: Path, run_cli: Cli, student_folder: Callable[..., Path]):
    student = student_folder("llama")
    lines = [line for file in sorted(Path("../new").iterdir()) for line in file.read_text().splitlines()]
    path = place.parent / f"all {FILES[0]}.jsonl"
    path.write_text("\n".join(lines[:9]) + "\n")
    said(run_cli, "score", path, "--student", student, "--out", f"{FILES[1]} out.parquet")
    shutil.copytree("../new", "data/sources", dirs_exist_ok=True)
    said(run_cli, "rank")
    said(run_cli, "rank", "--json")
    said(run_cli, "cache")
