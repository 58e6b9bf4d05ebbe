"""Many generations a row: `problem, generations: [..], correctness_math_verify: [..], answer` (OpenR1-Math).

Every generation is a trace of its own. A field that holds one value for each generation (labels, teachers, reasoning)
must be as long as the list of generations.
"""

from typing import Any

from stepsift.core.text import count
from stepsift.ingest.layouts import messages, reasoning
from stepsift.ingest.record import Record, about, as_label
from stepsift.ingest.row import GENERATIONS, GUESSES, Row
from stepsift.ingest.rows import RowError, kind_of, require_text

LABELS = ("correctness_math_verify", *GUESSES["label"])


def read(row: Row) -> list[Record | RowError]:
    """A record, or what was wrong with it, for each generation, in the row's order."""
    where, texts = row.require("response", GENERATIONS)
    if not isinstance(texts, list):
        raise RowError("wrong_type", f"{where} is {kind_of(texts)}, it must be a list of texts")
    if not texts:
        raise RowError("empty_field", f"{where} holds no generation")
    return [_generation(row, where, texts, i) for i in range(len(texts))]


def _said(value: object, where: str, beside: str | None) -> tuple[str, str | None]:
    """Response and reasoning of one generation, which is text, its parts, or turns; `beside` stands beside it."""
    if beside is not None and value in ("", None):
        return "", beside
    value = messages.stored_parts(value)
    content, thought = value, None
    if messages.are_turns(value):
        where, content, thought = messages.last_answer(value, where)
    elif not messages.are_parts(value):
        return require_text(value, where), beside
    parts = messages.content(content, where) if content or thought is None else messages.Content("")
    return parts.text, parts.reasoning or thought or beside


def _generation(row: Row, where: str, texts: list[Any], i: int) -> Record | RowError:
    def pick(value: object, field: str) -> object:
        if not isinstance(value, list):
            return value
        if len(value) != len(texts):
            raise RowError(
                "wrong_value", f"{field} holds {count(len(value), 'value')} for {count(len(texts), 'generation')}"
            )
        return value[i]

    try:
        turns = messages.asked(row, ("problem", *GUESSES["prompt"]))
        label_field, labels = row.find("label", LABELS)
        label = as_label(pick(labels, label_field), f"{label_field}[{i}]")
        field, thoughts = reasoning.of_generations(row, len(texts))
        beside = reasoning.text_of(thoughts[i], f"reasoning: field '{field}'[{i}]")
        text, thought = _said(texts[i], f"{where}[{i}]", beside)
        return Record(turns, text, thought, label=label, **about(row, pick))
    except RowError as e:
        return e
