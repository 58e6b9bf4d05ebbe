"""A side cache: folders that were expensive to make, kept by a key of everything that decides their content.

A stage rewrites its outputs whole; what is dear in them (a trained student, an evaluation) is taken from here when
nothing that decides it has changed. The cache is neither under git nor under DVC and may be deleted at any time.

An entry is filled in a temporary folder and renamed when it is complete, so a killed run leaves no half of one, and it
lists the SHA-256 of its files, so one that was damaged later is noticed, set aside and made again.
"""

import hashlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

ROOT_VARIABLE = "STEPSIFT_CACHE"
"""Environment variable that names the folder of all caches: a matter of the machine, not of the pipeline."""
_MANIFEST = "entry.json"
_TEMPORARY = ".tmp"


def root() -> Path:
    """Folder of all caches: what STEPSIFT_CACHE names (several people may share one), else below the working folder."""
    return Path(os.environ.get(ROOT_VARIABLE) or ".stepsift/cache")


def key(**parts: object) -> str:
    """SHA-256 over names and values, those that JSON cannot hold (a date) as text; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


class SideCache:
    """Entries below `folder`, which is made when the first one is stored."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get_or_make(self, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The entry's folder, for reading only, and whether it was there already.

        `make` fills the empty folder that it is given; what it raises passes through and leaves no entry.
        """
        entry = self.folder / key
        if entry.is_dir():
            damage = _damage(entry)
            if damage is None:
                return entry, True
            aside = _free_name(entry)
            entry.rename(aside)
            log.warning("cache entry %s is damaged (%s): set aside as %s and made again", entry, damage, aside.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        temporary = self.folder / f"{_TEMPORARY}-{key}-{os.getpid()}-{socket.gethostname()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            make(temporary)
            hashes = {str(p.relative_to(temporary)): _sha256(p) for p in _files(temporary)}
            (temporary / _MANIFEST).write_text(json.dumps({"files": hashes}, indent=2, sort_keys=True))
            try:
                temporary.rename(entry)
            except OSError:
                # Another run may have stored the same entry meanwhile; theirs is as good.
                if not entry.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return entry, False

    def _remove_leftovers(self) -> None:
        """Remove temporary folders of runs of this machine that are no more."""
        for path in self.folder.glob(f"{_TEMPORARY}-*"):
            _, _, pid, host = path.name.split("-", 3)
            if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def copy(entry: Path, target: Path) -> None:
    """Copy an entry's files into the folder `target`, which is made where it is missing.

    Copies and no links: DVC may make outputs read-only, or replace them by links into its own cache.
    """
    for path in _files(entry):
        if path != entry / _MANIFEST:
            to = target / path.relative_to(entry)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


def _damage(entry: Path) -> str | None:
    """What is wrong with an entry; None if nothing is."""
    try:
        expected: dict[str, str] = json.loads((entry / _MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"no readable {_MANIFEST}"
    present = {str(p.relative_to(entry)): p for p in _files(entry) if p != entry / _MANIFEST}
    if set(present) != set(expected):
        return f"files missing or added: {', '.join(sorted(set(present) ^ set(expected)))}"
    changed = [name for name, path in present.items() if _sha256(path) != expected[name]]
    return f"changed: {', '.join(changed)}" if changed else None


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _free_name(entry: Path) -> Path:
    n = 1
    while (aside := entry.with_name(f"{entry.name}.damaged-{n}")).exists():
        n += 1
    return aside
