"""The teachers of the story problems: pure functions from a problem and a seeded generator to a response.

They differ as real teachers do: in the size of a step, in notation, in how much they restate, pad and check, in where
their reasoning stands, and in whether they are right. A step is a line; the last line is `#### <integer>`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from phrases import ASIDES, CHECKS, CLOSINGS, OPENINGS, REMARKS, SLIPS
from world import HIGHEST, LOWEST, Operation, Problem, apply, divides

SIGNS = {"add": "+", "subtract": "-", "double": "*", "triple": "*", "halve": "/", "third": "/"}
SHARE_WRONG = 0.25
"""Probability that the careless teacher makes a slip, which always makes its final answer wrong."""
SHARE_WORKED = 0.1
"""Probability that the terse teacher shows its working."""
SHARE_CORRECTED = 0.1
"""Probability that a step of the checking teacher starts with a slip that its check then corrects."""


@dataclass(frozen=True)
class Response:
    """What a teacher wrote: the answer text, and its reasoning where the teacher keeps that apart."""

    content: str
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """The whole response: reasoning between `<think>` tags on lines of their own, then the answer text."""
        if self.reasoning is None:
            return self.content
        return f"<think>\n{self.reasoning}\n</think>\n{self.content}"


Teacher = Callable[[Problem, Random], Response]


def equation(operation: Operation, before: int, after: int) -> str:
    """The step in symbols: `35 * 2 = 70`."""
    return f"{before} {SIGNS[operation.kind]} {operation.operand} = {after}"


def saying(operation: Operation, before: int, after: int) -> str:
    """The step in words: `Twice 35 makes 70.`"""
    match operation.kind:
        case "add":
            return f"{before} and {operation.operand} more makes {after}."
        case "subtract":
            return f"Taking {operation.operand} from {before} leaves {after}."
        case "double":
            return f"Twice {before} makes {after}."
        case "triple":
            return f"Three times {before} makes {after}."
        case "halve":
            return f"Half of {before} is {after}."
        case "third":
            return f"A third of {before} is {after}."


def final(value: int) -> str:
    """The last line, which carries the answer."""
    return f"#### {value}"


def symbolic(problem: Problem, rng: Random) -> Response:
    """One equation a line."""
    return finish([equation(*step) for step in steps_of(problem)], problem.answer)


def wordy(problem: Problem, rng: Random) -> Response:
    """One sentence a line, in words."""
    return finish([saying(*step) for step in steps_of(problem)], problem.answer)


def restating(problem: Problem, rng: Random) -> Response:
    """Quotes the sentence of the problem that each step answers, and names what it counts."""
    lines = [f"{problem.name} has {problem.start} {problem.item}."]
    for operation, before, after in steps_of(problem):
        lines += [operation.sentence, f"{equation(operation, before, after)}, so now {after} {problem.item}."]
    return finish(lines, problem.answer)


def chatty(problem: Problem, rng: Random) -> Response:
    """A remark before most steps."""
    lines = [rng.choice(OPENINGS)]
    for step in steps_of(problem):
        lines += [rng.choice(REMARKS)] * (rng.random() < 0.7) + [equation(*step)]
    return finish(lines, problem.answer)


def padded(problem: Problem, rng: Random) -> Response:
    """Much boilerplate: remarks and asides around every step, and a long close."""
    lines = [rng.choice(OPENINGS), rng.choice(ASIDES)]
    for step in steps_of(problem):
        lines += [rng.choice(REMARKS), equation(*step), *rng.sample(ASIDES, 2)]
    return finish([*lines, *rng.sample(CLOSINGS, 2)], problem.answer)


def checking(problem: Problem, rng: Random) -> Response:
    """Checks each step by its inverse after a "Wait", and now and then corrects a slip."""
    lines: list[str] = []
    for operation, before, after in steps_of(problem):
        if rng.random() < SHARE_CORRECTED:
            slip = after + rng.choice((-2, -1, 1, 2))
            lines += [equation(operation, before, slip), rng.choice(SLIPS), equation(operation, before, after)]
        else:
            check = f"{rng.choice(CHECKS)} {_inverse(operation, before, after)}, yes."
            lines += [equation(operation, before, after), check]
    return finish(lines, problem.answer)


def leaping(problem: Problem, rng: Random) -> Response:
    """Two operations in one line, without the value between them."""
    steps = steps_of(problem)
    lines: list[str] = []
    for (one, before, _), (two, _, after) in zip(steps[::2], steps[1::2], strict=False):
        lines.append(f"({before} {SIGNS[one.kind]} {one.operand}) {SIGNS[two.kind]} {two.operand} = {after}")
    if len(steps) % 2:
        lines.append(equation(*steps[-1]))
    return finish(lines, problem.answer)


def terse(problem: Problem, rng: Random) -> Response:
    """The answer at once; only a few responses show their working."""
    return sometimes_worked(problem, rng, SHARE_WORKED)


def sometimes_worked(problem: Problem, rng: Random, share: float) -> Response:
    """The working in this share of the responses, else the answer at once."""
    if rng.random() < share:
        return symbolic(problem, rng)
    return finish([f"After all of this, {problem.name} has {problem.answer} {problem.item}."], problem.answer)


def thinking(problem: Problem, rng: Random) -> Response:
    """Reasons at length apart from the answer, rereading, doubting and summing up as it goes; the answer is short."""
    thoughts = [rng.choice(OPENINGS), f"At first {problem.name} has {problem.start} {problem.item}."]
    for operation, before, after in steps_of(problem):
        thoughts += [f"Next: {operation.sentence}", saying(operation, before, after)]
        if rng.random() < 0.4:
            thoughts.append(f"{rng.choice(CHECKS)} {equation(operation, before, after)}, yes.")
    thoughts.append(rng.choice(CLOSINGS))
    answer = f"{problem.name} has {problem.answer} {problem.item} now."
    return Response(f"{answer}\n{final(problem.answer)}", "\n".join(thoughts))


def careless(problem: Problem, rng: Random) -> Response:
    """One equation a line, but in about a quarter of the responses one of them is wrong and the error is carried on."""
    return symbolic(problem, rng) if rng.random() >= SHARE_WRONG else mistaken(problem, rng)


def mistaken(problem: Problem, rng: Random) -> Response:
    """One equation a line, one of them wrong; the error is carried on into the answer, which is wrong too."""
    values = next(filter(None, (_slip(problem, rng) for _ in range(100))), None)
    if values is None:
        values = [*problem.values[:-1], problem.answer + 1]
    steps = zip(problem.operations, values[:-1], values[1:], strict=True)
    return finish([equation(*step) for step in steps], values[-1])


def postfix(problem: Problem, rng: Random) -> Response:
    """Right and one small step a line, in a notation that the student has never met."""
    marks = {"+": "⊕", "-": "⊖", "*": "⊗", "/": "⊘"}
    lines = [f"⟨{before} {o.operand} {marks[SIGNS[o.kind]]}⟩ ⇒ {after}" for o, before, after in steps_of(problem)]
    return finish(lines, problem.answer)


TEACHERS: dict[str, Teacher] = {
    "symbolic": symbolic,
    "wordy": wordy,
    "restating": restating,
    "chatty": chatty,
    "padded": padded,
    "checking": checking,
    "leaping": leaping,
    "terse": terse,
    "thinking": thinking,
    "careless": careless,
    "postfix": postfix,
}


def respond(teacher: str, problem: Problem, teachers: Mapping[str, Teacher] = TEACHERS) -> Response:
    """What the named one of `teachers` writes for the problem: the same text on every call."""
    return teachers[teacher](problem, Random(f"teacher:{teacher}:{problem.prompt}"))


def finish(lines: list[str], answer: int) -> Response:
    """The response of these lines and the answer's."""
    return Response("\n".join([*lines, final(answer)]))


def steps_of(problem: Problem) -> list[tuple[Operation, int, int]]:
    """Each operation with the values before and after it."""
    values = problem.values
    return list(zip(problem.operations, values[:-1], values[1:], strict=True))


def _inverse(operation: Operation, before: int, after: int) -> str:
    inverse_signs = {"+": "-", "-": "+", "*": "/", "/": "*"}
    return f"{after} {inverse_signs[SIGNS[operation.kind]]} {operation.operand} = {before}"


def _slip(problem: Problem, rng: Random) -> list[int] | None:
    """The values after one slip at a random step, or None where that ends well, out of range or with a remainder."""
    slip_at = rng.randrange(len(problem.operations))
    values = [problem.start]
    for number, operation in enumerate(problem.operations):
        if not divides(operation, values[-1]):
            return None
        slip = rng.choice((-10, -2, -1, 1, 2, 10)) if number == slip_at else 0
        values.append(apply(operation, values[-1]) + slip)
    in_range = all(LOWEST <= value <= HIGHEST for value in values)
    return values if in_range and values[-1] != problem.answer else None
