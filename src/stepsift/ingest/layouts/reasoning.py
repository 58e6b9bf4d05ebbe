"""Reasoning that a source keeps beside an answer: in a field, in several, or among the parts of its content.

Publishers write text, a list of texts, objects like `{type: reasoning.text, text}` or `{summary: [{text}]}`, and pieces
of a stream, which have the same `index`. Of several fields the first that is filled counts: an empty one hides nothing.
What was redacted or encrypted is left out.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from stepsift.core.text import count
from stepsift.ingest.row import GUESSES, Row, is_thought
from stepsift.ingest.rows import RowError, kind_of

_MORE = ("reasoning_details", "thinking_content", "reasoning_text", "thoughts", "thought")
NAMES = tuple(dict.fromkeys((*GUESSES["reasoning"], *_MORE)))
"""Keys under which a message or a row keeps reasoning, in the order in which they are tried."""

_TEXTS = ("text", "thinking", "reasoning", "reasoning_content", "reasoning_text", "content", "value")
_SUMMARY = "summary"
HIDDEN = ("redacted", "encrypted")
"""Words in the types of parts that nobody can read."""
_SWITCHES = frozenset(
    (
        *("on", "off", "true", "false", "yes", "no", "none", "null", "auto", "enabled", "disabled"),
        *("minimal", "low", "medium", "high"),
    )
)
"""What a field says of how a teacher was run, not what it thought."""


def beside(holder: Mapping[str, Any], where: str) -> str | None:
    """The reasoning that a message or a row keeps under one of NAMES; raise RowError where it is no text."""
    wrong: RowError | None = None
    for name in NAMES:
        if name not in holder:
            continue
        try:
            text = text_of(holder.get(name), f"reasoning: field '{name}' of {where}")
        except RowError as e:
            wrong = wrong or e
            continue
        if text is not None:
            return text
    if wrong is not None:
        raise wrong
    return None


def of_row(row: Row) -> str | None:
    """Reasoning beside a row's only response."""
    if "reasoning" in row.fields:
        where, value = row.find("reasoning")
        if isinstance(value, str) and value.strip().lower() in _SWITCHES:
            raise RowError(
                "wrong_value", f"reasoning: field '{where}' is '{value}', a switch; map reasoning to its text"
            )
        return text_of(value, f"reasoning: field '{where}'")
    # A single word in a column that nobody mapped says how a teacher was run, or of what class the row is.
    free = {name: v for name, v in row.free("reasoning", NAMES).items() if not isinstance(v, str) or is_thought(v)}
    if not free:
        return None
    text = beside(free, "the row")
    if text is not None:
        row.note("reasoning", row.column(next(name for name in NAMES if _holds_text(free.get(name)))))
    return text


def of_generations(row: Row, generations: int) -> tuple[str, list[Any]]:
    """(the field, its value for each generation) of reasoning beside a row's generations: a list as long as theirs.

    A list of another length says nothing of single ones; it is an error where a rule maps it.
    """
    if row.fields.get("reasoning"):
        where, value = row.find("reasoning")
        values = value if isinstance(value, list) else [value]
        if value is not None and len(values) != generations:
            raise RowError("wrong_value", f"{where} holds {count(len(values), 'value')} for {generations} generations")
        return where, values if value is not None else [None] * generations
    for name, value in row.free("reasoning", NAMES).items():
        values = value if isinstance(value, list) else [value]
        is_word = isinstance(value, str) and not is_thought(value)
        if len(values) == generations and not is_word and any(map(_holds_text, values)):
            row.note("reasoning", row.column(name))
            return name, values
    return "", [None] * generations


def _holds_text(value: object) -> bool:
    try:
        return text_of(value, "") is not None
    except RowError:
        return False


def of_conversation(row: Row) -> str | None:
    """Reasoning that a row keeps beside a whole conversation; a field of that name may hold anything else."""
    try:
        return of_row(row)
    except RowError:
        if "reasoning" in row.fields:
            raise
        return None


def text_of(value: object, where: str) -> str | None:
    """Reasoning as text, None where there is none; raise RowError where it is something else."""
    if isinstance(value, str):
        blank = not value.strip() or value.strip().lower() in _SWITCHES
        return None if blank else value
    if value is None or isinstance(value, bool | int | float | Decimal):
        return None
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value).strip() or None
    if isinstance(value, list):
        return _of_parts(value, where)
    if isinstance(value, dict):
        return _of_parts([value], where)
    raise _wrong(value, where)


def _of_parts(parts: list[Any], where: str) -> str | None:
    """Texts of a list of objects; a summary counts where nothing else is there."""
    texts: list[str] = []
    summaries: list[str] = []
    before: object = None
    for part in parts:
        text: str | None
        if isinstance(part, str):
            text, summary, index = part, None, None
        elif isinstance(part, dict):
            (text, summary), index = _of_part(part, where), part.get("index")
        else:
            raise _wrong(part, where)
        if text is not None:
            # Pieces of one stream of text follow each other without a gap.
            if texts and index is not None and index == before:
                texts[-1] += text
            else:
                texts.append(text)
            before = index
        if summary is not None:
            summaries.append(summary)
    return "\n".join(texts or summaries).strip() or None


def _of_part(part: dict[str, Any], where: str) -> tuple[str | None, str | None]:
    """(text, summary) of one object."""
    if any(word in str(part.get("type", "")) for word in HIDDEN):
        return None, None
    named = [name for name in _TEXTS if part.get(name) is not None]
    summary = text_of(part.get(_SUMMARY), where)
    if not named and summary is None and not part.keys() & {"type", "data", "signature", _SUMMARY, *_TEXTS}:
        raise _wrong(part, where)
    value = part[named[0]] if named else None
    return value if isinstance(value, str) else text_of(value, where), summary


def _wrong(value: object, where: str) -> RowError:
    return RowError("wrong_type", f"{where} is or holds {kind_of(value)}, it must be text or a list of texts")
