"""Alpaca: `instruction, input, output`, and LLaMA-Factory's optional `system` and `history: [[user, assistant], ..]`.

`input` follows the instruction after a blank line.
"""

from stepsift.ingest.layouts import fields
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    return [fields.one(row, ("instruction",), ("output",))]
