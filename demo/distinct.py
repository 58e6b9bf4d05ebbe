"""Different problems under one key, for every world."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

MOST_REPEATS = 5_000
"""So many draws in a row that give nothing new end the search."""


class _Asked(Protocol):
    @property
    def prompt(self) -> str: ...


P = TypeVar("P", bound=_Asked)


class TooFewProblemsError(ValueError):
    """A world has fewer different problems than were asked for."""


def distinct(make: Callable[[str], P], key: str, count: int, exclude: frozenset[str]) -> Iterator[P]:
    """`count` problems that `make` gives for `key:0`, `key:1`, ..: their prompts differ, also from those in `exclude`.

    Raises TooFewProblemsError where nothing new comes any more.
    """
    seen = set(exclude)
    number = found = repeats = 0
    while found < count:
        problem = make(f"{key}:{number}")
        number += 1
        if problem.prompt in seen:
            repeats += 1
            if repeats == MOST_REPEATS:
                raise TooFewProblemsError(
                    f"of these problems there are about {len(seen)}, {len(exclude) + count} are asked for"
                )
            continue
        repeats = 0
        seen.add(problem.prompt)
        found += 1
        yield problem
