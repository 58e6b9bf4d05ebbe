"""Trained students in MLflow's model registry: versions that say where DVC has them, never the weights themselves."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsift.core.text import mlflow_name

_FOLDER = "students"
_NO_ALIAS = re.compile(r"(v\d+|latest)", re.IGNORECASE)


@dataclass(frozen=True)
class RegisteredStudent:
    """A trained student: selector, seed, its folder in the repository, and what it was trained on.

    `fingerprint` is that of its own files, `dataset` that of the curated set's choice (manifest.json).
    """

    selector: str
    seed: int
    path: str
    fingerprint: str
    dataset: str

    def tags(self) -> dict[str, str]:
        """What a version is found by."""
        return {
            "selector": self.selector,
            "seed": str(self.seed),
            "dvc.path": self.path,
            "student.fingerprint": self.fingerprint,
            "dataset.fingerprint": self.dataset,
        }


def register(client: Any, run_id: str, model: str, students: list[RegisteredStudent], tags: dict[str, str]) -> None:
    """A version of the registered model for each student; the first seed of each selector gets its name as alias.

    A student that is registered already, the same weights from the same set, keeps its version. `tags` join those of
    new versions. A version's artifact is a small file that names the student's folder.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model, description="Students that stepsift trained; DVC holds the weights.")
    except MlflowException:  # it is there already; whatever else is wrong shows in the next call
        client.get_registered_model(model)
    known = {
        _identity(v.tags): v.version for v in client.search_model_versions(f"name = '{model}'", max_results=10_000)
    }
    aliased: set[str] = set()
    for student in students:
        version = known.get(_identity(student.tags()))
        if version is None:
            name = f"{student.selector}-seed-{student.seed}.json"
            with tempfile.TemporaryDirectory() as folder:
                note = Path(folder) / mlflow_name(name).replace("/", "_")
                note.write_text(json.dumps(student.tags(), indent=2) + "\n", encoding="utf-8")
                client.log_artifact(run_id, str(note), _FOLDER)
            text = f"Trained on the set of '{student.selector}', seed {student.seed}: `dvc pull {student.path}`"
            source = f"runs:/{run_id}/{_FOLDER}"
            made = client.create_model_version(model, source, run_id, tags | student.tags(), description=text)
            version = made.version
        if student.selector not in aliased:
            aliased.add(student.selector)
            client.set_registered_model_alias(model, _alias(student.selector), version)


def _identity(tags: dict[str, str]) -> tuple[str | None, ...]:
    return tuple(tags.get(n) for n in ("selector", "seed", "student.fingerprint", "dataset.fingerprint"))


def _alias(selector: str) -> str:
    """MLflow allows letters, digits, `_` and `-`, and keeps some names to itself."""
    name = re.sub(r"[^\w-]", "-", selector, flags=re.ASCII)
    return f"{name}-set" if _NO_ALIAS.fullmatch(name) else name
