"""Copies: the work of a trace, and the same work with a share of text, the dose, that says again what stands elsewhere.

Lines are added until they make up the dose of a response's characters, as nearly as whole lines can. What `echoing` and
`concluding` add was said further back than a window of two lines reaches (FAR); what `restating` adds stands in the
prompt, which every window holds, and what `stuttering` adds on the line before.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from random import Random

from phrases import CLOSINGS, REMARKS
from teachers import Response, Teacher, equation, finish, steps_of
from world import Problem

SAYINGS = (*REMARKS, *CLOSINGS)
"""What `echoing` says in turn in the story problems."""
FAR = ("echoing", "concluding")
DOSES = (0.2, 0.4, 0.6, 0.8)
OPERATIONS = (3, 4)
"""Of a problem: with five and six the bases learned next to nothing from 450 examples."""
WORK = "work"


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
    every, more = divmod(len(take(itertools.cycle(work), dose, work)), len(work))
    return [line for i, line in enumerate(work) for _ in range(1 + every + (i < more))]


COPIES: dict[str, Callable[[list[str], list[str], float], list[str]]] = {
    "echoing": echoing,
    "concluding": concluding,
    "restating": restating,
    "stuttering": stuttering,
}
"""From the lines of a work, what may be put between them, and a dose to the lines with copies."""


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


def with_copies(kind: str, work: list[str], restated: list[str], sayings: list[str], dose: float) -> list[str]:
    """`work` with a dose of copies: of `sayings`, of what the prompt says (`restated`, in pieces), or of the work."""
    return COPIES[kind](work, {"echoing": sayings, "restating": restated}.get(kind, work), dose)


def work_of(problem: Problem) -> list[str]:
    """One equation a line."""
    return [equation(*step) for step in steps_of(problem)]


def sentences_of(problem: Problem) -> list[str]:
    """What the prompt says, an operation a sentence."""
    return [operation.sentence for operation in problem.operations]


def dosed(kind: str, problem: Problem, dose: float) -> Response:
    """The work on a problem with a dose of copies."""
    lines = with_copies(kind, work_of(problem), sentences_of(problem), list(SAYINGS), dose)
    return finish(lines, problem.answer)


def _with(kind: str, dose: float) -> Teacher:
    def teacher(problem: Problem, rng: Random) -> Response:
        return dosed(kind, problem, dose)

    return teacher


DOSE_TEACHERS: dict[str, Teacher] = {
    WORK: _with("stuttering", 0.0),
    **{f"{kind} {dose:g}": _with(kind, dose) for kind in COPIES for dose in DOSES},
}
"""The work without copies, then with each kind of them in each dose."""
