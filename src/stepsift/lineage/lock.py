"""What a `dvc.lock` says of the pipeline: the folder that each stage wrote, its MD5, and the settings it ran with."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stepsift.core import bounded_yaml
from stepsift.core.errors import LineageError
from stepsift.core.finding import Finding
from stepsift.core.text import has_conflict_marks

_TAKE_OURS = "take the one that was committed ('git checkout HEAD -- dvc.lock'), and 'dvc repro --pull' writes it anew"
_FOLDER = ".dir"
"""What stands behind the MD5 of a folder."""


def command_paths(command: str) -> list[str]:
    """The paths in a stage's command: behind `python -P SCRIPT`, or behind `python -P -m MODULE STAGE`."""
    words = shlex.split(command)
    return words[5:] if words[2:3] == ["-m"] else words[3:]


@dataclass(frozen=True)
class Lock:
    """The stages of a `dvc.lock` as it holds them; `name` says whose it is, for errors."""

    name: str
    stages: dict[str, Any]

    def __contains__(self, stage: str) -> bool:
        return stage in self.stages

    def folder(self, stage: str) -> str:
        """The folder that a stage wrote, below the repository's root; raises LineageError if it was not run."""
        return str(self._out(stage)["path"])

    def md5(self, stage: str) -> str:
        """MD5 of that folder's list of files, as DVC writes it (`.dir` behind it)."""
        return str(self._out(stage)["md5"])

    def folders(self) -> dict[str, Path]:
        """Stage to the folder that it wrote, for those that wrote one; asked for another, it raises LineageError."""
        return _Folders(self, {s: Path(self.folder(s)) for s in self.stages if self._folders(s)})

    def outs(self, stage: str) -> list[str]:
        """Everything that a stage wrote."""
        self.require(stage)
        return [o["path"] for o in self.stages[stage].get("outs", [])]

    def settings(self, stage: str) -> dict[str, Any]:
        """Name of a section of params.yaml, or of a key in one (`select.seed`), to what the stage was run with."""
        self.require(stage)
        written: dict[str, Any] = self.stages[stage].get("params", {}).get("params.yaml", {})
        return written

    def sources(self) -> str:
        """The folder of raw traces: the first path of ingest's command."""
        self.require("ingest")
        return command_paths(str(self.stages["ingest"]["cmd"]))[0]

    def _out(self, stage: str) -> dict[str, Any]:
        self.require(stage)
        folders = self._folders(stage)
        if len(folders) != 1:
            raise LineageError(
                f"dvc.lock of {self.name}: stage '{stage}' wrote {len(folders)} folders, it should be one"
            )
        return folders[0]

    def _folders(self, stage: str) -> list[dict[str, Any]]:
        outs: list[dict[str, Any]] = self.stages[stage].get("outs", [])
        return [o for o in outs if str(o.get("md5", "")).endswith(_FOLDER)]

    def require(self, stage: str) -> None:
        """Raise LineageError where a stage was not run."""
        if stage not in self.stages:
            raise LineageError(f"dvc.lock of {self.name} has no stage '{stage}', so it was not run; run 'dvc repro'")


class _Folders(dict[str, Path]):
    """Stage to its folder; a stage that was not run is an error that a user understands."""

    def __init__(self, lock: Lock, folders: dict[str, Path]):
        super().__init__(folders)
        self._lock = lock

    def __missing__(self, stage: str) -> Path:
        self._lock.require(stage)
        raise LineageError(f"dvc.lock of {self._lock.name}: stage '{stage}' wrote no folder")


def parse(text: str, name: str) -> Lock:
    """Read the text of a `dvc.lock`; raises LineageError if it is none."""
    try:
        stages = bounded_yaml.loads(text)["stages"]
    except (yaml.YAMLError, KeyError, TypeError):
        broken = "holds the conflict marks of a merge" if has_conflict_marks(text) else "is broken: it has no stages"
        raise LineageError(f"dvc.lock of {name} {broken}; {_TAKE_OURS}") from None
    if not isinstance(stages, dict):
        raise LineageError(f"dvc.lock of {name} is broken: its stages are no mapping; {_TAKE_OURS}")
    return Lock(name, stages)


def read(path: Path) -> Lock:
    """Read the `dvc.lock` of the working folder; raises LineageError if there is none."""
    if not path.is_file():
        raise LineageError(f"there is no {path}, so the pipeline was not run here; run 'dvc repro'")
    return parse(path.read_text(encoding="utf-8"), "the working folder")


def stages_of(path: Path) -> dict[str, Any]:
    """The stages of a `dvc.lock` that is not there before the first run; raises LineageError if it is broken."""
    return read(path).stages if path.is_file() else {}


def check_lock(path: Path) -> Finding:
    """For `stepsift check`: a `dvc.lock` that DVC cannot read; one that is not there yet is none."""
    if path.is_file():
        read(path)
    return Finding()
