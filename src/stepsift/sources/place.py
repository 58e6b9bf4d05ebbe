"""What adding and removing share: where a file's `.dvc` file lies, and changing several files or none."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from stepsift.core.disk import write_text


@contextlib.contextmanager
def all_or_nothing(touched: list[Path]) -> Iterator[None]:
    """Put these files back as they were, or away, if the block raises; those that exist before it are small."""
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        raise


def rewrite(path: Path, text: str) -> None:
    """Write a text atomically; a file that has it already keeps its times."""
    if path.read_bytes() != text.encode():
        write_text(text, path)


def next_commands(message: str, changed: list[Path]) -> list[str]:
    """Commands to type after these files were changed."""
    paths = " ".join(map(str, changed))
    return [f'git add -A {paths} && git commit -m "{message}"', "dvc push", "dvc repro"]


def dvc_file_of(target: Path) -> Path:
    """The file by which DVC tracks `target`."""
    return target.with_name(f"{target.name}.dvc")
