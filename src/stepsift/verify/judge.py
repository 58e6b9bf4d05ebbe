"""A verdict on one answer, from its text to its value; what is done here is what the worker process does."""

import re
from dataclasses import dataclass
from functools import lru_cache

from stepsift.verify import choice, exact
from stepsift.verify.compare import AnswerComparison, UnreadableError
from stepsift.verify.extract import announced, boxed, final_answer, in_json, shown
from stepsift.verify.gold import is_solution, kinds, short_gold
from stepsift.verify.opposites import opposed
from stepsift.verify.ranges import same_range
from stepsift.verify.readings import formulas
from stepsift.verify.shapes import Shape, read_shape
from stepsift.verify.suspect import holds
from stepsift.verify.values import readable, same_value

REMEMBERED = 16_384
"""Distinct (kind, gold, answer) triples whose verdicts are remembered."""


_TO = re.compile(r"(?<=\d)\$?\s*(?:\bto\b|\\text\s*\{\s*to\s*\})\s*\$?(?=\d)")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")
_CALLED_A_RATIO = re.compile(r"\b(?:ratio|proportion|odds|scale)\b", re.IGNORECASE)
_TIME = re.compile(
    r"(?<![\d:.])\d{1,2}:\d{2}(?![\d:.]\d)(?:\s*(?:\\text\s*\{\s*)?[ap]\.?\s?m\b\.?\s?\}?)?", re.IGNORECASE
)
"""A time of day, the only one of a sentence: The train leaves at 10:30."""
_RATIO_IN_WORDS = re.compile(r"\d+(?:\.\d+)?(?: to \d+(?:\.\d+)?)+")
"""5 to 8 is 5:8 where the other answer is a ratio; else it may be a range."""


@dataclass(frozen=True)
class Judgement:
    """A verdict (correct, wrong or unparsed) and whether the last line holds the gold answer all the same."""

    verdict: str
    suspect: bool = False


def judgement(kind: str, text: str, gold: str) -> Judgement:
    """The judgement on what a response says after its reasoning; `kind` is math, choice or exact."""
    short = short_gold(gold)
    if kind == "choice":
        verdict = _choice(text, short)
    else:
        answer = final_answer(text, *_sought(kind, short))
        if choice.parts(short) is not None:
            answer = boxed(text) or text
        elif answer and kind == "math":
            answer = choice.without_label(answer)
        verdict = "unparsed" if answer is None else compare(kind, short, answer)
        if verdict == "correct" and kind == "math" and not is_solution(gold) and opposed(gold, answer or ""):
            verdict = "wrong"
        if verdict != "correct" and choice.are_letters(short, text):
            verdict = "correct"
        if verdict == "wrong" and kind == "exact" and boxed(text) is None and _stands_elsewhere(short, text):
            verdict = "correct"
    return Judgement(verdict, verdict != "correct" and holds(text, short, kind))


def _stands_elsewhere(gold: str, text: str) -> bool:
    """Whether an answer stands in JSON, in the only block of code, or, where none is announced, on the first line."""
    inside = in_json(text)
    if inside is not None:
        return exact.same(gold, inside)
    block = shown(text)
    if block is not None:
        return exact.same(gold, block)
    return announced(text) is None and exact.opens_with(gold, text)


@lru_cache(maxsize=REMEMBERED)
def _sought(kind: str, gold: str) -> tuple[bool, bool, bool]:
    """Of the answer that is looked for: whether it is mathematics, is several values, holds digits."""
    if kind != "math" or exact.nothing(gold) is not None:
        return False, False, True
    shape = read_shape(next(iter(formulas(gold, gold)), gold))
    several = shape.kind in ("list", "set") or (shape.kind == "group" and not shape.interval)
    return True, several, any(map(str.isdigit, gold))


def accepts(kind: str, gold: str) -> bool:
    """Whether a verifier reads the gold answer and calls it correct."""
    short = short_gold(gold)
    if kind == "choice":
        return choice.letter_of_gold(short) is not None
    if kind == "math" and not any(_readable(read_shape(f)) for f in formulas(short, short)):
        return False
    return compare(kind, short, short) == "correct"


def kind_of(gold: str) -> str:
    """The first reading of a gold answer (choice, math, exact) whose verifier accepts it; none of a whole solution."""
    possible = kinds(gold)
    return "none" if possible == ("none",) else next((kind for kind in possible if accepts(kind, gold)), "exact")


def same_gold(one: str, other: str) -> bool:
    """Whether two gold answers are one answer, each read as what it is."""
    if opposed(one, other):
        return False
    first, second = short_gold(one), short_gold(other)
    if exact.same(first, second):
        return True
    letters = choice.letter_of_gold(first), choice.letter_of_gold(second)
    if any(letters):
        return _same_choice(first, second, letters)
    if "math" in kinds(one) or "math" in kinds(other):
        return "correct" in (compare("math", first, second), compare("math", second, first))
    return False


def _same_choice(one: str, other: str, letters: tuple[str | None, str | None]) -> bool:
    if all(letters):
        return letters[0] == letters[1]
    texts = [choice.text_of_gold(g) if named else g for g, named in zip((one, other), letters, strict=True)]
    return texts[0] is not None and texts[1] is not None and exact.same(texts[0], texts[1])


def _choice(text: str, gold: str) -> str:
    letter, words = choice.letter_of_gold(gold) or choice.letter(gold), choice.text_of_gold(gold)
    answer = choice.final_letter(text)
    if answer == letter and choice.differ_as_species(gold, text):
        return "unparsed"
    if answer is not None:
        return "correct" if answer == letter else "wrong"
    if words is not None:
        statement = final_answer(text)
        kind = kind_of(words)
        if statement is not None and compare("exact" if kind == "choice" else kind, words, statement) == "correct":
            return "correct"
    return "unparsed"


@lru_cache(maxsize=REMEMBERED)
def compare(kind: str, gold: str, answer: str) -> str:
    """correct, wrong or unparsed: a short gold answer and a final answer."""
    if _same_as_said(gold, answer):
        return "correct"
    if exact.other_than_numbers(gold, answer):
        return "wrong"
    if kind == "exact":
        return _exact(gold, answer)
    return _math(gold, answer)


def _exact(gold: str, answer: str) -> str:
    if exact.same(gold, answer):
        return "correct"
    # [2, 5] is a list and an interval, {1, 2} a set in Python and in mathematics.
    value = exact.literal(gold)
    if _RATIO_IN_WORDS.fullmatch(gold.strip()) and _RATIO.search(answer):
        return _math(_TO.sub(":", gold), answer)
    both = value is not None and isinstance(value[0], list | set) and value[0] and exact.only_numbers(value[0])
    other = exact.literal(answer)
    if value and both and other and isinstance(other[0], list) and _nesting(other[0]) != _nesting(value[0]):
        # [[1, 2]] is another list than [1, 2], though brackets around a formula say nothing.
        return "wrong"
    return "correct" if both and _math(gold, answer) == "correct" else "wrong"


def _same_as_said(gold: str, answer: str) -> bool:
    """Whether both are the same choices, the same parts, the same substance, or say that there is nothing."""
    several = choice.letters(gold)
    same_choices = several is not None and several == choice.letters(answer)
    one, other = choice.parts(gold), choice.parts(answer)
    if one is not None and other is not None and one.keys() == other.keys():
        return all(compare(kind_of(one[name]), one[name], other[name]) == "correct" for name in one)
    same = exact.same_substance, exact.same_nothing, same_range
    return same_choices or any(alike(gold, answer) for alike in same)


def _nesting(items: object) -> list[bool]:
    return [isinstance(item, list) for item in items] if isinstance(items, list | set) else []


def _math(gold: str, answer: str) -> str:
    if _TIME.fullmatch(gold.strip()):
        times = set(_TIME.findall(answer))
        answer = times.pop() if len(times) == 1 else answer
    if _RATIO.fullmatch(gold.strip().strip("$")):
        answer = _TO.sub(":", answer)
        ratios = set(_RATIO.findall(answer)) if _CALLED_A_RATIO.search(answer) else set()
        answer = ratios.pop() if len(ratios) == 1 else answer
    golds = [read_shape(f) for f in formulas(gold, gold)] or [read_shape(gold)]
    answers = [read_shape(f) for f in formulas(answer, gold)]
    if not answers:
        return "unparsed"
    comparison, verdict = AnswerComparison(same_value), "unparsed"
    for one in golds:
        for other in answers:
            try:
                if comparison.same(one, other):
                    return "correct"
            except UnreadableError:
                if exact.same_words(gold, answer):
                    return "correct"
                continue
            verdict = "wrong"
    return verdict


def _readable(shape: Shape) -> bool:
    """Whether sympy can read all that a shape holds."""
    if shape.kind in ("list", "set", "group", "union", "ratio"):
        return all(map(_readable, shape.items)) and (bool(shape.items) or shape.kind == "set")
    return shape.number is not None or shape.kind in ("clock", "base") or readable(shape.text)
