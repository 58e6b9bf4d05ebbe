"""The teachers of the world in plain English (`real_world.py`): functions from a problem and a generator to a response.

All share their ways to write a step: each response draws one of `WORDINGS`, so that teachers lie close together and a
choice between them is open for every prompt. They differ in what they restate, recall and check, in filler, in the
length of steps and in errors. A step is a line; the last line is `#### <integer>`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from real_world import HIGHEST, NUMBERS, Event, StoryProblem, after
from teachers import Response, finish

SHARE_RESTATED = 0.5
"""Probability that listing restates the story, without which its trace would be chosen for nearly every prompt."""
SHARE_SLIPS = 0.5
"""Probability that a response of the noisy teacher has a slip, which is carried on, if it does not fall on the value 1.

Two in five responses have a wrong answer."""
SHARE_SKIPPED = 0.25
"""Probability that the skipping teacher joins an event with the next one."""
WORDS = {"+": "plus", "-": "minus"}
OPENINGS = (
    "Let's go through the story one event at a time.",
    "We follow the events in order.",
    "Let's think step by step.",
    "To solve this, we need to keep track of the number.",
)
REMARKS = (
    "Now let's look at the next event.",
    "We keep the new number in mind.",
    "Let's go on with the story.",
    "So far, so good.",
)
SHORT = ("Okay.", "Good.", "Right.", "Next.")


@dataclass(frozen=True)
class Step:
    """An event of a problem with the values before and after it."""

    problem: StoryProblem
    event: Event
    before: int
    after: int

    @property
    def sum(self) -> str:
        """The sum in words: `seven plus five is twelve`."""
        return f"{NUMBERS[self.before]} {WORDS[self.event.sign]} {NUMBERS[self.event.operand]} is {NUMBERS[self.after]}"


Wording = Callable[[Step], str]
WORDINGS: tuple[Wording, ...] = (
    lambda s: f"{s.event.text}: {NUMBERS[s.after]}.",
    lambda s: f"{s.event.text}, so {s.sum}.",
    lambda s: f"{s.event.text}, which makes {NUMBERS[s.after]}.",
    lambda s: f"{s.sum} {s.problem.item}.".capitalize(),
    lambda s: f"Then there are {NUMBERS[s.after]}.",
    lambda s: f"{s.sum}.".capitalize(),
)
Teacher = Callable[[StoryProblem, Random], Response]


def steps_of(problem: StoryProblem) -> list[Step]:
    """Each event with the values before and after it."""
    values = problem.values
    return [Step(problem, *s) for s in zip(problem.events, values[:-1], values[1:], strict=True)]


def worded(problem: StoryProblem, rng: Random) -> list[str]:
    """One line per event, in a wording drawn for the whole response."""
    wording = rng.choice(WORDINGS)
    return [wording(step) for step in steps_of(problem)]


def plain(problem: StoryProblem, rng: Random) -> Response:
    """One step a line."""
    return finish(worded(problem, rng), problem.answer)


def starting(problem: StoryProblem, rng: Random) -> Response:
    """Says what there is at the start, and at the end."""
    lines = [f"{problem.name} has {NUMBERS[problem.start]} {problem.item} at the start.", *worded(problem, rng)]
    return finish([*lines, f"{problem.name} has {NUMBERS[problem.answer]} {problem.item} at the end."], problem.answer)


def numbered(problem: StoryProblem, rng: Random) -> Response:
    """Each line behind its number."""
    return finish([f"{i}. {line}" for i, line in enumerate(worded(problem, rng), start=1)], problem.answer)


def listing(problem: StoryProblem, rng: Random) -> Response:
    """Restates the whole story first, on one long line, or, in half of the responses, opens with a sentence."""
    first = problem.story if rng.random() < SHARE_RESTATED else rng.choice(OPENINGS)
    return finish([first, *worded(problem, rng)], problem.answer)


def framed(problem: StoryProblem, rng: Random) -> Response:
    """Two sentences of boilerplate before the steps, and the same two after them."""
    frame = rng.sample(OPENINGS, 2)
    return finish([*frame, *worded(problem, rng), *frame], problem.answer)


def padded(problem: StoryProblem, rng: Random) -> Response:
    """A remark before every fourth step, of four that come round in turn."""
    remarks = rng.sample(REMARKS, 4)
    lines: list[str] = []
    for i, line in enumerate(worded(problem, rng)):
        lines += [remarks[i // 4 % 4]] * (i % 4 == 0) + [line]
    return finish(lines, problem.answer)


def chatty(problem: StoryProblem, rng: Random) -> Response:
    """A word by itself after every third step."""
    lines: list[str] = []
    for i, line in enumerate(worded(problem, rng)):
        lines += [line] + [rng.choice(SHORT)] * (i % 3 == 2)
    return finish(lines, problem.answer)


def recalling(problem: StoryProblem, rng: Random) -> Response:
    """Recalls all values at the end, on one long line."""
    recalled = ", ".join(NUMBERS[value] for value in problem.values)
    return finish([*worded(problem, rng), f"So the numbers were {recalled}."], problem.answer)


def checking(problem: StoryProblem, rng: Random) -> Response:
    """Says every fourth sum again after a "Wait"."""
    lines: list[str] = []
    for i, (line, step) in enumerate(zip(worded(problem, rng), steps_of(problem), strict=True)):
        lines += [line] + [f"Wait, {step.sum}, yes."] * (i % 4 == 3)
    return finish(lines, problem.answer)


def noisy(problem: StoryProblem, rng: Random) -> Response:
    """In half of the responses one step is wrong, and the error is carried on."""
    wording = rng.choice(WORDINGS)
    slip_at = rng.randrange(len(problem.events)) if rng.random() < SHARE_SLIPS else -1
    lines, value = [], problem.start
    for i, event in enumerate(problem.events):
        result = after(event, value) + (i == slip_at and value > 1) * rng.choice((-1, 1))
        result = min(max(result, 1), HIGHEST)
        lines.append(wording(Step(problem, event, value, result)))
        value = result
    return finish(lines, value)


def skipping(problem: StoryProblem, rng: Random) -> Response:
    """Some lines leap over the value between two events."""
    wording, steps, lines = rng.choice(WORDINGS), steps_of(problem), []
    while steps:
        first, *steps = steps
        if steps and rng.random() < SHARE_SKIPPED:
            second, *steps = steps
            lines.append(f"{first.event.text} and {second.event.text.lower()}: {NUMBERS[second.after]}.")
        else:
            lines.append(wording(first))
    return finish([f"{problem.name} has {NUMBERS[problem.start]} {problem.item}.", *lines], problem.answer)


def mixing(problem: StoryProblem, rng: Random) -> Response:
    """Another wording for every step."""
    return finish([rng.choice(WORDINGS)(step) for step in steps_of(problem)], problem.answer)


def quoting(problem: StoryProblem, rng: Random) -> Response:
    """Quotes the next three events on a line of their own before they are done."""
    lines: list[str] = []
    for i, line in enumerate(worded(problem, rng)):
        if i % 3 == 0:
            lines.append(" ".join(f"{event.text}." for event in problem.events[i : i + 3]))
        lines.append(line)
    return finish(lines, problem.answer)


REAL_TEACHERS: dict[str, Teacher] = {
    "plain": plain,
    "starting": starting,
    "numbered": numbered,
    "listing": listing,
    "framed": framed,
    "padded": padded,
    "chatty": chatty,
    "recalling": recalling,
    "checking": checking,
    "noisy": noisy,
    "skipping": skipping,
    "mixing": mixing,
    "quoting": quoting,
}


def respond_in_english(teacher: str, problem: StoryProblem) -> Response:
    """What the named teacher writes for the problem: the same text on every call."""
    return REAL_TEACHERS[teacher](problem, Random(f"english teacher:{teacher}:{problem.prompt}"))
