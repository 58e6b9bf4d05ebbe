"""The limits on a step's length: short pieces join a neighbour, long ones are cut."""

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

from stepsift.segment import patterns as p
from stepsift.segment.scan import Pieces, after_space, before_space, find_ends

_ZERO_WIDTH_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


@lru_cache(maxsize=16)
def _holds(n: int) -> re.Pattern[str]:
    """Matches where at least `n` characters are not white space."""
    return re.compile(rf"(?:\s*+\S){{{n}}}")


def join_short(text: str, pieces: Pieces, end: int, min_chars: int, max_chars: int) -> tuple[list[int], list[str]]:
    """Starts and kinds after each piece with fewer than `min_chars` characters that are not white space joined the
    next piece, or the one before where the next would grow beyond `max_chars` or there is none; else it stands alone.

    The kind of a joined piece is that of its last part, or of the part that took the short one in.
    """
    holds = _holds(min_chars).match
    starts: list[int] = []
    kinds: list[str] = []
    held, held_kind, held_chars = -1, "", 0

    def release(until: int) -> None:
        if not starts or until - starts[-1] > max_chars:
            starts.append(held)
            kinds.append(held_kind)

    ends = pieces.starts[1:]
    ends.append(end)
    for first, stop, kind in zip(pieces.starts, ends, pieces.kinds, strict=True):
        start = first
        chars = min_chars if holds(text, start, stop) else sum(map(len, text[start:stop].split()))
        if held >= 0:
            if stop - held <= max_chars:
                start, chars = held, held_chars + chars
            else:
                release(start)
            held = -1
        if chars < min_chars:
            held, held_kind, held_chars = start, kind, chars
        else:
            starts.append(start)
            kinds.append(kind)
    if held >= 0:
        release(end)
    return starts, kinds


def cut_long(text: str, span: tuple[int, int], body: tuple[int, int], kind: str, max_chars: int) -> list[int]:
    """Where to cut the step `text[slice(*span)]`, which is longer than `max_chars`; tags around `body` stay with it.

    A cut falls at the last place within the limit that is, in this order: the end of a sentence, white space outside
    maths, the end of a line, any white space, between two characters. Code and tables are cut at ends of lines first.
    A run of white space as long as the limit is not counted, because white space never stands alone.
    """
    start, end = span
    outer = before_space(text, end)
    low, high = max(start, body[0]), min(outer, body[1])
    if low >= high or low - start >= max_chars or outer - high >= max_chars:
        low, high = start, outer
    low = after_space(text, low, high)
    levels = _cut_places(text, low, high, kind)
    last = end if end - outer < max_chars else outer
    cuts: list[int] = []
    pos = start
    while True:
        lead = max(low, after_space(text, pos, high))
        limit = (pos if lead - pos < max_chars else lead) + max_chars
        if last <= limit:
            return cuts
        if lead + 1 >= high:
            if high == outer:
                return cuts
            # One character and the tags behind it are too long together: the tags have to go.
            high = outer
            levels = _cut_places(text, lead, high, kind)
        pos = _best_cut(text, levels, lead, min(limit, high - 1))
        cuts.append(pos)


def _cut_places(text: str, start: int, end: int, kind: str) -> list[list[int]]:
    """Sorted places to cut within text[start:end], the best sort of place first."""
    spaces: list[int] = []
    lines: list[int] = []
    for run in p.WHITE_SPACE_RUN.finditer(text, start, end):
        spaces.append(run.start())
        if p.LINE_BREAK.search(text, run.start(), run.end()):
            lines.append(run.start())
    if kind in ("code", "table"):
        return [lines, spaces]
    sentences = find_ends(text, start, end, "sentence")
    return [sentences.starts, _outside(spaces, sentences.protected), lines, spaces]


def _outside(places: list[int], spans: list[tuple[int, int]]) -> list[int]:
    kept: list[int] = []
    i = 0
    for place in places:
        while i < len(spans) and spans[i][1] <= place:
            i += 1
        if i == len(spans) or place <= spans[i][0]:
            kept.append(place)
    return kept


def _best_cut(text: str, levels: list[list[int]], low: int, high: int) -> int:
    """A place p to cut with low < p <= high."""
    for places in levels:
        i = bisect_right(places, high)
        if i and places[i - 1] > low:
            return places[i - 1]
    for tag in p.TAG.finditer(text, max(low + 1, high - len("</think>")), high + len("</think>")):
        if tag.start() < high < tag.end():
            return before_space(text, tag.start())
    cut = high
    while cut > low + 1 and _joined(text[cut - 1], text[cut]):
        cut -= 1
    return cut if cut > low + 1 else high


def _joined(before: str, after: str) -> bool:
    """Whether two characters are seen as one: combining marks, variation selectors, joined emoji."""
    return unicodedata.category(after)[0] == "M" or _ZERO_WIDTH_JOINER in (before, after) or ord(after) in _SKIN_TONES
