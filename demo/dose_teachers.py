"""Teachers of the dial's world in which a share of the text, the dose, says again what stands elsewhere.

`tagged`, `listing` and `noisy` are those of the demo and have no dose. The others work as `tagged` does, line by line,
and add lines until these make up the dose of a response's characters, as nearly as whole lines can. What `echoing` and
`concluding` add was said further back than a window of four lines reaches (FAR); what `restating` adds stands in the
prompt, which every window holds, and what `stuttering` adds on the line before (NEAR).
"""

import itertools
from collections.abc import Iterable, Iterator
from random import Random

from dial_teachers import DIAL_TEACHERS, DialTeacher, in_threes, sentence, tagged_lines
from dial_world import DialProblem
from teachers import Response, finish

SAYINGS = tuple(sentence(Random(f"saying:{number}"), 4) for number in range(9))
"""What `echoing` says in turn."""
FAR, NEAR = ("echoing", "concluding"), ("restating", "stuttering")
WITHOUT = ("tagged", "listing", "noisy")
MOST_DOSE = 0.8
OPERATIONS = (7, 8, 9)
"""Of a problem: few, since at the highest dose five sixths of a response are copies, and the student has read 768
tokens at once."""


def echoing(work: list[str], pieces: list[str], dose: float) -> list[str]:
    """Short sentences that come round in turn, spread over the work; the first time round they are part of it."""
    added = take(itertools.cycle(pieces), dose, [*work, *pieces]) if dose else []
    return spread(work, [*pieces, *added] if dose else [])


def concluding(work: list[str], pieces: list[str], dose: float) -> list[str]:
    """All steps again at the end, in their order, over and over."""
    return [*work, *take(itertools.cycle(work), dose, work)]


def restating(work: list[str], pieces: list[str], dose: float) -> list[str]:
    """What the prompt says, piece by piece, over and over, spread over the work."""
    return spread(work, take(itertools.cycle(pieces), dose, work))


def stuttering(work: list[str], pieces: list[str], dose: float) -> list[str]:
    """Each line is said again at once, once or several times."""
    added = take(itertools.cycle(work), dose, work)
    return [line for line in work for _ in range(1 + added.count(line))]


COPIES = {"echoing": echoing, "concluding": concluding, "restating": restating, "stuttering": stuttering}
"""From the lines of a work, what may be put between them, and a dose to the lines with copies."""


def dosed(name: str, problem: DialProblem, dose: float) -> Response:
    """The work of `tagged` with a dose of copies: of SAYINGS, of the work, or of three operations of the problem."""
    pieces = {"echoing": list(SAYINGS), "restating": [f"{three} ." for three in in_threes(problem)]}
    work = tagged_lines(problem)
    return finish(COPIES[name](work, pieces.get(name, work), dose), problem.answer)


def dose_teachers(copied: tuple[str, ...], dose: float) -> dict[str, DialTeacher]:
    """Those without a dose, and those named in `copied` (FAR or NEAR) with it."""

    def with_dose(name: str) -> DialTeacher:
        return lambda problem, rng: dosed(name, problem, dose)

    return {name: DIAL_TEACHERS[name] for name in WITHOUT} | {name: with_dose(name) for name in copied}


def take(lines: Iterator[str], dose: float, work: Iterable[str]) -> list[str]:
    """As many `lines` as make their share of all characters come nearest to `dose`, below 1; newlines count."""
    wanted = dose / (1 - dose) * sum(len(line) + 1 for line in work)
    taken: list[str] = []
    length = 0
    for line in lines:
        if length + (len(line) + 1) / 2 > wanted:
            return taken
        taken.append(line)
        length += len(line) + 1
    return taken


def spread(work: list[str], others: list[str]) -> list[str]:
    """`work` with `others` in their order between its lines, as evenly as whole lines can be."""
    ends = [round(len(others) * (i + 1) / len(work)) for i in range(len(work))]
    begins = [0, *ends[:-1]]
    return [line for i, own in enumerate(work) for line in (*others[begins[i] : ends[i]], own)]
