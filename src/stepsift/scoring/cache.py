"""The cache of per-token values: what the student said of a trace is computed once and kept.

A space, the folder `<root>/scores/<space key>`, holds the values of one student under one `numerics` (device kind,
dtype, engine and so on); values of different spaces never meet. A key names exactly the tokens that a value depends on,
so a better splitter or a new metric repeats no forward pass that it need not. Beside the values of tokens stand step
sums, for traces of which only a table of another revision is known.

The cache may be deleted at any time and shared by several processes; files and damage are the matter of `shards.py`.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from stepsift import sidecache, tables
from stepsift.errors import ScoringError
from stepsift.scoring import shards
from stepsift.scoring.shards import ShardStore
from stepsift.scoring.values import DTYPES, TokenValues
from stepsift.scoring.windows import Pass

log = logging.getLogger(__name__)

VERSION = 1
"""Of keys and columns: part of every key and of the space's, so that what another version wrote is never read."""
SHARD_TOKENS = 1_000_000
"""A shard is closed when it holds the values of this many tokens ..."""
SHARD_SECONDS = 30.0
"""... or is this old, whatever comes first: this much work is lost when a run is killed."""
SHARD_STEPS = 100_000
"""A shard of step sums is closed when it holds this many steps (or is as old)."""
SUMS_COLUMNS = [c for c in tables.STEP_SCORES.schema if c not in tables.STEP_SCORES.key]
"""Columns of an entry of step sums: n_tokens, and the sums of table step_scores."""

_SCORES, _TOKENS, _SUMS = "scores", "tokens", "sums"
_SPACE, _LAST_RUN = "space.json", "last_run.json"
_SPACE_NAME = re.compile(r"[0-9a-f]{64}")
_TOKENS_SCHEMA = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name, dtype in DTYPES.items()])
_SUMS_SCHEMA = pl.DataFrame(schema={c: tables.STEP_SCORES.schema[c] for c in SUMS_COLUMNS}).to_arrow().schema

Ids = Sequence[int] | np.ndarray
Numerics = dict[str, str | int | float]


def full_key(prompt_ids: Ids, response_ids: Ids) -> bytes:
    """Key of the values of a response's tokens over the whole context; 16 bytes."""
    return _key("full", prompt_ids, response_ids)


def local_key(prompt_ids: Ids, response_ids: Ids, passes: list[Pass]) -> bytes:
    """Key of the values of a response's tokens in their windows, in whatever order the passes come; 16 bytes."""
    return _key("local", prompt_ids, response_ids, _spans(passes))


def sums_key(prompt_ids: Ids, response_ids: Ids, bounds: Ids, passes: list[Pass], local: bool, full: bool) -> bytes:
    """Key of the step sums of a response for these first tokens of steps [steps + 1] and kinds of pass; 16 bytes."""
    return _key("sums", prompt_ids, response_ids, bounds, _spans(passes), [local, full])


def _spans(passes: list[Pass]) -> list[int]:
    return [x for span in sorted((p.begin, p.scored, p.end) for p in passes) for x in span]


def _key(kind: str, *numbers: Ids) -> bytes:
    """Lengths come before contents, so that no two inputs give the same bytes to hash."""
    arrays = [np.asarray(n, dtype="<i4") for n in numbers]
    lengths = np.array([len(a) for a in arrays], dtype="<i8")
    head = f"stepsift scores {VERSION} {kind}\n".encode()
    return hashlib.sha256(b"".join([head, lengths.tobytes(), *(a.tobytes() for a in arrays)])).digest()[:16]


def space_key(fingerprint: str, numerics: Numerics) -> str:
    """Name of the space of a student and its numerics; 64 hexadecimal digits."""
    return sidecache.key(**_space(fingerprint, numerics))


def _space(fingerprint: str, numerics: Numerics) -> dict[str, Any]:
    return {"version": VERSION, "student": fingerprint, "numerics": numerics}


class ScoreCache:
    """One space of the cache below `root`; use as a context manager, which stores everything at its end.

    Nothing is made before the first `put`, so a folder that may only be read serves for reading. `hits` and `misses`
    count the keys that `get_many` found and did not find, `tokens_hit` the tokens of the former, `sums_hits` the keys
    that `get_sums` found.
    """

    def __init__(
        self,
        root: Path,
        fingerprint: str,
        numerics: Numerics,
        *,
        shard_tokens: int = SHARD_TOKENS,
        shard_seconds: float = SHARD_SECONDS,
    ):
        self.folder = root / _SCORES / space_key(fingerprint, numerics)
        self.hits = self.misses = self.tokens_hit = self.sums_hits = 0
        self._space = _space(fingerprint, numerics)
        shards.remove_leftovers(self.folder)
        self._tokens = ShardStore(self.folder / _TOKENS, _TOKENS_SCHEMA, shard_tokens, shard_seconds)
        self._sums = ShardStore(self.folder / _SUMS, _SUMS_SCHEMA, SHARD_STEPS, shard_seconds)
        self._described = False

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, TokenValues]:
        """The values, for reading only, of those keys that are there; each shard that is needed is read once."""
        wanted = set(keys)
        found = {k: TokenValues(*(c.to_numpy() for c in b.columns)) for k, b in self._tokens.get_many(wanted).items()}
        self.hits += len(found)
        self.misses += len(wanted) - len(found)
        self.tokens_hit += sum(len(v.logprob) for v in found.values())
        return found

    def put(self, key: bytes, values: TokenValues) -> None:
        """Keep values, bit for bit; raises ScoringError where they cannot be stored."""
        self._describe()
        # Copied: the shard is written later, and arrow would otherwise see what happens to the arrays until then.
        columns = [pa.array(np.array(c)) for c in values.columns()]
        self._tokens.put(key, pa.RecordBatch.from_arrays(columns, names=list(DTYPES)))

    def get_sums(self, keys: Iterable[bytes]) -> dict[bytes, pl.DataFrame]:
        """Frames with SUMS_COLUMNS, one row a step, of those keys that are there."""
        found = self._sums.get_many(keys)
        self.sums_hits += len(found)
        if not found:
            return {}
        # Converted in one piece: that costs as much for one frame as for all of them.
        rows = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(found.values()).combine_chunks()))
        starts = np.cumsum([0, *(b.num_rows for b in found.values())]).tolist()
        return {k: rows[a:b] for k, a, b in zip(found, starts[:-1], starts[1:], strict=True)}

    def put_sums(self, key: bytes, frame: pl.DataFrame) -> None:
        """Keep a trace's rows of step_scores, nulls too; raises ScoringError where they cannot be stored."""
        self._describe()
        columns = [c.combine_chunks() for c in frame.select(SUMS_COLUMNS).to_arrow().columns]
        self._sums.put(key, pa.RecordBatch.from_arrays(columns, names=SUMS_COLUMNS))

    def flush(self) -> None:
        """Store what is in flight; raises ScoringError where that is not possible."""
        self._tokens.flush()
        self._sums.flush()

    def close(self) -> None:
        """Store what is in flight, and the counts in last_run.json; raises ScoringError where values are not stored."""
        self.flush()
        counts = {k: getattr(self, k) for k in ("hits", "misses", "tokens_hit", "sums_hits")}
        try:
            self._describe()
            shards.write_durably(_json(counts), self.folder / _LAST_RUN)
        except ScoringError as e:
            log.info("the hit rate of this run is not kept: %s", e)

    def __enter__(self) -> "ScoreCache":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except ScoringError as e:
            if kind is None:
                raise
            # What ended the block is the better message.
            if str(e) != str(error):
                log.warning("%s", e)

    def _describe(self) -> None:
        if not self._described:
            shards.write_durably(_json(self._space), self.folder / _SPACE)
            self._described = True


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


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
    return [p for p in shards.files(root / _SCORES, _SPACE_NAME) if p.is_dir()]


def _info(folder: Path) -> SpaceInfo:
    space, last_run = _read_json(folder / _SPACE), _read_json(folder / _LAST_RUN)
    tokens = [shards.count(p) for p in shards.files(folder / _TOKENS, shards.SHARD)]
    sums = [shards.count(p) for p in shards.files(folder / _SUMS, shards.SHARD)]
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
        described = _read_json(folder / _SPACE)
        if (folder / _SPACE).is_file() and sidecache.key(**described) != folder.name:
            problems.append(f"{folder / _SPACE} does not describe its space; the next run with it writes it anew")
        known.update({folder / _SPACE, folder / _LAST_RUN}, shards.files(folder, shards.TEMPORARY))
        for store, schema in ((folder / _TOKENS, _TOKENS_SCHEMA), (folder / _SUMS, _SUMS_SCHEMA)):
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
    files = (p for p in sorted((root / _SCORES).rglob("*")) if p not in known and p.is_file())
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
            folders = (space.folder, space.folder / _TOKENS, space.folder / _SUMS)
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
