"""What a gold answer can be read as: its kind is decided by that, and not by its first character.

`kinds` names the readings that are possible, the likeliest first; `Verifier.kind_of` keeps the first whose verifier
accepts the gold answer itself. A whole solution in words that comes to no value has the kind `none`: no response says
the same words, so to compare them would call every response wrong.
"""

import re
from functools import lru_cache

from stepsift.verify import choice, exact
from stepsift.verify.extract import SENTENCE, announced, boxed
from stepsift.verify.numbers import read_number
from stepsift.verify.ranges import range_of
from stepsift.verify.readings import is_formula, unmarked
from stepsift.verify.shapes import comes_to
from stepsift.verify.spelling import formula
from stepsift.verify.units import read_unit

_GSM8K = re.compile(r"####[ \t]*(?!#)(.+)\s*\Z")

_PARTS = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/(?:\d\d){1,2}|\d+\s*[-\u2013\u2014]\s*\d+")
"""A date, a range or a score: it is its parts, and neither a difference nor a quotient."""

_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_FEWEST_WORDS, _FEWEST_SENTENCES, _MANY_WORDS = 8, 2, 25
"""A text is a solution in words from this many words in several sentences on, or from so many in one."""
_COMES_TO = re.compile(
    r".*(?:\b(?:is|are|equals?|gives?|yields?|get|obtain|becomes?|(?:equal|comes?|amounts?|evaluates?|out) to(?: be)?)"
    r"|\u662f|\u4e3a|\u7b49\u4e8e)\s*:?\s*(\S.{0,80}?)[\s.\u3002!]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_CONCLUDES = re.compile(r"(?:so|thus|hence|therefore)\b", re.IGNORECASE)
_ROUGHLY = re.compile(
    r"\A(?:approximately|about|approx\.?|roughly|around|\\approx|\u2248|~)\s*(?=[^\s\d]{0,10}\d\S{0,40}(?:\s[A-Za-z\u00b0/^\d]+){0,2}\.?\Z)",
    re.I,
)
"""About 40 km, of a gold answer that is 40 km."""
_MARKED_END = re.compile(
    r"(?:\A|.*\b(?:so|thus|hence|therefore|then|that|is|are|get|obtain|gives?|yields?|equals?)\b),?\s*"
    r"(?:\$([^$]{1,80})\$|\\\((.{1,80}?)\\\)|\*\*([^*]{1,80})\*\*)[\s.\u3002!]*\Z",
    re.IGNORECASE | re.DOTALL,
)


_AUXILIARY = r"(?:is|are|was|were|be|been|has|have|had|do|does|did|can|could|will|would|shall|should|must|may|might)"
_IRREGULAR = (
    r"(?:ate|bought|brought|built|caught|cost|cut|did|drank|drew|drove|fell|flew|found|gave|get|got|grew|held|kept|knew|left|lent|lost|made"
    r"|met|paid|put|ran|read|rode|rose|sang|saw|sent|shot|slept|sold|spent|spread|stood|swam|taught|threw|took|went|won|wore|wrote)"
)
_OF_SEVERAL = (  # of "I", "they" and plurals
    r"(?:buy|collect|contain|cost|drink|earn|eat|get|give|have|hold|last|make|need|pay|read|run|save|sell|spend|take|travel|use|walk|want|weigh)"
)
_VERB = (
    rf"(?:{_AUXILIARY}(?:\s{_AUXILIARY})?(?:\s(?:{_IRREGULAR}|[a-z]+ed))?"  # is, has, will have, was paid
    r"|(?:can|could|will|would|shall|should|must|may|might|to)\s[a-z]+"
    rf"|{_IRREGULAR}|{_OF_SEVERAL}|[a-z]{{2,}}(?:(?<!s)s|ed))"
)
_SAYS_AMOUNT = re.compile(
    rf"(?!(?:Yes|No|Neither|Both|Either)\b)([A-Z][^\n.!?;:]{{0,80}}?)\s{_VERB}"
    r"\s(?:(?:a\s+total\s+of|(?:out\s)?to|exactly|only|at|equal\s+to|worth|now)\s)?"
    r"\$?(-?(?:\$\s?)?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?(?:\s(?:million|billion|thousand|percent))?)\$?((?:\s[A-Za-z/\u00b2\u00b3]+)*?)"
    r"(?:\s(?:left|long|tall|wide|deep|high|thick|old|away|apart|each|(?:in\s)?total|in\s+all|altogether))?\s*[.!]"
)
"""A short sentence whose verb has one amount for its object."""
_SAYS_MORE = re.compile(
    rf"\b(?:{_AUXILIARY}|(?!(?:cost|cut|left|lost|put)\b)(?:{_IRREGULAR}|{_OF_SEVERAL}s?)|not|never|nor?|none|without|than|least|most|about|around"
    r"|approximately|roughly|nearly|almost|between|from|or|but|if|when|because|since|half|twice|double|triple|except)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
"""Before the verb of such a sentence: a verb of another clause, a denial, a bound or a part."""
_COUNTED = re.compile(
    r"(?!(?:hal|thir|quarter|fourth|fifth|sixth|eighth|tenth|hundred|thousand|time|dozen|pair|score|gros|double)\w*\Z)[a-z]{2,}s"
)
"""What is counted: roses."""
_CHECKS = re.compile(
    r"\b(?:check|checking|verify|verifying|indeed|note|because|since|example|e\.g)\b|\u9a8c\u8bc1|\u68c0\u9a8c", re.I
)
"""Words of a last sentence that holds something else than the answer."""


def is_solution(text: str) -> bool:
    """Whether a text is a whole solution in words, and no answer."""
    words = len(_WORD.findall(text)) + len(_HAN.findall(text)) // 2
    if words < _FEWEST_WORDS:
        return False
    return words >= _MANY_WORDS or len(_sentences(text)) >= _FEWEST_SENTENCES


def _sentences(text: str) -> list[str]:
    pieces = (piece.strip() for line in text.splitlines() for piece in SENTENCE.split(line))
    return [piece for piece in pieces if piece]


def last_value(solution: str) -> str | None:
    """The number or formula that the last sentence of a solution comes to; None where it does not end with one."""
    last = _sentences(solution)[-1]
    if _CHECKS.search(last):
        return None
    marked = _MARKED_END.match(last)
    value = next(part for part in marked.groups() if part) if marked else None
    if value is None and (plain := _COMES_TO.match(last)):
        value = plain[1]
    if value is None or not re.search(r"[\d\\]", value) or not is_formula(formula(unmarked(value))):
        return None
    return value.strip()


def sentence_value(text: str) -> str | None:
    """The amount that a short sentence says of its subject: 12 of "There are 12 apples."; None where it is no such."""
    match = _SAYS_AMOUNT.fullmatch(text.strip())
    if match is None or _SAYS_MORE.search(match[1]):
        return None
    number, words = match[2], match[3].strip().replace("\u00b2", "^2").replace("\u00b3", "^3")
    if read_unit(words) is not None:
        return f"{number} {words}"
    return number if not words or _COUNTED.fullmatch(words) else None


@lru_cache(maxsize=16_384)
def short_gold(gold: str) -> str:
    """The answer within a gold answer: of a whole solution what is boxed, follows `####` or is announced, else the
    value that its last sentence comes to, also of a short one that ends with "Therefore"; else all, but for "about"."""
    box = boxed(gold)
    if box is not None:
        return box
    marked = _GSM8K.search(gold)
    if marked:
        return marked[1].strip()
    statement = announced(gold)
    if statement:
        return statement
    concludes = is_solution(gold) or (len(parts := _sentences(gold)) > 1 and _CONCLUDES.match(parts[-1]))
    value = (last_value(gold) if concludes else sentence_value(gold)) or _ROUGHLY.sub("", gold.strip(), count=1)
    return (comes_to(formula(unmarked(value))) if "=" in value else None) or value


@lru_cache(maxsize=16_384)
def kinds(gold: str) -> tuple[str, ...]:
    """The kinds that a gold answer can be read as (choice, math, exact), the likeliest first.

    `exact` is always one of them, but for a whole solution in words, whose only kind is `none`.
    """
    text = short_gold(gold)
    if choice.letter_of_gold(text) is not None:
        return ("choice", "exact")
    literal = exact.literal(text)
    if literal is not None and (isinstance(literal[0], bool) or not isinstance(literal[0], int | float | complex)):
        # (1, 2) is a point, too.
        point = isinstance(literal[0], tuple) and len(literal[0]) > 1 and exact.only_numbers(literal[0])
        return ("math", "exact") if point else ("exact",)
    ends = range_of(text)
    if not re.search(r"[\d\\]", text) and read_number(text) is not None:
        # seven
        return ("exact",)
    if _PARTS.fullmatch(text) or (ends is not None and ends.unit):
        return ("exact",)
    if is_formula(formula(unmarked(text))):
        return ("math", "exact")
    return ("none",) if is_solution(text) else ("exact",)
