"""The third link: do the cheap stages, run again, write the same bytes?

What runs is what this checkout's dvc.yaml says, and only if dvc.lock says the same: a branch that changes dvc.lock
alone must not decide what runs on the machine of whoever verifies it.
"""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stepsift.core import bounded_yaml
from stepsift.core.errors import LineageError
from stepsift.core.text import count, error_line, one_line
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.lock import Lock, command_paths

CHEAP = ("ingest", "segment", "select", "report")
"""Stages that need no student."""
_PARAMS = "params.yaml"


@dataclass(frozen=True)
class DeclaredStage:
    """A stage as dvc.yaml of this checkout declares it: its command, and the paths that it writes.

    `charts` and `metrics` are those of `outs` that dvc.yaml lists as such.
    """

    command: str
    outs: tuple[str, ...]
    charts: tuple[str, ...]
    metrics: tuple[str, ...]

    def paths(self) -> list[str]:
        """The paths in the command, in its order."""
        return command_paths(self.command)

    def sources(self) -> str:
        """The first path: of ingest, the folder of raw traces."""
        return self.paths()[0]


def declared_stages() -> dict[str, DeclaredStage]:
    """Stage to what dvc.yaml in the working folder declares of it; raises LineageError if DVC cannot read that."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    try:
        with Repo() as repo:
            # Not of the index: reading that opens the lock files too, which are what is checked.
            stages = [s for s in repo.stage.load_file("dvc.yaml") if isinstance(s, PipelineStage)]
            return {s.name: _declared(s) for s in stages}
    except DvcException as e:
        raise LineageError(
            f"DVC cannot read dvc.yaml: {error_line(e)}; mend it, or check out a version that works"
        ) from e


def _declared(stage: Any) -> DeclaredStage:
    paths = {str(out.def_path): out for out in stage.outs}
    charts, metrics = (tuple(p for p, out in paths.items() if getattr(out, kind)) for kind in ("plot", "metric"))
    return DeclaredStage(str(stage.cmd), tuple(paths), charts, metrics)


def check_stage(stage: str, lock: Lock, declared: Mapping[str, DeclaredStage]) -> CheckResult:
    """Run a stage's command anew, with outputs in a temporary folder, and compare these byte by byte.

    The working folder is the repository's root. Inputs and parameters are those of the working folder; MLflow is off.
    A command of `lock` that is not the one of `declared` is a finding, and nothing is run.
    """
    name = f"{stage} run again"
    ours, locked = declared.get(stage), str(lock.stages[stage].get("cmd", ""))
    if ours is None or ours.command.split() != locked.split():
        here = f"says '{ours.command}'" if ours else "has no such stage"
        text = f"dvc.lock says that stage {stage} ran '{one_line(locked, 200)}', and dvc.yaml of this checkout {here}"
        return CheckResult(name, "", (f"{text}; it was not run",))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        words = shlex.split(ours.command)
        words = [sys.executable, *(str(made / w) if w in ours.outs else w for w in words[1:])]
        done = subprocess.run(
            words, cwd=_room(Path(scratch) / "room"), capture_output=True, text=True, encoding="utf-8", check=False
        )
        if done.returncode:
            last = one_line((done.stderr.strip().splitlines() or ["no message"])[-1])
            return CheckResult(name, "", (f"stage {stage} fails on these inputs and parameters: {last}",))
        differences = [first_difference(made / out, Path(out)) for out in ours.outs]
        n_files = sum(len(files(made / out)) for out in ours.outs)
    return CheckResult(
        name, f"{count(n_files, 'file')}: the same bytes", tuple(d for d in differences if d is not None)
    )


def _room(room: Path) -> Path:
    """A folder that looks like the repository's root, but whose parameters switch tracking off."""
    room.mkdir()
    for entry in sorted(Path.cwd().iterdir()):
        if entry.name != _PARAMS:
            (room / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
    content = bounded_yaml.load(Path(_PARAMS))
    content["tracking"] = {**(content.get("tracking") or {}), "enabled": False}
    (room / _PARAMS).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return room


def files(path: Path) -> dict[str, Path]:
    """Path below a folder to the file, sorted; a file by itself has no path below."""
    if path.is_file():
        return {"": path}
    return {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}


def first_difference(made: Path, there: Path) -> str | None:
    """The first file in which two folders (or two files) differ, in words, with `there` as what is looked at."""
    new, old = files(made), files(there)
    for name in sorted({*new, *old}):
        path = (there / name).as_posix() if name else there.as_posix()
        if name not in old:
            return f"{path} is missing"
        if name not in new:
            return f"{path} is not made by the stage"
        if not _same(new[name], old[name]):
            return f"{path} comes out differently{_how(new[name], old[name])}"
    return None


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        while chunk := a.read(2**20):
            if chunk != b.read(2**20):
                return False
    return True


def _how(made: Path, there: Path) -> str:
    """Whether a table holds the same rows in other bytes, as another version of a library would write."""
    if there.suffix != ".parquet":
        return ""
    try:
        new, old = pl.read_parquet(made), pl.read_parquet(there)
    except (pl.exceptions.PolarsError, OSError):
        return " (it is no readable table)"
    return " (the same rows in other bytes: another version of a library wrote it)" if new.equals(old) else ""
