"""What can be wrong with a row of a source, and how its values are named and checked.

Whatever is wrong raises `RowError`, which ends as a row of the `rejected` table: bad data is a record, never a crash.
"""

import math
from decimal import Decimal
from uuid import UUID

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
    "tool_calls",
    "images",
    "filtered",
    "unfinished_thinking",
    "corrupt_gzip",
    "corrupt_zstd",
    "unreadable_parquet",
    "unreadable_arrow",
    "answer_conflict",
    "duplicate_trace",
)
"""Every reason for which ingest rejects a row."""
UNREADABLE = {
    "nul_byte",
    "not_utf8",
    "broken_json",
    "broken_csv",
    "corrupt_gzip",
    "corrupt_zstd",
    "unreadable_parquet",
    "unreadable_arrow",
}
"""Of these, those that lie in the bytes of a file: no rule for reading its columns mends them."""

MISSING = frozenset(("None", "null", "nan", "NaN", "<NA>", "N/A", "n/a"))
"""What programs write where nothing is; compared with it as a gold answer, every response would be wrong."""

DETAIL_CHARS = 200
_END_CHARS = 90


class RowError(Exception):
    """A row, or one generation of it, that cannot become a trace; `reason` is one of REASONS."""

    def __init__(self, reason: str, detail: str):
        self.reason = reason
        self.detail = printable(detail)
        super().__init__(f"{reason}: {self.detail}")


def printable(text: str) -> str:
    """`text` in at most DETAIL_CHARS characters, everything that does not print replaced by a question mark.

    What is too long is cut in the middle, where values stand: what to do stands at the end.
    """
    shown = "".join(c if c.isprintable() else "?" for c in text)
    if len(shown) <= DETAIL_CHARS:
        return shown
    return f"{shown[: DETAIL_CHARS - _END_CHARS - 3]}...{shown[-_END_CHARS:]}"


def require_text(value: object, where: str) -> str:
    """`value` if it is text with something in it; raise RowError otherwise."""
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{where} is {kind_of(value)}, it must be text")
    if not value.strip():
        raise RowError("empty_field", f"{where} is empty")
    return value


def is_missing(value: object) -> bool:
    """Whether a value is text that stands for none."""
    return isinstance(value, str) and value.strip() in MISSING


def is_nan(value: object) -> bool:
    """Whether a value is the number that stands for none, as tables have it in columns of numbers."""
    return isinstance(value, float | Decimal) and math.isnan(value)


def kind_of(value: object) -> str:
    """The JSON name of a value's type."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def as_text(value: object, where: str) -> str | None:
    """Text, a finite number or a UUID as text; None where null, NaN or blank; raise RowError otherwise."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or is_nan(value):
        return None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict) and value:
        key = str(next(iter(value)))[:40]
        raise RowError(
            "wrong_type", f"{where} is an object, it must be text or a number; map a path into it (.. .{key})"
        )
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise RowError("wrong_type", f"{where} is {kind_of(value)}, it must be text or a number")
    if not isinstance(value, int) and not math.isfinite(value):
        raise RowError("wrong_type", f"{where} is infinite, it must be text or a finite number")
    return format(value, "f") if isinstance(value, Decimal) else str(value)
