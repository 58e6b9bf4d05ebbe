"""Rows as lines of JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import disk, tables
from stepsift.select.step_masks import DETAIL, TRAIN_END, mask_columns
from stepsift.select.weights import extra_columns

ABOUT = ("prompt_id", "trace_id", "teacher", "licence", "source", "source_line")
"""What every row says of itself."""
LICENCE = pl.col("licence").fill_null(tables.UNKNOWN_LICENCE)
"""Never null: `datasets` takes a column for one of nulls where the first 10 MB of a file have no value, and then fails
at the first one that has."""
Row = dict[str, Any]

# Line separators that JSON leaves as they are, but at which str.splitlines and some readers break a line.
_SEPARATORS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


def write_lines(examples: pl.DataFrame, path: Path, content: Callable[[Row], Row]) -> Path:
    """One JSON object per row, with sorted keys: ABOUT, its weight, TURN and TRAIN_END where it has them,
    and what `content` makes of prompt and response; atomic."""
    encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
    about = (*ABOUT, *extra_columns(examples), *(c for c in mask_columns(examples) if c == TRAIN_END))
    columns = dict.fromkeys((*about, "prompt", "response", *mask_columns(examples)))
    rows = examples.with_columns(LICENCE).select(*columns).iter_rows(named=True)
    lines = (encoder.encode({k: row[k] for k in about} | content(row)).translate(_SEPARATORS) + "\n" for row in rows)
    disk.write_lines(lines, path)
    return path


def assistant(row: Row) -> dict[str, Any]:
    """The response as the assistant's message, byte for byte, with DETAIL where steps are masked."""
    return {"role": "assistant", "content": row["response"]} | detail(row)


def detail(row: Row) -> dict[str, Any]:
    """DETAIL of a row, as a key of its assistant's message, where steps are masked."""
    return {DETAIL: row[DETAIL]} if DETAIL in row else {}
