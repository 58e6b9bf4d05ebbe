"""The cache of per-token values: what the student said of a trace is computed once and kept.

A space, the folder `<root>/scores/<space key>`, holds the values of one student under one `numerics` (device kind,
dtype, engine and so on); values of different spaces never meet. A key names exactly the tokens that a value depends on,
so a better splitter or a new metric repeats no forward pass that it need not. Beside the values of tokens stand step
sums: those of them that a table was made from, so that making it again reads no values of tokens; and those of traces
of which only a table of another revision is known.

The cache may be deleted at any time and shared by several processes; files and damage are the matter of `shards.py`.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from stepsift import sidecache
from stepsift.core import tables
from stepsift.core.errors import ScoringError
from stepsift.score.cache import shards
from stepsift.score.cache.shards import ShardStore
from stepsift.score.forward.request import DTYPES, TokenValues
from stepsift.score.forward.windows import Pass

log = logging.getLogger(__name__)

VERSION = 2
"""Of keys and columns: part of every key and of the space's, so that what another version wrote is never read."""
SHARD_TOKENS = 1_000_000
"""A shard is closed when it holds the values of this many tokens ..."""
SHARD_SECONDS = 30.0
"""... or is this old, whatever comes first: this much work is lost when a run is killed."""
KEPT_BYTES = 2**25
"""Shards that were read stay in memory up to this size: traces of one chunk and the next lie in the same ones."""
SHARD_STEPS = 100_000
"""A shard of step sums is closed when it holds this many steps (or is as old)."""
SUMS_COLUMNS = ["n_tokens", "n_first", *(f"{p}_{s}" for p in tables.PASSES for s in tables.SUMS)]
"""Columns of an entry of step sums: those of table step_scores that are sums over all tokens of a step."""

PICKED_COLUMNS = [f"{p}_{s}" for p in tables.PASSES for s in tables.PICKED]
"""Sums over picked tokens, which are kept beside the others: entries of before have none."""

OWN_VERSION = 1
"""Of what own step sums are sums of: part of their key, to be raised with every change of `score/step_sums.py` that
gives other numbers for the same tokens."""

SCORES, TOKENS, OWN, SUMS, PICKED = "scores", "tokens", "own_sums", "sums", "picked"
SPACE, LAST_RUN = "space.json", "last_run.json"
"""Names of folders and files below the root: scores/<space key>/{tokens/, own_sums/, sums/, picked/, space.json,
last_run.json}."""
TOKENS_SCHEMA = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name, dtype in DTYPES.items()])
SUMS_SCHEMA, PICKED_SCHEMA, OWN_SCHEMA = (
    pl.DataFrame(schema={c: tables.STEP_SCORES.schema[c] for c in columns}).to_arrow().schema
    for columns in (SUMS_COLUMNS, PICKED_COLUMNS, [*SUMS_COLUMNS, *PICKED_COLUMNS])
)
STORES = {TOKENS: TOKENS_SCHEMA, OWN: OWN_SCHEMA, SUMS: SUMS_SCHEMA, PICKED: PICKED_SCHEMA}
"""Folder of a space to the columns of its shards."""

Ids = Sequence[int] | np.ndarray
Numerics = dict[str, str | int | float]


def full_key(prompt_ids: Ids, response_ids: Ids) -> bytes:
    """Key of the values of a response's tokens over the whole context; 16 bytes."""
    return _key("full", prompt_ids, response_ids)


def local_key(prompt_ids: Ids, response_ids: Ids, passes: list[Pass]) -> bytes:
    """Key of the values of a response's tokens in their windows, in whatever order the passes come; 16 bytes."""
    return _key("local", prompt_ids, response_ids, _spans(passes))


def sums_key(  # noqa: PLR0913 - all that step sums rest on, one by one: nothing of a key may be forgotten
    prompt_ids: Ids, response_ids: Ids, bounds: Ids, passes: list[Pass], local: bool, full: bool
) -> bytes:
    """Key of the step sums of a response for these first tokens of steps [steps + 1] and kinds of pass; 16 bytes."""
    return _key("sums", prompt_ids, response_ids, bounds, _spans(passes), [local, full])


def own_sums_key(local: bytes | None, full: bytes | None, bounds: np.ndarray, firsts: np.ndarray) -> bytes:
    """Key of the step sums of the values that these keys name (None: that pass was not made); 16 bytes.

    `bounds` [steps + 1] are first tokens of steps, `firsts` [steps, 2] their `first_tokens`: two texts with the same
    tokens may differ in them.
    """
    made = np.frombuffer((local or b"") + (full or b""), dtype="<i4")
    return _key("own sums", [OWN_VERSION, local is not None, full is not None], made, bounds, firsts.ravel())


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
    count the keys of token values that were found, or that own step sums answered for, and not found; `tokens_hit` the
    tokens of the former, `sums_hits` the keys that `get_sums` found. `kept_bytes` of what was read stay in memory.
    """

    def __init__(  # noqa: PLR0913 - three sizes that are given by name, in tests alone
        self,
        root: Path,
        fingerprint: str,
        numerics: Numerics,
        *,
        shard_tokens: int = SHARD_TOKENS,
        shard_seconds: float = SHARD_SECONDS,
        kept_bytes: int = KEPT_BYTES,
    ):
        self.folder = root / SCORES / space_key(fingerprint, numerics)
        self.hits = self.misses = self.tokens_hit = self.sums_hits = 0
        self._space = _space(fingerprint, numerics)
        shards.remove_leftovers(self.folder)
        self._tokens = ShardStore(self.folder / TOKENS, TOKENS_SCHEMA, shard_tokens, shard_seconds, kept_bytes)
        self._own = ShardStore(self.folder / OWN, OWN_SCHEMA, SHARD_STEPS, shard_seconds, KEPT_BYTES)
        self._keeps_own = True
        self._sums = ShardStore(self.folder / SUMS, SUMS_SCHEMA, SHARD_STEPS, shard_seconds)
        self._picked = ShardStore(self.folder / PICKED, PICKED_SCHEMA, SHARD_STEPS, shard_seconds)
        self._described = False

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, TokenValues]:
        """The values, for reading only, of those keys that are there; each shard that is needed is read once."""
        distinct = set(keys)
        values = {
            k: TokenValues(*(c.to_numpy() for c in b.columns)) for k, b in self._tokens.get_many(distinct).items()
        }
        self.hits += len(values)
        self.misses += len(distinct) - len(values)
        self.tokens_hit += sum(len(v.logprob) for v in values.values())
        return values

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys of token values that are there, as far as can be said without reading any."""
        return self._tokens.has(keys)

    def has_own_sums(self, keys: Iterable[bytes]) -> set[bytes]:
        """As `has`, for keys of own step sums."""
        return self._own.has(keys)

    def has_sums(self, keys: Iterable[bytes]) -> set[bytes]:
        """As `has`, for keys of step sums of another revision."""
        return self._sums.has(keys)

    def get_own_sums(self, keys: Iterable[bytes]) -> dict[bytes, pl.DataFrame]:
        """Frames with SUMS_COLUMNS and PICKED_COLUMNS, one row per step, of those keys that are there."""
        return _frames(self._own.get_many(keys))

    def put_own_sums(self, keys: Sequence[bytes], steps: Sequence[int], rows: pl.DataFrame) -> None:
        """Keep step sums that were made of token values, `steps` rows of step_scores for each key.

        They can be made again at any time: where they cannot be stored, they are not, and only the log says so.
        """
        if not self._keeps_own or not keys:
            return
        batch = _batch(rows.select(OWN_SCHEMA.names))
        starts = np.cumsum([0, *steps]).tolist()
        with self._own_may_fail():
            self._describe()
            for key, a, b in zip(keys, starts[:-1], starts[1:], strict=True):
                self._own.put(key, batch.slice(a, b - a))

    @contextlib.contextmanager
    def _own_may_fail(self) -> Iterator[None]:
        try:
            yield
        except ScoringError as e:
            self._keeps_own = False
            log.info("step sums are not kept, so the next run makes them anew: %s", e)

    def put(self, key: bytes, values: TokenValues) -> None:
        """Keep values, bit for bit; raises ScoringError where they cannot be stored."""
        self._describe()
        # Copied: the shard is written later, and arrow would otherwise see what happens to the arrays until then.
        columns = [pa.array(np.array(c)) for c in values.columns()]
        self._tokens.put(key, pa.RecordBatch.from_arrays(columns, names=list(DTYPES)))

    def get_sums(self, keys: Iterable[bytes]) -> dict[bytes, pl.DataFrame]:
        """Frames with SUMS_COLUMNS and PICKED_COLUMNS, one row per step, of those keys that are there.

        PICKED_COLUMNS are null for an entry that has none.
        """
        sums = _frames(self._sums.get_many(keys))
        self.sums_hits += len(sums)
        picked = _frames(self._picked.get_many(sums))
        unknown = [pl.lit(None, pl.Float64).alias(c) for c in PICKED_COLUMNS]
        return {
            k: pl.concat([frame, picked[k]], how="horizontal") if k in picked else frame.with_columns(unknown)
            for k, frame in sums.items()
        }

    def put_sums(self, key: bytes, frame: pl.DataFrame) -> None:
        """Keep a trace's rows of step_scores, nulls too; raises ScoringError where they cannot be stored."""
        self._describe()
        self._sums.put(key, _batch(frame.select(SUMS_COLUMNS)))
        picked = frame.select(PICKED_COLUMNS)
        if picked.select(pl.any_horizontal(pl.all().is_not_null().any())).item():
            self._picked.put(key, _batch(picked))

    def count_known(self, tokens: Mapping[bytes, int], known: Iterable[bytes], n_sums: int = 0) -> None:
        """Count keys of token values, each with its number of tokens, that are `known` and were not asked of `get_many`
        since that was enough; and `n_sums` as `get_sums` does."""
        found = set(known) & tokens.keys()
        self.hits += len(found)
        self.misses += len(tokens) - len(found)
        self.tokens_hit += sum(tokens[k] for k in found)
        self.sums_hits += n_sums

    def counts(self) -> dict[str, int]:
        """Hits and misses until now."""
        return {k: getattr(self, k) for k in ("hits", "misses", "tokens_hit", "sums_hits")}

    def set_counts(self, counts: dict[str, int]) -> None:
        """Go back to counts of before: what was read since is not to count."""
        self.hits, self.misses, self.tokens_hit, self.sums_hits = counts.values()

    def flush(self) -> None:
        """Store what is in flight; raises ScoringError where that is not possible."""
        for store in (self._tokens, self._sums, self._picked):
            store.flush()
        if self._keeps_own:
            with self._own_may_fail():
                self._own.flush()

    def close(self) -> None:
        """Store what is in flight, and the counts in last_run.json; raises ScoringError where values are not stored."""
        self.flush()
        try:
            self._describe()
            shards.write_durably(_json(self.counts()), self.folder / LAST_RUN)
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
            shards.write_durably(_json(self._space), self.folder / SPACE)
            self._described = True


def _batch(frame: pl.DataFrame) -> pa.RecordBatch:
    columns = [c.combine_chunks() for c in frame.to_arrow().columns]
    return pa.RecordBatch.from_arrays(columns, names=frame.columns)


def _frames(batches: Mapping[bytes, pa.RecordBatch]) -> dict[bytes, pl.DataFrame]:
    if not batches:
        return {}
    # Converted in one piece: that costs as much for one frame as for all of them.
    rows = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches.values()).combine_chunks()))
    starts = np.cumsum([0, *(b.num_rows for b in batches.values())]).tolist()
    return {k: rows[a:b] for k, a, b in zip(batches, starts[:-1], starts[1:], strict=True)}


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
