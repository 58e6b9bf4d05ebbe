"""What every layout reads a row into: one record for each response."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepsift.core.tables import ANSWER_KINDS
from stepsift.ingest.rows import Row, RowError, kind_of, require_text

Message = dict[str, str]
"""{"role": system, user, assistant or tool; "content": text}"""


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
    """Gold answer."""
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
        "answer": row.scalar("answer"),
        "answer_kind": answer_kind(row),
        "domain": row.text("domain"),
        "tests": tests(row),
        "licence": licence(row),
    }


def prompt_id(row: Row) -> str | None:
    """The source's own id; an id that params.yaml maps must be there."""
    if "prompt_id" in row.fields:
        row.require("prompt_id")
    return row.scalar("prompt_id")


def teacher(row: Row, pick: Callable[[object, str], object] = same) -> str | None:
    """The teacher that the row names; one that params.yaml maps must be there, else the file's name would stand in."""
    where, value = row.require("teacher") if "teacher" in row.fields else row.find("teacher")
    value = pick(value, where)
    if value is None and "teacher" not in row.fields:
        return None
    return require_text(value, f"teacher: field '{where}'").strip()


def answer_kind(row: Row) -> str | None:
    """How the gold answer is compared, where the row says so."""
    kind = row.text("answer_kind")
    if kind is not None and kind not in ANSWER_KINDS:
        raise RowError("wrong_value", f"answer_kind is '{kind[:40]}', it must be one of {', '.join(ANSWER_KINDS)}")
    return kind


def tests(row: Row) -> str | None:
    """Tests as text."""
    _, value = row.find("tests")
    if value is None or value == "" or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def licence(row: Row) -> str | None:
    """The licence that the row names; a field that only looks like one may hold anything."""
    value = row.text("licence") if "licence" in row.fields else row.find("licence")[1]
    return value.strip() or None if isinstance(value, str) else None


def label(row: Row) -> bool | None:
    """The source's own verdict on a row's only response."""
    where, value = row.find("label")
    return as_label(value, f"label: field '{where}'")


def as_label(value: object, where: str) -> bool | None:
    """true, false, null, 1 or 0 as a label; raise RowError otherwise."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise RowError(
        "wrong_type", f"{where} is {kind_of(value)}, it must be true, false or null; map fields.label to another field"
    )
