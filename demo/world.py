"""The story problems: word problems of several chained operations, with integer answers that can be checked.

A problem is a start value and a chain of operations on it; every value on the way lies in 1..99. Each problem comes
from its own `random.Random`, seeded with a string: neither the order of generation nor hash randomisation matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from distinct import distinct

LOWEST, HIGHEST = 1, 99
LARGEST_OPERAND = 9
LONG = (4, 5, 6)
"""Numbers of operations of the pool and of the evaluation; the student is pre-trained on one and two."""

Kind = Literal["add", "subtract", "double", "triple", "halve", "third"]
KINDS: tuple[Kind, ...] = ("add", "subtract", "double", "triple", "halve", "third")
FACTOR: dict[Kind, int] = {"double": 2, "triple": 3, "halve": 2, "third": 3}

NAMES = ("Tom", "Mia", "Ben", "Ada", "Sam", "Eva", "Leo", "Ida")
ITEMS = {
    "market": ("apples", "pears", "eggs", "plums"),
    "garden": ("roses", "seeds", "bulbs", "herbs"),
    "desk": ("coins", "stamps", "pens", "cards"),
}
GAINS = {"market": ("buys", "picks up"), "garden": ("plants", "grows"), "desk": ("finds", "collects")}
LOSSES = {"market": ("sells", "eats"), "garden": ("pulls out", "gives away"), "desk": ("loses", "trades away")}
CHANGES: dict[Kind, tuple[str, ...]] = {
    "double": ("doubles them", "ends up with twice as many"),
    "triple": ("triples them", "ends up with three times as many"),
    "halve": ("keeps only half", "gives half to a friend"),
    "third": ("keeps only a third", "divides them by three"),
}


@dataclass(frozen=True)
class Operation:
    """One link of the chain; `operand` is the number added or taken away, or the factor that multiplies or divides."""

    kind: Kind
    operand: int
    sentence: str


@dataclass(frozen=True)
class Problem:
    """A start value, the operations on it, and the names that make a story of them."""

    name: str
    item: str
    domain: str
    start: int
    operations: tuple[Operation, ...]

    @property
    def prompt(self) -> str:
        """The story and its question, on one line."""
        story = [f"{self.name} has {self.start} {self.item}.", *(o.sentence for o in self.operations)]
        return " ".join([*story, f"How many {self.item} does {self.name} have now?"])

    @property
    def values(self) -> tuple[int, ...]:
        """The value before the first operation and after each one: `len(operations) + 1` integers."""
        values = [self.start]
        for operation in self.operations:
            values.append(apply(operation, values[-1]))
        return tuple(values)

    @property
    def answer(self) -> int:
        """The value after the last operation."""
        return self.values[-1]


def apply(operation: Operation, value: int) -> int:
    """The value after the operation; a division rounds down."""
    match operation.kind:
        case "add":
            return value + operation.operand
        case "subtract":
            return value - operation.operand
        case "double" | "triple":
            return value * operation.operand
        case "halve" | "third":
            return value // operation.operand


def divides(operation: Operation, value: int) -> bool:
    """Whether the operation leaves no remainder."""
    return operation.kind not in ("halve", "third") or value % operation.operand == 0


def make_problem(key: str, lengths: tuple[int, ...] = LONG) -> Problem:
    """The problem that `key` names, with one of `lengths` operations: the same one on every call."""
    rng = Random(f"problem:{key}")
    domain = rng.choice(tuple(ITEMS))
    name, item, start = rng.choice(NAMES), rng.choice(ITEMS[domain]), rng.randint(LOWEST + 1, HIGHEST)
    operations: list[Operation] = []
    value = start
    for _ in range(rng.choice(lengths)):
        operation = _draw_operation(rng, name, domain, value)
        value = apply(operation, value)
        operations.append(operation)
    return Problem(name, item, domain, start, tuple(operations))


def distinct_problems(
    key: str, count: int, exclude: frozenset[str] = frozenset(), lengths: tuple[int, ...] = LONG
) -> Iterator[Problem]:
    """`count` problems under `key`, each with one of `lengths` operations.

    Their prompts differ from each other and from the prompts in `exclude`.
    """
    return distinct(lambda name: make_problem(name, lengths), key, count, exclude)


def _draw_operation(rng: Random, name: str, domain: str, value: int) -> Operation:
    allowed: list[Kind] = []
    if value < HIGHEST:
        allowed.append("add")
    if value > LOWEST:
        allowed.append("subtract")
    allowed += [kind for kind in ("double", "triple") if value * FACTOR[kind] <= HIGHEST]
    allowed += [kind for kind in ("halve", "third") if value % FACTOR[kind] == 0]
    kind = rng.choice(allowed)
    if kind == "add":
        operand = rng.randint(1, min(LARGEST_OPERAND, HIGHEST - value))
        return Operation(kind, operand, f"{name} {rng.choice(GAINS[domain])} {operand} more.")
    if kind == "subtract":
        operand = rng.randint(1, min(LARGEST_OPERAND, value - LOWEST))
        return Operation(kind, operand, f"{name} {rng.choice(LOSSES[domain])} {operand}.")
    return Operation(kind, FACTOR[kind], f"{name} {rng.choice(CHANGES[kind])}.")
