"""Files on disk: written whole or not at all, with the same bytes for the same content.

A file gets its name when it is complete and on the disk (temporary file, fsync, rename); a folder that is rewritten is
filled beside the old one, which is removed when it is complete, never mixed with it. Caches, which several processes
may write to, name what is not complete yet after its process, so that the next one can clear away what a dead one left,
and rename what is damaged.
"""

import contextlib
import errno
import glob
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from stepsift.core.errors import CacheError, TableError
from stepsift.core.text import count

KEY_VARIABLE, KEY_FILE_VARIABLE = "STEPSIFT_CACHE_KEY", "STEPSIFT_CACHE_KEY_FILE"
"""Environment variables with the key of a team that signs what it puts into its caches, or the file that holds it."""
_LEAST_KEY_BYTES = 16
DAMAGED = ".damaged-"
"""Stands, with a number behind it, at the end of the name of what was set aside."""
IN_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
"""How the path of a file in a cache of DVC ends, which may link files to it."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_FOR_SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What SQLite says where it can write no more; the second also of a disk that is broken."""
_TEMPORARY = re.compile(r"\.tmp-[^-]*-([0-9]+)-(.+)")


def file_md5(path: Path) -> str:
    """The md5 of a file, as DVC takes it; 32 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file; 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is that nothing more can be written: no space, a quota, a limit of
    a file's size. Libraries in C++ and Rust say it in words alone, and SQLite in numbers of its own."""
    while True:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, sqlite3.Error):
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL_FOR_SQLITE:
                return True
        elif any(os.strerror(number) in str(error) for number in _FULL):
            return True
        before = error.__cause__ or error.__context__
        if before is None:
            return False
        error = before


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file that others may have put there.

    Raises OSError where it cannot be read, has more than `most_bytes`, or is no regular file: a pipe or a device would
    make its reader wait for ever.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
        status = os.fstat(f.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, and no regular file", str(path))
        content = f.read(most_bytes + 1)
    if len(content) > most_bytes:
        # Not EFBIG, which is_full takes for a disk on which nothing more can be written.
        raise OSError(errno.EOVERFLOW, f"it has {status.st_size:,} bytes, at most {most_bytes:,} are read", str(path))
    return content


def team_key() -> bytes | None:
    """The key with which a team signs its caches; None where the environment names none.

    Raises CacheError for a key that cannot be read or is too short: a run must not take what is unsigned for signed.
    """
    if (text := os.environ.get(KEY_VARIABLE)) is not None:
        key, source = text.strip().encode(), KEY_VARIABLE
    elif (name := os.environ.get(KEY_FILE_VARIABLE)) is not None:
        source = f"{KEY_FILE_VARIABLE} ({name})"
        try:
            key = read_regular(Path(name), 2**16).strip()
        except OSError as e:
            raise CacheError(f"{source} cannot be read: {e.strerror or e}; name the file of the team's key") from e
    else:
        return None
    if len(key) < _LEAST_KEY_BYTES:
        raise CacheError(
            f"{source} holds {count(len(key), 'byte')}, a key has at least {_LEAST_KEY_BYTES}; make one with "
            "'openssl rand -hex 32'"
        )
    return key


def signature(key: bytes, *parts: str) -> str:
    """HMAC-SHA256 of texts without NUL under a key; 64 hexadecimal digits."""
    return hmac.new(key, "\0".join(parts).encode(), "sha256").hexdigest()


def is_signed(key: bytes, given: object, *parts: str) -> bool:
    """Whether `given` is the signature of these texts; takes as long for a near miss as for any other."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), signature(key, *parts).encode())


def shared_with_others(folder: Path) -> bool:
    """Whether others than this user may write to a folder, or to the nearest one above it that there is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    status = folder.stat()
    of_group = bool(status.st_mode & stat.S_IWGRP) and status.st_gid != os.getegid()
    return bool(status.st_mode & stat.S_IWOTH) or of_group or status.st_uid != os.geteuid()


def text_sha256(text: str) -> str:
    """The SHA-256 of a text; 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def files_below(path: Path) -> list[Path]:
    """The files of a folder and of those below it, sorted; a file is its own."""
    return sorted(p for p in (path, *path.rglob("*")) if p.is_file())


def n_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; those removed meanwhile are left out."""
    total = 0
    for file in files_below(path):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def last_change_s(path: Path) -> float:
    """When a file, or one of the files below a folder, was last written, in seconds since 1970; else the folder."""
    times = []
    for file in files_below(path):
        with contextlib.suppress(FileNotFoundError):
            times.append(file.stat().st_mtime)
    return max(times) if times else path.stat().st_mtime


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; raises CacheError where that is not allowed."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:  # another process did it
        return
    except OSError as e:
        raise CacheError(f"'{path}' cannot be removed: {e.strerror or e}; allow writing to its folder") from e


def set_aside(path: Path) -> Path:
    """Rename what is damaged, so that it is not read again; the new path. Raises OSError where that is not possible."""
    number = 1
    while (aside := path.with_name(f"{path.name}{DAMAGED}{number}")).exists():
        number += 1
    return path.rename(aside)


def temporary_beside(folder: Path, name: str) -> Path:
    """A path in `folder` for what becomes `name` (without a dash), known as this process's own."""
    return folder / f".tmp-{name}-{os.getpid()}-{socket.gethostname()}"


def temporary_for(path: Path) -> Path:
    """A path of this process's own beside `path`, for what becomes it; what killed writers of it left is removed."""
    name = path.name.replace("-", "_")
    for left in path.parent.glob(f".tmp-{glob.escape(name)}-*"):
        if is_leftover(left):
            with contextlib.suppress(CacheError):  # it stands in nobody's way
                remove(left)
    return temporary_beside(path.parent, name)


def is_temporary(path: Path) -> bool:
    """Whether a path is one of `temporary_beside`, whosesoever."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_leftover(path: Path, lives_s: float | None = None) -> bool:
    """Whether a temporary path is of a process of this machine that is no more or, with `lives_s`, older than that."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match[2] == socket.gethostname() and not psutil.pid_exists(int(match[1])):
        return True
    with contextlib.suppress(FileNotFoundError):
        return lives_s is not None and time.time() - path.stat().st_mtime > lives_s
    return False


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


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write a file to, which becomes `path` when the block ends; what fails leaves none of it.

    The folder is made where it is missing.
    """
    if path.is_dir():  # renaming would say so of the temporary file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_for(path)
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    replace_durably(temporary, path)


def write_text(text: str, path: Path) -> None:
    """Write a small text file atomically; the folder is made where it is missing."""
    write_lines([text], path)


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write text piece by piece, each with its own line end, atomically; the folder is made where it is missing."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
        f.writelines(lines)


def write_json(content: object, path: Path) -> None:
    """Write JSON with sorted keys, so that the same content gives the same bytes; NaN and infinity are refused."""
    write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", path)


def read_json(path: Path) -> Any:
    """What `write_json` wrote; raises TableError where it is no valid JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
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
