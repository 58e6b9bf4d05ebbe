"""The only way to read and write a table (`tables` says what each holds).

A table is one Parquet file. It is rewritten whole, sorted by its key, atomically (temporary file, fsync, rename), and
holds no time stamp, commit id or path of a machine: the same rows give the same bytes, in whatever batches they were
handed over. Row groups are cut by rows and bytes of the rows themselves, so a reader or a writer needs memory for one
row group and not for the table.

Rows are Polars frames everywhere; only the file itself is written through pyarrow, because Polars cannot append a
row group to an open file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stepsift.core import disk
from stepsift.core.errors import TableError
from stepsift.core.tables import MESSAGES, REJECTED, Table
from stepsift.core.text import count, error_line

ROW_GROUP_ROWS = 50_000
"""A row group is closed after this many rows ..."""
ROW_GROUP_BYTES = 32 * 2**20
"""... or after the row with which it holds this many bytes in memory, whatever comes first."""


def validate(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the table's columns in order; raise TableError if one of its invariants does not hold."""
    missing = [c for c in table.schema if c not in frame.columns]
    extra = [c for c in frame.columns if c not in table.schema]
    if missing or (extra and not table.open_columns):
        raise TableError(f"table {table.name}: columns missing {missing}, columns not in the schema {extra}")
    frame = frame.select(*table.schema, *sorted(extra))
    expected = table.schema | {c: pl.Float64() for c in extra}
    for column, dtype in expected.items():
        if frame.schema[column] != dtype:
            raise TableError(f"table {table.name}: column {column} is {frame.schema[column]}, it must be {dtype}")
    for column in table.schema:
        if column not in table.nullable and frame[column].null_count():
            nulls = count(frame[column].null_count(), "null")
            raise TableError(f"table {table.name}: column {column} holds {nulls}")
    for column, values in table.allowed.items():
        wrong = frame.filter(~pl.col(column).is_in(values))
        if wrong.height:
            raise TableError(f"table {table.name}: {column} is {wrong[column][0]!r}, it must be one of {values}")
    _check_order(table, frame)
    for rule, holds in table.checks.items():
        broken = frame.filter(~holds)
        if broken.height:
            raise TableError(f"table {table.name}: '{rule}' does not hold on {broken.row(0, named=True)}")
    return frame


def _check_order(table: Table, frame: pl.DataFrame) -> None:
    keys = frame.select(table.key)
    if not keys.equals(keys.sort(table.key, nulls_last=False)):
        raise TableError(f"table {table.name}: rows are not sorted by {', '.join(table.key)}")
    if table.unique and keys.is_duplicated().any():
        twice = keys.filter(keys.is_duplicated()).row(0, named=True)
        raise TableError(f"table {table.name}: the key {twice} stands more than once")


class Writer:
    """Writes a table row group by row group; use as a context manager.

    Frames must come sorted by the table's key, each after the one before. The file appears under its name when the
    block ends without an exception, and not at all otherwise.
    """

    def __init__(self, table: Table, path: Path):
        self.table, self.path = table, path
        self.rows = 0
        self._temporary = disk.temporary_for(path)
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = self._pending_bytes = 0
        self._columns: list[str] | None = None
        self._last_key: pl.DataFrame | None = None
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> "Writer":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; raise TableError where they break an invariant, within or across frames."""
        if frame.is_empty():
            return
        frame = validate(self.table, frame)
        if self._columns not in (None, frame.columns):
            raise TableError(f"table {self.table.name}: columns {frame.columns} follow columns {self._columns}")
        self._columns = frame.columns
        first, last = frame.head(1).select(self.table.key), frame.tail(1).select(self.table.key)
        if self._last_key is not None:
            _check_order(self.table, pl.concat([self._last_key, first]))
        self._last_key = last
        self.rows += frame.height
        # Bytes are counted a row at a time, so that row groups do not depend on how rows came in batches.
        sizes = _row_bytes(frame)
        start = 0
        for i, size in enumerate(sizes):
            self._pending_rows += 1
            self._pending_bytes += size
            if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
                self._pending.append(frame[start : i + 1])
                self._flush()
                start = i + 1
        if start < frame.height:
            self._pending.append(frame[start:])

    def _flush(self) -> None:
        # In one piece: Parquet starts a page where a piece ends.
        frame = pl.concat(self._pending, rechunk=True) if self._pending else _empty(self.table)
        data = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._parquet is None:
            metadata = {"stepsift.table": self.table.name, "stepsift.version": str(self.table.version)}
            schema = data.schema.with_metadata(metadata)
            self._parquet = pq.ParquetWriter(self._temporary, schema, compression="zstd")
        self._parquet.write_table(data.cast(self._parquet.schema), row_group_size=ROW_GROUP_ROWS)
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and (self._pending or self._parquet is None):
                self._flush()
            if self._parquet is not None:
                self._parquet.close()
            if kind is None:
                disk.replace_durably(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _empty(table: Table) -> pl.DataFrame:
    return pl.DataFrame(schema=table.schema)


def _row_bytes(frame: pl.DataFrame) -> list[int]:
    """Bytes of text in each row plus 8 for every other value: a rule of the rows alone."""
    texts = [pl.col(c).str.len_bytes().fill_null(0) for c, t in frame.schema.items() if t == pl.String()]
    others = 8 * (len(frame.columns) - len(texts))
    messages = [
        pl.col(c).list.eval(pl.element().struct.field("content").str.len_bytes()).list.sum().fill_null(0)
        for c, t in frame.schema.items()
        if t == MESSAGES
    ]
    return frame.select(pl.sum_horizontal(*texts, *messages, pl.lit(others)).cast(pl.Int64).alias("n"))["n"].to_list()


def write(table: Table, frame: pl.DataFrame, path: Path) -> None:
    """Sort, check and write a whole table; raise TableError where an invariant does not hold."""
    key = [c for c in table.key if c in frame.columns]  # a missing column is for validate() to name
    with Writer(table, path) as writer:
        writer.write(frame.sort(key, nulls_last=False) if key else frame)


def read(table: Table, path: Path) -> pl.DataFrame:
    """Read and check a whole table; raise TableError if it is missing, of another version or broken."""
    parts = list(scan(table, path))
    return validate(table, pl.concat(parts)) if parts else _empty(table)


def scan(table: Table, path: Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield a table one row group at a time; raise TableError if it is missing or of another kind or version."""
    if not path.is_file():
        raise TableError(f"table {table.name}: no file {path}; run the stage that writes it ('dvc repro')")
    try:
        parquet = pq.ParquetFile(path)
        metadata = parquet.schema_arrow.metadata or {}
        seen = (metadata.get(b"stepsift.table", b"?").decode(), metadata.get(b"stepsift.version", b"?").decode())
        if seen not in [(table.name, str(version)) for version in (table.version, *table.older)]:
            raise TableError(
                f"{path} holds table {seen[0]} version {seen[1]}, needed is {table.name} version {table.version}; "
                "run 'dvc repro' to rebuild it"
            )
        absent = {c: t for c, t in table.schema.items() if c not in parquet.schema_arrow.names}
        absent = absent if seen[1] != str(table.version) else {}
        for i in range(parquet.num_row_groups):
            frame = pl.DataFrame(pl.from_arrow(parquet.read_row_group(i, columns=columns)))
            if frame.height:
                nulls = (pl.lit(None, t).alias(c) for c, t in absent.items() if columns is None or c in columns)
                yield frame.with_columns(nulls)
    except (pa.ArrowException, OSError) as e:
        reason = error_line(e)
        raise TableError(f"table {table.name}: {path} is not a readable Parquet file ({reason})") from None


def regroup(frames: Iterator[pl.DataFrame], by: str) -> Iterator[pl.DataFrame]:
    """Yield the same rows, cut so that rows with one value of `by` (the first sort column) never span two frames."""
    held: pl.DataFrame | None = None
    for frame in frames:
        held = frame if held is None else pl.concat([held, frame])
        last = held[by][-1]
        complete = held.filter(pl.col(by) != last)
        if complete.height:
            yield complete
            held = held.filter(pl.col(by) == last)
    if held is not None and held.height:
        yield held


def groups(frames: Iterator[pl.DataFrame], by: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield (value, its rows) in order, for a table whose first sort column is `by`, one row group in memory."""
    for frame in regroup(frames, by):
        for part in frame.partition_by(by, maintain_order=True):
            yield part[by][0], part


def read_part(table: Table, path: Path, columns: list[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
    """These columns of the rows for which `where` holds, one row group in memory at a time; raises as `scan` does."""
    frames = [f if where is None else f.filter(where) for f in scan(table, path, columns)]
    schema = {c: t for c, t in table.schema.items() if columns is None or c in columns}
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def read_rejected(folders: Mapping[str, Path], where: pl.Expr) -> pl.DataFrame:
    """Rows of every stage's table rejected, the column `stage` before them, in the order of `folders`."""
    paths = {stage: folder / REJECTED.file for stage, folder in folders.items()}
    parts = [
        read_part(REJECTED, path, where=where).select(pl.lit(stage).alias("stage"), pl.all())
        for stage, path in paths.items()
        if path.is_file()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"stage": pl.String(), **REJECTED.schema})
