"""Entries come back bit for bit, from any number of shards; what is damaged or deleted is missing, never wrong."""

import errno
import hashlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsift.core.errors import ScoringError
from stepsift.score.cache import shards
from stepsift.score.cache.shards import DAMAGED, SHARD, TEMPORARY, ShardStore

SCHEMA = pa.schema([("x", pa.float32()), ("n", pa.int32())])
NULLABLE = pa.schema([("n", pa.int32()), ("sum", pa.float64())])


def store(folder: Path, shard_rows: int = 10**9, shard_s: float = 1e9, schema: pa.Schema = SCHEMA) -> ShardStore:
    return ShardStore(folder, schema, shard_rows, shard_s)


def key(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()[:16]


def entry(i: int, rows: int = 3) -> pa.RecordBatch:
    """Values that tell which entry they belong to."""
    return pa.RecordBatch.from_pydict(
        {"x": np.full(rows, i, np.float32), "n": np.arange(i, i + rows, dtype=np.int32)}, schema=SCHEMA
    )


def stored(folder: Path, *numbers: int) -> Path:
    """A shard of these entries, written by a store of its own."""
    s = store(folder)
    before = set(shards.files(folder, SHARD))
    for i in numbers:
        s.put(key(i), entry(i))
    s.flush()
    [path] = set(shards.files(folder, SHARD)) - before
    return path


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_shard_is_one_parquet_file_named_by_its_checksum(tmp_path: Path) -> None:
    path = stored(tmp_path / "s", 1, 2)
    assert [p.name for p in (tmp_path / "s").iterdir()] == [path.name]
    assert path.name == hashlib.sha256(path.read_bytes()).hexdigest() + ".parquet"
    assert pq.read_table(path).to_pylist() == [
        {"key": key(1), "x": [1.0, 1.0, 1.0], "n": [1, 2, 3]},
        {"key": key(2), "x": [2.0, 2.0, 2.0], "n": [2, 3, 4]},
    ]
    assert shards.count(path) == (2, 6)


def test_the_same_entries_give_the_same_bytes(tmp_path: Path) -> None:
    assert stored(tmp_path / "a", 1, 2).name == stored(tmp_path / "b", 1, 2).name


def test_entries_are_found_in_flight_stored_and_by_the_next_process(tmp_path: Path) -> None:
    s = store(tmp_path)
    s.put(key(1), entry(1))
    assert s.get_many([key(1), key(2)]) == {key(1): entry(1)}
    assert shards.files(tmp_path, SHARD) == []
    s.flush()
    s.flush()
    assert len(shards.files(tmp_path, SHARD)) == 1
    assert s.get_many([key(1), key(2)]) == {key(1): entry(1)}
    assert store(tmp_path).get_many([key(2), key(1), key(1)]) == {key(1): entry(1)}
    assert store(tmp_path).get_many([]) == {}


def test_shards_of_others_are_seen_on_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = store(tmp_path)
    stored(tmp_path, 1)
    assert s.get_many([key(1)]) == {}
    s.refresh()
    assert s.get_many([key(1)]) == {key(1): entry(1)}
    monkeypatch.setattr(pq, "ParquetFile", lambda *args: pytest.fail("a known shard was read again"))
    s.refresh()


def bits(batch: pa.RecordBatch) -> list[tuple[list, bytes]]:
    """Which values are null, and the bytes of those that are not."""
    return [(c.is_null().to_pylist(), c.drop_null().to_numpy(zero_copy_only=False).tobytes()) for c in batch.columns]


# Two kinds of NaN, minus zero, and anything.
any_double = st.sampled_from([0x7FF8 << 48, (0x7FF8 << 48) + 1, 1 << 63, 0]) | st.integers(0, 2**64 - 1)
rows_of_sums = st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.none() | any_double), max_size=5)


@given(entries=st.dictionaries(st.binary(min_size=16, max_size=16), rows_of_sums, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_values_come_back_bit_for_bit_with_their_nulls(
    entries: dict[bytes, list], tmp_path_factory: pytest.TempPathFactory
) -> None:
    batches = {}
    for k, rows in entries.items():
        numbers = np.array([0 if b is None else b for _, b in rows], np.uint64).view(np.float64)
        nulls = np.array([b is None for _, b in rows], bool)
        columns = [pa.array([n for n, _ in rows], pa.int32()), pa.array(numbers, mask=nulls)]
        batches[k] = pa.RecordBatch.from_arrays(columns, schema=NULLABLE)
    folder = tmp_path_factory.mktemp("bits")
    s = store(folder, schema=NULLABLE)
    for k, batch in batches.items():
        s.put(k, batch)
    s.flush()
    for reader in (s, store(folder, schema=NULLABLE)):
        assert {k: bits(b) for k, b in reader.get_many(entries).items()} == {k: bits(b) for k, b in batches.items()}


# Two first halves and two second ones: many keys of which the index knows too little.
close_keys = st.builds(
    lambda a, b, c: bytes([a] * 8 + [b] * 7 + [c]), st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), close_keys, st.integers(0, 99)),
        st.tuples(st.sampled_from(["flush", "reopen", "get"]), st.none(), st.none()),
    ),
    max_size=40,
)


@pytest.mark.slow
@given(actions=actions)
@settings(max_examples=60, deadline=None)
def test_a_store_behaves_like_dicts(actions: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One dict a shard: of those that hold a key the one with the smallest name counts, and the flight comes last."""
    folder = tmp_path_factory.mktemp("model")
    s, model, flight = store(folder), {}, {}

    def flushed() -> None:
        s.flush()
        if flight:
            [name] = {p.name for p in shards.files(folder, SHARD)} - set(model) or {None}
            if name is not None:  # the same entries once more give the same shard
                model[name] = dict(flight)
            flight.clear()

    for action, k, i in [*actions, ("get", None, None), ("reopen", None, None), ("get", None, None)]:
        if action == "put":
            s.put(k, entry(i, rows=i % 4))
            flight[k] = i
        elif action == "get":
            expected = flight | {k: i for name in sorted(model, reverse=True) for k, i in model[name].items()}
            every = [bytes([a] * 8 + [b] * 7 + [c]) for a in (0, 1) for b in (0, 1) for c in (0, 1, 2)]
            assert s.get_many(every) == {k: entry(i, rows=i % 4) for k, i in expected.items()}
        else:
            flushed()
            s = store(folder) if action == "reopen" else s


def test_of_two_shards_with_a_key_the_smaller_name_counts_and_then_the_other(tmp_path: Path) -> None:
    values = {}
    for i in (1, 2, 3):
        s = store(tmp_path)
        s.put(key(0), entry(i))
        before = set(shards.files(tmp_path, SHARD))
        s.flush()
        [new] = set(shards.files(tmp_path, SHARD)) - before
        values[new.name] = entry(i)
    s = store(tmp_path)
    for name in sorted(values):
        assert s.get_many([key(0)]) == store(tmp_path).get_many([key(0)]) == {key(0): values[name]}
        (tmp_path / name).unlink()
    assert s.get_many([key(0)]) == {}


def test_a_shard_closes_itself_when_it_is_full_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = store(tmp_path / "full", shard_rows=6)
    for i in range(5):
        full.put(key(i), entry(i))
        assert len(shards.files(full.folder, SHARD)) == (i + 1) // 2
    again = store(tmp_path / "again", shard_rows=6)
    for _ in range(5):
        again.put(key(0), entry(0))
    assert shards.files(again.folder, SHARD) == []
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    old = store(tmp_path / "old", shard_s=30)
    for seconds, expected in ((0, 0), (20, 0), (15, 1), (20, 1), (20, 1), (10, 2)):
        clock += seconds
        old.put(key(int(clock)), entry(1))
        assert len(shards.files(old.folder, SHARD)) == expected


def test_a_shard_is_read_once_a_call_and_its_memory_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = store(tmp_path)
    for shard in range(3):
        for i in range(100):
            s.put(key(100 * shard + i), entry(i, rows=1000))
        s.flush()
    opened = []
    load = shards.load
    monkeypatch.setattr(shards, "load", lambda path, schema: opened.append(path) or load(path, schema))
    s = store(tmp_path)
    assert opened == []
    assert len(s.get_many(key(i) for i in range(200))) == 200
    assert len(opened) == len(set(opened)) == 2
    before = pa.total_allocated_bytes()
    held = s.get_many([key(250)])
    assert held == {key(250): entry(50, rows=1000)}
    assert pa.total_allocated_bytes() - before < 20_000


def test_shards_stay_in_memory_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [stored(tmp_path, i, i + 10) for i in range(3)]
    loaded: list[str] = []

    def load(path: Path, schema: pa.Schema, honest: Callable = shards.load) -> pa.Table:
        loaded.append(path.name)
        return honest(path, schema)

    monkeypatch.setattr(shards, "load", load)
    size = load(paths[0], SCHEMA).nbytes
    loaded.clear()
    s = ShardStore(tmp_path, SCHEMA, 10**9, 1e9, kept_bytes=2 * size)
    for asked in ([0], [1], [0, 10], [11], [2], [12], [1]):  # the first shard makes room for the third
        assert {k: bits(b) for k, b in s.get_many(map(key, asked)).items()} == {key(i): bits(entry(i)) for i in asked}
    assert loaded == [p.name for p in paths]
    assert s.get_many([key(0)]).keys() == {key(0)} and len(loaded) == 4


def test_values_with_other_columns_are_refused(tmp_path: Path) -> None:
    s = store(tmp_path)
    with pytest.raises(ScoringError, match="x: double"):
        s.put(key(1), pa.RecordBatch.from_pydict({"x": np.zeros(2), "n": np.zeros(2, np.int32)}))
    assert s.get_many([key(1)]) == {}


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def value_changed(path: Path) -> None:
    content = path.read_bytes()
    flip(path, content.index(b"\x28\xb5\x2f\xfd", content.index(b"\x28\xb5\x2f\xfd") + 4) + 12)


def footer_changed(path: Path) -> None:
    flip(path, len(path.read_bytes()) - 40)


def swapped(path: Path) -> None:
    other = path.parent.parent / "other"
    [sound] = shards.files(other, SHARD) or [stored(other, 7, 8, 9)]
    path.write_bytes(sound.read_bytes())


@pytest.mark.parametrize("damage", [truncated, emptied, value_changed, footer_changed, swapped])
@pytest.mark.parametrize("when", ["before opening", "while open"])
def test_a_damaged_shard_is_set_aside_and_its_entries_are_missing(
    damage: Callable[[Path], None], when: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "s"
    path, _ = stored(folder, 1, 2, 3), stored(folder, 4)
    s = store(folder)
    damage(path)
    if when == "before opening":
        s = store(folder)
    wanted = [key(i) for i in (1, 2, 3, 4, 7)]
    assert s.get_many(wanted) == {key(4): entry(4)}
    assert len(caplog.records) == 1
    assert f"set aside as {path.name}.damaged-1" in caplog.text
    assert [p.name for p in shards.files(folder, DAMAGED)] == [f"{path.name}.damaged-1"]
    assert not path.exists()
    # Scored again, damaged again.
    for i in (1, 2, 3):
        s.put(key(i), entry(i))
    s.flush()
    assert s.get_many(wanted) == store(folder).get_many(wanted) == {key(i): entry(i) for i in (1, 2, 3, 4)}
    damage(path)
    assert store(folder).get_many(wanted) == {key(4): entry(4)}
    assert len(shards.files(folder, DAMAGED)) == 2


def test_no_single_changed_bit_gives_a_wrong_value(tmp_path: Path) -> None:
    path = stored(tmp_path, 1, 2)
    good = path.read_bytes()
    for at in range(0, len(good), 3):
        path.write_bytes(good)
        flip(path, at)
        assert store(tmp_path).get_many([key(1), key(2)]) == {}
        with pytest.raises((shards.DamagedShardError, FileNotFoundError)):
            shards.load(path, SCHEMA)
    path.write_bytes(good)
    assert store(tmp_path).get_many([key(1)]) == {key(1): entry(1)}


@pytest.mark.parametrize("content", ["other columns", "no parquet"])
def test_a_file_that_has_its_checksum_and_is_no_shard_is_set_aside(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    data = b"hello"
    if content == "other columns":
        pq.write_table(pa.table({"key": pa.array([key(1)], pa.binary(16)), "x": [[1.0]]}), tmp_path / "t")
        data = (tmp_path / "t").read_bytes()
    path = folder / f"{hashlib.sha256(data).hexdigest()}.parquet"
    path.write_bytes(data)
    assert store(folder).get_many([key(1)]) == {}
    assert [p.name for p in folder.iterdir()] == [f"{path.name}.damaged-1"]


def test_a_deleted_shard_is_missing_and_no_matter_for_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = stored(tmp_path, 1), stored(tmp_path, 2)
    s = store(tmp_path)
    path.unlink()
    for _ in range(2):
        assert s.get_many([key(1), key(2)]) == {key(2): entry(2)}
    s.put(key(1), entry(1))
    s.flush()
    assert path.exists()
    assert s.get_many([key(1), key(2)]) == {key(1): entry(1), key(2): entry(2)}
    assert caplog.records == []


def test_two_processes_that_find_the_same_damage(tmp_path: Path) -> None:
    path = stored(tmp_path, 1)
    first, second = store(tmp_path), store(tmp_path)
    truncated(path)
    assert first.get_many([key(1)]) == second.get_many([key(1)]) == {}
    assert "another process" in shards.set_aside(path)
    assert len(shards.files(tmp_path, DAMAGED)) == 1


def test_damage_that_cannot_be_renamed_or_read_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    path = stored(tmp_path, 1)
    s = store(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(Path, "read_bytes", fails)
        assert s.get_many([key(1)]) == {}
    assert "cannot be read (Read-only file system)" in caplog.text
    assert path.exists()
    s = store(tmp_path)
    truncated(path)
    caplog.clear()
    with monkeypatch.context() as m:
        m.setattr(Path, "rename", fails)
        for _ in range(3):
            assert s.get_many([key(1)]) == {}
    assert "it cannot be renamed (Read-only file system)" in caplog.text
    assert len(caplog.records) == 1
    assert path.exists()


@pytest.mark.slow
def test_leftovers_of_dead_processes_are_removed_on_opening(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    gone = [tmp_path / f".tmp-ab-{dead.pid}-{host}", tmp_path / ".tmp-cd-1-another-host-of-last-week"]
    kept = [tmp_path / f".tmp-ab-{os.getppid()}-{host}", tmp_path / f".tmp-cd-{dead.pid}-another-host"]
    kept.append(tmp_path / ".tmp-mine")
    for path in gone + kept:
        path.touch()
    os.utime(gone[1], (time.time() - 7 * 24 * 3600,) * 2)
    store(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir", "write_bytes"])
def test_a_full_disk_says_what_to_do_and_loses_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    s = store(tmp_path, shard_rows=6)
    s.put(key(1), entry(1))
    with monkeypatch.context() as m:
        m.setattr(os if call == "fsync" else Path, call, full)
        with pytest.raises(ScoringError, match=r"No space left on device.*free space.*STEPSIFT_CACHE.*is kept") as e:
            s.put(key(2), entry(2))
    assert str(tmp_path) in str(e.value)
    assert list(tmp_path.iterdir()) == []
    assert s.get_many([key(1), key(2)]) == {key(1): entry(1), key(2): entry(2)}
    s.flush()
    assert store(tmp_path).get_many([key(1), key(2)]) == {key(1): entry(1), key(2): entry(2)}


def noise(i: int) -> pa.RecordBatch:
    """Values that do not compress, more of them with every i."""
    x = np.random.default_rng(i).normal(size=20 * (i + 1)).astype(np.float32)
    return pa.RecordBatch.from_pydict({"x": x, "n": np.zeros(len(x), np.int32)}, schema=SCHEMA)


def _fill_until_the_limit(folder: Path) -> None:
    # A limit of the kernel on the size of a file: the write breaks off in the middle, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    s = store(folder, shard_rows=1)
    try:
        for i in range(100):
            s.put(key(i), noise(i))
    except ScoringError:
        os._exit(7)


@pytest.mark.slow
def test_a_write_that_breaks_off_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    assert run(_fill_until_the_limit, tmp_path) == 7
    found = store(tmp_path).get_many(key(i) for i in range(100))
    assert found == {key(i): noise(i) for i in range(len(found))}
    assert len(shards.files(tmp_path, SHARD)) == len(list(tmp_path.iterdir())) == len(found) > 1


def run(target: Callable[..., None], *args: object) -> int | None:
    process = get_context("fork").Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScoringError, match="cannot be read: Not a directory"):
        store(tmp_path / "file")


def _write_some(folder: Path, start: int, step: int) -> None:
    s = store(folder, shard_rows=9)
    for i in range(start, start + 60 * step, step):
        if not s.get_many([key(i)]):
            s.put(key(i), entry(i))
    s.flush()


@pytest.mark.slow
def test_processes_that_write_and_read_one_folder_at_once(tmp_path: Path) -> None:
    """They share every sixth entry, and each reads all of it while the others write."""
    writers = [get_context("fork").Process(target=_write_some, args=(tmp_path, 0, step)) for step in (2, 3, 6)]
    for w in writers:
        w.start()
    while any(w.is_alive() for w in writers):
        found = store(tmp_path).get_many(key(i) for i in range(360))
        assert found == {k: entry(i) for i in range(360) if (k := key(i)) in found}
    for w in writers:
        w.join()
        assert w.exitcode == 0
    expected = {i for step in (2, 3, 6) for i in range(0, 60 * step, step)}
    assert store(tmp_path).get_many(key(i) for i in range(360)) == {key(i): entry(i) for i in expected}
    assert shards.files(tmp_path, DAMAGED, TEMPORARY) == []


def _write_for_ever(folder: Path, start: int, pipe: int) -> None:
    s = store(folder, shard_rows=6)
    for i in range(start, start + 1_000_000):
        s.put(key(i), entry(i))
        if i % 2:
            os.write(pipe, i.to_bytes(8, "little"))


@pytest.mark.slow
def test_kills_at_random_moments_lose_the_shard_in_flight_and_nothing_else(tmp_path: Path) -> None:
    """What a process had reported as stored is there, whatever is there is right, and every shard is whole."""
    moments = np.random.default_rng(0).uniform(0, 0.03, size=30)
    known: set[Path] = set()
    for n, moment in enumerate(moments):
        reader, pipe = os.pipe()
        process = get_context("fork").Process(target=_write_for_ever, args=(tmp_path, n * 1_000_000, pipe))
        process.start()
        os.close(pipe)
        reported = os.read(reader, 8)  # it has begun
        time.sleep(moment)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while more := os.read(reader, 1 << 16):
            reported += more
        os.close(reader)
        for path in {*shards.files(tmp_path, SHARD)} - known:
            shards.load(path, SCHEMA)
            known.add(path)
        last = int.from_bytes(reported[-8:], "little")
        every = range(n * 1_000_000, last + 100)
        found = store(tmp_path).get_many(key(i) for i in every)
        assert found == {k: entry(i) for i in every if (k := key(i)) in found}
        assert {key(i) for i in range(n * 1_000_000, last + 1)} <= set(found)
        assert len(found) <= last + 1 + 2 - n * 1_000_000
    # None of them was removed or changed by a later process.
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in known}
    for path in known:
        shards.load(path, SCHEMA)


def test_nothing_is_said_below_warning_level_of_a_sound_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stored(tmp_path, 1)
    assert store(tmp_path).get_many([key(1)]) == {key(1): entry(1)}
    assert caplog.records == []
