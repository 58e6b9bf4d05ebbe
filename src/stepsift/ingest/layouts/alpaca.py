"""Alpaca: `instruction, input, output`, and LLaMA-Factory's optional `system` and `history: [[user, assistant], ..]`.

`input` follows the instruction after a blank line.
"""

from dataclasses import replace

from stepsift.ingest.layouts import fields
from stepsift.ingest.record import Message, Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError, kind_of, require_text


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    record = fields.one(row, ("instruction",), ("output",))
    *before, instruction = record.prompt
    extra = row.get("input")
    if extra is not None and not isinstance(extra, str):
        raise RowError("wrong_type", f"input is {kind_of(extra)}, it must be text")
    if extra and extra.strip():
        row.note("prompt", row.column("input"))
        instruction = {"role": "user", "content": f"{instruction['content']}\n\n{extra}"}
    return [replace(record, prompt=[*before, *history(row), instruction])]


def history(row: Row) -> list[Message]:
    """Earlier turns, oldest first."""
    pairs = row.get("history")
    if pairs is None:
        return []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise RowError("wrong_type", f"history is {kind_of(pairs)}, it must be a list of [user, assistant] pairs")
    row.note("prompt", row.column("history"))
    return [
        {"role": role, "content": require_text(text, f"history[{i}]")}
        for i, pair in enumerate(pairs)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
