"""ShareGPT: `conversations: [{from: human|gpt, value}]`, optional `system` (OpenThoughts, LLaMA-Factory).

`fields.prompt` names the conversation where it is not called `conversations`.
"""

from stepsift.ingest.layouts import messages
from stepsift.ingest.record import Record, about, label
from stepsift.ingest.rows import Row, RowError

NAMES = ("conversations", "conversation")


def read(row: Row) -> list[Record | RowError]:
    """One record: the last assistant turn."""
    where, turns = row.require("prompt", NAMES)
    prompt, response, reasoning = messages.split(row, turns, where, ("from", "value"))
    prompt = messages.with_system(row.text("system"), prompt)
    return [Record(prompt, response, reasoning, label=label(row), **about(row))]
