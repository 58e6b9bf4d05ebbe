"""What `stepsift cache` prints and does: all caches below one folder, shown, verified and pruned.

The score cache knows its spaces and shards (`score/cache/scores.py`), a side cache its entries (`sidecache.py`); here
they stand side by side, in lines to read.
"""

import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stepsift.commands import cache as upkeep
from stepsift.sidecache import EntryInfo, SideCache, n_bytes, remove

SIDE_CACHES = ("models", "evaluations", "auditions")
"""Names of the folders beside that of scores."""


def show(root: Path) -> list[str]:
    """Lines to read: each space of scores, each side cache, and all of them."""
    spaces = upkeep.spaces(root)
    if not spaces and not any(_entries(root, name) for name in SIDE_CACHES):
        return [f"{root} holds nothing yet"]
    lines = [f"{'scores':12}{_many(len(spaces), 'space')}, {size(sum(s.n_bytes for s in spaces))}"]
    for space in spaces:
        lines += [f"  {line}" for line in _space_lines(space)]
    for name in SIDE_CACHES:
        entries = _entries(root, name)
        used = f", last used {_date(max(e.used_s for e in entries))}" if entries else ""
        lines.append(f"{name:12}{_many(len(entries), 'entry')}, {size(sum(e.n_bytes for e in entries))}{used}")
    return [*lines, f"{'all':12}{size(n_bytes(root))} in {root}"]


def as_json(root: Path) -> dict[str, Any]:
    """The same for programs: `scores`, a part a space, and each side cache with its entries and bytes."""
    caches = {name: _entries(root, name) for name in SIDE_CACHES}
    return {
        "root": str(root),
        "scores": [asdict(space) | {"folder": space.folder.name} for space in upkeep.spaces(root)],
        **{name: {"entries": len(e), "bytes": sum(one.n_bytes for one in e)} for name, e in caches.items()},
    }


def _space_lines(space: upkeep.SpaceInfo) -> Iterable[str]:
    student = f"student {space.student[:12]}" if space.student else "no student named"
    numerics = ", ".join(f"{k} {v}" for k, v in (space.numerics or {}).items()) or "no numerics named"
    yield f"{space.folder.name[:12]}  {student}: {numerics}"
    yield (
        f"{'':14}{_many(space.n_shards, 'shard')}, {_many(space.n_keys, 'key')} with {space.n_tokens:,} tokens, "
        f"{_many(space.n_sums, 'key')} of step sums, {size(space.n_bytes)}, last used {_date(space.used_s)}, "
        f"{_hit_rate(space.last_run)}"
    )


def _hit_rate(counts: dict[str, int] | None) -> str:
    """Of the keys that the last run asked for, sums counted for those that only sums answered."""
    if counts is None:
        return "no run ended with it"
    asked = counts["hits"] + counts["misses"]
    if not asked:
        return "its last run asked for nothing"
    sums = f" and {_many(counts['sums_hits'], 'trace')} from step sums" if counts["sums_hits"] else ""
    return f"its last run found {counts['hits']:,} of {_many(asked, 'key')} ({counts['hits'] / asked:.0%}){sums}"


def verify(root: Path) -> list[str]:
    """One sentence for everything that is damaged, which is set aside; nothing where all is well."""
    return upkeep.verify(root) + [p for name in SIDE_CACHES for p in SideCache(root / name).verify()]


def prune(root: Path, unused_days: float | None, dry_run: bool) -> list[str]:
    """Remove what serves nobody; lines to read.

    That is what was set aside as damaged, what dead runs left behind and, with `unused_days`, every space and every
    entry of a side cache that was not used for so long. Raises ScoringError or CacheError where something cannot be
    removed.
    """
    pruned = upkeep.prune(root, unused_days=unused_days, dry_run=dry_run)
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


def _many(n: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") and what != "key" else f"{what}s"
    return f"{n:,} {what if n == 1 else plural}"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
