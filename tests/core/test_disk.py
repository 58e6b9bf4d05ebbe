"""Files and folders on disk: what is removed, set aside and read, by hand."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from stepsift.core import disk
from stepsift.core.errors import CacheError


def test_a_file_and_a_folder_are_removed_and_what_is_gone_already_is_no_error(tmp_path: Path):
    (tmp_path / "folder/below").mkdir(parents=True)
    (tmp_path / "folder/below/file").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("folder", "file", "never there"):
        disk.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_be_removed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CacheError) as e:
        disk.remove(tmp_path / "file")
    assert str(e.value) == f"'{tmp_path / 'file'}' cannot be removed: Permission denied; allow writing to its folder"


def test_what_is_damaged_gets_the_next_free_number(tmp_path: Path):
    asides = []
    for content in ("one", "two"):
        (tmp_path / "shard").write_text(content)
        asides.append(disk.set_aside(tmp_path / "shard"))
    assert [a.name for a in asides] == ["shard.damaged-1", "shard.damaged-2"]
    assert [a.read_text() for a in asides] == ["one", "two"]


def test_a_regular_file_of_at_most_so_many_bytes_is_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"12345")
    assert disk.read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="5 bytes") as too_large:
        disk.read_regular(tmp_path / "file", 4)
    assert not disk.is_full(too_large.value)
    with pytest.raises(IsADirectoryError):
        disk.read_regular(tmp_path, 5)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        disk.read_regular(tmp_path / "pipe", 5)


@pytest.mark.parametrize("name", ["", ".", "folder", "/"])
def test_a_text_is_not_written_in_place_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        disk.write_text("text", Path(name))
    assert caught.value.filename == str(Path(name))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_checksums(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc")
    assert disk.file_md5(tmp_path / "file") == "900150983cd24fb0d6963f7d28e17f72"
    assert disk.file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    with disk.whole_file(tmp_path / "new/file") as temporary:
        temporary.write_text("one")
        assert not (tmp_path / "new/file").exists()
    with pytest.raises(KeyError), disk.whole_file(tmp_path / "new/file") as temporary:
        temporary.write_text("two")
        raise KeyError
    assert [(p.name, p.read_text()) for p in (tmp_path / "new").iterdir()] == [("file", "one")]


def test_what_a_killed_writer_of_a_file_left_goes_with_the_next_write(tmp_path: Path):
    ended = 2**22 + 1  # above the highest number that Linux gives to a process
    left = tmp_path / f".tmp-step_sums.json-{ended}-{socket.gethostname()}"
    of_another_file = tmp_path / f".tmp-sums.json-{ended}-{socket.gethostname()}"
    of_a_living_process = tmp_path / f".tmp-step_sums.json-1-{socket.gethostname()}"
    of_another_machine = tmp_path / f".tmp-step_sums.json-{ended}-elsewhere"
    for path in (left, of_another_file, of_a_living_process, of_another_machine):
        path.write_text("half of i")
    disk.write_json([1], tmp_path / "step-sums.json")
    assert disk.read_json(tmp_path / "step-sums.json") == [1]
    assert sorted(tmp_path.iterdir()) == sorted(
        [of_another_file, of_a_living_process, of_another_machine, tmp_path / "step-sums.json"]
    )
