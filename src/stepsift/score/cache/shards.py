"""Shards: entries of a cache in Parquet files that never change, each named by the SHA-256 of its content.

An entry is a key of 16 bytes and its values: a record batch with one row per token (or step). New entries gather in
memory, in the shard in flight, and become a file in one go, so a killed process loses them and nothing else. A file
whose content is not what its name says is set aside, and its entries count as missing.

Several processes may use one folder at once: a temporary name belongs to one process, and a rename is atomic.
"""

import contextlib
import hashlib
import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stepsift.core import disk, text
from stepsift.core.errors import ScoringError
from stepsift.core.text import error_line

log = logging.getLogger(__name__)

T = TypeVar("T")

KEY_BYTES = 16
_ROWS = b"stepsift.rows"
"""In a shard's footer: how many rows of values its entries have in all."""
SHARD = re.compile(r"[0-9a-f]{64}\.parquet")
DAMAGED = re.compile(r"[0-9a-f]{64}\.parquet\.damaged-[0-9]+")
TEMPORARY = re.compile(r"\.tmp-[0-9a-f]+-[0-9]+-.+")
_SIGNATURE = ".hmac"
"""Ends the name of the file that holds a shard's signature."""
_TEMPORARY_LIVES_S = 24 * 3600
"""A temporary file lives for seconds: after this it is a leftover, also where its process cannot be looked up."""


class DamagedShardError(ScoringError):
    """A shard's content is not what its name says, or is not a shard of this schema."""


class ShardStore:
    """Entries below `folder`, which is made when the first shard is written; not for several threads at once.

    `schema` has the columns of an entry's values, numbers all of them. A shard is closed by the `put` with which it
    holds `shard_rows` rows of values, or that finds it `shard_s` seconds old. Shards that were read stay in memory up
    to `kept_bytes`, for those who ask in another order than things were stored in.
    """

    def __init__(self, folder: Path, schema: pa.Schema, shard_rows: int, shard_s: float, kept_bytes: int = 0):
        self.kept_bytes = kept_bytes
        # The limit is in bytes; that of functools.lru_cache is a number of tables, whatever their size.
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self.folder, self.schema, self.shard_rows, self.shard_s = folder, schema, shard_rows, shard_s
        self._paths: list[Path] = []
        self._gone: set[int] = set()
        self._index = _Index()
        self._flight: dict[bytes, pa.RecordBatch] = {}
        self._flight_rows = 0
        self._flight_since = 0.0
        self._team_key = disk.team_key()
        remove_leftovers(folder)
        self.refresh()

    def refresh(self) -> None:
        """Read the keys, and only those, of shards that are not known yet."""
        known = {p.name for p in self._paths}
        added = {}
        new = self._trusted([path for path in files(self.folder, SHARD) if path.name not in known])
        for path in new:
            if (prefixes := self._read(_read_prefixes, path)) is not None:
                added[len(self._paths)] = prefixes
                self._paths.append(path)
        self._index.add(added)

    def _trusted(self, paths: list[Path]) -> list[Path]:
        """These shards without those that the team's key has not signed, which are set aside; all, if it has none."""
        if self._team_key is None:
            return paths
        signed = [p for p in paths if disk.is_signed(self._team_key, _read_signature(p), *_parts(p))]
        for path in set(paths) - set(signed):
            set_aside(path)
        if n := len(paths) - len(signed):
            log.warning(
                "%s in %s not signed with the key of %s: set aside, what it held is scored again",
                *(text.count(n, "shard"), self.folder, disk.KEY_VARIABLE),
            )
        return signed

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, pa.RecordBatch]:
        """The values of those keys that are stored or in flight; each shard that is needed is read once.

        Of two shards with the same key the one with the smaller name counts, and any shard before the one in flight.
        A shard that is damaged is set aside with a warning; one that was deleted meanwhile holds nothing.
        """
        distinct = list(dict.fromkeys(keys))
        places = {k: self._best_first(p) for k, p in zip(distinct, self._index.find(distinct), strict=True)}
        entries: dict[bytes, pa.RecordBatch] = {}
        while todo := [k for k in distinct if k not in entries and places[k]]:
            by_shard: dict[int, dict[bytes, int]] = {}
            for k in todo:
                shard, row = places[k].pop(0)
                by_shard.setdefault(shard, {})[k] = row
            for shard, rows in by_shard.items():
                entries |= self._entries(shard, rows)
        return entries | {k: self._flight[k] for k in distinct if k not in entries and k in self._flight}

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that are in flight or whose first half the index has: no shard is read.

        `get_many` may still lack one of them, if its shard is damaged or was deleted since.
        """
        distinct = list(dict.fromkeys(keys))
        places = zip(distinct, self._index.find(distinct), strict=True)
        return {k for k, shards in places if k in self._flight or any(s not in self._gone for s, _ in shards)}

    def put(self, key: bytes, values: pa.RecordBatch) -> None:
        """Add an entry to the shard in flight.

        Raises ScoringError if the values have other columns than the store, or the shard is full and cannot be written.
        """
        if not values.schema.equals(self.schema):
            raise ScoringError(
                f"values have columns {values.schema}, the cache keeps {self.schema}; convert them first"
            )
        if not self._flight:
            self._flight_since = time.monotonic()
        if key in self._flight:
            self._flight_rows -= self._flight[key].num_rows
        self._flight[key] = values
        self._flight_rows += values.num_rows
        if self._flight_rows >= self.shard_rows or time.monotonic() - self._flight_since >= self.shard_s:
            self.flush()

    def flush(self) -> None:
        """Write the shard in flight; raises ScoringError, and keeps its entries in memory, where that fails."""
        if not self._flight:
            return
        content = _encode(self._flight, self.schema)
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.parquet"
        if self._team_key is not None:
            # First, so that nobody ever sees the shard without it.
            write_durably(disk.signature(self._team_key, *_parts(path)).encode(), path.with_suffix(_SIGNATURE))
        write_durably(content, path)
        self._index.add({len(self._paths): _prefixes(self._flight)})
        self._paths.append(path)
        self._flight, self._flight_rows = {}, 0

    def _best_first(self, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        alive = [p for p in places if p[0] not in self._gone]
        return sorted(alive, key=lambda p: self._paths[p[0]].name) if len(alive) > 1 else alive

    def _entries(self, shard: int, rows: dict[bytes, int]) -> dict[bytes, pa.RecordBatch]:
        """Those of the entries that do stand at these rows of a shard: the index knows half of a key."""
        table = self._table(shard)
        if table is None:
            self._gone.add(shard)
            return {}
        # Copied out, so that one entry does not hold the memory of its whole shard.
        lists = table.take(pa.array(rows.values(), pa.int64())).combine_chunks()
        stored = lists["key"].to_pylist()
        columns = [lists[name].chunk(0) for name in self.schema.names]
        values = pa.RecordBatch.from_arrays([c.flatten() for c in columns], schema=self.schema)
        spans = pairwise(columns[0].offsets.to_pylist())
        return {k: values.slice(a, b - a) for k, s, (a, b) in zip(rows, stored, spans, strict=True) if k == s}

    def _table(self, shard: int) -> pa.Table | None:
        """A shard, from memory if it is there; those that were not asked for longest make room."""
        if shard in self._kept:
            self._kept.move_to_end(shard)
            return self._kept[shard]
        table = self._read(load, self._paths[shard])
        if table is not None and self.kept_bytes:
            self._kept[shard] = table
            while sum(t.nbytes for t in self._kept.values()) > self.kept_bytes:
                self._kept.popitem(last=False)
        return table

    def _read(self, read: Callable[[Path, pa.Schema], T], path: Path) -> T | None:
        """What `read` gives, or None, said in one warning, for a shard that is damaged, deleted or not readable."""
        try:
            return read(path, self.schema)
        except DamagedShardError as e:
            log.warning("%s: %s; its entries count as missing and are made again where needed", e, set_aside(path))
        except FileNotFoundError:
            log.info("shard %s was deleted: its entries count as missing", path)
        except OSError as e:
            log.warning("shard %s cannot be read (%s): its entries count as missing", path, e.strerror or e)
        return None


class _Index:
    """Where keys stand, sorted by the first half of the key: 16 bytes for each of them."""

    def __init__(self) -> None:
        self._prefixes = np.empty(0, np.uint64)
        self._shards = np.empty(0, np.uint32)
        self._rows = np.empty(0, np.uint32)

    def add(self, prefixes: dict[int, np.ndarray]) -> None:
        """Add what `_prefixes` gives of the keys of shards, row by row."""
        if not prefixes:
            return
        every = np.concatenate([self._prefixes, *prefixes.values()])
        order = np.argsort(every, kind="stable")
        self._prefixes = every[order]
        shards = [np.full(len(p), shard, np.uint32) for shard, p in prefixes.items()]
        self._shards = np.concatenate([self._shards, *shards])[order]
        rows = [np.arange(len(p), dtype=np.uint32) for p in prefixes.values()]
        self._rows = np.concatenate([self._rows, *rows])[order]

    def find(self, keys: Iterable[bytes]) -> list[list[tuple[int, int]]]:
        """For each key the (shard, row) pairs at which it may stand."""
        prefixes = _prefixes(keys)
        spans = zip(
            np.searchsorted(self._prefixes, prefixes, side="left").tolist(),
            np.searchsorted(self._prefixes, prefixes, side="right").tolist(),
            strict=True,
        )
        return [[(int(self._shards[i]), int(self._rows[i])) for i in range(*span)] for span in spans]


def _parts(path: Path) -> tuple[str, str, str, str]:
    """What the signature of a shard is of: its place in the cache, and its name, the SHA-256 of its content."""
    return "shard", path.parent.parent.name, path.parent.name, path.stem


def _read_signature(path: Path) -> str | None:
    try:
        return disk.read_regular(path.with_suffix(_SIGNATURE), 1_000).decode("ascii")
    except (OSError, ValueError):
        return None


def _prefixes(keys: Iterable[bytes]) -> np.ndarray:
    """The first half of each key as a number, uint64 [keys]."""
    return np.frombuffer(b"".join(keys), np.uint64)[::2].copy()


def _read_prefixes(path: Path, schema: pa.Schema) -> np.ndarray:
    """Those of a shard's keys; nothing else of it is read. Raises DamagedShardError, or OSError."""
    _require_regular(path)
    try:
        with pq.ParquetFile(path) as parquet:
            return _prefixes(parquet.read(columns=["key"], use_threads=False)["key"].to_pylist())
    except Exception:  # damage that no checksum has caught yet may show as any error; `load` says what it is
        return _prefixes(load(path, schema)["key"].to_pylist())


def _encode(entries: dict[bytes, pa.RecordBatch], schema: pa.Schema) -> memoryview:
    rows = pa.Table.from_batches(entries.values(), schema).combine_chunks()
    offsets = np.cumsum([0, *(b.num_rows for b in entries.values())]).astype(np.int32)
    lists = [pa.ListArray.from_arrays(offsets, rows[name].combine_chunks()) for name in schema.names]
    table = pa.Table.from_arrays([pa.array(list(entries), pa.binary(KEY_BYTES)), *lists], schema=_stored(schema))
    table = table.replace_schema_metadata({_ROWS: str(rows.num_rows)})
    out = pa.BufferOutputStream()
    # Bytes of the same significance together: a tenth smaller than plain numbers, and twice as fast to read.
    pq.write_table(
        *(table, out),
        row_group_size=max(1, len(entries)),
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=True,
        write_statistics=False,
    )
    return memoryview(out.getvalue())


def _stored(schema: pa.Schema) -> pa.Schema:
    return pa.schema([("key", pa.binary(KEY_BYTES)), *((f.name, pa.list_(f.type)) for f in schema)])


def _require_regular(path: Path) -> None:
    """Raise DamagedShardError for a pipe or a device, on which a reader would wait for ever."""
    if path.exists() and not path.is_file():
        raise DamagedShardError(f"shard {path} is no regular file")


def count(path: Path) -> tuple[int, int]:
    """Entries and rows of values in a shard, as its footer says; (0, 0) if that cannot be read."""
    if not path.is_file():
        return 0, 0
    try:
        # Without a look at column chunks: of a damaged footer, pyarrow's accessors for them abort the process.
        metadata = pq.read_metadata(path)
        return metadata.num_rows, int(metadata.metadata[_ROWS])
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return 0, 0


def load(path: Path, schema: pa.Schema) -> pa.Table:
    """A shard with its columns as lists, after a look at its checksum; raises DamagedShardError, or OSError."""
    _require_regular(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise DamagedShardError(f"shard {path} is damaged (its content does not match the checksum in its name)")
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except (pa.ArrowException, OSError) as e:
        raise DamagedShardError(f"shard {path} is no Parquet file ({error_line(e)})") from None
    if not table.schema.equals(_stored(schema)):
        raise DamagedShardError(f"shard {path} has columns {table.column_names}, not those of {schema.names}")
    return table


def files(folder: Path, *kinds: re.Pattern[str]) -> list[Path]:
    """Paths in a folder whose names are of one of these kinds (SHARD, DAMAGED, TEMPORARY), sorted by name.

    Raises ScoringError if the folder is there and cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if any(k.fullmatch(p.name) for k in kinds))
    except FileNotFoundError:
        return []
    except OSError as e:
        raise ScoringError(
            f"the cache folder '{folder}' cannot be read: {e.strerror or e}; allow reading there, or set "
            "STEPSIFT_CACHE to another folder"
        ) from e


def leftover_paths(folder: Path) -> list[Path]:
    """Temporary files of processes of this machine that are no more, and those of a day ago and older."""
    return [path for path in files(folder, TEMPORARY) if disk.is_leftover(path, _TEMPORARY_LIVES_S)]


def remove_leftovers(folder: Path) -> None:
    """Remove what dead processes left in a folder, as far as it may be written to."""
    for path in leftover_paths(folder):
        with contextlib.suppress(OSError):
            path.unlink()


def set_aside(path: Path) -> str:
    """Rename a damaged shard so that it is not read again; says in a few words what became of it."""
    try:
        return f"set aside as {disk.set_aside(path).name}"
    except FileNotFoundError:
        return "another process has set it aside"
    except OSError as e:
        return f"it cannot be renamed ({e.strerror})"


def write_durably(content: bytes | memoryview, path: Path) -> None:
    """Write a file under a temporary name and rename it; the folder is made where it is missing.

    Raises ScoringError if the disk is full or may not be written to; nothing is left of the file then.
    """
    temporary = disk.temporary_beside(path.parent, secrets.token_hex(8))
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            disk.replace_durably(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as e:
        raise ScoringError(
            f"scores cannot be stored in '{path.parent}': {e.strerror or e}; free space or allow writing there, or "
            "set STEPSIFT_CACHE to another folder; what closed shards hold is kept and is not scored again"
        ) from e
