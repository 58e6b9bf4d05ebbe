"""Files on disk: written whole or not at all, with the same bytes for the same content.

A file gets its name when it is complete and on the disk (temporary file, fsync, rename); a folder that is rewritten
takes the place of the old one at once.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stepsift.core.errors import TableError


def file_md5(path: Path) -> str:
    """The md5 of a file, as DVC takes it; 32 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path` so that a crash leaves either the old file or the new one, never half of one."""
    with temporary.open("rb") as f:
        os.fsync(f.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(text: str, path: Path) -> None:
    """Write a small text file atomically; the folder is made where it is missing."""
    write_lines([text], path)


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write text piece by piece, each with its own line end, atomically; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as f:
            f.writelines(lines)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    replace_durably(temporary, path)


def write_json(content: object, path: Path) -> None:
    """Write JSON with sorted keys, so that the same content gives the same bytes; NaN and infinity are refused."""
    write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", path)


def read_json(path: Path) -> Any:
    """What `write_json` wrote; raises TableError where it is no valid JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise TableError(f"{path} is no valid JSON ({e}); remove it, and 'dvc repro' writes it anew") from e


@contextlib.contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of `path`, whole, when the block ends without an exception."""
    # A name without a process id: what a killed run left behind is cleared away by the next one.
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
