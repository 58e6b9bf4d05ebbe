"""Parquet files, read in small batches of one row group at a time. Rows are numbered from 1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stepsift.core.text import error_line
from stepsift.ingest.files.arrow import batch_rows
from stepsift.ingest.rows import RowError

_BATCH_ROWS = 64


def rows(path: Path, max_bytes: int) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(row number, the row or why it is not read); a file that breaks off ends with one rejected row."""
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                for row in batch_rows(batch, max_bytes):
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as e:
        yield number + 1, RowError("unreadable_parquet", error_line(e))
