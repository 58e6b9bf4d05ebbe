"""Further teachers, for the audition of docs/log/EVIDENCE.md: `make demo` does without them.

As in `teachers.py`: a step is a line, the last line is `#### <integer>`, and all but `noisy` are right.
"""

from random import Random

from phrases import ASIDES, CLOSINGS, OPENINGS, REMARKS
from teachers import (
    SIGNS,
    TEACHERS,
    Response,
    Teacher,
    equation,
    finish,
    mistaken,
    sometimes_worked,
    steps_of,
    symbolic,
)
from world import Problem

SHARE_UNCHECKED = 0.5
"""Probability that the noisy teacher makes a slip, which always makes its final answer wrong."""
SHARE_SKIPPED = 0.35
"""Probability that the skipping teacher joins a step with the next one."""
SHARE_SHOWN = 0.75
"""Probability that the fitful teacher shows its working."""


def noisy(problem: Problem, rng: Random) -> Response:
    """One equation a line, but in about half of the responses one of them is wrong and the error is carried on."""
    return symbolic(problem, rng) if rng.random() >= SHARE_UNCHECKED else mistaken(problem, rng)


def numbered(problem: Problem, rng: Random) -> Response:
    """One equation a line, each with its number."""
    return finish([f"Step {i}: {equation(*s)}" for i, s in enumerate(steps_of(problem), 1)], problem.answer)


def framed(problem: Problem, rng: Random) -> Response:
    """One equation a line, between boilerplate that opens and closes."""
    working = [equation(*step) for step in steps_of(problem)]
    return finish([*rng.sample(OPENINGS, 2), *working, *rng.sample(CLOSINGS, 2)], problem.answer)


def rambling(problem: Problem, rng: Random) -> Response:
    """One equation a line, between two lectures of all the boilerplate there is."""
    phrases = (*OPENINGS, *REMARKS, *ASIDES, *CLOSINGS)
    working = [equation(*step) for step in steps_of(problem)]
    return finish([*rng.sample(phrases, len(phrases)), *working, *rng.sample(phrases, len(phrases))], problem.answer)


def skipping(problem: Problem, rng: Random) -> Response:
    """One equation a line, but some lines leap over the value between two operations."""
    steps, lines = steps_of(problem), []
    while steps:
        (one, before, after), *steps = steps
        if steps and rng.random() < SHARE_SKIPPED:
            (two, _, after), *steps = steps
            lines.append(f"({before} {SIGNS[one.kind]} {one.operand}) {SIGNS[two.kind]} {two.operand} = {after}")
        else:
            lines.append(equation(one, before, after))
    return finish(lines, problem.answer)


def fitful(problem: Problem, rng: Random) -> Response:
    """Shows its working in three of four responses, and gives the answer at once in the others."""
    return sometimes_worked(problem, rng, SHARE_SHOWN)


def hasty(problem: Problem, rng: Random) -> Response:
    """The answer first, then the working as if to justify it."""
    lines = [f"{problem.name} has {problem.answer} {problem.item} now."]
    return finish([*lines, *(equation(*step) for step in steps_of(problem))], problem.answer)


MORE_TEACHERS: dict[str, Teacher] = {
    "noisy": noisy,
    "numbered": numbered,
    "framed": framed,
    "rambling": rambling,
    "skipping": skipping,
    "fitful": fitful,
    "hasty": hasty,
}
ALL_TEACHERS: dict[str, Teacher] = TEACHERS | MORE_TEACHERS
