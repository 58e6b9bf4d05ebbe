"""A side cache: folders that were expensive to make, kept by a key of everything that decides their content.

A stage rewrites its outputs whole; what is expensive in them (a trained student, an evaluation) is taken from here when
nothing that decides it has changed. The cache is neither under git nor under DVC and may be deleted at any time.

Where the environment names a team's key (core/disk.py), entries are signed with it, and others are taken for damaged.

An entry is filled in a temporary folder and renamed when it is complete, so a killed run leaves no half of one, and it
lists the SHA-256 of its files, so one that was damaged later is noticed, set aside and made again.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stepsift.core import disk
from stepsift.core.errors import CacheError

log = logging.getLogger(__name__)

ROOT_VARIABLE = "STEPSIFT_CACHE"
"""Environment variable that names the folder of all caches: a matter of the machine, not of the pipeline."""
_MANIFEST = "entry.json"
_MOST_MANIFEST_BYTES = 2**24
_PARTIAL, _LOCK = ".partial-", ".lock"


def root() -> Path:
    """Folder of all caches: what STEPSIFT_CACHE names (several people may share one), else below the repository.

    That is the working folder; in a stage what DVC names, which is the real one for the copy of `dvc exp run --temp`.
    """
    return Path(os.environ.get(ROOT_VARIABLE) or Path(os.environ.get("DVC_ROOT", "")) / ".stepsift/cache")


def key(**parts: object) -> str:
    """SHA-256 over names and values, those that JSON cannot hold (a date) as text; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def plain(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts of a key as JSON gives them back: `key` takes them for the same."""
    content: dict[str, Any] = json.loads(json.dumps(parts, ensure_ascii=False, default=str))
    return content


@dataclass(frozen=True)
class EntryInfo:
    """An entry: its folder, the bytes of its files, and when it was last made or used, in seconds since 1970."""

    folder: Path
    n_bytes: int
    used_s: float


class SideCache:
    """Entries below `folder`, which is made when the first one is stored."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get_or_make(self, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The entry's folder, for reading only, and whether it was there already.

        `make` fills the empty folder that it is given; what it raises passes through and leaves no entry. Raises
        CacheError where nothing may be written.
        """
        entry = self.folder / key
        if (there := self.get(key)) is not None:
            return there, True
        if entry.is_dir():
            self._set_aside(entry)
        temporary = self._place_for(key)
        try:
            make(temporary)
            hashes = {str(p.relative_to(temporary)): disk.file_sha256(p) for p in disk.files_below(temporary)}
            content = {"files": hashes} | _signed(key, hashes)
            (temporary / _MANIFEST).write_text(json.dumps(content, indent=2, sort_keys=True))
            try:
                temporary.rename(entry)
            except OSError:
                # Another run may have stored the same entry meanwhile; theirs is as good.
                if not entry.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return entry, False

    def get(self, key: str) -> Path | None:
        """The entry's folder, for reading only; None where there is none, or a damaged one, which stays as it is."""
        if not self.has(key):
            return None
        entry = self.folder / key
        with contextlib.suppress(OSError):  # a cache that may only be read serves as well
            os.utime(entry / _MANIFEST)
        return entry

    def has(self, key: str) -> bool:
        """Whether there is an entry; a damaged one is none."""
        entry = self.folder / key
        return entry.is_dir() and _damage(entry) is None

    @contextlib.contextmanager
    def partial(self, key: str) -> Iterator[Path | None]:
        """A folder for what has been made of an entry so far, which outlives a killed run, so that the next goes on.

        It is removed when the block comes to its end. None while another run holds it: two that write there would spoil
        each other's work.
        """
        place = self.folder / f"{_PARTIAL}{key}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{place}{_LOCK}", timeout=0)
            lock.acquire()
        except Timeout:
            log.warning("another run is making %s…, whose partial results are its own; this one keeps none", key[:12])
            yield None
            return
        except OSError as e:
            raise self._unwritable(e) from e
        with lock:
            place.mkdir(exist_ok=True)
            yield place
            shutil.rmtree(place, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)

    def _set_aside(self, entry: Path) -> None:
        """Rename a damaged entry, unless another process did so; raises CacheError where that is not allowed."""
        damage = _damage(entry)
        if damage is None:  # another process has made it again
            return
        try:
            aside = disk.set_aside(entry)
        except FileNotFoundError:
            return
        except OSError as e:
            raise self._unwritable(e) from e
        log.warning("cache entry %s is damaged (%s): set aside as %s and made again", entry, damage, aside.name)

    def _unwritable(self, e: OSError) -> CacheError:
        return CacheError(
            f"what is missing in the cache {self.folder} cannot be stored there ({e.strerror or e}); allow "
            "writing, or name another folder in STEPSIFT_CACHE"
        )

    def _place_for(self, key: str) -> Path:
        """An empty folder beside the entries."""
        temporary = disk.temporary_beside(self.folder, key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
        except OSError as e:
            if e.errno == errno.ENOSPC:  # the command line has a sentence for it
                raise
            raise self._unwritable(e) from e
        return temporary

    def entries(self) -> list[EntryInfo]:
        """The entries, sorted by name; those that were set aside are not among them."""
        return [
            EntryInfo(p, disk.n_bytes(p), _used_s(p))
            for p in sorted(self.folder.glob("*"))
            if p.is_dir() and not (p.name.startswith(_PARTIAL) or disk.is_temporary(p) or disk.DAMAGED in p.name)
        ]

    def damages(self) -> list[str]:
        """A sentence for each damaged entry; nothing is changed."""
        return [
            f"cache entry {entry.folder} is damaged ({damage}); 'stepsift cache verify' sets it aside"
            for entry in self.entries()
            if (damage := _damage(entry.folder))
        ]

    def verify(self) -> list[str]:
        """Check every file of every entry and set damaged entries aside; one sentence for each of them."""
        problems = []
        for entry in self.entries():
            if damage := _damage(entry.folder):
                try:
                    what = f"set aside as {disk.set_aside(entry.folder).name}"
                except OSError as e:
                    what = f"it cannot be renamed ({e.strerror or e})"
                problems.append(f"cache entry {entry.folder} is damaged ({damage}): {what}")
        return problems

    def disposable(self, unused_days: float | None = None) -> list[Path]:
        """Folders that may go: entries set aside, what dead runs left, and entries not used for `unused_days`.

        Checkpoints of a run that was killed go with what was not used for so long: until then it may be taken up again.
        """
        old = [] if unused_days is None else [*self.entries(), *self._partial()]
        before = time.time() - (unused_days or 0) * 24 * 3600
        return [
            *sorted(self.folder.glob(f"*{disk.DAMAGED}*")),
            *sorted(self._leftovers()),
            *(e.folder for e in old if e.used_s < before),
        ]

    def _partial(self) -> list[EntryInfo]:
        """What runs that were killed, or still go on, have made so far."""
        places = sorted(p for p in self.folder.glob(f"{_PARTIAL}*") if p.is_dir())
        return [EntryInfo(p, disk.n_bytes(p), max(f.stat().st_mtime for f in [p, *p.rglob("*")])) for p in places]

    def _remove_leftovers(self) -> None:
        for path in self._leftovers():
            shutil.rmtree(path, ignore_errors=True)

    def _leftovers(self) -> Iterator[Path]:
        """Temporary folders of runs of this machine that are no more."""
        yield from (path for path in self.folder.glob(".tmp-*") if disk.is_leftover(path))


def copy(entry: Path, target: Path) -> None:
    """Copy an entry's files into the folder `target`, which is made where it is missing.

    Copies and no links: DVC may make outputs read-only, or replace them by links into its own cache.
    """
    for path in disk.files_below(entry):
        if path != entry / _MANIFEST:
            to = target / path.relative_to(entry)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


def _parts(key: str, hashes: dict[str, str]) -> tuple[str, str, str]:
    return "entry", key, json.dumps(hashes, sort_keys=True)


def _signed(key: str, hashes: dict[str, str]) -> dict[str, str]:
    """The signature of an entry, where this team has a key."""
    team_key = disk.team_key()
    return {} if team_key is None else {"signature": disk.signature(team_key, *_parts(key, hashes))}


def _damage(entry: Path) -> str | None:
    """What is wrong with an entry; None if nothing is."""
    try:
        manifest = json.loads(disk.read_regular(entry / _MANIFEST, _MOST_MANIFEST_BYTES))
        expected = {str(name): str(sha256) for name, sha256 in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"no readable {_MANIFEST}"
    team_key = disk.team_key()
    if team_key is not None and not disk.is_signed(team_key, manifest.get("signature"), *_parts(entry.name, expected)):
        return "forged" if "signature" in manifest else f"unsigned, and {disk.KEY_VARIABLE} asks for a signature"
    present = {str(p.relative_to(entry)): p for p in disk.files_below(entry) if p != entry / _MANIFEST}
    if set(present) != set(expected):
        return f"files missing or added: {', '.join(sorted(set(present) ^ set(expected)))}"
    changed = [name for name, path in present.items() if disk.file_sha256(path) != expected[name]]
    return f"changed: {', '.join(changed)}" if changed else None


def _used_s(entry: Path) -> float:
    manifest = entry / _MANIFEST
    return (manifest if manifest.is_file() else entry).stat().st_mtime
