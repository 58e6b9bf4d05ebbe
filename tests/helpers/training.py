"""Training sets of a few rows, and training on one."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepsift import params, train
from stepsift.core import disk
from stepsift.student import StudentFiles, StudentSource

STUDENT = params.Student()


def files_in(folder: Path) -> StudentFiles:
    return StudentFiles(folder)


def row(prompt: str, answer: str, n: int = 0) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "prompt_id": f"p{n}", "trace_id": f"t{n}", "teacher": "someone"}


def write(rows: list[dict[str, Any]], path: Path) -> Path:
    disk.write_lines((json.dumps(r) + "\n" for r in rows), path)
    return path


def train_one(
    files: StudentFiles,
    settings: params.Train,
    data: Path,
    seed: int,
    out: Path,
    on_log: Callable[[int, dict[str, float]], None] | None = None,
) -> train.TrainResult:
    """Train on one set with one seed, into `out`; nothing comes from a cache."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "select" / "one").mkdir(parents=True)
        shutil.copyfile(data, folder / "select" / "one" / "train.jsonl")
        one_seed = settings.model_copy(update={"seeds": (seed,)})
        trained = train.train_all(
            train.Training(StudentSource(files, STUDENT), one_seed, folder / "cache"),
            folder / "select",
            ("one",),
            folder / "train",
            (lambda _selector, _seed, step, values: on_log(step, values)) if on_log else None,
        )
        result = trained.results["one", seed]
        shutil.copytree(result.folder, out)
    return dataclasses.replace(result, folder=out)
