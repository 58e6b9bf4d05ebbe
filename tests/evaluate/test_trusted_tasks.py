"""A task file is data, unless somebody has read it and says so; none hangs whoever reads it."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from stepsift import tasks
from stepsift.core.errors import EvaluationError
from stepsift.tasks import check_tasks, find_tasks, load_task, local_tasks

SHORT = "task: mine\nverify: math\ndata: mine.jsonl\n"
LONG = """task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: mine.jsonl}}
test_split: test
output_type: generate_until
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.jsonl").write_text('{"prompt": "1 + 1", "answer": "2"}\n')
    return tmp_path


@pytest.mark.parametrize(
    "lines",
    [
        "doc_to_text: '{{prompt}}'\n",
        "doc_to_text: '{{lipsum.__globals__.os.system(1)}}'\n",
        "process_docs: !function code.run\n",
        "doc_to_text: prompt\nfilter_list: [{name: a, filter: [{function: regex, regex_pattern: (a+)+$}]}]\n",
        # What a short file becomes, written by hand.
        "doc_to_text: '{{prompt}}'\nmetadata: {verify: math, prompt: prompt, answer: answer}\n",
        "include: more.inc\n",
    ],
)
def test_the_harness_s_own_format_needs_trust(folder: Path, lines: str) -> None:
    (folder / "more.inc").write_text("doc_to_text: '{{prompt}}'\n")
    (folder / "mine.yaml").write_text(LONG + lines)
    says = r"task 'mine' of .*mine.yaml is written in the harness's own format.*evaluate.trusted_tasks: \[mine\]"
    with pytest.raises(EvaluationError, match=says):
        find_tasks(("mine",), folder, ("other", "min", "MINE"))
    [problem] = check_tasks(("mine",), folder)
    assert "trusted_tasks" in problem
    assert "\n" not in problem
    assert find_tasks(("mine",), folder, ("mine",))[0].name == "mine"


def test_three_lines_need_none_and_cannot_include_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands in for the harness, which reads 13,000 files for the names of its tasks.
    monkeypatch.setattr(tasks, "_harness", lambda: SimpleNamespace(all_tasks=["arc_easy"]))
    (folder / "mine.yaml").write_text(SHORT)
    assert find_tasks(("mine",), folder)[0].name == "mine"
    (folder / "more.inc").write_text("doc_to_text: '{{prompt}}'\n")
    (folder / "mine.yaml").write_text(SHORT + "include: more.inc\n")
    with pytest.raises(EvaluationError, match=r"'doc_to_text' is no key of a task with verify"):
        find_tasks(("mine",), folder)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LAUGHS, "aliases stand for more than 100,000 values"),
        ("task: &a [*a]\n", "within its own anchor"),
        ("task: " + "[" * 1_000, "nested too deeply"),
        ("task: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("#" * 600_000, "at most 524,288 are read"),
        (None, "it is a pipe or a device, and no regular file"),
    ],
)
def test_a_file_that_would_never_be_read_is_a_sentence(folder: Path, content: str | None, says: str) -> None:
    path = folder / "hostile.yaml"
    path.write_text(content) if content is not None else os.mkfifo(path)
    (folder / "mine.yaml").write_text(SHORT)
    [problem] = check_tasks(("mine",), folder)
    assert problem.startswith(f"{path} cannot be read: ")
    assert says in problem
    assert "\n" not in problem
    assert local_tasks(folder) == {"mine"}


def test_files_that_include_each_other_many_times_are_read_once_each(folder: Path) -> None:
    for i in range(30):
        (folder / f"{i}.inc").write_text(f"include: [{i + 1}.inc, {i + 1}.inc]\n")
    (folder / "30.inc").write_text("verify: math\ndata: mine.jsonl\n")
    (folder / "mine.yaml").write_text("include: 0.inc\ntask: mine\n")
    assert find_tasks(("mine",), folder)[0].name == "mine"


@pytest.mark.parametrize("name", ["mine.jsonl", "other.yaml"])
def test_a_pipe_in_place_of_data_is_a_sentence(folder: Path, name: str) -> None:
    (folder / "mine.yaml").write_text(SHORT)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    [problem] = check_tasks(("mine",), folder)
    assert name in problem
    assert "no regular file" in problem or "not beside" in problem


@pytest.mark.parametrize("how", ["[1]", "hello", "[[max_gen_toks, 8]]", "3"])
def test_generation_settings_that_are_no_keys_are_one_sentence(tmp_path: Path, how: str):
    (tmp_path / "t.yaml").write_text(f"{{task: t, verify: math, data: t.jsonl, generation_kwargs: {how}}}")
    [problem] = check_tasks(("gsm8k",), tmp_path)
    assert re.search(r"t\.yaml cannot be read: generation_kwargs is .*, it must be keys with values$", problem)


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 10_000, "which is no file name"), (".", "which is not beside"), ("..", "which is not beside")],
)
def test_data_that_no_file_can_hold_are_one_sentence(tmp_path: Path, name: str, why: str):
    (tmp_path / "t.yaml").write_text(f"{{task: t, verify: math, data: {name}}}")
    [problem] = check_tasks(("t",), tmp_path)
    assert why in problem and len(problem) < 1_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t[1].jsonl", "part *.jsonl", "t.jsonl", "t?.jsonl"])
def test_folders_and_files_are_found_whatever_their_names_hold(tmp_path: Path, name: str):
    folder = tmp_path / "run [2]*"
    folder.mkdir()
    row = json.dumps({"prompt": "What is 1 and 1?", "answer": "2"})
    (folder / name).write_text(row)
    (folder / "t1.jsonl").write_text(f"{row}\n{row}")
    (folder / "t.yaml").write_text(yaml.safe_dump({"task": "t", "verify": "math", "data": name}))
    [source] = find_tasks(("t",), folder)
    [task] = load_task(source, tmp_path / "scratch").values()
    assert len(task.test_docs()) == 1
