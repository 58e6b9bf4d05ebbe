"""JSON Lines: one row per line. A blank line is no row; lines are numbered as an editor numbers them."""

from collections.abc import Iterator
from typing import BinaryIO

from stepsift.ingest.rows import RowError

BOM = b"\xef\xbb\xbf"
_CHUNK = 2**16


def rows(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes | RowError]]:
    """(line number from 1, the line or why it is not read), in memory for one line of `max_bytes`."""
    number = 0
    # Room for a byte order mark and a line ending: a line of `max_bytes` comes whole.
    while line := stream.readline(max_bytes + len(BOM) + 2):
        number += 1
        size = len(line)
        while not line.endswith(b"\n") and (rest := stream.readline(_CHUNK)):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        content = (line.removeprefix(BOM) if number == 1 else line).strip(b" \t\r\n")
        if size > len(line) or len(content) > max_bytes:
            yield number, too_long(size, max_bytes)
        elif content:
            yield number, content


def too_long(size: int, max_bytes: int, at_least: bool = False) -> RowError:
    """What is said of a row over the limit."""
    has = "has more than" if at_least else "has"
    return RowError("line_too_long", f"the row {has} {size} bytes, allowed are {max_bytes} (ingest.max_line_bytes)")
