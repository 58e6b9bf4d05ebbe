"""Upkeep of the cache of scores: what it holds, whether it is whole, and making room in it."""

import contextlib
import json
import os
import re
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsift import sidecache
from stepsift.core.errors import ScoringError
from stepsift.score.cache import shards
from stepsift.score.cache.scores import LAST_RUN, SCORES, SPACE, SUMS, SUMS_SCHEMA, TOKENS, TOKENS_SCHEMA, Numerics

_SPACE_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SpaceInfo:
    """What a space holds; student and numerics are None where space.json does not say, last_run where no run ended.

    `n_keys` and `n_tokens` are those of token values, `n_sums` keys of step sums; `used_s` is when something in the
    space was last written, in seconds since 1970.
    """

    folder: Path
    student: str | None
    numerics: Numerics | None
    n_shards: int
    n_keys: int
    n_tokens: int
    n_sums: int
    n_bytes: int
    used_s: float
    last_run: dict[str, int] | None


def spaces(root: Path) -> list[SpaceInfo]:
    """The spaces below `root`, sorted by folder; nothing is changed."""
    return [_info(folder) for folder in _space_folders(root)]


def _space_folders(root: Path) -> list[Path]:
    return [p for p in shards.files(root / SCORES, _SPACE_NAME) if p.is_dir()]


def _info(folder: Path) -> SpaceInfo:
    space, last_run = _read_json(folder / SPACE), _read_json(folder / LAST_RUN)
    tokens = [shards.count(p) for p in shards.files(folder / TOKENS, shards.SHARD)]
    sums = [shards.count(p) for p in shards.files(folder / SUMS, shards.SHARD)]
    stats = _stats(folder)
    return SpaceInfo(
        folder=folder,
        student=space.get("student"),
        numerics=space.get("numerics"),
        n_shards=len(tokens) + len(sums),
        n_keys=sum(keys for keys, _ in tokens),
        n_tokens=sum(rows for _, rows in tokens),
        n_sums=sum(keys for keys, _ in sums),
        n_bytes=sum(s.st_size for s in stats),
        used_s=max([s.st_mtime for s in stats] or [folder.stat().st_mtime]),
        last_run=last_run or None,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stats(path: Path) -> list[os.stat_result]:
    """Sizes and times of a file, or of the files below a folder; those removed meanwhile are left out."""
    stats = []
    for p in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            stats.append(p.stat())
    return [s for s in stats if stat.S_ISREG(s.st_mode)]


def verify(root: Path) -> list[str]:
    """Check every shard below `root` against its checksum and set the damaged aside; one sentence for each problem.

    Files that are not the cache's are problems too; they are left where they are.
    """
    problems: list[str] = []
    known: set[Path] = set()
    for folder in _space_folders(root):
        described = _read_json(folder / SPACE)
        if (folder / SPACE).is_file() and sidecache.key(**described) != folder.name:
            problems.append(f"{folder / SPACE} does not describe its space; the next run with it writes it anew")
        known.update({folder / SPACE, folder / LAST_RUN}, shards.files(folder, shards.TEMPORARY))
        for store, schema in ((folder / TOKENS, TOKENS_SCHEMA), (folder / SUMS, SUMS_SCHEMA)):
            for path in shards.files(store, shards.SHARD):
                known.add(path)
                try:
                    shards.load(path, schema)
                except shards.DamagedShardError as e:
                    problems.append(f"{e}: {shards.set_aside(path)}")
                except FileNotFoundError:
                    continue
                except OSError as e:
                    problems.append(f"shard {path} cannot be read ({e.strerror or e})")
            known.update(shards.files(store, shards.DAMAGED, shards.TEMPORARY))
    files = (p for p in sorted((root / SCORES).rglob("*")) if p not in known and p.is_file())
    return problems + [f"{p} is not a file of the cache" for p in files]


@dataclass(frozen=True)
class Pruned:
    """What was removed, folders and files, and how many bytes that freed."""

    removed: list[Path]
    n_bytes: int


def prune(root: Path, *, unused_days: float | None = None, dry_run: bool = False) -> Pruned:
    """Remove damaged shards, leftovers of dead runs and, if `unused_days` is given, spaces not used for so long.

    A space is used when a run with it ends or stores something. With `dry_run` nothing is removed, and what would be is
    returned. Raises ScoringError where something cannot be removed.
    """
    removed: list[Path] = []
    n_bytes = 0
    for space in spaces(root):
        if unused_days is not None and time.time() - space.used_s > unused_days * 24 * 3600:
            paths = [space.folder]
        else:
            folders = (space.folder, space.folder / TOKENS, space.folder / SUMS)
            paths = [p for f in folders for p in (*shards.files(f, shards.DAMAGED), *shards.leftover_paths(f))]
        for path in paths:
            n_bytes += sum(s.st_size for s in _stats(path))
            if not dry_run:
                _remove(path)
        removed += paths
    return Pruned(removed, n_bytes)


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as e:
        raise ScoringError(f"'{path}' cannot be removed: {e.strerror or e}; allow writing to its folder") from e
