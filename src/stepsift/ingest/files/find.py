"""The files below the sources folder, and their rows."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from stepsift import params
from stepsift.core import disk
from stepsift.core.errors import SourceError
from stepsift.ingest.files import arrow, json_values, jsonl, parquet, tabular
from stepsift.ingest.files.decode import decode_row
from stepsift.ingest.rows import RowError

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""Kinds of text files that are read; each may be compressed."""

COMPRESSIONS = (".gz", ".zst")
"""Suffixes of compressed text files."""

SUFFIXES = (*(f + c for f in FORMATS for c in (*COMPRESSIONS, "")), ".parquet", ".arrow")
"""Kinds of files that are read, told by their names in any case."""

KINDS = f"{', '.join(f'*{s}' for s in (*FORMATS, '.parquet', '.arrow'))}, text also as {', '.join(COMPRESSIONS)}"
"""The same, for messages."""

SIDE_FILES = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "croissant.json")
"""What hubs and the library datasets keep beside the data of a set: never traces."""

RULE_SUFFIX = ".rule.yaml"
"""A rule file's name ends so, behind the name of the file or folder beside it (ingest/rules.py)."""


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

    @property
    def format(self) -> str:
        """The suffix without that of the compression."""
        return next((f for f in FORMATS if self.suffix.startswith(f)), self.suffix)


def find_files(sources: Path) -> tuple[list[SourceFile], list[str]]:
    """(files of a known kind, names of the others and of SIDE_FILES), each sorted by name.

    Hidden files and folders, the `*.dvc` files of DVC and rule files are left out. Links to files and folders are
    followed (`require_own_files` refuses those that lead out). Raises SourceError where the folder is missing or holds
    no known file, or a pipe or a device, which no reader comes to an end of.
    """
    if not sources.is_dir():
        raise SourceError(f"there is no folder {sources}; put trace files ({KINDS}) below it")
    known, others = [], []
    for path in _paths(sources):
        if path.name.endswith(RULE_SUFFIX):
            continue
        relative = path.relative_to(sources).as_posix()
        # A name that is not UTF-8 cannot stand in a table.
        name = os.fsencode(relative).decode("utf-8", "backslashreplace")
        suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), None)
        if suffix is None or is_side_file(name):
            others.append(name)
        else:
            known.append(SourceFile(path, name, suffix))
    if not known:
        seen = f" (it holds {', '.join(sorted(others)[:5])})" if others else ""
        raise SourceError(f"folder {sources} holds no trace file{seen}; put files of these kinds below it: {KINDS}")
    return sorted(known, key=lambda f: f.name), sorted(others)


def rule_files(sources: Path) -> dict[str, Path]:
    """Path below `sources` of what a rule file stands beside, to the rule file, sorted; none where there is no folder.

    Raises SourceError where a folder cannot be read.
    """
    paths = _paths(sources) if sources.is_dir() else []
    rules = sorted(path for path in paths if path.name.endswith(RULE_SUFFIX))
    return {path.relative_to(sources).as_posix().removesuffix(RULE_SUFFIX): path for path in rules}


def _paths(sources: Path) -> list[Path]:
    try:
        return list(_walk(sources, set()))
    except OSError as e:
        raise SourceError(f"folder {e.filename} below the sources cannot be read: {e.strerror}") from None


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
        elif path.is_file() or not path.exists():  # a link to nothing is said where it is read
            yield path
        else:
            raise SourceError(
                f"'{path}' below the sources is a pipe or a device, and no file; put a regular file there or remove it"
            )


def require_own_files(sources: Path) -> None:
    """Raise SourceError where a link below the sources leads out of them, for what it leads to is under no version.

    Links into a cache of DVC are its own way to put files there (cache.type symlink).
    """
    inside = sources.resolve()
    for path in _paths(sources) if sources.is_dir() else []:
        real = path.resolve()
        if not real.is_relative_to(inside) and not disk.IN_DVC_CACHE.search(real.as_posix()):
            raise SourceError(
                f"'{path}' below the sources leads to '{real}', outside of them; copy the file there, or run "
                f"'stepsift add {real}'"
            )


def is_side_file(name: str) -> bool:
    """Whether a file of a kind that is read holds what a hub or a library keeps beside a set, and no traces."""
    base = name.rpartition("/")[2].lower()
    return base in SIDE_FILES or (base.startswith("cache-") and base.endswith(".arrow"))


def rows(file: SourceFile, settings: params.Ingest) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number from 1, the decoded row or why it is none) for all rows of a file, in its order.

    Raises SourceError where the file cannot be opened or read from its disk.
    """
    try:
        if file.format in (".parquet", ".arrow"):
            # A file that is not there must not pass for a broken one.
            file.path.open("rb").close()
            reader = parquet.rows if file.format == ".parquet" else arrow.rows
            yield from reader(file.path, settings.max_line_bytes)
            return
        with file.path.open("rb") as stored:
            yield from _text_rows(file, stored, settings)
    except OSError as e:
        raise SourceError(f"source file {file.name} cannot be read: {e.strerror or e}") from None


def _text_rows(
    file: SourceFile, stored: BinaryIO, settings: params.Ingest
) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    number = 0
    try:
        with _decompressed(file, stored) as stream:
            for number, row in _formatted_rows(file.format, stream, settings):
                yield number, row
    except (EOFError, gzip.BadGzipFile, zlib.error, _ZstdError) as e:
        reason = "corrupt_zstd" if file.suffix.endswith(".zst") else "corrupt_gzip"
        yield number + 1, RowError(reason, f"the file breaks off here: {e}")


def _formatted_rows(
    form: str, stream: BinaryIO, settings: params.Ingest
) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    if form in (".csv", ".tsv"):
        return tabular.rows(stream, "\t" if form == ".tsv" else ",", settings.max_line_bytes)
    if form == ".json":
        head, lines = json_values.begins_with_a_line(stream, settings)
        stream = cast(BinaryIO, io.BufferedReader(_Again(head, stream)))
        if not lines:
            return json_values.rows(stream, settings)
    return _lines(stream, settings)


def _lines(stream: BinaryIO, settings: params.Ingest) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    for number, raw in jsonl.rows(stream, settings.max_line_bytes):
        if isinstance(raw, RowError):
            yield number, raw
            continue
        try:
            row = decode_row(raw, settings.max_depth)
        except RowError as e:
            yield number, e
        else:
            yield number, row


class _ZstdError(Exception):
    """Bytes that are no zstd; pyarrow raises the error of a disk for them."""


class _Zstd(io.RawIOBase):
    """The text of a zstd file, by pyarrow."""

    def __init__(self, stored: BinaryIO):
        self._stream = pa.CompressedInputStream(pa.PythonFile(stored, "r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except OSError as e:
            raise _ZstdError(e) from None
        buffer[: len(data)] = data
        return len(data)


class _Again(io.RawIOBase):
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, rest: BinaryIO):
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _decompressed(file: SourceFile, stored: BinaryIO) -> BinaryIO:
    if file.suffix.endswith(".gz"):
        return cast(BinaryIO, gzip.open(stored, "rb"))
    if file.suffix.endswith(".zst"):
        return cast(BinaryIO, io.BufferedReader(_Zstd(stored)))
    return stored
