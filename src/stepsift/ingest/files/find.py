"""The files below the sources folder, the rule for each, and their rows."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.ingest.files import json_values, jsonl, parquet
from stepsift.ingest.files.decode import decode
from stepsift.ingest.rows import RowError

SUFFIXES = (".jsonl.gz", ".jsonl", ".json.gz", ".json", ".parquet")
"""Kinds of files that are read, told by their names in any case."""


@dataclass(frozen=True)
class SourceFile:
    """A file of traces; `name` is its path below the sources folder, with slashes."""

    path: Path
    name: str
    suffix: str

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix: its teacher where nothing else names one."""
        base = self.name.rpartition("/")[2]
        return base[: len(base) - len(self.suffix)]


def find(sources: Path) -> tuple[list[SourceFile], list[str]]:
    """(files of a known kind, names of the others), each sorted by name.

    Hidden files and folders, and the `*.dvc` files of DVC, are left out. Links to files and folders are followed.
    Raises SourceError where the folder is missing or holds no known file.
    """
    kinds = ", ".join(f"*{s}" for s in SUFFIXES)
    if not sources.is_dir():
        raise SourceError(f"there is no folder {sources}; put trace files ({kinds}) below it")
    known, others = [], []
    try:
        paths = list(_walk(sources, set()))
    except OSError as e:
        raise SourceError(f"folder {e.filename} below the sources cannot be read: {e.strerror}") from None
    for path in paths:
        relative = path.relative_to(sources).as_posix()
        # A name that is not UTF-8 cannot stand in a table.
        name = os.fsencode(relative).decode("utf-8", "backslashreplace")
        suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), None)
        if suffix is None:
            others.append(name)
        else:
            known.append(SourceFile(path, name, suffix))
    if not known:
        seen = f" (it holds {', '.join(sorted(others)[:5])})" if others else ""
        raise SourceError(f"folder {sources} holds no trace file{seen}; put files of these kinds below it: {kinds}")
    return sorted(known, key=lambda f: f.name), sorted(others)


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for path in folder.iterdir():
        # What DVC keeps beside a file that it tracks is none of the user's.
        if path.name.startswith(".") or path.suffix == ".dvc":
            continue
        if path.is_dir():
            yield from _walk(path, seen)
        else:
            yield path


def rule_for(name: str, settings: params.Ingest) -> params.FileRule:
    """The first rule that matches a file's name, else one made of the settings for files that no rule names."""
    for rule in settings.files:
        if matches(name, rule.match):
            return rule
    return params.FileRule(match="**", layout=settings.layout, fields=settings.fields)


def matches(name: str, pattern: str) -> bool:
    """Whether a path fits a glob: `*` and `?` stay within a folder, `**` does not, `**/` may be nothing.

    Raises SourceError where the pattern is no glob.
    """
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = re.sub(
        r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.",
        lambda m: parts.get(m[0]) or (m[0].replace("[!", "[^") if len(m[0]) > 1 else re.escape(m[0])),
        pattern,
    )
    try:
        return re.fullmatch(regex, name) is not None
    except re.error as e:
        raise SourceError(f"the rule '{pattern}' of ingest.files is no pattern for paths: {e.msg}") from None


def rows(file: SourceFile, settings: params.Ingest) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number from 1, the decoded row or why it is none) for all rows of a file, in its order.

    Raises SourceError where the file cannot be opened or read from its disk.
    """
    try:
        if file.suffix == ".parquet":
            # A file that is not there must not pass for a broken one.
            file.path.open("rb").close()
            yield from parquet.rows(file.path, settings.max_line_bytes)
            return
        with _open(file) as stream:
            yield from _text_rows(file, stream, settings)
    except OSError as e:
        raise SourceError(f"source file {file.name} cannot be read: {e.strerror or e}") from None


def _open(file: SourceFile) -> BinaryIO:
    if file.suffix.endswith(".gz"):
        return cast(BinaryIO, gzip.open(file.path, "rb"))
    return file.path.open("rb")


def _text_rows(
    file: SourceFile, stream: BinaryIO, settings: params.Ingest
) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    reader = jsonl.rows if file.suffix.startswith(".jsonl") else json_values.rows
    number = 0
    try:
        for number, raw in reader(stream, settings.max_line_bytes):
            if isinstance(raw, RowError):
                yield number, raw
                continue
            try:
                row = decode(raw, settings.max_depth)
            except RowError as e:
                yield number, e
            else:
                yield number, row
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        yield number + 1, RowError("corrupt_gzip", f"the file breaks off here: {e}")
