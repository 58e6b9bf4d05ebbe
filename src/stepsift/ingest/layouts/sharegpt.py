"""ShareGPT: `conversations: [{from: human|gpt, value}]`, optional `system` (OpenThoughts, LLaMA-Factory).

`fields.prompt` names the conversation where it is not called `conversations`.
"""

from stepsift.ingest.layouts import messages
from stepsift.ingest.record import Record, about, label
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError

NAMES = ("conversations", "conversation", "messages")


def read(row: Row) -> list[Record | RowError]:
    """One record: the last assistant turn."""
    where, turns = row.require("prompt", NAMES)
    row.note("response", where)
    prompt, response, reasoning = messages.split(row, turns, where)
    prompt = messages.with_system(row, prompt)
    return [Record(prompt, response, reasoning, label=label(row), **about(row))]
