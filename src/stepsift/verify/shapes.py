r"""What a formula is made of: the items of a list, the ends of an interval, the sides of an equation, a number's unit.

Only the outermost structure is read here, because it is what a comparison of values alone gets wrong: whether an order
counts, whether an end belongs to an interval, whether all of several answers are there. Single values are sympy's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from stepsift.verify.amounts import compound, without_unit
from stepsift.verify.numbers import Number, read_number
from stepsift.verify.spelling import TEXT, peel
from stepsift.verify.units import Unit, read_unit

MAX_ITEMS = 200
MAX_DEPTH = 12
MAX_CHARS = 1_000
"""A longer formula is taken as one value."""

_TOKEN = re.compile(r"\\text\s*\{[^{}]*\}|\\begin\s*\{[a-z]*matrix\}|\\end\s*\{[a-z]*matrix\}|\\[a-zA-Z]+|\\.|.", re.S)
_OPENERS = ("(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil")
_CLOSERS = (")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil")
_AND = re.compile(r"\\text\s*\{\s*,?\s*(?:and|or|und|oder|et|ou|\u548c|\u6216)\s*,?\s*\}|\\land|\\lor")
_COMPARES = re.compile(r"[<>=]|\\(?:le|ge|ne|in)(?![a-z])")
"""What holds apart x > 1 \\land x < 5 and the one formula p \\land q."""
_WORD_AND = re.compile(r"(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|[\u548c\u6216]")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SYMBOL = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|rho|sigma|tau|epsilon|varphi))"
_NAME = re.compile(
    rf"p(?:OH|H|K_\{{?[abw]\}}?)|{_SYMBOL}(?:_(?:\{{[^{{}}]*\}}|\w))?'*(?:\^\{{-1\}})?(?:\(\s*{_SYMBOL}\s*\))?|\\text\s*\{{[^{{}}]*\}}"
    rf"|\\angle\s*[A-Z]{{1,3}}|\|?[A-Z]{{2,3}}\|?|\\overline\s*\{{[A-Z]+\}}"
    r"|\\frac\s*\{\s*d\s*[A-Za-z]\s*\}\s*\{\s*d\s*[a-z]\s*\}"
)
_ASKED = re.compile(
    rf"[A-Za-z]'*\(\s*-?[\d.]+\s*\)|\\(?:sin|cos|tan|cot)\s*(?:{_SYMBOL}|\\angle\s*[A-Z]{{1,3}}|\(\s*{_SYMBOL}\s*\))"
    r"|\\(?:overrightarrow|vec)\s*\{[A-Za-z]+\}|[abcmnpq](?:\s*[+-]\s*[abcmnpq])+|\\frac\s*\{[A-Z]{2}\}\s*\{[A-Z]{2}\}"
)
"""What a question asks for, as a plain name: f(2), \\sin A, m + n; x + y = 7 is an equation."""
_POINT = re.compile(r"([A-MO-Z])\s*(?=\(\s*[-\d\\])")
"""The letter of a point: P(1, 2); N(0, 1) is a distribution."""
_NAMES = re.compile(rf"\(\s*(?:{_NAME.pattern})(?:\s*,\s*(?:{_NAME.pattern}))+\s*\)")
"""The variables of a point: (x, y)."""
_NAMED_RATIO = re.compile(rf"(?:{_NAME.pattern})(?:\s*:\s*(?:{_NAME.pattern})){{1,5}}")
"""a : b : c"""
_LETTERS = re.compile(r"(?<![\\A-Za-z])[A-Za-df-z](?![A-Za-z])|(?<![\\A-Za-z])[A-Za-z]{2,}")
_VARIABLE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]|\\(?!times|cdot|div|frac|sqrt|binom|pi(?![a-z]))[a-z]+")
_BASE = re.compile(
    r"\(?\s*([0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*\)?\s*(?:_\s*\{?\s*(?:\\text\s*\{\s*)?\(?\s*(?:base\s*)?(\w+)\s*\)?\s*\}?\s*\}?"
    r"|\(?\s*(?:\\text\s*\{\s*\(?)?\s*(?:in\s+)?base[\s-]*(\w+)\s*\)?\s*\}?\s*\)?)"
)
_BASE_NAMES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_BASES = {name: number for number, name in enumerate(_BASE_NAMES.split(), start=2)}
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:\\text\s*\{)?\s*(?:([apAP])\.?\s?[mM]\.?)?\s*(?:o'clock)?\s*\}?"
)
_RATIO = re.compile(r"\s*(?::|\\text\s*\{\s*to\s*\})\s*")
_COLUMN = re.compile(r"\\begin\s*\{([pb]matrix)\}(.+)\\end\s*\{\1\}", re.DOTALL)
_AXIS = re.compile(r"(?<![\\A-Za-z])[ijk](?![A-Za-z])|[ijk]\Z")
_BARE = re.compile(r"-?\d+(?:\.\d+|/[1-9]\d*)?")
_MANY = re.compile(r"([-+]?\d[\d.,/]*)\s*(?:\\text\s*\{\s*)?(thousand|million|billion|trillion)\s+([a-z][a-z\s]*)\}?")
"""Three million people."""
_PLUS_MINUS, _MINUS_PLUS = re.compile(r"\\pm(?![a-zA-Z])"), re.compile(r"\\mp(?![a-zA-Z])")
_REALS = re.compile(
    r"\\mathbb\s*\{?\s*R\s*\}?|(?:\\text\s*\{\s*)?(?:the\s+set\s+of\s+)?all\s+reals?(?:\s+numbers?)?\s*\}?", re.I
)
_REALS_BUT = re.compile(
    rf"(?:{_REALS.pattern})\s*(?:\\text\s*\{{\s*)?(?:except|but|other\s+than)\s*\}}?\s*(?:for\s+)?(?:[a-z]\s*=\s*)?([^=]+)",
    re.I,
)
_BUILDER = re.compile(rf"\s*({_SYMBOL})\s*(?:\\in\s*\\mathbb\s*\{{?\s*R\s*\}}?\s*)?(?:\\mid|\||:)\s*")


@dataclass(frozen=True)
class Shape:
    """A part of an answer.

    kind: value, list (`1, 2`: in any order), set, group (in order, with `brackets`), union, equation (its sides),
    clock (hours, minutes, seconds, and am or pm in `name`), ratio, base (digits in `text`, base in `name`).
    """

    kind: str
    text: str
    items: tuple["Shape", ...] = ()
    brackets: str = ""
    """Opening and closing bracket of a group: ( or [ and ) or ]; of numbers in a row none."""
    number: Number | None = None
    unit: Unit | None = None
    name: str = ""
    """The variable that a value or interval belongs to (x of x = 5), "" where none is named."""
    written: str = ""
    """A value with its unit as it stands, "" where no unit was taken off."""
    interval: bool = False
    """A group that can be nothing but an interval."""


@lru_cache(maxsize=4096)
def read_shape(text: str, depth: int = 0) -> Shape:
    """The shape of a formula in `spelling.formula`'s spelling."""
    text = _outer(peel(text))
    if not text or depth > MAX_DEPTH or len(text) > MAX_CHARS:
        return Shape("value", text)
    numbers = _amount(text) or _row(text)
    if numbers is not None:
        return numbers
    point = _POINT.match(text)
    if point and _closes(text[point.end() :]) and len(_items(text[point.end() + 1 : -1])[0]) > 1:
        return replace(read_shape(text[point.end() :], depth + 1), name=point[1])
    items, conjunction = _items(text)
    if len(items) > 1:
        return _listed([read_shape(item, depth + 1) for item in items[:MAX_ITEMS]], text, conjunction)
    for read in (_special, _column, _along_axes, _bracketed, _union, _relation, _equation, _signs):
        shape = read(text, depth)
        if shape is not None:
            return shape
    return Shape("value", text)


def _listed(shapes: list[Shape], text: str, conjunction: str) -> Shape:
    """Several items; `x > 2 and x < 5` is one interval, a name before the first item holds for all."""
    if conjunction != "or" and len(shapes) == 2 and all(s.interval and s.name for s in shapes):
        lower = [s for s in shapes if s.items[1].text == "\\infty"]
        upper = [s for s in shapes if s.items[0].text == "-\\infty"]
        if len(lower) == len(upper) == 1 and lower[0].name == upper[0].name and lower[0] is not upper[0]:
            brackets = lower[0].brackets[0] + upper[0].brackets[1]
            return replace(lower[0], text=text, items=(lower[0].items[0], upper[0].items[1]), brackets=brackets)
    if all(s.interval for s in shapes):
        return Shape("union", text, tuple(shapes), name=shapes[0].name)
    flat: list[Shape] = []
    for shape in shapes:
        flat.extend(shape.items if shape.kind == "list" else [shape])
    unit = flat[-1].unit
    if unit is not None:
        # In "3 and 5 cm" the unit is meant for both.
        flat = [replace(s, unit=unit) if s.number is not None and s.unit is None else s for s in flat]
    return Shape("list", text, tuple(flat))


def _tokens(text: str) -> Iterator[tuple[int, str, int]]:
    """(place, token, depth of brackets around it)."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _CLOSERS or token.startswith("\\end"):
            depth = max(0, depth - 1)
        yield match.start(), token, depth
        if token in _OPENERS or token.startswith("\\begin"):
            depth += 1


def _items(text: str) -> tuple[list[str], str]:
    """The parts of a text between commas, semicolons and the words and, or; and the last of these words."""
    closed = {m.start() + i for m in _THOUSANDS.finditer(text) for i, c in enumerate(m[0]) if c == ","}
    if closed and ", " not in text and ";" not in text and not _WORD_AND.search(text) and "\\text" not in text:
        closed = set()
    words = {m.start(): m for m in _WORD_AND.finditer(text)}
    items, start, word, skip = [], 0, "", 0
    for place, token, depth in _tokens(text):
        if place < skip or depth:
            continue
        end = 0
        if (token == "," and place not in closed) or token == ";":
            end = place + 1
        elif _AND.fullmatch(token) and (token[1] == "t" or _COMPARES.search(text)):
            end, word = place + len(token), "or" if "or" in token else "and"
        elif place in words:
            end, word = words[place].end(), words[place][0]
        if end:
            items.append(text[start:place])
            start = skip = end
    items.append(text[start:])
    return [item for item in map(str.strip, items) if item], word


def split_at(text: str, separators: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(parts, separators between them) of a text at tokens outside of all brackets."""
    parts, between, start = [], [], 0
    for place, token, depth in _tokens(text):
        if not depth and token in separators:
            parts.append(text[start:place].strip())
            between.append(token)
            start = place + len(token)
    return [*parts, text[start:].strip()], between


def _outer(text: str) -> str:
    """`text` without braces around all of it."""
    while len(text) > 2 and text[0] == "{" and text[-1] == "}" and _closes(text) and "," not in text:
        if _BUILDER.match(text[1:]):
            break
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> bool:
    """Whether the bracket that opens a text closes at its end."""
    inside = [depth for _, _, depth in _tokens(text)]
    return len(inside) > 1 and inside[-1] == 0 and all(inside[1:-1])


def _amount(text: str) -> Shape | None:
    """A number, with or without a unit."""
    number = read_number(text)
    if number is not None:
        return Shape("value", text, number=number)
    plain = " ".join(TEXT.sub(r" \1 ", text).split())
    whole = compound(plain)
    if whole is not None and whole[2] == len(plain):
        return Shape("value", str(whole[0].value), number=whole[0], unit=whole[1])
    many = _MANY.fullmatch(text)
    bare, unit = (f"{many[1]} {many[2]}", read_unit(many[3])) if many else without_unit(text)
    if bare == text:
        return None
    number = read_number(bare)
    return None if number is None else Shape("value", bare, number=number, unit=unit, written=text)


def _special(text: str, depth: int) -> Shape | None:
    """All real numbers, times of day, numbers with a base, ratios."""
    if _REALS.fullmatch(text):
        return _between(None, None, "()", "")
    if (but := _REALS_BUT.fullmatch(text)) is not None:
        return _half_line(["x", but[1]], "\\ne", depth)
    clock = _CLOCK.fullmatch(text)
    if clock and int(clock[1]) < 25 and int(clock[2]) < 60:
        return Shape("clock", f"{int(clock[1])}:{clock[2]}:{clock[3] or '00'}", name=(clock[4] or "").lower())
    base = _BASE.fullmatch(text)
    if base:
        name = base[2] or base[3]
        number = _BASES.get(name.lower(), int(name) if name.isdigit() else 0)
        if 2 <= number <= 36:
            return Shape("base", base[1].upper(), name=str(number))
    return _ratio(text, depth) if "=" not in text else None


def _ratio(text: str, depth: int) -> Shape | None:
    parts = _RATIO.split(text)
    if 2 <= len(parts) <= 6 and all(parts):
        items = tuple(read_shape(part, depth + 1) for part in parts)
        if all(item.kind == "value" for item in items) and not any(_open(item.text) for item in items):
            return Shape("ratio", text, items)
    return None


def _row(text: str) -> Shape | None:
    """Numbers that only blanks hold apart (`3 1 2`): no product, and in order."""
    parts = text.split()
    if len(parts) < 2 or not all(map(_BARE.fullmatch, parts)):
        return None
    return Shape("group", text, tuple(Shape("value", part, number=read_number(part)) for part in parts))


def _column(text: str, depth: int) -> Shape | None:
    """A vector that is written as a column is a point."""
    column = _COLUMN.fullmatch(text)
    rows, _ = split_at(column[2], ("\\\\",)) if column and "&" not in column[2] else ([], [])
    rows = [row for row in rows if row]
    if len(rows) < 2 or "\\begin" in text[1:]:
        return None
    return Shape("group", text, tuple(read_shape(row, depth + 1) for row in rows), brackets="()")


def _along_axes(text: str, depth: int) -> Shape | None:
    """`2i - j + 3k` is the point (2, -1, 3)."""
    terms, signs = split_at(text, ("+", "-"))
    axes = [term[-1:] for term in terms if term]
    if "j" not in axes or not {"i", "k"} & set(axes) or len(set(axes)) < len(axes) or len(axes) > 3:
        return None
    values = dict.fromkeys("ijk" if "k" in axes else "ij", "0")
    for sign, term in zip(["+", *signs], terms, strict=True):
        if term:
            factor = term[:-1].rstrip(" *").removesuffix("\\cdot").strip()
            values[term[-1]] = sign.removeprefix("+") + (factor or "1")
    if any(axis not in values for axis in axes) or any(map(_AXIS.search, values.values())):
        return None
    items = tuple(read_shape(value, depth + 1) for value in values.values())
    return Shape("group", text, items, brackets="()") if all(item.kind == "value" for item in items) else None


def _open(text: str) -> bool:
    opened = [depth for _, _, depth in _tokens(text + " ")]
    return bool(opened and opened[-1]) or "\\text" in text


def _bracketed(text: str, depth: int) -> Shape | None:
    opening = next((o for o in ("(", "[", "\\{", "\\langle", "{") if text.startswith(o)), None)
    closing = next((c for c in ("\\}", ")", "]", "\\rangle", "}") if text.endswith(c)), None)
    if opening is None or closing is None or not _closes(text):
        return None
    inner = text[len(opening) : -len(closing)].strip()
    if opening in ("\\{", "{"):
        return _set(inner, text, depth) if closing in ("\\}", "}") else None
    items, _ = _items(inner)
    if len(items) > 1 and opening == "(" and text.count("\\pm") == 1:
        return _signs(text, depth)
    if len(items) < 2:
        return read_shape(inner, depth + 1) if inner and opening + closing in ("()", "[]") else None
    brackets = "()" if opening == "\\langle" else opening + closing
    shapes = tuple(read_shape(item, depth + 1) for item in items)
    mixed = brackets in ("[)", "(]")
    if mixed and len(shapes) != 2:
        return None
    infinite = len(shapes) == 2 and any("\\infty" in s.text for s in shapes)
    if infinite:
        brackets = _open_at_infinity(brackets, shapes)
    return Shape("group", text, shapes, brackets=brackets, interval=mixed or infinite)


def _set(inner: str, text: str, depth: int) -> Shape | None:
    builder = _BUILDER.match(inner)
    if builder:
        # `{x | x > 2}` is the interval that its condition says, where it says one of the same variable.
        condition = read_shape(inner[builder.end() :], depth + 1)
        return replace(condition, name="") if condition.name == builder[1] and _is_interval(condition) else None
    if any(mark in inner for mark in ("\\mid", "|", ":")):
        return None
    items, _ = _items(inner)
    shapes = [read_shape(item, depth + 1) for item in items]
    # `\{\pm 1\}` holds two.
    return Shape(
        "set", text, tuple(one for shape in shapes for one in (shape.items if shape.kind == "list" else [shape]))
    )


def _is_interval(shape: Shape) -> bool:
    return shape.interval or (shape.kind == "union" and all(item.interval for item in shape.items))


def _open_at_infinity(brackets: str, ends: tuple[Shape, ...]) -> str:
    return ("(" if "\\infty" in ends[0].text else brackets[0]) + (")" if "\\infty" in ends[1].text else brackets[1])


def _union(text: str, depth: int) -> Shape | None:
    parts, between = split_at(text, ("\\cup",))
    if not between:
        parts, between = split_at(text, ("U",)) if text[-1] in ")]}" and text[0] in "([\\" else (parts, [])
    if not between:
        return None
    shapes = tuple(read_shape(part, depth + 1) for part in parts)
    if all(s.kind in ("group", "set") for s in shapes):
        return Shape("union", text, shapes)
    return None


_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}


def _relation(text: str, depth: int) -> Shape | None:
    r"""`2 < x \le 5`, `x > 3`, `x \ne 3` and `x \in [2, 5)` as intervals of x."""
    sides, member = split_at(text, ("\\in",))
    if len(member) == 1 and _NAMES.fullmatch(sides[0]):
        return read_shape(sides[1], depth + 1)
    if len(member) == 1 and _NAME.fullmatch(sides[0]):
        return replace(read_shape(sides[1], depth + 1), name=sides[0])
    parts, signs = split_at(text, (*_FLIPPED, "\\ne"))
    if len(signs) == 1:
        return _half_line(parts, signs[0], depth)
    return _range(parts, signs, depth) if len(signs) == 2 and "\\ne" not in signs else None


def _half_line(parts: list[str], sign: str, depth: int) -> Shape | None:
    """`x > 3`, and of `x \\ne 3` both halves."""
    if not _NAME.fullmatch(parts[0]):
        parts, sign = parts[::-1], _FLIPPED.get(sign, sign)
    if not _NAME.fullmatch(parts[0]) or _LETTERS.search(parts[1]):
        return None
    value, name = read_shape(parts[1], depth + 1), parts[0]
    if value.kind != "value":
        return None
    if sign == "\\ne":
        text = f"{name} \\ne {value.text}"
        return Shape("union", text, (_between(None, value, "()", name), _between(value, None, "()", name)), name=name)
    if sign in ("<", "\\le"):
        return _between(None, value, "(]" if sign == "\\le" else "()", name)
    return _between(value, None, "[)" if sign == "\\ge" else "()", name)


def _range(parts: list[str], signs: list[str], depth: int) -> Shape | None:
    """`2 < x \\le 5`, also the other way round."""
    if not _NAME.fullmatch(parts[1]) or _LETTERS.search(parts[0] + " " + parts[2]):
        return None
    if all(sign in (">", "\\ge") for sign in signs):
        parts, signs = parts[::-1], [_FLIPPED[sign] for sign in reversed(signs)]
    if any(sign not in ("<", "\\le") for sign in signs):
        return None
    brackets = ("[" if signs[0] == "\\le" else "(") + ("]" if signs[1] == "\\le" else ")")
    return _between(read_shape(parts[0], depth + 1), read_shape(parts[2], depth + 1), brackets, parts[1])


def _between(low: Shape | None, high: Shape | None, brackets: str, name: str) -> Shape:
    ends = (low or Shape("value", "-\\infty"), high or Shape("value", "\\infty"))
    text = f"{brackets[0]}{ends[0].text},{ends[1].text}{brackets[1]}"
    return Shape("group", text, ends, brackets=_open_at_infinity(brackets, ends), name=name, interval=True)


def _equation(text: str, depth: int) -> Shape | None:
    """An assignment is its value with a name; any other equation keeps its sides."""
    sides, between = split_at(text, ("=", "\\approx"))
    if not between:
        return None
    if not sides[0] or not sides[-1]:
        return read_shape(sides[-1] or text[:-1], depth + 1)
    last = read_shape(sides[-1], depth + 1)
    return _named(sides, last, depth) or Shape("equation", text, (read_shape(sides[0], depth + 1), last))


def comes_to(text: str) -> str | None:
    """12 of the computation `3 + 4 + 5 = 12`; None where a text is no computation."""
    sides, between = split_at(text, ("=",))
    if not between or not all(sides) or any(map(_VARIABLE.search, sides[:-1])):
        return None
    return sides[-1] if read_shape(sides[-1]).number is not None else None


def _named(sides: list[str], last: Shape, depth: int) -> Shape | None:
    """The value of an assignment with its name; None of an equation that is none."""
    if _NAME.fullmatch(sides[0]) or (_ASKED.fullmatch(sides[0]) and not _LETTERS.search(sides[-1])):
        return replace(last, name=sides[0])
    if _NAMED_RATIO.fullmatch(sides[0]) and (ratio := _ratio(sides[-1], depth)) is not None:
        return ratio
    if _NAMES.fullmatch(sides[0]) and last.kind in ("group", "set"):
        return _named_point(sides[0], last)
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _LETTERS.search(sides[0]):
        return replace(read_shape(sides[0], depth + 1), name=sides[1])
    return None


def assigned(text: str) -> str | None:
    """The side of an assignment that is its value: 12 of `S = 12`, `S = 3 \\cdot 4 = 12` and `12 = S`; None if none."""
    sides, between = split_at(text, ("=", "\\approx"))
    if not between or not (sides[0] and sides[-1]):
        return None
    if _NAME.fullmatch(sides[0]) or _ASKED.fullmatch(sides[0]):
        return sides[-1]
    return sides[0] if len(sides) == 2 and _NAME.fullmatch(sides[1]) else None


def _named_point(names: str, point: Shape) -> Shape:
    """`(x, y) = (1, 2)` is a point whose numbers have names; of a set of points no names are needed."""
    variables, _ = _items(names[1:-1])
    if point.kind == "set" or len(variables) != len(point.items):
        return point
    return replace(point, items=tuple(replace(item, name=v) for item, v in zip(point.items, variables, strict=True)))


def _signs(text: str, depth: int) -> Shape | None:
    r"""`2 \pm \sqrt{3}` is two values; a value of a formula may have a unit."""
    if _PLUS_MINUS.search(text):
        upper = _MINUS_PLUS.sub("-", _PLUS_MINUS.sub("+", text))
        lower = _MINUS_PLUS.sub("+", _PLUS_MINUS.sub("-", text))
        return Shape(
            "list", text, tuple(read_shape(one.removeprefix("+").strip(), depth + 1) for one in (upper, lower))
        )
    bare, unit = without_unit(text)
    if bare and bare != text and not bare.startswith("\\text"):
        return replace(read_shape(bare, depth + 1), unit=unit, written=text)
    return None
