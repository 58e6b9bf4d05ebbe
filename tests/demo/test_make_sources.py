"""The raw files: the same bytes twice, what each row holds, nothing held out in the pool, and no overwriting."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import make_sources
from dial_world import distinct_dial_problems
from helpers.demo_rows import read_row, read_rows
from helpers.places import DEMO
from helpers.stories import read_story
from teachers import TEACHERS, respond
from world import distinct_problems

PROMPTS = 12


def run(folder: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO / "make_sources.py"), "--sources", str(folder / "sources")]
    command += ["--tasks", str(folder / "tasks"), "--prompts", str(PROMPTS), "--world", "stories", *extra]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
def test_same_bytes_twice_and_other_bytes_for_another_seed(written, tmp_path):
    assert run(tmp_path / "again").returncode == 0
    assert read_bytes(tmp_path / "again") == read_bytes(written)
    assert run(tmp_path / "other", "--seed", "1").returncode == 0
    assert read_bytes(tmp_path / "other").keys() == read_bytes(written).keys()
    assert read_bytes(tmp_path / "other") != read_bytes(written)


@pytest.mark.slow
def test_every_teacher_answers_every_prompt_with_its_gold_answer(written):
    pool = {problem.prompt: problem for problem in distinct_problems("pool:0", PROMPTS)}
    seen = set()
    for name, (_, teachers) in make_sources.STORY_FILES.items():
        for row in read_rows(written / "sources" / name):
            prompt, text, teacher = read_row(row, name)
            problem = pool[prompt]
            assert row["answer"] == str(problem.answer) == str(int(read_story(prompt)[-1]))
            assert row["domain"] == problem.domain
            assert teacher in teachers
            assert text == respond(teacher, problem).text
            seen.add((prompt, teacher))
    assert len(seen) == PROMPTS * len(TEACHERS)


@pytest.mark.slow
def test_the_task_is_held_out_and_has_right_answers(written):
    task = yaml.safe_load((written / "tasks/chain.yaml").read_text())
    rows = read_rows(written / "tasks" / task["dataset_kwargs"]["data_files"]["test"])
    pool = {row["question"] for row in read_rows(written / "sources/named_fields.jsonl.gz")}
    assert len({row["prompt"] for row in rows}) == make_sources.HELD_OUT
    assert not pool & {row["prompt"] for row in rows}
    assert all(int(row["answer"]) == read_story(row["prompt"])[-1] for row in rows)
    assert all(len(read_story(row["prompt"])) - 1 in (4, 5, 6) for row in rows)


@pytest.mark.slow
def test_operations_are_those_that_are_asked_for(tmp_path):
    assert run(tmp_path, "--operations", "2", "3").returncode == 0
    for path, field in (("tasks/chain.jsonl", "prompt"), ("sources/named_fields.jsonl.gz", "question")):
        assert {len(read_story(row[field])) - 1 for row in read_rows(tmp_path / path)} == {2, 3}
    refused = run(tmp_path / "other", "--operations", "0")
    assert refused.returncode == 2
    assert "--operations must be at least 1, not 0" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["sources", "tasks"])
def test_a_folder_that_holds_files_is_refused(tmp_path, taken):
    (tmp_path / taken / "deep").mkdir(parents=True)
    (tmp_path / taken / "deep" / "mine.jsonl").write_text("mine")
    result = run(tmp_path)
    assert result.returncode == 1
    assert "already holds deep/mine.jsonl" in result.stderr.replace("\\", "/")
    assert "Traceback" not in result.stderr
    assert read_bytes(tmp_path) == {f"{taken}/deep/mine.jsonl": b"mine"}


@pytest.mark.slow
def test_a_run_that_was_killed_is_made_good(written, tmp_path):
    """Killed while it wrote, or after the tasks were in place and before the sources were."""
    shutil.copytree(written / "tasks", tmp_path / "tasks")
    (tmp_path / ".sources.part").mkdir()
    (tmp_path / ".sources.part" / "sharegpt.jsonl").write_text("half")
    (tmp_path / "sources").mkdir()
    result = run(tmp_path)
    assert result.returncode == 0, result.stderr
    assert read_bytes(tmp_path) == read_bytes(written)


def test_no_source_is_in_place_before_all_are_written(tmp_path, monkeypatch):
    write_lines = make_sources._write_lines

    def killed(path, rows):
        if path.name == "sharegpt.jsonl":
            raise KeyboardInterrupt
        write_lines(path, rows)

    monkeypatch.setattr(make_sources, "_write_lines", killed)
    problems = list(distinct_dial_problems("pool:0", 2))
    with pytest.raises(KeyboardInterrupt):
        make_sources.write_both(tmp_path / "sources", problems, tmp_path / "tasks", problems)
    assert read_bytes(tmp_path) == {}


@pytest.mark.slow
def test_a_file_that_keeps_a_folder_is_no_file(written, tmp_path):
    for name in ("sources/.gitkeep", "tasks/.DS_Store"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    result = run(tmp_path)
    assert result.returncode == 0, result.stderr
    assert read_bytes(tmp_path) == {**read_bytes(written), "sources/.gitkeep": b"", "tasks/.DS_Store": b""}
