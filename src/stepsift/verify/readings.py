r"""What a mathematical answer may mean: the formula that is compared.

An answer without words is a formula as it stands. An answer in words ("It takes John **12 minutes** to speak 10
pages.") is read by the first of these that it has: what is in bold, what is marked as a formula, and, for a gold answer
that is a number, the first number after the last "=" or "is", or the first of all; for any other gold answer what
follows the last "is", "are" or colon. Several formulas that only "and", "or" or a comma holds apart are one answer.
Only a number is looked for among words: the last number of 2x + 3 is not its value. A number that stands in a choice or
a range (5 or 6, between 10 and 20) is no answer: nothing is read.
"""

import re

from stepsift.verify.shapes import assigned, read_shape
from stepsift.verify.spelling import formula, peel

_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|pi|sqrt|inf|lim|max|min|gcd|lcm|mod|det|and|or"
_OTHER_LETTER = r"[\u0400-\u1fff\u3040-\u9fff\uac00-\ud7af]"
"""Of alphabets that formulas do not use: Cyrillic, Arabic, Thai, Korean, Chinese."""
_WORD = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})(?![A-Za-z]))[A-Za-z]{{2,}}|{_OTHER_LETTER}")
_LONG_WORD = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})(?![A-Za-z]))[A-Za-z]{{4,}}|{_OTHER_LETTER}")
_COMMON = re.compile(
    r"(?<![\\A-Za-z])(?:is|it|he|she|so|we|the|of|to|in|at|by|are|was|has|had|per|for|all|any|not|no|yes|you|his|her|its"
    r"|be|as|an|if|on|do|only|get|gets|got|have|can|will|there|that|this|they|then|thus)(?![A-Za-z(])"
    r"|(?<![\\A-Za-z])[A-Za-z]{2,}\s+[A-Za-z]{2,}",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"[\d+*/^=_{}\\<>-]")
_TEXT = re.compile(
    r"\\text\s*\{([^{}]*)\}|\\begin\{[a-z]+\}|\\end\{[a-z]+\}|\\(?:operatorname|mathbb|mathcal)\s*\{[^{}]*\}"
)
_MARKED = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$|\$((?:[^$\\]|\\.)*[^$\s\\])\$(?!\d)", re.DOTALL)
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__(?!\w)", re.DOTALL)
_JOINED = re.compile(r"[\s*]*(?:,|;|&|(?:,\s*)?(?:and|or)|\u548c|\u6216|\u3001)[\s*]*", re.IGNORECASE)
_VALUE = re.compile(
    r"(?:(?<!\w)-)?(?:\\frac\s*(?:\{\s*\d+\s*\}|\d)\s*(?:\{\s*\d+\s*\}|\d)|(?<!\w)\.\d+"
    r"|(?:\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?!\d)|\d+)(?:\.\d+)?)(?:[eE][-+]?\d+)?"
    r"(?:\s*(?:x|\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*[-+]?\d+\s*\}|[-+]?\d+)"
    r"|\s*\\frac\s*\{\d+\}\s*\{\d+\}|\s+\d+\s*/\s*\d+|\s*/\s*\d+)?(?:\s*\\?%|\s*(?:\\text\s*\{\s*)?(?:thousand|million|billion|trillion)\b)?"
)
"""A number among words: 1,250.50, 3/4, 2 1/2, 1.6 x 10^-19, 20%, 5 million."""
_MORE_VALUES = rf"(?:,\s*\$?(?>{_VALUE.pattern}))"
"""One way to read each: 1,111,1 could else be cut into numbers in more ways than can be tried."""
_SEVERAL = re.compile(
    rf"{_MORE_VALUES}*+,?\s*(?:\b(?:or|and|to)\b|[-\u2013])\s*\$?{_VALUE.pattern}|{_MORE_VALUES}++[\s.;]*\Z"
)
_EMPHASIS = re.compile(r"(?<![\w*\\])([*_])(?=\S)([^*_\n]{1,80}?)(?<=\S)\1(?![\w*])")
_GOES_ON = re.compile(
    r"\s*(?:\^(?!\s*\{?\s*\\circ)|[_}]|[+*]\s*\w|\\(?!text|%|,|;|\s|circ)|and\s+(?:a|one)[\s-](?:half|third|quarter)\b)"
    r"|[A-Za-z](?![A-Za-z])"
)
_NOT = re.compile(r"(?:\bnot|\bnever|(?:\bcannot|n['\u2019]t)(?:\s+be)?)[\s}]+(?:equal(?:\s+to)?\s+)?\Z", re.IGNORECASE)
_IS_NOT = re.compile(
    r"\s*(?:is\s+not|isn['\u2019]t|can(?:not|['\u2019]t)\s+be|is\s+(?:wrong|incorrect))\b", re.IGNORECASE
)
_EQUALS = re.compile(r"(?:=|\b(?:is|are|be|equals)\b)(?=[^=]*?\d)")
_PLACE = re.compile(r",?\s(?:attained|achieved|reached|occurring|when|where|at|for)\s[^.=]{0,60}=", re.IGNORECASE)
_CONDITION = re.compile(
    r"\s*(?:(?:so|thus|hence|then|therefore)\b,?\s+)?(?:for|when|if|at|with|taking|setting|putting)\s[^.,=]{0,60}=\s*[^\s,]+,?\s+"
    r"(?=(?:we|it|there|the|this|one)\b)",
    re.IGNORECASE,
)
"""For n = 4 we get 7."""
_LEAD = re.compile(r"^.*(?:\b(?:is|are|be|equals|to|or simply)\b|[:\u662f\u4e3a\uff1a])\s+(?=\S)", re.DOTALL)
_CURRENCY = {"\\$": "$", "\u20ac": "", "\u00a3": ""}
_PARAMETER = re.compile(
    r"(.{1,300}?)(?:[,;\s]|\\text\s*\{\s*,?\s*(?:for|where|with)\s*(?:any|all|some|every)?\s*\}|\()*"
    r"([a-z])\s*\\in\s*\\mathbb\{Z\}\s*\)?"
)
_K = re.compile(r"(?<![\\A-Za-z])k(?![A-Za-z])")
_SO = re.compile(r"\A\s*(?:so|thus|hence|therefore|then)\b[,:\s]*(?=[$\\({\[])", re.IGNORECASE)
"""A word before a formula, which would be read as a part of it: So $x = 2$."""
LONGEST = 2_000


def holds_words(text: str) -> bool:
    """Whether a formula in `spelling.formula`'s spelling holds words, other than a unit at the end of a number."""
    bare = _TEXT.sub(lambda m: " " if m[1] is None or not _WORD.search(m[1]) else m[1], text)
    word = _LONG_WORD if _OPERATOR.search(bare) else _WORD
    return word.search(bare) is not None or _COMMON.search(bare) is not None


def is_formula(text: str) -> bool:
    """Whether a text is a formula, or a number with its unit, from end to end."""
    shape = read_shape(text)
    if not text or shape.kind in ("clock", "base"):
        return bool(text)
    if shape.name and (side := assigned(text)):
        # The name S of S = 12 is no unit.
        return is_formula(side) or not holds_words(text)
    if shape.text != text and shape.number is not None and shape.unit is None:
        # Of unknown words a few small ones or one may be a unit: "5 apples", "5 Apples", and no "12 Angry Men".
        unit = text.replace(shape.text, "", 1)
        one_word = len(unit.replace("\\text{", "").split()) == 1
        return len(unit.split()) <= 3 and (unit == unit.lower() or one_word or "\\circ" in unit)
    if shape.text != text and shape.unit is not None:
        return shape.number is not None or is_formula(shape.text)
    if shape.kind in ("list", "set", "group", "union"):
        return bool(shape.items) and all(is_formula(item.text) or not holds_words(item.text) for item in shape.items)
    return shape.number is not None or not holds_words(text)


def is_number(gold: str) -> bool:
    """Whether a gold answer is one number, fraction, percentage or amount, with or without a unit."""
    shape = read_shape(formula(unmarked(peel(gold))))
    return shape.kind == "value" and shape.number is not None


def formulas(answer: str, gold: str) -> list[str]:
    """The formulas that an answer may mean, best first; none where it holds nothing to read."""
    text = peel(_SO.sub("", _without_condition(answer[:LONGEST])))
    plain = _for_any_integer(formula(unmarked(text)))
    if not plain:
        return []
    if is_formula(plain):
        return [plain]
    number = is_number(gold)
    bold = _run(_BOLD, text)
    if bold is not None and (_VALUE.search(bold) or not number) and "**" not in bold:
        in_bold = formulas(bold, gold)
        if in_bold:
            return in_bold
    marked = _run(_MARKED, text)
    if marked is not None:
        inside = _for_any_integer(formula(peel(marked)))
        return [inside] if inside and not holds_words(inside) else _spoken(inside, number)
    return _spoken(text, number)


def _without_condition(text: str) -> str:
    """A sentence without the beginning that says for which value it holds: For n = 4 we get 7."""
    condition = _CONDITION.match(text)
    return text[condition.end() :] if condition and _VALUE.search(text, condition.end()) else text


def _for_any_integer(text: str) -> str:
    r"""`k\pi` of `n\pi, n \in \mathbb{Z}`: an answer that an integer runs through, under one name."""
    match = _PARAMETER.fullmatch(text)
    if match is None:
        return text
    body, name = match[1].rstrip(" ,;"), re.compile(rf"(?<![\\A-Za-z]){match[2]}(?![A-Za-z])")
    if name.search(body) is None or (match[2] != "k" and _K.search(body)):
        return text
    return name.sub("k", body)


def _spoken(text: str, number: bool) -> list[str]:
    """What is said in words, without marks."""
    for sign, spelled in _CURRENCY.items():
        text = text.replace(sign, spelled)
    text = formula(_EMPHASIS.sub(r"\2", text.replace("**", "").replace("$", "")))
    if number:
        text = _without_place(text)
        after = [m.end() for m in _EQUALS.finditer(text)]
        value = _VALUE.search(text, after[-1] if after else 0)
        if value is None or _SEVERAL.match(text, value.end()) or _part_of_formula(text, value) or _denied(text, value):
            return []
        return [formula(value[0])]
    lead = _LEAD.match(text)
    rest = peel(text[lead.end() :] if lead else text)
    return [rest] if rest else []


def _without_place(text: str) -> str:
    """A sentence without the end that says where its value is taken: The minimum is 7, attained at x = 2."""
    place = _PLACE.search(text)
    if place is None or _EQUALS.search(text, place.end()):
        return text
    before = text[: place.start()]
    return before if _EQUALS.search(before) or _VALUE.match(before) else text


def _part_of_formula(text: str, value: re.Match[str]) -> bool:
    """Whether a number is but a part of a formula: 3 of \\sqrt{3}, 2 of 2x + 3."""
    return text[max(0, value.start() - 1) : value.start()] in ("{", "\\", "^", "_") or bool(
        _GOES_ON.match(text, value.end())
    )


def _denied(text: str, value: re.Match[str]) -> bool:
    """Whether a number is said to be none: it is not 5, 5 is not the answer."""
    before = text[max(0, value.start() - 40) : value.start()]
    return bool(_NOT.search(before) or _IS_NOT.match(text, value.end()))


def _run(pattern: re.Pattern[str], text: str) -> str | None:
    """The last marked part of a text, with those before it that only a comma, `and` or `or` holds apart."""
    matches = list(pattern.finditer(text))
    if not matches:
        return None
    parts = [_inside(matches[-1])]
    for before, after in zip(matches[-2::-1], matches[:0:-1], strict=True):
        joint = _JOINED.fullmatch(text[before.end() : after.start()])
        if joint is None:
            break
        parts[:0] = [_inside(before), " or " if "or" in joint[0].lower() else ", "]
    return "".join(parts)


def _inside(match: re.Match[str]) -> str:
    return next(part for part in match.groups() if part).strip()


def unmarked(text: str) -> str:
    """`text` without the delimiters of mathematics and the stars of bold type within it."""
    text = _BOLD.sub(_inside, text)
    return peel(_MARKED.sub(lambda m: f" {_inside(m)} ", text))
