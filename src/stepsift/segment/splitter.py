"""One response to its steps."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from stepsift import params
from stepsift.segment.limits import cut_long, join_short
from stepsift.segment.markers import find_pieces
from stepsift.segment.regions import Region, find_regions
from stepsift.segment.scan import Pieces, before_space

KINDS = ("text", "heading", "list", "table", "code", "math", "think_tag")
"""The block in which a step begins: prose, a heading, a list item, a table, fenced code, a formula alone on its
line; `think_tag` is a step that holds nothing but think tags."""


class Steps(NamedTuple):
    """The steps of one response as lists of the same length, in order.

    Step i is `response[starts[i]:ends[i]]`; `capped` says that it is a part of a step that was too long.
    """

    starts: list[int]
    ends: list[int]
    kinds: list[str]
    capped: list[bool]


def split(response: str, settings: params.Segment) -> Steps:
    """Cut a response into steps that cover it without gap or overlap; the rules are in the package's docstring.

    Where a file or a model says the steps of table steps, this is the text by `settings.rules`.

    Offsets count Python characters. An empty response has no steps, one of white space alone has one.
    """
    starts: list[int] = []
    kinds: list[str] = []
    capped: list[bool] = []
    for region in find_regions(response):
        for at, until, kind in _pieces(response, region, settings):
            cuts: list[int] = []
            if until - at > settings.max_step_chars:
                cuts = cut_long(response, (at, until), (region.low, region.high), kind, settings.max_step_chars)
            starts += [at, *cuts]
            kinds += [kind] * (1 + len(cuts))
            capped += [bool(cuts)] * (1 + len(cuts))
    return Steps(starts, [*starts[1:], len(response)] if starts else [], kinds, capped)


def step_ends(response: str, settings: params.Segment) -> np.ndarray:
    """End offsets of the steps of a response, in characters; int64 [steps]."""
    return np.asarray(split(response, settings).ends, dtype=np.int64)


def _pieces(text: str, region: Region, settings: params.Segment) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of what the rules cut a region into, before the longest step is minded."""
    if region.low < region.high:
        pieces = find_pieces(text, region.low, region.high, settings.rules)
        pieces.starts[0] = region.start
    else:
        white = before_space(text, region.end) <= region.start
        pieces = Pieces([region.start], ["text" if white else "think_tag"], [])
    starts, kinds = join_short(text, pieces, region.end, settings.min_step_chars, settings.max_step_chars)
    return zip(starts, [*starts[1:], region.end], kinds, strict=True)
