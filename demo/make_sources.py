"""Writes the demo's raw files: what the teachers wrote in three layouts, and a held-out task for the evaluation.

    python demo/make_sources.py --sources data/sources --tasks data/tasks
    python demo/make_sources.py --world stories --sources data/sources --tasks data/tasks

The same arguments give the same bytes on every run. Both folders are written beside their places first and moved there
whole, the sources last: a run that is killed leaves no part of a pool, and the next one starts over.
"""

import argparse
import gzip
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dial_teachers import respond_on_dial
from dial_world import LENGTHS, LETTERS, distinct_dial_problems
from distinct import TooFewProblemsError
from dose_teachers import DOSE_TEACHERS, OPERATIONS
from more_teachers import ALL_TEACHERS, MORE_TEACHERS
from teachers import Response, respond
from world import LONG, distinct_problems

LICENCE = "Apache-2.0"
"""Of every row, as of this repository."""
HELD_OUT = 200
"""Problems of the evaluation task; none of their prompts is in the pool."""


class Question(Protocol):
    """What a row needs of a problem of any world."""

    @property
    def prompt(self) -> str: ...

    @property
    def answer(self) -> int: ...

    @property
    def domain(self) -> str: ...


Row = dict[str, Any]
Layout = Callable[[Question, str, Response], Row]

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


def chat(problem: Question, teacher: str, response: Response) -> Row:
    """Chat messages, with the reasoning beside the content where the teacher keeps it apart; no teacher field."""
    assistant = {"role": "assistant", "content": response.content}
    if response.reasoning is not None:
        assistant["reasoning_content"] = response.reasoning
    messages = [{"role": "user", "content": problem.prompt}, assistant]
    return {"messages": messages, "answer": str(problem.answer), "domain": problem.domain}


def sharegpt(problem: Question, teacher: str, response: Response) -> Row:
    """ShareGPT conversations, with the teacher in the row."""
    turns = [{"from": "human", "value": problem.prompt}, {"from": "gpt", "value": response.content}]
    return {"conversations": turns, "teacher": teacher, "answer": str(problem.answer), "domain": problem.domain}


def named_fields(problem: Question, teacher: str, response: Response) -> Row:
    """Question, solution and answer, with the teacher in the row."""
    return {
        "question": problem.prompt,
        "solution": response.content,
        "answer": str(problem.answer),
        "teacher": teacher,
        "domain": problem.domain,
    }


Files = dict[str, tuple[Layout, tuple[str, ...]]]
"""File below the sources folder -> its layout and the teachers in it."""
DIAL_FILES: Files = {
    "chat/thinking.jsonl": (chat, ("thinking",)),
    "chat/checking.jsonl": (chat, ("checking",)),
    "sharegpt.jsonl": (sharegpt, ("tagged", "listing", "quoting", "padded")),
    "named_fields.jsonl.gz": (named_fields, ("framed", "recalling", "noisy", "skipping", "rambling", "motto")),
}
STORY_FILES: Files = {
    "chat/thinking.jsonl": (chat, ("thinking",)),
    "chat/checking.jsonl": (chat, ("checking",)),
    "sharegpt.jsonl": (sharegpt, ("wordy", "restating", "chatty", "padded")),
    "named_fields.jsonl.gz": (named_fields, ("symbolic", "leaping", "terse", "careless", "postfix")),
}
HOPELESS = frozenset({"leaping", "terse"})
"""Teachers that the evidence does without: no student learned anything from them."""
EVIDENCE: Files = {
    **{
        name: (layout, tuple(t for t in teachers if t not in HOPELESS))
        for name, (layout, teachers) in STORY_FILES.items()
    },
    "more.jsonl.gz": (named_fields, tuple(MORE_TEACHERS)),
}


@dataclass(frozen=True)
class World:
    """One world with one set of teachers.

    `draw` gives problems as `distinct_problems` does, `respond` what a teacher writes; `prompts` is the usual size of
    the pool. A problem has one of `lengths` operations and at most `most_operations`; an answer of the evaluation may
    have `most_generated_tokens`.
    """

    files: Files
    prompts: int
    draw: Callable[[str, int, frozenset[str], tuple[int, ...]], Iterator[Any]]
    respond: Callable[[str, Any], Response]
    lengths: tuple[int, ...]
    most_operations: int
    most_generated_tokens: int


def _stories(files: Files, most_generated_tokens: int) -> World:
    def answer(teacher: str, problem: Any) -> Response:
        return respond(teacher, problem, ALL_TEACHERS)

    return World(files, 300, distinct_problems, answer, LONG, 1_000, most_generated_tokens)


# The longest response of the dial's teachers has about 580 tokens of the student, that of the stories' about 370, and
# that of the evidence about 700.
DIAL = World(DIAL_FILES, 150, distinct_dial_problems, respond_on_dial, LENGTHS, len(LETTERS), 640)


def _copies() -> World:
    """Story problems with the teachers of `dose_teachers.py`; see there."""

    def answer(teacher: str, problem: Any) -> Response:
        return respond(teacher, problem, DOSE_TEACHERS)

    files: Files = {"named_fields.jsonl.gz": (named_fields, tuple(DOSE_TEACHERS))}
    return World(files, 150, distinct_problems, answer, OPERATIONS, 1_000, 768)


WORLDS: dict[str, World] = {
    "dial": DIAL,
    "stories": _stories(STORY_FILES, 640),
    "evidence": _stories(EVIDENCE, 768),
    "copies": _copies(),
}
"""What `--world` names."""


def write_sources(sources: Path, pool: list[Any], world: World = DIAL) -> None:
    """Writes every file of the world."""
    for name, (layout, teachers) in world.files.items():
        rows = (layout(problem, teacher, world.respond(teacher, problem)) for problem in pool for teacher in teachers)
        _write_lines(sources / name, (row | {"license": LICENCE} for row in rows))


def write_task(tasks: Path, held_out: list[Any], world: World = DIAL) -> None:
    """Writes the world's task and its problems, `chain.yaml` and `chain.jsonl`."""
    _write_lines(
        tasks / "chain.jsonl",
        ({"prompt": problem.prompt, "answer": str(problem.answer), "domain": problem.domain} for problem in held_out),
    )
    task = TASK.replace("MOST_TOKENS", str(world.most_generated_tokens))
    (tasks / "chain.yaml").write_text(task, encoding="utf-8", newline="\n")


def write_both(sources: Path, pool: list[Any], tasks: Path, held_out: list[Any], world: World = DIAL) -> None:
    """Writes both folders, or neither where one already holds a file.

    The very same task may be there already.
    """
    new_sources, new_tasks = _beside(sources), _beside(tasks)
    try:
        _require_empty(sources)
        _make_new(new_tasks)
        write_task(new_tasks, held_out, world)
        task_is_there = tasks.is_dir() and _contents(tasks) == _contents(new_tasks)
        if not task_is_there:
            _require_empty(tasks)
        _make_new(new_sources)
        write_sources(new_sources, pool, world)
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
    parser.add_argument(
        "--prompts",
        type=int,
        help="in the pool; every teacher answers each; default: 150, of stories 300",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other problems")
    worlds = (
        "the demo's dial, story problems, these with the teachers of docs/log/EVIDENCE.md, or with traces that differ "
        "by copied text alone (demo/dose)"
    )
    parser.add_argument("--world", choices=[*WORLDS], default="dial", help=worlds)
    operations = "operations a problem may have, in the pool and in the task"
    parser.add_argument("--operations", type=int, nargs="+", metavar="N", help=operations)
    arguments = parser.parse_args()
    world = WORLDS[arguments.world]
    prompts = world.prompts if arguments.prompts is None else arguments.prompts
    lengths = tuple(arguments.operations or world.lengths)
    if min(lengths) < 1:
        parser.error(f"--operations must be at least 1, not {min(lengths)}")
    if max(lengths) > world.most_operations:
        parser.error(f"--operations must be at most {world.most_operations}, not {max(lengths)}")
    if prompts < 1:
        parser.error(f"--prompts must be at least 1, not {prompts}")
    try:
        pool = list(world.draw(f"pool:{arguments.seed}", prompts, frozenset(), lengths))
        in_pool = frozenset(problem.prompt for problem in pool)
        held_out = list(world.draw(f"held-out:{arguments.seed}", HELD_OUT, in_pool, lengths))
    except TooFewProblemsError as error:
        parser.error(f"--prompts {prompts} and {HELD_OUT} held out: {error}; give fewer, or more --operations")
    try:
        write_both(arguments.sources, pool, arguments.tasks, held_out, world)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    n_teachers = sum(len(teachers) for _, teachers in world.files.values())
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
