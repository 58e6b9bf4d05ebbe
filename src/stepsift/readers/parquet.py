"""Parquet: one row a row, read in small batches of one row group at a time. Rows are numbered from 1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stepsift.readers.jsonl import too_long
from stepsift.readers.rows import RowError

_BATCH_ROWS = 64


def rows(path: Path, max_bytes: int) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number, the row or why it is not read); a file that breaks off ends with one rejected row."""
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                for i in range(batch.num_rows):
                    number += 1
                    yield number, _row(batch, i, max_bytes)
    except (pa.ArrowException, OSError) as e:
        yield number + 1, RowError("unreadable_parquet", " ".join(str(e).split()))


def _row(batch: pa.RecordBatch, i: int, max_bytes: int) -> dict[str, Any] | RowError:
    row = batch.slice(i, 1)
    # Measured on a copy of the one row: a slice would count all that it shares with its batch.
    size = row.take(pa.array([0])).nbytes
    if size > max_bytes:
        return too_long(size, max_bytes)
    try:
        return row.to_pylist()[0]
    except UnicodeDecodeError as e:
        return RowError("not_utf8", f"a text of the row holds the byte 0x{e.object[e.start]:02x}: {e.reason}")
