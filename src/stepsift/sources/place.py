"""What adding and removing share: what lies beside a source, and changing several files or none."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from stepsift.core.text import shell_word
from stepsift.ingest.files.find import RULE_SUFFIX


@contextlib.contextmanager
def all_or_nothing(touched: list[Path]) -> Iterator[None]:
    """Put these files back as they were, or away, if the block raises; those that exist before it are small.

    Folders that were made for them go with them.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    made = {folder for path in touched for folder in path.parents if not folder.exists()}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        remove_empty(made)
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of these folders that hold nothing, or nothing but what DVC writes for git."""
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()


def commit_command(message: str, changed: list[Path]) -> str:
    """What to type to commit these files."""
    paths = " ".join(shell_word(str(path)) for path in changed)
    return f"git add -A {paths} && git commit -m {shell_word(message)}"


def dvc_file_of(target: Path) -> Path:
    """The file by which DVC tracks `target`."""
    return target.with_name(f"{target.name}.dvc")


def rule_file_of(target: Path) -> Path:
    """The rule file that stands beside `target`, a file or folder of sources."""
    return target.with_name(f"{target.name}{RULE_SUFFIX}")
