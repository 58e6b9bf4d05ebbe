"""The bytes of one row to a JSON object, or a RowError: nothing that stands in a file may crash or stall a reader."""

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from stepsift.ingest.rows import RowError, kind_of

# An unterminated string runs to the end: if it did not match, every quote behind it would be tried again.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(b for b in range(256) if b not in b"[]{}")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def decode(raw: bytes, max_depth: int) -> dict[str, Any]:
    """The object that the bytes of a row spell; raise RowError where they spell none."""
    if b"\0" in raw:
        raise RowError("nul_byte", "the row holds a NUL byte; a text in UTF-16 must be converted to UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise RowError("not_utf8", f"byte {e.start + 1} of the row is 0x{raw[e.start]:02x}: {e.reason}") from None
    if raw.count(b"[") + raw.count(b"{") > max_depth and (found := depth(raw)) > max_depth:
        raise RowError("too_deep", f"the row nests {found} deep, allowed are {max_depth} (ingest.max_depth)")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as e:
        raise RowError("broken_json", f"{e.msg} at character {e.pos + 1} of {len(text)}") from None
    except ValueError:
        raise RowError("huge_number", "the row holds a whole number with more digits than can be read") from None
    if not isinstance(value, dict):
        raise RowError("not_an_object", f"the row is {kind_of(value)}, it must be an object with named fields")
    return value


def depth(raw: bytes) -> int:
    """How deep brackets nest outside of strings."""
    brackets = _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _refuse(constant: str) -> NoReturn:
    raise RowError("broken_json", f"{constant} is not JSON; write null or leave the field out")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
