"""What the dial's student is pre-trained on: single steps, short problems, reading, filler and repetition.

No problem with more than five operations is ever solved here.
"""

from collections.abc import Callable
from random import Random

from corpus import Document, filler, passage, repeated
from dial_teachers import plain, step, steps_of, tagged
from dial_world import LENGTHS, LETTERS, DialProblem, make_dial_problem

SHORT = (1, 2, 3, 4, 5)
SHARE_INTERRUPTED = 0.4
"""Probability that filler stands before a line of an interrupted solution."""


def short_dial_problem(rng: Random) -> Document:
    """A problem of one to five operations, whose letters begin anywhere, solved with or without them."""
    problem = _draw(rng, SHORT)
    solve = rng.choice((plain, tagged, tagged))
    return problem.prompt, solve(problem, rng).text


def dial_facts(rng: Random) -> Document:
    """A list of unrelated single steps."""
    return "", "\n".join(step(*steps_of(_draw(rng, (1,)))[0]) for _ in range(rng.randint(6, 14)))


def dial_reading(rng: Random) -> Document:
    """A problem of any length, and its operations one a line, without any value."""
    problem = _draw(rng, (*SHORT, 8, 16, *LENGTHS))
    return problem.prompt.partition(" What")[0] + " What is done ?", "\n".join(
        f"{turn.letter} : {turn.text}" for turn in problem.turns
    )


def interrupted(rng: Random) -> Document:
    """A problem of one to five operations, solved with letters, with lines of filler before two of five steps."""
    problem = _draw(rng, SHORT)
    lines: list[str] = []
    for line in tagged(problem, rng).text.split("\n"):
        if rng.random() < SHARE_INTERRUPTED:
            lines += passage(rng, rng.randint(1, 3)).split("\n")
        lines.append(line)
    return problem.prompt, "\n".join(lines)


DIAL_MIXTURE: dict[Callable[[Random], Document], float] = {
    short_dial_problem: 0.3,
    dial_facts: 0.25,
    dial_reading: 0.2,
    filler: 0.05,
    repeated: 0.05,
    interrupted: 0.15,
}
"""Share of each kind among the documents of the corpus."""


def _draw(rng: Random, lengths: tuple[int, ...]) -> DialProblem:
    length = rng.choice(lengths)
    first = rng.randint(0, len(LETTERS) - length)
    return make_dial_problem(f"corpus:{rng.getrandbits(64)}", (length,), LETTERS[first:])
