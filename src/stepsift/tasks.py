"""Find evaluation tasks: YAML files of a folder, else tasks of lm-evaluation-harness by name.

Local tasks are read here without the harness, whose import takes seconds; it builds the tasks later, in `load_task`.
"""

import functools
import glob
import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from stepsift.core import bounded_yaml, disk
from stepsift.core.errors import EvaluationError
from stepsift.core.quiet import silenced
from stepsift.core.text import did_you_mean, error_line, named_error_line, one_line

log = logging.getLogger(__name__)


VERIFIERS = ("math", "choice", "exact", "code", "auto")
"""What `verify` of a task may be; auto: by each gold answer, as in ingest."""
_OF_VERIFIED = ("task", "verify", "data", "prompt", "answer", "instruction", "generation_kwargs")
_TEMPLATE_MARKS = re.compile(r"\{\{|\{%|\{#")
"""With these a text becomes code where the harness renders it."""
_MOST_NAME_CHARS = 200
"""Of a data file's name, in a sentence that refuses it."""


@dataclass(frozen=True)
class Verified:
    """How a task's answers are verified: the kind (one of VERIFIERS), and the fields of prompt and gold answer."""

    kind: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class TaskSource:
    """A task that was asked for. `file` is its YAML file; None for one of the harness's own tasks, groups or tags.

    `digest` names the content: YAML, data and functions of a local task; name and harness version of another.
    """

    name: str
    file: Path | None
    digest: str


def find_tasks(names: tuple[str, ...], folder: Path, trusted: Collection[str] = ()) -> list[TaskSource]:
    """Find each task, local ones first.

    Raises EvaluationError for one that is unknown, or whose data are missing, and for a file in the harness's own
    format that `trusted` (evaluate.trusted_tasks) does not name: its templates and functions are code, which loading
    it runs.
    """
    local, broken = _read_folder(folder) if names else ({}, [])
    sources = []
    for name in names:
        if name in local:
            sources.append(_local_source(name, local[name], trusted))
            continue
        harness_names = _harness().all_tasks
        if name not in harness_names:
            hint = did_you_mean(name, [*local, *harness_names]) or ";"
            unread = f" ({'; '.join(broken)})" if broken else ""
            raise EvaluationError(
                f"evaluate.tasks names '{name}', which is unknown{hint} local tasks of {folder} are "
                f"{', '.join(sorted(local)) or 'none'}{unread}, 'lm-eval ls tasks' lists the harness's own"
            )
        digest = hashlib.sha256(f"lm-eval {version('lm-eval')}: {name}".encode()).hexdigest()
        sources.append(TaskSource(name, None, digest))
    return sources


def local_tasks(folder: Path) -> set[str]:
    """Names of the tasks in the YAML files below `folder` that can be read; a missing folder has none."""
    return set(_read_folder(folder)[0])


def check_tasks(names: Sequence[str], folder: Path, trusted: Collection[str] = ()) -> list[str]:
    """One sentence for each problem: a broken YAML file, missing data or trust of a named task, a misspelt name.

    A name that is unlike any local one is taken for one of the harness's: to look there costs seconds, which are spent
    only on a name that resembles a local one.
    """
    local, problems = _read_folder(folder)
    for name in names:
        if name in local:
            try:
                _local_source(name, local[name], trusted)
            except EvaluationError as e:
                problems.append(str(e))
        elif (hint := did_you_mean(name, local)) and name not in _harness().all_tasks:
            problems.append(f"evaluate.tasks names '{name}', which is unknown{hint}")
    return problems


def load_task(source: TaskSource, scratch: Path) -> dict[str, Any]:
    """The harness's task objects by name: one, or as many as a group or tag of the harness has.

    Data files of a local task are read from beside its YAML file, without network, and their copies in the format of
    `datasets` go to `scratch`. Raises EvaluationError if the harness cannot build the task.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        if source.file is None:
            return dict(_harness().load([source.name])["tasks"])
        config = read_yaml(source.file)
        if verified(config) is None:
            config = load_yaml(source.file)
        files = data_files(config)
        if files is None:
            return dict(TaskManager(include_defaults=False).load([config])["tasks"])
        beside = source.file.parent.resolve()
        config["dataset_kwargs"] = config["dataset_kwargs"] | {
            "data_files": _map_texts(files, lambda name: _pattern(name, beside)),
            "cache_dir": str(scratch),
        }
        with _offline():
            return dict(TaskManager(include_defaults=False).load([config])["tasks"])
    except Exception as e:  # a task is YAML and code of anybody, which the harness runs as it builds it
        if disk.is_full(e):
            raise
        raise EvaluationError(f"task '{source.name}' cannot be loaded: {named_error_line(e)}") from e


def _read_folder(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Name to YAML files, of which there should be one, and a sentence for every YAML file that cannot be read."""
    tasks: dict[str, list[Path]] = {}
    broken = []
    for file in sorted(folder.rglob("*.yaml")):
        try:
            name = read_yaml(file).get("task")
        except EvaluationError as e:
            broken.append(str(e))
            continue
        # A file without a name is one that others include.
        if isinstance(name, str):
            tasks.setdefault(name, []).append(file)
    return tasks, broken


def _local_source(name: str, files: list[Path], trusted: Collection[str]) -> TaskSource:
    """Raises EvaluationError if several files have the name, or if what the task needs is wrong or missing."""
    if len(files) > 1:
        raise EvaluationError(f"task '{name}' stands in {files[0]} and {files[1]}; rename one of them")
    if name not in trusted and not _is_short(_read_merged(files[0], (), {})):
        raise EvaluationError(
            f"task '{name}' of {files[0]} is written in the harness's own format, whose templates and functions are "
            f"code that runs here; read it and its Python files and set evaluate.trusted_tasks: [{name}], or write it "
            "with verify and data (docs/EVALUATION.md)"
        )
    return TaskSource(name, files[0], _digest(files[0]))


class _Loader(yaml.SafeLoader):
    """YAML as the harness reads it; functions stay the text that names them."""


_Loader.add_constructor("!function", lambda loader, node: f"!function {node.value}")


def read_yaml(file: Path) -> dict[str, Any]:
    """A task's configuration with what it includes, its own keys first; raises EvaluationError if it is broken."""
    config = _read_merged(file, (), {})
    return _written_out(config, file) if _is_short(config) else config


def _is_short(config: dict[str, Any]) -> bool:
    """Whether a file as it was read says `verify` and `data`, and is thus nothing but data."""
    return "verify" in config


def _read_merged(file: Path, including: tuple[Path, ...], known: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """What a file and those that it includes say; `known` are those that were read, each once."""
    try:
        if (path := file.resolve()) in including:
            raise ValueError("it includes itself")
        if path in known:
            return known[path]
        config = bounded_yaml.load(file, _Loader)
        if not isinstance(config, dict):
            raise ValueError("it holds no keys with values")
        includes = config.pop("include", [])
        includes = includes if isinstance(includes, list) else [includes]
        if not all(isinstance(name, str) for name in includes):
            raise ValueError("include must be a file name, or a list of them")
    except (yaml.YAMLError, ValueError, OSError) as e:
        raise EvaluationError(f"{file} cannot be read: {error_line(e)}") from e
    merged: dict[str, Any] = {}
    for name in includes:
        merged |= _read_merged(file.parent / name, (*including, path), known)
    merged |= config
    known[path] = merged
    return merged


def _written_out(short: dict[str, Any], file: Path) -> dict[str, Any]:
    """The harness's configuration of a task that says `verify` and `data`; raises EvaluationError for a wrong key."""

    def wrong(what: str) -> EvaluationError:
        return EvaluationError(f"{file} cannot be read: {what}")

    unknown = [key for key in short if key not in _OF_VERIFIED]
    if unknown:
        raise wrong(f"'{unknown[0]}' is no key of a task with verify; those are {', '.join(_OF_VERIFIED)}")
    if short["verify"] not in VERIFIERS:
        raise wrong(f"verify is {short['verify']!r}, it must be one of {', '.join(VERIFIERS)}")
    texts = {"prompt": "prompt", "answer": "answer", "instruction": ""} | short
    for key in ("data", "prompt", "answer", "instruction"):
        if not isinstance(texts.get(key), str) or not (texts[key] or key == "instruction"):
            raise wrong(f"{key} must be a text")
        if mark := _TEMPLATE_MARKS.search(texts[key]):
            raise wrong(f"{key} holds '{mark[0]}', which begins a template; put a space between the two signs")
    how = short.get("generation_kwargs") or {}
    if not isinstance(how, dict):
        raise wrong(f"generation_kwargs is {how!r}, it must be keys with values")
    if not re.fullmatch(r"[A-Za-z_]\w*", texts["prompt"], re.ASCII):
        raise wrong(f"prompt is {texts['prompt']!r}, it must be the name of a field: letters, digits and _")
    question = f"{{{{ {texts['prompt']} }}}}"
    if texts["instruction"]:
        question += "\n\n{% raw %}" + texts["instruction"] + "{% endraw %}"
    return {
        "task": short.get("task"),
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": short["data"]}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": question,
        # The harness compares texts in its way as well; what counts is the verdict.
        "doc_to_target": "",
        "generation_kwargs": {"until": []} | how,
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"verify": short["verify"], "prompt": texts["prompt"], "answer": texts["answer"]},
    }


def verified(config: dict[str, Any]) -> Verified | None:
    """How a task with this configuration is verified; None where the harness grades it."""
    about = config.get("metadata") or {}
    if not isinstance(about, dict) or "verify" not in about:
        return None
    return Verified(about["verify"], about["prompt"], about["answer"])


@functools.cache
def _harness() -> Any:
    """The harness's tasks by name: it reads some 13,000 files for them, which takes seconds, and they do not change."""
    from lm_eval.tasks import TaskManager

    with silenced("lm_eval"):
        return TaskManager()


def data_files(config: dict[str, Any]) -> Any:
    """`data_files` of a task whose data lie on this machine; None if they come from a hub or a URL."""
    arguments = config.get("dataset_kwargs") or {}
    if not isinstance(arguments, dict):
        raise EvaluationError(
            f"task '{config['task']}': dataset_kwargs is {arguments!r}, which must be keys with values"
        )
    files = arguments.get("data_files")
    if files is not None and not _are_names(files):
        raise EvaluationError(
            f"task '{config['task']}': data_files is {files!r}, which must be a file name, a list of them, or either "
            "for each split"
        )
    remote = files is None or any("://" in name for name in _texts(files))
    return None if remote or config.get("custom_dataset") else files


def _are_names(files: Any) -> bool:
    if isinstance(files, dict | list):
        return bool(files) and all(_are_names(part) for part in (files.values() if isinstance(files, dict) else files))
    return isinstance(files, str) and bool(files.strip())


def _digest(file: Path) -> str:
    """SHA-256 over the configuration with what it includes, the data files, and the Python files beside it."""
    config = read_yaml(file)
    # Not as JSON: YAML allows keys that it does not know.
    digest = hashlib.sha256(repr(config).encode())
    python = sorted(file.parent.glob("*.py")) if "!function" in repr(config) else []
    for path in [*_data_paths(config, file), *python]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _data_paths(config: dict[str, Any], file: Path) -> list[Path]:
    """The data files of a local task; raises EvaluationError if one that it names is not there."""
    beside = file.parent.resolve()
    paths: list[Path] = []
    for name in _texts(data_files(config)):
        try:
            matches = [beside / name] if _is_one_file(name, beside) else sorted(beside.glob(name))
            here = [path for path in matches if path.is_file()]
        except (ValueError, OSError) as e:
            raise EvaluationError(
                f"task '{config['task']}' reads '{one_line(name, _MOST_NAME_CHARS)}', which is no file name: "
                f"{error_line(e, _MOST_NAME_CHARS)}"
            ) from e
        if not here:
            raise EvaluationError(f"task '{config['task']}' reads '{name}', which is not beside {file}; put it there")
        paths += here
    return paths


def _is_one_file(name: str, beside: Path) -> bool:
    """Whether a name is that of one file, whatever signs of a pattern it holds: it is absolute, or there."""
    return Path(name).is_absolute() or not Path(name).parts or (beside / name).is_file()


def _pattern(name: str, beside: Path) -> str:
    """What `datasets` takes for the same files: it would read signs of a pattern in the folder's name, too."""
    if _is_one_file(name, beside):
        return glob.escape(str(beside / name))
    return f"{glob.escape(str(beside))}/{name}"


def _texts(value: Any) -> Iterator[str]:
    """All file names of a `data_files` entry: a name, a list, or either by split."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_texts(part, change) for key, part in value.items()}
    return [_map_texts(part, change) for part in value]


@contextmanager
def _offline() -> Iterator[None]:
    """No request leaves the machine. Both libraries read the environment once, when imported: hence attributes."""
    import datasets
    import huggingface_hub

    places = [(datasets.config, "HF_HUB_OFFLINE"), (huggingface_hub.constants, "HF_HUB_OFFLINE")]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, True)
    bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
        if bars:
            datasets.enable_progress_bars()
