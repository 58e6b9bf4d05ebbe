"""What every layout reads a row into: one record for each response."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepsift.core.tables import ANSWER_KINDS
from stepsift.ingest.paths import parsed
from stepsift.ingest.row import LABEL_WORDS, Row
from stepsift.ingest.rows import MISSING, RowError, as_text, is_missing, kind_of, require_text

Message = dict[str, str]
"""{"role": system, user or assistant; "content": text}"""

ALTERNATIVES = "\n-- or --\n"
"""Between the gold answers of a row that has several, each of which is right."""


@dataclass(frozen=True)
class Record:
    """One response as its source gives it; None where the source says nothing."""

    prompt: list[Message]
    """All turns before the response."""
    response: str
    """The response as the source has it; may hold inline reasoning."""
    reasoning: str | None = None
    """Reasoning that the source keeps beside the response."""
    prompt_id: str | None = None
    """The source's own id of the prompt."""
    teacher: str | None = None
    answer: str | None = None
    """Gold answer, or several with ALTERNATIVES between them."""
    answer_kind: str | None = None
    domain: str | None = None
    label: bool | None = None
    """Whether the source says that the response is correct."""
    tests: str | None = None
    """Tests of a programming problem; JSON where the source has no text."""
    licence: str | None = None


def same(value: object, where: str) -> object:
    """`value`: what a row says of its only response."""
    return value


def about(row: Row, pick: Callable[[object, str], object] = same) -> dict[str, Any]:
    """The fields of a Record that every layout reads alike: all but prompt, response, reasoning and label.

    `pick` takes from (value, name of the field) what belongs to one of a row's several responses.
    """
    return {
        "prompt_id": prompt_id(row),
        "teacher": teacher(row, pick),
        "answer": answer(row),
        "answer_kind": answer_kind(row),
        "domain": row.text("domain"),
        "tests": tests(row),
        "licence": licence(row),
    }


def prompt_id(row: Row) -> str | None:
    """The source's own id; an id that params.yaml maps must be there."""
    if row.fields.get("prompt_id"):
        row.require("prompt_id")
    return row.scalar("prompt_id")


def teacher(row: Row, pick: Callable[[object, str], object] = same) -> str | None:
    """The teacher that the row names; one that params.yaml maps must be there, else the file's name would stand in."""
    where, value = row.require("teacher") if row.fields.get("teacher") else row.find("teacher")
    value = pick(value, where)
    if not row.fields.get("teacher") and (value is None or is_missing(value)):
        return None
    return require_text(value, f"teacher: field '{where}'").strip()


def answer(row: Row) -> str | None:
    """The gold answer, several of a list, or the letter of an option that is named by its place, counted from 0."""
    where, value = row.find("answer")
    if isinstance(value, list):
        several = [as_text(item, f"answer: field '{where}'[{i}]") for i, item in enumerate(value)]
        return ALTERNATIVES.join(dict.fromkeys(text for text in several if text and text not in MISSING)) or None
    text = as_text(value, f"answer: field '{where}'")
    if text is not None:
        return None if text in MISSING else _with_inner(text)
    where, value = row.find("answer_index")
    place = as_text(value, f"answer_index: field '{where}'")
    if place is None:
        return None
    if not place.isascii() or not place.isdigit() or int(place) >= _LETTERS:
        raise RowError(
            "wrong_value", f"answer_index: field '{where}' is '{place[:40]}', it must be 0 to {_LETTERS - 1}"
        )
    return chr(ord("A") + int(place))


_LETTERS = 26


def _with_inner(text: str) -> str:
    """A gold answer; of a list of one text that is stored as JSON (`["4"]`), that text is right, too."""
    inner = parsed(text)
    if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], str) or not inner[0].strip():
        return text
    return ALTERNATIVES.join((inner[0].strip(), text))


def answer_kind(row: Row) -> str | None:
    """How the gold answer is compared, where the row says so."""
    kind = row.text("answer_kind")
    if kind is not None and kind not in ANSWER_KINDS:
        raise RowError("wrong_value", f"answer_kind is '{kind[:40]}', it must be one of {', '.join(ANSWER_KINDS)}")
    return kind


def tests(row: Row) -> str | None:
    """Tests as text; raise RowError where they are no JSON."""
    _, value = row.find("tests")
    if value is None or value == "" or isinstance(value, str):
        return value or None
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except TypeError:  # a map of Parquet whose keys are of several kinds, or none of JSON's
        raise RowError(
            "wrong_type", "tests has keys that are not all text; write them as JSON, or as one text"
        ) from None


def licence(row: Row) -> str | None:
    """The licence that the row names; a field that only looks like one may hold anything."""
    value = row.text("licence") if row.fields.get("licence") else row.find("licence")[1]
    return value.strip() or None if isinstance(value, str) else None


def label(row: Row) -> bool | None:
    """The source's own verdict on a row's only response."""
    where, value = row.find("label")
    return as_label(value, f"label: field '{where}'")


def as_label(value: object, where: str) -> bool | None:
    """true, false, 1, 0 or one of LABEL_WORDS as a label; null and a number in between say nothing.

    Raises RowError otherwise.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and 0 <= value <= 1:
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str) and (not value.strip() or value.strip().lower() in LABEL_WORDS):
        return LABEL_WORDS.get(value.strip().lower())
    raise RowError(
        "wrong_type",
        f"{where} is {kind_of(value)}, it must be true, false, null, a number from 0 to 1, or a word such as yes; "
        "map fields.label to another field",
    )
