"""One row, named fields: `question, solution, answer` (LIMO); `question, thinking_trajectories: [..], attempt` (s1K).

s1K's `solution` is a gold solution and often a whole proof: it is no gold answer unless `fields.answer` says so.
"""

from stepsift.ingest.layouts import messages
from stepsift.ingest.record import Record, about, label
from stepsift.ingest.rows import GUESSES, Row, RowError, kind_of, require_text


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    return [one(row, GUESSES["prompt"], GUESSES["response"])]


def one(row: Row, prompts: tuple[str, ...], responses: tuple[str, ...]) -> Record:
    """The record of a row whose prompt and response stand in fields of these names, or in those that are mapped."""
    where, prompt = row.require("prompt", prompts)
    turns = messages.with_system(row.text("system"), messages.prompt_from(prompt, where))
    beside = reasoning(row)
    return Record(turns, response(row, responses, beside), beside, label=label(row), **about(row))


def response(row: Row, names: tuple[str, ...], beside: str | None) -> str:
    """The response: text, or a list that holds one assistant turn; it may be empty where reasoning stands beside it."""
    where, value = row.require("response", names)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        where, value = f"{where}[0].content", value[0].get("content")
    if beside is not None and value == "":
        return ""
    return require_text(value, where)


def reasoning(row: Row) -> str | None:
    """Reasoning beside the response; a list of trajectories is joined by blank lines."""
    where, value = row.find("reasoning")
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        value = "\n\n".join(value)
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    raise RowError("wrong_type", f"reasoning: field '{where}' is {kind_of(value)}, it must be text or a list of texts")
