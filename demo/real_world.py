"""A world in plain English for students that were really pre-trained: what somebody has, through a dozen small events.

    Mia has seven plums. She buys two. She eats one. She picks two. How many plums does Mia have at the end?

Every event adds or takes one or two: with up to nine, and doubling and halving, SmolLM2-135M had learned to get 2 of 40
answers right from 300 traces; with one or two, 15 of 40 from 100. Every value lies in 1..20 and is written as a word,
which is one token to most language models where a numeral is two or three: a trace of a dozen steps is then short
enough for a CPU. Problems are drawn as in `world.py`: each from its own generator, seeded with a string.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from distinct import distinct

LENGTHS = (11, 12)
"""Numbers of events of the pool and of the evaluation."""
HIGHEST = 20
NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
"""Words for 0..20."""
LARGEST_OPERAND = 2
PEOPLE = {"Mia": "She", "Tom": "He", "Ada": "She", "Ben": "He", "Eva": "She", "Leo": "He", "Ida": "She", "Sam": "He"}
ITEMS = {
    "market": ("plums", "apples", "eggs", "lemons"),
    "desk": ("coins", "stamps", "pens", "cards"),
    "garden": ("roses", "seeds", "bulbs", "pots"),
}
GAINS = {"market": ("buys", "picks"), "desk": ("finds", "wins"), "garden": ("plants", "grows")}
LOSSES = {"market": ("eats", "sells"), "desk": ("loses", "spends"), "garden": ("pulls", "sells")}


@dataclass(frozen=True)
class Event:
    """One event: its sign (`+` or `-`), its operand, and what the story says of it, without a full stop."""

    sign: str
    operand: int
    text: str


@dataclass(frozen=True)
class StoryProblem:
    """Who has what, a first value and the events."""

    name: str
    item: str
    domain: str
    start: int
    events: tuple[Event, ...]

    @property
    def story(self) -> str:
        """The problem without its question, on one line."""
        told = " ".join(f"{event.text}." for event in self.events)
        return f"{self.name} has {NUMBERS[self.start]} {self.item}. {told}"

    @property
    def prompt(self) -> str:
        """The story and its question."""
        return f"{self.story} How many {self.item} does {self.name} have at the end?"

    @property
    def values(self) -> tuple[int, ...]:
        """The value before the first event and after each one: `len(events) + 1` integers."""
        values = [self.start]
        for event in self.events:
            values.append(after(event, values[-1]))
        return tuple(values)

    @property
    def answer(self) -> int:
        """The value after the last event."""
        return self.values[-1]


def after(event: Event, value: int) -> int:
    """The value after an event."""
    return value + event.operand if event.sign == "+" else value - event.operand


def make_story_problem(key: str, lengths: tuple[int, ...] = LENGTHS) -> StoryProblem:
    """The problem that `key` names, with one of `lengths` events: the same one on every call."""
    rng = Random(f"story:{key}")
    domain = rng.choice(tuple(ITEMS))
    name, item, start = rng.choice(tuple(PEOPLE)), rng.choice(ITEMS[domain]), rng.randint(3, 12)
    events: list[Event] = []
    value = start
    for _ in range(rng.choice(lengths)):
        events.append(_draw(rng, PEOPLE[name], domain, value))
        value = after(events[-1], value)
    return StoryProblem(name, item, domain, start, tuple(events))


def distinct_story_problems(
    key: str, count: int, exclude: frozenset[str] = frozenset(), lengths: tuple[int, ...] = LENGTHS
) -> Iterator[StoryProblem]:
    """`count` problems under `key` whose prompts differ from each other and from those in `exclude`."""
    return distinct(lambda name: make_story_problem(name, lengths), key, count, exclude)


def _draw(rng: Random, who: str, domain: str, value: int) -> Event:
    sign = rng.choice(["+"] * (value < HIGHEST) + ["-"] * (value > 1))
    operand = rng.randint(1, min(LARGEST_OPERAND, HIGHEST - value if sign == "+" else value - 1))
    verb = rng.choice((GAINS if sign == "+" else LOSSES)[domain])
    return Event(sign, operand, f"{who} {verb} {NUMBERS[operand]}")
