"""Think tags: what is thought and what is answered never share a step."""

from collections.abc import Iterator
from typing import NamedTuple

from stepsift.segment import patterns as p
from stepsift.segment.scan import after_space, before_space


class Region(NamedTuple):
    """`text[start:end]` is cut by itself; `text[low:high]` is its body, without tags and white space around it."""

    start: int
    low: int
    high: int
    end: int


def find_regions(text: str) -> Iterator[Region]:
    """Cut `text` before every run of `<think>` and after every run of `</think>`.

    A region is any number of `<think>`, a body, any number of `</think>`; white space between two regions opens the
    second. Where tags enclose nothing, and in white space alone, the body is empty (low == high).
    """
    start = low = high = done = 0
    closed = False
    for tag in p.TAG.finditer(text):
        at, after = tag.span()
        closing = text[at + 1] == "/"
        text_between = p.NOT_WHITE_SPACE.search(text, done, at) is not None
        if closed and (text_between or not closing):
            yield Region(start, low, high, done)
            start = low = high = done
        if text_between:
            low, high = after_space(text, done, at), before_space(text, at)
            if not closing:
                yield Region(start, low, high, high)
                start = low = high
        closed, done = closing, after
    text_after = p.NOT_WHITE_SPACE.search(text, done) is not None
    if closed and text_after:
        yield Region(start, low, high, done)
        start = done
    if text_after:
        low, high = after_space(text, done, len(text)), before_space(text, len(text))
    if text:
        yield Region(start, low, high, len(text))
