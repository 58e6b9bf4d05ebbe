"""Markers around reasoning in a text: where they stand, and which of them the text only speaks of."""

import re
from bisect import bisect_left
from dataclasses import dataclass

from stepsift.ingest.thinking.families import TAGGED


@dataclass(frozen=True, slots=True)
class Tag:
    """A marker at `start` to `end` of a text; `family` is the place of its family in TAGGED."""

    start: int
    end: int
    family: int
    closing: bool


_KNOWN = {
    marker.lower(): (number, closing)
    for number, family in enumerate(TAGGED)
    for closing, markers in ((False, family.opens), (True, family.closes))
    for marker in markers
}
_XML = re.compile(r"</?[a-z][a-z0-9_:]*>")
_SENTENCES = ("here is my ", "here's my ", "here are my ")
"""How sentences begin that are markers."""
_LITERALS = [marker for marker in _KNOWN if not _XML.fullmatch(marker)]


def _beginning_with(first: str) -> str:
    return "|".join(re.escape(m[len(first) :]) for m in sorted(_LITERALS, key=len, reverse=True) if m.startswith(first))


_NAME = r"\s?(/?)\s?([a-z][a-z0-9_:]{2,23})(?:\s[^<>]{0,80})?"
# One pattern for each first character: `re` then looks for that character alone until it finds one.
_ANGLE = re.compile(rf"<(?:(?:{_beginning_with('<')})|{_NAME}>)", re.IGNORECASE)
_ESCAPED = re.compile(rf"&lt;{_NAME}&gt;", re.IGNORECASE)
_OTHERS = [
    (first, re.compile(rf"{first_}(?:{_beginning_with(first)})", re.IGNORECASE))
    for first, first_ in (("[", r"\["), ("◁", "◁"), *((words, words) for words in _SENTENCES))
]

_WORDS = tuple(opening for family in TAGGED for opening in family.opens if opening[0].isalpha())

_QUOTES = frozenset("`\"'“”‘’«»")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def find(text: str) -> list[Tag]:
    """All markers of all families, in the order in which they stand."""
    tags = [_tag(m, m[0] if m[2] is None else f"<{m[1]}{m[2]}>") for m in _ANGLE.finditer(text)]
    if "&lt;" in text:
        tags += [_tag(m, f"<{m[1]}{m[2]}>") for m in _ESCAPED.finditer(text)]
    for first, pattern in _OTHERS:
        # Words are markers only in a text that begins with the opening ones.
        if first in text if len(first) == 1 else text.startswith(_WORDS):
            tags += [_tag(m, m[0]) for m in pattern.finditer(text)]
    return sorted((t for t in tags if t is not None), key=lambda t: t.start)


def _tag(match: re.Match[str], marker: str) -> Tag | None:
    known = _KNOWN.get(marker.lower())
    return Tag(*match.span(), *known) if known else None


def is_quoted(text: str, tag: Tag) -> bool:
    """Whether a marker stands between quotation marks or in code within a line."""
    return text[tag.start - 1 : tag.start] in _QUOTES and text[tag.end : tag.end + 1] in _QUOTES


def is_a_word(text: str, tag: Tag) -> bool:
    """Whether a marker stands within a sentence, as a word of it: "the closing </think> tag"."""
    before, after = text[max(0, tag.start - 2) : tag.start], text[tag.end : tag.end + 2]
    joined = len(before) == 2 and before[1] == " " and (before[0].isalpha() or before[0] in ",;(")
    return joined and ((after[:1] == " " and after[1:].islower()) or after[:1] in tuple(",.;:)?!"))


class Fences:
    """Where the fenced blocks of a text begin and end."""

    def __init__(self, text: str):
        self._text = text
        self._at = [m.start() for m in _FENCE.finditer(text)] if "```" in text or "~~~" in text else []

    def hold(self, tag: Tag, since: int, opens: list[int]) -> bool:
        """Whether a closing marker belongs to the code of a block that opened at or after `since`, and so ends nothing.

        `opens` are the places of the opening markers of its family. In a block that is closed, a marker is code where
        it is not alone on its line or follows its opening one there: a block that reasoning left open is closed by the
        first fence of the answer.
        """
        first, here = bisect_left(self._at, since), bisect_left(self._at, tag.start)
        if (here - first) % 2 == 0 or here == len(self._at):
            return False
        opened = bisect_left(opens, tag.start)
        return (opened > 0 and opens[opened - 1] > self._at[here - 1]) or not self._alone(tag)

    def _alone(self, tag: Tag) -> bool:
        line = self._text[max(0, tag.start - 1) : tag.start], self._text[tag.end : tag.end + 1]
        return all(c in ("", "\n") for c in line)
