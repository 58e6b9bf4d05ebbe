"""Entries are whole or absent, and one that was damaged is made again."""

import hashlib
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from stepsift.core import disk
from stepsift.core.errors import CacheError
from stepsift.sidecache import SideCache, copy, key, root


def fill(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "weights").write_bytes(b"\x00\x01")
    (folder / "deep" / "note").write_text("n")


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_entry_is_made_once_and_copied_without_its_manifest(tmp_path: Path) -> None:
    cache = SideCache(tmp_path / "cache")
    entry, reused = cache.get_or_make("k", fill)
    assert not reused
    assert cache.get_or_make("k", lambda folder: pytest.fail("made twice")) == (entry, True)
    copy(entry, tmp_path / "out")
    assert names(tmp_path / "out") == ["deep/note", "weights"]
    assert (tmp_path / "out" / "weights").stat().st_ino != (entry / "weights").stat().st_ino


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        SideCache(tmp_path).get_or_make("k", fail)
    assert names(tmp_path) == []
    assert SideCache(tmp_path).get_or_make("k", fill)[1] is False


def _fill_and_hang(folder: Path) -> None:
    (folder / "weights").write_bytes(b"half")
    time.sleep(60)


def _store_slowly(folder: str) -> None:
    SideCache(Path(folder)).get_or_make("k", _fill_and_hang)


@pytest.mark.slow
def test_a_killed_run_leaves_no_entry_and_its_rest_is_cleared(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_store_slowly, args=(str(tmp_path),))
    process.start()
    while not list(tmp_path.glob(".tmp-*/weights")):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    [left] = tmp_path.iterdir()
    assert left.name.startswith(".tmp-k-")
    entry, reused = SideCache(tmp_path).get_or_make("k", fill)
    assert not reused
    assert list(tmp_path.iterdir()) == [entry]


def test_the_temporary_folder_of_a_run_that_is_alive_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f".tmp-other-{os.getppid()}-{socket.gethostname()}"
    elsewhere = tmp_path / ".tmp-other-1-another-host"
    mine.mkdir()
    elsewhere.mkdir()
    SideCache(tmp_path).get_or_make("k", fill)
    assert mine.exists()
    assert elsewhere.exists()


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "no manifest", "empty manifest"])
def test_a_damaged_entry_is_set_aside(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = SideCache(tmp_path)
    entry, _ = cache.get_or_make("k", fill)
    match damage:
        case "changed":
            (entry / "weights").write_bytes(b"\x00\x02")
        case "missing":
            (entry / "deep" / "note").unlink()
        case "added":
            (entry / "more").touch()
        case "no manifest":
            (entry / "entry.json").unlink()
        case "empty manifest":
            (entry / "entry.json").write_text("{}")
    assert cache.get_or_make("k", fill) == (entry, False)
    assert cache.get_or_make("k", fill) == (entry, True)
    assert "set aside as k.damaged-1" in caplog.text
    assert (tmp_path / "k.damaged-1").is_dir()


def test_two_runs_that_make_the_same_entry_both_get_it(tmp_path: Path) -> None:
    def other_run_is_faster(folder: Path) -> None:
        fill(folder)
        other, _ = SideCache(tmp_path / "other").get_or_make("k", fill)
        (tmp_path / "cache").mkdir(exist_ok=True)
        other.rename(tmp_path / "cache" / "k")

    entry, _ = SideCache(tmp_path / "cache").get_or_make("k", other_run_is_faster)
    assert names(entry) == ["deep/note", "entry.json", "weights"]
    assert list((tmp_path / "cache").iterdir()) == [entry]


def test_a_key_depends_on_names_and_values_and_not_on_their_order() -> None:
    assert key(a=1, b={"x": (1, 2), "y": None}) == key(b={"y": None, "x": [1, 2]}, a=1)
    assert len({key(a=1), key(a=2), key(b=1), key(a="1")}) == 4


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    (tmp_path / "models").write_text("no folder")
    with pytest.raises(CacheError, match=r"models cannot be stored there \(.*\); allow writing, or"):
        SideCache(tmp_path / "models").get_or_make("0" * 64, lambda folder: None)


def test_a_partial_result_outlives_a_block_that_breaks_and_goes_with_one_that_ends(tmp_path):
    cache = SideCache(tmp_path / "cache")
    with pytest.raises(RuntimeError), cache.partial("k") as place:
        (place / "half").write_text("done so far")
        raise RuntimeError
    assert cache.entries() == []
    assert cache.verify() == []
    assert cache.disposable() == []
    assert [p.name for p in cache.disposable(unused_days=0)] == [".partial-k"]
    assert cache.disposable(unused_days=1) == []
    with cache.partial("k") as place:
        assert (place / "half").read_text() == "done so far"
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_runs_do_not_share_a_partial_result(tmp_path, caplog):
    cache = SideCache(tmp_path / "cache")
    with cache.partial("k") as first, SideCache(tmp_path / "cache").partial("k") as second:
        assert first is not None
        assert second is None
        assert "another run is making k" in caplog.text
    with cache.partial("k") as third:
        assert third == first


def test_the_caches_lie_where_the_machine_says_else_in_the_repository(monkeypatch):
    monkeypatch.delenv("STEPSIFT_CACHE", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert root() == Path(".stepsift/cache")
    monkeypatch.setenv("DVC_ROOT", "/repository")
    assert root() == Path("/repository/.stepsift/cache")
    monkeypatch.setenv("STEPSIFT_CACHE", "/shared")
    assert root() == Path("/shared")


def test_with_a_team_s_key_what_is_unsigned_or_forged_is_made_again(tmp_path, monkeypatch, caplog):
    cache = SideCache(tmp_path)
    cache.get_or_make("k", fill)
    key_file = tmp_path / "team.key"
    key_file.write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setenv("STEPSIFT_CACHE_KEY_FILE", str(key_file))
    assert cache.get_or_make("k", fill)[1] is False
    assert "k is damaged (unsigned, and STEPSIFT_CACHE_KEY asks for a signature): set aside" in caplog.text
    entry, there = cache.get_or_make("k", fill)
    assert there
    # Weights changed, and their new checksum written down.
    (entry / "weights").write_bytes(b"forged")
    manifest = json.loads((entry / "entry.json").read_text())
    manifest["files"]["weights"] = hashlib.sha256(b"forged").hexdigest()
    (entry / "entry.json").write_text(json.dumps(manifest))
    assert cache.get_or_make("k", fill)[1] is False
    assert "k is damaged (forged)" in caplog.text
    # A true entry under another key is none.
    entry.rename(tmp_path / "other")
    assert cache.get_or_make("other", fill)[1] is False
    monkeypatch.delenv("STEPSIFT_CACHE_KEY_FILE")
    assert cache.get_or_make("other", fill)[1] is True


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("STEPSIFT_CACHE_KEY", "short", "STEPSIFT_CACHE_KEY holds 5 bytes, a key has at least 16; make one with"),
        ("STEPSIFT_CACHE_KEY", "", "holds 0 bytes"),
        (
            "STEPSIFT_CACHE_KEY_FILE",
            "/nowhere/key",
            r"KEY_FILE \(/nowhere/key\) cannot be read: No such",
        ),
        ("STEPSIFT_CACHE_KEY_FILE", "/dev/zero", "cannot be read: it is a pipe or a device"),
    ],
)
def test_a_key_that_is_none_stops_the_run(tmp_path, monkeypatch, variable, value, says):
    monkeypatch.setenv(variable, value)
    with pytest.raises(CacheError, match=says):
        SideCache(tmp_path).get_or_make("k", fill)


def test_get_reads_and_changes_nothing(tmp_path: Path) -> None:
    cache = SideCache(tmp_path)
    assert cache.get("k") is None and names(tmp_path) == []
    entry, _ = cache.get_or_make("k", fill)
    assert cache.get("k") == entry
    (entry / "weights").write_bytes(b"\x00\x02")
    before = names(tmp_path)
    assert cache.get("k") is None and names(tmp_path) == before


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_damaged_entry_that_cannot_be_set_aside(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = SideCache(tmp_path)
    entry, _ = cache.get_or_make("k", fill)
    (entry / "weights").write_bytes(b"\x00\x02")

    def set_aside(path: Path) -> Path:
        if elsewhere:
            path.rename(tmp_path / "k.damaged-1")
            raise FileNotFoundError(path)
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(disk, "set_aside", set_aside)
    if elsewhere:
        assert cache.get_or_make("k", fill) == (entry, False)
    else:
        with pytest.raises(CacheError, match=r"cannot be stored there \(Permission denied\); allow writing"):
            cache.get_or_make("k", fill)


def test_a_pipe_in_place_of_a_manifest_is_damage(tmp_path):
    entry, _ = SideCache(tmp_path).get_or_make("k", fill)
    (entry / "entry.json").unlink()
    os.mkfifo(entry / "entry.json")
    assert SideCache(tmp_path).get_or_make("k", fill) == (entry, False)


@pytest.mark.parametrize(("mode", "shared"), [(0o700, False), (0o755, False), (0o777, True), (0o1777, True)])
def test_a_folder_that_all_may_write_to_is_shared(tmp_path, mode, shared):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    assert disk.shared_with_others(tmp_path / "cache/scores/none") is shared
