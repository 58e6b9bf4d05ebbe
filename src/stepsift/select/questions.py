"""What the evaluation sets ask, so that none of it is trained on.

A question is the text that the harness puts to the student (`doc_to_text` of the task's test documents; those of the
validation where there are none). Plain local tasks (rows of JSON Lines beside the YAML file, a template or the name of
a field) are rendered here with the harness's own Jinja settings: importing the harness takes seconds. Every other task
is built by the harness as the evaluate stage builds it. Numbers of questions are those of the table answers.
"""

import json
import logging
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from stepsift.core.errors import EvaluationError, SelectionError
from stepsift.core.text import named_error_line

if TYPE_CHECKING:
    from stepsift.tasks import TaskSource

log = logging.getLogger(__name__)

MIN_CORE_CHARS = 20
SCHEMA = {"task": pl.String(), "number": pl.Int64(), "text": pl.String(), "core": pl.String()}
_CHANGES_QUESTIONS = ("process_docs", "custom_dataset", "use_prompt", "class", "doc_to_choice", "dataset_name")


@dataclass(frozen=True)
class Questions:
    """All questions of the evaluation tasks.

    `rows` has the columns task, number (from 0), text, and core: the text without what all questions of the task begin
    and end with; null where that is nothing, or leaves fewer than 20 characters.
    """

    rows: pl.DataFrame


def collect(texts: dict[str, list[str]]) -> Questions:
    """Questions from the texts of each task, in the order of their numbers."""
    rows = [
        (task, number, text, core)
        for task, prompts in sorted(texts.items())
        for number, (text, core) in enumerate(zip(prompts, _cores(prompts), strict=True))
    ]
    return Questions(pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def load_questions(
    names: tuple[str, ...], folder: Path, trusted: Collection[str] = (), skip_missing: bool = False
) -> Questions:
    """The questions of these tasks: local ones of `folder`, else the harness's own by name, which may be downloaded.

    A task of the harness whose data cannot be had is left out with a warning where `skip_missing`. Raises
    EvaluationError for a task that is unknown, broken or not trusted; SelectionError where questions cannot be had.
    """
    from stepsift.tasks import find_tasks

    texts: dict[str, list[str]] = {}
    for source in find_tasks(names, folder, trusted):
        try:
            prompts = _plain(source)
            texts |= {source.name: prompts} if prompts is not None else _built(source)
        except EvaluationError as e:
            if not skip_missing:
                raise SelectionError(
                    f"the questions of evaluation task '{source.name}' cannot be had, so nothing can be compared "
                    f"with them ({e}); let the machine download it once, set "
                    f"select.filters.decontaminate: null, or leave {source.name} out of evaluate.tasks"
                ) from e
            log.warning("questions of task '%s' cannot be had, nothing is compared with them: %s", source.name, e)
    return collect(texts)


def _cores(texts: list[str]) -> list[str | None]:
    if len(texts) < 2:
        return [None] * len(texts)
    head = len(_whole_words(_common_start(texts)))
    tail = len(_whole_words(_common_start([text[::-1] for text in texts])))
    cores = [text[head : len(text) - tail].strip() for text in texts]
    return [core if len(core) >= MIN_CORE_CHARS and head + tail else None for core in cores]


def _common_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:n]


def _whole_words(shared: str) -> str:
    """A shared beginning up to its last blank, so that no word is cut."""
    return shared[: max((i + 1 for i, c in enumerate(shared) if c.isspace()), default=0)]


def _plain(source: "TaskSource") -> list[str] | None:
    """Questions of a plain local task; None where only the harness knows them."""
    from stepsift.tasks import data_files, read_yaml

    if source.file is None:
        return None
    config = read_yaml(source.file)
    files, template = data_files(config), config.get("doc_to_text")
    split = config.get("test_split") or config.get("validation_split")
    name = files.get(split) if isinstance(files, dict) and isinstance(split, str) else None
    if (
        config.get("dataset_path") != "json"
        or not isinstance(name, str)
        or not name.endswith(".jsonl")
        or not isinstance(template, str)
        or "!function" in template
        or any(config.get(key) for key in _CHANGES_QUESTIONS)
    ):
        return None
    try:
        with (source.file.parent / name).open(encoding="utf-8", newline="\n") as f:
            return [_render(template, json.loads(line)) for line in f if line.strip()]
    except Exception:  # a template is code of anybody; what is wrong with it is for the harness to say
        return None


def _render(template: str, row: dict[str, Any]) -> str:
    from jinja2 import BaseLoader, Environment, StrictUndefined

    if template in row:
        return str(row[template])
    environment = Environment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(**row)


def _built(source: "TaskSource") -> dict[str, list[str]]:
    """Questions of each of the harness's task objects."""
    from stepsift.core.quiet import silenced
    from stepsift.tasks import load_task

    with tempfile.TemporaryDirectory() as scratch, silenced("lm_eval"):
        tasks = load_task(source, Path(scratch))
        try:
            return {name: [_asked(task, doc) for doc in task.eval_docs] for name, task in tasks.items()}
        except Exception as e:  # a task is YAML and code of anybody
            raise EvaluationError(named_error_line(e)) from e


def _asked(task: Any, doc: Any) -> str:
    text = task.doc_to_text(doc)
    # Tasks that fill a gap in several ways give the number of the right one, and the texts as choices.
    return text if isinstance(text, str) else "\n".join(map(str, task.doc_to_choice(doc)))
