"""Further teachers, for the audition on the demo's world: `make demo` does without them.

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
SHARE_SHOWN = 0.5
"""Probability that the fitful teacher shows its working."""
ASIDES_A_STEP = 4
"""Of the rambling teacher, all different."""


def noisy(problem: Problem, rng: Random) -> Response:
    """One equation a line, but in about half of the responses one of them is wrong and the error is carried on."""
    return symbolic(problem, rng) if rng.random() >= SHARE_UNCHECKED else mistaken(problem, rng)


def rambling(problem: Problem, rng: Random) -> Response:
    """As padded, with nearly twice as much boilerplate around each step."""
    lines = [*rng.sample(OPENINGS, 2), *rng.sample(ASIDES, 2)]
    for step in steps_of(problem):
        lines += [*rng.sample(REMARKS, 2), equation(*step), *rng.sample(ASIDES, ASIDES_A_STEP)]
    return finish([*lines, *rng.sample(CLOSINGS, 3)], problem.answer)


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
    """Shows its working in half of the responses, and gives the answer at once in the others."""
    return sometimes_worked(problem, rng, SHARE_SHOWN)


def hasty(problem: Problem, rng: Random) -> Response:
    """The answer first, then the working as if to justify it."""
    lines = [f"{problem.name} has {problem.answer} {problem.item} now."]
    return finish([*lines, *(equation(*step) for step in steps_of(problem))], problem.answer)


MORE_TEACHERS: dict[str, Teacher] = {
    "noisy": noisy,
    "rambling": rambling,
    "skipping": skipping,
    "fitful": fitful,
    "hasty": hasty,
}
ALL_TEACHERS: dict[str, Teacher] = TEACHERS | MORE_TEACHERS
