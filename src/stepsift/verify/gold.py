"""What a gold answer can be read as: its kind is decided by that, and not by its first character.

`kinds` names the readings that are possible, the likeliest first; `Verifier.kind_of` keeps the first whose verifier
accepts the gold answer itself.
"""

import re
from functools import lru_cache

from stepsift.verify import choice, exact
from stepsift.verify.extract import announced, boxed
from stepsift.verify.readings import is_formula, unmarked
from stepsift.verify.spelling import formula

_GSM8K = re.compile(r"####[ \t]*(?!#)(.+)\s*\Z")


@lru_cache(maxsize=16_384)
def short_gold(gold: str) -> str:
    """The answer within a gold answer: of a whole solution what is boxed, follows `####` or is announced, else all."""
    box = boxed(gold)
    if box is not None:
        return box
    marked = _GSM8K.search(gold)
    if marked:
        return marked[1].strip()
    statement = announced(gold)
    return statement if statement else gold.strip()


@lru_cache(maxsize=16_384)
def kinds(gold: str) -> tuple[str, ...]:
    """The kinds that a gold answer can be read as (choice, math, exact), the likeliest first; `exact` is always one."""
    text = short_gold(gold)
    if choice.letter_of_gold(text) is not None:
        return ("choice", "exact")
    literal = exact.literal(text)
    if literal is not None and (isinstance(literal[0], bool) or not isinstance(literal[0], int | float | complex)):
        # (1, 2) is a point, too.
        point = isinstance(literal[0], tuple) and len(literal[0]) > 1 and exact.only_numbers(literal[0])
        return ("math", "exact") if point else ("exact",)
    return ("math", "exact") if is_formula(formula(unmarked(text))) else ("exact",)
