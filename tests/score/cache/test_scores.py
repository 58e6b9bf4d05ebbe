"""A value has the key of exactly what it depends on and the space of who said it, and comes back as it was."""

import errno
import hashlib
import json
import logging
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stepsift.commands import cache as upkeep
from stepsift.commands.cache import prune_scores, spaces, verify_scores
from stepsift.core import tables
from stepsift.core.errors import CacheError, ScoringError
from stepsift.score.cache import scores as cache
from stepsift.score.cache import shards
from stepsift.score.cache.scores import ScoreCache, full_key, local_key, space_key, sums_key
from stepsift.score.forward.request import DTYPES, TokenValues
from stepsift.score.forward.windows import Pass, local_passes
from stepsift.score.step_sums import first_tokens, sum_steps

NUMERICS: cache.Numerics = {"device": "cpu", "dtype": "float32", "batch_tokens": 512}
PASSES = [Pass(0, 0, 2), Pass(1, 2, 3)]


def opened(root: Path, **kwargs: float) -> ScoreCache:
    return ScoreCache(root, "student", NUMERICS, **kwargs)


def key(i: int) -> bytes:
    return full_key([i], [i])


def values(n_tokens: int, seed: int = 0) -> TokenValues:
    rng = np.random.default_rng(seed)
    logprob, entropy, brier = rng.normal(size=(3, n_tokens)).astype(np.float32)
    return TokenValues(-abs(logprob), rng.integers(1, 9, n_tokens, dtype=np.int32), abs(entropy), abs(brier))


def same(a: TokenValues, b: TokenValues) -> bool:
    return [(c.dtype, c.tobytes()) for c in a.columns()] == [(c.dtype, c.tobytes()) for c in b.columns()]


def step_frame(n_steps: int = 3) -> pl.DataFrame:
    """Rows of step_scores as a table holds them: a step without tokens, and no full pass."""
    bounds = np.array([0, 0, *range(2, 2 * n_steps, 2)])
    firsts = first_tokens(np.ones(bounds[-1], dtype=bool), bounds)
    sums = sum_steps(values(int(bounds[-1])), bounds, firsts)
    columns = {"trace_id": ["t"] * n_steps, "step": np.arange(1, n_steps + 1), "n_tokens": np.diff(bounds)}
    columns["n_first"] = (firsts >= 0).sum(axis=1)
    columns |= dict.fromkeys(cache.PICKED_COLUMNS)
    own = (*tables.STEP_SCORES.key, *cache.SUMS_COLUMNS, *cache.PICKED_COLUMNS)
    schema = {c: t for c, t in tables.STEP_SCORES.schema.items() if c in own}
    columns |= {f"local_{k}": v for k, v in sums.items()} | {f"full_{k}": None for k in sums}
    return pl.DataFrame(columns, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))


def test_columns_of_kept_sums_are_those_that_were_kept_before() -> None:
    """A new column of the table must not make shards that stand in caches unreadable."""
    names = ["logprob", "rank", "entropy", "brier", "first_logprob", "first_two_logprob"]
    assert ["n_tokens", "n_first", *(f"{p}_{n}" for p in ("local", "full") for n in names)] == cache.SUMS_COLUMNS


def test_keys_worked_out_by_hand() -> None:
    """A key that changes without a new version would be read as another trace's."""

    def expected(kind: bytes, *numbers: list[int]) -> bytes:
        lengths = b"".join(struct.pack("<q", len(n)) for n in numbers)
        contents = b"".join(struct.pack(f"<{len(n)}i", *n) for n in numbers)
        return hashlib.sha256(b"stepsift scores 2 " + kind + b"\n" + lengths + contents).digest()[:16]

    assert full_key([1, 2], [3]) == expected(b"full", [1, 2], [3])
    assert local_key([1], [2, 3, 4], PASSES) == expected(b"local", [1], [2, 3, 4], [0, 0, 2, 1, 2, 3])
    assert sums_key([1], [2, 3, 4], [0, 2, 3], PASSES, True, False) == expected(
        b"sums", [1], [2, 3, 4], [0, 2, 3], [0, 0, 2, 1, 2, 3], [1, 0]
    )


def test_whatever_a_value_depends_on_changes_its_key() -> None:
    keys = [
        full_key([1, 2], [3]),
        full_key([1], [2, 3]),
        full_key([2, 1], [3]),
        full_key([1, 2], [4]),
        full_key([1, 2], [3, 0]),
        local_key([1, 2], [3], []),
        local_key([1, 2], [3], [Pass(0, 0, 1)]),
        local_key([1], [2, 3], [Pass(0, 0, 1)]),
        local_key([1, 2], [3, 4], [Pass(0, 0, 1), Pass(0, 1, 2)]),
        local_key([1, 2], [3, 4], [Pass(0, 0, 1), Pass(1, 1, 2)]),
        local_key([1, 2], [3, 4], [Pass(0, 0, 2)]),
        sums_key([1], [2, 3], [0, 1, 2], [Pass(0, 0, 2)], True, True),
        sums_key([1], [2, 3], [0, 2], [Pass(0, 0, 2)], True, True),
        sums_key([1], [2, 3], [0, 2], [Pass(0, 0, 2)], True, False),
        sums_key([1], [2, 3], [0, 2], [Pass(0, 0, 2)], False, True),
        sums_key([1], [2, 3], [0, 2], [], True, True),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(k) for k in keys} == {16}


id_lists = st.lists(st.integers(0, 3), max_size=3)


@given(a=st.tuples(id_lists, id_lists), b=st.tuples(id_lists, id_lists))
def test_two_traces_have_one_key_only_if_they_are_one(a: tuple, b: tuple) -> None:
    assert (full_key(*a) == full_key(*b)) == (a == b)
    assert (local_key(*a, PASSES) == local_key(*b, PASSES)) == (a == b)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.randoms())
def test_the_order_of_passes_and_the_kind_of_sequence_do_not_matter(edges: list[int], shuffle: object) -> None:
    bounds = np.array([0, *sorted(edges)])
    passes = local_passes(bounds, 2)
    ids = list(range(bounds[-1]))
    mixed = list(passes)
    shuffle.shuffle(mixed)
    assert local_key([1], ids, passes) == local_key(np.array([1]), np.array(ids, np.int64), mixed)
    assert sums_key([1], ids, bounds, passes, True, True) == sums_key([1], ids, bounds.tolist(), mixed, True, True)


# Two kinds of NaN, minus zero, and anything.
any_number = st.sampled_from([0x7FC00000, 0x7FC00001, 1 << 31, 0]) | st.integers(0, 2**32 - 1)
any_bits = st.lists(st.tuples(*[any_number] * 4), max_size=6)


@pytest.mark.slow
@given(traces=st.lists(any_bits, min_size=1, max_size=5), shard_tokens=st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_values_come_back_bit_for_bit(
    traces: list, shard_tokens: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("cache")
    put = {}
    with opened(root, shard_tokens=shard_tokens) as c:
        for i, rows in enumerate(traces):
            columns = np.array(rows, np.uint32).reshape(-1, 4).T
            put[key(i)] = TokenValues(*(x.copy().view(d) for x, d in zip(columns, DTYPES.values(), strict=True)))
            c.put(key(i), put[key(i)])
    found = opened(root).get_many(put)
    assert found.keys() == put.keys()
    assert all(same(found[k], put[k]) for k in put)


def test_what_happens_to_the_arrays_later_does_not_matter(tmp_path: Path) -> None:
    with opened(tmp_path) as c:
        mine = values(4)
        c.put(key(1), mine)
        mine.logprob[:] = 0
        assert same(c.get_many([key(1)])[key(1)], values(4))
    assert same(opened(tmp_path).get_many([key(1)])[key(1)], values(4))
    with pytest.raises(ValueError, match="read-only"):
        opened(tmp_path).get_many([key(1)])[key(1)].logprob[0] = 0


def test_values_that_are_not_as_they_are_kept_are_refused(tmp_path: Path) -> None:
    v = values(2)
    with opened(tmp_path) as c:
        with pytest.raises(ScoringError, match="logprob: double"):
            c.put(key(1), TokenValues(v.logprob.astype(np.float64), v.rank, v.entropy, v.brier))
        with pytest.raises(ValueError, match="length"):
            c.put(key(1), TokenValues(v.logprob[:1], v.rank, v.entropy, v.brier))
    assert opened(tmp_path).get_many([key(1)]) == {}


def test_values_of_different_spaces_never_meet(tmp_path: Path) -> None:
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
    others = [("other", NUMERICS), ("student", NUMERICS | {"dtype": "bfloat16"}), ("student", NUMERICS | {"x": 1})]
    for fingerprint, numerics in others:
        assert ScoreCache(tmp_path, fingerprint, numerics).get_many([key(1)]) == {}
    assert len({space_key("student", NUMERICS), *(space_key(*o) for o in others)}) == 4
    assert ScoreCache(tmp_path, "student", dict(reversed(NUMERICS.items()))).get_many([key(1)]).keys() == {key(1)}
    assert c.folder == tmp_path / "scores" / space_key("student", NUMERICS)
    assert json.loads((c.folder / "space.json").read_text()) == {
        "version": 2,
        "student": "student",
        "numerics": NUMERICS,
    }


KEPT = [*cache.SUMS_COLUMNS, *cache.PICKED_COLUMNS]


def test_own_step_sums_come_back_by_trace(tmp_path: Path) -> None:
    """Some traces' rows in one frame, each with its nulls; another key of the same values has none."""
    rows = pl.concat([step_frame(2), step_frame(4)]).with_columns(local_top_entropy=pl.Series([None, *[0.5] * 5]))
    with opened(tmp_path) as c:
        c.put_own_sums([key(1), key(2)], [2, 4], rows)
        assert c.has_own_sums([key(2), key(3)]) == {key(2)}
    c = opened(tmp_path)
    assert c.has_own_sums([key(2), key(1), key(3)]) == {key(1), key(2)} and c.has([key(1)]) == c.has_sums([key(1)])
    found = c.get_own_sums([key(2), key(3), key(1)])
    assert found.keys() == {key(1), key(2)}
    assert_frame_equal(found[key(1)], rows[:2].select(KEPT))
    assert_frame_equal(found[key(2)], rows[2:].select(KEPT))
    assert verify_scores(tmp_path) == []
    [info] = spaces(tmp_path)
    assert (info.n_shards, info.n_keys, info.n_sums) == (1, 0, 2)


def test_a_key_of_own_sums_names_all_that_they_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two texts with the same tokens and other white space differ in the first tokens alone."""
    bounds, firsts = np.array([0, 2, 3]), np.array([[0, 1], [2, -1]])
    a, b = local_key([1], [2, 3, 4], PASSES), full_key([1], [2, 3, 4])
    keys = [
        cache.own_sums_key(a, b, bounds, firsts),
        cache.own_sums_key(a, None, bounds, firsts),
        cache.own_sums_key(None, a, bounds, firsts),
        cache.own_sums_key(None, b, bounds, firsts),
        cache.own_sums_key(a, b, np.array([0, 1, 3]), firsts),
        cache.own_sums_key(a, b, bounds, np.array([[1, -1], [2, -1]])),
    ]
    monkeypatch.setattr(cache, "OWN_VERSION", 2)
    keys.append(cache.own_sums_key(a, b, bounds, firsts))
    assert len(set(keys)) == 7 and {len(k) for k in keys} == {16}


def test_sums_over_picked_tokens_are_kept_where_they_are_known(tmp_path: Path) -> None:
    """Those of one pass alone, beside an entry that has none."""
    known = step_frame(4).with_columns(local_top_entropy=pl.Series([None, 1.5, 0.0, 2.0]))
    with opened(tmp_path) as c:
        c.put_sums(key(1), known)
        c.put_sums(key(2), step_frame(2))
    found = opened(tmp_path).get_sums([key(2), key(1)])
    assert_frame_equal(found[key(1)], known.select(KEPT))
    assert_frame_equal(found[key(2)], step_frame(2).select(KEPT))


def test_step_sums_come_back_with_their_nulls(tmp_path: Path) -> None:
    with opened(tmp_path) as c:
        for n in (2, 3, 4):
            c.put_sums(key(n), step_frame(n))
        assert_frame_equal(
            c.get_sums([key(3)])[key(3)], step_frame(3).select(*cache.SUMS_COLUMNS, *cache.PICKED_COLUMNS)
        )
        assert c.get_many([key(3)]) == {}
    c = opened(tmp_path)
    found = c.get_sums([key(4), key(5), key(2)])
    assert found.keys() == {key(4), key(2)}
    for n in (2, 4):
        assert_frame_equal(found[key(n)], step_frame(n).select(KEPT))
    assert found[key(4)]["local_logprob"].null_count() == 1
    assert found[key(4)]["full_logprob"].null_count() == 4
    assert c.get_sums([key(5)]) == {}
    assert c.sums_hits == 2


def test_hits_and_misses_of_a_run_are_counted_and_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as c:
        assert c.get_many([key(1)]) == {}
    assert spaces(tmp_path)[0].student == "student"
    with opened(tmp_path) as c:
        assert c.get_many([key(1), key(2)]) == {}
        c.put(key(1), values(3))
    assert (c.hits, c.misses, c.tokens_hit) == (0, 2, 0)
    with opened(tmp_path) as c:
        c.get_many([key(1), key(1), key(2)])
        c.get_many([key(1)])
    assert (c.hits, c.misses, c.tokens_hit) == (2, 1, 6)
    [info] = spaces(tmp_path)
    assert info.last_run == {"hits": 2, "misses": 1, "tokens_hit": 6, "sums_hits": 0}


def test_what_is_in_flight_is_stored_when_the_block_ends_in_whatever_way(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as c:
        c.put(key(1), values(3))
        c.put_sums(key(2), step_frame())
        raise KeyboardInterrupt
    c = opened(tmp_path)
    assert c.get_many([key(1)]).keys() == {key(1)}
    assert c.get_sums([key(2)]).keys() == {key(2)}
    c.put(key(3), values(3))
    assert opened(tmp_path).get_many([key(3)]) == {}
    c.flush()
    assert opened(tmp_path).get_many([key(3)]).keys() == {key(3)}


def not_allowed(*args: object, **kwargs: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_full_disk_at_the_end_does_not_hide_what_ended_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for error, raised in ((None, ScoringError), (KeyboardInterrupt, KeyboardInterrupt)):
        with monkeypatch.context() as m, pytest.raises(raised), opened(tmp_path) as c:
            c.put(key(1), values(3))
            m.setattr(os, "fsync", not_allowed)
            if error:
                raise error
    assert [r.message for r in caplog.records if "set STEPSIFT_CACHE" in r.message] == [caplog.records[-1].message]


def test_a_folder_that_may_only_be_read_serves_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
    for name in ("write_bytes", "mkdir", "unlink", "rename", "replace"):
        monkeypatch.setattr(Path, name, not_allowed)
    leftover = c.folder / ".tmp-ab-999999999-another-host"
    leftover.touch()
    os.utime(leftover, (0, 0))
    with opened(tmp_path) as c:
        assert c.get_many([key(1)]).keys() == {key(1)}
    assert caplog.records == []
    with pytest.raises(ScoringError, match="Read-only file system"), ScoreCache(tmp_path, "new", {}) as c:
        c.put(key(1), values(3))


def test_opening_removes_what_dead_runs_left_in_any_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
        c.put_sums(key(1), step_frame())
    left = [f / ".tmp-ab-1-another-host" for f in (c.folder, c.folder / "tokens", c.folder / "sums")]
    for path in left:
        path.touch()
        os.utime(path, (0, 0))
    opened(tmp_path)
    assert not any(p.exists() for p in left)


def test_opening_makes_nothing(tmp_path: Path) -> None:
    assert opened(tmp_path / "none").get_many([key(1)]) == {}
    assert not (tmp_path / "none").exists()
    assert spaces(tmp_path / "none") == []
    assert verify_scores(tmp_path / "none") == []
    assert prune_scores(tmp_path / "none", unused_days=0) == upkeep.Pruned([], 0)


def test_spaces_say_what_they_hold(tmp_path: Path) -> None:
    with opened(tmp_path, shard_tokens=5) as c:
        for i in range(4):
            c.put(key(i), values(3))
        c.put_sums(key(9), step_frame())
    other = ScoreCache(tmp_path, "other", {})
    other.put(key(1), values(2))
    other.flush()
    (other.folder / "space.json").write_text("[1]")
    (tmp_path / "scores" / space_key("begun", {})).mkdir()
    [mine] = [s for s in spaces(tmp_path) if s.student == "student"]
    [damaged] = [s for s in spaces(tmp_path) if s.folder == other.folder]
    [begun] = [s for s in spaces(tmp_path) if s.folder not in (c.folder, other.folder)]
    assert (begun.n_bytes, begun.used_s) == (0, begun.folder.stat().st_mtime)
    assert begun.student is damaged.student is None
    assert (mine.folder, mine.numerics) == (c.folder, NUMERICS)
    assert (mine.n_shards, mine.n_keys, mine.n_tokens, mine.n_sums) == (3, 4, 12, 1)
    everything = [p.stat() for p in c.folder.rglob("*") if p.is_file()]
    assert mine.n_bytes == sum(s.st_size for s in everything)
    assert mine.used_s == max(s.st_mtime for s in everything)
    assert (damaged.n_keys, damaged.n_tokens, damaged.last_run) == (1, 2, None)


def test_verify_finds_damage_and_foreign_files_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path, shard_tokens=1) as c:
        c.put(key(1), values(3))
        c.put(key(2), values(3))
        c.put_sums(key(3), step_frame())
    for folder in (c.folder, c.folder / "tokens"):
        (folder / f".tmp-ab-{os.getpid()}-another").touch()
    assert verify_scores(tmp_path) == []
    token_shard = next((c.folder / "tokens").glob("*.parquet"))
    sums_shard = next((c.folder / "sums").glob("*.parquet"))
    token_shard.write_bytes(token_shard.read_bytes()[:-1])
    sums_shard.write_bytes(b"")
    foreign = [c.folder / "tokens" / "notes.txt", tmp_path / "scores" / "mine" / "file", tmp_path / "scores" / "x"]
    foreign[1].parent.mkdir()
    for path in foreign:
        path.touch()
    (c.folder / "space.json").write_text('{"student": "another"}')
    found = verify_scores(tmp_path)
    assert len(found) == 6
    for path in (token_shard, sums_shard):
        [said] = [p for p in found if str(path) in p]
        assert f"set aside as {path.name}.damaged-1" in said
    for path in foreign:
        assert f"{path} is not a file of the cache" in found
    assert any("space.json does not describe its space" in p for p in found)
    assert len(verify_scores(tmp_path)) == 4
    with opened(tmp_path) as c:
        pass
    assert len(verify_scores(tmp_path)) == 3
    assert len(opened(tmp_path).get_many([key(1), key(2)])) == 1


def test_verify_says_which_shard_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
    monkeypatch.setattr(Path, "read_bytes", not_allowed)
    [said] = verify_scores(tmp_path)
    assert "cannot be read (Read-only file system)" in said
    [shard] = (c.folder / "tokens").glob("*.parquet")
    monkeypatch.setattr(shards, "load", lambda path, schema: path.unlink() or path.stat())
    assert verify_scores(tmp_path) == []
    assert not shard.exists()


def aged(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - days * 24 * 3600,) * 2)


def test_prune_removes_what_was_not_used_and_what_is_damaged(tmp_path: Path) -> None:
    folders = []
    for i, days in enumerate((1, 10, 20)):
        with ScoreCache(tmp_path, f"student {i}", {}) as c:
            c.put(key(1), values(3))
        aged(c.folder, days)
        folders.append(c.folder)
    recent, middle, old = folders
    # Read and not written to: used all the same.
    with ScoreCache(tmp_path, "student 1", {}) as c:
        c.get_many([key(1)])
    shard = next((recent / "tokens").glob("*.parquet"))
    shard.write_bytes(b"12345")
    verify_scores(tmp_path)
    leftover = middle / "sums" / ".tmp-ab-1-another-host"
    leftover.parent.mkdir()
    leftover.write_bytes(b"1234567")
    os.utime(leftover, (0, 0))
    alive = middle / f".tmp-ab-{os.getpid()}-another-host"
    alive.touch()
    foreign = tmp_path / "scores" / "mine"
    foreign.mkdir()
    size = sum(p.stat().st_size for p in old.rglob("*") if p.is_file())
    rest = {shard.with_name(f"{shard.name}.damaged-1"), leftover}

    assert set(prune_scores(tmp_path, dry_run=True).removed) == rest
    planned = prune_scores(tmp_path, unused_days=15, dry_run=True)
    assert (set(planned.removed), planned.n_bytes) == ({old, *rest}, size + 12)
    assert all(p.exists() for p in planned.removed)
    assert prune_scores(tmp_path, unused_days=15) == planned
    assert not any(p.exists() for p in planned.removed)
    assert alive.exists()
    assert ScoreCache(tmp_path, "student 1", {}).get_many([key(1)]).keys() == {key(1)}
    assert prune_scores(tmp_path, unused_days=15) == upkeep.Pruned([], 0)
    prune_scores(tmp_path, unused_days=-1)
    assert list((tmp_path / "scores").iterdir()) == [foreign]


def test_prune_says_what_it_cannot_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
    monkeypatch.setattr(os, "rmdir", not_allowed)
    monkeypatch.setattr(os, "unlink", not_allowed)
    with pytest.raises(CacheError, match="cannot be removed: Read-only file system"):
        prune_scores(tmp_path, unused_days=-1)


def test_a_space_that_is_removed_while_it_is_open_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with opened(tmp_path) as c:
        c.put(key(1), values(3))
        c.flush()
        prune_scores(tmp_path, unused_days=-1)
        assert c.get_many([key(1)]) == {}
        c.put(key(2), values(3))
    assert opened(tmp_path).get_many([key(1), key(2)]).keys() == {key(2)}
    assert verify_scores(tmp_path) == []
    assert caplog.records == []


@pytest.mark.slow
def test_neither_module_loads_torch() -> None:
    code = "import sys, stepsift.score.cache.scores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shards_are_those_of_the_store(tmp_path: Path) -> None:
    """What the defaults close: nothing before the end here, everything with limits of one token or no time."""
    for n_shards, limits in ((0, {}), (3, {"shard_tokens": 3}), (3, {"shard_seconds": 0.0})):
        c = opened(tmp_path / str(limits), **limits)
        for i in range(3):
            c.put(key(i), values(3))
        assert len(shards.files(c.folder / "tokens", shards.SHARD)) == n_shards
