"""JSON files: an array of objects, one object, or objects one after another, in memory for one of them.

The file is cut at the commas of the outermost array (or at the ends of the outermost objects) by a scanner that knows
strings and brackets only; each piece is then decoded like a line of JSON Lines, so that one bad element is one
rejected row. Rows are numbered from 1 in the order of the file.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from stepsift.ingest.files.jsonl import BOM, too_long
from stepsift.ingest.rows import RowError

_CHUNK = 2**18
_BLANK = b" \t\r\n"
_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class _Piece:
    """The bytes of the row that is being read; past the limit only their number is kept."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        if not self.size:
            data = data.lstrip(_BLANK)
        self.size += len(data)
        if self.size <= self.max_bytes:
            self.parts.append(data)
        else:
            self.parts.clear()

    def take(self) -> bytes | RowError:
        size = self.size
        content = b"".join(self.parts)
        self.clear()
        return too_long(size, self.max_bytes) if size > self.max_bytes else content.rstrip(_BLANK)


def rows(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes | RowError]]:
    """(row number from 1, its bytes or why it is not read).

    A file that ends early gives its complete rows and a last one that is broken; so does text after the array.
    """
    yield from enumerate(_pieces(stream, max_bytes), start=1)


def _pieces(stream: BinaryIO, max_bytes: int) -> Iterator[bytes | RowError]:
    scanner = _Scanner(max_bytes)
    data = stream.read(_CHUNK).removeprefix(BOM)
    while data:
        yield from scanner.feed(data)
        data = stream.read(_CHUNK)
    yield from scanner.finish()


class _Scanner:
    """Cuts the bytes of a file into rows, chunk by chunk."""

    def __init__(self, max_bytes: int):
        self._piece = _Piece(max_bytes)
        self._array: bool | None = None
        self._closed = self._in_string = False
        self._depth = 0
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes | RowError]:
        """The rows that end in these bytes."""
        buffer = self._held + data
        start = at = self._opened(buffer) if self._array is None else 0
        while at < len(buffer):
            if self._in_string:
                match = _INSIDE.match(buffer, at)
                at = match.end() if match else at
                # A backslash that ends the buffer belongs to the next byte.
                if at == len(buffer) or buffer[at] == ord("\\"):
                    break
                self._in_string = False
                at += 1
                continue
            match = _OUTSIDE.search(buffer, at)
            if match is None:
                at = len(buffer)
                break
            at = match.end()
            end = self._row_end(match[0], at)
            if end is not None:
                self._piece.add(buffer[start:end])
                start = at
                # `[]` and a bracket after the last comma are no rows; an empty place between commas is a broken one.
                if self._piece.size or match[0] == b",":
                    yield self._piece.take()
        self._piece.add(buffer[start:at])
        self._held = buffer[at:]

    def _opened(self, buffer: bytes) -> int:
        """Where the rows begin; sets whether they stand in an array."""
        opening = buffer.lstrip(_BLANK)
        if opening:
            self._array = opening.startswith(b"[")
        return len(buffer) - len(opening) + (self._array is True)

    def _row_end(self, mark: bytes, at: int) -> int | None:
        """Where a row ends that this mark, which ends at `at`, ends; None where it ends none."""
        if mark == b'"':
            self._in_string = True
        elif mark in b"[{":
            self._depth += 1
        elif mark in b"]}" and self._depth:
            self._depth -= 1
            if not self._array and not self._depth:
                return at
        elif self._array and not self._closed and not self._depth:
            self._closed = mark != b","
            return at - 1
        return None

    def finish(self) -> Iterator[bytes | RowError]:
        """What is left at the end of the file."""
        self._piece.add(self._held)
        rest = self._piece.take() if self._piece.size else b""
        if isinstance(rest, RowError) or (rest and not self._array):
            yield rest
        elif rest and self._closed:
            yield RowError("broken_json", "there is text after the array")
        elif self._array and not self._closed:
            yield RowError("broken_json", "the file ends within the array")
