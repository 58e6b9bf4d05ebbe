"""The unit `marker`: sentences joined to where a blank line stands or a branch opens."""

from typing import Literal

from stepsift.segment import patterns as p
from stepsift.segment.branch import opens_branch
from stepsift.segment.scan import Pieces, Unit, after_space, find_ends


def find_pieces(text: str, start: int, end: int, unit: Unit | Literal["marker"]) -> Pieces:
    """Cut `text[start:end]` as `find_ends` does, by whatever unit.

    A piece of unit `marker` is a run of sentences; its kind is that of the first one.
    """
    if unit != "marker":
        return find_ends(text, start, end, unit)
    sentences = find_ends(text, start, end, "sentence")
    starts: list[int] = []
    kinds: list[str] = []
    for at, kind in zip(sentences.starts, sentences.kinds, strict=True):
        begin = after_space(text, at, end)
        if not starts or p.BLANK_LINE.search(text, at, begin) or opens_branch(text, begin, end):
            starts.append(at)
            kinds.append(kind)
    return Pieces(starts, kinds, sentences.protected)
