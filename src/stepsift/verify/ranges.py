"""Ranges of amounts as answers: 6-8 weeks, $20 to $30, between 5% and 10%."""

import re
from dataclasses import dataclass
from fractions import Fraction

from stepsift.verify.exact import without_latex
from stepsift.verify.units import Unit, read_unit

_END = r"([$\u20ac\u00a3]?)\s?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?"
_LETTER = r"[A-Za-z\u00b5\u03bc\u00c5]"
_RANGE = re.compile(
    rf"(?<![\w.,/+\u2212-])(?:(between)\s|from\s)?{_END}\s?(%|\u00b0?[A-Za-z/]{{1,12}}(?=\s))?\s?"
    rf"(?(1)and\b|(?:[-\u2013\u2014]|to\b))\s?{_END}(?![\d:/-]|\.\d)"
    rf"(?:\s?(%|\u00b0?{_LETTER}(?:{_LETTER}|[/.\u00b2\u00b3^\d])*(?:\s[A-Za-z/]+){{0,3}}))?",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(
    r"\b(?:not|no|less|more|fewer|least|most|wrong|incorrect|twice|half|instead|but|or|rather|would|over|under|exceeds?)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
"""Words of a sentence that says another amount than the range in it."""
_PERCENT = re.compile(r"\s*\bpercent\b", re.IGNORECASE)
_MEGA = re.compile(r"\bM(?=[A-Z][a-z]?\b|bar\b)")
"""Not m: 5 MW and 5 mW."""
_DEGREES = re.compile(r"\bdegrees? (?=c\b|f\b|celsius|fahrenheit)", re.IGNORECASE)
_SCALE = re.compile("\u00b0(c|f)\\w*")
_FUNCTION = re.compile(r"(?:arc)?(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|max|min|gcd|lcm)\b")
MOST_CHARS = 300
"""Longer texts hold no range."""


@dataclass(frozen=True)
class Range:
    """Two ends, and their currency and unit in words, which may be empty."""

    low: Fraction
    high: Fraction
    unit: str


def range_of(text: str) -> Range | None:
    """The range that a text is from end to end; None where it is none.

    With a lower end above its upper one it is a score, a date or a difference.
    """
    if len(text) > MOST_CHARS:
        return None
    text = _plain(text).rstrip(".")
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    apart = text[match.start(9) - 1].isspace() and not re.search(r"\d\s+[-\u2013\u2014]\s+\d", text)
    return None if match[9] and not _is_unit(match[9], apart) else _ends(match)


def same_range(gold: str, answer: str) -> bool:
    """Whether the only range that an answer says is the gold answer's; a unit may be left out or converted."""
    own = range_of(gold)
    if own is None or len(answer) > MOST_CHARS:
        return False
    text = _plain(answer)
    ranges = {ends for match in _RANGE.finditer(text) if (ends := _ends(match))}
    return len(ranges) == 1 and not _OTHERWISE.search(text) and _same(own, ranges.pop())


def _plain(text: str) -> str:
    """`text` without LaTeX and Markdown, with single blanks and the degree sign."""
    for mark, sign in (("**", ""), ("\\%", "%"), ("\\$", "$"), ("^\\circ", "\u00b0"), ("^{\\circ}", "\u00b0")):
        text = text.replace(mark, sign)
    return _PERCENT.sub("%", _DEGREES.sub("\u00b0", " ".join(without_latex(text).split())))


def _ends(match: re.Match[str]) -> Range | None:
    """The ends of a match; None where the lower one is above, or has a unit of its own (6 days to 8 weeks)."""
    low, high = (Fraction(match[i].replace(",", "") + (match[i + 1] or "")) for i in (3, 7))
    first, unit = (_words(part or "") for part in (match[5], match[9]))
    if low >= high or (first and not _same_words(first, unit)):
        return None
    return Range(low, high, f"{match[2] or match[6]} {unit}".strip())


def _words(unit: str) -> str:
    return _SCALE.sub("\u00b0\\1", _MEGA.sub("mega", unit).casefold())


def _same(one: Range, other: Range) -> bool:
    units, factor = (_unit(one.unit), _unit(other.unit)), Fraction(1)
    if units[0] is not None and units[1] is not None:
        if units[0].dimensions != units[1].dimensions:
            return False
        factor = units[1].factor / units[0].factor
    elif one.unit and other.unit and not _same_words(one.unit, other.unit):
        return False
    return (one.low, one.high) == (other.low * factor, other.high * factor)


def _unit(words: str) -> Unit | None:
    """The unit with which words begin, the longest; None where none is known."""
    parts = words.split()
    return next((unit for n in range(len(parts), 0, -1) if (unit := read_unit(" ".join(parts[:n])))), None)


def _same_words(unit: str, other: str) -> bool:
    """Whether two units that nobody knows are the same words; a sentence may go on behind the other."""
    return f"{other} ".startswith(f"{unit} ") or unit.rstrip("s") == other.rstrip("s")


def _is_unit(words: str, apart: bool) -> bool:
    """Whether words behind a number are what is counted, and no variables: 2-3i is no range, nor is 2 - 3 sin x."""
    first = words.split("/", maxsplit=1)[0].split(maxsplit=1)[0]
    if words == "%" or ((apart or len(words) > 1) and read_unit(first) is not None):
        return True
    return apart and len(first) > 2 and _FUNCTION.match(words) is None
