"""CSV and TSV with a line of names: every value is text, and an empty one is none. Rows are numbered from 1."""

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from stepsift.core.text import count
from stepsift.ingest.files.jsonl import too_long
from stepsift.ingest.rows import RowError

_OTHERS = ";\t|,"
"""What tables are written with instead of the character that the file's suffix stands for."""
_ROOM_CHARS = 2**16
"""A row within the limit may have a longer line, of which each quote stands twice: room for what is between values."""


def rows(stream: BinaryIO, delimiter: str, max_bytes: int) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number, the row or why it is not read). What comes after a value that never ends is not read."""
    # A byte that is no UTF-8 must cost one row and not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    csv.field_size_limit(max_bytes)
    lines = _lines(text, 2 * max_bytes + _ROOM_CHARS)
    number = 0
    try:
        first = next(lines, "")
        reader = csv.reader(itertools.chain([first] * bool(first), lines), delimiter=delimiter, strict=True)
        if delimiter not in first and (other := next((c for c in _OTHERS if c in first), None)):
            raise csv.Error(
                f"its columns are separated by {other!r} instead of {delimiter!r}; convert it, or write JSON Lines"
            )
        names = next(reader, [])
        if len(set(names)) < len(names):
            twice = next(name for name, n in Counter(names).items() if n > 1)
            raise csv.Error(f"the column '{twice[:60]}' stands more than once in the line of names")
        for number, values in enumerate(reader, start=1):
            if values:
                yield number, _row(names, values, max_bytes)
    except csv.Error as e:
        yield number + 1, RowError("broken_csv", f"{e}; what comes after it is not read")
    except RowError as e:
        yield number + 1, e


def _lines(text: io.TextIOWrapper, most_chars: int) -> Iterator[str]:
    """The lines of a text, in memory for one of `most_chars`; raises RowError for a longer one."""
    while line := text.readline(most_chars + 1):
        if len(line) > most_chars:
            raise RowError(
                "line_too_long",
                f"a line has more than {most_chars} characters (ingest.max_line_bytes); what follows is not read",
            )
        yield line


def _row(names: list[str], values: list[str], max_bytes: int) -> dict[str, Any] | RowError:
    if len(values) != len(names):
        return RowError("broken_csv", f"the row has {count(len(values), 'value')}, the line of names has {len(names)}")
    size = sum(map(len, values))
    if size > max_bytes:
        return too_long(size, max_bytes)
    if any("\udc80" <= c <= "\udcff" for value in values if not value.isascii() for c in value):
        return RowError("not_utf8", "a text of the row holds bytes that are not UTF-8")
    return {name: value or None for name, value in zip(names, values, strict=True)}
