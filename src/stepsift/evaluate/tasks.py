"""Find evaluation tasks: YAML files of a folder, else tasks of lm-evaluation-harness by name."""

import difflib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from stepsift.errors import EvaluationError
from stepsift.quiet import quiet

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskSource:
    """A task that was asked for. `file` is its YAML file; None for one of the harness's own tasks, groups or tags.

    `digest` names the content: YAML, data and functions of a local task; name and harness version of another.
    """

    name: str
    file: Path | None
    digest: str


def find_tasks(names: tuple[str, ...], folder: Path) -> list[TaskSource]:
    """Find each task, local ones first; raises EvaluationError for one that is unknown, or whose data are missing."""
    local, broken = _local_tasks(folder)
    found = []
    for name in names:
        if name in local:
            found.append(TaskSource(name, local[name], _digest(local[name], folder)))
            continue
        known = _harness_tasks()
        if name not in known:
            near = difflib.get_close_matches(name, [*local, *known], n=1, cutoff=0.5)
            hint = f", did you mean '{near[0]}'?" if near else ";"
            unread = f" ({'; '.join(broken)})" if broken else ""
            raise EvaluationError(
                f"evaluate.tasks names '{name}', which is unknown{hint} local tasks of {folder} are "
                f"{', '.join(sorted(local)) or 'none'}{unread}, 'lm-eval ls tasks' lists the harness's own"
            )
        digest = hashlib.sha256(f"lm-eval {version('lm-eval')}: {name}".encode()).hexdigest()
        found.append(TaskSource(name, None, digest))
    return found


def load_task(source: TaskSource, scratch: Path) -> dict[str, Any]:
    """The harness's task objects by name: one, or as many as a group or tag of the harness has.

    Data files of a local task are read from beside its YAML file, without network, and their copies in the format of
    `datasets` go to `scratch`. Raises EvaluationError if the harness cannot build the task.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        if source.file is None:
            return dict(TaskManager().load([source.name])["tasks"])
        config = load_yaml(source.file)
        files = _data_files(config)
        if files is None:
            return dict(TaskManager(include_defaults=False).load([config])["tasks"])
        beside = source.file.parent.resolve()
        config["dataset_kwargs"] = config["dataset_kwargs"] | {
            "data_files": _map_texts(files, lambda name: str(beside / name)),
            "cache_dir": str(scratch),
        }
        with _offline():
            return dict(TaskManager(include_defaults=False).load([config])["tasks"])
    except Exception as e:  # a task is YAML and code of anybody, which the harness runs as it builds it
        raise EvaluationError(f"task '{source.name}' cannot be loaded: {type(e).__name__}: {e}") from e


def _local_tasks(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Name to YAML file, and a sentence for every YAML file that cannot be read."""
    from lm_eval.tasks._yaml_loader import load_yaml

    tasks: dict[str, Path] = {}
    broken = []
    for file in sorted(folder.rglob("*.yaml")):
        try:
            name = load_yaml(file, resolve_func=False).get("task")
        except (yaml.YAMLError, ValueError, OSError) as e:
            broken.append(f"{file.name} cannot be read: {' '.join(str(e).split())}")
            continue
        # A file without a name is one that others include.
        if isinstance(name, str):
            if name in tasks:
                raise EvaluationError(f"task '{name}' stands in {tasks[name].name} and {file.name}; rename one of them")
            tasks[name] = file
    return tasks, broken


def _harness_tasks() -> list[str]:
    from lm_eval.tasks import TaskManager

    with quiet("lm_eval"):
        return list(TaskManager().all_tasks)


def _data_files(config: dict[str, Any]) -> Any:
    """`data_files` of a task whose data lie on this machine; None if they come from a hub or a URL."""
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    remote = files is None or any("://" in name for name in _texts(files))
    return None if remote or config.get("custom_dataset") else files


def _digest(file: Path, folder: Path) -> str:
    """SHA-256 over the configuration with what it includes, the data files, and the Python files beside it."""
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(file, resolve_func=False)
    beside = file.parent.resolve()
    # Functions are named by absolute path, which differs by machine.
    text = json.dumps(config, sort_keys=True, default=str).replace(str(folder.resolve()), "")
    digest = hashlib.sha256(text.encode())
    for name in _texts(_data_files(config)):
        matches = sorted(beside.glob(name)) if not Path(name).is_absolute() else [Path(name)]
        if not any(path.is_file() for path in matches):
            raise EvaluationError(f"task '{config['task']}' reads '{name}', which is not beside {file}; put it there")
        for path in matches:
            digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(beside.glob("*.py")) if "!function" in file.read_text(encoding="utf-8") else []:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


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
