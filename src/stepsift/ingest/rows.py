"""A source row and what can be wrong with it.

`Row` gives typed access to the fields of one decoded row, by our name for a field: the name that params.yaml maps it
to, else the names that publishers use. Whatever is wrong raises `RowError`, which ends as a row of the `rejected`
table: bad data is a record, never a crash.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

GUESSES: Mapping[str, tuple[str, ...]] = {
    "prompt_id": ("prompt_id",),
    "prompt": ("prompt", "question", "problem", "query"),
    "system": ("system",),
    "response": ("response", "attempt", "solution"),
    "reasoning": ("reasoning_content", "reasoning", "thinking", "thinking_trajectories"),
    "teacher": ("teacher", "model", "generator"),
    "answer": ("answer", "gold_answer", "ground_truth"),
    "answer_kind": ("answer_kind",),
    "domain": ("domain",),
    "licence": ("licence", "license"),
    "label": ("label", "correct", "is_correct"),
    "tests": ("tests",),
}
"""Field names that are tried, in order, where params.yaml maps none. s1K's and OpenR1's `solution` is a gold solution,
but each of those has an `attempt` or `generations`, which are taken first."""

REASONS = (
    "line_too_long",
    "nul_byte",
    "not_utf8",
    "lone_surrogate",
    "too_deep",
    "broken_json",
    "huge_number",
    "duplicate_key",
    "broken_csv",
    "not_an_object",
    "unknown_layout",
    "missing_field",
    "empty_field",
    "wrong_type",
    "wrong_value",
    "unfinished_thinking",
    "corrupt_gzip",
    "corrupt_zstd",
    "unreadable_parquet",
    "unreadable_arrow",
    "prompt_conflict",
    "answer_conflict",
    "duplicate_trace",
)
"""Every reason for which ingest rejects a row."""

DETAIL_CHARS = 200


class RowError(Exception):
    """A row, or one generation of it, that cannot become a trace; `reason` is one of REASONS."""

    def __init__(self, reason: str, detail: str):
        self.reason = reason
        self.detail = printable(detail)
        super().__init__(f"{reason}: {self.detail}")


def printable(text: str) -> str:
    """`text` cut to DETAIL_CHARS characters, everything that does not print replaced by a question mark."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: DETAIL_CHARS + 1])
    return shown if len(shown) <= DETAIL_CHARS else shown[: DETAIL_CHARS - 3] + "..."


def require_text(value: object, where: str) -> str:
    """`value` if it is text with something in it; raise RowError otherwise."""
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{where} is {kind_of(value)}, it must be text")
    if not value.strip():
        raise RowError("empty_field", f"{where} is empty")
    return value


def kind_of(value: object) -> str:
    """The JSON name of a value's type."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


class Row:
    """One decoded row, read by our field names (params.FieldName and `tests`)."""

    def __init__(self, data: Mapping[str, Any], fields: Mapping[Any, Any] | None = None):
        self.data = data
        self.fields = fields or {}

    def find(self, name: str, guesses: tuple[str, ...] | None = None) -> tuple[str, Any]:
        """(the field's name in the file, its value); the value is None where the row has no such field.

        `guesses` replaces the names of GUESSES; a mapped name replaces both.
        """
        if name in self.fields:
            return self.fields[name], walk(self.data, self.fields[name])
        names = GUESSES[name] if guesses is None else guesses
        for guess in names:
            if self.data.get(guess) is not None:
                return guess, self.data[guess]
        return " or ".join(names), None

    def require(self, name: str, guesses: tuple[str, ...] | None = None) -> tuple[str, Any]:
        """As `find`, but raise RowError where the row has no such field or it is null."""
        where, value = self.find(name, guesses)
        if value is None:
            raise RowError("missing_field", f"{name}: field {where} is missing or null; the row has {self.names()}")
        return where, value

    def text(self, name: str) -> str | None:
        """An optional text field; None where it is missing, null or blank."""
        where, value = self.find(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise RowError("wrong_type", f"{name}: field '{where}' is {kind_of(value)}, it must be text")
        return value if value.strip() else None

    def scalar(self, name: str) -> str | None:
        """An optional field that may be text, a finite number or a UUID, as text; None where missing, null or blank."""
        where, value = self.find(name)
        if isinstance(value, str):
            return value.strip() or None
        if value is None:
            return None
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise RowError("wrong_type", f"{name}: field '{where}' is {kind_of(value)}, it must be text or a number")
        if not math.isfinite(value):
            what = "infinite" if math.isinf(value) else "not a number (NaN)"
            raise RowError("wrong_type", f"{name}: field '{where}' is {what}, it must be text or a finite number")
        return format(value, "f") if isinstance(value, Decimal) else str(value)

    def names(self) -> str:
        """The row's field names, for a message."""
        return ", ".join(str(k)[:40] for k in list(self.data)[:12]) or "none"


def walk(data: Any, path: str) -> Any:
    """The value at a dotted path in nested objects, None where there is none. A key with a dot in it is tried first."""
    if not isinstance(data, Mapping):
        return None
    if path in data:
        return data[path]
    head, dot, rest = path.partition(".")
    return walk(data.get(head), rest) if dot else None
