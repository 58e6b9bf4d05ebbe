"""JSON files: an array of objects, an object that holds one (`{"data": [..]}`), or objects one after another.

ijson reads the file piece by piece, so memory holds one row. Its backend in Python is used on purpose: the ones in C
put a question mark for half of a surrogate pair, and such a row has to be rejected. Rows are numbered from 1. An
element that is too long, nests too deep or is no object is one rejected row; where the file stops being JSON its rows
end with one that says so. Every list of objects beside the rows is a rejected row, too, behind all others.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, Protocol

import ijson
from ijson.backends import python as backend

from stepsift.core.text import count, error_line
from stepsift.ingest.files.decode import as_object, decode_row, duplicate_key, too_deep
from stepsift.ingest.files.jsonl import BOM, too_long
from stepsift.ingest.row import GUESSES
from stepsift.ingest.rows import RowError

_ALSO_OF_ROWS = ("results", "traces", "outputs", "predictions", "details")
CONTAINERS = ("data", "rows", "examples", "instances", "samples", "records", "items", "train", *_ALSO_OF_ROWS)
"""Keys of an object below which its file keeps the rows, as a list of objects; a row that begins with what was asked
may have some of them, too."""
_ASKED = frozenset((*GUESSES["prompt"], "messages", "conversation", "conversations"))

_CHUNK = 2**18
_KEY_CHARS = 60
_VALUE_BYTES = 8
_NOT_JSON = (ijson.JSONError, ValueError)
"""The second one comes from strings: a line break within, an escape that is none."""
_LONG_TEXT = "a text has more than the {} bytes of a row (ingest.max_line_bytes); what comes after it is not read"


class ReadLimits(Protocol):
    """What of params.Ingest matters here."""

    max_line_bytes: int
    max_depth: int


def rows(stream: BinaryIO, limits: ReadLimits) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number from 1, the row or why it is not read)."""
    yield from enumerate(_rows(stream, limits), start=1)


def begins_with_a_line(stream: BinaryIO, limits: ReadLimits) -> tuple[bytes, bool]:
    """(the first bytes of a stream, whether they are a row on one line): JSON Lines are often called `.json`.

    There one bad line costs one row; a file that has to be read as a whole ends at it.
    """
    longest = limits.max_line_bytes + len(BOM) + 2
    head = stream.readline(longest)
    first = head.removeprefix(BOM).strip()
    if not head.endswith(b"\n") or not first.startswith(b"{"):
        return head, False
    try:
        row = decode_row(first, limits.max_depth)
    except RowError:
        # An object over several lines begins with a line that is no JSON; a broken row ends as one that is read does.
        return head, first.endswith(b"}")
    second = stream.readline(longest)
    head += second
    asks = second.lstrip().startswith(b"{") or not _ASKED.isdisjoint(row)
    holds_rows = any(
        _may_hold_rows(key, asks) and isinstance(value, list) and value and isinstance(value[0], dict)
        for key, value in row.items()
    )
    return head, not holds_rows


def _may_hold_rows(key: str, asks: bool) -> bool:
    """Whether a key of an object can be that of its file's rows; `asks`: whether the object looks like a row itself."""
    return key in CONTAINERS and not (asks and key in _ALSO_OF_ROWS)


def _events(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[str, Any]]:
    """The parser's events; raises JSONError, and RowError where it would have to hold too long a text."""
    events = ijson.sendable_list()
    parser = backend.basic_parse_coro(events, multiple_values=True)
    since_event, blank = 0, True
    try:
        data = stream.read(_CHUNK).removeprefix(BOM)
        while data:
            blank = blank and not data.strip()
            parser.send(data)
            since_event = 0 if events else since_event + len(data)
            yield from events
            events.clear()
            if since_event > max_bytes:
                raise RowError("line_too_long", _LONG_TEXT.format(max_bytes))
            data = stream.read(_CHUNK)
        parser.close()
        yield from events
    except _NOT_JSON:
        yield from events
        if not blank:
            raise
    finally:
        # A parser that is left in the middle of a value says so, to nobody.
        with contextlib.suppress(*_NOT_JSON):
            parser.close()


def _rows(stream: BinaryIO, limits: ReadLimits) -> Iterator[dict[str, Any] | RowError]:
    cut = _Cutter()
    row = _Row(limits)
    try:
        for event, value in _events(stream, limits.max_line_bytes):
            for kept_event, kept_value in cut.take(event, value):
                if kept_event == "restart":
                    row = _Row(limits)
                elif row.take(kept_event, kept_value):
                    yield row.finish()
                    row = _Row(limits)
    except RowError as e:
        yield e
    except _NOT_JSON as e:
        yield _broken(e)
    for key, n in cut.left_out().items():
        yield RowError(
            "not_an_object",
            f"not read: {count(n, 'object')} of the list '{key}', beside the rows; write it to a file of its own",
        )


class _Cutter:
    """Passes on the events of rows, and none of what stands around them."""

    def __init__(self) -> None:
        self._depth = 0
        self._rows_at = 0
        """Depth of the list or object that holds the rows; 0 where a row stands by itself."""
        self._beside = False
        """Whether what comes stands beside the list of rows in an object."""
        self._key = ""
        self._asks = False
        """Whether the object that is read now has had a key of a prompt."""
        self._list_begun = False
        self._in_another = False
        """Whether what comes stands in a list that holds no rows."""
        self._others: Counter[str] = Counter()
        """Key of such a list to its objects, in the object that is read now."""
        self._left_out: Counter[str] = Counter()

    def left_out(self) -> Counter[str]:
        """Key to the number of objects that were passed over so far."""
        return self._left_out + (self._others if self._rows_at > 1 else Counter())

    def take(self, event: str, value: Any) -> list[tuple[str, Any]]:
        """The events to pass on; `restart` where those before it were no part of a row."""
        begun, self._list_begun = self._list_begun, False
        if begun and event == "start_map":
            self._rows_at, self._beside = 2, False
            self._depth += 1
            return [("restart", None), (event, value)]
        before = [("start_array", None)] if begun and not self._beside else []
        ends = event in ("end_array", "end_map")
        self._depth += event in ("start_array", "start_map")
        if self._depth == 1 and event == "start_array":
            self._rows_at = 1
            return []
        if self._depth == 1 and self._rows_at != 1 and event == "map_key":
            self._key = value
            self._asks = self._asks or value in _ASKED
        if self._depth == 2 and self._rows_at != 1 and event == "start_array" and _may_hold_rows(self._key, self._asks):
            # Rows, if the first of them is an object.
            self._list_begun = True
            return before
        if self._depth == 2 and self._rows_at != 1:
            self._in_another = event == "start_array" or (self._in_another and event != "end_array")
        if self._in_another and self._depth == 3 and event == "start_map":
            self._others[self._key[:_KEY_CHARS]] += 1
        self._depth -= ends
        if self._depth == 0 and ends:
            self._left_out, self._asks = self.left_out(), False
            self._others.clear()
        if self._rows_at and ends and self._depth < self._rows_at:
            self._beside = self._depth > 0
            self._rows_at = self._rows_at if self._beside else 0
            return []
        return [] if self._beside else [*before, (event, value)]


def _broken(error: Exception) -> RowError:
    if error.args and isinstance(error.args[0], UnicodeDecodeError):
        return RowError("not_utf8", "the file holds bytes that are not UTF-8; what comes after them is not read")
    return RowError("broken_json", f"from here on the file is no JSON, and is not read: {error_line(error)}")


class _Row:
    """One row, built from the parser's events; past a limit nothing of it is kept but what is wrong."""

    def __init__(self, limits: ReadLimits):
        self._limits = limits
        self._stack: list[Any] = []
        self._keys: list[str] = []
        self._depth = 0
        self._size = 0
        self._value: Any = None
        self._wrong: RowError | None = None

    def take(self, event: str, value: Any) -> bool:
        """Take an event; return whether the row is complete."""
        if event in ("start_array", "start_map"):
            self._depth += 1
            if self._depth > self._limits.max_depth:
                self._fail(too_deep(self._limits.max_depth))
            if self._wrong is None:
                new: Any = [] if event == "start_array" else {}
                self._add(new)
                self._stack.append(new)
                self._keys.append("")
            return False
        if event in ("end_array", "end_map"):
            self._depth -= 1
            if self._wrong is None:
                self._stack.pop()
                self._keys.pop()
            return self._depth == 0
        self._size += len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else _VALUE_BYTES
        if self._size > self._limits.max_line_bytes:
            self._fail(too_long(self._size, self._limits.max_line_bytes, at_least=True))
        if event == "map_key":
            if self._wrong is None:
                if value in self._stack[-1]:
                    self._fail(duplicate_key(value))
                else:
                    self._keys[-1] = value
            return False
        if self._wrong is None:
            # As the reader of JSON Lines gives a number with a fraction or an exponent.
            self._add(float(value) if isinstance(value, Decimal) else value)
        return self._depth == 0

    def finish(self) -> dict[str, Any] | RowError:
        """The row, or what is wrong with it."""
        if self._wrong is not None:
            return self._wrong
        try:
            return as_object(self._value)
        except RowError as e:
            return e

    def _add(self, value: Any) -> None:
        if not self._stack:
            self._value = value
        elif isinstance(self._stack[-1], list):
            self._stack[-1].append(value)
        else:
            self._stack[-1][self._keys[-1]] = value

    def _fail(self, error: RowError) -> None:
        self._wrong = self._wrong or error
        self._stack.clear()
        self._keys.clear()
        self._value = None
