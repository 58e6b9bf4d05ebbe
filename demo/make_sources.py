"""Writes the demo's raw files: what the teachers wrote in three layouts, and a held-out task for the evaluation.

    python demo/make_sources.py --sources data/sources --tasks data/tasks

The same arguments give the same bytes on every run. Both folders are written beside their places first and moved there
whole, the sources last: a run that is killed leaves no part of a pool, and the next one starts over.
"""

import argparse
import gzip
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from more_teachers import ALL_TEACHERS, MORE_TEACHERS
from teachers import Response, respond
from world import LONG, Problem, distinct_problems

LICENCE = "Apache-2.0"
"""Of every row, as of this repository."""
HELD_OUT = 200
"""Problems of the evaluation task; none of their prompts is in the pool."""
MOST_GENERATED_TOKENS = {"demo": 640, "evidence": 768}
"""The longest response of the demo's teachers has about 370 tokens of its student, that of the evidence about 700."""

Row = dict[str, Any]
Layout = Callable[[Problem, str, Response], Row]

TASK = """task: chain
dataset_path: json
dataset_kwargs:
  data_files:
    test: chain.jsonl
test_split: test
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: "{{answer}}"
generation_kwargs:
  until: ["</s>"]
  do_sample: false
  max_gen_toks: MOST_TOKENS
filter_list:
  - name: answer
    filter:
      - function: regex
        regex_pattern: '#### (-?\\d+)'
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
"""


def chat(problem: Problem, teacher: str, response: Response) -> Row:
    """Chat messages, with the reasoning beside the content where the teacher keeps it apart; no teacher field."""
    assistant = {"role": "assistant", "content": response.content}
    if response.reasoning is not None:
        assistant["reasoning_content"] = response.reasoning
    messages = [{"role": "user", "content": problem.prompt}, assistant]
    return {"messages": messages, "answer": str(problem.answer), "domain": problem.domain}


def sharegpt(problem: Problem, teacher: str, response: Response) -> Row:
    """ShareGPT conversations, with the teacher in the row."""
    turns = [{"from": "human", "value": problem.prompt}, {"from": "gpt", "value": response.content}]
    return {"conversations": turns, "teacher": teacher, "answer": str(problem.answer), "domain": problem.domain}


def named_fields(problem: Problem, teacher: str, response: Response) -> Row:
    """Question, solution and answer, with the teacher in the row."""
    return {
        "question": problem.prompt,
        "solution": response.content,
        "answer": str(problem.answer),
        "teacher": teacher,
        "domain": problem.domain,
    }


Files = dict[str, tuple[Layout, tuple[str, ...]]]
FILES: Files = {
    "chat/thinking.jsonl": (chat, ("thinking",)),
    "chat/checking.jsonl": (chat, ("checking",)),
    "sharegpt.jsonl": (sharegpt, ("wordy", "restating", "chatty", "padded")),
    "named_fields.jsonl.gz": (named_fields, ("symbolic", "leaping", "terse", "careless", "postfix")),
}
"""File below the sources folder -> its layout and the teachers in it."""
HOPELESS = frozenset({"leaping", "terse"})
"""Teachers that the evidence does without: no student learned anything from them."""
SETS: dict[str, Files] = {
    "demo": FILES,
    "evidence": {
        **{
            name: (layout, tuple(t for t in teachers if t not in HOPELESS))
            for name, (layout, teachers) in FILES.items()
        },
        "more.jsonl.gz": (named_fields, tuple(MORE_TEACHERS)),
    },
}
"""What `--teachers` names."""


def write_sources(sources: Path, pool: list[Problem], files: Files = FILES) -> None:
    """Writes every file of `files`."""
    for name, (layout, teachers) in files.items():
        rows = (
            layout(problem, teacher, respond(teacher, problem, ALL_TEACHERS))
            for problem in pool
            for teacher in teachers
        )
        _write_lines(sources / name, (row | {"license": LICENCE} for row in rows))


def write_task(tasks: Path, held_out: list[Problem], most_tokens: int = MOST_GENERATED_TOKENS["demo"]) -> None:
    """Writes `chain.yaml` and `chain.jsonl`; an answer may have `most_tokens` tokens."""
    _write_lines(
        tasks / "chain.jsonl",
        ({"prompt": problem.prompt, "answer": str(problem.answer), "domain": problem.domain} for problem in held_out),
    )
    (tasks / "chain.yaml").write_text(TASK.replace("MOST_TOKENS", str(most_tokens)), encoding="utf-8", newline="\n")


def write_both(
    sources: Path, pool: list[Problem], tasks: Path, held_out: list[Problem], teachers: str = "demo"
) -> None:
    """Writes both folders, with one of `SETS` of teachers, or neither where one already holds a file.

    The very same task may be there already.
    """
    new_sources, new_tasks = _beside(sources), _beside(tasks)
    try:
        _require_empty(sources)
        _make_new(new_tasks)
        write_task(new_tasks, held_out, MOST_GENERATED_TOKENS[teachers])
        task_is_there = tasks.is_dir() and _contents(tasks) == _contents(new_tasks)
        if not task_is_there:
            _require_empty(tasks)
        _make_new(new_sources)
        write_sources(new_sources, pool, SETS[teachers])
        if not task_is_there:
            _move(new_tasks, tasks)
        _move(new_sources, sources)
    finally:
        for folder in (new_sources, new_tasks):
            shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Writes sources and task; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the demo's raw files and its evaluation task.")
    parser.add_argument("--sources", type=Path, required=True, help="empty or new folder for the raw files")
    parser.add_argument("--tasks", type=Path, required=True, help="empty or new folder for the evaluation task")
    parser.add_argument("--prompts", type=int, default=300, help="prompts in the pool; every teacher answers each")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other problems")
    teachers = "the demo's eleven, or the sixteen of docs/log/EVIDENCE.md"
    parser.add_argument("--teachers", choices=sorted(SETS), default="demo", help=teachers)
    operations = "operations a problem may have, in the pool and in the task"
    parser.add_argument("--operations", type=int, nargs="+", default=LONG, metavar="N", help=operations)
    arguments = parser.parse_args()
    if min(arguments.operations) < 1:
        parser.error(f"--operations must be at least 1, not {min(arguments.operations)}")
    if arguments.prompts < 1:
        parser.error(f"--prompts must be at least 1, not {arguments.prompts}")
    lengths = tuple(arguments.operations)
    pool = list(distinct_problems(f"pool:{arguments.seed}", arguments.prompts, lengths=lengths))
    in_pool = frozenset(problem.prompt for problem in pool)
    held_out = list(distinct_problems(f"held-out:{arguments.seed}", HELD_OUT, in_pool, lengths))
    try:
        write_both(arguments.sources, pool, arguments.tasks, held_out, arguments.teachers)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    n_teachers = sum(len(teachers) for _, teachers in SETS[arguments.teachers].values())
    print(f"{arguments.sources}: {len(pool)} prompts x {n_teachers} teachers; {arguments.tasks}: {HELD_OUT} held out")
    return 0


def _require_empty(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; give a new or an empty one")
    held = sorted(_files(folder))
    if held:
        raise FileExistsError(f"{folder} already holds {held[0].relative_to(folder)}; give a new or an empty folder")


def _files(folder: Path) -> list[Path]:
    """The files below a folder; those that only keep it or describe it to a desktop are none."""
    return [path for path in folder.rglob("*") if not path.is_dir() and path.name not in (".gitkeep", ".DS_Store")]


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in _files(folder)}


def _beside(folder: Path) -> Path:
    """Where a folder is written before it is moved: on the same disk, under a name that no reader looks at."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.part")


def _make_new(folder: Path) -> None:
    """An empty folder; what a killed run left in its place is removed."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _move(new: Path, folder: Path) -> None:
    """Puts a folder in the place of one that holds no file, in one step."""
    place = folder.resolve()
    if place.exists():
        # Someone may have filled it in the meantime.
        _require_empty(place)
        shutil.copytree(place, new, dirs_exist_ok=True)
        shutil.rmtree(place)
    new.rename(place)


def _write_lines(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


if __name__ == "__main__":
    sys.exit(main())
