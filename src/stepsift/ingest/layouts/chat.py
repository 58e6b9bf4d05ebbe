"""Chat messages: `messages: [{role, content}]`, sometimes `reasoning_content` beside `content` (TRL, axolotl).

`fields.prompt` names the conversation where it is not called `messages` or `conversation`.
"""

from stepsift.ingest.layouts import messages
from stepsift.ingest.record import Record, about, label
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError

NAMES = ("messages", "conversation", "conversations")


def read(row: Row) -> list[Record | RowError]:
    """One record: the last assistant turn."""
    where, turns = row.require("prompt", NAMES)
    row.note("response", where)
    prompt, response, reasoning = messages.split(row, turns, where)
    prompt = messages.with_system(row, prompt)
    return [Record(prompt, response, reasoning, label=label(row), **about(row))]
