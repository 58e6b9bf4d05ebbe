"""Prompt and completion: `prompt, completion`, each text or a list of turns (TRL)."""

from stepsift.ingest.layouts import fields
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    return [fields.one(row, ("prompt",), ("completion",))]
