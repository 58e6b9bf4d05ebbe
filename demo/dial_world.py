"""The demo's world: a dial with the digits 0 to 9 that a long chain of small operations turns.

    Begin with 3 , then a + 7 , b > 2 , c & 1 , d - 4 . What are the last three ?

Each operation has a letter by which a trace may name it. `+` and `-` are digit-wise sums (the carry is dropped), `>`
and `<` the larger and the smaller of a list, `&` appends a bit in base two, `(` and `)` open and close brackets, whose
depth stays within 0 to 9. The answer is the last three values, read as one number: a guess is right once in hundreds.
Problems are drawn as in `world.py`: each from its own generator, seeded with a string.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from distinct import distinct

LENGTHS = (23, 24, 25)
"""Numbers of operations of the pool and of the evaluation."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Names of operations, in order."""
DOMAINS: dict[str, str] = {"sums": "+-", "lists": "+><", "bits": "-&", "brackets": "()+"}
"""Signs of the operations of a domain."""


@dataclass(frozen=True)
class Turn:
    """One operation: its letter, its sign and its operand, a digit."""

    letter: str
    sign: str
    operand: int

    @property
    def text(self) -> str:
        """As the prompt has it, without its letter: `+ 7`."""
        return f"{self.sign} {self.operand}"


@dataclass(frozen=True)
class DialProblem:
    """A first value and the operations on it."""

    domain: str
    start: int
    turns: tuple[Turn, ...]

    @property
    def prompt(self) -> str:
        """The problem and its question, on one line."""
        return f"Begin with {self.start} , then {self.listed} . What are the last three ?"

    @property
    def listed(self) -> str:
        """The operations with their letters: `a + 7 , b > 2`."""
        return " , ".join(f"{turn.letter} {turn.text}" for turn in self.turns)

    @property
    def values(self) -> tuple[int, ...]:
        """The value before the first operation and after each one: `len(turns) + 1` digits."""
        values = [self.start]
        for turn in self.turns:
            values.append(turned(turn, values[-1]))
        return tuple(values)

    @property
    def answer(self) -> int:
        """The last three values (all, where there are fewer), read as one number."""
        return read_last(self.values)


def read_last(values: tuple[int, ...] | list[int]) -> int:
    """The last three of `values`, read as one number."""
    return int("".join(map(str, values[-3:])))


RULES: dict[str, Callable[[int, int], int]] = {
    "+": lambda value, n: (value + n) % 10,
    "-": lambda value, n: (value - n) % 10,
    ">": max,
    "<": min,
    "&": lambda value, n: (2 * value + n) % 10,
    "(": lambda value, n: min(9, value + n),
    ")": lambda value, n: max(0, value - n),
}
"""Sign -> the value after the operation, a digit, from the value before it and the operand."""


def turned(turn: Turn, value: int) -> int:
    """The value after an operation; a digit."""
    return RULES[turn.sign](value, turn.operand)


def make_dial_problem(key: str, lengths: tuple[int, ...] = LENGTHS, letters: str = LETTERS) -> DialProblem:
    """The problem that `key` names: the same one on every call.

    It has one of `lengths` operations, at most as many as there are `letters`. Of the last three values the first is no
    0, so that the answer is a number without a leading zero.
    """
    rng = Random(f"dial:{key}")
    while True:
        domain = rng.choice(tuple(DOMAINS))
        turns = []
        for letter in letters[: rng.choice(lengths)]:
            sign = rng.choice(DOMAINS[domain])
            turns.append(Turn(letter, sign, rng.randint(0, 1) if sign == "&" else rng.randint(1, 9)))
        problem = DialProblem(domain, rng.randint(1, 9), tuple(turns))
        if problem.values[-3:][0] != 0:
            return problem


def distinct_dial_problems(
    key: str, count: int, exclude: frozenset[str] = frozenset(), lengths: tuple[int, ...] = LENGTHS
) -> Iterator[DialProblem]:
    """`count` problems under `key` whose prompts differ from each other and from those in `exclude`."""
    return distinct(lambda name: make_dial_problem(name, lengths), key, count, exclude)
