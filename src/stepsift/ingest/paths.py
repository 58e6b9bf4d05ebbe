"""Paths into a row: keys of objects, places in lists, `*` for all of a list, and through text that holds JSON."""

import ast
import io
import itertools
import json
import re
import tokenize
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_LITERAL_CHARS = 100_000
"""Longest text that is read as Python writes objects; JSON may be as long as the row."""
_SIDE_BY_SIDE = re.compile(r"""['"}]\s+['"{]""")


def walk(data: Any, path: str) -> Any:
    """The value at a path, None where there is none. A key with a dot in it is tried first."""
    if isinstance(data, str):
        data = parsed(data)
    head, dot, rest = path.partition(".")
    if isinstance(data, Mapping):
        if path in data:
            return data[path]
        return walk(data.get(head), rest) if dot else None
    if not isinstance(data, list):
        return None
    if head == "*":
        return [walk(item, rest) if dot else item for item in data]
    try:
        item = data[int(head)]
    except (ValueError, IndexError):
        return None
    return walk(item, rest) if dot else item


@lru_cache(maxsize=4)
def parsed(text: str) -> Any:
    """The object or list that a text of JSON holds, or one that Python wrote (`{'answer': 4}`); None where none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if without_commas(text):
        return None
    try:
        return ast.literal_eval(text.strip()) if len(text) <= _LITERAL_CHARS else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def without_commas(text: str) -> bool:
    """Whether a text is a list as numpy writes it (`['a' 'b']`), and so a table of pandas that is saved as CSV.

    Python would join texts that stand side by side to one.
    """
    if not text.lstrip().startswith("[") or len(text) > _LITERAL_CHARS or not _SIDE_BY_SIDE.search(text):
        return False
    try:
        tokens = [t for t in tokenize.generate_tokens(io.StringIO(text.strip()).readline) if t.type != tokenize.NL]
    except (tokenize.TokenError, SyntaxError):
        return False
    return any(
        a.type == b.type == tokenize.STRING or (a.string, b.string) == ("}", "{") for a, b in itertools.pairwise(tokens)
    )


def turns(value: object) -> object:
    """A conversation that is stored as JSON text, as the list that it is; every other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    decoded = parsed(value)
    whole = (
        isinstance(decoded, list)
        and decoded
        and all(isinstance(t, dict) and t.keys() & {"role", "from"} for t in decoded)
    )
    return decoded if whole else value


def column(data: Mapping[str, Any], path: str) -> str:
    """The column of a row in which a path begins."""
    return path if path in data else path.partition(".")[0]
