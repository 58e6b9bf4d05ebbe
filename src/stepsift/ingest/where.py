"""Rows that a rule reads: an expression of Polars' SQL over their columns, batch by batch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import polars as pl

from stepsift.core.errors import SourceError
from stepsift.core.text import error_line
from stepsift.ingest.rows import RowError

_BATCH_ROWS = 32
"""Rows that are held at once; each may be as long as ingest.max_line_bytes."""

NumberedRow = tuple[int, dict[str, Any] | RowError]


def columns(where: str) -> list[str]:
    """The columns that an expression names, each once."""
    return sorted(set(pl.sql_expr(where).meta.root_names()))


def filtered(rows: Iterator[NumberedRow], where: str, file: str, seen: set[str]) -> Iterator[NumberedRow]:
    """The rows; one for which the expression is not true becomes a RowError `filtered`. All columns go into `seen`.

    Raises SourceError, which names the expression, the file and the columns, where it cannot be evaluated.
    """
    expression, names = pl.sql_expr(where), columns(where)
    while batch := list(islice(rows, _BATCH_ROWS)):
        good = [row for _, row in batch if not isinstance(row, RowError)]
        seen.update(*good)
        keeps = iter(
            _evaluate(expression, good, names, f"rows {batch[0][0]} to {batch[-1][0]} of {file}: where '{where}'")
        )
        for number, row in batch:
            if isinstance(row, RowError) or next(keeps):
                yield number, row
            else:
                yield number, RowError("filtered", f"the rule's where is not true of this row: {where}")


def _evaluate(expression: pl.Expr, rows: list[dict[str, Any]], names: list[str], place: str) -> list[bool]:
    if not rows:
        return []
    kinds = ""
    try:
        frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in names}, strict=False)
        kinds = ", ".join(f"{name} ({kind})" for name, kind in frame.schema.items())
        keep = frame.select(keep=expression)["keep"]
        if keep.dtype not in (pl.Boolean, pl.Null):
            raise TypeError(f"it gives {keep.dtype} and not true or false")
    except Exception as e:  # what Polars makes of strange values is open: an overflow, a type that it does not know
        raise SourceError(
            f"{place} of their rule cannot be evaluated: {error_line(e)}; its columns: {kinds or ', '.join(names)}"
        ) from None
    return [value is True for value in keep]
