"""What the first rows of a file hold at each path: how long, how many different, text, turns or a list."""

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stepsift.ingest.layouts import messages
from stepsift.ingest.paths import parsed
from stepsift.ingest.row import is_thought

_DEEPEST = 6
"""Keys and places of a path: deep enough for what programming interfaces answer."""
_MOST_ITEMS = 4
"""Of a list, those that are looked at."""
_MOST_TURNS = 3
"""Of a conversation: a system prompt, a question, an answer."""
_OF_A_TURN = frozenset(("role", "from", "content", "value", "reasoning_content", "tool_calls", "weight"))
"""What belongs to a message itself."""
_OF_A_PART = frozenset(("text", "thinking", "reasoning", "content", "summary"))
"""Where a part of a text has its own."""


@dataclass
class Column:
    """What the rows hold at a path."""

    path: str
    rows: int = 0
    lengths: list[int] = field(default_factory=list)
    """Of its texts; a number's is 0, a list's that of its first text."""
    values: set[str] = field(default_factory=set)
    turns: bool = False
    """Whether it is a list of messages."""
    in_turn: bool = False
    """Whether it stands within a message, beside its text."""
    listed: bool = False
    """Whether it is a list of texts, or stands in each of several objects of a list."""
    thinks: bool = False
    """Whether a text in it begins with reasoning in tags."""
    sentences: bool = False
    """Whether a text in it is more than a word, a name or a number."""

    @property
    def chars(self) -> float:
        """Mean length."""
        return statistics.fmean(self.lengths) if self.lengths else 0.0

    @property
    def words(self) -> list[str]:
        """The parts of its path, in lower case and singular."""
        return words_of(self.path)

    @property
    def own_words(self) -> list[str]:
        """Those of its last name."""
        names = [part for part in self.path.split(".") if not part.isdigit() and part != "*"]
        return words_of(names[-1]) if names else []

    def note(self, value: Any) -> None:
        """Take a value into account."""
        if value in (None, "", []):
            return
        self.rows += 1
        if messages.are_parts(value):
            value = "\n".join(_texts(value))
        if isinstance(value, list):
            self.listed = True
            if are_turns(value):
                self.turns = True
                return
            value = value[0]
        if isinstance(value, str):
            self.sentences = self.sentences or is_thought(value)
            self.thinks = self.thinks or "<think" in value[:200]
        self.lengths.append(len(value) if isinstance(value, str) else 0)
        self.values.add(str(value)[:200])


def words_of(name: str) -> list[str]:
    """The parts of a name, in lower case and singular."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower().rstrip("s") for word in re.split(r"[^A-Za-z0-9]+", split) if word.rstrip("sS")]


def columns_of(rows: list[dict[str, Any]]) -> list[Column]:
    """All paths of the rows, in the order in which they come."""
    columns: dict[str, Column] = {}
    for row in rows:
        for path, value, in_turn in _walk(row, ()):
            column = columns.setdefault(path, Column(path, in_turn=in_turn))
            column.listed = column.listed or ".*." in path
            column.note(value)
    # Lists that have one object in some rows have several in others.
    return [c for c in columns.values() if not any(_starred(c.path, i) in columns for i in _places(c.path))]


def are_turns(value: object) -> bool:
    """Whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and bool(turn.keys() & {"role", "from"}) for turn in value)
    )


def _texts(value: object) -> Iterable[str]:
    """The texts within parts."""
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key in _OF_A_PART:
                yield inner
            elif isinstance(inner, list):
                yield from _texts(inner)


def _walk(value: Any, above: tuple[str, ...], in_turn: bool = False) -> Iterable[tuple[str, Any, bool]]:
    """(path, value, whether it stands within a message) of what is no object, no text that holds one, and no list of
    objects or lists but one of messages or parts."""
    path = ".".join(above)
    if isinstance(value, str) and above and isinstance(inner := parsed(value), dict):
        value = inner
    if isinstance(value, dict) and len(above) < _DEEPEST:
        for key, below in value.items():
            yield from _walk(below, (*above, str(key)), in_turn)
    elif are_turns(value):
        yield path, value, in_turn
        for i, turn in enumerate(value[:_MOST_TURNS] if len(above) < _DEEPEST else ()):
            yield from _walk({k: v for k, v in turn.items() if k not in _OF_A_TURN}, (*above, str(i)), True)
    elif isinstance(value, list) and value and isinstance(value[0], dict) and not messages.are_parts(value):
        place = ("0",) if len(value) == 1 else ("*",)
        for item in value[:_MOST_ITEMS] if len(above) < _DEEPEST else ():
            yield from _walk(item, (*above, *place), in_turn)
    elif isinstance(value, list) and value and isinstance(value[0], list):
        yield from _walk(value[0], (*above, "0"), in_turn)
    else:
        yield path, value, in_turn


def _places(path: str) -> list[int]:
    return [i for i, part in enumerate(path.split(".")) if part == "0"]


def _starred(path: str, place: int) -> str:
    parts = path.split(".")
    return ".".join([*parts[:place], "*", *parts[place + 1 :]])
