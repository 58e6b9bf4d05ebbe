r"""Numbers as answers write them, as exact fractions, and when two of them are equal.

Integers (also in words or hexadecimal), fractions, mixed numbers, repeating decimals, powers of ten and percentages are
exact. A decimal may be rounded, so that its digits count:

- Two numbers of the same value are equal, however they are written: 12.50 and 12.5, 3.2e5 and 320000, 0.(3) and 1/3.
- A decimal of at least ROUNDED_DIGITS significant digits is equal to a number that it is rounded or cut from: 0.333333
  and 1/3, 2.449490 and 2.4494897. With fewer digits it is another number: 0.333 is not 1/3, and 3.14 is not pi.
- Two numbers of which one is a decimal are equal where they differ by RELATIVE of their size, which is what arithmetic
  in double precision leaves (0.30000000000000004 and 0.3).
- There is no absolute tolerance: 6.63e-34 is not 5.0e-34. Integers are equal where they are the same.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

ROUNDED_DIGITS = 6
"""Significant digits that a decimal needs to stand for the number that it was rounded from."""
RELATIVE = Fraction(1, 10**13)
MAX_EXPONENT = 5_000
MAX_CHARS = 5_000

_SCALES = {
    "%": Fraction(1, 100),
    "percent": Fraction(1, 100),
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
_SCALED = re.compile(rf"(\S.*?)\s*(?:\\text\s*\{{\s*)?({'|'.join(_SCALES)})(?:\s*\}})?")
_INT = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_INT}(?:\.\d*)?|\.\d+)"
_SCIENCE = re.compile(
    rf"([-+]?)\s*({_DECIMAL})\s*(?:[eE]\s*\{{?([-+]?\d+)\}}?|(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*\{{?\s*([-+]?\d+)\s*\}}?)"
)
_TEN = re.compile(r"([-+]?)\s*10\s*\^\s*\{\s*([-+]?\d+)\s*\}")
_PLAIN = re.compile(rf"([-+]?)\s*({_DECIMAL})")
_SPACED = re.compile(r"([-+]?)\s*(\d{1,3}(?: \d{3})+(?:\.\d+)?)")
_HEX = re.compile(r"0[xX]([0-9A-Fa-f]+)")
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORTH = {word: n for n, word in enumerate(["zero", *_ONES, *_TEENS])} | {
    word: 10 * n for n, word in enumerate(_TENS, start=2)
}
_IN_WORDS = re.compile(
    rf"(?:\\text\s*\{{\s*)?(?:({'|'.join(_WORTH)})|({'|'.join(_TENS)})[\s-]({'|'.join(_ONES)}))\s*\}}?", re.IGNORECASE
)
_SIDE = rf"([-+]?)\s*({_DECIMAL})"
_SLASH = re.compile(rf"([-+]?)\s*{_SIDE}\s*/\s*{_SIDE}")
_FRAC = re.compile(rf"([-+]?)\s*\\frac\s*(?:\{{\s*{_SIDE}\s*\}}|(\d))\s*(?:\{{\s*{_SIDE}\s*\}}|(\d))")
_MIXED = re.compile(rf"([-+]?)\s*({_INT})\s*(?:\s(\d+)\s*/\s*(\d+)|\\frac\s*\{{\s*(\d+)\s*\}}\s*\{{\s*(\d+)\s*\}})")
_REPEATING = re.compile(rf"([-+]?)\s*({_INT}?)\.(\d*)(?:\\(?:overline|bar|dot)\s*\{{?(\d+)\}}?|\((\d+)\))(?:\.\.\.)?")
_DOTS = re.compile(rf"([-+]?)\s*({_INT}?)\.(\d+)\s*\.\.\.")


@dataclass(frozen=True)
class Number:
    """The value of a number, and of a decimal the weight of its last digit (None where it is exact).

    `scale` is what the sign or word behind it stands for: a hundredth for %, a million.
    """

    value: Fraction
    last: Fraction | None = None
    scale: Fraction = Fraction(1)


def read_number(text: str) -> Number | None:
    """The number that a text in `spelling.formula`'s spelling is, all of it; None where it is none."""
    if len(text) > MAX_CHARS:
        return None
    text = text.strip()
    while len(text) > 2 and text[0] == "{" and text[-1] == "}" and "{" not in text[1:-1]:
        text = text[1:-1].strip()
    scaled = _SCALED.fullmatch(text)
    if scaled is None:
        return _unsigned(text)
    number = _unsigned(scaled[1])
    if number is None:
        return None
    number = Number(number.value, number.last, _SCALES[scaled[2]])
    # Four hundred is never 4, as 4 million may be.
    return full(number) if _IN_WORDS.fullmatch(scaled[1]) else number


def _unsigned(text: str) -> Number | None:
    for pattern, read in _READERS:
        match = pattern.fullmatch(text)
        if match:
            return read(match)
    return None


def _plain(m: re.Match[str]) -> Number:
    return _decimal(m[1], m[2])


def _spaced(m: re.Match[str]) -> Number:
    return _decimal(m[1], m[2].replace(" ", ""))


def _in_words(m: re.Match[str]) -> Number:
    return Number(Fraction(sum(_WORTH[word.lower()] for word in m.groups() if word)))


def _hex(m: re.Match[str]) -> Number:
    return Number(Fraction(int(m[1], 16)))


def _decimal(sign: str, digits: str, exponent: int = 0) -> Number:
    whole, dot, after = digits.replace(",", "").partition(".")
    value = Fraction(int((whole or "0") + after), 10 ** len(after)) * Fraction(10) ** exponent
    last = Fraction(10) ** (exponent - len(after)) if after or exponent < 0 or (exponent and dot) else None
    return Number(-value if sign == "-" else value, last)


def _science(m: re.Match[str]) -> Number | None:
    exponent = int(m[3] or m[4])
    return _decimal(m[1], m[2], exponent) if abs(exponent) <= MAX_EXPONENT else None


def _ten(m: re.Match[str]) -> Number | None:
    exponent = int(m[2])
    if abs(exponent) > MAX_EXPONENT:
        return None
    return Number(Fraction(10) ** exponent * (-1 if m[1] == "-" else 1))


def _slash(m: re.Match[str]) -> Number | None:
    return _ratio(m[1], _decimal(m[2], m[3]), _decimal(m[4], m[5]))


def _frac(m: re.Match[str]) -> Number | None:
    over, under = (m[2] or "", m[3] or m[4]), (m[5] or "", m[6] or m[7])
    return _ratio(m[1], _decimal(*over), _decimal(*under))


def _ratio(sign: str, over: Number, under: Number) -> Number | None:
    if not under.value:
        return None
    value = over.value / under.value
    return Number(-value if sign == "-" else value)


def _mixed(m: re.Match[str]) -> Number | None:
    whole, over, under = int(m[2].replace(",", "")), int(m[3] or m[5]), int(m[4] or m[6])
    if not 0 < over < under:
        return None
    value = whole + Fraction(over, under)
    return Number(-value if m[1] == "-" else value)


def _repeating(m: re.Match[str]) -> Number | None:
    return _with_period(m[1], m[2], m[3], m[4] or m[5])


def _with_period(sign: str, whole: str, before: str, period: str) -> Number:
    value = Fraction(int(whole.replace(",", "") or "0")) + Fraction(int(before or "0"), 10 ** len(before))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(before))
    return Number(-value if sign == "-" else value)


def _dots(m: re.Match[str]) -> Number:
    """0.333... and 0.1212...: a period that stands three times (twice where it has several digits)."""
    digits = m[3]
    for size in range(1, min(len(digits) // 2, 40) + 1):
        period = digits[-size:]
        if digits.endswith(period * (3 if size == 1 else 2)):
            before = digits[:-size]
            while before.endswith(period):
                before = before[:-size]
            return _with_period(m[1], m[2], before, period)
    return _decimal(m[1], f"{m[2]}.{digits}")


_READERS = (
    (_PLAIN, _plain),
    (_SPACED, _spaced),
    (_HEX, _hex),
    (_IN_WORDS, _in_words),
    (_FRAC, _frac),
    (_SLASH, _slash),
    (_SCIENCE, _science),
    (_TEN, _ten),
    (_MIXED, _mixed),
    (_REPEATING, _repeating),
    (_DOTS, _dots),
)


def same_number(one: Number, other: Number) -> bool:
    """Whether two numbers are equal as this module's description says; percentages are taken as they stand."""
    a, b = one.value, other.value
    if a == b:
        return True
    if one.last is None and other.last is None:
        return False
    if abs(a - b) <= RELATIVE * max(abs(a), abs(b)):
        return True
    return _stands_for(one, other) or _stands_for(other, one)


def _stands_for(short: Number, long: Number) -> bool:
    """Whether `short` is a decimal to which `long`, which has more digits, is rounded or cut."""
    if short.last is None or (long.last is not None and long.last >= short.last):
        return False
    if abs(short.value) < short.last * 10 ** (ROUNDED_DIGITS - 1):
        return False
    distance = abs(long.value) - abs(short.value)
    return (short.value > 0) == (long.value > 0) and -short.last / 2 <= distance < short.last


def same_scaled(one: Number, other: Number) -> bool:
    """As `same_number`, but 50% is 50 and 0.5, and 3 million is 3 and 3000000; two with one scale are compared as they
    stand."""
    if one.scale == other.scale:
        return same_number(one, other)
    return same_number(full(one), full(other)) or (1 in (one.scale, other.scale) and same_number(one, other))


def full(number: Number) -> Number:
    """A number times its scale: 3000000 of 3 million."""
    return Number(number.value * number.scale, None if number.last is None else number.last * number.scale)
