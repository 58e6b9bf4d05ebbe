"""One row, named fields: `question, solution, answer` (LIMO); `question, thinking_trajectories: [..], attempt` (s1K).

s1K's `solution` is a gold solution and often a whole proof: it is no gold answer unless `fields.answer` says so.
"""

from stepsift.ingest.layouts import chat, messages, reasoning
from stepsift.ingest.record import Record, about, label
from stepsift.ingest.row import GUESSES, Row
from stepsift.ingest.rows import RowError, require_text


def read(row: Row) -> list[Record | RowError]:
    """One record."""
    return [one(row, (*GUESSES["prompt"], *chat.NAMES), GUESSES["response"])]


def one(row: Row, prompts: tuple[str, ...], responses: tuple[str, ...]) -> Record:
    """The record of a row whose prompt and response stand in fields of these names, or in those that are mapped."""
    turns = messages.asked(row, prompts)
    beside = reasoning.of_row(row)
    text, thought = response(row, responses, beside)
    return Record(turns, text, thought, label=label(row), **about(row))


def response(row: Row, names: tuple[str, ...], beside: str | None) -> tuple[str, str | None]:
    """Response and reasoning: text, a list of turns of which the last one of an assistant counts, or the parts of one.

    The response may be empty where reasoning, which is `beside` it or among its parts, is all that there is.
    """
    where, value = row.require("response", names)
    value = messages.stored_parts(value)
    if messages.are_turns(value):
        where, value, thought = messages.last_answer(value, where)
        beside = beside or thought
    if beside is not None and value in ("", None):
        return "", beside
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        content = messages.content(value, where)
        return content.text, content.reasoning or beside
    return require_text(value, where), beside
