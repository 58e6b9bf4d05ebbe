"""Arrow: rows of record batches, and files in its own formats (`.arrow`, as `save_to_disk` of datasets writes them).

Columns that no field of ours can be are left out: durations, and objects with two fields of one name. Days and times
are text in the form of ISO 8601; one that Arrow can store and Python cannot hold (the year 10000, an unknown time zone)
is left out, and must not cost a row that is otherwise whole. A table with two columns of one name is refused.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stepsift.core.text import error_line, named_error_line
from stepsift.ingest.files.jsonl import too_long
from stepsift.ingest.rows import RowError

_VALUE_BYTES = 8
_MOST_FLOATS = 64
"""Numbers of a list that may be answers; a longer one is a vector, which is left as it is."""
_SHORT_FLOATS = {16: np.float16, 32: np.float32}
"""Bits of a number to its type, if Python's own numbers have more."""


def rows(path: Path, max_bytes: int) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number from 1, the row or why it is not read) of a file or a stream; both formats have one suffix."""
    number = 0
    try:
        with pa.memory_map(str(path)) as source:
            for batch in _batches(source):
                # Offsets that lie would make Arrow read outside of its memory.
                batch.validate(full=True)
                for row in batch_rows(batch, max_bytes):
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as e:
        yield number + 1, RowError("unreadable_arrow", error_line(e))


def _batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    yield from (file.get_batch(i) for i in range(file.num_record_batches))


def batch_rows(batch: pa.RecordBatch, max_bytes: int) -> Iterator[dict[str, Any] | RowError]:
    """The rows of a batch, each read or not by itself; raises ArrowInvalid where two columns have one name."""
    if twice := [name for name, n in Counter(batch.schema.names).items() if n > 1]:
        raise pa.ArrowInvalid(f"the column '{twice[0][:60]}' stands more than once in the table")
    columns = _columns(batch)
    for i in range(batch.num_rows):
        yield _row(columns, i, max_bytes)


def _columns(batch: pa.RecordBatch) -> list[tuple[str, pa.Array]]:
    """The columns that may matter, by name."""
    named = zip(batch.schema.names, batch.columns, strict=True)
    return [(name, _stored(column)) for name, column in named if _matters(column.type)]


def _stored(column: pa.Array) -> pa.Array:
    """What a column of an extension type stores: its own values may be anything (a UUID is known)."""
    if isinstance(column, pa.ExtensionArray) and not isinstance(column.type, pa.UuidType):
        return column.storage
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python has microseconds
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def _matters(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _matters(kind.value_type) and not pa.types.is_temporal(kind.value_type)
    return not (pa.types.is_duration(kind) or pa.types.is_interval(kind) or _ambiguous(kind))


def _ambiguous(kind: pa.DataType) -> bool:
    """Whether an object somewhere within a type has two fields of one name."""
    fields = [kind.field(i) for i in range(kind.num_fields)]
    twice = pa.types.is_struct(kind) and len({f.name for f in fields}) < len(fields)
    return twice or any(_ambiguous(f.type) for f in fields)


def _row(columns: list[tuple[str, pa.Array]], i: int, max_bytes: int) -> dict[str, Any] | RowError:
    row = {}
    for name, column in columns:
        if pa.types.is_temporal(column.type):
            if (time := _time(column[i])) is not None:
                row[name] = time
            continue
        try:
            row[name] = _value(column[i].as_py(), column.type)
        except UnicodeDecodeError as e:
            return RowError("not_utf8", f"a text of the row holds the byte 0x{e.object[e.start]:02x}: {e.reason}")
        except Exception as e:  # Arrow's values are open to extension, so anything can go wrong: the row is at fault
            return RowError("wrong_value", f"column {name} cannot be read: {named_error_line(e)}")
    size = sum(map(_size, row.values()))
    return too_long(size, max_bytes) if size > max_bytes else row


def _time(scalar: pa.Scalar) -> str | None:
    """A day or a time as text; None where there is none, or none that Python can hold."""
    try:
        value = scalar.as_py()
    except Exception:  # a year or a time zone that Python does not know
        return None
    return None if value is None else value.isoformat()


def _value(value: Any, kind: pa.DataType) -> Any:
    """A value of Arrow as its file means it: a float of 32 bits with as few digits as name it, 42.1 for 42.1."""
    if value is None:
        return None
    if pa.types.is_floating(kind) and kind.bit_width in _SHORT_FLOATS:
        return float(str(_SHORT_FLOATS[kind.bit_width](value)))
    if isinstance(value, list) and kind.num_fields == 1 and len(value) <= _MOST_FLOATS:
        return [_value(item, kind.field(0).type) for item in value]
    if isinstance(value, dict) and pa.types.is_struct(kind):
        return {field.name: _value(value[field.name], field.type) for field in kind}
    return value


def _size(value: object) -> int:
    """Bytes of a value. Not measured in Arrow: a slice counts what it shares, and not every type can be copied."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 0 if value is None else _VALUE_BYTES
