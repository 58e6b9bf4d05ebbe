"""Files that are changed together, or not at all."""

import shlex
from pathlib import Path

import pytest

from stepsift.sources.place import all_or_nothing, commit_command


def change(folder: Path) -> list[Path]:
    """Change one file, remove one and make two, one of them in a folder of its own; all paths."""
    changed, removed, made, inner = paths = [folder / name for name in ("a", "b", "c", "new/inner/d")]
    inner.parent.mkdir(parents=True)
    changed.write_text("other")
    removed.unlink()
    made.write_text("new")
    inner.write_text("new")
    return paths


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_every_file_is_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_bytes(b"one\r\n")
    (tmp_path / "b").write_bytes(b"two")
    paths = [tmp_path / name for name in ("a", "b", "c", "new/inner/d")]
    with pytest.raises(error), all_or_nothing(paths):
        change(tmp_path)
        raise error
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"one\r\n", "b": b"two"}


def test_a_folder_that_was_there_or_holds_more_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    paths = [tmp_path / "kept/a", tmp_path / "more/b"]
    with pytest.raises(ValueError), all_or_nothing(paths):
        (tmp_path / "more").mkdir()
        (tmp_path / "more/mine").write_text("")
        raise ValueError
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["kept", "more", "more/mine"]


def test_without_an_error_all_changes_stay(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("")
    with all_or_nothing([tmp_path / name for name in ("a", "b", "c", "new/inner/d")]):
        changed, removed, made, inner = change(tmp_path)
    assert (changed.read_text(), removed.exists(), made.read_text(), inner.read_text()) == (
        "other",
        False,
        "new",
        "new",
    )


def test_the_next_command_may_be_copied_whatever_files_are_named() -> None:
    names = ["my data/a.jsonl.dvc", "it's.jsonl.dvc", '$(id) "x" `y`.jsonl.dvc', "日本 語.jsonl.dvc"]
    command = commit_command(f"Add {', '.join(names)}", [Path(name) for name in names])
    assert shlex.split(command) == ["git", "add", "-A", *names, "&&", "git", "commit", "-m", f"Add {', '.join(names)}"]
    # Within double quotes a shell would run what a name holds.
    assert '"Add' not in command
