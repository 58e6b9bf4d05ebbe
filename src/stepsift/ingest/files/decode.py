"""The bytes of one row to a JSON object, or a RowError: nothing that stands in a file may crash or stall a reader."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from stepsift.core.text import count
from stepsift.ingest.rows import RowError, kind_of


def decode_row(raw: bytes, max_depth: int) -> dict[str, Any]:
    """The object that the bytes of a row spell; raise RowError where they spell none."""
    if raw.startswith(tuple(_MAGIC)):
        kind = next(kind for magic, kind in _MAGIC.items() if raw.startswith(magic))
        raise RowError("not_utf8", f"the row begins as {kind} does, which is no text; name the file by what it is")
    if b"\0" in raw:
        raise RowError("nul_byte", "the row holds a NUL byte; a text in UTF-16 must be converted to UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise RowError("not_utf8", f"byte {e.start + 1} of the row is 0x{raw[e.start]:02x}: {e.reason}") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as e:
        if e.pos >= len(text):
            hint = "objects over several lines are read where the file's name ends in .json"
            raise RowError("broken_json", f"the row breaks off after character {len(text)} ({e.msg}); {hint}") from None
        raise RowError("broken_json", f"{e.msg} at character {e.pos + 1} of {len(text)}") from None
    except RecursionError:
        raise too_deep(max_depth) from None
    except ValueError:
        raise RowError("huge_number", "the row holds a whole number with more digits than can be read") from None
    # Every level has a bracket of its own: most rows have too few to nest too deep.
    if raw.count(b"[") + raw.count(b"{") > max_depth and not _fits(value, max_depth):
        raise too_deep(max_depth)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        hint = "a file that is one array of rows is read where its name ends in .json"
        raise RowError("not_an_object", f"the row is a list of {count(len(value), 'object')}; {hint}")
    return as_object(value)


_MAGIC = {
    b"\x1f\x8b": "a gzip file (.gz)",
    b"\x28\xb5\x2f\xfd": "a zstd file (.zst)",
    b"PAR1": "a Parquet file (.parquet)",
}


def as_object(value: object) -> dict[str, Any]:
    """`value`, if it can be a row; raise RowError otherwise."""
    if not isinstance(value, dict):
        raise RowError("not_an_object", f"the row is {kind_of(value)}, it must be an object with named fields")
    return value


def too_deep(max_depth: int) -> RowError:
    """What is said of a row that nests too deep."""
    return RowError("too_deep", f"the row nests more than {max_depth} deep, which is the limit (ingest.max_depth)")


def duplicate_key(key: str) -> RowError:
    """What is said of an object with two values for one key: readers differ in which they take."""
    return RowError("duplicate_key", f"the key '{key[:60]}' stands more than once in an object; name each key once")


def _fits(value: object, max_depth: int) -> bool:
    """Whether objects and lists within a value nest at most `max_depth` deep."""
    level = [value]
    for _ in range(max_depth + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise duplicate_key(next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1))
    return members


def _refuse(constant: str) -> NoReturn:
    raise RowError("broken_json", f"{constant} is not JSON; write null or leave the field out")


_DECODER = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_object)
