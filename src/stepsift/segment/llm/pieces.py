"""A response to sentences, to pieces that are asked about one by one, and from groups back to steps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from stepsift import params
from stepsift.segment.regions import find_regions
from stepsift.segment.splitter import Steps, split

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")


@dataclass(frozen=True)
class Sentences:
    """A response cut into sentences, and `bounds` [pieces + 1]: piece i is sentences bounds[i] to bounds[i + 1]."""

    response: str
    steps: Steps
    bounds: list[int]

    def pieces(self) -> list[list[str]]:
        """The sentences of each piece of at least two; one sentence is one step whoever is asked."""
        steps = self.steps
        return [
            [self.response[steps.starts[i] : steps.ends[i]] for i in range(low, high)]
            for low, high in pairwise(self.bounds)
            if high - low > 1
        ]

    def steps_of(self, groups: Sequence[Sequence[int]], max_chars: int) -> Steps:
        """Steps from the groups of each of `pieces`, as the number of their last sentence in the piece, from 1.

        A group is cut before a sentence with which a think tag's side changes, so that no step holds both thinking and
        answer, and, as `capped`, before one with which it would be longer than `max_chars`. Its kind is that of its
        first sentence.
        """
        given = iter(groups)
        last = {0}
        for low, high in pairwise(self.bounds):
            last |= {low + end for end in (next(given) if high - low > 1 else (1,))}
        sides = {region.start for region in find_regions(self.response)}
        steps = self.steps
        starts: list[int] = []
        kinds: list[str] = []
        capped: list[bool] = []
        for i, (start, end) in enumerate(zip(steps.starts, steps.ends, strict=True)):
            begins = i in last or start in sides
            too_long = not begins and end - starts[-1] > max_chars
            if begins or too_long:
                starts.append(start)
                kinds.append(steps.kinds[i])
                capped.append(too_long)
                if too_long:
                    capped[-2] = True
            capped[-1] = capped[-1] or steps.capped[i]
        return Steps(starts, [*starts[1:], len(self.response)], kinds, capped)


def cut_sentences(response: str, settings: params.Segment) -> Sentences:
    """The sentences of a response that is not empty, and its pieces.

    Each piece is as long as `max_sentences` and `max_chars` of `settings.llm` allow, and holds a sentence at least.
    Where another follows, it ends at the last blank line in its second half, if there is one.
    """
    llm = settings.llm
    assert llm is not None
    steps = split(response, settings.model_copy(update={"unit": "sentence"}))
    n = len(steps.starts)
    bounds = [0]
    while bounds[-1] < n:
        low = bounds[-1]
        high = low + 1
        while high < n and high - low < llm.max_sentences and steps.ends[high] - steps.starts[low] <= llm.max_chars:
            high += 1
        if high < n:
            middle = low + (high - low) // 2
            blank = (i for i in range(high, middle, -1) if _opens_paragraph(response, steps, i))
            high = next(blank, high)
        bounds.append(high)
    return Sentences(response, steps, bounds)


def _opens_paragraph(response: str, steps: Steps, i: int) -> bool:
    """Whether sentence i stands behind a blank line: the white space between two steps opens the second."""
    text = response[steps.starts[i] : steps.ends[i]]
    return _BLANK_LINE.search(text, 0, len(text) - len(text.lstrip())) is not None
