"""Prompt and completion: `prompt, completion`, each text or a list of turns (TRL)."""

from stepsift.readers import fields
from stepsift.readers.record import Record
from stepsift.readers.rows import Row, RowError


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    return [fields.one(row, ("prompt",), ("completion",))]
