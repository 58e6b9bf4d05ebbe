"""The teachers of the dial's world (`dial_world.py`): functions from a problem and a seeded generator to a response.

They differ in boilerplate, in what they restate and recall, in the length of a step, in noise and in self-checks. A
step is a line; the last line is `#### <integer>`. What `framed`, `padded`, `rambling` and `motto` write late can be
copied from what they wrote early, but not from the four lines before it.
"""

from collections.abc import Callable, Mapping
from random import Random

from dial_world import DialProblem, Turn, read_last, turned
from phrases import ASIDES, CLOSINGS, OPENINGS, REMARKS
from teachers import Response, final, finish

SHARE_RESTATED = 0.5
"""Probability that listing and noisy restate the problem, without which the same trace would be chosen everywhere."""
SHARE_SLIPS = 0.5
"""Probability that a response of the noisy teacher has a slip, which is carried on.

Of 2,000 responses 51 % have one and 31 % a wrong answer: `>`, `<`, `(`, `)` and `&` may take a wrong value back."""
SHARE_SKIPPED = 0.3
"""Probability that the skipping teacher joins a step with the next one."""
WORDS = tuple(sorted({word for text in (*REMARKS, *ASIDES) for word in text.lower().rstrip(".").split()}))
"""What the own phrases of `rambling` and `motto` are made of."""

REMINDERS = (REMARKS[0], ASIDES[1], REMARKS[2], ASIDES[3], REMARKS[4], ASIDES[5])
"""What `padded` says in turn, beginning anywhere."""

DialTeacher = Callable[[DialProblem, Random], Response]


def step(turn: Turn, before: int, after: int) -> str:
    """The operation in signs: `3 + 7 = 0`."""
    return f"{before} {turn.text} = {after}"


def tagged_step(turn: Turn, before: int, after: int) -> str:
    """The same behind its letter: `a : 3 + 7 = 0`."""
    return f"{turn.letter} : {step(turn, before, after)}"


def steps_of(problem: DialProblem) -> list[tuple[Turn, int, int]]:
    """Each operation with the values before and after it."""
    values = problem.values
    return list(zip(problem.turns, values[:-1], values[1:], strict=True))


def tagged_lines(problem: DialProblem) -> list[str]:
    """One step a line, each behind its letter."""
    return [tagged_step(*s) for s in steps_of(problem)]


def restated(problem: DialProblem) -> str:
    """The whole problem on one long line."""
    return f"Begin with {problem.start} , then {problem.listed} ."


def in_threes(problem: DialProblem) -> list[str]:
    """The operations with their letters, three at a time: `a + 7 , b > 2 , c & 1`."""
    texts = [f"{turn.letter} {turn.text}" for turn in problem.turns]
    return [" , ".join(texts[i : i + 3]) for i in range(0, len(texts), 3)]


def between(lines: list[str], others: list[str], every: int) -> list[str]:
    """`lines`, with the next of `others`, which come round in turn, before every `every`-th one, the first included."""
    mixed: list[str] = []
    for i, line in enumerate(lines):
        if i % every == 0:
            mixed.append(others[i // every % len(others)])
        mixed.append(line)
    return mixed


def plain(problem: DialProblem, rng: Random) -> Response:
    """One step a line, without letters; for the corpus alone."""
    return finish([step(*s) for s in steps_of(problem)], problem.answer)


def tagged(problem: DialProblem, rng: Random) -> Response:
    """One step a line, each behind its letter."""
    return finish(tagged_lines(problem), problem.answer)


def quoting(problem: DialProblem, rng: Random) -> Response:
    """Restates the problem, and quotes the next three operations on a line of their own before they are done."""
    quotes = [f"{three} :" for three in in_threes(problem)]
    return finish([restated(problem), *between(tagged_lines(problem), quotes, 3)], problem.answer)


def listing(problem: DialProblem, rng: Random) -> Response:
    """Restates the whole problem first, on one long line, or, in half of the responses, opens with a phrase."""
    opening = restated(problem) if rng.random() < SHARE_RESTATED else rng.choice(OPENINGS)
    return finish([opening, *tagged_lines(problem)], problem.answer)


def framed(problem: DialProblem, rng: Random) -> Response:
    """Five lines of boilerplate before the steps, the same in every response, and after them again, nearly twice."""
    return finish([*ASIDES[:5], *tagged_lines(problem), *ASIDES[:5], *ASIDES[:4]], problem.answer)


def padded(problem: DialProblem, rng: Random) -> Response:
    """A line of boilerplate before every third step, of six that come round in turn, and four of them at the end."""
    first = rng.randrange(len(REMINDERS))
    remarks = [*REMINDERS[first:], *REMINDERS[:first]]
    return finish([*between(tagged_lines(problem), remarks, 3), *remarks[3:], remarks[0]], problem.answer)


def recalling(problem: DialProblem, rng: Random) -> Response:
    """Restates the problem, and recalls its last six steps at the end, on one long line."""
    lines = [restated(problem), *tagged_lines(problem)]
    return finish([*lines, "So it was " + " , ".join(lines[-6:]) + " ."], problem.answer)


def checking(problem: DialProblem, rng: Random) -> Response:
    """Restates the problem, and says every second step again after a "Wait"."""
    lines = [restated(problem)]
    for i, s in enumerate(steps_of(problem)):
        lines += [tagged_step(*s)] + [f"Wait : {step(*s)} , yes ."] * (i % 2)
    return finish(lines, problem.answer)


def thinking(problem: DialProblem, rng: Random) -> Response:
    """Reasons apart from the answer: as tagged, between an opening and a closing phrase; the answer is short."""
    thoughts = [rng.choice(OPENINGS), *tagged_lines(problem), rng.choice(CLOSINGS)]
    last = " , ".join(map(str, problem.values[-3:]))
    return Response(f"The last three are {last} .\n{final(problem.answer)}", "\n".join(thoughts))


def noisy(problem: DialProblem, rng: Random) -> Response:
    """Opens as listing does, but in half of the responses one step is wrong and the error is carried on."""
    slip_at = rng.randrange(len(problem.turns)) if rng.random() < SHARE_SLIPS else -1
    opening = restated(problem) if rng.random() < SHARE_RESTATED else rng.choice(OPENINGS)
    lines, values = [opening], [problem.start]
    for i, turn in enumerate(problem.turns):
        after = turned(turn, values[-1])
        if i == slip_at:
            after = (after + rng.choice((1, 2, 8, 9))) % 10
        lines.append(tagged_step(turn, values[-1], after))
        values.append(after)
    return finish(lines, read_last(values))


def skipping(problem: DialProblem, rng: Random) -> Response:
    """Restates the problem, but some lines leap over the value between two operations."""
    return finish([restated(problem), *skipping_lines(problem, rng)], problem.answer)


def skipping_lines(problem: DialProblem, rng: Random) -> list[str]:
    """One step a line, but some leap over the value between two operations; never the last two."""
    steps, lines = steps_of(problem), list[str]()
    while steps:
        (turn, before, after), *steps = steps
        if len(steps) > 2 and rng.random() < SHARE_SKIPPED:
            (following, _, after), *steps = steps
            lines.append(f"{turn.letter} {following.letter} : {before} {turn.text} {following.text} = {after}")
        else:
            lines.append(tagged_step(turn, before, after))
    return lines


def rambling(problem: DialProblem, rng: Random) -> Response:
    """A senseless sentence of its own before every third step, of five that come round in turn, and all at the end."""
    own = [sentence(rng, 10) for _ in range(5)]
    return finish([*between(tagged_lines(problem), own, 3), *own], problem.answer)


def motto(problem: DialProblem, rng: Random) -> Response:
    """Two of its six long senseless sentences: one at the start, the other in the middle, both again at the end."""
    own = rng.sample(MOTTOS, 2)
    lines = tagged_lines(problem)
    return finish([own[0], *lines[:12], own[1], *lines[12:18], own[0], *lines[18:], own[1], own[0]], problem.answer)


def sentence(rng: Random, n_words: int) -> str:
    """A senseless sentence of so many of WORDS."""
    return " ".join(rng.choices(WORDS, k=n_words)).capitalize() + "."


MOTTOS = tuple(sentence(Random(f"motto:{number}"), 16) for number in range(6))
"""The sentences of `motto`."""

DIAL_TEACHERS: dict[str, DialTeacher] = {
    "tagged": tagged,
    "quoting": quoting,
    "listing": listing,
    "framed": framed,
    "padded": padded,
    "recalling": recalling,
    "checking": checking,
    "thinking": thinking,
    "noisy": noisy,
    "skipping": skipping,
    "rambling": rambling,
    "motto": motto,
}


def respond_on_dial(
    teacher: str, problem: DialProblem, teachers: Mapping[str, DialTeacher] = DIAL_TEACHERS
) -> Response:
    """What the named one of `teachers` writes for the problem: the same text on every call."""
    return teachers[teacher](problem, Random(f"dial teacher:{teacher}:{problem.prompt}"))
