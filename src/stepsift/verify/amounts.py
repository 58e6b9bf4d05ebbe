"""Amounts: a value with a unit, a price with what it is paid for, and several units that make one amount.

What stands behind a number may be a unit or variables: 5 m and 2 mgh. That is told here; which units there are, and how
many of one are another, is in `units`.
"""

import re
from fractions import Fraction

from stepsift.verify.numbers import Number, read_number
from stepsift.verify.spelling import TEXT
from stepsift.verify.units import Unit, read_unit

_DEGREES = re.compile(r"(?<![/*(\s])\s*\^\s*\{?\s*\\circ\s*\}?\s*(C|F|\\text\s*\{\s*[CF]\s*\})?\Z")
_UNIT_WORDS = re.compile(
    r"(?!(?:and|or)\b)(?:[A-Za-z\u00b0\u00c0-\u024f\u03bc\u03a9/*.^{}()-]|(?<=[A-Za-z^{-])\d|\s(?!\d|(?:and|or)\b)){1,60}"
)
_UNIT_WORD = re.compile(r"[^\W\d_]{2}")
_COUNTED = re.compile(r"(?<![^\W\d_])(?!abc)(?:(?=\w*[aeiouAEIOU\u00c0-\u024f])[^\W\d_][^\W\d_A-Z]{2,}|[A-Z]{3,}\Z)")
"""A word for what is counted: apples and WPM, and not mgh."""
_RATE = re.compile(r"(.*\d)\s*(?:/|\bper\b|\ban?\b)\s*([A-Za-z][A-Za-z\s.^{}\d]*)")
_CHINESE_UNIT = re.compile(
    r"(.*[\d}])\s*(?:\\text\s*\{\s*)?((?![\u548c\u6216\u81f3\u5230\u4e0e])[\u4e00-\u9fff]{1,6})(?<![\u4e07\u4ebf\u5343\u767e\u534a])\s*\}?"
)
"""24平方厘米; and, or, to and words that are numbers are no units."""
_UNIT_TEXT = re.compile(r"(?:\\text\{[^{}]*\}|\^\{?-?\d\}?|\\cdot(?![a-z])|[\s/*.()])+")
_UNIT_START = re.compile(r"\(?\s*\\text")
_FIRST_LETTER = re.compile(
    r"(?<![\\A-Za-z])(?!(?<=\d)[eE][-+]?\d)(?![x*]\s*10\s*\^)[A-Za-z\u00b0\u00c0-\u024f\u03bc\u03a9]"
)
_MONEY = re.compile(
    r"([-+]?)\s*(?:\\text\s*\{\s*)?(\$|\u20ac|\u00a3|\u00a5|\u20b9|USD|US\$|EUR|Rs\.?)\s*\}?\s*(?=[-\d.\\])"
)
_AMOUNT = r"(\d[\d.,]*)\s*([A-Za-z]{1,12})\.?"
_COMPOUND = re.compile(rf"{_AMOUNT}(?:(\s*,\s*(?:and\s)?|\s+and\s)?\s*{_AMOUNT}){{1,3}}(?![A-Za-z\d])")
"""5 hours, 30 minutes and 10 seconds; 5 ft 3 in."""
_LISTED = re.compile(r",\s|\band\b")
_TAIL_MONEY = re.compile(r"(?<=[\d\s])\s*([$\u20ac\u00a3\u00a5\u20b9\u00a2])\Z")
_COMPOUNDED = ("time", "calendar", "length", "mass", "money", "volume")
"""Kinds of units of which several make one amount; with `and` or a comma between them only times and feet."""
_FUNCTIONS = re.compile(r"\\?(?:sin|cos|tan|cot|sec(?!onds?\b|s\b)|csc|log|ln|exp)")


def without_unit(text: str) -> tuple[str, Unit | None]:
    r"""A value without the unit around it, and the unit if it is known."""
    money = _MONEY.match(text)
    if money:
        return _price(money[1] + text[money.end() :].strip(), money[2].replace("US", "").rstrip(".") or "$")
    degrees = _DEGREES.search(text)
    if degrees and degrees.start() and not _FUNCTIONS.search(text):
        return text[: degrees.start()].strip(), read_unit("°" + (degrees[1] or ""))
    if chinese := _CHINESE_UNIT.fullmatch(text):
        return chinese[1].strip(), read_unit(chinese[2])
    start = _UNIT_START.search(text)
    place = start.start() if start else -1
    if place > 0 and _UNIT_TEXT.fullmatch(text, place) and not text[:place].rstrip().endswith("/"):
        return text[:place].strip(), read_unit(text[place:].strip().rstrip("."))
    # A letter alone lost its \text: 20 g / \text{cm}^3.
    bare = TEXT.sub(r" \1 ", text) if place > 0 else text
    first = _FIRST_LETTER.search(bare)
    after = bare[first.start() :].replace("\\cdot", "*").replace("^\\circ ", "°") if first else ""
    if first and first.start() and _UNIT_WORDS.fullmatch(after):
        value, after = bare[: first.start()].strip(), after.strip().rstrip(".")
        if value.endswith("/") and _COUNTED.match(after):
            value, after = value[:-1].strip(), f"/{after}"
        unit = read_unit(after)
        apart = bare[first.start() - 1].isspace() or not bare[first.start()].isascii()
        if (unit is not None or bare == text) and _names_unit(value, after, unit, apart):
            return value, unit
    coin = _TAIL_MONEY.search(text)
    return (text[: coin.start()].strip(), read_unit(coin[1])) if coin else (text, None)


def _price(amount: str, sign: str) -> tuple[str, Unit | None]:
    """An amount of money, with what it is paid for: 15 per hour, 15/kg, 15 a ticket."""
    rate = _RATE.fullmatch(TEXT.sub(r" \1 ", amount))
    unit = read_unit(f"{sign}/{rate[2]}") if rate else None
    if rate and (unit is not None or len(rate[2]) > 2):
        return rate[1].strip(), unit or read_unit(sign)
    return amount, read_unit(sign)


def _names_unit(value: str, after: str, unit: Unit | None, apart: bool) -> bool:
    """Whether the letters behind a value are a unit, and no variables: 2n - 1, 2 a b, 2^{n}, 5ma, \\frac{1}{2} mv^2."""
    if value.count("{") != value.count("}") or value.count("(") != value.count(")") or _FUNCTIONS.match(after):
        return False
    begins = unit is not None or (apart and read_unit(after.split(maxsplit=1)[0]) is not None)  # 10 m up
    known = begins and _UNIT_WORD.search(after) is not None and not (after == "mg" and "\\frac" in value)
    if apart and read_number(value) is not None:
        # Any word may be a unit after a number; of letters alone those that are known: 5 m, 5 m/s, 5 N m.
        letters = sum(map(str.isalpha, after))
        alone = letters < 2 or "/" in after or "^{-" in after or not after.islower()
        return known or _COUNTED.search(after) is not None or (unit is not None and alone and after != "mg")
    return known or (unit is not None and after.startswith("m/s"))


def compound(text: str, start: int = 0) -> tuple[Number, Unit, int] | None:
    """The amount in several units of one kind, larger ones first, with which a text goes on at `start`: how many of the
    first unit it is, that unit, and where it ends.

    5 hours 30 minutes are 5.5 hours. None where it is no such amount: 3 m and 5 m are two.
    """
    match = _COMPOUND.match(text, start)
    if match is None:
        return None
    units, total, last = list[Unit](), Fraction(0), None
    for digits, name in re.findall(_AMOUNT, match[0]):
        minutes = name == "m" and units and units[0].dimensions[0][0] == "time"  # 2h45m
        number, unit = read_number(digits.rstrip(".,")), read_unit("min" if minutes else name)
        if number is None or unit is None or len(unit.dimensions) != 1 or unit.dimensions[0][0] not in _COMPOUNDED:
            return None
        if units and (unit.dimensions != units[0].dimensions or unit.factor >= units[-1].factor):
            return None
        units.append(unit)
        worth = unit.factor / units[0].factor
        total += number.value * worth
        last = None if number.last is None else number.last * worth
    of_time = units[0].dimensions[0][0] in ("time", "calendar") or units[0] == read_unit("ft")
    if _LISTED.search(match[0]) and not of_time:
        return None
    return Number(total, last), units[0], match.end()
