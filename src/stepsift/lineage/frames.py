"""Parts of tables: some columns and some rows, one row group in memory at a time."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from stepsift.core import tables

TRACE_COLUMNS = [c for c in tables.TRACES.schema if c != "response"]


def read(
    table: tables.Table, path: Path, columns: list[str] | None = None, where: pl.Expr | None = None
) -> pl.DataFrame:
    """These columns of the rows for which `where` holds; raises TableError as `tables.scan` does."""
    frames = [f if where is None else f.filter(where) for f in tables.scan(table, path, columns)]
    schema = {c: t for c, t in table.schema.items() if columns is None or c in columns}
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def rejected(folders: Mapping[str, Path], where: pl.Expr) -> pl.DataFrame:
    """Rows of every stage's table rejected, the column `stage` before them, in the order of `folders`."""
    paths = {stage: folder / "rejected.parquet" for stage, folder in folders.items()}
    parts = [
        read(tables.REJECTED, path, where=where).select(pl.lit(stage).alias("stage"), pl.all())
        for stage, path in paths.items()
        if path.is_file()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"stage": pl.String(), **tables.REJECTED.schema})
