"""The command `cache`: all caches below one folder, shown, verified, pruned, and filled from another revision.

Scores lie in spaces of shards (`score/cache/scores.py`), one space per student and numerics; models, evaluations,
auditions, GGUF students as they were dequantised, and groups of sentences by a language model are entries of side
caches (`sidecache.py`).
"""

import argparse
import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stepsift import dequantised, params, sidecache
from stepsift.commands import arguments
from stepsift.core.console import Voice
from stepsift.core.disk import last_change_s, n_bytes, read_regular, remove
from stepsift.core.errors import CacheError
from stepsift.core.text import count
from stepsift.score.cache import shards
from stepsift.score.cache.scores import LAST_RUN, OWN, PICKED, SCORES, SPACE, STORES, SUMS, TOKENS, Numerics
from stepsift.segment import llm
from stepsift.sidecache import EntryInfo, SideCache

SIDE_CACHES = ("models", "evaluations", "auditions", dequantised.FOLDER, llm.FOLDER)
"""Names of the folders beside that of scores."""
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift cache` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    text = "compare every file with its checksum; what is damaged is set aside, and exit code 1 says so"
    actions.add_parser("verify", help=text, description=text)
    text = "remove what was set aside as damaged, what dead runs left and, if asked for, what was long not used"
    prune_parser = actions.add_parser("prune", help=text, description=text)
    unused = (
        "also remove scores, models, evaluations, auditions, dequantised students and groups that were not used for so "
        "long (default: keep all)"
    )
    prune_parser.add_argument("--unused-days", type=arguments.positive, metavar="N", help=unused)
    prune_parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    text = "fill the caches with scores, models and evaluations that DVC holds for other git revisions"
    warm_parser = actions.add_parser("warm", help=text, description=text)
    revisions = "branches, tags or commits whose pipeline was run"
    warm_parser.add_argument("--rev", required=True, nargs="+", metavar="REV", help=revisions)


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Do what the action asks for, or show what is there; raises CacheError where something is wrong."""
    root = sidecache.root()
    problems: list[str] = []
    match args.action:
        case "verify":
            problems = verify(root)
            lines = [] if problems else [f"nothing is damaged in {root}"]
        case "prune":
            lines = prune(root, args.unused_days, args.dry_run)
        case "warm":
            settings = params.load()
            from stepsift.commands.warm import warm_from

            warmed = warm_from(args.rev, settings, root)
            lines, problems = warmed.lines, warmed.problems
        case _:
            lines = show(root)
    voice.lines(lines)
    voice.data({"lines": lines, "problems": problems} | (as_json(root) if args.action is None else {}))
    if problems:
        raise CacheError("\n".join(problems))


def show(root: Path) -> list[str]:
    """Lines to read: each space of scores, each side cache, and all of them."""
    every = spaces(root)
    if not every and not any(_entries(root, name) for name in SIDE_CACHES):
        return [f"{root} holds nothing yet"]
    lines = [f"{'scores':12}{count(len(every), 'space')}, {size(sum(s.n_bytes for s in every))}"]
    for space in every:
        lines += [f"  {line}" for line in _space_lines(space)]
    for name in SIDE_CACHES:
        entries = _entries(root, name)
        used = f", last used {_date(max(e.used_s for e in entries))}" if entries else ""
        lines.append(f"{name:12}{count(len(entries), 'entry')}, {size(sum(e.n_bytes for e in entries))}{used}")
    return [*lines, f"{'all':12}{size(n_bytes(root))} in {root}"]


def as_json(root: Path) -> dict[str, Any]:
    """The same for programs: `scores`, one part per space, and each side cache with its entries and bytes."""
    caches = {name: _entries(root, name) for name in SIDE_CACHES}
    return {
        "root": str(root),
        "scores": [asdict(space) | {"folder": space.folder.name} for space in spaces(root)],
        **{name: {"entries": len(e), "bytes": sum(one.n_bytes for one in e)} for name, e in caches.items()},
    }


def _space_lines(space: SpaceInfo) -> Iterable[str]:
    student = f"student {space.student[:12]}" if space.student else "no student named"
    numerics = ", ".join(f"{k} {v}" for k, v in (space.numerics or {}).items()) or "no numerics named"
    yield f"{space.folder.name[:12]}  {student}: {numerics}"
    yield (
        f"{'':14}{count(space.n_shards, 'shard')}, {count(space.n_keys, 'key')} with {count(space.n_tokens, 'token')}, "
        f"{count(space.n_sums, 'key')} of step sums, {size(space.n_bytes)}, last used {_date(space.used_s)}, "
        f"{_hit_rate(space.last_run)}"
    )


def _hit_rate(counts: dict[str, int] | None) -> str:
    """Of the keys that the last run asked for, sums counted for those that only sums answered."""
    if counts is None:
        return "no run ended with it"
    n_keys = counts["hits"] + counts["misses"]
    if not n_keys:
        return "its last run asked for nothing"
    sums = f" and {count(counts['sums_hits'], 'trace')} from step sums" if counts["sums_hits"] else ""
    return f"its last run found {counts['hits']:,} of {count(n_keys, 'key')} ({counts['hits'] / n_keys:.0%}){sums}"


def verify(root: Path) -> list[str]:
    """One sentence for everything that is damaged, which is set aside; nothing where all is well."""
    return verify_scores(root) + [p for name in SIDE_CACHES for p in SideCache(root / name).verify()]


def prune(root: Path, unused_days: float | None, dry_run: bool) -> list[str]:
    """Remove what serves nobody; lines to read.

    That is what was set aside as damaged, what dead runs left behind and, with `unused_days`, every space and every
    entry of a side cache that was not used for so long. Raises CacheError where something cannot be
    removed.
    """
    pruned = prune_scores(root, unused_days=unused_days, dry_run=dry_run)
    paths, total = list(pruned.removed), pruned.n_bytes
    for name in SIDE_CACHES:
        for path in SideCache(root / name).disposable(unused_days):
            total += n_bytes(path)
            paths.append(path)
            if not dry_run:
                remove(path)
    verb = "would remove" if dry_run else "removed"
    return [f"{verb} {p}" for p in paths] + [f"{verb} {size(total)} in all" if paths else "there is nothing to remove"]


def _entries(root: Path, name: str) -> list[EntryInfo]:
    return SideCache(root / name).entries()


def size(n: float) -> str:
    """Bytes for people: '812 B', '12.3 MB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1_000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1_000
    return f"{n:,.1f} TB"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def spaces(root: Path) -> list[SpaceInfo]:
    """The spaces below `root`, sorted by folder; nothing is changed."""
    return [_info(folder) for folder in _space_folders(root)]


def _space_folders(root: Path) -> list[Path]:
    return [p for p in shards.files(root / SCORES, _SPACE_NAME) if p.is_dir()]


def _info(folder: Path) -> SpaceInfo:
    space, last_run = _read_json(folder / SPACE), _read_json(folder / LAST_RUN)
    tokens = [shards.count(p) for p in shards.files(folder / TOKENS, shards.SHARD)]
    sums = [shards.count(p) for name in (OWN, SUMS) for p in shards.files(folder / name, shards.SHARD)]
    picked = shards.files(folder / PICKED, shards.SHARD)
    return SpaceInfo(
        folder=folder,
        student=space.get("student"),
        numerics=space.get("numerics"),
        n_shards=len(tokens) + len(sums) + len(picked),
        n_keys=sum(keys for keys, _ in tokens),
        n_tokens=sum(rows for _, rows in tokens),
        n_sums=sum(keys for keys, _ in sums),
        n_bytes=n_bytes(folder),
        used_s=last_change_s(folder),
        last_run=last_run or None,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, 2**24))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def verify_scores(root: Path) -> list[str]:
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
        for store, schema in ((folder / name, schema) for name, schema in STORES.items()):
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


def prune_scores(root: Path, *, unused_days: float | None = None, dry_run: bool = False) -> Pruned:
    """Remove damaged shards, leftovers of dead runs and, if `unused_days` is given, spaces not used for so long.

    A space is used when a run with it ends or stores something. With `dry_run` nothing is removed, and what would be is
    returned. Raises CacheError where something cannot be removed.
    """
    removed: list[Path] = []
    freed = 0
    for space in spaces(root):
        if unused_days is not None and time.time() - space.used_s > unused_days * 24 * 3600:
            paths = [space.folder]
        else:
            folders = (space.folder, *(space.folder / name for name in STORES))
            paths = [p for f in folders for p in (*shards.files(f, shards.DAMAGED), *shards.leftover_paths(f))]
        for path in paths:
            freed += n_bytes(path)
            if not dry_run:
                remove(path)
        removed += paths
    return Pruned(removed, freed)
