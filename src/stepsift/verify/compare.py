"""Whether two shapes are the same answer; what two single values are is asked of sympy."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from stepsift.verify.numbers import Number, full, same_number, same_scaled
from stepsift.verify.shapes import Shape
from stepsift.verify.spelling import TEXT
from stepsift.verify.units import per

SameValue = Callable[[str, str], bool]
"""Whether two formulas, gold answer first, are equal; raises `UnreadableError` where one is no formula."""


_SEGMENT = re.compile(r"\|?[A-Z]{2,3}\|?")
_OPENS = re.compile(r"[(\[]|\\langle")
_GAP = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
"""Blanks, but for those between digits."""
_DERIVATIVE = re.compile(r"\\frac\s*\{\s*d\s*([A-Za-z])\s*\}\s*\{\s*d\s*[a-z]\s*\}")
_ARGUMENT = re.compile(r"\(\s*[a-z]\s*\)\Z")
_SUBSCRIPT = re.compile(r"_(?:\w|\{[^{}]*\})\Z")

SameShape = Callable[[Shape, Shape], bool]


class UnreadableError(Exception):
    """A formula that cannot be read."""


class AnswerComparison:
    """Compares shapes, gold answer first."""

    def __init__(self, same_value: SameValue):
        self._same_value = same_value
        self._alike: dict[str, SameShape] = {
            "list": lambda g, a: self._unordered(g.items, _named_alike(g.items, a.items)),
            "set": self._sets,
            "group": lambda g, a: g.brackets == a.brackets and self._ordered(g.items, a.items),
            "union": lambda g, a: self._unordered(g.items, a.items) or self._equal(g.text, a.text),
            "clock": _same_time,
            "ratio": self._ratios,
            "base": lambda g, a: g.text.lstrip("0") == a.text.lstrip("0") and g.name == a.name,
            "equation": lambda g, a: self._equal(g.text, a.text),
            "value": self._values,
        }
        self._unlike: dict[frozenset[str], SameShape] = {
            frozenset(("list", "set")): self._sets,
            frozenset(("list", "value")): self._list_and_value,
            frozenset(("list", "group")): self._list_and_group,
            frozenset(("list", "union")): self._list_and_union,
            frozenset(("set", "value")): self._set_and_value,
            frozenset(("group", "value")): self._vector_and_value,
            frozenset(("union", "value")): lambda g, a: self._equal(g.text, a.text),
            frozenset(("base", "value")): lambda g, a: g.kind == "base" and a.text.strip() == g.text,
            frozenset(("ratio", "value")): _ratio_and_value,
            frozenset(("ratio", "clock")): _ratio_and_clock,
        }

    def same(self, gold: Shape, answer: Shape) -> bool:
        """Whether `answer` is the gold answer; raises UnreadableError where what it holds is no formula."""
        if gold.name and answer.name and not _one_name(gold.name, answer.name):
            return gold.kind == answer.kind == "value" and self._equal(_full(gold), _full(answer))
        if answer.kind == "equation" and gold.kind != "equation":
            if gold.name:
                return self._equal(_full(gold), answer.text)
            return self.same(gold, answer.items[-1])
        if gold.kind == answer.kind:
            return self._alike[gold.kind](gold, answer)
        if gold.kind == "equation":
            return bool(answer.name) and self._equal(gold.text, _full(answer))
        compare = self._unlike.get(frozenset((gold.kind, answer.kind)))
        return compare is not None and compare(gold, answer)

    def _sets(self, gold: Shape, answer: Shape) -> bool:
        """A set within a set is no element of that set: {1, {2}} is not {1, 2}."""
        one, other = self._distinct(gold.items), self._distinct(answer.items)
        return all(
            self._unordered(*([item for item in items if (item.kind == "set") is nested] for items in (one, other)))
            for nested in (False, True)
        )

    def _list_and_group(self, gold: Shape, answer: Shape) -> bool:
        """`x = 3, y = -1` is the point (3, -1), `1, 2` the row 1 2; [3, -1] is an interval or a list of its own."""
        group, listed = (gold, answer) if gold.kind == "group" else (answer, gold)
        if group.brackets not in ("()", "") or group.interval or len(group.items) != len(listed.items):
            return False
        items = _by_name(listed.items)
        return self._ordered(group.items, items) if group is gold else self._ordered(items, group.items)

    def _list_and_value(self, gold: Shape, answer: Shape) -> bool:
        """`3/4 or 75%` is one value that is said twice."""
        listed, value = (gold, answer) if gold.kind == "list" else (answer, gold)
        if value.unit is None and all(item.unit is not None for item in listed.items) and listed is answer:
            # 135 minutes, or 2 hours 15 minutes
            first = listed.items[0]
            alike = all(self._same_or_unreadable(first, item) for item in listed.items)
            return alike and any(self._same_or_unreadable(value, item) for item in listed.items)
        return len({item.name for item in listed.items}) == 1 and all(
            self._same_or_unreadable(*((item, value) if listed is gold else (value, item))) for item in listed.items
        )

    def _vector_and_value(self, gold: Shape, answer: Shape) -> bool:
        """A column may be a product with a column, 2i + 2j be 2(i + j); sympy reads no point."""
        group = gold if gold.kind == "group" else answer
        return group.brackets == "()" and _OPENS.match(group.text) is None and self._equal(gold.text, answer.text)

    def _list_and_union(self, gold: Shape, answer: Shape) -> bool:
        listed = gold if gold.kind == "list" else answer
        intervals = all(s.kind == "group" and s.interval for s in listed.items)
        return intervals and self._unordered(gold.items, answer.items)

    def _set_and_value(self, gold: Shape, answer: Shape) -> bool:
        if len(gold.items) == 1 or len(answer.items) == 1:
            return self.same(*(s.items[0] if s.kind == "set" else s for s in (gold, answer)))
        return self._equal(gold.text, answer.text)

    def _values(self, gold: Shape, answer: Shape) -> bool:
        if (gold.written or answer.written) and _tight(gold) == _tight(answer):
            return True
        factor = per(gold.unit, answer.unit)
        if factor is None:
            return False
        if gold.number is not None and answer.number is not None:
            return _same_amount(gold.number, answer.number, factor, gold.unit is not None)
        return factor == 1 and self._equal(_decimal_text(gold), answer.text)

    def _equal(self, gold: str, answer: str) -> bool:
        return gold == answer or self._same_value(gold, answer)

    def _ordered(self, golds: Sequence[Shape], answers: Sequence[Shape]) -> bool:
        return len(golds) == len(answers) and all(map(self._same_or_unreadable, golds, answers))

    def _unordered(self, golds: Sequence[Shape], answers: Sequence[Shape]) -> bool:
        """Whether each item has a partner of its own."""
        if len(golds) != len(answers):
            return False
        left = list(answers)
        for gold in golds:
            partner = next((a for a in left if self._same_or_unreadable(gold, a)), None)
            if partner is None:
                return False
            left.remove(partner)
        return True

    def _same_or_unreadable(self, gold: Shape, answer: Shape) -> bool:
        try:
            return self.same(gold, answer)
        except UnreadableError:
            return False

    def _distinct(self, items: Sequence[Shape]) -> list[Shape]:
        kept: list[Shape] = []
        for item in items:
            if not any(self._same_or_unreadable(other, item) for other in kept):
                kept.append(item)
        return kept

    def _ratios(self, gold: Shape, answer: Shape) -> bool:
        if self._ordered(gold.items, answer.items):
            return True
        one, other = ([item.number for item in s.items] for s in (gold, answer))
        if len(one) != len(other) or None in one or None in other:
            return False
        a, b = ([n.value for n in numbers if n is not None] for numbers in (one, other))
        return all(x and y for x, y in zip(a, b, strict=True)) and len({x / y for x, y in zip(a, b, strict=True)}) == 1


def _ratio_and_value(gold: Shape, answer: Shape) -> bool:
    """3:5 is three fifths."""
    ratio, value = (gold, answer) if gold.kind == "ratio" else (answer, gold)
    numbers = [item.number for item in ratio.items]
    if len(numbers) != 2 or value.number is None or numbers[0] is None or not numbers[1] or not numbers[1].value:
        return False
    return value.number.value == numbers[0].value / numbers[1].value


def _ratio_and_clock(gold: Shape, answer: Shape) -> bool:
    """4:14 can be a time and a ratio; beside 2:7 it is a ratio."""
    ratio, clock = (gold, answer) if gold.kind == "ratio" else (answer, gold)
    numbers = [item.number for item in ratio.items]
    if clock.name or len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return False
    hours, minutes, _ = (int(part) for part in clock.text.split(":"))
    return numbers[0].value * minutes == numbers[1].value * hours


def _full(shape: Shape) -> str:
    return f"{shape.name} = {shape.text}" if shape.name else shape.text


def _decimal_text(shape: Shape) -> str:
    percent = shape.number is not None and shape.text.endswith("%")
    return f"({shape.text.rstrip('%').strip()})/100" if percent else shape.text


def _same_amount(gold: Number, answer: Number, factor: Fraction, in_unit: bool) -> bool:
    """Whether an answer times `factor` is the gold answer; $30 million is not $30, though 30 million may be 30."""
    if in_unit and gold.scale == 1 < answer.scale:
        return same_number(gold, _scaled(full(answer), factor))
    return same_scaled(gold, answer) if factor == 1 else same_number(gold, _scaled(answer, factor))


def _tight(shape: Shape) -> str:
    """A value and its unit as they are written, without blanks: 5 m and 5m."""
    return _GAP.sub("", TEXT.sub(r"\1", shape.written or shape.text))


def _scaled(number: Number, factor: Fraction) -> Number:
    return Number(number.value * factor, None if number.last is None else number.last * factor, number.scale)


def _one_name(one: str, other: str) -> bool:
    """Whether two names may stand for one thing; words and names of segments are no variables, x may be x_1."""
    if one == other or any("\\text" in name or _SEGMENT.fullmatch(name) for name in (one, other)):
        return True
    first, second = (_ARGUMENT.sub("", _DERIVATIVE.sub(r"\1'", name)) for name in (one, other))
    return first == second or first == _SUBSCRIPT.sub("", second) or second == _SUBSCRIPT.sub("", first)


def _named_alike(golds: Sequence[Shape], answers: Sequence[Shape]) -> Sequence[Shape]:
    """`x_1 = 2, x_2 = 5` for `x = 2, 5`: numbered names of one variable are that variable."""
    names = {shape.name for shape in golds}
    bases = {shape.name.partition("_")[0] for shape in answers if shape.name}
    if len(bases) == 1 and (names <= bases | {""}):
        return [replace(shape, name=shape.name.partition("_")[0]) for shape in answers]
    return answers


def _by_name(items: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """The values of `y = 1, x = 2` in the order of their names, without them."""
    if all(item.name for item in items):
        items = tuple(sorted(items, key=lambda item: item.name))
    return tuple(replace(item, name="") for item in items)


def _same_time(gold: Shape, answer: Shape) -> bool:
    one, other = (_minutes(s.text, s.name) for s in (gold, answer))
    if gold.name and answer.name:
        return one == other
    # Where only one says am or pm, the other may be on a clock of 12 hours.
    return one == other or (gold.name != answer.name and gold.text == answer.text)


def _minutes(text: str, half: str) -> tuple[int, ...]:
    hour, *rest = (int(part) for part in text.split(":"))
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return (hour, *rest)
