"""Verdicts that may be the reader's fault: the response is not correct, but its last line holds the gold answer."""

import re

from stepsift.verify import choice, exact
from stepsift.verify.numbers import read_number, same_scaled
from stepsift.verify.readings import formulas
from stepsift.verify.shapes import read_shape
from stepsift.verify.spelling import formula, peel

LINE_CHARS = 400
"""Of a longer last line the end is looked at."""
_NUMBER = re.compile(
    r"(?<![\w\\{}^_/.])(?:-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?%?|-?\\frac\{\d+\}\{\d+\})(?![\w\\{}^_/])"
)
_LETTER = re.compile(
    r"[(\[*{]([A-J])[)\]*}.]|(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter|\bis|[:\uff1a])\s*([A-J])(?![\w'\u2019-])|^([A-J])[).:]?(?=\s|\Z)"
)


def last_line(text: str) -> str:
    """The last line of a text that is not blank, and at most its last LINE_CHARS characters."""
    return text.rstrip()[-LINE_CHARS:].rpartition("\n")[2].strip()


def holds(text: str, gold: str, kind: str) -> bool:
    """Whether the last line of a text holds a gold answer as a number, a letter or words of its own."""
    line = last_line(text)
    if not line:
        return False
    if kind == "choice":
        letter = choice.letter_of_gold(gold) or choice.letter(gold)
        mentions = list(_LETTER.finditer(line))
        # The last one counts: other letters are often named to be ruled out.
        return letter is not None and bool(mentions) and letter in mentions[-1].groups()
    if kind == "math":
        golds = formulas(gold, gold)
        number = read_shape(golds[0]).number if golds else None
        if number is not None:
            numbers = [read_number(m) for m in _NUMBER.findall(formula(line))]
            return any(n is not None and same_scaled(number, n) for n in numbers)
    if kind == "exact":
        value = exact.literal(gold)
        words = value[0] if value is not None and isinstance(value[0], str) else peel(gold)
        around = r"[^\s\"'`*:.,()]" if value is None else r"[^\s\"'`]"
        flags = re.IGNORECASE if value is None else re.NOFLAG
        return bool(words.strip()) and bool(re.search(f"(?<!{around}){re.escape(words)}(?!{around})", line, flags))
    bare = _tight(gold)
    return len(bare) > 1 and bare in _tight(line)


def _tight(text: str) -> str:
    return "".join(formula(peel(text)).split()).casefold()
