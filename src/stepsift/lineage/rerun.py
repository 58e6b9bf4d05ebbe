"""The third link: do the cheap stages, run again, write the same bytes?"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import yaml

from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.lock import Lock

CHEAP = ("ingest", "segment", "select")
"""Stages that need no student."""
_PARAMS = "params.yaml"


def check_stage(stage: str, lock: Lock) -> CheckResult:
    """Run a stage's command of `dvc.lock` anew, with outputs in a temporary folder, and compare these byte by byte.

    The working folder is the repository's root. Inputs and parameters are those of the working folder; MLflow is off.
    """
    name = f"{stage} run again"
    outs = lock.outs(stage)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        words = shlex.split(lock.stages[stage]["cmd"])
        words = [sys.executable, *(str(made / w) if w in outs else w for w in words[1:])]
        done = subprocess.run(
            words, cwd=_room(Path(scratch) / "room"), capture_output=True, text=True, encoding="utf-8", check=False
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return CheckResult(name, "", (f"stage {stage} fails on these inputs and parameters: {said}",))
        differing = [difference for out in outs if (difference := first_difference(made / out, Path(out))) is not None]
        n_files = sum(len(files(made / out)) for out in outs)
    return CheckResult(name, f"{n_files} files: the same bytes", tuple(differing))


def _room(room: Path) -> Path:
    """A folder that looks like the repository's root, but whose parameters switch tracking off."""
    room.mkdir()
    for entry in sorted(Path.cwd().iterdir()):
        if entry.name != _PARAMS:
            (room / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
    content = yaml.safe_load(Path(_PARAMS).read_text(encoding="utf-8"))
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
            return f"{path} comes out otherwise{_how(new[name], old[name])}"
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
